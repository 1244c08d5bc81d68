#include "server/job_keys.h"

#include <stddef.h>
#include <string.h>

void job_keys_init(struct job_keys *keys)
{
    keys->first = NULL;
    (void)pthread_mutex_init(&keys->lock, NULL); /* cannot fail on Linux with no attributes */
}

void job_keys_close(struct job_keys *keys)
{
    (void)pthread_mutex_destroy(&keys->lock);
}

/* There are no more than open connections, so a list is fast enough. */
static bool is_taken(const struct job_keys *keys, const struct job_key *wanted)
{
    for (const struct job_key *k = keys->first; k != NULL; k = k->next) {
        if (strcmp(k->key, wanted->key) == 0 && strcmp(k->client, wanted->client) == 0) {
            return true;
        }
    }
    return false;
}

bool job_keys_take(struct job_keys *keys, struct job_key *key)
{
    bool is_free;

    (void)pthread_mutex_lock(&keys->lock);
    is_free = !is_taken(keys, key);
    if (is_free) {
        key->previous = NULL;
        key->next = keys->first;
        if (key->next != NULL) {
            key->next->previous = key;
        }
        keys->first = key;
    }
    (void)pthread_mutex_unlock(&keys->lock);
    return is_free;
}

void job_keys_drop(struct job_keys *keys, struct job_key *key)
{
    (void)pthread_mutex_lock(&keys->lock);
    if (key->next != NULL) {
        key->next->previous = key->previous;
    }
    if (key->previous != NULL) {
        key->previous->next = key->next;
    } else {
        keys->first = key->next;
    }
    (void)pthread_mutex_unlock(&keys->lock);
}

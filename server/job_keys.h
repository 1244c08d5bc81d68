/* Idempotency keys of submissions that are on their way into the store: what was stored is found
 * there, and what was not is found here. Thread-safe. */
#ifndef DGLD_SERVER_JOB_KEYS_H
#define DGLD_SERVER_JOB_KEYS_H

#include <pthread.h>
#include <stdbool.h>

/* A key that is taken; lives with its owner until it is dropped. Keys are each client's own. */
struct job_key {
    const char *client; /* borrowed meanwhile */
    const char *key;
    struct job_key *next, *previous;
};

struct job_keys {
    pthread_mutex_t lock;
    struct job_key *first; /* under the lock */
};

void job_keys_init(struct job_keys *keys);
/* None is taken any more. */
void job_keys_close(struct job_keys *keys);

/* Takes the key for a submission; false where another one has it. */
bool job_keys_take(struct job_keys *keys, struct job_key *key);
void job_keys_drop(struct job_keys *keys, struct job_key *key);

#endif

#include "server/accuracy_cache.h"

#include <string.h>

#include "core/mem.h"

enum err accuracy_cache_init(struct accuracy_cache *cache, struct error *err)
{
    memset(cache, 0, sizeof *cache);
    if (pthread_mutex_init(&cache->lock, NULL) != 0) {
        return error_set(err, ERR_NOMEM, "no memory for a lock");
    }
    if (pthread_mutex_init(&cache->opening, NULL) != 0) {
        (void)pthread_mutex_destroy(&cache->lock);
        return error_set(err, ERR_NOMEM, "no memory for a lock");
    }
    return ERR_OK;
}

static void known_destroy(struct accuracy_known *known)
{
    accuracy_source_close(&known->source);
    accuracy_table_close(&known->all);
    mem_free(known);
}

void accuracy_cache_close(struct accuracy_cache *cache)
{
    for (size_t i = 0; i < ACCURACY_CACHE_SLOTS; i++) {
        accuracy_cache_release(cache, cache->slots[i]);
    }
    (void)pthread_mutex_destroy(&cache->lock);
    (void)pthread_mutex_destroy(&cache->opening);
    memset(cache, 0, sizeof *cache);
}

static enum err look(const struct data_tree *tree, const struct space *space,
                     struct file_look *files, struct error *err)
{
    char paths[ACCURACY_SOURCE_FILES][PATH_BYTES];
    enum err rc = accuracy_source_files(tree, space, paths, err);

    for (size_t i = 0; rc == ERR_OK && i < ACCURACY_SOURCE_FILES; i++) {
        files[i] = file_look_at(paths[i]);
    }
    return rc;
}

static bool are_settled(const struct file_look *files)
{
    struct timespec now = {0};
    bool is_settled = true;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    for (size_t i = 0; i < ACCURACY_SOURCE_FILES; i++) {
        is_settled = is_settled && file_look_is_settled(&files[i], &now);
    }
    return is_settled;
}

/* What is kept and still holds, one holder more; NULL where there is none. */
static struct accuracy_known *recall(struct accuracy_cache *cache, const struct space *space,
                                     const struct file_look *files)
{
    struct accuracy_known *found = NULL;

    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < ACCURACY_CACHE_SLOTS; i++) {
        struct accuracy_known *known = cache->slots[i];
        if (known != NULL && known->space == space && known->is_settled &&
            file_look_are_same(known->files, files, ACCURACY_SOURCE_FILES)) {
            found = known;
        }
    }
    if (found != NULL) {
        found->n_holders++;
    }
    (void)pthread_mutex_unlock(&cache->lock);
    return found;
}

/* Puts it into the space's slot, or into the one whose turn it is. */
static void keep(struct accuracy_cache *cache, struct accuracy_known *known)
{
    struct accuracy_known *old;
    size_t slot = ACCURACY_CACHE_SLOTS;

    (void)pthread_mutex_lock(&cache->lock);
    for (size_t i = 0; i < ACCURACY_CACHE_SLOTS; i++) {
        if (cache->slots[i] != NULL && cache->slots[i]->space == known->space) {
            slot = i;
        }
    }
    if (slot == ACCURACY_CACHE_SLOTS) {
        slot = cache->next++ % ACCURACY_CACHE_SLOTS;
    }
    old = cache->slots[slot];
    cache->slots[slot] = known;
    known->n_holders++;
    (void)pthread_mutex_unlock(&cache->lock);
    accuracy_cache_release(cache, old);
}

static enum err open_known(const struct data_tree *tree, const struct space *space,
                           const struct file_look *files, struct accuracy_known **out,
                           struct error *err)
{
    struct accuracy_known *known = mem_calloc(1, sizeof *known);
    enum err rc;

    if (known == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for accuracies");
    }
    known->space = space;
    known->n_holders = 1;
    memcpy(known->files, files, sizeof known->files);
    known->is_settled = are_settled(files);
    rc = accuracy_source_open(tree, space, &known->source, err);
    known->has_all = rc == ERR_OK && accuracy_source_can_list(&known->source);
    if (known->has_all) {
        rc = accuracy_source_list(&known->source, &known->all, err);
    }
    if (rc != ERR_OK) {
        known_destroy(known);
        return rc;
    }
    *out = known;
    return ERR_OK;
}

enum err accuracy_cache_acquire(struct accuracy_cache *cache, const struct data_tree *tree,
                                const struct space *space, struct accuracy_known **out,
                                struct error *err)
{
    struct file_look files[ACCURACY_SOURCE_FILES] = {0};
    struct accuracy_known *known;
    /* before they are read: what changes meanwhile is seen by the next call */
    enum err rc = look(tree, space, files, err);

    if (rc != ERR_OK || cache == NULL) {
        return rc != ERR_OK ? rc : open_known(tree, space, files, out, err);
    }
    (void)pthread_mutex_lock(&cache->opening);
    known = recall(cache, space, files);
    if (known == NULL) {
        rc = open_known(tree, space, files, &known, err);
        if (rc == ERR_OK && known->is_settled) {
            keep(cache, known);
        }
    }
    (void)pthread_mutex_unlock(&cache->opening);
    if (rc == ERR_OK) {
        *out = known;
    }
    return rc;
}

void accuracy_cache_release(struct accuracy_cache *cache, struct accuracy_known *known)
{
    size_t n_left = 0;

    if (known == NULL) {
        return;
    }
    if (cache != NULL) {
        (void)pthread_mutex_lock(&cache->lock);
        n_left = --known->n_holders;
        (void)pthread_mutex_unlock(&cache->lock);
    }
    if (n_left == 0) {
        known_destroy(known);
    }
}

enum err accuracy_known_predict(const struct accuracy_known *known, const int32_t *genes, size_t n,
                                double *accuracy, struct error *err)
{
    const struct space *space = known->space;

    /* a table lists its own rows; a predictor every architecture, by number */
    if (known->source.is_table || !known->has_all) {
        return accuracy_source_predict(&known->source, genes, n, accuracy, err);
    }
    for (size_t i = 0; i < n; i++) {
        accuracy[i] = known->all.accuracy[space_rank(space, genes + i * space->n_genes)];
    }
    return ERR_OK;
}

enum err accuracy_cache_check(struct accuracy_cache *cache, const struct data_tree *tree,
                              const struct space *space, bool *can_list, struct error *err)
{
    struct file_look files[ACCURACY_SOURCE_FILES] = {0};
    struct accuracy_known *known = NULL;
    enum err rc = look(tree, space, files, err);

    if (rc == ERR_OK && cache != NULL) {
        known = recall(cache, space, files);
    }
    if (rc == ERR_OK && known == NULL) {
        rc = accuracy_source_check(tree, space, can_list, err);
    } else if (known != NULL) {
        *can_list = known->has_all;
    }
    accuracy_cache_release(cache, known);
    return rc;
}

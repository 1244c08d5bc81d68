/* Accuracies for searches, which come one after another: what accuracy_source_open() gave is kept for
 * as long as its files look as they did, and with it every architecture that can be listed. All
 * functions but init and close may be called from any thread; while a source is opened others that
 * want one wait. */
#ifndef DGLD_SERVER_ACCURACY_CACHE_H
#define DGLD_SERVER_ACCURACY_CACHE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>

#include "server/accuracy_source.h"
#include "server/file_look.h"

/* Immutable once made. */
struct accuracy_known {
    const struct space *space;
    struct accuracy_source source;
    bool has_all;
    struct accuracy_table all; /* what can be searched, where it can be listed */
    struct file_look files[ACCURACY_SOURCE_FILES];
    bool is_settled; /* whether these looks can be relied upon */
    size_t n_holders;
};

enum { ACCURACY_CACHE_SLOTS = 8 };

struct accuracy_cache {
    pthread_mutex_t lock; /* of the slots and the numbers of holders; held for moments */
    pthread_mutex_t opening;
    struct accuracy_known *slots[ACCURACY_CACHE_SLOTS]; /* each holds what is in it */
    size_t next;                                        /* to be used anew */
};

enum err accuracy_cache_init(struct accuracy_cache *cache, struct error *err);
void accuracy_cache_close(struct accuracy_cache *cache);

/* Errors as of accuracy_source_open(). `cache` may be NULL: then nothing is kept. To be given back,
 * to the same cache. */
enum err accuracy_cache_acquire(struct accuracy_cache *cache, const struct data_tree *tree,
                                const struct space *space, struct accuracy_known **out,
                                struct error *err);
/* Accepts NULL for `known`. */
void accuracy_cache_release(struct accuracy_cache *cache, struct accuracy_known *known);

/* As accuracy_source_predict(), but looked up where all were listed. */
enum err accuracy_known_predict(const struct accuracy_known *known, const int32_t *genes, size_t n,
                                double *accuracy, struct error *err);

/* Whether accuracy_cache_acquire() would succeed: at once where it is known, else by
 * accuracy_source_check(). `can_list` receives what has_all will be. */
enum err accuracy_cache_check(struct accuracy_cache *cache, const struct data_tree *tree,
                              const struct space *space, bool *can_list, struct error *err);

#endif

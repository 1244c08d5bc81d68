/* Devices by name for predictions, which ask for one with every request: what data_find_device()
 * found is remembered for as long as the files say the same.
 *
 * An answer holds while the directories that were searched and the file that told it look as they
 * did: a file that is dropped in, edited or removed is seen by the next call. All functions but init and close may be called from any thread. */
#ifndef DGLD_SERVER_DEVICE_CACHE_H
#define DGLD_SERVER_DEVICE_CACHE_H

#include <pthread.h>
#include <stdint.h>

#include "server/data_tree.h"
#include "server/file_look.h"

enum { DEVICE_CACHE_SLOTS = 256, DEVICE_CACHE_DIRECTORIES = 4 };

struct device_cache_entry {
    const struct space *space; /* NULL: the slot is free */
    char name[DEVICE_NAME_BYTES];
    char *path; /* of the file that told it; owned */
    struct file_look directories[DEVICE_CACHE_DIRECTORIES];
    struct file_look file;
    struct hardware hardware;
};

struct device_cache {
    pthread_mutex_t lock; /* guards the rest; held for a copy */
    struct device_cache_entry slots[DEVICE_CACHE_SLOTS];
    uint64_t n_hits; /* answers that were remembered */
};

enum err device_cache_init(struct device_cache *cache, struct error *err);

/* The hardware of a device, as data_find_device() finds it, with its errors. */
enum err device_cache_find(struct device_cache *cache, const struct data_tree *tree,
                           const struct space *space, const char *name, struct hardware *out,
                           struct error *err);

void device_cache_close(struct device_cache *cache);

#endif

/* The predictors that are served: one a space, and named ones beside it that are loaded when they
 * are first asked for. Loaded once, shared by reference count, swapped and never edited. All
 * functions may be called from any thread, save init and close. */
#ifndef DGLD_SERVER_MODEL_REGISTRY_H
#define DGLD_SERVER_MODEL_REGISTRY_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <time.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/model_file.h"
#include "server/path.h"

enum { REGISTRY_N_PARTS = 16 };

struct served_model;

/* A named model that was loaded, and what its file looked like then: a file that has changed is
 * loaded anew. The one that was used longest ago makes room for another. */
struct named_model {
    const struct space *space;
    char name[MODEL_NAME_BYTES];
    char path[PATH_BYTES];
    struct timespec modified;
    off_t size;
    ino_t inode;
    uint64_t last_use;
    struct served_model *served; /* NULL: the place is free */
};

enum { REGISTRY_MAX_NAMED = 4 }; /* a model of the paper's kind takes 40 MB */

/* Users of models are counted in parts: every request takes a use and gives it back, and threads
 * would otherwise pass one cache line to and fro for it. A thread has a part, which it may share. */
struct registry_part {
    pthread_mutex_t lock; /* guards the counts of this part; held for a few instructions */
    char apart[64];       /* from the next part's cache line */
};

struct model_registry {
    struct registry_part parts[REGISTRY_N_PARTS]; /* locked in this order */
    /* by the space's slot, NULL: none; read with one part locked, written with all of them */
    struct served_model *current[SPACE_N_SLOTS];
    pthread_mutex_t
        named_lock; /* guards the rest; taken before the parts', held while a file is loaded */
    struct named_model named[REGISTRY_MAX_NAMED];
    uint64_t n_uses;
};

enum err model_registry_init(struct model_registry *registry, struct error *err);

/* Serves `model`, whose content is taken over, in its space's place; what it replaces ends with its
 * last user. Errors of model_prepare() and ERR_NOMEM leave everything as it was. */
enum err model_registry_put(struct model_registry *registry, struct model *model,
                            struct error *err);

/* Serves nothing for the space; requests that hold its model keep it. */
void model_registry_remove(struct model_registry *registry, const struct space *space);

/* Whether a model of any space is served. */
bool model_registry_serves_any(struct model_registry *registry);

/* The served model of a space, to be given back by model_registry_release(); NULL where there is
 * none. It stays valid and unchanged until then. */
const struct model *model_registry_acquire(struct model_registry *registry,
                                           const struct space *space);

/* The same for a model by name or version (model_list_find_path()) of the tree below `root`.
 * ERR_NOT_FOUND where there is none; errors of model_store_load(). */
enum err model_registry_acquire_named(struct model_registry *registry, const char *root,
                                      const struct space *space, const char *name,
                                      const struct model **out, struct error *err);

void model_registry_release(struct model_registry *registry, const struct model *model);

/* Nothing may be acquired any more. */
void model_registry_close(struct model_registry *registry);

#endif

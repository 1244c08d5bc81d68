/* Which model files are served: loading them, swapping them while requests run, and following them
 * when they change.
 *
 * What is served of a space is result/<space>/pretrainmodel.safetensors. All functions may be called
 * from any thread that may wait for a file; requests that run keep the model that they began with. */
#ifndef DGLD_SERVER_SERVING_H
#define DGLD_SERVER_SERVING_H

#include <pthread.h>
#include <stdbool.h>

#include "core/error.h"
#include "core/space.h"
#include "server/file_look.h"
#include "server/model_registry.h"

struct app;

struct serving {
    pthread_mutex_t
        lock; /* of what is below, and of loading: a file and what is served of it agree */
    struct served_file {
        _Atomic bool
            is_unloaded; /* on request: left alone until serving_load(); read without lock */
        bool is_present;
        bool is_shipped;       /* it is none of the root's own */
        struct file_look seen; /* the file when it was looked at last */
    } files[SPACE_N_SLOTS];    /* by the space's slot */
};

enum err serving_init(struct serving *serving, struct error *err);
void serving_close(struct serving *serving);

/* Loads the space's file and serves it. On failure what was served stays; ERR_NOT_FOUND where there
 * is no file. */
enum err serving_load(struct app *app, const struct space *space, struct error *err);

/* Makes a model, by name or version, the served one as model_store_activate() does, and serves it.
 * `out` receives a copy of the model, which the caller ends. The locks of this process and of the tree
 * are held throughout, so that of two activations one comes after the other, and the file and what
 * is served of it agree between them. ERR_IO where another process holds that of the tree too long. */
enum err serving_activate(struct app *app, const struct space *space, const char *name,
                          struct model *out, struct error *err);

/* The same for who holds the tree's lock, TREE_LOCK_SERVED of the space. */
enum err serving_activate_locked(struct app *app, const struct space *space, const char *name,
                                 struct model *out, struct error *err);

/* The version that is served now, "" where there is none. */
void serving_version(struct app *app, const struct space *space, char version[MODEL_VERSION_BYTES]);

/* Serves nothing for the space until serving_load(). */
void serving_unload(struct app *app, const struct space *space);

/* Whether the space was unloaded on request, and not loaded since. Waits for nothing. */
bool serving_is_unloaded(struct app *app, const struct space *space);

/* Loads the files that changed since they were looked at, and logs what came of it. A malformed file
 * is no reason to stop serving. */
void serving_refresh(struct app *app);

/* Serves what there is for a space that was declared, and nothing any more for one that went: for
 * struct space_tree, with the app as its context. */
void serving_follow_space(void *context, const struct space *before, const struct space *now);

/* Between these two no file is loaded: for who writes one and loads it then. */
void serving_lock(struct app *app);
void serving_unlock(struct app *app);
/* serving_load() for who holds the lock. */
enum err serving_load_locked(struct app *app, const struct space *space, struct error *err);

#endif

/* The predictors that are served, one a space: loaded once, shared by reference count, swapped and
 * never edited. All functions may be called from any thread, save init and close. */
#ifndef DGLD_SERVER_MODEL_REGISTRY_H
#define DGLD_SERVER_MODEL_REGISTRY_H

#include <pthread.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/model_file.h"

enum { REGISTRY_MAX_SPACES = 8 };

struct served_model;

struct model_registry {
    pthread_mutex_t
        lock; /* guards `current` and every model's count; held for a few instructions */
    struct served_model *current[REGISTRY_MAX_SPACES]; /* in the order of `spaces`; NULL: none */
};

enum err model_registry_init(struct model_registry *registry, struct error *err);

/* Serves `model`, whose content is taken over, in its space's place; what it replaces ends with its
 * last user. ERR_NOMEM leaves everything as it was. */
enum err model_registry_put(struct model_registry *registry, struct model *model,
                            struct error *err);

/* The served model of a space, to be given back by model_registry_release(); NULL where there is
 * none. It stays valid and unchanged until then. */
const struct model *model_registry_acquire(struct model_registry *registry,
                                           const struct space *space);
void model_registry_release(struct model_registry *registry, const struct model *model);

/* Nothing may be acquired any more. */
void model_registry_close(struct model_registry *registry);

#endif

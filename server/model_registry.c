#include "server/model_registry.h"

#include <assert.h>
#include <string.h>

#include "core/mem.h"

struct served_model {
    struct model model; /* first, so that a pointer to it is one to the whole */
    size_t n_users;     /* the registry itself is one while the model is current */
};

enum err model_registry_init(struct model_registry *registry, struct error *err)
{
    int failed;

    memset(registry, 0, sizeof *registry);
    failed = pthread_mutex_init(&registry->lock, NULL);
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot create a mutex");
}

static size_t place_of(const struct space *space)
{
    size_t i = 0;

    while (spaces[i] != space) {
        i++;
        assert(i < REGISTRY_MAX_SPACES && spaces[i] != NULL);
    }
    return i;
}

/* Drops one use; the last one ends the model, outside of the lock. */
static void drop(struct model_registry *registry, struct served_model *served)
{
    bool is_last;

    if (served == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&registry->lock);
    is_last = --served->n_users == 0;
    (void)pthread_mutex_unlock(&registry->lock);
    if (is_last) {
        model_close(&served->model);
        mem_free(served);
    }
}

enum err model_registry_put(struct model_registry *registry, struct model *model, struct error *err)
{
    struct served_model *served = mem_calloc(1, sizeof *served);
    struct served_model *previous;
    size_t place = place_of(model->predictor->space);

    if (served == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to serve a model");
    }
    served->model = *model;
    served->n_users = 1;
    memset(model, 0, sizeof *model);
    (void)pthread_mutex_lock(&registry->lock);
    previous = registry->current[place];
    registry->current[place] = served;
    (void)pthread_mutex_unlock(&registry->lock);
    drop(registry, previous);
    return ERR_OK;
}

const struct model *model_registry_acquire(struct model_registry *registry,
                                           const struct space *space)
{
    struct served_model *served;

    (void)pthread_mutex_lock(&registry->lock);
    served = registry->current[place_of(space)];
    if (served != NULL) {
        served->n_users++;
    }
    (void)pthread_mutex_unlock(&registry->lock);
    return served != NULL ? &served->model : NULL;
}

void model_registry_release(struct model_registry *registry, const struct model *model)
{
    drop(registry, (struct served_model *)model);
}

void model_registry_close(struct model_registry *registry)
{
    for (size_t i = 0; i < REGISTRY_MAX_SPACES; i++) {
        drop(registry, registry->current[i]);
        registry->current[i] = NULL;
    }
    (void)pthread_mutex_destroy(&registry->lock);
}

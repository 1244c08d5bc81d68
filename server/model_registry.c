#include "server/model_registry.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "server/model_list.h"
#include "server/model_store.h"

struct served_model {
    struct model model; /* first, so that a pointer to it is one to the whole */
    size_t n_users;     /* the registry itself is one while the model is current */
};

enum err model_registry_init(struct model_registry *registry, struct error *err)
{
    int failed;

    memset(registry, 0, sizeof *registry);
    failed = pthread_mutex_init(&registry->lock, NULL);
    failed = failed != 0 ? failed : pthread_mutex_init(&registry->named_lock, NULL);
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

void model_registry_remove(struct model_registry *registry, const struct space *space)
{
    struct served_model *previous;
    size_t place = place_of(space);

    (void)pthread_mutex_lock(&registry->lock);
    previous = registry->current[place];
    registry->current[place] = NULL;
    (void)pthread_mutex_unlock(&registry->lock);
    drop(registry, previous);
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

static bool is_same_file(const struct named_model *named, const struct stat *st)
{
    return named->inode == st->st_ino && named->size == st->st_size &&
           named->modified.tv_sec == st->st_mtim.tv_sec &&
           named->modified.tv_nsec == st->st_mtim.tv_nsec;
}

static bool is_named(const struct named_model *place, const struct space *space, const char *name)
{
    return place->served != NULL && place->space == space && strcmp(place->name, name) == 0;
}

/* The place of a model: its own, or a free one, or that which was used longest ago. */
static struct named_model *find_place(struct model_registry *registry, const struct space *space,
                                      const char *name)
{
    struct named_model *oldest = &registry->named[0]; /* a free place has last_use 0 */

    for (size_t i = 0; i < REGISTRY_MAX_NAMED; i++) {
        struct named_model *place = &registry->named[i];
        if (is_named(place, space, name)) {
            return place;
        }
        oldest = place->last_use < oldest->last_use ? place : oldest;
    }
    return oldest;
}

/* Finds the file of a name or version, and how it looks now. A version may lie in a file of another
 * name; where it was found there before, the files are not looked through again. */
static enum err find_file(const char *root, const struct space *space, const char *name,
                          const struct named_model *place, char path[PATH_BYTES], struct stat *st,
                          struct error *err)
{
    enum err rc = model_store_named_path(root, space, name, path, err);

    if (rc != ERR_OK || stat(path, st) == 0) {
        return rc;
    }
    if (is_named(place, space, name) && stat(place->path, st) == 0 && is_same_file(place, st)) {
        memcpy(path, place->path, PATH_BYTES);
        return ERR_OK;
    }
    rc = model_list_find_path(root, space, name, path, err);
    if (rc == ERR_OK && stat(path, st) != 0) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no model \"%s\" of %s", name, space->name);
    }
    return rc;
}

/* Puts a freshly loaded model into a place. */
static enum err fill_place(struct model_registry *registry, struct named_model *place,
                           const struct space *space, const char *name, const char *path,
                           const struct stat *st, struct model *model, struct error *err)
{
    struct served_model *served = mem_calloc(1, sizeof *served);

    if (served == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to serve a model");
    }
    served->model = *model;
    served->n_users = 1;
    memset(model, 0, sizeof *model);
    drop(registry, place->served);
    place->served = served;
    place->space = space;
    (void)snprintf(place->name, sizeof place->name, "%s", name);
    (void)snprintf(place->path, sizeof place->path, "%s", path);
    place->modified = st->st_mtim;
    place->size = st->st_size;
    place->inode = st->st_ino;
    return ERR_OK;
}

/* With named_lock held: makes sure that the model is in the place as its file is now. */
static enum err refresh_place(struct model_registry *registry, const char *root,
                              const struct space *space, const char *name,
                              struct named_model *place, struct error *err)
{
    char path[PATH_BYTES];
    struct stat st;
    struct model model = {0};
    enum err rc = find_file(root, space, name, place, path, &st, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (is_named(place, space, name) && is_same_file(place, &st)) {
        return ERR_OK;
    }
    rc = model_store_load(path, space, &model, NULL, err);
    rc = rc != ERR_OK ? rc : fill_place(registry, place, space, name, path, &st, &model, err);
    model_close(&model);
    return rc;
}

enum err model_registry_acquire_named(struct model_registry *registry, const char *root,
                                      const struct space *space, const char *name,
                                      const struct model **out, struct error *err)
{
    struct named_model *place;
    enum err rc;

    (void)pthread_mutex_lock(&registry->named_lock);
    place = find_place(registry, space, name);
    rc = refresh_place(registry, root, space, name, place, err);
    if (rc == ERR_OK) {
        place->last_use = ++registry->n_uses;
        (void)pthread_mutex_lock(&registry->lock);
        place->served->n_users++;
        (void)pthread_mutex_unlock(&registry->lock);
        *out = &place->served->model;
    }
    (void)pthread_mutex_unlock(&registry->named_lock);
    return rc;
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
    for (size_t i = 0; i < REGISTRY_MAX_NAMED; i++) {
        drop(registry, registry->named[i].served);
        registry->named[i].served = NULL;
    }
    (void)pthread_mutex_destroy(&registry->named_lock);
    (void)pthread_mutex_destroy(&registry->lock);
}

#include "server/model_registry.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "core/mem.h"
#include "server/model_list.h"
#include "server/model_store.h"

/* What one part of the registry holds of a model. */
struct model_use {
    struct model model; /* first, so that a pointer to it is one to the whole; its content belongs
                           to the served model */
    struct served_model *served;
    size_t n_users; /* in this part; the registry itself is one in each while the model is current
                       or named */
    char apart[64]; /* from the next use's cache line */
};

struct served_model {
    struct model model;
    atomic_size_t n_parts; /* in which there are users; the last one ends the model */
    struct model_use uses[REGISTRY_N_PARTS];
};

enum err model_registry_init(struct model_registry *registry, struct error *err)
{
    int failed;

    memset(registry, 0, sizeof *registry);
    failed = pthread_mutex_init(&registry->named_lock, NULL);
    for (size_t i = 0; i < REGISTRY_N_PARTS; i++) {
        failed = failed != 0 ? failed : pthread_mutex_init(&registry->parts[i].lock, NULL);
    }
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot create a mutex");
}

/* The part of the calling thread. */
static size_t own_part(void)
{
    static atomic_uint n_threads;
    static _Thread_local unsigned part; /* from 1; 0: none yet */

    if (part == 0) {
        part = 1 + atomic_fetch_add(&n_threads, 1) % REGISTRY_N_PARTS;
    }
    return part - 1;
}

/* Takes a model over into a fresh served one, with the registry's own use in every part. */
static enum err serve(struct model *model, struct served_model **out, struct error *err)
{
    struct served_model *served;
    enum err rc = model_prepare(model, err);

    if (rc != ERR_OK) {
        return rc;
    }
    served = mem_calloc(1, sizeof *served);
    if (served == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to serve a model");
    }
    served->model = *model;
    memset(model, 0, sizeof *model);
    atomic_init(&served->n_parts, REGISTRY_N_PARTS);
    for (size_t i = 0; i < REGISTRY_N_PARTS; i++) {
        served->uses[i].model = served->model;
        served->uses[i].served = served;
        served->uses[i].n_users = 1;
    }
    *out = served;
    return ERR_OK;
}

/* Drops one use. The last one of a part cannot be followed by another there, for the registry's own
 * is gone by then; the last one of all parts ends the model. */
static void drop_use(struct model_registry *registry, struct model_use *use)
{
    struct served_model *served = use->served;
    struct registry_part *part = &registry->parts[use - served->uses];
    bool is_last;

    (void)pthread_mutex_lock(&part->lock);
    is_last = --use->n_users == 0;
    (void)pthread_mutex_unlock(&part->lock);
    if (is_last && atomic_fetch_sub(&served->n_parts, 1) == 1) {
        model_close(&served->model);
        mem_free(served);
    }
}

/* Drops the registry's own use in every part. */
static void drop(struct model_registry *registry, struct served_model *served)
{
    for (size_t i = 0; served != NULL && i < REGISTRY_N_PARTS; i++) {
        drop_use(registry, &served->uses[i]); /* no use is left of it only after the last */
    }
}

/* Puts `served` (may be NULL) into a space's place. From the end of this call on nobody acquires
 * what was there. */
static void replace(struct model_registry *registry, const struct space *space,
                    struct served_model *served)
{
    struct served_model *previous;

    for (size_t i = 0; i < REGISTRY_N_PARTS; i++) {
        (void)pthread_mutex_lock(&registry->parts[i].lock);
    }
    previous = registry->current[space->slot];
    registry->current[space->slot] = served;
    for (size_t i = REGISTRY_N_PARTS; i-- > 0;) {
        (void)pthread_mutex_unlock(&registry->parts[i].lock);
    }
    drop(registry, previous);
}

enum err model_registry_put(struct model_registry *registry, struct model *model, struct error *err)
{
    const struct space *space = model->predictor->space;
    struct served_model *served;
    enum err rc = serve(model, &served, err);

    if (rc == ERR_OK) {
        replace(registry, space, served);
    }
    return rc;
}

void model_registry_remove(struct model_registry *registry, const struct space *space)
{
    replace(registry, space, NULL);
}

bool model_registry_serves_any(struct model_registry *registry)
{
    pthread_mutex_t *lock = &registry->parts[own_part()].lock;
    bool is_found = false;

    (void)pthread_mutex_lock(lock);
    for (size_t i = 0; i < SPACE_N_SLOTS && !is_found; i++) {
        is_found = registry->current[i] != NULL;
    }
    (void)pthread_mutex_unlock(lock);
    return is_found;
}

const struct model *model_registry_acquire(struct model_registry *registry,
                                           const struct space *space)
{
    size_t i = own_part();
    struct served_model *served;

    (void)pthread_mutex_lock(&registry->parts[i].lock);
    served = registry->current[space->slot];
    if (served != NULL) {
        served->uses[i].n_users++;
    }
    (void)pthread_mutex_unlock(&registry->parts[i].lock);
    return served != NULL ? &served->uses[i].model : NULL;
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

/* The file of a name or version, and how it looks now. */
struct found_file {
    char path[PATH_BYTES];
    struct stat st;
    bool is_by_version; /* as of model_list_find_path() */
};

/* Finds it; where it was found by its version before, the files are not looked through again. */
static enum err find_file(const char *root, const struct space *space, const char *name,
                          const struct named_model *place, struct found_file *out,
                          struct error *err)
{
    enum err rc = model_store_named_path(root, space, name, out->path, err);

    out->is_by_version = false;
    if (rc != ERR_OK || stat(out->path, &out->st) == 0) {
        return rc;
    }
    if (is_named(place, space, name) && stat(place->path, &out->st) == 0 &&
        is_same_file(place, &out->st)) {
        memcpy(out->path, place->path, PATH_BYTES);
        return ERR_OK;
    }
    rc = model_list_find_path(root, space, name, out->path, &out->is_by_version, err);
    if (rc == ERR_OK && stat(out->path, &out->st) != 0) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no model \"%s\" of %s", name, space->name);
    }
    return rc;
}

/* Loads the file that was found. */
static enum err load_file(const struct found_file *found, const struct space *space,
                          const char *name, struct model *out, struct error *err)
{
    enum err rc = model_store_load(found->path, space, out, NULL, err);

    if (rc == ERR_OK && found->is_by_version) {
        rc = model_list_confirm(out, name, err);
    }
    if (rc != ERR_OK) {
        model_close(out);
    }
    return rc;
}

/* Puts a freshly loaded model into a place. */
static enum err fill_place(struct model_registry *registry, struct named_model *place,
                           const struct space *space, const char *name,
                           const struct found_file *found, struct model *model, struct error *err)
{
    struct served_model *served;
    enum err rc = serve(model, &served, err);

    if (rc != ERR_OK) {
        return rc;
    }
    drop(registry, place->served);
    place->served = served;
    place->space = space;
    (void)snprintf(place->name, sizeof place->name, "%s", name);
    (void)snprintf(place->path, sizeof place->path, "%s", found->path);
    place->modified = found->st.st_mtim;
    place->size = found->st.st_size;
    place->inode = found->st.st_ino;
    return ERR_OK;
}

/* With named_lock held: makes sure that the model is in the place as its file is now. A version
 * whose file is replaced between finding and reading is looked for once more: it is kept elsewhere
 * by then. */
static enum err refresh_place(struct model_registry *registry, const char *root,
                              const struct space *space, const char *name,
                              struct named_model *place, struct error *err)
{
    enum { MOST_TRIES = 4 };
    enum err rc = ERR_NOT_FOUND;

    for (int i = 0; i < MOST_TRIES && rc == ERR_NOT_FOUND; i++) {
        struct found_file found;
        struct model model = {0};
        rc = find_file(root, space, name, place, &found, err);
        if (rc == ERR_OK && is_named(place, space, name) && is_same_file(place, &found.st)) {
            return ERR_OK;
        }
        if (rc != ERR_OK) {
            return rc; /* there is none, and there was none */
        }
        rc = load_file(&found, space, name, &model, err);
        rc = rc != ERR_OK ? rc : fill_place(registry, place, space, name, &found, &model, err);
        model_close(&model);
    }
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
        size_t i = own_part();
        place->last_use = ++registry->n_uses;
        (void)pthread_mutex_lock(&registry->parts[i].lock);
        place->served->uses[i].n_users++;
        (void)pthread_mutex_unlock(&registry->parts[i].lock);
        *out = &place->served->uses[i].model;
    }
    (void)pthread_mutex_unlock(&registry->named_lock);
    return rc;
}

void model_registry_release(struct model_registry *registry, const struct model *model)
{
    drop_use(registry, (struct model_use *)model);
}

void model_registry_close(struct model_registry *registry)
{
    for (size_t i = 0; i < SPACE_N_SLOTS; i++) {
        drop(registry, registry->current[i]);
        registry->current[i] = NULL;
    }
    for (size_t i = 0; i < REGISTRY_MAX_NAMED; i++) {
        drop(registry, registry->named[i].served);
        registry->named[i].served = NULL;
    }
    (void)pthread_mutex_destroy(&registry->named_lock);
    for (size_t i = 0; i < REGISTRY_N_PARTS; i++) {
        (void)pthread_mutex_destroy(&registry->parts[i].lock);
    }
}

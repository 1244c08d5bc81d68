#include "server/serving.h"

#include <string.h>

#include "server/app.h"
#include "server/log.h"
#include "server/model_store.h"
#include "server/shipped.h"
#include "server/tree_lock.h"

enum err serving_init(struct serving *serving, struct error *err)
{
    int failed;

    memset(serving, 0, sizeof *serving);
    failed = pthread_mutex_init(&serving->lock, NULL);
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot create a mutex");
}

void serving_close(struct serving *serving)
{
    (void)pthread_mutex_destroy(&serving->lock);
}

static struct served_file *file_of(struct app *app, const struct space *space)
{
    return &app->serving.files[space->slot];
}

void serving_lock(struct app *app)
{
    (void)pthread_mutex_lock(&app->serving.lock);
}

void serving_unlock(struct app *app)
{
    (void)pthread_mutex_unlock(&app->serving.lock);
}

enum err serving_load_locked(struct app *app, const struct space *space, struct error *err)
{
    struct served_file *file = file_of(app, space);
    struct model model = {0};
    char version[MODEL_VERSION_BYTES];
    char path[PATH_BYTES];
    enum err rc = model_store_path(app->tree.root, space, path, err);

    if (rc != ERR_OK) {
        return rc;
    }
    /* looked at before it is read: what changes in between is found by the next refresh */
    file->seen = file_look_at(path);
    file->is_present = file->seen.inode != 0;
    file->is_shipped = shipped_holds(path);
    rc = model_store_load(path, space, &model, NULL, err);
    if (rc == ERR_OK) {
        memcpy(version, model.info.version, sizeof version);
        rc = model_registry_put(&app->models, &model, err);
    }
    if (rc == ERR_NOMEM) {
        file->is_present = false; /* there may be some again: the next refresh tries */
    }
    if (rc == ERR_OK) {
        file->is_unloaded = false;
        atomic_store(&app->is_ready, true);
        counters_activated(app->counters, space);
        log_write(LOG_INFO, "serving %s with %s", space->name, version);
    }
    model_close(&model);
    return rc;
}

enum err serving_load(struct app *app, const struct space *space, struct error *err)
{
    enum err rc;

    serving_lock(app);
    rc = serving_load_locked(app, space, err);
    serving_unlock(app);
    return rc;
}

enum err serving_activate_locked(struct app *app, const struct space *space, const char *name,
                                 struct model *out, struct error *err)
{
    enum err rc;

    serving_lock(app);
    rc = model_store_activate(app->tree.root, space, name, out, err);
    rc = rc != ERR_OK ? rc : serving_load_locked(app, space, err);
    serving_unlock(app);
    return rc;
}

enum err serving_activate(struct app *app, const struct space *space, const char *name,
                          struct model *out, struct error *err)
{
    struct tree_lock lock;
    enum err rc = tree_lock_take(app->tree.root, TREE_LOCK_SERVED, space->name, &lock, err);

    if (rc == ERR_OK) {
        rc = serving_activate_locked(app, space, name, out, err);
        tree_lock_release(&lock);
    }
    return rc;
}

void serving_version(struct app *app, const struct space *space, char version[MODEL_VERSION_BYTES])
{
    const struct model *served = model_registry_acquire(&app->models, space);

    version[0] = '\0';
    if (served != NULL) {
        memcpy(version, served->info.version, MODEL_VERSION_BYTES);
        model_registry_release(&app->models, served);
    }
}

void serving_unload(struct app *app, const struct space *space)
{
    serving_lock(app);
    file_of(app, space)->is_unloaded = true;
    model_registry_remove(&app->models, space);
    atomic_store(&app->is_ready, model_registry_serves_any(&app->models));
    serving_unlock(app);
}

bool serving_is_unloaded(struct app *app, const struct space *space)
{
    return file_of(app, space)->is_unloaded;
}

/* Field by field: is_unloaded may be read meanwhile. */
static void forget(struct served_file *file)
{
    file->is_unloaded = false;
    file->is_present = false;
    file->is_shipped = false;
    file->seen = (struct file_look){0};
}

void serving_follow_space(void *context, const struct space *before, const struct space *now)
{
    struct app *app = context;
    struct error err;
    enum err rc = ERR_OK;

    serving_lock(app);
    if (before != NULL) {
        model_registry_remove(&app->models, before);
        forget(file_of(app, before));
    }
    if (now != NULL) {
        rc = serving_load_locked(app, now, &err);
    }
    if (rc != ERR_OK && rc != ERR_NOT_FOUND) { /* one that is new has no model yet */
        log_write(LOG_WARNING, "%s is not served: %s", now->name, err.text);
    }
    if (before != NULL) { /* it may have been the last one */
        atomic_store(&app->is_ready, model_registry_serves_any(&app->models));
    }
    serving_unlock(app);
}

/* Whether there is a file that was not looked at as it is now. */
static bool has_changed(const struct app *app, const struct space *space,
                        const struct served_file *file)
{
    char path[PATH_BYTES];
    struct file_look now;

    if (file->is_unloaded || model_store_path(app->tree.root, space, path, NULL) != ERR_OK) {
        return false;
    }
    now = file_look_at(path);
    if (now.inode == 0) {
        return false; /* a file that is gone goes on being served */
    }
    if (file->is_present && !file->is_shipped && shipped_holds(path)) {
        return false; /* likewise: a volume that is away changes nothing until it is asked for */
    }
    return !file->is_present || !file_look_are_same(&now, &file->seen, 1);
}

void serving_refresh(struct app *app)
{
    struct space_list list;

    serving_lock(app);
    space_list_get(&list);
    for (size_t i = 0; i < list.n; i++) {
        const struct space *space = list.items[i];
        struct error err;
        if (has_changed(app, space, file_of(app, space)) &&
            serving_load_locked(app, space, &err) != ERR_OK) {
            log_write(LOG_ERROR, "what is served of %s stays as it is: %s", space->name, err.text);
        }
    }
    serving_unlock(app);
}

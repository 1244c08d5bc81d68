#include "server/job_activation.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file.h"
#include "core/mem.h"
#include "server/app.h"
#include "server/clock.h"
#include "server/log.h"
#include "server/model_store.h"
#include "server/path.h"
#include "server/result_tree.h"
#include "server/tree_lock.h"

static enum err directory_of(const char *root, const struct space *space, char *out,
                             struct error *err)
{
    return path_format(out, err, "%s/result/%s/.activations", root, space->name);
}

static enum err path_of(const char *root, const struct space *space, const char *id, int attempt,
                        char *out, struct error *err)
{
    return path_format(out, err, "%s/result/%s/.activations/%s.%d", root, space->name, id, attempt);
}

enum err job_activation_ask(const char *root, const struct space *space, const char *id,
                            int attempt, const char *model, struct error *err)
{
    struct result_batch batch = {0};
    char path[PATH_BYTES];
    enum err rc = path_of(root, space, id, attempt, path, err);

    rc = rc != ERR_OK ? rc : result_stage(&batch, path, model, strlen(model), err);
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    return rc;
}

/* The directory goes with the last one. */
void job_activation_drop(const char *root, const struct space *space, const char *id, int attempt)
{
    char path[PATH_BYTES];

    if (path_of(root, space, id, attempt, path, NULL) == ERR_OK &&
        result_remove(path, NULL) == ERR_OK && directory_of(root, space, path, NULL) == ERR_OK) {
        (void)rmdir(path);
    }
}

/* What the name of a file says. */
static bool read_name(const char *name, struct job_activation *out)
{
    const size_t n = JOB_ID_BYTES - 1;
    char *end;
    long attempt;

    if (strlen(name) <= n + 1 || name[n] != '.') {
        return false;
    }
    memcpy(out->id, name, n);
    out->id[n] = '\0';
    attempt = strtol(name + n + 1, &end, 10);
    out->attempt = (int)attempt;
    return *end == '\0' && attempt > 0 && attempt < INT_MAX && job_id_is_valid(out->id);
}

size_t job_activation_list(const char *root, const struct space *space,
                           struct job_activation *items, size_t max)
{
    const struct dirent *entry;
    char path[PATH_BYTES];
    DIR *dir = directory_of(root, space, path, NULL) == ERR_OK ? opendir(path) : NULL;
    size_t n = 0;

    while (dir != NULL && n < max && (entry = readdir(dir)) != NULL) {
        struct stat st;
        if (read_name(entry->d_name, &items[n]) &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0) {
            items[n++].asked = st.st_mtim;
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

void job_activation_drop_all(const char *root, const struct space *space, const char *id)
{
    const struct dirent *entry;
    char path[PATH_BYTES];
    DIR *dir = directory_of(root, space, path, NULL) == ERR_OK ? opendir(path) : NULL;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        struct job_activation found;
        if (read_name(entry->d_name, &found) && strcmp(found.id, id) == 0) {
            job_activation_drop(root, space, id, found.attempt);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* Whether the served file was written after the asking. */
static bool is_superseded(const char *root, const struct space *space, const char *asking)
{
    struct stat asked;
    struct stat served;
    char path[PATH_BYTES];

    return model_store_path(root, space, path, NULL) == ERR_OK && stat(asking, &asked) == 0 &&
           stat(path, &served) == 0 &&
           (served.st_mtim.tv_sec > asked.st_mtim.tv_sec ||
            (served.st_mtim.tv_sec == asked.st_mtim.tv_sec &&
             served.st_mtim.tv_nsec > asked.st_mtim.tv_nsec));
}

static enum err read_model_name(const char *path, char out[MODEL_NAME_BYTES], struct error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(path, MODEL_NAME_BYTES - 1, &bytes, &size, err);

    if (rc == ERR_OK) {
        (void)snprintf(out, MODEL_NAME_BYTES, "%.*s", (int)size, bytes);
        mem_free(bytes);
    }
    return rc;
}

/* For who holds the lock of what is served. */
static enum err settle_locked(struct app *app, const struct space *space, const char *path,
                              bool is_late, bool *is_done, struct error *err)
{
    struct model model = {0};
    char name[MODEL_NAME_BYTES];
    enum err rc = read_model_name(path, name, err);

    if (rc == ERR_NOT_FOUND) {
        return ERR_OK; /* somebody did it */
    }
    if (rc == ERR_OK && is_late && is_superseded(app->tree.root, space, path)) {
        log_write(LOG_INFO, "%s of %s is not activated any more: another one was since", name,
                  space->name);
        return ERR_OK;
    }
    rc = rc != ERR_OK ? rc : serving_activate_locked(app, space, name, &model, err);
    *is_done = rc == ERR_OK;
    model_close(&model);
    return rc;
}

enum err job_activation_settle(struct app *app, const struct space *space, const char *id,
                               int attempt, int64_t fresh_until_ms, bool *is_done,
                               struct error *err)
{
    const char *root = app->tree.root;
    struct tree_lock lock;
    char path[PATH_BYTES];
    enum err rc = path_of(root, space, id, attempt, path, err);

    *is_done = false;
    rc = rc != ERR_OK ? rc : tree_lock_take(root, TREE_LOCK_SERVED, space->name, &lock, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = settle_locked(app, space, path, boottime_ms() > fresh_until_ms, is_done, err);
    if (rc != ERR_IO && rc != ERR_NOMEM) {
        job_activation_drop(root, space, id, attempt);
    }
    tree_lock_release(&lock);
    return rc;
}

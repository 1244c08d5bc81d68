#include "server/job_kinds.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "server/path.h"
#include "server/training_set.h"

const struct job_kind_entry job_kinds[] = {
    [JOB_TRAIN] = {job_train_check, job_train_run},
    [JOB_TEST] = {job_test_check,  job_test_run },
    [JOB_NAS] = {job_nas_check,   job_nas_run  },
};

/* ---- checks ---------------------------------------------------------------------------------- */

enum err job_check_blame(const struct data_tree *tree, const char *pointer,
                         struct field_errors *errors, struct error *err)
{
    switch (err->code) {
    case ERR_NOT_FOUND:
    case ERR_INVALID:
    case ERR_SYNTAX:
    case ERR_LIMIT:
    case ERR_NUMERIC:
        data_localize(tree, err);
        field_errors_add(errors, 0, pointer, "%s", err->text);
        return ERR_OK;
    default:
        return err->code;
    }
}

enum err job_check_training(const struct data_tree *tree, const struct space *space,
                            const struct names *devices, const struct predictor_kind *kind,
                            struct field_errors *errors, struct error *err)
{
    struct training_set set = {0};
    enum err rc = training_set_load(tree, space, devices, &set, err);

    if (rc == ERR_OK && set.architectures.n_rows > kind->fit_rows_max) {
        rc = error_set(err, ERR_LIMIT, "net.txt of %s has %zu rows; %s takes at most %zu",
                       space->name, set.architectures.n_rows, kind->name, kind->fit_rows_max);
    }
    training_set_close(&set);
    return rc != ERR_OK ? job_check_blame(tree, "/search_space", errors, err) : ERR_OK;
}

const char *job_model_pointer(const struct job_model *model, char out[64])
{
    if (model->name[0] == '\0') {
        return "/search_space";
    }
    (void)snprintf(out, 64, "/params/%s", model->param);
    return out;
}

/* ---- runs ------------------------------------------------------------------------------------ */

static bool report_fit(void *context, const struct fit_progress *now)
{
    const struct job_env *const *env = context;
    const struct job_progress progress = {
        .percent = now->percent,
        .stage = now->stage,
        .epoch = now->epoch,
        .n_epochs = now->n_epochs,
        .loss = now->loss,
        .seconds_left = NAN,
    };

    return (*env)->report((*env)->context, &progress);
}

struct fit_hooks job_fit_hooks(const struct job_env **env)
{
    return (struct fit_hooks){.context = env, .progress = report_fit};
}

enum err job_commit(const struct job_env *env, struct result_batch *batch, struct error *err)
{
    if (!env->may_commit(env->context)) {
        return error_set(err, ERR_CANCELED, "the job was stopped");
    }
    return result_commit(batch, err);
}

void job_put_file(const struct job_env *env, const struct space *space, const char *name,
                  bool is_first, struct text *out)
{
    char path[PATH_BYTES];

    if (path_format(path, NULL, "%s/jobs/%s/%s", space->name, env->id, name) == ERR_OK) {
        text_puts(out, is_first ? "" : ",");
        text_put_json_string(out, path);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

enum err job_directory(const char *root, const struct space *space, const char *id, char *out,
                       struct error *err)
{
    return path_format(out, err, "%s/result/%s/jobs/%s", root, space->name, id);
}

/* Removes the files of a directory whose names end so, and makes that last. A directory that is not
 * there has none. */
static enum err remove_files(const char *directory, const char *ending, struct error *err)
{
    const struct dirent *entry;
    DIR *dir = opendir(directory);
    size_t n_removed = 0;
    int failed = 0;

    if (dir == NULL) {
        return errno == ENOENT ? ERR_OK : error_sys(err, errno, "cannot list %s", directory);
    }
    while (failed == 0 && (entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);
        size_t n = strlen(ending);
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 || length < n ||
            strcmp(entry->d_name + length - n, ending) != 0) {
            continue;
        }
        failed = unlinkat(dirfd(dir), entry->d_name, 0) != 0 && errno != ENOENT ? errno : 0;
        n_removed++;
    }
    if (n_removed > 0) {
        (void)fsync(dirfd(dir));
    }
    (void)closedir(dir);
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot remove a file of %s", directory);
}

enum err job_files_remove(const char *root, const struct space *space, const char *id,
                          struct error *err)
{
    char ending[sizeof "-job-.safetensors" + JOB_ID_BYTES];
    char path[PATH_BYTES];
    enum err rc;

    if (!job_id_is_valid(id)) {
        return error_set(err, ERR_INVALID, "\"%.64s\" is no job's id", id);
    }
    rc = job_directory(root, space, id, path, err);
    rc = rc != ERR_OK ? rc : remove_files(path, "", err);
    if (rc == ERR_OK && rmdir(path) != 0 && errno != ENOENT) {
        rc = error_sys(err, errno, "cannot remove %s", path);
    }
    (void)snprintf(ending, sizeof ending, "-job-%s.safetensors", id);
    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/result/%s/models", root, space->name);
    return rc != ERR_OK ? rc : remove_files(path, ending, err);
}

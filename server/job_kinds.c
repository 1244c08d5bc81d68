#include "server/job_kinds.h"

#include <math.h>
#include <stdio.h>

#include "server/path.h"
#include "server/training_set.h"

const struct job_kind_entry job_kinds[] = {
    [JOB_TRAIN] = {job_train_check, job_train_run},
    [JOB_TEST] = {job_test_check,  job_test_run },
    [JOB_NAS] = {job_nas_check,   job_nas_run  },
};

_Static_assert(sizeof job_kinds / sizeof *job_kinds == JOB_N_KINDS, "an entry for every kind");

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

enum err job_begin(const struct job_env *env, const struct space *space, struct error *err)
{
    return job_files_remove_attempts(env->tree->root, space, env->id, 1, env->attempt, err);
}

void job_give_up(const struct job_env *env, const struct space *space)
{
    (void)job_files_remove_attempts(env->tree->root, space, env->id, env->attempt, env->attempt,
                                    NULL);
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
    char directory[PATH_BYTES];
    char path[PATH_BYTES];

    if (job_directory("", space, env->id, env->attempt, directory, NULL) == ERR_OK &&
        path_format(path, NULL, "%s/%s", directory + sizeof "/result/" - 1, name) == ERR_OK) {
        text_puts(out, is_first ? "" : ",");
        text_put_json_string(out, path);
    }
}

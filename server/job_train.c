/* The job that trains a predictor, and makes a version of it. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/checkpoint.h"
#include "server/job_kinds.h"
#include "server/result_tree.h"
#include "server/run_library.h"
#include "server/run_train.h"
#include "server/training_set.h"

/* The training devices: those of the order, or those that are meant without. */
static enum err list_devices(const struct data_tree *tree, const struct job_order *order,
                             struct names *out, struct error *err)
{
    const struct job_train_params *params = &order->params.train;
    enum err rc = ERR_OK;

    if (params->n_train_devices == 0) {
        return training_default_devices(tree, order->space, out, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < params->n_train_devices; i++) {
        rc = names_add(out, params->train_devices[i], err);
    }
    if (rc != ERR_OK) {
        names_close(out);
    }
    return rc;
}

/* The library of the order; `bad` as of device_library_load(). */
static enum err load_library(const struct data_tree *tree, const struct job_order *order,
                             struct device_library *out, size_t *bad, struct error *err)
{
    const struct job_train_params *params = &order->params.train;
    const struct names only = {params->library_devices, params->n_library_devices};

    return device_library_load(tree, order->space, NULL, only.n > 0 ? &only : NULL, out, bad, err);
}

/* Whether the library, or what is served, may make up for data that are not there. */
static bool may_lack_data(const struct job_train_params *params)
{
    return params->library && params->n_train_devices == 0;
}

/* ---- check ----------------------------------------------------------------------------------- */

/* Whether each device of the order is known. */
static enum err check_devices(const struct data_tree *tree, const struct job_order *order,
                              struct field_errors *errors, struct error *err)
{
    const struct job_train_params *params = &order->params.train;
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < params->n_train_devices; i++) {
        struct device_sheet sheet;
        bool has_sheet;
        char pointer[64];
        (void)snprintf(pointer, sizeof pointer, "/params/train_devices/%zu", i);
        rc = training_find_device(tree, order->space, params->train_devices[i], &sheet, &has_sheet,
                                  err);
        rc = rc != ERR_OK ? job_check_blame(tree, pointer, errors, err) : ERR_OK;
    }
    return rc;
}

static enum err check_data(const struct data_tree *tree, const struct job_order *order,
                           struct field_errors *errors, struct error *err)
{
    struct names devices = {0};
    enum err rc = list_devices(tree, order, &devices, err);

    if (rc != ERR_OK) {
        return job_check_blame(tree, "/search_space", errors, err);
    }
    rc = job_check_training(tree, order->space, &devices, order->params.train.predictor, errors,
                            err);
    names_close(&devices);
    return rc;
}

static enum err check_library(const struct data_tree *tree, const struct job_order *order,
                              struct field_errors *errors, struct error *err)
{
    struct device_library library = {0};
    char pointer[64] = "/params/library";
    size_t bad = SIZE_MAX;
    enum err rc = load_library(tree, order, &library, &bad, err);

    if (bad != SIZE_MAX) {
        (void)snprintf(pointer, sizeof pointer, "/params/library/%zu", bad);
    }
    device_library_close(&library);
    return rc != ERR_OK ? job_check_blame(tree, pointer, errors, err) : ERR_OK;
}

/* The same as check_data(), where data that are not there may be made up for. */
static enum err check_data_or_library(const struct data_tree *tree, const struct job_order *order,
                                      struct field_errors *errors, struct error *err)
{
    struct names devices = {0};
    struct training_set set = {0};
    enum err rc;

    if (!may_lack_data(&order->params.train)) {
        return check_data(tree, order, errors, err);
    }
    rc = list_devices(tree, order, &devices, err);
    rc = rc != ERR_OK ? rc : training_set_load(tree, order->space, &devices, &set, err);
    training_set_close(&set);
    names_close(&devices);
    return rc == ERR_NOT_FOUND ? ERR_OK : check_data(tree, order, errors, err);
}

enum err job_train_check(const struct job_env *env, const struct job_order *order,
                         struct field_errors *errors, struct error *err)
{
    enum err rc = check_devices(env->tree, order, errors, err);

    if (rc == ERR_OK && errors->n == 0) {
        rc = check_data_or_library(env->tree, order, errors, err);
    }
    if (rc == ERR_OK && order->params.train.library) {
        rc = check_library(env->tree, order, errors, err);
    }
    return rc != ERR_OK ? rc : field_errors_conclude(errors, "the job", err);
}

/* ---- run ------------------------------------------------------------------------------------- */

/* Share of the job that the fit and its validation are. */
#define FIT_PERCENT 98.0

/* And of that, where a library is learned from, the predictor's. */
#define PREDICTOR_PERCENT 80.0

/* A training on its way. */
struct training {
    const struct job_env *env;
    const struct job_train_params *params;
    const struct space *space;
    struct training_set set;
    struct fit_hooks hooks;
    struct fit_options options;
    struct checkpoint checkpoint;
    struct model model;
    struct train_report report;
    struct device_library library;
    struct library_report library_report;
    char reason[256]; /* of a predictor that is taken over */
    bool is_taken_over;
    char name[MODEL_NAME_BYTES]; /* of the model's file */
    bool is_activated;
    char activation[256]; /* why it was not, "" where nobody asked */
};

static bool tell(const struct job_env *env, const char *stage, double percent)
{
    const struct job_progress progress = {
        .percent = percent, .stage = stage, .loss = NAN, .seconds_left = NAN};

    return env->report(env->context, &progress);
}

static bool tell_fit(void *context, const struct fit_progress *now)
{
    struct training *t = context;
    const double share = t->params->library ? PREDICTOR_PERCENT / 100 : 1.0;
    const struct job_progress progress = {
        .percent = FIT_PERCENT * share * now->percent / 100,
        .stage = now->stage,
        .epoch = now->epoch,
        .n_epochs = now->n_epochs,
        .loss = now->loss,
        .seconds_left = NAN,
    };

    return t->env->report(t->env->context, &progress);
}

static void breathe(void *context)
{
    const struct training *t = context;

    t->env->breathe(t->env->context);
}

static bool tell_learned(void *context, const struct fit_progress *now)
{
    const struct training *t = context;
    const double from = FIT_PERCENT * PREDICTOR_PERCENT / 100;

    return tell(t->env, now->stage, from + (FIT_PERCENT - from) * now->percent / 100);
}

static enum err save_state(void *context, const struct tensor *state, size_t n, struct error *err)
{
    struct training *t = context;

    return checkpoint_save(&t->checkpoint, state, n, err);
}

static enum err stopped(struct error *err)
{
    return error_set(err, ERR_CANCELED, "the job was stopped");
}

/* Names the checkpoint of this run, and loads what the last one before it that saved any has left: a
 * run that has lost the job, and does not know yet, may go on writing its own. */
static enum err open_checkpoint(struct training *t, struct error *err)
{
    const struct job_env *env = t->env;
    char directory[PATH_BYTES];
    enum err rc = job_directory(env->tree->root, t->space, env->id, env->attempt, directory, err);

    rc = rc != ERR_OK ? rc
                      : checkpoint_open(&t->checkpoint, directory, &t->set, t->params->predictor,
                                        &t->options, err);
    for (int attempt = env->attempt - 1; rc == ERR_OK && attempt >= 1; attempt--) {
        rc = job_directory(env->tree->root, t->space, env->id, attempt, directory, err);
        if (rc == ERR_OK && checkpoint_take_over(&t->checkpoint, directory)) {
            break;
        }
    }
    return rc;
}

static enum err fit(struct training *t, struct error *err)
{
    enum err rc = ERR_OK;

    t->hooks = (struct fit_hooks){
        .context = t, .progress = tell_fit, .breathe = t->env->breathe != NULL ? breathe : NULL};
    t->options = (struct fit_options){
        .seed = (uint64_t)t->params->seed,
        .n_epochs = (size_t)t->params->epoch,
        .learning_rate = t->params->learning_rate,
        .held_out_share = FIT_DEFAULT_HELD_OUT,
        .hooks = &t->hooks,
    };
    if (t->params->predictor->has_epochs) {
        rc = open_checkpoint(t, err);
        t->hooks.save = save_state;
        t->hooks.state = t->checkpoint.state.tensors;
        t->hooks.n_state = t->checkpoint.state.n_tensors;
    }
    return rc != ERR_OK
               ? rc
               : run_train(&t->set, t->params->predictor, &t->options, &t->model, &t->report, err);
}

/* The data to train on, or what makes up for them: a predictor that is taken over, or the library. */
static enum err load_data(struct training *t, const struct job_order *order, struct error *err)
{
    struct names devices = {0};
    enum err rc = list_devices(t->env->tree, order, &devices, err);

    rc = rc != ERR_OK ? rc : training_set_load(t->env->tree, order->space, &devices, &t->set, err);
    names_close(&devices);
    if (rc == ERR_NOT_FOUND && may_lack_data(t->params)) {
        const struct error why = *err;
        rc = run_library_take_over(t->env->tree->root, order->space, t->params->predictor, &why,
                                   t->reason, &t->model, &t->report, err);
        t->is_taken_over = rc == ERR_OK;
        if (rc == ERR_NOT_FOUND) {
            rc = training_set_of_library(&t->library, order->space,
                                         t->params->predictor->fit_rows_max, &t->set, err);
        }
    }
    return rc;
}

/* What the library of the order teaches, where one is asked for. */
static enum err learn_library(struct training *t, struct error *err)
{
    const struct fit_hooks hooks = {.context = t, .progress = tell_learned};
    enum err rc;

    if (!t->params->library) {
        return ERR_OK;
    }
    rc = run_library_learn(&t->library, (uint64_t)t->params->seed, &hooks, &t->model,
                           &t->library_report, err);
    t->report.library = &t->library_report;
    return rc;
}

/* Puts the version's file in place; from then on the job cannot be cancelled. */
static enum err save(struct training *t, struct error *err)
{
    struct result_batch batch = {0};
    char path[PATH_BYTES];
    char *bytes = NULL;
    size_t size = 0;
    enum err rc;

    rc = job_model_name(t->model.info.version, t->env->id, t->env->attempt, t->name, err);
    rc = rc != ERR_OK ? rc
                      : path_format(path, err, "%s/result/%s/models/%s.safetensors",
                                    t->env->tree->root, t->space->name, t->name);
    rc = rc != ERR_OK ? rc : model_encode(&t->model, &bytes, &size, err);
    rc = rc != ERR_OK ? rc : result_stage(&batch, path, bytes, size, err);
    if (rc == ERR_OK && !t->env->may_commit(t->env->context)) {
        rc = stopped(err);
    }
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    mem_free(bytes);
    return rc;
}

/* The checkpoints have served, and so have all other files of the runs before this one. */
static void drop_checkpoints(const struct training *t)
{
    const struct job_env *env = t->env;
    char directory[PATH_BYTES];

    if (t->params->predictor->has_epochs && !t->is_taken_over) {
        checkpoint_remove(&t->checkpoint);
        if (job_directory(env->tree->root, t->space, env->id, env->attempt, directory, NULL) ==
            ERR_OK) {
            (void)rmdir(directory);
        }
    }
    if (env->attempt > 1) {
        (void)job_files_remove_attempts(env->tree->root, t->space, env->id, 1, env->attempt - 1,
                                        NULL);
    }
}

/* The version that is served, and its R of held-out A (NaN: unknown). False where there is none. */
static bool note_served(const struct training *t, char version[MODEL_VERSION_BYTES],
                        double *r_held_out)
{
    const struct model *served =
        t->env->acquire_served != NULL ? t->env->acquire_served(t->env->context, t->space) : NULL;

    if (served == NULL) {
        return false;
    }
    memcpy(version, served->info.version, MODEL_VERSION_BYTES);
    *r_held_out = served->info.r_held_out;
    t->env->release_served(t->env->context, served);
    return true;
}

/* Serves the version where that was asked for, and it is no worse than what is served. */
static enum err activate(struct training *t, struct error *err)
{
    char served[MODEL_VERSION_BYTES] = "";
    double r_served = NAN;
    double r = model_kept_r(t->model.info.r_held_out);
    bool has_served = note_served(t, served, &r_served);
    enum err rc;

    if (!t->params->activate) {
        return ERR_OK;
    }
    if (has_served && strcmp(served, t->model.info.version) == 0) {
        t->is_activated = true; /* the same weights */
        return ERR_OK;
    }
    if (has_served && !t->params->force && !(r >= r_served) && !isnan(r_served)) {
        char known[32] = "unknown";
        if (!isnan(r)) {
            (void)snprintf(known, sizeof known, "%.4f", r);
        }
        (void)snprintf(t->activation, sizeof t->activation,
                       "not served: its R of held-out A is %s, that of %s, which is served, is "
                       "%.4f; \"force\": true serves it nevertheless",
                       known, served, r_served);
        return ERR_OK;
    }
    rc = t->env->activate(t->env->context, t->space, t->name, err);
    t->is_activated = rc == ERR_OK;
    return rc;
}

static void put_result(struct training *t, struct text *out)
{
    char file[MODEL_NAME_BYTES + JOB_SPACE_BYTES + 32];

    (void)snprintf(file, sizeof file, "%s/models/%s.safetensors", t->space->name, t->name);
    t->report.file = file;
    msg_train_encode(&t->report, out);
    t->report.file = NULL;
    text_cut(out, 2); /* the end of the object and of the line */
    text_printf(out, ",\"files\":[\"%s\"],\"activated\":%s,\"activation\":", file,
                t->is_activated ? "true" : "false");
    if (t->activation[0] != '\0') {
        text_put_json_string(out, t->activation);
    } else {
        text_puts(out, "null");
    }
    text_puts(out, "}");
}

enum err job_train_run(const struct job_env *env, const struct job_order *order,
                       struct text *result, struct error *err)
{
    struct training t = {.env = env, .params = &order->params.train, .space = order->space};
    enum err rc = tell(env, "loading", 0) ? ERR_OK : stopped(err);

    if (rc == ERR_OK && env->attempt > 1) { /* checkpoints stay */
        rc = job_models_remove_attempts(env->tree->root, order->space, env->id, 1, env->attempt - 1,
                                        err);
    }
    if (rc == ERR_OK && t.params->library) {
        rc = load_library(env->tree, order, &t.library, NULL, err);
    }
    rc = rc != ERR_OK ? rc : load_data(&t, order, err);
    rc = rc != ERR_OK || t.is_taken_over ? rc : fit(&t, err);
    rc = rc != ERR_OK ? rc : learn_library(&t, err);
    run_train_set_conditions(&t.params->conditions, &t.model);
    if (rc == ERR_OK && !tell(env, "writing", FIT_PERCENT)) {
        rc = stopped(err);
    }
    rc = rc != ERR_OK ? rc : save(&t, err);
    if (rc == ERR_OK) {
        drop_checkpoints(&t);
        rc = activate(&t, err);
    }
    if (rc == ERR_OK) {
        put_result(&t, result);
    }
    train_report_close(&t.report);
    model_close(&t.model);
    checkpoint_close(&t.checkpoint);
    training_set_close(&t.set);
    library_report_close(&t.library_report);
    device_library_close(&t.library);
    return rc;
}

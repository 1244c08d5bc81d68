/* The job that searches the best network under latency limits. */
#include <math.h>
#include <stdio.h>

#include "server/job_kinds.h"
#include "server/model_store.h"
#include "server/run_nas.h"

#define RESULT_FILE      "result.json"
#define ONNX_FILE        "model.onnx"
#define TORCHSCRIPT_FILE "model.pt"

/* What a check looks at and a run works on. */
struct search {
    const struct job_env *env;
    const struct job_order *order;
    const struct job_nas_params *params;
    struct device_sheet sheets[JOB_MAX_TARGETS];
    struct model loaded;       /* where the one that is served is not meant, or nothing is served */
    const struct model *model; /* that predicts */
    struct accuracy_known *accuracy;
    struct nas_calibration calibration;
};

static void search_close(struct search *s)
{
    nas_calibration_close(&s->calibration);
    accuracy_cache_release(s->env->accuracies, s->accuracy);
    if (s->model != NULL && s->model != &s->loaded) {
        s->env->release_served(s->env->context, s->model);
    }
    model_close(&s->loaded);
}

/* ---- what it is about, which a check and a run find out alike --------------------------------- */

static enum err find_devices(struct search *s, struct field_errors *errors, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < s->params->n_targets; i++) {
        char pointer[64] = "/params/device";
        if (s->params->is_list) {
            (void)snprintf(pointer, sizeof pointer, "/params/targets/%zu/device", i);
        }
        rc = nas_find_target(s->env->tree, s->order->space, s->params, i, &s->sheets[i], err);
        rc = rc != ERR_OK ? job_check_blame(s->env->tree, pointer, errors, err) : ERR_OK;
    }
    return rc;
}

/* The model that is served, in the service that of its memory. */
static enum err find_served(struct search *s, struct error *err)
{
    const struct space *space = s->order->space;
    char path[PATH_BYTES];
    enum err rc = ERR_OK;

    if (s->env->acquire_served != NULL) {
        s->model = s->env->acquire_served(s->env->context, space);
    } else {
        rc = model_store_path(s->env->tree->root, space, path, err);
        rc = rc != ERR_OK ? rc : model_store_load(path, space, &s->loaded, NULL, err);
        s->model = rc == ERR_OK ? &s->loaded : NULL;
    }
    if (rc == ERR_NOT_FOUND || (rc == ERR_OK && s->model == NULL)) {
        rc = error_set(err, ERR_NOT_FOUND,
                       "there is no served model of %s to predict latencies with; train one",
                       space->name);
    }
    return rc;
}

static enum err find_model(struct search *s, struct field_errors *errors, struct error *err)
{
    const struct job_model *named = &s->params->model;
    char pointer[64];
    enum err rc;

    if (named->name[0] != '\0') {
        rc = model_store_load_named(s->env->tree->root, s->order->space, named->name, &s->loaded,
                                    err);
        s->model = rc == ERR_OK ? &s->loaded : NULL;
    } else {
        rc = find_served(s, err);
    }
    return rc == ERR_OK
               ? ERR_OK
               : job_check_blame(s->env->tree, job_model_pointer(named, pointer), errors, err);
}

/* By the measurements of the order or those that are stored; some milliseconds. */
static enum err calibrate(struct search *s, struct field_errors *errors, struct error *err)
{
    enum err rc = nas_calibrate(s->env->tree, s->model, s->params, s->sheets, &s->calibration, err);

    return rc == ERR_OK ? ERR_OK
                        : job_check_blame(s->env->tree,
                                          s->params->n_measured > 0 ? "/params/measurements"
                                                                    : "/params/calibrate",
                                          errors, err);
}

/* ERR_INVALID where there are field errors. */
static enum err prepare(struct search *s, struct field_errors *errors, struct error *err)
{
    enum err rc = find_devices(s, errors, err);

    rc = rc != ERR_OK ? rc : find_model(s, errors, err);
    if (rc == ERR_OK && errors->n == 0 && nas_is_calibrated(s->params)) {
        rc = calibrate(s, errors, err);
    }
    return rc != ERR_OK ? rc : field_errors_conclude(errors, "the job", err);
}

/* Whether the accuracies are there, and the method is for them. */
static enum err check_accuracy(const struct search *s, struct field_errors *errors,
                               struct error *err)
{
    const struct space *space = s->order->space;
    const char *param = "";
    char pointer[64];
    bool can_list = false;
    enum err rc = accuracy_cache_check(s->env->accuracies, s->env->tree, space, &can_list, err);

    if (rc != ERR_OK) {
        return job_check_blame(s->env->tree, "/search_space", errors, err);
    }
    if (nas_check(space, s->params, can_list, &param, err) == ERR_OK) {
        return ERR_OK;
    }
    (void)snprintf(pointer, sizeof pointer, "/params/%s", param);
    return job_check_blame(s->env->tree, pointer, errors, err);
}

enum err job_nas_check(const struct job_env *env, const struct job_order *order,
                       struct field_errors *errors, struct error *err)
{
    struct search s = {.env = env, .order = order, .params = &order->params.nas};
    enum err rc = prepare(&s, errors, err);

    rc = rc != ERR_OK ? rc : check_accuracy(&s, errors, err);
    rc = rc != ERR_OK ? rc : field_errors_conclude(errors, "the job", err);
    search_close(&s);
    return rc;
}

/* ---- run ------------------------------------------------------------------------------------- */

static bool report_search(void *context, const struct job_progress *progress)
{
    const struct job_env *env = context;

    return env->report(env->context, progress);
}

static enum err tell(const struct job_env *env, const char *stage, double percent,
                     struct error *err)
{
    const struct job_progress progress = {
        .percent = percent, .stage = stage, .loss = NAN, .seconds_left = NAN};

    return env->report(env->context, &progress)
               ? ERR_OK
               : error_set(err, ERR_CANCELED, "the search was stopped");
}

/* Stages the files: the report, the network in the formats that were asked for, and the picture. */
static enum err stage(const struct job_env *env, const struct search_report *report,
                      struct result_batch *batch, struct error *err)
{
    const unsigned formats = report->params->formats;
    struct text text = {0};
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    char onnx[PATH_BYTES];
    char torchscript[PATH_BYTES];
    char plot[PATH_BYTES];
    const struct nas_files files = {
        .onnx = (formats & SEARCH_EXPORT_ONNX) != 0 ? onnx : NULL,
        .torchscript = (formats & SEARCH_EXPORT_TORCHSCRIPT) != 0 ? torchscript : NULL,
    };
    const struct nas_hooks hooks = {(void *)env, report_search};
    enum err rc =
        job_directory(env->tree->root, report->space, env->id, env->attempt, directory, err);

    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/" RESULT_FILE, directory);
    rc = rc != ERR_OK ? rc : path_format(onnx, err, "%s/" ONNX_FILE, directory);
    rc = rc != ERR_OK ? rc : path_format(torchscript, err, "%s/" TORCHSCRIPT_FILE, directory);
    rc = rc != ERR_OK ? rc : path_format(plot, err, "%s/" JOB_PLOT_FILE, directory);
    msg_search_put(report, true, &text);
    text_puts(&text, "}\n");
    if (rc == ERR_OK && text.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for the result");
    }
    rc = rc != ERR_OK ? rc : run_nas_stage(report, &files, &hooks, batch, err);
    rc = rc != ERR_OK ? rc : result_stage(batch, path, text.bytes, text.size, err);
    rc = rc != ERR_OK ? rc : run_nas_stage_plot(plot, report, batch, err);
    text_close(&text);
    return rc;
}

static void put_result(const struct job_env *env, const struct search_report *report,
                       struct text *result)
{
    const unsigned formats = report->is_feasible ? report->params->formats : 0;

    msg_search_put(report, false, result);
    text_puts(result, ",\"files\":[");
    job_put_file(env, report->space, RESULT_FILE, true, result);
    if ((formats & SEARCH_EXPORT_ONNX) != 0) {
        job_put_file(env, report->space, ONNX_FILE, false, result);
    }
    if ((formats & SEARCH_EXPORT_TORCHSCRIPT) != 0) {
        job_put_file(env, report->space, TORCHSCRIPT_FILE, false, result);
    }
    job_put_file(env, report->space, JOB_PLOT_FILE, false, result);
    text_puts(result, "]}");
}

/* Puts the report and the network in place as files, and writes the result. */
static enum err save(const struct job_env *env, const struct search_report *report,
                     struct text *result, struct error *err)
{
    struct result_batch batch = {0};
    enum err rc = tell(env, "writing", NAS_SEARCHED_PERCENT, err);

    rc = rc != ERR_OK ? rc : stage(env, report, &batch, err);
    rc = rc != ERR_OK ? rc : job_commit(env, &batch, err);
    result_close(&batch);
    if (rc == ERR_OK) {
        put_result(env, report, result);
    }
    return rc;
}

static enum err search_and_save(struct search *s, struct text *result, struct error *err)
{
    const struct nas_subject subject = {
        .params = s->params,
        .sheets = s->sheets,
        .model = s->model,
        .accuracy = s->accuracy,
        .calibration = nas_is_calibrated(s->params) ? &s->calibration : NULL,
    };
    const struct nas_hooks hooks = {(void *)s->env, report_search};
    struct search_report report = {0};
    enum err rc = run_nas(&subject, &hooks, &report, err);

    rc = rc != ERR_OK ? rc : save(s->env, &report, result, err);
    search_report_close(&report);
    return rc;
}

enum err job_nas_run(const struct job_env *env, const struct job_order *order, struct text *result,
                     struct error *err)
{
    struct search s = {.env = env, .order = order, .params = &order->params.nas};
    struct field_errors errors = {0};
    enum err rc = tell(env, "loading", 0.0, err);

    rc = rc != ERR_OK ? rc : job_begin(env, order->space, err);
    rc = rc != ERR_OK ? rc : prepare(&s, &errors, err);
    rc = rc != ERR_OK
             ? rc
             : accuracy_cache_acquire(env->accuracies, env->tree, order->space, &s.accuracy, err);
    rc = rc != ERR_OK ? rc : search_and_save(&s, result, err);
    if (rc != ERR_OK) {
        job_give_up(env, order->space);
    }
    field_errors_close(&errors);
    search_close(&s);
    return rc;
}

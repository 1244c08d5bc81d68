/* The job that tests a predictor on devices it never saw. */
#include <math.h>
#include <stdio.h>

#include "core/mem.h"
#include "proto/msg_report.h"
#include "server/job_kinds.h"
#include "server/model_store.h"
#include "server/run_library.h"
#include "server/run_test.h"
#include "server/training_set.h"

/* Where in the job's course its parts end, in percent. */
#define PREDICTED_PERCENT 92.0
#define COMPARED_PERCENT  99.0

/* ---- what it is about, which a check and a run find out alike --------------------------------- */

/* What they look at and fill in. */
struct preparation {
    const struct data_tree *tree;
    const struct job_order *order;
    struct test_subject *subject;
    struct field_errors *errors;
    size_t n_rows; /* of net.txt */
};

static enum err blame(const struct preparation *p, const char *pointer, struct error *err)
{
    return job_check_blame(p->tree, pointer, p->errors, err);
}

/* The served model; a held-out test trains its own and needs none. */
static enum err load_served(const struct preparation *p, struct error *err)
{
    char path[PATH_BYTES];
    const struct space *space = p->order->space;
    enum err rc = model_store_path(p->tree->root, space, path, err);

    rc = rc != ERR_OK ? rc : model_store_load(path, space, &p->subject->model, NULL, err);
    if (rc == ERR_NOT_FOUND && p->subject->is_holdout) {
        return ERR_OK;
    }
    if (rc == ERR_NOT_FOUND) {
        rc = error_set(err, rc, "there is no served model of %s to test; train one, or name one",
                       space->name);
    }
    return rc != ERR_OK ? blame(p, "/search_space", err) : ERR_OK;
}

static enum err load_named(const struct preparation *p, struct error *err)
{
    const struct job_model *named = &p->order->params.test.model;
    char pointer[64];
    enum err rc = model_store_load_named(p->tree->root, p->order->space, named->name,
                                         &p->subject->model, err);

    return rc != ERR_OK ? blame(p, job_model_pointer(named, pointer), err) : ERR_OK;
}

/* Devices that were trained on: the model's, or where there is none those that a training would
 * take. */
static enum err find_train_devices(const struct preparation *p, struct error *err)
{
    enum err rc;

    if (p->subject->model.predictor != NULL) {
        return test_add_model_devices(p->subject, err);
    }
    rc = training_default_devices(p->tree, p->order->space, &p->subject->train_devices, err);
    return rc != ERR_OK ? blame(p, "/search_space", err) : ERR_OK;
}

/* Whether the measured latencies of a device are there and right. */
static enum err check_latency(const struct preparation *p, const char *device, const char *pointer,
                              struct error *err)
{
    double *latency_ms = NULL;
    enum err rc = data_load_latency(p->tree, p->order->space, device, p->n_rows, &latency_ms, err);

    mem_free(latency_ms);
    return rc != ERR_OK ? blame(p, pointer, err) : ERR_OK;
}

/* Adds a device of the order: known, named once, measured and not trained on. */
static enum err add_device(const struct preparation *p, size_t i, struct error *err)
{
    struct names *devices = &p->subject->test_devices;
    struct device_sheet sheet;
    char *name = sheet.name;
    const struct names one = {&name, 1};
    char pointer[64];
    enum err rc = data_find_device(p->tree, p->order->space, p->order->params.test.test_devices[i],
                                   &sheet, err);

    (void)snprintf(pointer, sizeof pointer, "/params/test_devices/%zu", i);
    if (rc == ERR_OK && names_contain(devices, sheet.name)) {
        rc = error_set(err, ERR_INVALID, "%s is named twice", sheet.name);
    }
    rc = rc != ERR_OK ? rc : training_check_unseen(&p->subject->train_devices, &one, err);
    if (rc != ERR_OK) {
        return blame(p, pointer, err);
    }
    rc = check_latency(p, sheet.name, pointer, err);
    return rc != ERR_OK ? rc : names_add(devices, sheet.name, err);
}

/* The devices of the order, or else all that can be tested on. */
static enum err find_test_devices(const struct preparation *p, struct error *err)
{
    const size_t n = p->order->params.test.n_test_devices;
    const struct names *devices = &p->subject->test_devices;
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = add_device(p, i, err);
    }
    if (n == 0 && test_find_unseen(p->subject, err) != ERR_OK) {
        return blame(p, "/search_space", err);
    }
    for (size_t i = 0; rc == ERR_OK && n == 0 && i < devices->n; i++) {
        struct device_sheet sheet;
        rc = data_find_device(p->tree, p->order->space, devices->items[i], &sheet, err);
        rc = rc != ERR_OK ? blame(p, "/search_space", err)
                          : check_latency(p, sheet.name, "/search_space", err);
    }
    return rc;
}

static enum err count_rows(struct preparation *p, struct error *err)
{
    struct dataset rows = {0};
    enum err rc = data_load_architectures(p->tree, p->order->space, &rows, err);

    p->n_rows = rows.n_rows;
    dataset_close(&rows);
    return rc != ERR_OK ? blame(p, "/search_space", err) : ERR_OK;
}

/* Whether enough is left to score. */
static enum err check_calibrate(const struct preparation *p, struct error *err)
{
    const size_t n = p->subject->n_calibrate;

    if (n == 0 || n + TEST_MIN_SCORED <= p->n_rows) {
        return ERR_OK;
    }
    (void)error_set(err, ERR_INVALID,
                    "leaves too few of the %zu rows of net.txt to score: at least %d are needed",
                    p->n_rows, TEST_MIN_SCORED);
    return blame(p, "/params/calibrate", err);
}

/* Whether there is a library of devices. */
static enum err check_library(const struct preparation *p, struct error *err)
{
    struct device_library library = {0};
    enum err rc = device_library_load(p->tree, p->order->space, NULL, NULL, &library, NULL, err);

    device_library_close(&library);
    return rc != ERR_OK ? blame(p, "/search_space", err) : ERR_OK;
}

/* What a held-out test trains: the kind of the order, or that of the model. */
static const struct predictor_kind *holdout_kind(const struct job_order *order,
                                                 const struct test_subject *subject)
{
    const struct predictor_kind *asked = order->params.test.predictor;

    if (asked == NULL && subject->model.predictor != NULL) {
        asked = subject->model.predictor->kind;
    }
    return asked != NULL ? asked : &predictor_kind_cost;
}

/* Fills in the subject up to A. ERR_INVALID where there are field errors. */
static enum err prepare(const struct data_tree *tree, const struct job_order *order,
                        struct test_subject *subject, struct field_errors *errors,
                        struct error *err)
{
    struct preparation p = {.tree = tree, .order = order, .subject = subject, .errors = errors};
    enum err rc;

    subject->tree = tree;
    subject->space = order->space;
    subject->is_holdout = order->params.test.holdout;
    subject->n_calibrate = (size_t)order->params.test.calibrate;
    subject->seed = (uint64_t)order->params.test.seed;
    rc = order->params.test.model.name[0] != '\0' ? load_named(&p, err) : load_served(&p, err);
    if (order->params.test.holdout_devices) {
        rc = rc != ERR_OK ? rc : check_library(&p, err);
        return rc != ERR_OK ? rc : field_errors_conclude(errors, "the job", err);
    }
    rc = rc != ERR_OK ? rc : count_rows(&p, err);
    rc = rc != ERR_OK || errors->n > 0 ? rc : check_calibrate(&p, err);
    if (rc == ERR_OK && errors->n == 0) {
        rc = find_train_devices(&p, err);
        rc = rc != ERR_OK || errors->n > 0 ? rc : find_test_devices(&p, err);
    }
    if (rc == ERR_OK && errors->n == 0 && subject->is_holdout) {
        rc = job_check_training(tree, order->space, &subject->train_devices,
                                holdout_kind(order, subject), errors, err);
    }
    return rc != ERR_OK ? rc : field_errors_conclude(errors, "the job", err);
}

enum err job_test_check(const struct job_env *env, const struct job_order *order,
                        struct field_errors *errors, struct error *err)
{
    struct test_subject subject = {0};
    enum err rc = prepare(env->tree, order, &subject, errors, err);

    test_subject_close(&subject);
    return rc;
}

/* ---- run ------------------------------------------------------------------------------------- */

static enum err find_a(const struct job_order *order, struct test_subject *subject,
                       struct error *err)
{
    const struct fit_options options = {
        .seed = (uint64_t)order->params.test.seed,
        .n_epochs = FIT_DEFAULT_EPOCHS,
        .learning_rate = FIT_DEFAULT_LEARNING_RATE,
    };

    return subject->is_holdout
               ? test_hold_out(subject, holdout_kind(order, subject), &options, NULL, NULL, err)
               : test_predict(subject, err);
}

static void put_result(const struct job_env *env, const struct test_subject *subject,
                       const struct test_report *report, struct text *out)
{
    msg_test_encode(report, out);
    text_cut(out, 2); /* the end of the object and of the line */
    if (subject->is_holdout) {
        text_puts(out, ",\"version\":null"); /* models of the folds have none */
    } else {
        text_printf(out, ",\"version\":\"%s\"", subject->model.info.version);
    }
    text_puts(out, ",\"files\":[");
    for (size_t d = 0; d < report->n_devices; d++) {
        char name[DEVICE_NAME_BYTES + sizeof TEST_FILE_SUFFIX];
        (void)snprintf(name, sizeof name, "%s%s", report->devices[d].name, TEST_FILE_SUFFIX);
        job_put_file(env, report->space, name, d == 0, out);
    }
    job_put_file(env, report->space, JOB_PLOT_FILE, false, out);
    text_puts(out, "]}");
}

/* Puts the predictions and the picture in place. */
static enum err save(const struct job_env *env, const struct test_report *report,
                     const struct fit_hooks *hooks, struct error *err)
{
    static const struct fit_progress writing = {
        .stage = "writing", .percent = COMPARED_PERCENT, .loss = NAN};
    struct result_batch batch = {0};
    char directory[PATH_BYTES];
    char plot[PATH_BYTES];
    enum err rc = fit_tell(hooks, &writing, err);

    rc = rc != ERR_OK
             ? rc
             : job_directory(env->tree->root, report->space, env->id, env->attempt, directory, err);
    rc = rc != ERR_OK ? rc : run_test_stage(directory, report, &batch, err);
    rc = rc != ERR_OK ? rc : path_format(plot, err, "%s/" JOB_PLOT_FILE, directory);
    rc = rc != ERR_OK ? rc : run_test_stage_plot(plot, report, &batch, err);
    rc = rc != ERR_OK ? rc : job_commit(env, &batch, err);
    result_close(&batch);
    return rc;
}

/* Predicts, compares and saves. */
static enum err test(const struct job_env *env, const struct job_order *order,
                     struct test_subject *subject, const struct fit_hooks *hooks,
                     struct text *result, struct error *err)
{
    struct test_report report = {0};
    struct fit_part predicting;
    struct fit_part comparing;
    enum err rc;

    fit_part_init(&predicting, hooks, NULL, 0.0, PREDICTED_PERCENT);
    fit_part_init(&comparing, hooks, NULL, PREDICTED_PERCENT, COMPARED_PERCENT);
    subject->hooks = &predicting.hooks;
    rc = find_a(order, subject, err);
    subject->hooks = &comparing.hooks;
    rc = rc != ERR_OK ? rc : run_test(subject, &report, err);
    subject->hooks = NULL;
    rc = rc != ERR_OK ? rc : save(env, &report, hooks, err);
    if (rc == ERR_OK) {
        put_result(env, subject, &report, result);
    }
    test_report_close(&report);
    return rc;
}

/* Holds out each device of the library. */
static enum err test_library(const struct job_env *env, const struct job_order *order,
                             const struct test_subject *subject, const struct fit_hooks *hooks,
                             struct text *result, struct error *err)
{
    struct device_library library = {0};
    struct library_report report = {0};
    struct result_batch batch = {0}; /* there are no files */
    struct fit_part evaluating;
    enum err rc = device_library_load(env->tree, order->space, NULL, NULL, &library, NULL, err);

    fit_part_init(&evaluating, hooks, NULL, 0.0, COMPARED_PERCENT);
    rc = rc != ERR_OK ? rc
                      : run_library_evaluate(order->space, subject->model.predictor, &library,
                                             subject->seed, &evaluating.hooks, &report, err);
    rc = rc != ERR_OK ? rc : job_commit(env, &batch, err);
    if (rc == ERR_OK) {
        msg_library_put_test(order->space, &subject->model, &report, result);
        text_puts(result, ",\"files\":[]}");
    }
    result_close(&batch);
    library_report_close(&report);
    device_library_close(&library);
    return rc;
}

enum err job_test_run(const struct job_env *env, const struct job_order *order, struct text *result,
                      struct error *err)
{
    static const struct fit_progress loading = {.stage = "loading", .loss = NAN};
    const struct fit_hooks hooks = job_fit_hooks(&env);
    struct test_subject subject = {0};
    struct field_errors errors = {0};
    enum err rc = fit_tell(&hooks, &loading, err);

    rc = rc != ERR_OK ? rc : job_begin(env, order->space, err);
    rc = rc != ERR_OK ? rc : prepare(env->tree, order, &subject, &errors, err);
    if (rc == ERR_OK) {
        rc = order->params.test.holdout_devices
                 ? test_library(env, order, &subject, &hooks, result, err)
                 : test(env, order, &subject, &hooks, result, err);
    }
    if (rc != ERR_OK) {
        job_give_up(env, order->space);
    }
    field_errors_close(&errors);
    test_subject_close(&subject);
    return rc;
}

#include "server/run_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/text.h"
#include "server/path.h"
#include "server/run_train.h"
#include "server/training_set.h"

void test_subject_close(struct test_subject *subject)
{
    model_close(&subject->model);
    names_close(&subject->train_devices);
    names_close(&subject->test_devices);
    mem_free(subject->a);
    memset(subject, 0, sizeof *subject);
}

/* ---- devices --------------------------------------------------------------------------------- */

enum err test_add_model_devices(struct test_subject *subject, struct error *err)
{
    const struct model_info *info = &subject->model.info;
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < info->n_devices; i++) {
        rc = names_add(&subject->train_devices, info->devices[i], err);
    }
    return rc;
}

/* Whether a device can be tested on. In a declared space, whose devices may come from anywhere, those
 * that nobody knows the hardware of are passed over; elsewhere they are an error, told later. */
static bool is_testable(const struct test_subject *subject, const char *device)
{
    struct device_sheet sheet;

    return subject->space->declaration == NULL ||
           data_find_device(subject->tree, subject->space, device, &sheet, NULL) != ERR_NOT_FOUND;
}

/* What to do where there is no device to test on. */
static enum err answer_none(const struct test_subject *subject, struct error *err)
{
    if (subject->space->declaration != NULL) {
        return error_set(
            err, ERR_NOT_FOUND,
            "there is no unseen device with measured latencies in latency/ of %s and a "
            "data sheet; training on some of the devices alone leaves the others to "
            "test on",
            subject->space->name);
    }
    return error_set(err, ERR_NOT_FOUND,
                     "there is no unseen device with measured latencies in latency/ of %s; get "
                     "the data with: make data FROM=<a copy of the reference's data>, or name "
                     "its place with --data_path",
                     subject->space->name);
}

enum err test_find_unseen(struct test_subject *subject, struct error *err)
{
    struct names measured = {0};
    enum err rc = data_list_measured(subject->tree, subject->space, &measured, err);

    for (size_t i = 0; rc == ERR_OK && i < measured.n; i++) {
        const struct names one = {&measured.items[i], 1};
        if (training_check_unseen(&subject->train_devices, &one, NULL) == ERR_OK &&
            is_testable(subject, measured.items[i])) {
            rc = names_add(&subject->test_devices, measured.items[i], err);
        }
    }
    names_close(&measured);
    return rc == ERR_OK && subject->test_devices.n == 0 ? answer_none(subject, err) : rc;
}

/* ---- A of every row -------------------------------------------------------------------------- */

static enum err alloc_rows(struct test_subject *subject, size_t n_rows, struct error *err)
{
    subject->n_rows = n_rows;
    subject->a = mem_calloc(n_rows, sizeof *subject->a);
    return subject->a != NULL ? ERR_OK
                              : error_set(err, ERR_NOMEM, "no memory for %zu predictions", n_rows);
}

enum err test_predict(struct test_subject *subject, struct error *err)
{
    struct dataset rows = {0};
    enum err rc = data_load_architectures(subject->tree, subject->space, &rows, err);

    if (rc != ERR_OK) {
        return rc;
    }
    subject->predictor = subject->model.predictor->kind->name;
    rc = alloc_rows(subject, rows.n_rows, err);
    rc = rc != ERR_OK ? rc
                      : predictor_predict_told(subject->model.predictor, rows.genes, rows.n_rows,
                                               subject->hooks, subject->a, NULL, err);
    dataset_close(&rows);
    return rc;
}

enum err test_hold_out(struct test_subject *subject, const struct predictor_kind *kind,
                       const struct fit_options *options, size_t *n_folds, const char **source,
                       struct error *err)
{
    struct fit_options fold_options = *options;
    struct training_set set = {0};
    size_t n = 0;
    enum err rc =
        training_set_load(subject->tree, subject->space, &subject->train_devices, &set, err);

    if (rc != ERR_OK) {
        return rc;
    }
    fold_options.held_out_share = 0.0; /* the folds hold out */
    fold_options.hooks = subject->hooks;
    subject->predictor = kind->name;
    rc = alloc_rows(subject, set.architectures.n_rows, err);
    rc = rc != ERR_OK ? rc : run_holdout(&set, kind, &fold_options, subject->a, &n, err);
    if (n_folds != NULL) {
        *n_folds = n;
    }
    if (source != NULL) {
        *source = set.source;
    }
    training_set_close(&set);
    return rc;
}

/* ---- the comparison -------------------------------------------------------------------------- */

static enum err test_device(const struct data_tree *tree, const struct space *space,
                            const double *a, size_t n_rows, const char *name,
                            struct device_report *report, struct error *err)
{
    struct device_sheet sheet;
    double *measured_ms = NULL;
    double factor;
    enum err rc = data_find_device(tree, space, name, &sheet, err);

    if (rc == ERR_OK) {
        rc = data_load_latency(tree, space, sheet.name, n_rows, &measured_ms, err);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    (void)snprintf(report->name, sizeof report->name, "%s", sheet.name);
    factor = hardware_factor(&sheet.hardware);
    for (size_t i = 0; i < n_rows; i++) {
        report->predicted_ms[i] = a[i] * factor;
    }
    rc = metrics_compute(report->predicted_ms, measured_ms, n_rows, &report->metrics, err);
    mem_free(measured_ms);
    return rc;
}

enum err run_test(const struct test_subject *subject, struct test_report *report, struct error *err)
{
    const struct names *devices = &subject->test_devices;
    const size_t n_rows = subject->n_rows;
    enum err rc = ERR_OK;

    memset(report, 0, sizeof *report);
    report->space = subject->space;
    report->n_rows = n_rows;
    report->predictor = subject->predictor;
    report->is_holdout = subject->is_holdout;
    report->devices = mem_calloc(devices->n, sizeof *report->devices);
    if (report->devices == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to test %zu devices", devices->n);
    }
    for (size_t d = 0; rc == ERR_OK && d < devices->n; d++) {
        struct device_report *device = &report->devices[d];
        const struct fit_progress progress = {
            .stage = "comparing", .percent = 100.0 * (double)d / (double)devices->n, .loss = NAN};
        device->predicted_ms = mem_calloc(n_rows, sizeof *device->predicted_ms);
        report->n_devices = d + 1;
        rc = device->predicted_ms == NULL
                 ? error_set(err, ERR_NOMEM, "no memory to test %s", devices->items[d])
                 : test_device(subject->tree, subject->space, subject->a, n_rows, devices->items[d],
                               device, err);
        rc = rc != ERR_OK ? rc : fit_tell(subject->hooks, &progress, err);
        for (size_t other = 0; rc == ERR_OK && other < d; other++) {
            if (strcmp(report->devices[other].name, device->name) == 0) {
                rc = error_set(err, ERR_INVALID, "%s is named twice", device->name);
            }
        }
    }
    if (rc != ERR_OK) {
        test_report_close(report);
    }
    return rc;
}

static enum err stage_device(const char *directory, const struct test_report *report,
                             const struct device_report *device, struct result_batch *batch,
                             struct error *err)
{
    char path[PATH_BYTES];
    struct text text = {0};
    enum err rc = path_format(path, err, "%s/%s" TEST_FILE_SUFFIX, directory, device->name);

    text_reserve(&text, 24 * report->n_rows);
    for (size_t i = 0; i < report->n_rows; i++) {
        text_printf(&text, "%.17g\n", device->predicted_ms[i]);
    }
    if (rc == ERR_OK) {
        rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory to write %s", path)
                             : result_stage(batch, path, text.bytes, text.size, err);
    }
    text_close(&text);
    return rc;
}

enum err run_test_stage(const char *directory, const struct test_report *report,
                        struct result_batch *batch, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t d = 0; rc == ERR_OK && d < report->n_devices; d++) {
        rc = stage_device(directory, report, &report->devices[d], batch, err);
    }
    return rc;
}

#include "server/run_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/calibration.h"
#include "core/interval.h"
#include "core/mem.h"
#include "core/rng.h"
#include "proto/plot_test.h"
#include "proto/text.h"
#include "server/calibrator.h"
#include "server/path.h"
#include "server/run_train.h"
#include "server/training_set.h"
#include "server/unmeasured.h"

void test_subject_close(struct test_subject *subject)
{
    model_close(&subject->model);
    names_close(&subject->train_devices);
    names_close(&subject->test_devices);
    mem_free(subject->a);
    mem_free(subject->genes);
    mem_free(subject->sd);
    mem_free(subject->spread);
    memset(subject, 0, sizeof *subject);
}

/* ---- devices --------------------------------------------------------------------------------- */

enum err test_add_model_devices(struct test_subject *subject, struct error *err)
{
    const struct model_info *info = &subject->model.info;
    const bool is_library_asked =
        subject->n_calibrate > 0 || (subject->model.prior != NULL && !subject->is_holdout);
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < info->n_devices; i++) {
        rc = names_add(&subject->train_devices, info->devices[i], err);
    }
    for (size_t i = 0; rc == ERR_OK && is_library_asked && i < info->library.n_devices; i++) {
        if (!names_contain(&subject->train_devices, info->library.devices[i])) {
            rc = names_add(&subject->train_devices, info->library.devices[i], err);
        }
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
    if (subject->n_calibrate == 0) {
        subject->spread = mem_calloc(n_rows, sizeof *subject->spread);
    } else if (!subject->is_holdout) {
        subject->sd = mem_calloc(n_rows, sizeof *subject->sd);
    }
    return subject->a != NULL && (subject->spread != NULL || subject->n_calibrate > 0) &&
                   (subject->sd != NULL || subject->n_calibrate == 0 || subject->is_holdout)
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory for %zu predictions", n_rows);
}

/* Takes the genes over where they are needed to calibrate. */
static void keep_genes(struct test_subject *subject, struct dataset *rows)
{
    if (subject->n_calibrate > 0) {
        subject->genes = rows->genes;
        rows->genes = NULL;
    }
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
    if (rc == ERR_OK && subject->n_calibrate > 0) {
        rc = predictor_predict_told(subject->model.predictor, rows.genes, rows.n_rows,
                                    subject->hooks, subject->a, subject->sd, err);
    } else if (rc == ERR_OK) {
        rc = unmeasured_predict_told(&subject->model, rows.genes, rows.n_rows, subject->hooks,
                                     subject->a, subject->spread, err);
    }
    keep_genes(subject, &rows);
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
    rc = rc != ERR_OK
             ? rc
             : run_holdout(&set, kind, &fold_options, subject->a, subject->spread, &n, err);
    for (size_t i = 0; rc == ERR_OK && subject->spread != NULL && i < subject->n_rows; i++) {
        subject->spread[i] = interval_spread(subject->space, subject->a[i], subject->spread[i]);
    }
    if (n_folds != NULL) {
        *n_folds = n;
    }
    if (source != NULL) {
        *source = set.source;
    }
    keep_genes(subject, &set.architectures);
    training_set_close(&set);
    return rc;
}

/* ---- rows that calibrate ---------------------------------------------------------------------- */

/* A draw of rows: of each, whether it is scored. The same for all devices. */
struct draw {
    size_t *rows;    /* (n_calibrate), owned: drawn, in the order of the file */
    bool *is_scored; /* (n_rows), owned */
    size_t n_scored;
};

static void draw_close(struct draw *draw)
{
    mem_free(draw->rows);
    mem_free(draw->is_scored);
}

/* Marks what is left to score: rows of no architecture that was drawn. */
static enum err mark_scored(const struct test_subject *subject, struct draw *draw,
                            struct error *err)
{
    const size_t n = subject->n_rows;
    size_t *group = mem_calloc(n, sizeof *group);
    bool *is_drawn = mem_calloc(n, sizeof *is_drawn); /* by group */
    size_t n_groups = 0;
    enum err rc = group != NULL && is_drawn != NULL
                      ? ERR_OK
                      : error_set(err, ERR_NOMEM, "no memory to draw of %zu rows", n);

    rc =
        rc != ERR_OK ? rc : dataset_group(subject->space, subject->genes, n, group, &n_groups, err);
    for (size_t i = 0; rc == ERR_OK && i < subject->n_calibrate; i++) {
        is_drawn[group[draw->rows[i]]] = true;
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        draw->is_scored[i] = !is_drawn[group[i]];
        draw->n_scored += draw->is_scored[i];
    }
    mem_free(group);
    mem_free(is_drawn);
    if (rc == ERR_OK && draw->n_scored < TEST_MIN_SCORED) {
        rc =
            error_set(err, ERR_INVALID,
                      "calibrating with %zu of %zu rows leaves %zu to score, where at least %d are "
                      "needed",
                      subject->n_calibrate, n, draw->n_scored, TEST_MIN_SCORED);
    }
    return rc;
}

/* Draws rows by the seed. Nothing is drawn where nothing calibrates. */
static enum err draw_rows(const struct test_subject *subject, struct draw *draw, struct error *err)
{
    const size_t n = subject->n_rows;
    struct rng rng;

    if (subject->n_calibrate == 0) {
        return ERR_OK;
    }
    if (subject->n_calibrate + TEST_MIN_SCORED > n) {
        return error_set(err, ERR_INVALID,
                         "calibrating with %zu of %zu rows leaves too few to score: at least %d "
                         "are needed",
                         subject->n_calibrate, n, TEST_MIN_SCORED);
    }
    draw->rows = mem_calloc(n, sizeof *draw->rows);
    draw->is_scored = mem_calloc(n, sizeof *draw->is_scored);
    if (draw->rows == NULL || draw->is_scored == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to draw of %zu rows", n);
    }
    for (size_t i = 0; i < n; i++) {
        draw->rows[i] = i;
    }
    rng_init(&rng, subject->seed);
    rng_shuffle(&rng, draw->rows, n);
    return mark_scored(subject, draw, err);
}

/* The drawn rows of a device, as one block. */
static enum err fit_drawn(const struct test_subject *subject, const struct draw *draw,
                          const struct hardware *hardware, const double *measured_ms,
                          struct calibration **out, struct error *err)
{
    const size_t n = subject->n_calibrate;
    const size_t n_genes = subject->space->n_genes;
    const struct calibration_prior *prior = calibrator_prior(subject->space, &subject->model);
    int32_t *genes = mem_calloc(n, n_genes * sizeof *genes);
    double *numbers = mem_calloc(n, 3 * sizeof *numbers);
    const struct measured rows = {
        genes, numbers, subject->sd != NULL ? numbers + n : NULL, numbers + 2 * n, n,
    };
    enum err rc = genes != NULL && numbers != NULL
                      ? ERR_OK
                      : error_set(err, ERR_NOMEM, "no memory for %zu measurements", n);

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const size_t row = draw->rows[i];
        memcpy(genes + i * n_genes, subject->genes + row * n_genes, n_genes * sizeof *genes);
        numbers[i] = subject->a[row];
        numbers[n + i] = subject->sd != NULL ? subject->sd[row] : 0.0;
        numbers[2 * n + i] = measured_ms[row];
    }
    rc = rc != ERR_OK ? rc : calibration_fit(subject->space, prior, hardware, &rows, out, err);
    mem_free(genes);
    mem_free(numbers);
    return rc;
}

/* Predicts all rows of a device, calibrated, with their spreads, and scores those that are. */
static enum err compare_calibrated(const struct test_subject *subject, const struct draw *draw,
                                   const struct hardware *hardware, const double *measured_ms,
                                   double *spread, struct device_report *report, struct error *err)
{
    double *pairs = mem_calloc(draw->n_scored, 2 * sizeof *pairs);
    struct calibration *calibration = NULL;
    size_t n = 0;
    enum err rc = pairs != NULL
                      ? ERR_OK
                      : error_set(err, ERR_NOMEM, "no memory to score %zu rows", draw->n_scored);

    rc = rc != ERR_OK ? rc : fit_drawn(subject, draw, hardware, measured_ms, &calibration, err);
    if (rc == ERR_OK) {
        calibration_predict(calibration, subject->genes, subject->a, subject->sd, subject->n_rows,
                            report->predicted_ms, spread);
        for (size_t i = 0; i < subject->n_rows; i++) {
            if (draw->is_scored[i]) {
                pairs[n] = report->predicted_ms[i];
                pairs[draw->n_scored + n++] = measured_ms[i];
            }
        }
        rc = metrics_compute(pairs, pairs + n, n, &report->metrics, err);
    }
    calibration_destroy(calibration);
    mem_free(pairs);
    return rc;
}

/* ---- the comparison -------------------------------------------------------------------------- */

static enum err compare(const struct test_subject *subject, const struct hardware *hardware,
                        const double *measured_ms, struct device_report *report, struct error *err)
{
    const double factor = subject->is_holdout ? hardware_factor(hardware)
                                              : unmeasured_factor(&subject->model, hardware);

    for (size_t i = 0; i < subject->n_rows; i++) {
        report->predicted_ms[i] = subject->a[i] * factor;
    }
    return metrics_compute(report->predicted_ms, measured_ms, subject->n_rows, &report->metrics,
                           err);
}

/* How often intervals hold what was measured, and what is to be drawn, where report->points has room
 * for `n_points`. `spread` is (n_rows). */
static void look_at_rows(const struct test_subject *subject, const struct draw *draw,
                         const double *measured_ms, const double *spread, size_t n_points,
                         struct device_report *report)
{
    const size_t n = subject->n_rows;
    size_t n_kept = 0;
    size_t n_scored = 0;
    size_t n_covered = 0;

    for (size_t i = 0; i < n; i++) {
        struct test_point point = {
            .measured_ms = measured_ms[i],
            .predicted_ms = report->predicted_ms[i],
            .is_scored = draw->is_scored == NULL || draw->is_scored[i],
        };
        interval_bounds(&point.predicted_ms, &spread[i], 1, TEST_LEVEL, &point.low_ms,
                        &point.high_ms);
        n_scored += point.is_scored;
        n_covered += point.is_scored && point.low_ms <= point.measured_ms &&
                     point.measured_ms <= point.high_ms;
        if (report->points != NULL && n_kept < n_points && i == n_kept * n / n_points) {
            report->points[n_kept++] = point;
        }
    }
    report->covered = (double)n_covered / (double)n_scored;
}

/* With room for what is made of it: report->points where it is to be drawn. */
static enum err test_device(const struct test_subject *subject, const struct draw *draw,
                            const char *name, size_t n_points, struct device_report *report,
                            struct error *err)
{
    const bool is_calibrated = subject->n_calibrate > 0;
    struct device_sheet sheet;
    double *measured_ms = NULL;
    double *spread = is_calibrated ? mem_calloc(subject->n_rows, sizeof *spread) : subject->spread;
    enum err rc = spread != NULL ? ERR_OK : error_set(err, ERR_NOMEM, "no memory to test %s", name);

    rc = rc != ERR_OK ? rc : data_find_device(subject->tree, subject->space, name, &sheet, err);
    if (rc == ERR_OK) {
        (void)snprintf(report->name, sizeof report->name, "%s", sheet.name);
        rc = data_load_latency(subject->tree, subject->space, sheet.name, subject->n_rows,
                               &measured_ms, err);
    }
    if (rc == ERR_OK) {
        rc = is_calibrated ? compare_calibrated(subject, draw, &sheet.hardware, measured_ms, spread,
                                                report, err)
                           : compare(subject, &sheet.hardware, measured_ms, report, err);
    }
    if (rc == ERR_OK) {
        look_at_rows(subject, draw, measured_ms, spread, n_points, report);
    }
    mem_free(measured_ms);
    mem_free(is_calibrated ? spread : NULL);
    return rc;
}

/* How many rows of each device are drawn. */
static size_t count_points(size_t n_rows, size_t n_devices)
{
    const size_t n_drawn = n_devices < TEST_DRAWN_DEVICES ? n_devices : TEST_DRAWN_DEVICES;
    const size_t most = n_drawn > 0 ? TEST_DRAWN_POINTS / n_drawn : 0;

    return n_rows < most ? n_rows : most;
}

/* Room for the results of the d-th device. */
static enum err device_report_alloc(const struct test_report *report, size_t d, const char *name,
                                    struct error *err)
{
    struct device_report *device = &report->devices[d];
    const bool is_drawn = d < TEST_DRAWN_DEVICES;

    device->predicted_ms = mem_calloc(report->n_rows, sizeof *device->predicted_ms);
    device->points = is_drawn ? mem_calloc(report->n_points, sizeof *device->points) : NULL;
    return device->predicted_ms != NULL && (device->points != NULL || !is_drawn)
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory to test %s", name);
}

enum err run_test(const struct test_subject *subject, struct test_report *report, struct error *err)
{
    const struct names *devices = &subject->test_devices;
    const size_t n_rows = subject->n_rows;
    struct draw draw = {0};
    enum err rc;

    memset(report, 0, sizeof *report);
    report->space = subject->space;
    report->n_rows = n_rows;
    report->predictor = subject->predictor;
    report->is_holdout = subject->is_holdout;
    report->n_calibrate = subject->n_calibrate;
    report->level = TEST_LEVEL;
    report->n_points = count_points(n_rows, devices->n);
    report->devices = mem_calloc(devices->n, sizeof *report->devices);
    if (report->devices == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to test %zu devices", devices->n);
    }
    rc = draw_rows(subject, &draw, err);
    for (size_t d = 0; rc == ERR_OK && d < devices->n; d++) {
        struct device_report *device = &report->devices[d];
        const struct fit_progress progress = {
            .stage = "comparing", .percent = 100.0 * (double)d / (double)devices->n, .loss = NAN};
        report->n_devices = d + 1;
        rc = device_report_alloc(report, d, devices->items[d], err);
        rc = rc != ERR_OK
                 ? rc
                 : test_device(subject, &draw, devices->items[d], report->n_points, device, err);
        rc = rc != ERR_OK ? rc : fit_tell(subject->hooks, &progress, err);
        for (size_t other = 0; rc == ERR_OK && other < d; other++) {
            if (strcmp(report->devices[other].name, device->name) == 0) {
                rc = error_set(err, ERR_INVALID, "%s is named twice", device->name);
            }
        }
    }
    draw_close(&draw);
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

enum err run_test_stage_plot(const char *path, const struct test_report *report,
                             struct result_batch *batch, struct error *err)
{
    struct text text = {0};
    enum err rc = plot_test(report, &text, err);

    rc = rc != ERR_OK ? rc : result_stage(batch, path, text.bytes, text.size, err);
    text_close(&text);
    return rc;
}

#include "core/accuracy.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/dataset.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/rng.h"
#include "core/stats.h"

enum {
    N_FOLDS = 10,
    N_SPLITS = 5,
    CHOICE_FOLDS = 3,
    CHOICE_ROWS = 1500, /* enough to choose a setting by */
    DISTRUST_ROUNDS = 4,
};

/* Rows whose held-out residual is beyond so many robust standard deviations are distrusted, and so
 * far beyond in percent at least. */
#define DISTRUST_SCALES  8.0
#define DISTRUST_PERCENT 2.0

const struct accuracy_kind *const accuracy_kinds[] = {&accuracy_kind_cells, &accuracy_kind_genes,
                                                      &accuracy_kind_macs, NULL};

const struct accuracy_kind *accuracy_kind_find(const char *name)
{
    for (const struct accuracy_kind *const *kind = accuracy_kinds; *kind != NULL; kind++) {
        if (strcmp((*kind)->name, name) == 0) {
            return *kind;
        }
    }
    return NULL;
}

enum err accuracy_predict(const struct accuracy_predictor *predictor, const int32_t *genes,
                          size_t n, double *accuracy, struct error *err)
{
    return predictor->kind->predict(predictor, genes, n, accuracy, err);
}

void accuracy_destroy(struct accuracy_predictor *predictor)
{
    if (predictor != NULL) {
        predictor->kind->destroy(predictor);
    }
}

void accuracy_report_close(struct accuracy_report *report)
{
    mem_free(report->distrusted);
    memset(report, 0, sizeof *report);
}

/* ---- rows ------------------------------------------------------------------------------------ */

/* Some of the rows, copied. */
struct part {
    const struct space *space;
    size_t n;
    size_t *rows;   /* (n): where they stand in the whole */
    int32_t *genes; /* (n, n_genes) */
    double *values; /* accuracy (n), resolution (n) */
    size_t n_most;
    bool has_resolution;
};

static void part_close(struct part *part)
{
    mem_free(part->rows);
    mem_free(part->genes);
    mem_free(part->values);
    memset(part, 0, sizeof *part);
}

static enum err part_init(struct part *part, const struct space *space,
                          const struct accuracy_rows *whole, struct error *err)
{
    *part = (struct part){
        .space = space,
        .n_most = whole->n,
        .has_resolution = whole->resolution != NULL,
        .rows = mem_calloc(whole->n, sizeof *part->rows),
        .genes = mem_calloc(whole->n, space->n_genes * sizeof *part->genes),
        .values = mem_calloc(whole->n, 2 * sizeof *part->values),
    };
    if (part->rows == NULL || part->genes == NULL || part->values == NULL) {
        part_close(part);
        return error_set(err, ERR_NOMEM, "no memory for %zu networks", whole->n);
    }
    return ERR_OK;
}

static void part_add(struct part *part, const struct accuracy_rows *whole, size_t row)
{
    const size_t n_genes = part->space->n_genes;

    part->rows[part->n] = row;
    memcpy(part->genes + part->n * n_genes, whole->genes + row * n_genes,
           n_genes * sizeof *part->genes);
    part->values[part->n] = whole->accuracy[row];
    part->values[part->n_most + part->n] = part->has_resolution ? whole->resolution[row] : 0.0;
    part->n++;
}

static struct accuracy_rows part_rows(const struct part *part)
{
    return (struct accuracy_rows){
        .n = part->n,
        .genes = part->genes,
        .accuracy = part->values,
        .resolution = part->has_resolution ? part->values + part->n_most : NULL,
    };
}

/* ---- rows held out --------------------------------------------------------------------------- */

struct training {
    const struct accuracy_kind *kind;
    const struct accuracy_rows *rows;
    const struct accuracy_setting *setting;
    uint64_t seed;
    const bool *is_left_out; /* (n): rows that nothing is to be learned from; NULL: none */
};

/* Fits the rows that are not in the fold, and predicts those that are: `predicted` (n). */
static enum err predict_fold(const struct training *t, const size_t *fold, size_t wanted,
                             double *predicted, struct error *err)
{
    struct part inside = {0};
    struct part outside = {0};
    struct accuracy_predictor *predictor = NULL;
    enum err rc = part_init(&inside, t->kind->space, t->rows, err);

    rc = rc != ERR_OK ? rc : part_init(&outside, t->kind->space, t->rows, err);
    for (size_t i = 0; rc == ERR_OK && i < t->rows->n; i++) {
        if (fold[i] == wanted) {
            part_add(&inside, t->rows, i);
        } else if (t->is_left_out == NULL || !t->is_left_out[i]) {
            part_add(&outside, t->rows, i);
        }
    }
    if (rc == ERR_OK) {
        const struct accuracy_rows learned = part_rows(&outside);
        rc = t->kind->fit(t->kind, &learned, t->setting, t->seed, &predictor, err);
    }
    rc =
        rc != ERR_OK ? rc : accuracy_predict(predictor, inside.genes, inside.n, inside.values, err);
    for (size_t i = 0; rc == ERR_OK && i < inside.n; i++) {
        predicted[inside.rows[i]] = inside.values[i];
    }
    accuracy_destroy(predictor);
    part_close(&inside);
    part_close(&outside);
    return rc;
}

/* Held-out predictions of all rows: `predicted` (n). */
static enum err predict_folds(const struct training *t, size_t n_folds, double *predicted,
                              struct error *err)
{
    size_t *fold = mem_calloc(t->rows->n, sizeof *fold);
    enum err rc;

    if (fold == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to split %zu networks", t->rows->n);
    }
    rc = dataset_fold(t->kind->space, t->rows->genes, t->rows->n, n_folds, t->seed, fold, err);
    for (size_t f = 0; rc == ERR_OK && f < n_folds; f++) {
        rc = predict_fold(t, fold, f, predicted, err);
    }
    mem_free(fold);
    return rc;
}

/* One random split: trains on `n_train` rows, scores the rest. */
static enum err score_split(const struct training *t, uint64_t seed, size_t n_train,
                            struct metrics *out, struct error *err)
{
    const size_t n = t->rows->n;
    size_t *order = mem_calloc(n, 2 * sizeof *order); /* then whether each row is held out */
    double *predicted = mem_calloc(n, 2 * sizeof *predicted); /* then what it should be */
    struct rng rng;
    size_t n_held_out = 0;
    enum err rc = ERR_OK;

    if (order == NULL || predicted == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to split %zu networks", n);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        order[i] = i;
    }
    if (rc == ERR_OK) {
        rng_init(&rng, seed);
        rng_shuffle(&rng, order, n);
        for (size_t i = n_train; i < n; i++) {
            order[n + order[i]] = 1;
        }
        rc = predict_fold(t, order + n, 1, predicted, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (order[n + i] == 1) { /* n_held_out <= i: nothing unread is overwritten */
            predicted[n_held_out] = predicted[i];
            predicted[n + n_held_out++] = t->rows->accuracy[i];
        }
    }
    rc = rc != ERR_OK ? rc : metrics_compute(predicted, predicted + n, n_held_out, out, err);
    mem_free(order);
    mem_free(predicted);
    return rc;
}

static enum err measure_by_splits(const struct training *t, struct accuracy_report *report,
                                  struct error *err)
{
    const size_t n_train = t->kind->split_rows;

    report->n_parts = N_SPLITS;
    report->n_train = n_train;
    report->n_held_out = t->rows->n - n_train;
    report->kendall = report->rmse = 0.0;
    for (size_t s = 0; s < N_SPLITS; s++) {
        struct metrics metrics;
        enum err rc = score_split(t, t->seed + s, n_train, &metrics, err);
        if (rc != ERR_OK) {
            return rc;
        }
        report->kendall += metrics.kendall / N_SPLITS;
        report->rmse += metrics.rmse / N_SPLITS;
    }
    return ERR_OK;
}

/* ---- distrust -------------------------------------------------------------------------------- */

/* Which rows are far from their held-out predictions: `is_left_out` (n). Returns in *is_new whether
 * that is not what it was. */
static enum err distrust(const struct accuracy_rows *rows, const double *predicted,
                         bool *is_left_out, bool *is_new, struct error *err)
{
    double *size = mem_calloc(rows->n, sizeof *size);
    double bound;

    if (size == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to look at %zu residuals", rows->n);
    }
    for (size_t i = 0; i < rows->n; i++) {
        size[i] = fabs(predicted[i] - rows->accuracy[i]);
    }
    bound = fmax(DISTRUST_SCALES * 1.4826 * stats_median(size, rows->n), DISTRUST_PERCENT);
    *is_new = false;
    for (size_t i = 0; i < rows->n; i++) {
        bool is_far = fabs(predicted[i] - rows->accuracy[i]) > bound;
        *is_new = *is_new || is_far != is_left_out[i];
        is_left_out[i] = is_far;
    }
    mem_free(size);
    return ERR_OK;
}

/* ---- the setting ----------------------------------------------------------------------------- */

/* Median absolute residual by folds: wild rows do not decide. */
static enum err judge_setting(const struct training *t, double *out, struct error *err)
{
    double *residual = mem_calloc(t->rows->n, sizeof *residual);
    enum err rc;

    if (residual == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu residuals", t->rows->n);
    }
    rc = predict_folds(t, CHOICE_FOLDS, residual, err);
    for (size_t i = 0; rc == ERR_OK && i < t->rows->n; i++) {
        residual[i] = fabs(residual[i] - t->rows->accuracy[i]);
    }
    if (rc == ERR_OK) {
        *out = stats_median(residual, t->rows->n);
    }
    mem_free(residual);
    return rc;
}

/* Tries all settings on some of the rows, spread over the whole, and takes the best. */
static enum err choose_setting(struct training *t, struct error *err)
{
    const size_t n = t->rows->n;
    const size_t n_used = n < CHOICE_ROWS ? n : CHOICE_ROWS;
    struct part part;
    struct training trial = *t;
    struct accuracy_rows rows;
    double least = INFINITY;
    enum err rc = part_init(&part, t->kind->space, t->rows, err);

    if (rc != ERR_OK) {
        return rc;
    }
    for (size_t i = 0; i < n_used; i++) {
        part_add(&part, t->rows, i * n / n_used);
    }
    rows = part_rows(&part);
    trial.rows = &rows;
    for (size_t s = 0; rc == ERR_OK && s < t->kind->n_settings; s++) {
        double residual = INFINITY;
        trial.setting = &t->kind->settings[s];
        rc = judge_setting(&trial, &residual, err);
        if (rc == ERR_OK && residual < least) {
            least = residual;
            t->setting = trial.setting;
        }
    }
    part_close(&part);
    return rc == ERR_INVALID ? ERR_OK : rc; /* hardly any distinct ones among them: the first */
}

/* ---- training -------------------------------------------------------------------------------- */

static void keep_trusted(const struct training *t, struct part *trusted)
{
    for (size_t i = 0; i < t->rows->n; i++) {
        if (!t->is_left_out[i]) {
            part_add(trusted, t->rows, i);
        }
    }
}

static enum err list_distrusted(const struct training *t, struct accuracy_report *report,
                                struct error *err)
{
    report->distrusted = mem_calloc(t->rows->n, sizeof *report->distrusted);
    if (report->distrusted == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to report on %zu rows", t->rows->n);
    }
    for (size_t i = 0; i < t->rows->n; i++) {
        if (t->is_left_out[i]) {
            report->distrusted[report->n_distrusted++] = i;
        }
    }
    return ERR_OK;
}

/* Held-out figures by folds: `predicted` (n) is scratch. What is distrusted is left out in another
 * round and judged again, since a wild row may hide others, or make good ones look wild. */
static enum err measure_rounds(struct training *t, bool *is_left_out, double *predicted,
                               struct accuracy_report *report, struct error *err)
{
    bool is_new = t->kind->is_distrusting;
    struct part trusted = {0};
    struct metrics metrics;
    enum err rc = predict_folds(t, N_FOLDS, predicted, err);

    for (int round = 0; rc == ERR_OK && is_new && round < DISTRUST_ROUNDS; round++) {
        rc = distrust(t->rows, predicted, is_left_out, &is_new, err);
        if (rc == ERR_OK && is_new) {
            rc = predict_folds(t, N_FOLDS, predicted, err);
        }
    }
    rc = rc != ERR_OK ? rc : part_init(&trusted, t->kind->space, t->rows, err);
    if (rc == ERR_OK) {
        keep_trusted(t, &trusted);
        for (size_t i = 0; i < trusted.n; i++) {
            predicted[i] = predicted[trusted.rows[i]]; /* trusted.rows[i] >= i */
        }
        rc = metrics_compute(predicted, trusted.values, trusted.n, &metrics, err);
    }
    if (rc == ERR_OK) {
        report->n_parts = N_FOLDS;
        report->n_held_out = trusted.n;
        report->kendall = metrics.kendall;
        report->rmse = metrics.rmse;
    }
    part_close(&trusted);
    return rc;
}

static enum err measure_by_folds(struct training *t, bool *is_left_out,
                                 struct accuracy_report *report, struct error *err)
{
    double *predicted = mem_calloc(t->rows->n, sizeof *predicted);
    enum err rc;

    if (predicted == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu predictions", t->rows->n);
    }
    rc = measure_rounds(t, is_left_out, predicted, report, err);
    mem_free(predicted);
    return rc;
}

/* How many folds can be made of the rows is known by their distinct architectures. */
static enum err can_fold(const struct training *t, bool *out, struct error *err)
{
    size_t *group = mem_calloc(t->rows->n, sizeof *group);
    size_t n_groups = 0;
    enum err rc;

    if (group == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu networks", t->rows->n);
    }
    rc = dataset_group(t->kind->space, t->rows->genes, t->rows->n, group, &n_groups, err);
    *out = t->kind->is_validated && n_groups >= N_FOLDS;
    mem_free(group);
    return rc;
}

/* Fits what is trusted, and tells how well it fits. The curve of kind `macs` speaks of another
 * resolution than its rows, so that this is asked of kinds without one. */
static enum err fit_trusted(const struct training *t, struct accuracy_predictor **out,
                            struct accuracy_report *report, struct error *err)
{
    struct accuracy_predictor *predictor = NULL;
    double *predicted = mem_calloc(t->rows->n, sizeof *predicted);
    struct part trusted = {0};
    struct accuracy_rows rows = {0};
    struct metrics metrics = {.kendall = NAN, .rmse = NAN};
    enum err rc = part_init(&trusted, t->kind->space, t->rows, err);

    if (rc == ERR_OK && predicted == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for %zu predictions", t->rows->n);
    }
    if (rc == ERR_OK) {
        keep_trusted(t, &trusted);
        rows = part_rows(&trusted);
        rc = t->kind->fit(t->kind, &rows, t->setting, t->seed, &predictor, err);
    }
    if (rc == ERR_OK && rows.resolution == NULL) {
        rc = accuracy_predict(predictor, rows.genes, rows.n, predicted, err);
        rc = rc != ERR_OK ? rc : metrics_compute(predicted, rows.accuracy, rows.n, &metrics, err);
    }
    part_close(&trusted);
    mem_free(predicted);
    if (rc != ERR_OK) {
        accuracy_destroy(predictor);
        return rc;
    }
    report->kendall_fitted = metrics.kendall;
    report->rmse_fitted = metrics.rmse;
    *out = predictor;
    return ERR_OK;
}

/* Measures where that can be done, and fits. */
static enum err train(struct training *t, bool *is_left_out, struct accuracy_predictor **out,
                      struct accuracy_report *report, struct error *err)
{
    const struct accuracy_kind *kind = t->kind;
    bool is_foldable = false;
    enum err rc = can_fold(t, &is_foldable, err);

    if (rc == ERR_OK && is_foldable && kind->n_settings > 1) {
        rc = choose_setting(t, err);
    }
    t->is_left_out = is_left_out;
    if (rc == ERR_OK && is_foldable) {
        rc = kind->split_rows > 0 && t->rows->n >= 2 * kind->split_rows
                 ? measure_by_splits(t, report, err)
                 : measure_by_folds(t, is_left_out, report, err);
    }
    rc = rc != ERR_OK ? rc : list_distrusted(t, report, err);
    return rc != ERR_OK ? rc : fit_trusted(t, out, report, err);
}

enum err accuracy_train(const struct accuracy_kind *kind, const struct accuracy_rows *rows,
                        uint64_t seed, struct accuracy_predictor **out,
                        struct accuracy_report *report, struct error *err)
{
    struct training t = {.kind = kind, .rows = rows, .setting = &kind->settings[0], .seed = seed};
    bool *is_left_out;
    enum err rc;

    *report = (struct accuracy_report){.kendall = NAN, .rmse = NAN};
    if (rows->n < kind->rows_min || rows->n > ACCURACY_MAX_ROWS) {
        return error_set(err, ERR_INVALID, "accuracy is learned from %zu to %d networks, not %zu",
                         kind->rows_min, ACCURACY_MAX_ROWS, rows->n);
    }
    is_left_out = mem_calloc(rows->n, sizeof *is_left_out);
    if (is_left_out == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu networks", rows->n);
    }
    rc = train(&t, is_left_out, out, report, err);
    mem_free(is_left_out);
    if (rc != ERR_OK) {
        accuracy_report_close(report);
    }
    return rc;
}

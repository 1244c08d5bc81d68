#include "server/run_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"

static double now_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

enum err run_holdout(const struct training_set *set, const struct predictor_kind *kind,
                     const struct fit_options *options, double *a, size_t *n_folds,
                     struct error *err)
{
    const struct dataset *rows = &set->architectures;
    size_t *fold = mem_calloc(rows->n_rows, sizeof *fold);
    size_t n_groups = 0;
    enum err rc;

    if (fold == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to split %zu rows", rows->n_rows);
    }
    rc = dataset_group(rows->space, rows->genes, rows->n_rows, fold, &n_groups, err);
    *n_folds = n_groups < VALIDATION_FOLDS ? n_groups : VALIDATION_FOLDS;
    if (rc == ERR_OK && *n_folds < 2) {
        rc =
            error_set(err, ERR_INVALID, "with a single distinct architecture none can be held out");
    }
    if (rc == ERR_OK) {
        rc = dataset_fold(rows->space, rows->genes, rows->n_rows, *n_folds, options->seed, fold,
                          err);
    }
    if (rc == ERR_OK) {
        rc = predictor_cross_validate(kind, rows->space, rows->genes, set->a, rows->n_rows, fold,
                                      *n_folds, options, a, NULL, err);
    }
    mem_free(fold);
    return rc;
}

/* Validates on the rows that the fit trusts: a corrupt A says nothing about a prediction. */
static enum err validate(const struct training_set *set, const struct predictor_kind *kind,
                         const struct fit_options *options, struct train_report *report,
                         struct error *err)
{
    const size_t n = set->architectures.n_rows;
    double *predicted = mem_calloc(2 * n, sizeof *predicted);
    double *measured;
    size_t n_scored = 0;
    size_t next_distrusted = 0;
    enum err rc;

    if (predicted == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to validate on %zu rows", n);
    }
    measured = predicted + n;
    rc = run_holdout(set, kind, options, predicted, &report->n_folds, err);
    if (rc == ERR_INVALID && report->n_folds < 2) {
        report->n_folds = 0;
        mem_free(predicted);
        return ERR_OK; /* a single architecture: the report says that nothing was validated */
    }
    if (rc == ERR_OK) {
        report->r_all_rows = metrics_pearson(predicted, set->a, n);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (next_distrusted < report->fit.n_distrusted &&
            report->fit.distrusted[next_distrusted] == i) {
            next_distrusted++;
            continue;
        }
        predicted[n_scored] = predicted[i];
        measured[n_scored++] = set->a[i];
    }
    if (rc == ERR_OK && n_scored == 0) {
        report->n_folds = 0;
    } else if (rc == ERR_OK) {
        rc = metrics_compute(predicted, measured, n_scored, &report->held_out, err);
    }
    mem_free(predicted);
    return rc;
}

static enum err describe_model(const struct training_set *set, const struct fit_options *options,
                               const struct train_report *report, struct model *model,
                               struct error *err)
{
    struct model_info *info = &model->info;

    (void)snprintf(info->source, sizeof info->source, "%s", set->source);
    (void)snprintf(info->data_sha256, sizeof info->data_sha256, "%s", set->sha256);
    info->n_rows = set->architectures.n_rows;
    info->seed = options->seed;
    info->r_10fold = report->n_folds > 0 ? report->held_out.r : NAN;
    model_version(model->predictor, info->version);
    return model_info_set_devices(info, set->devices.items, set->devices.n, err);
}

enum err run_train(const struct training_set *set, const struct predictor_kind *kind,
                   const struct fit_options *options, struct model *model,
                   struct train_report *report, struct error *err)
{
    const struct dataset *rows = &set->architectures;
    double start = now_seconds();
    enum err rc;

    memset(model, 0, sizeof *model);
    memset(report, 0, sizeof *report);
    rc = predictor_fit(kind, rows->space, rows->genes, set->a, rows->n_rows, options,
                       &model->predictor, &report->fit, err);
    report->fit_seconds = now_seconds() - start;
    if (rc == ERR_OK) {
        rc = validate(set, kind, options, report, err);
    }
    if (rc == ERR_OK) {
        rc = describe_model(set, options, report, model, err);
    }
    if (rc != ERR_OK) {
        model_close(model);
        train_report_close(report);
        return rc;
    }
    report->model = model;
    report->reason = set->reason;
    return ERR_OK;
}

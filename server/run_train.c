#include "server/run_train.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "server/clock.h"

/* Of a training that is cross-validated, what the fit takes of its time. */
#define FIT_PERCENT (100.0 / (1 + VALIDATION_FOLDS))

enum err run_holdout(const struct training_set *set, const struct predictor_kind *kind,
                     const struct fit_options *options, double *a, double *sd, size_t *n_folds,
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
                                      *n_folds, options, a, sd, err);
    }
    mem_free(fold);
    return rc;
}

static bool is_distrusted(const struct fit_report *fit, size_t row)
{
    for (size_t i = 0; i < fit->n_distrusted; i++) {
        if (fit->distrusted[i] == row) {
            return true;
        }
    }
    return false;
}

/* Validates on the rows that the fit trusts: a corrupt A says nothing about a prediction. Row
 * rows[i] (i itself where rows is NULL) was predicted as predicted[i]. */
static enum err score(const struct training_set *set, const size_t *rows, const double *predicted,
                      size_t n, struct train_report *report, struct error *err)
{
    double *pairs = mem_calloc(2 * n, sizeof *pairs);
    size_t n_trusted = 0;
    enum err rc = ERR_OK;

    if (pairs == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to validate on %zu rows", n);
    }
    for (size_t i = 0; i < n; i++) {
        pairs[i] = set->a[rows != NULL ? rows[i] : i];
    }
    report->r_all_rows = metrics_pearson(predicted, pairs, n);
    for (size_t i = 0; i < n; i++) {
        size_t row = rows != NULL ? rows[i] : i;
        if (!is_distrusted(&report->fit, row)) {
            pairs[n_trusted] = set->a[row];
            pairs[n + n_trusted++] = predicted[i];
        }
    }
    if (n_trusted > 0) {
        rc = metrics_compute(pairs + n, pairs, n_trusted, &report->held_out, err);
        report->is_validated = rc == ERR_OK;
    }
    mem_free(pairs);
    return rc;
}

/* By what the fit itself held out, or else by cross-validation. */
static enum err validate(const struct training_set *set, const struct predictor_kind *kind,
                         const struct fit_options *options, struct train_report *report,
                         struct model_info *info, struct error *err)
{
    const size_t n = set->architectures.n_rows;
    struct fit_options fold_options = *options;
    struct fit_part validating;
    double *predicted;
    size_t n_folds = 0;
    enum err rc;

    (void)snprintf(info->validation, sizeof info->validation, "none");
    if (kind->has_epochs) {
        const struct fit_report *fit = &report->fit;
        if (fit->n_held_out == 0) {
            return ERR_OK;
        }
        (void)snprintf(info->validation, sizeof info->validation, "split");
        return score(set, fit->held_out, fit->held_out_a, fit->n_held_out, report, err);
    }
    predicted = mem_calloc(n, sizeof *predicted);
    if (predicted == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to validate on %zu rows", n);
    }
    fit_part_init(&validating, options->hooks, NULL, FIT_PERCENT, 100.0);
    fold_options.hooks = &validating.hooks;
    rc = run_holdout(set, kind, &fold_options, predicted, NULL, &n_folds, err);
    if (rc == ERR_OK) {
        (void)snprintf(info->validation, sizeof info->validation, "%zu-fold", n_folds);
        rc = score(set, NULL, predicted, n, report, err);
    } else if (rc == ERR_INVALID && n_folds < 2) {
        rc = ERR_OK; /* a single architecture: the report says that nothing was validated */
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
    info->r_held_out = report->is_validated ? report->held_out.r : NAN;
    model_version_whole(model, info->version);
    return model_info_set_devices(info, set->devices.items, set->devices.n, err);
}

enum err run_train(const struct training_set *set, const struct predictor_kind *kind,
                   const struct fit_options *options, struct model *model,
                   struct train_report *report, struct error *err)
{
    const struct dataset *rows = &set->architectures;
    struct fit_options whole_options = *options;
    struct fit_part fitting;
    double start = monotonic_seconds();
    enum err rc;

    memset(model, 0, sizeof *model);
    memset(report, 0, sizeof *report);
    fit_part_init(&fitting, options->hooks, NULL, 0.0, FIT_PERCENT);
    if (!kind->has_epochs) { /* it is validated by folds afterwards, and keeps no state */
        whole_options.hooks = &fitting.hooks;
    }
    rc = predictor_fit(kind, rows->space, rows->genes, set->a, rows->n_rows, &whole_options,
                       &model->predictor, &report->fit, err);
    report->fit_seconds = monotonic_seconds() - start;
    if (rc == ERR_OK) {
        rc = validate(set, kind, options, report, &model->info, err);
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

void run_train_set_conditions(const struct model_conditions *given, struct model *model)
{
    struct model_conditions *own = &model->info.conditions;

    if (given->input[0] != '\0') {
        memcpy(own->input, given->input, sizeof own->input);
    }
    if (given->batch > 0) {
        own->batch = given->batch;
    }
    if (given->runtime[0] != '\0') {
        memcpy(own->runtime, given->runtime, sizeof own->runtime);
    }
}

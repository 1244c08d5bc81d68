#include "server/run_library.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "server/model_store.h"
#include "server/training_set.h"

/* Draws of measurements a size; figures are means over them. */
enum { N_DRAWS = 10 };

/* Share of the learning that the fit is, in percent. */
#define FIT_PERCENT 10.0

enum err run_library_evaluate(const struct space *space, const struct predictor *predictor,
                              const struct device_library *library, uint64_t seed,
                              const struct fit_hooks *hooks, struct library_report *report,
                              struct error *err)
{
    struct library_figures figures[LIBRARY_MAX_DEVICES];
    struct library_device_report *devices = mem_calloc(library->n, sizeof *devices);
    enum err rc;

    if (devices == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a report of %zu devices", library->n);
    }
    rc = library_evaluate(space, predictor, library->devices, library->n, N_DRAWS, seed, hooks,
                          figures, err);
    for (size_t d = 0; rc == ERR_OK && d < library->n; d++) {
        (void)snprintf(devices[d].name, sizeof devices[d].name, "%s", library->names.items[d]);
        devices[d].n_rows = library->rows[d].n;
        devices[d].has_sheet = library->devices[d].hardware != NULL;
        devices[d].figures = figures[d];
    }
    if (rc != ERR_OK) {
        mem_free(devices);
        return rc;
    }
    *report = (struct library_report){devices, library->n, library->n_rows, N_DRAWS};
    return ERR_OK;
}

enum err run_library_learn(const struct device_library *library, uint64_t seed,
                           const struct fit_hooks *hooks, struct model *model,
                           struct library_report *report, struct error *err)
{
    struct calibration_prior *prior = NULL;
    struct fit_part fitting;
    struct fit_part evaluating;
    struct library_figures mean;
    enum err rc;

    fit_part_init(&fitting, hooks, NULL, 0.0, FIT_PERCENT);
    fit_part_init(&evaluating, hooks, NULL, FIT_PERCENT, 100.0);
    rc = calibration_prior_fit(model->predictor->space, library->devices, library->n,
                               &fitting.hooks, &prior, err);
    rc = rc != ERR_OK ? rc
                      : model_info_set_library(&model->info, library->names.items, library->n,
                                               library->n_rows, err);
    rc = rc != ERR_OK ? rc
                      : run_library_evaluate(model->predictor->space, model->predictor, library,
                                             seed, &evaluating.hooks, report, err);
    if (rc != ERR_OK) {
        calibration_prior_destroy(prior);
        return rc;
    }
    mean = library_report_mean(report);
    for (size_t s = 0; s < LIBRARY_N_SIZES; s++) {
        model->info.library.spearman[s] = mean.at[s].spearman;
    }
    prior_rate_table_destroy(model->rates);
    model->rates = NULL; /* of the one before */
    calibration_prior_destroy(model->prior);
    model->prior = prior;
    model_version_whole(model, model->info.version);
    return ERR_OK;
}

enum err run_library_take_over(const char *root, const struct space *space,
                               const struct predictor_kind *kind, const struct error *why,
                               char reason[256], struct model *model, struct train_report *report,
                               struct error *err)
{
    struct model served = {0};
    char path[PATH_BYTES];
    enum err rc = model_store_path(root, space, path, err);

    rc = rc != ERR_OK ? rc : model_store_load(path, space, &served, NULL, err);
    if (rc == ERR_NOT_FOUND ||
        (rc == ERR_OK && (served.predictor->kind != kind ||
                          strcmp(served.info.source, TRAINING_OF_LIBRARY) == 0))) {
        model_close(&served);
        return error_set(err, why->code, "%s", why->text);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    memset(report, 0, sizeof *report);
    (void)snprintf(reason, 256,
                   "there is no data to train on: the predictor of %s, which is served, was taken "
                   "over",
                   served.info.version);
    *model = served;
    report->model = model;
    report->reason = reason;
    return ERR_OK;
}

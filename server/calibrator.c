#include "server/calibrator.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/calibration.h"
#include "core/interval.h"
#include "core/mem.h"
#include "server/unmeasured.h"

/* ---- fitting --------------------------------------------------------------------------------- */

const struct calibration_prior *calibrator_prior(const struct space *space,
                                                 const struct model *model)
{
    return model->prior != NULL ? model->prior : calibration_prior_shipped(space);
}

/* Every (n / n_kept)-th measurement, in one block of latencies, A and its standard deviation, and one
 * of genes. */
static enum err choose_rows(const struct space *space, const int32_t *genes,
                            const double *latency_ms, size_t n, size_t n_kept, int32_t **kept_genes,
                            double **block, struct error *err)
{
    const size_t row_bytes = space->n_genes * sizeof *genes;

    *kept_genes = mem_calloc(n_kept, row_bytes);
    *block = mem_calloc(n_kept, 3 * sizeof **block);
    if (*kept_genes == NULL || *block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu measurements", n_kept);
    }
    for (size_t i = 0; i < n_kept; i++) {
        const size_t at = i * n / n_kept;
        memcpy(*kept_genes + i * space->n_genes, genes + at * space->n_genes, row_bytes);
        (*block)[i] = latency_ms[at];
    }
    return ERR_OK;
}

static enum err wrap_calibration(struct calibration *calibration, size_t n, struct fitted **out,
                                 struct error *err)
{
    struct fitted *fitted = mem_calloc(1, sizeof *fitted);
    struct calibration_report report;

    if (fitted == NULL) {
        calibration_destroy(calibration);
        return error_set(err, ERR_NOMEM, "no memory for a calibration");
    }
    calibration_describe(calibration, &report);
    fitted->calibration = calibration;
    fitted->told = (struct predict_calibration){n, report.n_distrusted};
    atomic_init(&fitted->n_uses, 1);
    *out = fitted;
    return ERR_OK;
}

enum err calibrator_rows_open(const struct model *model, const int32_t *genes,
                              const double *latency_ms, size_t n, struct calibrator_rows *out,
                              struct error *err)
{
    const struct predictor *predictor = model->predictor;
    const size_t batch_max = predictor->kind->batch_max;
    const size_t most =
        batch_max > 0 && batch_max < CALIBRATION_MAX_ROWS ? batch_max : CALIBRATION_MAX_ROWS;
    const size_t n_kept = n < most ? n : most;
    struct calibrator_rows rows = {0};
    enum err rc =
        choose_rows(predictor->space, genes, latency_ms, n, n_kept, &rows.genes, &rows.block, err);

    memset(out, 0, sizeof *out);
    if (rc == ERR_OK) {
        double *a = rows.block + n_kept;
        double *sd = a + n_kept;
        rows.measured = (struct measured){rows.genes, a, sd, rows.block, n_kept};
        rc = predictor_predict(predictor, rows.genes, n_kept, a, sd, err);
    }
    if (rc != ERR_OK) {
        calibrator_rows_close(&rows);
        return rc;
    }
    *out = rows;
    return ERR_OK;
}

void calibrator_rows_close(struct calibrator_rows *rows)
{
    mem_free(rows->genes);
    mem_free(rows->block);
    memset(rows, 0, sizeof *rows);
}

enum err fitted_create(const struct model *model, const struct hardware *hardware,
                       const int32_t *genes, const double *latency_ms, size_t n,
                       struct fitted **out, struct error *err)
{
    const struct space *space = model->predictor->space;
    struct calibrator_rows rows;
    struct calibration *calibration = NULL;
    enum err rc = calibrator_rows_open(model, genes, latency_ms, n, &rows, err);

    if (rc == ERR_OK) {
        rc = calibration_fit(space, calibrator_prior(space, model), hardware, &rows.measured,
                             &calibration, err);
    }
    rc = rc != ERR_OK ? rc : wrap_calibration(calibration, rows.measured.n, out, err);
    calibrator_rows_close(&rows);
    return rc;
}

struct fitted *fitted_ref(struct fitted *fitted)
{
    if (fitted != NULL) {
        atomic_fetch_add_explicit(&fitted->n_uses, 1, memory_order_relaxed);
    }
    return fitted;
}

void fitted_unref(struct fitted *fitted)
{
    if (fitted != NULL &&
        atomic_fetch_sub_explicit(&fitted->n_uses, 1, memory_order_acq_rel) == 1) {
        calibration_destroy(fitted->calibration);
        mem_free(fitted);
    }
}

/* ---- answering ------------------------------------------------------------------------------- */

/* Where the numbers of a forecast lie in its block. What is not needed is NULL. */
struct layout {
    double *rate, *factors; /* (n), (n_targets): of what is not measured */
    double *spread;         /* (n): likewise, where an interval is asked for */
    double *a, *sd;         /* (n): of the predictor, where something is measured */
    /* (n_targets, n), where the answer is more than rate times factor; low is the spread first */
    double *latency_ms, *low, *high;
};

/* What there is to answer. */
struct asked {
    const struct predict_request *request;
    struct fitted *const *fitted; /* or NULL */
    bool is_any_measured, is_any_unmeasured;
    bool has_interval;
};

static const struct fitted *fitted_of(const struct asked *asked, size_t target)
{
    return asked->fitted != NULL ? asked->fitted[target] : NULL;
}

static struct asked look(const struct predict_request *request, struct fitted *const *fitted)
{
    struct asked asked = {
        .request = request, .fitted = fitted, .has_interval = request->level > 0.0};

    for (size_t t = 0; t < request->n_targets; t++) {
        asked.is_any_measured = asked.is_any_measured || fitted_of(&asked, t) != NULL;
        asked.is_any_unmeasured = asked.is_any_unmeasured || fitted_of(&asked, t) == NULL;
    }
    return asked;
}

static double *take(double **rest, size_t n)
{
    double *taken = *rest;

    *rest = taken + n;
    return taken;
}

static enum err lay_out(const struct asked *asked, struct forecast *forecast, struct layout *at,
                        struct error *err)
{
    const size_t n = asked->request->n_architectures;
    const size_t n_targets = asked->request->n_targets;
    const size_t values = n * n_targets; /* bounded by the request's values_max */
    const bool is_plain = !asked->is_any_measured && !asked->has_interval;
    double *rest =
        mem_calloc(n_targets + n * (is_plain ? 1 : 4) + (is_plain ? 0 : 3 * values), sizeof *rest);

    forecast->block = rest;
    if (asked->is_any_measured) {
        forecast->calibrations = mem_calloc(n_targets, sizeof *forecast->calibrations);
    }
    if (rest == NULL || (asked->is_any_measured && forecast->calibrations == NULL)) {
        return error_set(err, ERR_NOMEM, "no memory for %zu predictions", n);
    }
    at->factors = take(&rest, n_targets);
    at->rate = take(&rest, n);
    if (!is_plain) {
        at->spread = asked->has_interval ? take(&rest, n) : NULL;
        at->a = take(&rest, n);
        at->sd = take(&rest, n);
        at->latency_ms = take(&rest, values);
        at->low = take(&rest, values);
        at->high = take(&rest, values);
    }
    return ERR_OK;
}

/* What rows of targets are made of. */
static enum err predict_parts(const struct model *model, const struct asked *asked,
                              const struct layout *at, struct error *err)
{
    const struct predict_request *request = asked->request;
    const size_t n = request->n_architectures;
    enum err rc = ERR_OK;

    if (asked->is_any_unmeasured) {
        rc = unmeasured_predict(model, request->genes, n, at->rate, at->spread, err);
    }
    if (rc == ERR_OK && asked->is_any_measured) {
        rc = predictor_predict(model->predictor, request->genes, n, at->a, at->sd, err);
    }
    for (size_t t = 0; rc == ERR_OK && t < request->n_targets; t++) {
        const struct predict_target *target = &request->targets[t];
        at->factors[t] =
            fitted_of(asked, t) == NULL ? unmeasured_factor(model, &target->hardware) : 0.0;
    }
    return rc;
}

/* Fills the rows of target `t`. */
static void fill_row(const struct asked *asked, const struct layout *at, size_t t)
{
    const size_t n = asked->request->n_architectures;
    const struct fitted *fitted = fitted_of(asked, t);
    double *latency_ms = at->latency_ms + t * n;
    double *low = at->low + t * n;
    double *high = at->high + t * n;

    if (fitted != NULL) {
        calibration_predict(fitted->calibration, asked->request->genes, at->a, at->sd, n,
                            latency_ms, asked->has_interval ? low : NULL);
    }
    for (size_t i = 0; fitted == NULL && i < n; i++) {
        latency_ms[i] = at->rate[i] * at->factors[t];
        low[i] = asked->has_interval ? at->spread[i] : 0.0;
    }
    if (asked->has_interval) {
        interval_bounds(latency_ms, low, n, asked->request->level, low, high);
        for (size_t i = 0; i < n; i++) {
            high[i] = fmin(high[i], DBL_MAX); /* of a level next to 1 */
        }
    }
}

enum err forecast_make(const struct model *model, const struct predict_request *request,
                       struct fitted *const *fitted, struct forecast *out, struct error *err)
{
    const struct asked asked = look(request, fitted);
    struct layout at = {0};
    enum err rc;

    memset(out, 0, sizeof *out);
    rc = lay_out(&asked, out, &at, err);
    rc = rc != ERR_OK ? rc : predict_parts(model, &asked, &at, err);
    if (rc != ERR_OK) {
        forecast_close(out);
        return rc;
    }
    for (size_t t = 0; at.latency_ms != NULL && t < request->n_targets; t++) {
        if (fitted_of(&asked, t) != NULL) {
            out->calibrations[t] = fitted[t]->told;
        }
        fill_row(&asked, &at, t);
    }
    out->reply = (struct predict_reply){
        .request = request,
        .version = model->info.version,
        .predictor = model->predictor->kind->name,
        .info = &model->info,
        .rate = at.rate,
        .factors = at.factors,
        .latency_ms = at.latency_ms,
        .low_ms = asked.has_interval ? at.low : NULL,
        .high_ms = asked.has_interval ? at.high : NULL,
        .calibrations = out->calibrations,
    };
    return ERR_OK;
}

void forecast_close(struct forecast *forecast)
{
    mem_free(forecast->block);
    mem_free(forecast->calibrations);
    memset(forecast, 0, sizeof *forecast);
}

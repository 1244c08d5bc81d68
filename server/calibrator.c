#include "server/calibrator.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/calibration.h"
#include "core/interval.h"
#include "core/mem.h"

/* ---- fitting --------------------------------------------------------------------------------- */

const struct calibration_prior *calibrator_prior(const struct model *model)
{
    return model->prior != NULL ? model->prior : calibration_prior_shipped(model->predictor->space);
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

enum err fitted_create(const struct model *model, const struct hardware *hardware,
                       const int32_t *genes, const double *latency_ms, size_t n,
                       struct fitted **out, struct error *err)
{
    const struct predictor *predictor = model->predictor;
    const struct space *space = predictor->space;
    const size_t batch_max = predictor->kind->batch_max;
    const size_t most =
        batch_max > 0 && batch_max < CALIBRATION_MAX_ROWS ? batch_max : CALIBRATION_MAX_ROWS;
    const size_t n_kept = n < most ? n : most;
    int32_t *kept_genes = NULL;
    double *block = NULL;
    struct calibration *calibration = NULL;
    enum err rc = choose_rows(space, genes, latency_ms, n, n_kept, &kept_genes, &block, err);

    if (rc == ERR_OK) {
        double *a = block + n_kept;
        double *sd = a + n_kept;
        const struct measurements measured = {kept_genes, a, sd, block, n_kept};
        rc = predictor_predict(predictor, kept_genes, n_kept, a, sd, err);
        rc = rc != ERR_OK ? rc
                          : calibration_fit(space, calibrator_prior(model), hardware, &measured,
                                            &calibration, err);
    }
    rc = rc != ERR_OK ? rc : wrap_calibration(calibration, n_kept, out, err);
    mem_free(block);
    mem_free(kept_genes);
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

/* Where the numbers of a forecast lie in its block. `sd` and on only where the answer is more than A
 * times k. */
struct layout {
    double *a, *factors;
    double *sd;         /* (n) */
    double *latency_ms; /* (n_targets, n) */
    double *low, *high; /* likewise; low is the spread first */
};

static bool is_plain(const struct predict_request *request, struct fitted *const *fitted)
{
    bool is_calibrated = false;

    for (size_t t = 0; fitted != NULL && t < request->n_targets; t++) {
        is_calibrated = is_calibrated || fitted[t] != NULL;
    }
    return !is_calibrated && request->level == 0.0;
}

static enum err lay_out(const struct predict_request *request, bool is_plain_one,
                        struct forecast *forecast, struct layout *at, struct error *err)
{
    const size_t n = request->n_architectures;
    const size_t values = n * request->n_targets; /* bounded by the request's values_max */
    const size_t size = n + request->n_targets + (is_plain_one ? 0 : n + 3 * values);

    forecast->block = mem_calloc(size, sizeof *forecast->block);
    if (!is_plain_one) {
        forecast->calibrations = mem_calloc(request->n_targets, sizeof *forecast->calibrations);
    }
    if (forecast->block == NULL || (!is_plain_one && forecast->calibrations == NULL)) {
        return error_set(err, ERR_NOMEM, "no memory for %zu predictions", n);
    }
    at->a = forecast->block;
    at->factors = at->a + n;
    if (!is_plain_one) {
        at->sd = at->factors + request->n_targets;
        at->latency_ms = at->sd + n;
        at->low = at->latency_ms + values;
        at->high = at->low + values;
    }
    return ERR_OK;
}

/* Fills the rows of target `t`. */
static void predict_row(const struct predict_request *request, const struct fitted *fitted,
                        const struct layout *at, size_t t)
{
    const size_t n = request->n_architectures;
    double *latency_ms = at->latency_ms + t * n;
    double *low = at->low + t * n;
    double *high = at->high + t * n;

    if (fitted != NULL) {
        calibration_predict(fitted->calibration, request->genes, at->a, at->sd, n, latency_ms,
                            request->level > 0.0 ? low : NULL);
    }
    for (size_t i = 0; fitted == NULL && i < n; i++) {
        latency_ms[i] = at->a[i] * at->factors[t];
        if (request->level > 0.0) {
            low[i] = interval_spread(request->space, at->a[i], at->sd[i]);
        }
    }
    if (request->level > 0.0) {
        interval_bounds(latency_ms, low, n, request->level, low, high);
        for (size_t i = 0; i < n; i++) {
            high[i] = fmin(high[i], DBL_MAX); /* of a level next to 1 */
        }
    }
}

enum err forecast_make(const struct model *model, const struct predict_request *request,
                       struct fitted *const *fitted, struct forecast *out, struct error *err)
{
    const bool plain = is_plain(request, fitted);
    bool is_calibrated = false;
    struct layout at = {0};
    enum err rc;

    memset(out, 0, sizeof *out);
    rc = lay_out(request, plain, out, &at, err);
    if (rc == ERR_OK) {
        rc = predictor_predict(model->predictor, request->genes, request->n_architectures, at.a,
                               at.sd, err);
    }
    if (rc != ERR_OK) {
        forecast_close(out);
        return rc;
    }
    for (size_t t = 0; t < request->n_targets; t++) {
        const struct predict_target *target = &request->targets[t];
        at.factors[t] = target->lacks_hardware ? 0.0 : hardware_factor(&target->hardware);
        if (plain) {
            continue;
        }
        if (fitted != NULL && fitted[t] != NULL) {
            out->calibrations[t] = fitted[t]->told;
            is_calibrated = true;
        }
        predict_row(request, fitted != NULL ? fitted[t] : NULL, &at, t);
    }
    out->reply = (struct predict_reply){
        .request = request,
        .version = model->info.version,
        .predictor = model->predictor->kind->name,
        .info = &model->info,
        .parameter = at.a,
        .factors = at.factors,
        .latency_ms = at.latency_ms,
        .low_ms = request->level > 0.0 ? at.low : NULL,
        .high_ms = request->level > 0.0 ? at.high : NULL,
        .calibrations = is_calibrated ? out->calibrations : NULL,
    };
    return ERR_OK;
}

void forecast_close(struct forecast *forecast)
{
    mem_free(forecast->block);
    mem_free(forecast->calibrations);
    memset(forecast, 0, sizeof *forecast);
}

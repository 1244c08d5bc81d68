#include "server/unmeasured.h"

#include <math.h>

#include "core/interval.h"
#include "core/prior_rate.h"

enum { CHUNK_ROWS = 2048 }; /* some milliseconds' worth where a library is asked */

double unmeasured_factor(const struct model *model, const struct hardware *hardware)
{
    return model->prior != NULL ? prior_rate_factor(model->prior, hardware)
                                : hardware_factor(hardware);
}

/* Makes of deviations of A spreads of latency; NULL: of none. */
static void spread_of_a(const struct space *space, const double *a, double *sd, size_t n)
{
    for (size_t i = 0; sd != NULL && i < n; i++) {
        sd[i] = interval_spread(space, a[i], sd[i]);
    }
}

enum err unmeasured_predict(const struct model *model, const int32_t *genes, size_t n, double *rate,
                            double *spread, struct error *err)
{
    enum err rc;

    if (model->prior != NULL) {
        return prior_rate_predict(model->prior, model->rates, genes, n, rate, spread, err);
    }
    rc = predictor_predict(model->predictor, genes, n, rate, spread, err);
    if (rc == ERR_OK) {
        spread_of_a(model->predictor->space, rate, spread, n);
    }
    return rc;
}

enum err unmeasured_predict_told(const struct model *model, const int32_t *genes, size_t n,
                                 const struct fit_hooks *hooks, double *rate, double *spread,
                                 struct error *err)
{
    const size_t n_genes = model->predictor->space->n_genes;
    enum err rc = ERR_OK;

    if (model->prior == NULL) {
        rc = predictor_predict_told(model->predictor, genes, n, hooks, rate, spread, err);
        if (rc == ERR_OK) {
            spread_of_a(model->predictor->space, rate, spread, n);
        }
        return rc;
    }
    for (size_t done = 0; rc == ERR_OK && done < n; done += CHUNK_ROWS) {
        const size_t left = n - done;
        const struct fit_progress progress = {
            .stage = "predicting",
            .percent = 100.0 * (double)done / (double)n,
            .loss = NAN,
        };
        rc = fit_tell(hooks, &progress, err);
        rc = rc != ERR_OK ? rc
                          : unmeasured_predict(model, genes + done * n_genes,
                                               left < CHUNK_ROWS ? left : CHUNK_ROWS, rate + done,
                                               spread != NULL ? spread + done : NULL, err);
    }
    return rc;
}

#include "core/prior_rate.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

/* A device whose k is 1, so that its latencies are rates. */
static const struct hardware unit_device = {
    .frequency_ghz = 1.0,
    .dispatch_width = 2.0,
    .cache_mb = 1.0,
    .memory_bandwidth_gbs = 2.0,
};

struct prior_rate_table {
    const struct space *space;
    double *rate, *spread; /* (n_architectures), in one block, owned by `rate` */
};

static enum err compute(const struct calibration_prior *prior, const int32_t *genes, size_t n,
                        double *rate, double *spread, struct error *err)
{
    enum err rc = calibration_prior_predict(prior, &unit_device, genes, n, rate, spread, err);

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (!(rate[i] > 0.0 && isfinite(rate[i]))) {
            rc = error_set(err, ERR_NUMERIC, "the library of devices gives no finite latency");
        }
    }
    return rc;
}

static enum err fill(struct prior_rate_table *table, const struct calibration_prior *prior,
                     struct error *err)
{
    const struct space *space = table->space;
    const size_t n = space->n_architectures;
    int32_t *genes = mem_calloc(n, space->n_genes * sizeof *genes);
    enum err rc;

    table->rate = mem_calloc(n, 2 * sizeof *table->rate);
    if (genes == NULL || table->rate == NULL) {
        mem_free(genes);
        return error_set(err, ERR_NOMEM, "no memory for a table of %zu predictions", n);
    }
    table->spread = table->rate + n;
    for (size_t i = 0; i < n; i++) {
        space_unrank(space, i, genes + i * space->n_genes);
    }
    rc = compute(prior, genes, n, table->rate, table->spread, err);
    mem_free(genes);
    return rc;
}

enum err prior_rate_table_create(const struct calibration_prior *prior,
                                 struct prior_rate_table **out, struct error *err)
{
    struct prior_rate_table *table;
    enum err rc;

    if (prior->space->n_architectures == 0) {
        *out = NULL;
        return ERR_OK;
    }
    table = mem_calloc(1, sizeof *table);
    if (table == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a table of predictions");
    }
    table->space = prior->space;
    rc = fill(table, prior, err);
    if (rc != ERR_OK) {
        prior_rate_table_destroy(table);
        return rc;
    }
    *out = table;
    return ERR_OK;
}

void prior_rate_table_destroy(struct prior_rate_table *table)
{
    if (table != NULL) {
        mem_free(table->rate);
        mem_free(table);
    }
}

double prior_rate_factor(const struct calibration_prior *prior, const struct hardware *hardware)
{
    const double factor = hardware_factor(hardware);
    double log_ms;
    double sd;

    return calibration_prior_level(prior, factor, &log_ms, &sd) ? factor : 1.0;
}

enum err prior_rate_predict(const struct calibration_prior *prior,
                            const struct prior_rate_table *table, const int32_t *genes, size_t n,
                            double *rate, double *spread, struct error *err)
{
    if (table == NULL) {
        return compute(prior, genes, n, rate, spread, err);
    }
    for (size_t i = 0; i < n; i++) {
        const size_t rank = space_rank(table->space, genes + i * table->space->n_genes);
        rate[i] = table->rate[rank];
        if (spread != NULL) {
            spread[i] = table->spread[rank];
        }
    }
    return ERR_OK;
}

#include "core/space_standard.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"

enum { SAMPLE = 1024 };

void space_draw(const struct space *space, struct rng *rng, int32_t *genes)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        const struct gene *gene = &space->genes[g];
        genes[g] = gene_value(gene, (int32_t)rng_below(rng, (size_t)gene->n_values));
    }
}

enum err space_standardise(const struct space *space, size_t n_features,
                           void (*compute)(const struct space *space, const int32_t *genes,
                                           double *features),
                           double *mean, double *inverse, struct error *err)
{
    double *sample = mem_calloc(SAMPLE * n_features, sizeof *sample);
    struct rng rng;

    if (sample == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to standardise features");
    }
    rng_init(&rng, 1);
    for (size_t i = 0; i < SAMPLE; i++) {
        int32_t genes[SPACE_MAX_GENES];
        space_draw(space, &rng, genes);
        compute(space, genes, sample + i * n_features);
    }
    memset(mean, 0, n_features * sizeof *mean);
    memset(inverse, 0, n_features * sizeof *inverse);
    for (size_t i = 0; i < SAMPLE; i++) {
        for (size_t j = 0; j < n_features; j++) {
            mean[j] += sample[i * n_features + j] / SAMPLE;
        }
    }
    for (size_t i = 0; i < SAMPLE; i++) {
        for (size_t j = 0; j < n_features; j++) {
            double d = sample[i * n_features + j] - mean[j];
            inverse[j] += d * d / SAMPLE; /* as yet the variance */
        }
    }
    for (size_t j = 0; j < n_features; j++) {
        double sd = sqrt(inverse[j]);
        inverse[j] = sd > 1e-9 * (1.0 + fabs(mean[j])) ? 1.0 / sd : 0.0;
    }
    mem_free(sample);
    return ERR_OK;
}

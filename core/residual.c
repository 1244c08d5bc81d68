#include "core/residual.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>

#include "core/space_standard.h"

/* What is believed of a space that says nothing itself: as `make hyperparameters` derives it from the
 * devices of fbnet, known by their genes alone. */
#define SAME_KIND  0.0025
#define OTHER_KIND 0.014

static size_t count_values(const struct space *space)
{
    size_t n = 0;

    for (size_t g = 0; g < space->n_genes; g++) {
        n += (size_t)space->genes[g].n_values;
    }
    return n;
}

static void compute_one_hot(const struct space *space, const int32_t *genes, double *features)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        const struct gene *gene = &space->genes[g];
        for (int32_t v = 0; v < gene->n_values; v++) {
            *features++ = genes[g] == gene_value(gene, v) ? 1.0 : 0.0;
        }
    }
}

/* Where the values are too many to be told apart. */
static void compute_values(const struct space *space, const int32_t *genes, double *features)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        features[g] = genes[g];
    }
}

static struct space_residuals common_residuals(const struct space *space)
{
    const size_t n_values = count_values(space);
    const bool is_one_hot = n_values <= SPACE_MAX_RESIDUALS;
    const size_t n = is_one_hot ? n_values : space->n_genes;

    return (struct space_residuals){
        .n_features = n,
        .n_groups = 1,
        .groups = {{n, SAME_KIND, OTHER_KIND}},
        .compute = is_one_hot ? compute_one_hot : compute_values,
    };
}

static struct space_residuals residuals_of(const struct space *space)
{
    return space->residuals != NULL ? *space->residuals : common_residuals(space);
}

size_t residual_count(const struct space *space)
{
    return residuals_of(space).n_features;
}

enum err residual_basis_init(struct residual_basis *basis, const struct space *space,
                             struct error *err)
{
    basis->space = space;
    basis->residuals = residuals_of(space);
    basis->p = basis->residuals.n_features;
    basis->q = basis->p + RESIDUAL_FIRST;
    assert(basis->p <= SPACE_MAX_RESIDUALS);
    return space_standardise(space, basis->p, basis->residuals.compute, basis->mean, basis->inverse,
                             err);
}

void residual_describe(const struct residual_basis *basis, const int32_t *genes, double *x)
{
    x[0] = 1.0;
    x[RESIDUAL_BASE] = 0.0;
    basis->residuals.compute(basis->space, genes, x + RESIDUAL_FIRST);
}

void residual_standardised(const struct residual_basis *basis, size_t j, double *row)
{
    memset(row, 0, basis->q * sizeof *row);
    row[0] = -basis->mean[j] * basis->inverse[j];
    row[RESIDUAL_FIRST + j] = basis->inverse[j];
}

void residual_function(const struct residual_basis *basis, const double *coefficients, double *row)
{
    row[0] = coefficients[0];
    row[RESIDUAL_BASE] = 0.0;
    for (size_t j = 0; j < basis->p; j++) {
        double c = coefficients[1 + j] * basis->inverse[j];
        row[RESIDUAL_FIRST + j] = c;
        row[0] -= c * basis->mean[j];
    }
}

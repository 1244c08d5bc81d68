#include "core/search.h"

#include "core/search_genetic.h"

/* Whether the genes of row i come before those of row j, the first gene weighing most: where
 * architectures are numbered, that is the order of their numbers. */
static bool comes_first(const struct search_candidates *c, size_t i, size_t j)
{
    const size_t n_genes = c->space->n_genes;
    const int32_t *x = c->genes + i * n_genes;
    const int32_t *y = c->genes + j * n_genes;
    size_t g = 0;

    while (g < n_genes && x[g] == y[g]) {
        g++;
    }
    return g < n_genes && x[g] < y[g];
}

static bool is_better(const struct search_candidates *c, size_t i, size_t j)
{
    if (c->accuracy[i] != c->accuracy[j] || c->cost[i] != c->cost[j]) {
        return genetic_is_better(c->accuracy[i], c->cost[i], c->accuracy[j], c->cost[j]);
    }
    return comes_first(c, i, j);
}

struct search_result search_exhaustive(const struct search_candidates *candidates)
{
    struct search_result result = {0};

    for (size_t i = 1; i < candidates->n; i++) {
        if (is_better(candidates, i, result.best)) {
            result.best = i;
        }
    }
    result.is_feasible = candidates->n > 0 && candidates->cost[result.best] <= 1.0;
    return result;
}

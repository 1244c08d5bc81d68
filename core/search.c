#include "core/search.h"

#include <math.h>

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
    if (c->accuracy[i] != c->accuracy[j]) {
        return c->accuracy[i] > c->accuracy[j];
    }
    if (c->latency_ms[i] != c->latency_ms[j]) {
        return c->latency_ms[i] < c->latency_ms[j];
    }
    return comes_first(c, i, j);
}

struct search_result search_exhaustive(const struct search_candidates *candidates,
                                       double latency_limit_ms)
{
    struct search_result result = {.lowest_latency_ms = INFINITY};

    for (size_t i = 0; i < candidates->n; i++) {
        result.lowest_latency_ms = fmin(result.lowest_latency_ms, candidates->latency_ms[i]);
        if (candidates->latency_ms[i] <= latency_limit_ms &&
            (!result.is_feasible || is_better(candidates, i, result.best))) {
            result.is_feasible = true;
            result.best = i;
        }
    }
    return result;
}

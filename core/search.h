/* Search for the best architecture under a latency limit. Pure functions, thread-safe. */
#ifndef DGLD_CORE_SEARCH_H
#define DGLD_CORE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/space.h"

/* Architectures whose accuracy and latency are known: n rows, borrowed. */
struct search_candidates {
    const struct space *space;
    size_t n;
    const int32_t *genes;     /* (n, n_genes), valid */
    const double *accuracy;   /* (n), the higher the better; finite */
    const double *latency_ms; /* (n), finite */
};

struct search_result {
    bool is_feasible;         /* false: no architecture keeps the limit */
    size_t best;              /* its row, where there is one */
    double lowest_latency_ms; /* of all; infinite where n is 0 */
};

/* Looks at every candidate: of those whose latency is at most the limit, the most accurate is the
 * best; of equally accurate ones the faster, then the one whose genes come first in order. So the
 * order of the candidates does not matter. */
struct search_result search_exhaustive(const struct search_candidates *candidates,
                                       double latency_limit_ms);

#endif

/* Search for the best architecture under limits, among some that are all looked at. Pure functions,
 * thread-safe. */
#ifndef DGLD_CORE_SEARCH_H
#define DGLD_CORE_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/space.h"

/* Architectures whose accuracy and cost are known: n rows, borrowed. */
struct search_candidates {
    const struct space *space;
    size_t n;
    const int32_t *genes;   /* (n, n_genes), valid */
    const double *accuracy; /* (n), the higher the better; finite */
    const double *cost;     /* (n), finite: at most 1 where all limits are kept, else how many times
                               the architecture is beyond them */
};

struct search_result {
    bool is_feasible; /* false: no architecture keeps the limits */
    size_t best;      /* its row; where none is feasible, that of the lowest cost; n 0: 0 */
};

/* Looks at every candidate: of those that keep the limits the most accurate is the best; of equally
 * accurate ones that of the lower cost, then the one whose genes come first in order. So the order
 * of the candidates does not matter. */
struct search_result search_exhaustive(const struct search_candidates *candidates);

#endif

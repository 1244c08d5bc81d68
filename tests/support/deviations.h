/* For tests that fail allocations, or count blocks: what a predictor makes when it is first asked for a
 * deviation is there, and stays. */
#ifndef DGLD_TESTS_SUPPORT_DEVIATIONS_H
#define DGLD_TESTS_SUPPORT_DEVIATIONS_H

#include "core/predictor.h"
#include "tests/support/check.h"

static inline void make_deviations(const struct predictor *predictor)
{
    int32_t genes[SPACE_MAX_GENES];
    struct error err = {0};
    double a, sd;

    if (predictor->space->n_architectures > 0) {
        space_unrank(predictor->space, 0, genes);
        assert_ok(predictor_predict(predictor, genes, 1, &a, &sd, &err), &err);
    }
}

#endif

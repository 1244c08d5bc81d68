#include "core/scale_each.h"

#include <math.h>

#include "core/vector_clones.h"

enum { LANES = 16 }; /* sums side by side, whose order is ours and not the compiler's */

VECTOR_CLONES bool scale_each(const double *restrict a, const double *restrict factor, size_t n,
                              float *restrict out)
{
    float zeros[LANES] = {0.0F}; /* 0 times what is not finite is not 0 */
    float sum = 0.0F;
    size_t i = 0;

    for (size_t j = 0; j < n; j++) {
        out[j] = (float)(a[j] * factor[j]);
    }
    for (; i + LANES <= n; i += LANES) {
        for (size_t k = 0; k < LANES; k++) {
            zeros[k] += 0.0F * out[i + k];
        }
    }
    for (; i < n; i++) {
        sum += 0.0F * out[i];
    }
    for (size_t k = 0; k < LANES; k++) {
        sum += zeros[k];
    }
    return isfinite(sum);
}

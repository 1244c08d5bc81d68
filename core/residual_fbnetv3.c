/* What sets devices apart on an FBNetV3 network: how its MACs divide among kinds of operators, how
 * much memory traffic comes with a MAC, and the genes for the rest. */
#include <math.h>

#include "core/space_fbnetv3.h"

enum { N_SHARES = 8, KERNEL_AT = 0 };

/* Depthwise convolutions of each kernel size are a kind. */
static double count_depthwise(const int32_t *genes, const struct cost *cost, int32_t kernel)
{
    double macs = 0.0;

    for (size_t stage = 1; stage <= FBNETV3_N_STAGES; stage++) {
        if (genes[KERNEL_AT + stage - 1] == kernel) {
            macs += (double)cost->macs[COST_DEPTHWISE][stage];
        }
    }
    return macs;
}

static void compute_residuals(const struct space *space, const int32_t *genes, double *out)
{
    static const enum cost_kind kinds[] = {COST_CONV,           COST_EXPAND,   COST_PROJECT,
                                           COST_SQUEEZE_EXCITE, COST_SHORTCUT, COST_POINTWISE};
    struct cost cost = {0};
    double macs;

    space->count(genes, &cost);
    macs = (double)cost_total_macs(&cost);
    *out++ = log((double)(cost_kind_traffic_bytes(&cost, COST_EXPAND) +
                          cost_kind_traffic_bytes(&cost, COST_DEPTHWISE) +
                          cost_kind_traffic_bytes(&cost, COST_PROJECT)) /
                 macs);
    *out++ = count_depthwise(genes, &cost, 3) / macs;
    *out++ = count_depthwise(genes, &cost, 5) / macs;
    for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
        *out++ = (double)cost_kind_macs(&cost, kinds[k]) / macs;
    }
    for (size_t i = 0; i < FBNETV3_N_GENES; i++) {
        *out++ = genes[i];
    }
}

/* Deviations as `make hyperparameters` derives them from fbnet, whose networks are of the same family:
 * by how much of each block there is, and by where it is. */
const struct space_residuals fbnetv3_residuals = {
    .n_features = 1 + N_SHARES + FBNETV3_N_GENES,
    .n_groups = 2,
    .groups = {{1 + N_SHARES, 0.0025, 0.014}, {FBNETV3_N_GENES, 0.0025, 0.01}},
    .compute = compute_residuals,
};

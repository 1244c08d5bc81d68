/* What makes an FBNetV3 network slow: its operator costs by kind, the memory it moves, and the
 * genes for what the costs do not tell. */
#include <math.h>

#include "core/space_fbnetv3.h"

enum { N_COST_FEATURES = 8, KERNEL_AT = 0 };

/* Memory traffic weighs as much as ten MACs a value (of four bytes) in the nominal cost: a core
 * does some ten MACs in the time in which it moves one value through memory. Traffic is that of the
 * three convolutions of the bottlenecks, which move the large maps. */
#define MACS_PER_TRAFFIC_BYTE 2.5

/* Depthwise convolutions run at another efficiency for each kernel size. */
static void split_depthwise(const int32_t *genes, const struct cost *cost, double *kernel3,
                            double *kernel5)
{
    *kernel3 = 0.0;
    *kernel5 = 0.0;
    for (size_t stage = 1; stage <= FBNETV3_N_STAGES; stage++) {
        double macs = (double)cost->macs[COST_DEPTHWISE][stage];
        *(genes[KERNEL_AT + stage - 1] == 3 ? kernel3 : kernel5) += macs;
    }
}

static void compute_features(const struct space *space, const int32_t *genes, double *log_nominal,
                             double *features)
{
    struct cost cost = {0};
    double macs;
    double traffic_bytes;

    space->count(genes, &cost);
    macs = (double)cost_total_macs(&cost);
    traffic_bytes = (double)(cost_kind_traffic_bytes(&cost, COST_EXPAND) +
                             cost_kind_traffic_bytes(&cost, COST_DEPTHWISE) +
                             cost_kind_traffic_bytes(&cost, COST_PROJECT));
    *log_nominal = log(macs + MACS_PER_TRAFFIC_BYTE * traffic_bytes);
    *features++ = log(macs);
    *features++ = log(traffic_bytes);

    *features++ = (double)cost_kind_macs(&cost, COST_CONV);
    *features++ = (double)cost_kind_macs(&cost, COST_EXPAND);
    split_depthwise(genes, &cost, features, features + 1);
    features += 2;
    *features++ = (double)cost_kind_macs(&cost, COST_PROJECT);
    *features++ = (double)cost_kind_macs(&cost, COST_SQUEEZE_EXCITE);
    *features++ = (double)cost_kind_macs(&cost, COST_SHORTCUT);
    *features++ = (double)cost_kind_macs(&cost, COST_POINTWISE); /* the head */

    for (size_t i = 0; i < FBNETV3_N_GENES; i++) {
        *features++ = genes[i];
    }
}

const struct space_features fbnetv3_features = {
    .n_features = 2 + N_COST_FEATURES + FBNETV3_N_GENES,
    .n_groups = 3,
    .group_sizes = {2, N_COST_FEATURES, FBNETV3_N_GENES},
    .compute = compute_features,
};

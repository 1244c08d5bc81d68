/* Accuracy of FBNetV3 networks where a user has trained ones to learn from: a Gaussian process on
 * the genes and the logarithm of the MACs. */
#include <math.h>

#include "core/accuracy_kernel.h"
#include "core/space_fbnetv3.h"

enum { N_POINTS = 300 };

/* Genes with more than two values, whose squares tell something. */
enum { N_WIDE_GENES = FBNETV3_N_GENES - FBNETV3_N_STAGES };

/* A gene drawn at random has mean 0 and variance 1 after this. */
static double standardised(const struct gene *gene, int32_t value)
{
    const double n = gene->n_values;
    const double sd = sqrt((n * n - 1.0) / 12.0);

    return (gene_index(gene, value) - 0.5 * (n - 1.0)) / sd;
}

/* Of log MACs over random networks. */
#define LOG_MACS_MEAN 20.30
#define LOG_MACS_SD   0.18

/* The squares let an optimum lie within a gene's range, gene by gene; what genes do together is the
 * nonlinear part's. */
static void compute_features(const int32_t *genes, double *features)
{
    struct cost cost = {0};
    double macs;

    for (size_t i = 0; i < FBNETV3_N_GENES; i++) {
        double z = standardised(&space_fbnetv3.genes[i], genes[i]);
        *features++ = z;
        if (space_fbnetv3.genes[i].n_values > 2) {
            *features++ = z * z - 1.0;
        }
    }
    space_fbnetv3.count(genes, &cost);
    macs = (log((double)cost_total_macs(&cost)) - LOG_MACS_MEAN) / LOG_MACS_SD;
    *features++ = macs;
    *features = macs * macs - 1.0;
}

static const struct accuracy_features features_of_genes = {
    .n_features = FBNETV3_N_GENES + N_WIDE_GENES + 2,
    .n_points = N_POINTS,
    .linear = 0.1,
    .compute = compute_features,
};

/* From almost linear to what changes within a few genes, from exact tables to noisy ones. */
static const struct accuracy_setting settings[] = {
    {0.05, 0.01 },
    {0.02, 0.001},
    {0.02, 0.1  },
    {0.05, 0.1  },
    {0.1,  0.001},
    {0.1,  0.01 },
    {0.1,  0.1  },
    {0.2,  0.1  },
};

const struct accuracy_kind accuracy_kind_genes = {
    .name = "genes",
    .about = "a Gaussian process on the genes and the MACs, fitted to networks of the user's own",
    .space = &space_fbnetv3,
    .features = &features_of_genes,
    .settings = settings,
    .n_settings = sizeof settings / sizeof *settings,
    .rows_min = 20,
    .is_validated = true,
    .is_distrusting = true,
    .fit = accuracy_kernel_fit,
    .predict = accuracy_kernel_predict,
    .weights = accuracy_kernel_weights,
    .load = accuracy_kernel_load,
    .destroy = accuracy_kernel_destroy,
};

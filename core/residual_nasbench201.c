/* What sets devices apart on a NAS-Bench-201 cell. Mobile runtimes at 224x224 run every operator;
 * others drop what no path from input to output uses, run parallel edges one after another or at
 * once, and at 32x32 spend as much time on starting an operator as on running it. So the features
 * are counts of operators, of those that are alive, and depths, with the places of live operators
 * for what these leave, and roots of live costs for devices on which latency is their sum. */
#include <math.h>
#include <string.h>

#include "core/space_nasbench201.h"

enum {
    N_PATHS = 4,
    N_SUMS = 5,
    N_LIVE_OPERATORS = NASBENCH201_N_OPERATORS - 1,
    N_COUNTS = NASBENCH201_N_OPERATORS + N_LIVE_OPERATORS + 2 + N_PATHS,
    N_PLACES = NASBENCH201_N_EDGES * N_LIVE_OPERATORS,
};

/* Lengths of the longest live path, in convolutions, in 3x3 ones, in operators, and in those that are
 * no skip: what each operator (of number 1 to 5; see enum nasbench201_operator) adds. */
static const double path_steps[N_PATHS][NASBENCH201_N_OPERATORS + 1] = {
    {0, 0, 0, 1, 1, 0},
    {0, 0, 0, 0, 1, 0},
    {0, 0, 1, 1, 1, 1},
    {0, 0, 0, 1, 1, 1},
};

/* Costs of an operator beside a constant: MACs, with much and little around the cells; traffic too;
 * a fixed time a convolution; both. The constant stands in the place of the operator "none". */
static const double sum_costs[N_SUMS][NASBENCH201_N_OPERATORS + 1] = {
    {0, 1.0, 0.0, 1.0, 9.0, 0.0},
    {0, 0.3, 0.0, 1.0, 9.0, 0.0},
    {0, 1.0, 0.3, 1.0, 3.0, 1.0},
    {0, 0.3, 0.0, 1.0, 1.0, 0.0},
    {0, 1.0, 0.0, 1.0, 2.0, 1.0},
};

/* From input to output; 0 where no path is alive. */
static double longest_path(const int32_t *genes, const bool *live, const double *steps)
{
    double reach[NASBENCH201_N_NODES] = {0};

    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        const struct nasbench201_edge *edge = &nasbench201_edges[e];
        if (live[e]) {
            reach[edge->to] = fmax(reach[edge->to], reach[edge->from] + steps[genes[e]]);
        }
    }
    return reach[NASBENCH201_N_NODES - 1];
}

/* How many sums of feature maps the live edges need. */
static double count_sums(const bool *live)
{
    size_t n_in[NASBENCH201_N_NODES] = {0};
    size_t sums = 0;

    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        n_in[nasbench201_edges[e].to] += live[e] ? 1 : 0;
    }
    for (size_t node = 0; node < NASBENCH201_N_NODES; node++) {
        sums += n_in[node] > 1 ? n_in[node] - 1 : 0;
    }
    return (double)sums;
}

static void compute_residuals(const struct space *space, const int32_t *genes, double *out)
{
    double n_all[NASBENCH201_N_OPERATORS + 1] = {0};
    double n_live[NASBENCH201_N_OPERATORS + 1] = {0};
    bool live[NASBENCH201_N_EDGES];
    bool is_alive = false;

    (void)space;
    nasbench201_mark_live(genes, live);
    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        n_all[genes[e]] += 1.0;
        n_live[genes[e]] += live[e] ? 1.0 : 0.0;
        is_alive = is_alive || live[e];
    }
    memcpy(out, n_all + NASBENCH201_NONE, NASBENCH201_N_OPERATORS * sizeof *out);
    out += NASBENCH201_N_OPERATORS;
    memcpy(out, n_live + NASBENCH201_SKIP, N_LIVE_OPERATORS * sizeof *out);
    out += N_LIVE_OPERATORS;
    *out++ = is_alive ? 1.0 : 0.0;
    *out++ = count_sums(live);
    for (size_t k = 0; k < N_PATHS; k++) {
        *out++ = longest_path(genes, live, path_steps[k]);
    }
    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        for (int op = NASBENCH201_SKIP; op <= NASBENCH201_POOL; op++) {
            *out++ = live[e] && genes[e] == op ? 1.0 : 0.0;
        }
    }
    for (size_t k = 0; k < N_SUMS; k++) {
        double cost = sum_costs[k][NASBENCH201_NONE];
        for (int op = NASBENCH201_SKIP; op <= NASBENCH201_POOL; op++) {
            cost += sum_costs[k][op] * n_live[op];
        }
        *out++ = sqrt(cost);
    }
}

/* Deviations as `make hyperparameters` derives them from the nine devices of the library. */
const struct space_residuals nasbench201_residuals = {
    .n_features = N_COUNTS + N_PLACES + N_SUMS,
    .n_groups = 3,
    .groups = {{N_COUNTS, 0.01, 0.08}, {N_PLACES, 0.04, 0.0025}, {N_SUMS, 0.0025, 0.04}},
    .compute = compute_residuals,
};

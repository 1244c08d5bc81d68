/* What makes a NAS-Bench-201 cell slow, beside its MACs. Mobile runtimes execute a graph, not a sum
 * of operators: they run an operator on a feature map once however many edges ask for it, fuse what
 * follows, and move maps through memory. So the features describe which kinds of operators meet at
 * a node: what leaves it, what enters it, and what follows what. */
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/space_nasbench201.h"

enum { N_NODES = 4, N_INNER = 3, N_KINDS = 4 };

/* Kinds of operators that a runtime treats alike. */
enum { KIND_NONE, KIND_SKIP, KIND_CONV, KIND_POOL };

static const int kind_of[NASBENCH201_N_OPERATORS + 1] = {
    [NASBENCH201_NONE] = KIND_NONE,  [NASBENCH201_SKIP] = KIND_SKIP,
    [NASBENCH201_CONV1] = KIND_CONV, [NASBENCH201_CONV3] = KIND_CONV,
    [NASBENCH201_POOL] = KIND_POOL,
};

/* A cell seen from its nodes. */
struct cell {
    bool leaves[N_NODES][N_KINDS]; /* an edge of that kind starts at the node */
    bool enters[N_NODES][N_KINDS]; /* an edge of that kind ends there */
    unsigned n_operators[NASBENCH201_N_OPERATORS + 1];
    unsigned n_live[NASBENCH201_N_OPERATORS + 1]; /* on some path from input to output */
};

static void describe_cell(const int32_t *genes, struct cell *cell)
{
    bool live[NASBENCH201_N_EDGES];

    nasbench201_mark_live(genes, live);
    memset(cell, 0, sizeof *cell);
    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        int kind = kind_of[genes[e]];
        cell->leaves[nasbench201_edges[e].from][kind] = true;
        cell->enters[nasbench201_edges[e].to][kind] = true;
        cell->n_operators[genes[e]]++;
        cell->n_live[genes[e]] += live[e] ? 1 : 0;
    }
}

/* Convolutions by their MACs; a pooling costs about as much as the three 1x1 convolutions whose
 * traffic it causes, and equal poolings of one map are run once. */
static double log_nominal_cost(const struct cell *cell)
{
    unsigned n_pools = 0;

    for (size_t node = 0; node < N_INNER; node++) {
        n_pools += cell->leaves[node][KIND_POOL];
    }
    return log(3.0 + cell->n_operators[NASBENCH201_CONV1] +
               3.0 * cell->n_operators[NASBENCH201_CONV3] + 3.0 * n_pools);
}

static double *put_counts(const struct cell *cell, double *out)
{
    for (int op = NASBENCH201_NONE; op <= NASBENCH201_POOL; op++) {
        *out++ = cell->n_operators[op];
    }
    for (int op = NASBENCH201_SKIP; op <= NASBENCH201_POOL; op++) {
        *out++ = cell->n_live[op];
    }
    return out;
}

static double *put_flags(bool flags[][N_KINDS], double *out)
{
    for (size_t node = 0; node < N_INNER; node++) {
        for (size_t kind = 0; kind < N_KINDS; kind++) {
            *out++ = flags[node][kind];
        }
    }
    return out;
}

/* Which operator each edge holds: the same operator need not cost the same at every place. */
static double *put_one_hot(const int32_t *genes, double *out)
{
    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        for (int op = NASBENCH201_NONE; op <= NASBENCH201_POOL; op++) {
            *out++ = genes[e] == op ? 1.0 : 0.0;
        }
    }
    return out;
}

/* At how many inner nodes one kind follows another. */
static double *put_chains(const struct cell *cell, double *out)
{
    for (size_t kind = 0; kind < N_KINDS; kind++) {
        for (size_t next = 0; next < N_KINDS; next++) {
            *out++ = (cell->enters[1][kind] && cell->leaves[1][next] ? 1.0 : 0.0) +
                     (cell->enters[2][kind] && cell->leaves[2][next] ? 1.0 : 0.0);
        }
    }
    return out;
}

static void compute_features(const struct space *space, const int32_t *genes, double *log_nominal,
                             double *features)
{
    struct cell cell;

    (void)space;
    describe_cell(genes, &cell);
    *log_nominal = log_nominal_cost(&cell);
    *features++ = *log_nominal;
    features = put_counts(&cell, features);
    features = put_flags(cell.leaves, features);     /* of nodes 0 to 2 */
    features = put_flags(cell.enters + 1, features); /* of nodes 1 to 3 */
    features = put_one_hot(genes, features);
    (void)put_chains(&cell, features);
}

const struct space_features nasbench201_features = {
    .n_features = 80,
    .n_groups = 5,
    .group_sizes = {1, 9, 24, 30, 16},
    .compute = compute_features,
};

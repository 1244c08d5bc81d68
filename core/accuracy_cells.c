/* What makes a NAS-Bench-201 cell accurate: the paths from its input to its output, as sequences of
 * operators. A skip is not an operator on a path, a path with a `none` does not exist, and edges on
 * no path do not count; so cells that compute the same function have the same features. */
#include <stdbool.h>
#include <string.h>

#include "core/accuracy_kernel.h"
#include "core/space_nasbench201.h"

enum { N_PATHS = 4, MAX_LENGTH = 3, N_OPERATORS = 3, N_SEQUENCES = 1 + 3 + 9 + 27 };

/* Edges of each path, from the input on; -1 ends it. */
static const int path_edges[N_PATHS][MAX_LENGTH] = {
    {3, -1, -1},
    {0, 4,  -1},
    {1, 5,  -1},
    {0, 2,  5 }
};

/* Operators that do something, as digits of a sequence. */
enum { CONV1, CONV3, POOL };

struct path {
    int operators[MAX_LENGTH];
    int length; /* of the operators that do something */
};

struct paths {
    struct path items[N_PATHS];
    size_t n;
    int n_live[NASBENCH201_N_OPERATORS + 1]; /* edges on some path, by operator */
};

/* What is summed up over a path; features are its greatest and smallest value and the sum. The
 * scales are by how much each tells, found on random training sets of 4,000 cells. */
enum { N_CONV3, N_CONV1, N_POOL, N_ANY, N_CONV, FIELD, N_QUANTITIES };

static const double quantity_scales[N_QUANTITIES] = {
    [N_CONV3] = 0.1, [N_CONV1] = 0.0125, [N_POOL] = 0.25,
    [N_ANY] = 0.1,   [N_CONV] = 0.13,    [FIELD] = 0.04,
};
static const double sequence_scales[MAX_LENGTH + 1] = {0.1, 0.1, 0.055, 0.06};
#define PATHS_SCALE 0.1
#define LIVE_SCALE  0.1
#define ENDS_SCALE  0.04

static void find_paths(const int32_t *genes, struct paths *paths)
{
    bool is_live[NASBENCH201_N_EDGES] = {false};

    memset(paths, 0, sizeof *paths);
    for (size_t p = 0; p < N_PATHS; p++) {
        struct path path = {.length = 0};
        bool exists = true;
        for (size_t i = 0; i < MAX_LENGTH && path_edges[p][i] >= 0; i++) {
            int32_t op = genes[path_edges[p][i]];
            exists = exists && op != NASBENCH201_NONE;
            if (op >= NASBENCH201_CONV1) {
                path.operators[path.length++] = op - NASBENCH201_CONV1;
            }
        }
        for (size_t i = 0; exists && i < MAX_LENGTH && path_edges[p][i] >= 0; i++) {
            is_live[path_edges[p][i]] = true;
        }
        if (exists) {
            paths->items[paths->n++] = path;
        }
    }
    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        paths->n_live[genes[e]] += is_live[e];
    }
}

static void quantify(const struct path *path, int *quantities)
{
    int counts[N_OPERATORS] = {0};

    for (int i = 0; i < path->length; i++) {
        counts[path->operators[i]]++;
    }
    quantities[N_CONV3] = counts[CONV3];
    quantities[N_CONV1] = counts[CONV1];
    quantities[N_POOL] = counts[POOL];
    quantities[N_ANY] = path->length;
    quantities[N_CONV] = counts[CONV1] + counts[CONV3];
    quantities[FIELD] = 1 + 2 * (counts[CONV3] + counts[POOL]); /* receptive field */
}

/* How many paths are each sequence, shorter ones first. */
static double *put_sequences(const struct paths *paths, double *out)
{
    memset(out, 0, N_SEQUENCES * sizeof *out);
    for (size_t p = 0; p < paths->n; p++) {
        const struct path *path = &paths->items[p];
        int number = 0;
        int first = 0; /* of the sequences of that length */
        int n_of_length = 1;
        for (int i = 0; i < path->length; i++) {
            number = number * N_OPERATORS + path->operators[i];
            first += n_of_length;
            n_of_length *= N_OPERATORS;
        }
        out[first + number] += sequence_scales[path->length];
    }
    return out + N_SEQUENCES;
}

/* Without any path the greatest and the smallest are -1, apart from all that exist. */
static double *put_quantities(const struct paths *paths, double *out)
{
    int most[N_QUANTITIES];
    int least[N_QUANTITIES];
    int sum[N_QUANTITIES] = {0};

    for (size_t q = 0; q < N_QUANTITIES; q++) {
        most[q] = least[q] = -1;
    }
    for (size_t p = 0; p < paths->n; p++) {
        int quantities[N_QUANTITIES];
        quantify(&paths->items[p], quantities);
        for (size_t q = 0; q < N_QUANTITIES; q++) {
            most[q] = quantities[q] > most[q] ? quantities[q] : most[q];
            least[q] = p == 0 || quantities[q] < least[q] ? quantities[q] : least[q];
            sum[q] += quantities[q];
        }
    }
    for (size_t q = 0; q < N_QUANTITIES; q++) {
        *out++ = quantity_scales[q] * most[q];
        *out++ = quantity_scales[q] * least[q];
        *out++ = quantity_scales[q] * sum[q];
    }
    return out;
}

/* What paths begin and end with. */
static void put_ends(const struct paths *paths, double *out)
{
    memset(out, 0, sizeof *out * 2 * N_OPERATORS);
    for (size_t p = 0; p < paths->n; p++) {
        const struct path *path = &paths->items[p];
        if (path->length > 0) {
            out[path->operators[path->length - 1]] += ENDS_SCALE;
            out[N_OPERATORS + path->operators[0]] += ENDS_SCALE;
        }
    }
}

static void compute_features(const int32_t *genes, double *features)
{
    struct paths paths;

    find_paths(genes, &paths);
    features = put_sequences(&paths, features);
    *features++ = PATHS_SCALE * (double)paths.n;
    features = put_quantities(&paths, features);
    *features++ = LIVE_SCALE * paths.n_live[NASBENCH201_CONV1];
    *features++ = LIVE_SCALE * paths.n_live[NASBENCH201_CONV3];
    put_ends(&paths, features);
}

static const struct accuracy_features features_of_cells = {
    .n_features = N_SEQUENCES + 1 + 3 * N_QUANTITIES + 2 + 2 * N_OPERATORS,
    .n_points = ACCURACY_MAX_POINTS,
    .linear = 0.0,
    .compute = compute_features,
};

static const struct accuracy_setting settings[] = {
    {1.0, 0.002}
};

const struct accuracy_kind accuracy_kind_cells = {
    .name = "cells",
    .about = "a Gaussian process on the paths of operators through a NAS-Bench-201 cell",
    .space = &space_nasbench201,
    .features = &features_of_cells,
    .settings = settings,
    .n_settings = sizeof settings / sizeof *settings,
    .split_rows = 4000,
    .rows_min = 20,
    .is_validated = true,
    .fit = accuracy_kernel_fit,
    .predict = accuracy_kernel_predict,
    .weights = accuracy_kernel_weights,
    .load = accuracy_kernel_load,
    .destroy = accuracy_kernel_destroy,
};

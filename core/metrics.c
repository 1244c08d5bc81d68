#include "core/metrics.h"

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "core/mem.h"

/* The values themselves must tell: their mean may be off by its rounding. */
static bool is_constant(const double *values, size_t n)
{
    size_t i = 1;

    while (i < n && values[i] == values[0]) {
        i++;
    }
    return i >= n;
}

double metrics_pearson(const double *x, const double *y, size_t n)
{
    double mean_x = 0.0;
    double mean_y = 0.0;
    double xx = 0.0;
    double yy = 0.0;
    double xy = 0.0;

    for (size_t i = 0; i < n; i++) {
        mean_x += x[i] / (double)n;
        mean_y += y[i] / (double)n;
    }
    for (size_t i = 0; i < n; i++) {
        double dx = x[i] - mean_x;
        double dy = y[i] - mean_y;
        xx += dx * dx;
        yy += dy * dy;
        xy += dx * dy;
    }
    if (is_constant(x, n) || is_constant(y, n) || !(xx > 0.0) || !(yy > 0.0)) {
        return NAN;
    }
    return fmax(-1.0, fmin(1.0, xy / (sqrt(xx) * sqrt(yy))));
}

/* A value with where it came from, to be sorted. */
struct ranked {
    double value;
    size_t at;
};

static int compare_ranked(const void *a, const void *b)
{
    const struct ranked *x = a;
    const struct ranked *y = b;

    if (x->value != y->value) {
        return x->value < y->value ? -1 : 1;
    }
    return (x->at > y->at) - (x->at < y->at);
}

/* ranks (n) receives ranks from 1, equal values their mean rank. */
static void rank_values(const double *values, size_t n, struct ranked *scratch, double *ranks)
{
    for (size_t i = 0; i < n; i++) {
        scratch[i].value = values[i];
        scratch[i].at = i;
    }
    qsort(scratch, n, sizeof *scratch, compare_ranked);
    for (size_t first = 0; first < n;) {
        size_t end = first + 1;
        while (end < n && scratch[end].value == scratch[first].value) {
            end++;
        }
        for (size_t i = first; i < end; i++) {
            ranks[scratch[i].at] = 0.5 * (double)(first + 1 + end);
        }
        first = end;
    }
}

/* Sorts `keys` ascending by merging and returns how many pairs stood in the wrong order (Knight's
 * algorithm, JASA 1966). `scratch` is (n). */
static uint64_t sort_counting_swaps(double *keys, double *scratch, size_t n)
{
    uint64_t swaps = 0;

    for (size_t width = 1; width < n; width *= 2) {
        for (size_t left = 0; left < n; left += 2 * width) {
            size_t middle = left + width < n ? left + width : n;
            size_t end = left + 2 * width < n ? left + 2 * width : n;
            size_t i = left;
            size_t j = middle;
            for (size_t k = left; k < end; k++) {
                if (i < middle && (j >= end || keys[i] <= keys[j])) {
                    scratch[k] = keys[i++];
                } else {
                    swaps += middle - i;
                    scratch[k] = keys[j++];
                }
            }
        }
        for (size_t k = 0; k < n; k++) {
            keys[k] = scratch[k];
        }
    }
    return swaps;
}

struct pair {
    double x, y;
};

static int compare_pairs(const void *a, const void *b)
{
    const struct pair *p = a;
    const struct pair *q = b;

    if (p->x != q->x) {
        return p->x < q->x ? -1 : 1;
    }
    return (p->y > q->y) - (p->y < q->y);
}

static double pairs_of(uint64_t n)
{
    return 0.5 * (double)n * (double)(n - 1);
}

/* Pairs tied in a sorted array of n doubles that lie `stride` doubles apart. */
static double count_ties(const double *sorted, size_t stride, size_t n)
{
    double ties = 0.0;
    size_t run = 1;

    for (size_t i = 1; i <= n; i++) {
        if (i < n && sorted[i * stride] == sorted[(i - 1) * stride]) {
            run++;
        } else {
            ties += pairs_of(run);
            run = 1;
        }
    }
    return ties;
}

/* tau-b in O(n log n). `keys` and `scratch` are (n). */
static double kendall_tau(const double *x, const double *y, size_t n, struct pair *pairs,
                          double *keys, double *scratch)
{
    double ties_both = 0.0;
    double ties_x;
    double ties_y;
    double swaps;
    double all = pairs_of(n);
    size_t run = 1;

    for (size_t i = 0; i < n; i++) {
        pairs[i].x = x[i];
        pairs[i].y = y[i];
    }
    qsort(pairs, n, sizeof *pairs, compare_pairs);
    for (size_t i = 1; i <= n; i++) {
        if (i < n && pairs[i].x == pairs[i - 1].x && pairs[i].y == pairs[i - 1].y) {
            run++;
        } else {
            ties_both += pairs_of(run);
            run = 1;
        }
    }
    ties_x = count_ties(&pairs[0].x, sizeof *pairs / sizeof(double), n);
    for (size_t i = 0; i < n; i++) {
        keys[i] = pairs[i].y;
    }
    swaps = (double)sort_counting_swaps(keys, scratch, n);
    ties_y = count_ties(keys, 1, n);
    if (!(all > ties_x) || !(all > ties_y)) {
        return NAN;
    }
    return (all - ties_x - ties_y + ties_both - 2.0 * swaps) /
           (sqrt(all - ties_x) * sqrt(all - ties_y));
}

static void compute_errors(const double *predicted, const double *measured, size_t n,
                           struct metrics *out)
{
    double squares = 0.0;
    double absolute = 0.0;
    double relative = 0.0;
    size_t n_within = 0;

    for (size_t i = 0; i < n; i++) {
        double error = fabs(predicted[i] - measured[i]);
        squares += error * error;
        absolute += error;
        relative += error / measured[i];
        n_within += error <= 0.1 * measured[i] ? 1 : 0;
    }
    out->rmse = sqrt(squares / (double)n);
    out->mae = absolute / (double)n;
    out->mape = relative / (double)n;
    out->within_10_percent = (double)n_within / (double)n;
}

enum err metrics_compute(const double *predicted, const double *measured, size_t n,
                         struct metrics *out, struct error *err)
{
    struct ranked *ranked;
    struct pair *pairs;
    double *ranks_x;
    double *ranks_y;
    enum err rc = ERR_OK;

    if (n == 0) {
        return error_set(err, ERR_INVALID, "there is nothing to compare");
    }
    ranked = mem_calloc(n, sizeof *ranked);
    pairs = mem_calloc(n, sizeof *pairs);
    ranks_x = mem_calloc(n, sizeof *ranks_x);
    ranks_y = mem_calloc(n, sizeof *ranks_y);
    if (ranked == NULL || pairs == NULL || ranks_x == NULL || ranks_y == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to compare %zu predictions", n);
        goto done;
    }
    out->n = n;
    compute_errors(predicted, measured, n, out);
    out->r = metrics_pearson(predicted, measured, n);
    rank_values(predicted, n, ranked, ranks_x);
    rank_values(measured, n, ranked, ranks_y);
    out->spearman = metrics_pearson(ranks_x, ranks_y, n);
    out->kendall = kendall_tau(predicted, measured, n, pairs, ranks_x, ranks_y);
done:
    mem_free(ranks_y);
    mem_free(ranks_x);
    mem_free(pairs);
    mem_free(ranked);
    return rc;
}

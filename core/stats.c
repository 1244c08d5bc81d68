#include "core/stats.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

double stats_median(double *values, size_t n)
{
    assert(n > 0);
    qsort(values, n, sizeof *values, compare_doubles);
    return n % 2 == 1 ? values[n / 2] : 0.5 * (values[n / 2 - 1] + values[n / 2]);
}

double stats_biweight(const double *values, size_t n, double scale, double *scratch)
{
    const double cutoff = 4.685 * scale; /* 95 % efficiency on normal data */
    double centre;

    memcpy(scratch, values, n * sizeof *values);
    centre = stats_median(scratch, n);
    for (int iteration = 0; scale > 0.0 && iteration < 20; iteration++) {
        double sum = 0.0;
        double weights = 0.0;
        double previous = centre;
        for (size_t i = 0; i < n; i++) {
            double u = (values[i] - centre) / cutoff;
            double w = fabs(u) < 1.0 ? (1.0 - u * u) * (1.0 - u * u) : 0.0;
            sum += w * values[i];
            weights += w;
        }
        if (!(weights > 0.0)) {
            break;
        }
        centre = sum / weights;
        if (fabs(centre - previous) < 1e-12) {
            break;
        }
    }
    return centre;
}

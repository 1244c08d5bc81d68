/* How well predictions agree with measurements. Pure functions, thread-safe.
 * Arrays are (n), borrowed for the call. */
#ifndef DGLD_CORE_METRICS_H
#define DGLD_CORE_METRICS_H

#include <stddef.h>

#include "core/error.h"

struct metrics {
    size_t n;
    double r;                 /* Pearson's correlation coefficient */
    double rmse;              /* root of the mean squared error, in the unit of the arrays */
    double mae;               /* mean absolute error, likewise */
    double mape;              /* mean of |predicted - measured| / measured, as a fraction */
    double within_10_percent; /* share of predictions within 10 % of the measured value */
    double spearman;          /* rank correlation, ties at their mean rank */
    double kendall;           /* tau-b: corrected for ties */
};

/* `measured` is positive and both arrays are finite. A correlation that is not defined (n < 2, or
 * no variation in one of the arrays) is NaN. ERR_NOMEM, and ERR_INVALID where n is 0. */
enum err metrics_compute(const double *predicted, const double *measured, size_t n,
                         struct metrics *out, struct error *err);

/* Pearson's r alone; NaN where it is not defined. */
double metrics_pearson(const double *x, const double *y, size_t n);

#endif

/* Order statistics and robust location. Pure functions, thread-safe. */
#ifndef DGLD_CORE_STATS_H
#define DGLD_CORE_STATS_H

#include <stddef.h>

/* Median of `values` (n), which are reordered; the mean of the two middle ones where n is even.
 * n must be positive. */
double stats_median(double *values, size_t n);

/* Tukey's biweight location of `values` (n, positive), started at their median, with residuals beyond
 * 4.685 * scale ignored (Beaton and Tukey, Technometrics 16, 1974; that cutoff has 95 % of the mean's
 * efficiency on normal data). `scratch` is (n). A scale of 0 gives the median. */
double stats_biweight(const double *values, size_t n, double scale, double *scratch);

#endif

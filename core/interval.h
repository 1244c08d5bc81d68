/* Bounds of a latency from its median and its spread.
 *
 * A predicted latency is log-t: its logarithm is Student's t with 4 degrees of freedom about the
 * log of the median, since single networks stray further than a normal distribution lets them. The
 * spread is the standard deviation of that logarithm, and bounds at a level are
 *
 *     median * exp(-q * spread), median * exp(q * spread),   q = interval_quantile(level)
 *
 * Pure functions, thread-safe. */
#ifndef DGLD_CORE_INTERVAL_H
#define DGLD_CORE_INTERVAL_H

#include <stddef.h>

#include "core/space.h"

/* What the four numbers of a data sheet leave unknown of a device, as a standard deviation of log
 * latency: for spaces that do not tell their own (struct space). Estimated on the nine phones of
 * REFERENCE.md leaving one out, the one thing that they are asked: the spread with which intervals of
 * 90 % without measurements hold 90 % on the phones of the space (here, on all), times the factor with
 * which those that the other phones tell hold 90 % of a phone left out.
 * tests/bench/evaluate_calibration prints both. No median follows from it. */
#define INTERVAL_DEVICE_SPREAD 0.135

/* Half the width of the central interval that holds a share `level` (0 < level < 1) of Student's t
 * with 4 degrees of freedom, in its standard deviations. */
double interval_quantile(double level);

/* The spread without measurements of the device: `a` is the network parameter, `sd` its standard
 * deviation (predictor_predict()). The latency's median is then a times the device factor. */
double interval_spread(const struct space *space, double a, double sd);

/* Bounds of n latencies at `level`: medians `latency_ms` (n), positive, and `spread` (n). low and
 * high (n) may be the inputs themselves, one each. */
void interval_bounds(const double *latency_ms, const double *spread, size_t n, double level,
                     double *low_ms, double *high_ms);

#endif

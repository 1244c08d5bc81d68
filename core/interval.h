/* Bounds of a latency from its median and its spread.
 *
 * A predicted latency is log-t: its logarithm is Student's t with 4 degrees of freedom about the log
 * of the median, since single networks stray further than a normal distribution lets them. The
 * spread is the standard deviation of that logarithm, and bounds at a level are
 *
 *     median * exp(-q * spread), median * exp(q * spread),   q = interval_quantile(level)
 *
 * Pure functions, thread-safe. */
#ifndef DGLD_CORE_INTERVAL_H
#define DGLD_CORE_INTERVAL_H

#include <stddef.h>

/* What the four numbers of a data sheet leave unknown of a device, as a standard deviation of log
 * latency: the root mean square over the nine phones of tests/support/evaluate_calibration of the
 * median log ratio of measured to predicted. Nothing but the width of the interval without
 * measurements follows from it. */
#define INTERVAL_DEVICE_SPREAD 0.15

/* Half the width of the central interval that holds a share `level` (0 < level < 1) of Student's t
 * with 4 degrees of freedom, in its standard deviations. */
double interval_quantile(double level);

/* The spread without measurements of the device: `a` is the network parameter, `sd` its standard
 * deviation (predictor_predict()). The latency's median is then a times the device factor. */
double interval_spread(double a, double sd);

/* Bounds of n latencies at `level`: medians `latency_ms` (n), positive, and `spread` (n). low and
 * high (n) may be the inputs themselves, one each. */
void interval_bounds(const double *latency_ms, const double *spread, size_t n, double level,
                     double *low_ms, double *high_ms);

#endif

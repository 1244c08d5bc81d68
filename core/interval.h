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

/* What the four numbers of a data sheet leave unknown of a device, and what single networks scatter
 * on one device beside what they do in A, as a standard deviation of log latency: for spaces that
 * do not tell their own (struct space). From the nine phones of REFERENCE.md: the mean square of
 * their median log ratios of measured to predicted, those of the space and that of all as one more
 * (the prior of unit information, which devices of the library do not speak against:
 * `make hyperparameters`), widened by Student's t for how few they are; and belief_numbers'
 * same_own_scatter as a standard deviation for the scatter. tests/bench/evaluate_calibration prints
 * what that gives for each phone from the others. No median follows from it. */
#define INTERVAL_DEVICE_SPREAD 0.148

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

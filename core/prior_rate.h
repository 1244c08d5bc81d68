/* What a library of devices says of one of which nothing was measured (calibration_prior_predict()),
 * in the form that A has:
 *
 *     latency_ms = rate(architecture) * factor(device)
 *
 * A data sheet tells how fast a device is on the whole, and the library alone how architectures
 * compare; so rates are the same for all devices, and the factor is k (core/device.h), or 1 where no
 * device of the library has a data sheet that k could be held against. A table of them is immutable
 * once made. Thread-safe. */
#ifndef DGLD_CORE_PRIOR_RATE_H
#define DGLD_CORE_PRIOR_RATE_H

#include "core/calibration_prior.h"

/* Rates of all architectures of a space that can be numbered. */
struct prior_rate_table;

/* Computes them: nasbench201's 15,625 take some tens of milliseconds. *out is NULL where the space
 * cannot be numbered. ERR_NOMEM, ERR_NUMERIC. The caller ends it with prior_rate_table_destroy(). */
enum err prior_rate_table_create(const struct calibration_prior *prior,
                                 struct prior_rate_table **out, struct error *err);

/* Accepts NULL. */
void prior_rate_table_destroy(struct prior_rate_table *table);

/* The factor of a device. */
double prior_rate_factor(const struct calibration_prior *prior, const struct hardware *hardware);

/* Rates of n architectures (genes: (n, n_genes), valid) into rate (n), and into spread (n; may be
 * NULL) the standard deviation of log latency, for interval_bounds(). `table` is that of the prior,
 * or NULL: then a call takes half a millisecond and each architecture some microseconds. ERR_NOMEM,
 * ERR_NUMERIC. */
enum err prior_rate_predict(const struct calibration_prior *prior,
                            const struct prior_rate_table *table, const int32_t *genes, size_t n,
                            double *rate, double *spread, struct error *err);

#endif

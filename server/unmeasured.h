/* What a model says of devices of which nothing is measured: latency_ms = rate * factor. Where it
 * learned from a library, rate and factor are the library's (core/prior_rate.h), else A and k
 * (core/device.h). Pure functions, thread-safe. */
#ifndef DGLD_SERVER_UNMEASURED_H
#define DGLD_SERVER_UNMEASURED_H

#include "core/device.h"
#include "core/error.h"
#include "proto/model_file.h"

/* The factor of a device. */
double unmeasured_factor(const struct model *model, const struct hardware *hardware);

/* Rates of n architectures: genes (n, n_genes) are valid, rate (n) receives them, and spread (n; may
 * be NULL) the standard deviation of log latency, for interval_bounds(). Errors of
 * predictor_predict() and prior_rate_predict(). */
enum err unmeasured_predict(const struct model *model, const int32_t *genes, size_t n, double *rate,
                            double *spread, struct error *err);

/* Does that some rows at a time, telling `hooks` (may be NULL) of the stage "predicting" in between.
 * ERR_CANCELED besides. */
enum err unmeasured_predict_told(const struct model *model, const int32_t *genes, size_t n,
                                 const struct fit_hooks *hooks, double *rate, double *spread,
                                 struct error *err);

#endif

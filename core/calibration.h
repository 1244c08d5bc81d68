/* Calibration: measurements of a device correct what is predicted for it.
 *
 * Three beliefs about the device are fitted to the measurements, each by the robust regression of
 * core/robust_fit.h, and predict together, each with the weight that its leave-one-out predictions
 * of the measurements earn (Geisser and Eddy, JASA 1979):
 *
 *  - it runs networks as the phones do that A was learned from. Then log latency = log A + log k,
 *    plus a level, a slope on log A and small corrections by the residual features of the space
 *    (struct space_residuals);
 *  - it is of another kind: the root of latency is that of A up to a level, with an offset and
 *    larger corrections by those features;
 *  - it is of the kinds that a library of devices was learned from (core/calibration_prior.h).
 *
 * A wild measurement moves none of them (Student's t), a few can only do as much as the first
 * belief leaves room for, and many say themselves what the device is like. All in a few
 * milliseconds.
 *
 * A calibration is immutable once fitted, so any number of threads may use it; who fitted it ends
 * it with calibration_destroy(). It belongs to the predictor whose A it was fitted with: where that
 * is replaced, measurements are to be fitted anew. */
#ifndef DGLD_CORE_CALIBRATION_H
#define DGLD_CORE_CALIBRATION_H

#include <stddef.h>
#include <stdint.h>

#include "core/calibration_prior.h"
#include "core/device.h"
#include "core/error.h"
#include "core/space.h"

/* More measurements are refused. Of more than CALIBRATION_USED_ROWS distinct architectures, evenly
 * chosen ones are used: the rest would not change what is learned, and time and memory (1 to 4 KB a
 * row) stay bounded. */
#define CALIBRATION_MAX_ROWS  ((size_t)200000)
#define CALIBRATION_USED_ROWS ((size_t)20000)

struct calibration;

/* What is measured of a device, borrowed for the call. An architecture that comes more than once
 * counts once, with the median of what was measured. */
struct measured {
    const int32_t *genes;     /* (n, n_genes), valid */
    const double *a;          /* (n): predicted A (predictor_predict()) ... */
    const double *sd;         /* (n): ... and its standard deviation; NULL: unknown */
    const double *latency_ms; /* (n), positive */
    size_t n;                 /* 1 to CALIBRATION_MAX_ROWS */
};

/* Fits. `hardware` is NULL for a device without data sheet: the measurements alone then tell its
 * level. `prior` (borrowed for the call) is what was learned from a library: the model's own, else
 * calibration_prior_shipped(); NULL: nothing. ERR_INVALID names the bad row; ERR_NOMEM;
 * ERR_NUMERIC. */
enum err calibration_fit(const struct space *space, const struct calibration_prior *prior,
                         const struct hardware *hardware, const struct measured *measured,
                         struct calibration **out, struct error *err);

/* The same with other numbers than belief_numbers (core/belief.h), which are derived that way. */
struct belief_numbers;
enum err calibration_fit_believing(const struct space *space, const struct calibration_prior *prior,
                                   const struct hardware *hardware, const struct measured *measured,
                                   const struct belief_numbers *numbers, struct calibration **out,
                                   struct error *err);

/* Predicts n architectures: genes (n, n_genes) valid, `a` and `sd` (n; sd may be NULL) as above.
 * latency_ms (n) receives medians, positive and finite; spread (n; may be NULL) the standard
 * deviation of log latency, for interval_bounds(). Cannot fail, allocates nothing, and gives an
 * architecture the same numbers whatever stands beside it. */
void calibration_predict(const struct calibration *calibration, const int32_t *genes,
                         const double *a, const double *sd, size_t n, double *latency_ms,
                         double *spread);

/* What a calibration tells of itself. */
struct calibration_report {
    size_t n_architectures; /* distinct ones it was fitted to */
    size_t n_distrusted;    /* of these, left out as wild by the belief of the largest weight */
    double same_kind;       /* weights of the beliefs, in the order above; they add up to 1 */
    double other_kind;
    double library;
    double scatter; /* standard deviation of log latency of single networks about the prediction */
};

void calibration_describe(const struct calibration *calibration, struct calibration_report *out);

/* Accepts NULL. */
void calibration_destroy(struct calibration *calibration);

#endif

/* Measurements put to use: fitted to a model, kept by reference count, and answered with.
 *
 * A struct fitted is immutable once made, so any number of threads may use one; the last to give it
 * back ends it. The other functions share nothing. */
#ifndef DGLD_SERVER_CALIBRATOR_H
#define DGLD_SERVER_CALIBRATOR_H

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "core/calibration.h"
#include "core/calibration_prior.h"
#include "core/device.h"
#include "core/error.h"
#include "proto/model_file.h"
#include "proto/msg_predict.h"

/* Measurements that a calibration was fitted to. */
struct fitted {
    struct calibration *calibration; /* owned */
    struct predict_calibration told;
    atomic_size_t n_uses;
};

/* What calibrations of the model start from, which may have no predictor; NULL: nothing. */
const struct calibration_prior *calibrator_prior(const struct space *space,
                                                 const struct model *model);

/* Measurements with what the model predicts of them. */
struct calibrator_rows {
    struct measured measured; /* borrows ... */
    int32_t *genes;           /* ... these, owned, */
    double *block;            /* and these, owned */
};

/* Predicts n measured architectures (1 or more). Of more than the model or a calibration takes, evenly
 * chosen ones are used. ERR_NOMEM and errors of predictor_predict(). The caller ends `out` with
 * calibrator_rows_close(). */
enum err calibrator_rows_open(const struct model *model, const int32_t *genes,
                              const double *latency_ms, size_t n, struct calibrator_rows *out,
                              struct error *err);

/* Accepts a zeroed struct. */
void calibrator_rows_close(struct calibrator_rows *rows);

/* Fits n measurements of a device, as calibrator_rows_open() chooses of them; `hardware` is NULL where
 * it has no data sheet. Errors of that and of calibration_fit(). The caller gives `out` back with
 * fitted_unref(). */
enum err fitted_create(const struct model *model, const struct hardware *hardware,
                       const int32_t *genes, const double *latency_ms, size_t n,
                       struct fitted **out, struct error *err);

/* One user more; returns it. Accepts NULL. */
struct fitted *fitted_ref(struct fitted *fitted);
/* Accepts NULL. */
void fitted_unref(struct fitted *fitted);

/* An answer to a request: what the reply shows, and its numbers. Ended by forecast_close(). */
struct forecast {
    struct predict_reply reply;               /* borrows the request and the model */
    double *block;                            /* owned; what the reply points to */
    struct predict_calibration *calibrations; /* owned, or NULL */
};

/* Predicts for all targets of the request; `fitted` (n_targets; may be NULL) are the calibrations of
 * each, NULL where there are no measurements (server/unmeasured.h). ERR_NOMEM and errors of
 * predictor_predict(). */
enum err forecast_make(const struct model *model, const struct predict_request *request,
                       struct fitted *const *fitted, struct forecast *out, struct error *err);

/* Accepts a zeroed struct. */
void forecast_close(struct forecast *forecast);

#endif

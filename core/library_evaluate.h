/* What a library of devices is worth: each device is predicted with what the others teach, after a few
 * measurements of its own. Thread-safe. */
#ifndef DGLD_CORE_LIBRARY_EVALUATE_H
#define DGLD_CORE_LIBRARY_EVALUATE_H

#include "core/calibration_prior.h"
#include "core/error.h"
#include "core/predictor.h"

enum { LIBRARY_N_SIZES = 4 };

/* How many measurements are tried: 0, 10, 20, 50. */
extern const size_t library_sizes[LIBRARY_N_SIZES];

/* Of one device, means over the draws, on the rows that were not drawn. NaN where a device has too few
 * rows for a size, or where a figure is not defined. */
struct library_figures {
    struct {
        double spearman, r, rmse_ms;
    } at[LIBRARY_N_SIZES];
};

/* Evaluates each device (as for calibration_prior_fit()) with `n_draws` draws a size; `predictor` gives A, or
 * NULL where there is none: A is then 1. At 0 measurements the others alone speak
 * (calibration_prior_predict()), and where there are no others nobody does. `figures` is (n_devices). `hooks`
 * (may be NULL) are told of the stage "validating". ERR_CANCELED, and as calibration_prior_fit(). */
enum err library_evaluate(const struct space *space, const struct predictor *predictor,
                          const struct library_device *devices, size_t n_devices, size_t n_draws,
                          uint64_t seed, const struct fit_hooks *hooks,
                          struct library_figures *figures, struct error *err);

#endif

/* Fits a calibration of a model to measurements of a device. Reentrant. */
#ifndef DGLD_SERVER_RUN_CALIBRATE_H
#define DGLD_SERVER_RUN_CALIBRATE_H

#include "core/calibration_prior.h"
#include "core/device.h"
#include "core/error.h"
#include "proto/model_file.h"
#include "server/device_library.h"

struct calibration;

/* `hardware` is NULL for a device without data sheet. Errors of predictor_predict() and
 * calibration_fit(); the caller ends `out` with calibration_destroy(). */
enum err run_calibrate(const struct model *model, const struct hardware *hardware,
                       const struct device_rows *rows, struct calibration **out, struct error *err);

#endif

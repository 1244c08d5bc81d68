/* What measurements make of the targets of a search. Reentrant. */
#ifndef DGLD_SERVER_NAS_CALIBRATION_H
#define DGLD_SERVER_NAS_CALIBRATION_H

#include "core/error.h"
#include "proto/job.h"
#include "proto/msg_device.h"
#include "server/calibrator.h"
#include "server/data_tree.h"

/* By target; NULL for one without measurements. */
struct nas_calibration {
    struct fitted *of[JOB_MAX_TARGETS]; /* a use of each */
};

/* Looks target `i` up. Where it is measured, by the search's order or, if the order says so, as is
 * stored, it needs no data sheet: then its hardware is all zero. */
enum err nas_find_target(const struct data_tree *tree, const struct space *space,
                         const struct job_nas_params *params, size_t i, struct device_sheet *out,
                         struct error *err);

/* Calibrates the model by the measurements of the order, or those that are stored of its targets.
 * ERR_NOT_FOUND where nothing is stored of any of them. The caller ends `out` with
 * nas_calibration_close() in every case. */
enum err nas_calibrate(const struct data_tree *tree, const struct model *model,
                       const struct job_nas_params *params, const struct device_sheet *sheets,
                       struct nas_calibration *out, struct error *err);

/* Whether measurements have a part in the search at all. */
bool nas_is_calibrated(const struct job_nas_params *params);

/* Whether there is a data sheet. */
bool nas_has_hardware(const struct device_sheet *sheet);

/* Accepts a zeroed struct. */
void nas_calibration_close(struct nas_calibration *calibration);

#endif

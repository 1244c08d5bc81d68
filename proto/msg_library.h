/* What a library of devices is worth, as values and as JSON. Structs belong to their creator; the
 * functions share nothing. */
#ifndef DGLD_PROTO_MSG_LIBRARY_H
#define DGLD_PROTO_MSG_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/device.h"
#include "core/library_evaluate.h"
#include "proto/model_file.h"
#include "proto/text.h"

/* A device, predicted with what the others teach. */
struct library_device_report {
    char name[DEVICE_NAME_BYTES];
    size_t n_rows;
    bool has_sheet;
    struct library_figures figures;
};

struct library_report {
    struct library_device_report *devices; /* (n_devices), owned */
    size_t n_devices;
    size_t n_rows;  /* of them all */
    size_t n_draws; /* of measurements, over which figures are means */
};

/* The mean of a figure over the devices that have it; NaN where none has. */
struct library_figures library_report_mean(const struct library_report *report);

/* Appends the members, without braces:
 *   "n_rows": 8100, "n_draws": 10,
 *   "devices": [{"device", "n_rows", "has_sheet", "figures": [{"measurements", "spearman", "r",
 *   "rmse_ms"}]}], "mean": [{"measurements", ...}] */
void msg_library_put(const struct library_report *report, struct text *out);

/* Appends an object {"search_space", "predictor", "version", "holdout": "devices", and these}, which
 * is left open. `model` may be NULL. */
void msg_library_put_test(const struct space *space, const struct model *model,
                          const struct library_report *report, struct text *out);

/* Accepts a zeroed struct. */
void library_report_close(struct library_report *report);

#endif

/* What a training and a test report, as values and as JSON. Structs belong to their creator; the
 * functions share nothing. The closing ones accept a zeroed struct. */
#ifndef DGLD_PROTO_MSG_REPORT_H
#define DGLD_PROTO_MSG_REPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/metrics.h"
#include "core/predictor.h"
#include "core/space.h"
#include "proto/model_file.h"
#include "proto/msg_library.h"
#include "proto/text.h"

struct train_report {
    const struct model *model; /* borrowed */
    const char *reason;        /* why it learned from that source; borrowed */
    const char *file;          /* where the model was written, or NULL; borrowed */
    struct fit_report fit;     /* owned */
    bool is_validated;         /* false where there were too few architectures */
    struct metrics held_out;   /* of A over the held-out rows that the fit trusts, if validated */
    double r_all_rows;         /* R(A) with the distrusted rows too; likewise */
    double fit_seconds;        /* how long the fit took */
    const struct library_report *library; /* what it learned from one besides, or NULL; borrowed */
};

/* Appends the report as an object, on one line. */
void msg_train_encode(const struct train_report *report, struct text *out);
void train_report_close(struct train_report *report);

/* A row of a device, to be drawn. */
struct test_point {
    double measured_ms, predicted_ms;
    double low_ms, high_ms; /* the interval; NaN where there is none */
    bool is_scored;         /* else it calibrates, or another row of its architecture does */
};

struct device_report {
    char name[DEVICE_NAME_BYTES];
    struct metrics metrics; /* RMSE and MAE in ms */
    double *predicted_ms;   /* (n_rows), owned */
    double covered; /* share of the scored rows that lie in their intervals; NaN: none has */
    struct test_point *points; /* (n_points of the report), owned; NULL: it is not to be drawn */
};

/* What of a test is kept to be drawn: the first devices, and rows of all of them together, evenly
 * chosen where there are more. */
enum { TEST_DRAWN_DEVICES = 24, TEST_DRAWN_POINTS = 65536 };

struct test_report {
    const struct space *space;
    const char *predictor; /* static */
    bool is_holdout;
    size_t n_calibrate; /* rows of each device that calibrated it, and are not scored; 0: none */
    struct device_report *devices; /* (n_devices), owned */
    size_t n_devices;
    size_t n_rows;
    double level;    /* of the intervals, 0 .. 1 */
    size_t n_points; /* rows of each device that are kept to be drawn */
};

/* The reference speaks of RMSE and MAE in hundreds of ms, for both spaces. */
#define REFERENCE_UNIT_MS 100.0

/* Appends the report as an object, without what is kept to be drawn. */
void msg_test_encode(const struct test_report *report, struct text *out);
void test_report_close(struct test_report *report);

#endif

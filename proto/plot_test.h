/* A test as a picture: what was predicted of each device against what was measured, as the dashboard's
 * view of a device draws it. Pure functions, thread-safe. */
#ifndef DGLD_PROTO_PLOT_TEST_H
#define DGLD_PROTO_PLOT_TEST_H

#include "core/error.h"
#include "proto/msg_report.h"
#include "proto/text.h"

/* Appends an SVG document of less than 2 MB. ERR_NOMEM. */
enum err plot_test(const struct test_report *report, struct text *out, struct error *err);

#endif

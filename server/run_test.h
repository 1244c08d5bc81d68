/* Tests a predictor on devices it never saw: a function of its parameters and the data. Reentrant.
 */
#ifndef DGLD_SERVER_RUN_TEST_H
#define DGLD_SERVER_RUN_TEST_H

#include "core/error.h"
#include "proto/msg_report.h"
#include "server/data_tree.h"
#include "server/names.h"

/* Compares A * k(device) with the measured latencies of each device. `a` (n_rows) goes row for row
 * with net.txt, of which there are n_rows. The caller sets predictor and is_holdout of the report,
 * and ends it with test_report_close(). */
enum err run_test(const struct data_tree *tree, const struct space *space, const double *a,
                  size_t n_rows, const struct names *devices, struct test_report *report,
                  struct error *err);

/* Writes <root>/result/<space>/<device>_timepre.txt for every device of the report: predicted ms in
 * full precision, row for row with net.txt. All of them, or none where one cannot be written. */
enum err run_test_save(const char *root, const struct test_report *report, struct error *err);

#endif

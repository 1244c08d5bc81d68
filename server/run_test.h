/* Tests a predictor on devices it never saw: functions of their parameters and the data, that know
 * neither command line nor HTTP. Reentrant. */
#ifndef DGLD_SERVER_RUN_TEST_H
#define DGLD_SERVER_RUN_TEST_H

#include <stdbool.h>

#include "core/error.h"
#include "core/predictor.h"
#include "proto/model_file.h"
#include "proto/msg_report.h"
#include "server/data_tree.h"
#include "server/names.h"
#include "server/result_tree.h"

/* What a test runs on: a predictor or what shall be trained, on which devices, and then A of each row
 * of net.txt. Belongs to its creator, who fills it in from the top and ends it with
 * test_subject_close(). */
struct test_subject {
    const struct data_tree *tree; /* borrowed */
    const struct space *space;
    struct model model; /* owned; zeroed where there is none, which only a held-out test allows */
    struct names train_devices, test_devices; /* owned */
    bool is_holdout;
    const struct fit_hooks *hooks; /* told how far it is; borrowed, may be NULL */
    double
        *a; /* (n_rows), owned: A, or rates (server/unmeasured.h) where nothing calibrates a model;
                  by test_predict() or test_hold_out() */
    size_t n_rows;
    const char *predictor; /* the kind that made it; static */
    size_t n_calibrate;    /* rows of each device's latencies that calibrate it; 0: none */
    uint64_t seed;         /* by which they are drawn */
    int32_t *genes;        /* (n_rows, n_genes), owned, and ... */
    double *sd;            /* ... (n_rows), of A, owned, NULL: unknown: where it calibrates */
    double *spread; /* (n_rows), owned: of log latency (core/interval.h) where nothing calibrates */
};

/* Of the intervals that a test tells of. */
#define TEST_LEVEL 0.9

/* Accepts a zeroed struct. */
void test_subject_close(struct test_subject *subject);

/* Adds the devices that the model was trained on to train_devices; where its library has a part in
 * what is tested, those of the library too. */
enum err test_add_model_devices(struct test_subject *subject, struct error *err);

/* Makes test_devices all measured devices that are not among train_devices. ERR_NOT_FOUND where there
 * is none, with what to do. */
enum err test_find_unseen(struct test_subject *subject, struct error *err);

/* What the model says of every row. */
enum err test_predict(struct test_subject *subject, struct error *err);

/* A of every row by models of that kind that never saw it, trained on train_devices. `n_folds` and
 * `source` (static: what was learned from) may be NULL. */
enum err test_hold_out(struct test_subject *subject, const struct predictor_kind *kind,
                       const struct fit_options *options, size_t *n_folds, const char **source,
                       struct error *err);

/* Rows that have to be left to score on where some calibrate. */
enum { TEST_MIN_SCORED = 10 };

/* Compares what the model says of each test device, or what measurements make of it, with what was
 * measured; rows that calibrate, and other rows of the same architectures, are not scored.
 * ERR_INVALID where too few are left. The caller ends the report with test_report_close(). */
enum err run_test(const struct test_subject *subject, struct test_report *report,
                  struct error *err);

#define TEST_FILE_SUFFIX "_timepre.txt"

/* Stages <directory>/<device>_timepre.txt for every device of the report: predicted ms in full
 * precision, row for row with net.txt. */
enum err run_test_stage(const char *directory, const struct test_report *report,
                        struct result_batch *batch, struct error *err);

/* Stages the picture of the report (proto/plot_test.h). */
enum err run_test_stage_plot(const char *path, const struct test_report *report,
                             struct result_batch *batch, struct error *err);

#endif

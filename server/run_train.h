/* Trains a predictor: a function of its parameters and the data, that knows neither command line
 * nor HTTP. Reentrant. */
#ifndef DGLD_SERVER_RUN_TRAIN_H
#define DGLD_SERVER_RUN_TRAIN_H

#include "core/error.h"
#include "core/predictor.h"
#include "proto/model_file.h"
#include "proto/msg_report.h"
#include "server/training_set.h"

enum { VALIDATION_FOLDS = 10 };

/* Fits `kind` to the set and validates it: a kind that is trained in epochs on the share that its
 * options hold out, another one by 10-fold cross-validation (by fewer folds where there are fewer
 * distinct architectures; not at all where there is one). On success the caller ends `model` and
 * `report`; the report borrows the model and the set's reason. */
enum err run_train(const struct training_set *set, const struct predictor_kind *kind,
                   const struct fit_options *options, struct model *model,
                   struct train_report *report, struct error *err);

/* Gives the model the conditions that are given at all; what it had else stays. */
void run_train_set_conditions(const struct model_conditions *given, struct model *model);

/* Held-out predictions of A for every row of the set: `a` (n_rows), and `sd` (n_rows; may be NULL)
 * their standard deviations. Returns in *n_folds how many
 * folds there were; ERR_INVALID where there are too few architectures to hold any out. */
enum err run_holdout(const struct training_set *set, const struct predictor_kind *kind,
                     const struct fit_options *options, double *a, double *sd, size_t *n_folds,
                     struct error *err);

#endif

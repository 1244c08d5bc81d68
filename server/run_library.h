/* Learns from a library of devices, and tells what it is worth: functions of their parameters and
 * the data, that know neither command line nor HTTP. Reentrant. */
#ifndef DGLD_SERVER_RUN_LIBRARY_H
#define DGLD_SERVER_RUN_LIBRARY_H

#include "core/error.h"
#include "proto/model_file.h"
#include "proto/msg_library.h"
#include "proto/msg_report.h"
#include "server/device_library.h"

/* Leaves each device out in turn and predicts it with what the others teach; `predictor` may be NULL. The caller ends
 * `report` with library_report_close(). Errors of library_evaluate(). */
enum err run_library_evaluate(const struct space *space, const struct predictor *predictor,
                              const struct device_library *library, uint64_t seed,
                              const struct fit_hooks *hooks, struct library_report *report,
                              struct error *err);

/* Gives the model what the library teaches, in place of what it had learned from another one, with
 * its papers and a version of its own; evaluates as above. A model that fails is to be ended all
 * the same. */
enum err run_library_learn(const struct device_library *library, uint64_t seed,
                           const struct fit_hooks *hooks, struct model *model,
                           struct library_report *report, struct error *err);

/* What a training that could not load its data may do where it learns from a library: take the
 * predictor over that is served of the space, where it is of that kind and did not learn from such a
 * library itself, which training_set_of_library() does anew. Then `model` and `report`
 * are as run_train() leaves them, and `reason` (256 bytes), which the report borrows, says why.
 * `why` is the error of the loading, which is returned where there is no such model. */
enum err run_library_take_over(const char *root, const struct space *space,
                               const struct predictor_kind *kind, const struct error *why,
                               char reason[256], struct model *model, struct train_report *report,
                               struct error *err);

#endif

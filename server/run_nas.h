/* Searches the best network under latency limits: functions of their parameters and the data, that
 * know neither command line nor HTTP. Reentrant. */
#ifndef DGLD_SERVER_RUN_NAS_H
#define DGLD_SERVER_RUN_NAS_H

#include <stdbool.h>

#include "core/error.h"
#include "proto/model_file.h"
#include "proto/msg_search.h"
#include "server/accuracy_cache.h"
#include "server/nas_calibration.h"
#include "server/result_tree.h"

/* What a search runs on; everything is borrowed. */
struct nas_subject {
    const struct job_nas_params *params;
    const struct device_sheet *sheets;         /* (params->n_targets) */
    const struct model *model;                 /* that predicts latencies; of the space */
    const struct accuracy_known *accuracy;     /* of the space */
    const struct nas_calibration *calibration; /* by measurements; NULL: the data sheets alone */
};

/* How far it is told; may be NULL. False ends the search with ERR_CANCELED. */
struct nas_hooks {
    void *context;
    bool (*progress)(void *context, const struct job_progress *progress);
};

/* Where in its course a search ends, in percent; then files are written. */
#define NAS_SEARCHED_PERCENT 90.0

/* ERR_INVALID where the method cannot search the space (nas_check() tells beforehand); ERR_NUMERIC,
 * ERR_NOMEM, ERR_CANCELED. The caller ends the report with search_report_close(); it borrows the
 * subject's params and model. */
enum err run_nas(const struct nas_subject *subject, const struct nas_hooks *hooks,
                 struct search_report *out, struct error *err);

/* Whether the space can be searched so. ERR_INVALID, and then *pointer (static) is the param that
 * is at fault. `can_list` says whether all that can be searched can be listed. */
enum err nas_check(const struct space *space, const struct job_nas_params *params, bool can_list,
                   const char **pointer, struct error *err);

/* Where the network that was found goes: each is NULL or a path. */
struct nas_files {
    const char *onnx, *torchscript;
};

/* Stages the network that was found in the formats that have a path. `hooks` may be NULL;
 * they are told every 32 KiB or so, and may end it. */
enum err run_nas_stage(const struct search_report *report, const struct nas_files *files,
                       const struct nas_hooks *hooks, struct result_batch *batch,
                       struct error *err);

/* Stages the picture of the report (proto/plot_search.h). */
enum err run_nas_stage_plot(const char *path, const struct search_report *report,
                            struct result_batch *batch, struct error *err);

#endif

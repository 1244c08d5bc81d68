/* What a search reports, as values and as JSON. Structs belong to their creator; thread-safe. */
#ifndef DGLD_PROTO_MSG_SEARCH_H
#define DGLD_PROTO_MSG_SEARCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/search_sample.h"
#include "core/space.h"
#include "proto/job.h"
#include "proto/msg_device.h"
#include "proto/text.h"

/* A network and what is predicted of it. */
struct search_network {
    int32_t genes[SPACE_MAX_GENES];
    double accuracy; /* percent, as all in here; NaN where nothing tells it */
    uint64_t macs, params;
    double latency_ms[JOB_MAX_TARGETS]; /* by target */
    double low_ms[JOB_MAX_TARGETS], high_ms[JOB_MAX_TARGETS];
};

/* A network of the front. */
struct search_point {
    int32_t genes[SPACE_MAX_GENES];
    double accuracy, latency_ms;
};

/* What a generation of the genetic search was like. */
struct search_generation {
    size_t n_evaluated;
    double feasible_share; /* of those, 0 .. 1 */
    bool is_feasible;      /* whether anything so far is; then the best so far has: */
    double accuracy;
};

struct search_report {
    const struct space *space;
    const struct job_nas_params *params;         /* borrowed: the limits, the seed and so on */
    enum search_method method;                   /* that was used */
    struct device_sheet sheets[JOB_MAX_TARGETS]; /* of the targets as they were; "" of a name where
                                                    the hardware alone was given */
    bool is_calibrated;                          /* by measurements: how many of each target */
    size_t n_measurements[JOB_MAX_TARGETS];
    double level; /* of the intervals, 0 .. 1 */
    bool is_feasible;
    struct search_network found;   /* if it is: the network ... */
    bool has_fastest;              /* ... else, where the accuracy of anything was known: */
    struct search_network fastest; /* that which is the least beyond the latency limits */
    double lowest_latency_ms;      /* on the first target, of all that were evaluated; else inf */
    struct search_point *front;    /* (n_front), owned: by latency; of the pareto objective */
    size_t n_front;
    double hypervolume, reference_accuracy,
        reference_latency_ms;          /* likewise: search_hypervolume() */
    struct search_generation *history; /* (n_generations), owned; of the genetic method */
    size_t n_generations;
    size_t n_evaluated;
    struct search_sample looked_at;  /* whose accuracy is known, owned */
    const char *predictor, *version; /* of the model that predicted the latencies; borrowed */
    struct text accuracy_source;     /* JSON: where the accuracies come from; owned */
};

/* Appends the report as an object, on one line; with `is_whole` the history too, which
 * may be long. The object is left open: the caller appends further members, each with a comma
 * in front, and the closing brace. */
void msg_search_put(const struct search_report *report, bool is_whole, struct text *out);

/* Accepts a zeroed struct. */
void search_report_close(struct search_report *report);

#endif

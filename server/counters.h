/* What the service counts of itself, for GET /metrics.
 *
 * Counting costs some nanoseconds: each thread has a part of its own, which it alone writes, and
 * who asks adds them up. All functions may be called from any thread, save create and destroy. */
#ifndef DGLD_SERVER_COUNTERS_H
#define DGLD_SERVER_COUNTERS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/predictor.h"
#include "proto/job.h"
#include "proto/text.h"

struct counters;
struct route;

/* Why a connection was not taken; the name is the label's value. */
#define REFUSAL_LIST(X)                                              \
    X(REFUSED_CONNECTIONS, "connections_max")                        \
    X(REFUSED_CONNECTIONS_OF_ADDRESS, "connections_per_address_max") \
    X(REFUSED_FOR_WANT, "resources") /* of descriptors or memory */

enum refusal {
#define REFUSAL_ENUM(code, name) code,
    REFUSAL_LIST(REFUSAL_ENUM)
#undef REFUSAL_ENUM
        N_REFUSALS
};

/* How a run of a job ended here; the name is the label's value. */
#define RUN_OUTCOME_LIST(X)                                              \
    X(RUN_SUCCEEDED, "succeeded")                                        \
    X(RUN_FAILED, "failed")                                              \
    X(RUN_CANCELLED, "cancelled")                                        \
    X(RUN_PUT_BACK, "put_back") /* to be run again, here or elsewhere */ \
    X(RUN_LOST, "lost")         /* its lease was another's by then */

enum run_outcome {
#define RUN_OUTCOME_ENUM(code, name) code,
    RUN_OUTCOME_LIST(RUN_OUTCOME_ENUM)
#undef RUN_OUTCOME_ENUM
        N_RUN_OUTCOMES
};

/* A status that no reply had: the client went before there was one. As nginx has it. */
enum { STATUS_CLIENT_WENT = 499 };

/* For the table of routes (routes.h). `*out` is ended with counters_destroy(). */
enum err counters_create(struct counters **out, struct error *err);
void counters_destroy(struct counters *counters); /* accepts NULL */

/* Those that count do nothing for NULL. */

/* A request that has ended. `route` is NULL where there was none for it. */
void counters_request(struct counters *counters, const struct route *route, const char *method,
                      unsigned status, uint64_t duration_ns);

/* A call that was answered with predictions: for n_targets devices each. */
void counters_predicted(struct counters *counters, const struct predictor *predictor,
                        size_t n_architectures, size_t n_targets);

/* A predictor took the place of a space's served one, or was the first. */
void counters_activated(struct counters *counters, const struct space *space);

void counters_refused(struct counters *counters, enum refusal refusal);

/* A run of a job that was begun here has ended. */
void counters_job_run(struct counters *counters, enum job_kind kind, enum run_outcome outcome);

/* Writes the families dgld_http_requests_total, dgld_http_request_duration_seconds,
 * dgld_http_connections_refused_total, dgld_predictions_total, dgld_batch_size,
 * dgld_model_activations_total and dgld_job_runs_total. Series of requests and predictions begin with their first event. */
void counters_encode(const struct counters *counters, struct text *text);

#endif

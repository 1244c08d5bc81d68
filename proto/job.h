/* Jobs: what is asked of one, and what is told of it, as values and as JSON. Structs belong to their
 * creator; functions are thread-safe.
 *
 * Submitted as
 *   {"kind": "train", "search_space": "nasbench201", "params": {...}, "priority": 0,
 *    "deadline_s": 3600}
 * and told of as
 *   {"id": "...", "kind": "train", "search_space": "nasbench201", "state": "running", "attempt": 1,
 *    "priority": 0, "progress": {"percent": 42, "stage": "training", ...}, "submitted_at": "...",
 *    "started_at": "...", "ended_at": null, "deadline_at": null, "params": {...}, "result": null,
 *    "error": null} */
#ifndef DGLD_PROTO_JOB_H
#define DGLD_PROTO_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/error.h"
#include "core/predictor.h"
#include "core/space.h"
#include "proto/field_error.h"
#include "proto/model_file.h"
#include "proto/text.h"

enum {
    JOB_ID_BYTES = 37,      /* a UUID of version 7 (RFC 9562), in lower case */
    JOB_SPACE_BYTES = 65,   /* a search space's name */
    JOB_KEY_BYTES = 256,    /* an idempotency key */
    JOB_PRIORITY_MAX = 100, /* and as far below zero */
    JOB_MAX_DEVICES = 256,
    JOB_MAX_TARGETS = 16, /* of a search */
    JOB_MAX_MEASUREMENTS = 1000,
    JOB_FRONT_MAX = 64, /* points of a front that is told on the way */
};

enum job_kind { JOB_TRAIN, JOB_TEST, JOB_NAS, JOB_N_KINDS };
#define JOB_KIND_NAMES "train, test, nas" /* for messages */

enum job_state {
    JOB_QUEUED,
    JOB_RUNNING,
    JOB_SUCCEEDED, /* from here on ended */
    JOB_FAILED,
    JOB_CANCELLED,
    JOB_N_STATES
};
#define JOB_STATE_NAMES "queued, running, succeeded, failed or cancelled" /* for messages */

/* Static strings; and back: false for a name that is none. */
const char *job_kind_name(enum job_kind kind);
const char *job_state_name(enum job_state state);
bool job_kind_find(const char *name, enum job_kind *out);
bool job_state_find(const char *name, enum job_state *out);
bool job_has_ended(enum job_state state);

/* Whether the text has the form of an id. */
bool job_id_is_valid(const char *id);

/* ---- what is asked ---------------------------------------------------------------------------- */

/* Which model a test or a search is about. */
struct job_model {
    char name[MODEL_NAME_BYTES]; /* or version; "": the served one */
    const char *param;           /* that named it, "model" or "version"; static */
};

struct job_train_params {
    const struct predictor_kind *predictor;
    char **train_devices; /* (n_train_devices), owned; none: the paper's twelve */
    size_t n_train_devices;
    int64_t epoch;        /* mlp; 1 or more */
    double learning_rate; /* mlp; "lr"; positive */
    int64_t seed;         /* 0 or more, as in the other kinds */
    bool activate;        /* serve the version that was made, where it is no worse ... */
    bool force;           /* ... or even then */
    bool library; /* learn from a library of devices besides: all that were measured, or ... */
    char **library_devices; /* (n_library_devices), owned: these */
    size_t n_library_devices;
    struct model_conditions conditions;
};

struct job_test_params {
    char **test_devices; /* (n_test_devices), owned; none: all that were measured and not seen */
    size_t n_test_devices;
    bool holdout;
    bool holdout_devices; /* of the library instead */
    int64_t calibrate;    /* rows of each device that calibrate it; 0: none */
    struct job_model model;
    const struct predictor_kind *predictor; /* to hold out with; NULL: that of the version */
    int64_t seed;
};

/* A phone that the network shall hold on. */
struct job_nas_target {
    char device[DEVICE_NAME_BYTES]; /* "": `hardware` is given */
    struct hardware hardware;
    double latency_constraint_ms; /* 0: none, for the front alone */
};

enum search_objective { SEARCH_ACCURACY, SEARCH_PARETO, SEARCH_N_OBJECTIVES };
enum search_method { SEARCH_BY_DEFAULT, SEARCH_EXHAUSTIVE, SEARCH_GENETIC, SEARCH_N_METHODS };

/* Static strings, as in messages: "accuracy", "genetic". */
const char *search_objective_name(enum search_objective objective);
const char *search_method_name(enum search_method method);

/* Files that are made of the network that was found, as bits. */
enum { SEARCH_EXPORT_ONNX = 1, SEARCH_EXPORT_TORCHSCRIPT = 2, SEARCH_EXPORT_ALL = 3 };

/* Of intervals that are told where no confidence is asked for. */
#define SEARCH_DEFAULT_LEVEL      0.9
#define SEARCH_MAX_CROSSOVER_RATE 1e6

struct job_nas_params {
    struct job_nas_target targets[JOB_MAX_TARGETS];
    size_t n_targets; /* at least 1 */
    bool is_list;     /* they were given as "targets" */
    enum search_objective objective;
    enum search_method method; /* by default exhaustive where all can be listed */
    double confidence;         /* 0 .. 1: of the interval whose upper bound holds the limit; 0: the
                                  median does */
    int64_t population_size, generations; /* of the genetic method: ranges as of */
    double crossover_rate, mutation_rate; /* struct genetic_options */
    int64_t seed;
    double macs_max, params_max; /* 0: no limit */
    struct job_model model;      /* that predicts latencies */
    unsigned formats;            /* SEARCH_EXPORT_... */
    bool calibrate;              /* by the stored measurements of the targets, or ... */
    int32_t *measured_genes; /* ... (n_measured, n_genes), owned: these of the single target, ... */
    double *measured_ms;     /* ... (n_measured), owned; then it needs neither name nor hardware */
    size_t n_measured;
};

/* A job as it was asked for; ended by job_order_close(). */
struct job_order {
    enum job_kind kind;
    const struct space *space;
    int priority;
    int64_t deadline_s; /* from its submission on; 0: none */
    union {
        struct job_train_params train;
        struct job_test_params test;
        struct job_nas_params nas;
    } params;
};

/* Reads a submission; on success the caller ends `out` with job_order_close(). ERR_SYNTAX where it is
 * no JSON; ERR_INVALID where it is not acceptable as such (nothing outside of it is looked at): then
 * `errors`, which the caller closes in any case, says why by pointer. ERR_NOMEM. */
enum err msg_job_decode(const char *bytes, size_t size, struct job_order *out,
                        struct field_errors *errors, struct error *err);

/* Reads the params of a job of that kind and space alone, as msg_job_put_params() wrote them; errors
 * and ownership as above. */
enum err msg_job_decode_params(enum job_kind kind, const struct space *space, const char *params,
                               struct job_order *out, struct error *err);

/* Appends the params as an object, every one of them, in a fixed order: equal orders give equal
 * bytes. */
void msg_job_put_params(const struct job_order *order, struct text *out);

/* Accepts a zeroed struct. */
void job_order_close(struct job_order *order);

/* ---- what is told ----------------------------------------------------------------------------- */

/* The front of a search so far: networks that keep the limits, none of which is as accurate and as
 * fast as another one. */
struct job_front {
    uint64_t n_changes; /* grows when it changes */
    size_t n;
    double accuracy[JOB_FRONT_MAX], latency_ms[JOB_FRONT_MAX]; /* (n) each, ascending */
};

/* How far a run is; whatever is not known is NaN or 0. */
struct job_progress {
    double percent;    /* 0 to 100 */
    const char *stage; /* static: "loading", "training", "validating", "writing" ... */
    size_t epoch, n_epochs;
    double loss;
    size_t generation, n_generations; /* of a genetic search, and the best so far: */
    double accuracy, latency_ms;      /* 0: there is none */
    double seconds_left;
    const struct job_front *front; /* of a search, borrowed for the call; NULL: as it was */
};

/* Appends the object, without the members that are not known, and without the front. */
void msg_job_put_progress(const struct job_progress *progress, struct text *out);

/* Appends the front as an array of {"latency_ms": 3.2, "accuracy": 68.1}, the fastest first. */
void msg_job_put_front(const struct job_front *front, struct text *out);

/* A job as it is kept. Times are milliseconds since 1970 (UTC), 0 for none. Texts are owned; ended
 * by job_close(). */
struct job {
    int64_t seq; /* its number in the order of submission, from 1 */
    char id[JOB_ID_BYTES];
    enum job_kind kind;
    char space[JOB_SPACE_BYTES];
    enum job_state state;
    int priority; /* the higher, the earlier */
    int attempt;  /* how often it was begun */
    int n_failures;
    bool is_cancel_requested;
    int64_t submitted_ms, started_ms, ended_ms, deadline_ms;
    int64_t revision; /* grows with every change; attempt * 2^32 + n */
    char *params;     /* JSON */
    char *progress;   /* JSON, or NULL */
    char *result;     /* JSON, or NULL */
    char *error;      /* a sentence, or NULL */
};

/* Appends the object. */
void msg_job_put(const struct job *job, struct text *out);

/* Copies every text. ERR_NOMEM. */
enum err job_copy(const struct job *from, struct job *to, struct error *err);

/* Accepts a zeroed struct. */
void job_close(struct job *job);

#endif

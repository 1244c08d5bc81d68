/* POST /v1/predict: architectures and devices in, latencies out.
 *
 *   {"search_space": "nasbench201", "hardware": [2.0, 3, 1, 7.46],
 *    "architectures": ["444244", ...]}
 *
 * Exactly one of "hardware" (vector F, D, C, M or object), "device" (a name) and "devices" (a list
 * of names, vectors or objects); none is needed beside "measurements" of the one device, which
 * correct what is predicted for it. "calibrate": false leaves stored measurements out of account,
 * "interval": 0.9 asks for bounds at that level. With "on_error": "null" a bad architecture yields
 * null and an entry in the reply's "errors"; else it refuses the whole call. "model" names another
 * model than the served one. A struct belongs to one thread. */
#ifndef DGLD_PROTO_MSG_PREDICT_H
#define DGLD_PROTO_MSG_PREDICT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/space.h"
#include "proto/field_error.h"
#include "proto/json_spec.h"
#include "proto/model_file.h"
#include "proto/text.h"

#define PREDICT_MAX_DEVICES      1024
#define PREDICT_MAX_MEASUREMENTS 1000

/* A device to predict for: named, to be looked up, or described. */
struct predict_target {
    bool is_named;
    char name[DEVICE_NAME_BYTES]; /* valid by device_name_validate() */
    char pointer[32];             /* of the field that named it */
    struct hardware hardware;     /* where it is not named, or once it was looked up */
    bool lacks_hardware;          /* has no data sheet: measurements alone tell what it is */
};

struct predict_request {
    const struct space *space;
    struct predict_target *targets; /* (n_targets), owned */
    size_t n_targets;
    bool has_device_list; /* "devices" was used: the reply has one row a device */
    bool is_null_on_error;
    int32_t *genes; /* (n_architectures, space->n_genes), owned; a bad row holds a valid dummy */
    bool *is_bad;   /* (n_architectures), owned; only with is_null_on_error is one ever set */
    size_t n_architectures;
    size_t values_max;            /* n_targets times n_architectures may be no more ... */
    bool is_over_limit;           /* ... and would be */
    char model[MODEL_NAME_BYTES]; /* of a named model; empty: the served one */
    int32_t *measured_genes;      /* (n_measured, space->n_genes), owned: of the one target ... */
    double *measured_ms;          /* ... (n_measured), owned */
    size_t n_measured;            /* 0: what is stored counts ... */
    bool is_uncalibrated;         /* ... unless this was asked for */
    double level;                 /* of the interval, above 0 and below 1; 0: none */
    struct field_errors errors;   /* what is wrong with the message ... */
    struct field_errors skipped;  /* ... and the bad architectures that on_error: null lets pass */
};

/* Reads one architecture, a list of genes or a string in any notation of the space, and validates
 * it. `bad_gene` receives the place of a gene of a list that is wrong, else SIZE_MAX. ERR_INVALID,
 * ERR_SYNTAX. */
enum err msg_architecture_read(const struct space *space, struct json_view value, int32_t *genes,
                               size_t *bad_gene, struct error *err);

/* Reads a list of 1 to `n_max` architectures; `space` NULL was reported already. `genes` receives
 * (n, n_genes), owned by the caller from then on, or NULL; some of what is wrong with them goes to the
 * reader's errors by pointer. */
void msg_architectures_read(const struct json_reader *reader, struct json_view value,
                            const struct space *space, size_t n_max, int32_t **genes, size_t *n);

/* Reads a body that asks for at most `values_max` latencies, devices times architectures.
 * ERR_SYNTAX where it is no JSON; ERR_LIMIT where it asks for more, ERR_INVALID where it is not
 * acceptable otherwise: then `out->errors` says why by pointer; ERR_NOMEM. The caller ends `out` with
 * msg_predict_close() in every case. */
enum err msg_predict_decode(const char *bytes, size_t size, size_t values_max,
                            struct predict_request *out, struct error *err);

/* Accepts a zeroed struct. */
void msg_predict_close(struct predict_request *request);

/* What measurements a target's latencies were corrected by. */
struct predict_calibration {
    size_t n_measurements; /* 0: by none */
    size_t n_distrusted;   /* architectures among them that were left out as wild */
};

struct predict_reply {
    const struct predict_request *request;
    const char *version, *predictor; /* of the model that answered */
    const double *rate;              /* of each architecture (n_architectures): A, say ... */
    const double *factors;           /* ... times that of each target (n_targets): k, say */
    /* Where measurements or an interval have a part, else NULL: */
    const double *latency_ms;       /* (n_targets, n_architectures), instead of rate times factor */
    const double *low_ms, *high_ms; /* likewise: the bounds */
    const struct predict_calibration *calibrations; /* (n_targets) */
    const struct model_info *info; /* its papers, for the conditions; NULL: those of the space */
};

/* Appends the reply's JSON, the reply's parts in the order of the request. */
void msg_predict_encode(const struct predict_reply *reply, struct text *out);

#endif

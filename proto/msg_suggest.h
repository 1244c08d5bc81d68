/* POST /v1/devices/{device}/suggest: which architectures to measure of a device.
 *
 *   {"search_space": "nasbench201", "n": 10, "seed": 0, "architectures": [...], "model": "small"}
 *
 * "architectures" are those that can be measured; without, any of the space. "model" is a named one,
 * that the measurements are to correct; without, the served one. The reply as CSV is that
 * of proto/msg_measurements.h with an empty second column, to be filled in. Thread-safe. */
#ifndef DGLD_PROTO_MSG_SUGGEST_H
#define DGLD_PROTO_MSG_SUGGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/field_error.h"
#include "proto/model_file.h"
#include "proto/text.h"

enum { SUGGEST_DEFAULT_N = 10, SUGGEST_MAX_N = 100, SUGGEST_MAX_GIVEN = 4096 };

struct suggest_request {
    const struct space *space;
    int64_t n;      /* 1 to SUGGEST_MAX_N */
    int64_t seed;   /* 0 or more */
    int32_t *genes; /* (n_given, space->n_genes), owned, valid; NULL: any of the space */
    size_t n_given;
    char model[MODEL_NAME_BYTES]; /* or a version; empty: the served one */
    struct field_errors errors;
};

/* ERR_SYNTAX where the body is no JSON; ERR_INVALID where it is not acceptable: then `out->errors`
 * says why by pointer. The caller ends `out` with msg_suggest_close() in every case. */
enum err msg_suggest_decode(const char *bytes, size_t size, struct suggest_request *out,
                            struct error *err);

/* Accepts a zeroed struct. */
void msg_suggest_close(struct suggest_request *request);

/* What is suggested; everything is borrowed. */
struct suggest_reply {
    const struct space *space;
    const char *device;
    bool has_hardware;     /* a data sheet is known */
    size_t n_measurements; /* that are stored */
    const int32_t *genes;  /* (n, space->n_genes) */
    size_t n;
};

/* Append the reply, ended by a line end. */
void msg_suggest_encode_json(const struct suggest_reply *reply, struct text *out);
void msg_suggest_encode_csv(const struct suggest_reply *reply, const char *line_end,
                            struct text *out);

#endif

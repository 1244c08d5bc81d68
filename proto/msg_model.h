/* Models as JSON, and the order to serve one of them. Thread-safe.
 *
 *   {"version": "cost-0123456789ab", "predictor": "cost", "names": ["default"], "is_served": true,
 *    "source": "a.txt", "n_rows": 2000, "devices": ["..."], "data_sha256": "...", "seed": 1,
 *    "validation": "10-fold", "r_held_out": 0.98, "size_bytes": 54008,
 *    "modified_at": "2026-01-31T12:00:00.000Z"}
 *
 * A file that is no model has "version": null, "predictor": null and says why in "error". */
#ifndef DGLD_PROTO_MSG_MODEL_H
#define DGLD_PROTO_MSG_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "proto/field_error.h"
#include "proto/json_spec.h"
#include "proto/model_file.h"
#include "proto/text.h"

/* What is told of a model; everything is borrowed. */
struct model_view {
    const struct model_info *info; /* NULL: the file is no model ... */
    const char *error;             /* ... for this reason */
    const char *predictor;
    char *const *names; /* (n_names): how its files are named */
    size_t n_names;
    bool is_served;
    bool has_file; /* else size_bytes and modified_at are null */
    uint64_t size_bytes;
    struct timespec modified;
};

/* Appends the object; without `view` (NULL) null. */
void msg_model_encode(const struct model_view *view, struct text *out);

/* Appends `,"conditions":{...}` with what the model has of its own; nothing where it has nothing. */
void msg_model_put_conditions(const struct model_conditions *own, struct text *out);

/* Appends `,"conditions":{...}` with all that hold: the model's own (`info` may be NULL: none), else
 * the space's. */
void msg_model_put_all_conditions(const struct space *space, const struct model_info *info,
                                  struct text *out);

/* Reads a model's version or name into `out`, which stays as it is where it is none: false, and
 * added to the reader's errors. */
bool msg_model_name_read(const struct json_reader *reader, struct json_view value,
                         char out[MODEL_NAME_BYTES]);

struct activate_request {
    char version[MODEL_NAME_BYTES]; /* of a model, or the name of one; valid by
                                       model_name_validate() */
};

/* Reads {"version": "..."}. ERR_SYNTAX where it is no JSON; ERR_INVALID where it is not acceptable:
 * then `errors`, which the caller closes in any case, says why by pointer. ERR_NOMEM. */
enum err msg_activate_decode(const char *bytes, size_t size, struct activate_request *out,
                             struct field_errors *errors, struct error *err);

#endif

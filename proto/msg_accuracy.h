/* POST /v1/spaces/{space}/accuracy: architectures in, accuracies out.
 *
 *   {"architectures": ["444244", ...]}
 *
 * A struct belongs to one thread. */
#ifndef DGLD_PROTO_MSG_ACCURACY_H
#define DGLD_PROTO_MSG_ACCURACY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/field_error.h"
#include "proto/text.h"

struct accuracy_request {
    const struct space *space; /* borrowed */
    int32_t *genes;            /* (n, space->n_genes), owned, valid */
    size_t n;
    size_t n_max;       /* n may be no more ... */
    bool is_over_limit; /* ... and would be */
    struct field_errors errors;
};

/* Reads a body that names 1 to `n_max` architectures. ERR_SYNTAX where it is no JSON; ERR_LIMIT where
 * there are more, ERR_INVALID where it is not acceptable otherwise: then `out->errors` says why by
 * pointer. The caller ends `out` with msg_accuracy_close() in every case. */
enum err msg_accuracy_decode(const char *bytes, size_t size, const struct space *space,
                             size_t n_max, struct accuracy_request *out, struct error *err);

/* Accepts a zeroed struct. */
void msg_accuracy_close(struct accuracy_request *request);

/* Appends the reply, ended by a line end: of each architecture its accuracy (n) in percent, null for
 * one that is not a finite number. `source` is JSON that says where they come from. */
void msg_accuracy_encode(const struct space *space, const char *source, const double *accuracy,
                         size_t n, struct text *out);

#endif

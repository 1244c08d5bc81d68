/* What is wrong with which field of a message: a JSON pointer (RFC 6901) and a sentence each.
 * A list belongs to one thread. */
#ifndef DGLD_PROTO_FIELD_ERROR_H
#define DGLD_PROTO_FIELD_ERROR_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct field_error {
    size_t index; /* of the architecture concerned, where the error is one of those */
    char *pointer, *detail;
};

struct field_errors {
    struct field_error *items; /* owned */
    size_t n, capacity;
    bool has_failed; /* an allocation failed: the list is incomplete */
};

/* `pointer` and the formatted detail are copied. */
void field_errors_add(struct field_errors *errors, size_t index, const char *pointer,
                      const char *format, ...) __attribute__((format(printf, 4, 5)));

/* What a list comes to: ERR_OK where it is empty, ERR_INVALID with the first one's pointer and
 * detail, ERR_NOMEM ("no memory to read <what>") where the list is incomplete. */
enum err field_errors_conclude(const struct field_errors *errors, const char *what,
                               struct error *err);

/* Accepts a zeroed struct. */
void field_errors_close(struct field_errors *errors);

#endif

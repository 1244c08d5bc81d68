/* Messages as tables: a JSON object is described by its fields, and one reader reads them all.
 *
 * The reader goes through the table, not through the object, so a field may rely on the ones before
 * it in the table. Unknown, missing and repeated fields are reported by name; what a field's own
 * function finds wrong it adds to the list with its pointer, and the reader goes on, so that a
 * client sees all at once. Thread-safe: tables are constant. */
#ifndef DGLD_PROTO_JSON_SPEC_H
#define DGLD_PROTO_JSON_SPEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proto/field_error.h"
#include "proto/json_view.h"

enum { JSON_POINTER_BYTES = 256, JSON_SPEC_MAX_FIELDS = 24 };

struct json_reader {
    void *out; /* the struct that is being filled */
    struct field_errors *errors;
    const char *pointer; /* of the value that is being read */
};

struct json_field {
    const char *name;
    bool is_required;
    void (*read)(const struct json_reader *reader, struct json_view value);
};

/* Reads `object` by the table of at most JSON_SPEC_MAX_FIELDS. `pointer` is the object's own place,
 * "" for a whole body. */
void json_spec_read(struct json_view object, const struct json_field *fields, size_t n_fields,
                    const char *pointer, void *out, struct field_errors *errors);

/* The same for an object that may have fields of others besides, which are passed over. */
void json_spec_read_open(struct json_view object, const struct json_field *fields, size_t n_fields,
                         const char *pointer, void *out, struct field_errors *errors);

/* Reads a whole number of that range. What is wrong with it is added to the reader's errors, and then
 * false is returned and `out` left as it was. */
bool json_read_whole(const struct json_reader *reader, struct json_view value, int64_t min,
                     int64_t max, int64_t *out);

#endif

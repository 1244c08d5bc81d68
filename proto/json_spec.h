/* Messages as tables: a JSON object is described by its fields, and one parser reads them all.
 *
 * The parser goes through the table, not through the object, so a field may rely on the ones before
 * it in the table. Unknown and missing fields are reported by name; what a reader finds wrong it
 * adds to the list with its pointer, and the parser goes on, so that a client sees all at once.
 * Thread-safe: tables are constant. */
#ifndef DGLD_PROTO_JSON_SPEC_H
#define DGLD_PROTO_JSON_SPEC_H

#include <stdbool.h>
#include <stddef.h>

#include <jansson.h>

#include "core/error.h"
#include "proto/field_error.h"

struct json_reader {
    void *out; /* the struct that is being filled */
    struct field_errors *errors;
    const char *pointer; /* of the value that is being read */
};

struct json_field {
    const char *name;
    bool is_required;
    void (*read)(const struct json_reader *reader, const json_t *value);
};

/* Parses text into JSON. ERR_SYNTAX names line and column. The caller json_decref()s the result. */
enum err json_spec_load(const char *bytes, size_t size, json_t **out, struct error *err);

/* Reads `object` by the table. `pointer` is the object's own place, "" for a whole body. */
void json_spec_read(const json_t *object, const struct json_field *fields, size_t n_fields,
                    const char *pointer, void *out, struct field_errors *errors);

/* "a string", "an object" ... for messages. */
const char *json_spec_kind(const json_t *value);

/* A whole number; 4.0 counts as one, as JSON Schema has it. */
bool json_spec_integer(const json_t *value, json_int_t *out);

enum { JSON_POINTER_BYTES = 256 };

#endif

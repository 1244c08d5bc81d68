#include "proto/json_spec.h"

#include <math.h>
#include <string.h>

#include "core/utf8.h"

enum err json_spec_load(const char *bytes, size_t size, json_t **out, struct error *err)
{
    json_error_t json_error;
    json_t *value;

    if (size == 0) {
        return error_set(err, ERR_SYNTAX, "line 1, column 1: empty where JSON is expected");
    }
    value = json_loadb(bytes, size, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &json_error);
    if (value == NULL) {
        if (json_error_code(&json_error) == json_error_out_of_memory ||
            json_error.text[0] == '\0') { /* jansson says nothing where an allocation failed */
            return error_set(err, ERR_NOMEM, "no memory to read the JSON");
        }
        return error_set(err, ERR_SYNTAX, "line %d, column %d: %s", json_error.line,
                         json_error.column, json_error.text);
    }
    *out = value;
    return ERR_OK;
}

static bool is_known(const char *name, const struct json_field *fields, size_t n_fields)
{
    for (size_t i = 0; i < n_fields; i++) {
        if (strcmp(fields[i].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Appends a member name to a pointer, escaped as RFC 6901 says, cut between characters where it is
 * too long. Every field of every request comes here, so printf would be felt. */
static void join_pointer(const char *pointer, const char *name, char out[JSON_POINTER_BYTES])
{
    size_t n = strnlen(pointer, JSON_POINTER_BYTES - 1);
    size_t step;

    memcpy(out, pointer, n);
    if (n + 1 < JSON_POINTER_BYTES) {
        out[n++] = '/';
    }
    for (const char *c = name; *c != '\0' && n + 4 < JSON_POINTER_BYTES; c += step) {
        step = utf8_length(c);
        step = step > 0 ? step : 1; /* jansson gives well-formed names only */
        if (*c == '~' || *c == '/') {
            out[n++] = '~';
            out[n++] = *c == '~' ? '0' : '1';
        } else {
            memcpy(out + n, c, step);
            n += step;
        }
    }
    out[n] = '\0';
}

static void report_unknown(const json_t *object, const struct json_field *fields, size_t n_fields,
                           const char *pointer, struct field_errors *errors)
{
    enum { MOST_REPORTED = 16 };
    size_t n_reported = 0;
    const char *name;
    json_t *value;

    json_object_foreach((json_t *)object, name, value)
    {
        if (!is_known(name, fields, n_fields) && n_reported++ < MOST_REPORTED) {
            char at[JSON_POINTER_BYTES];
            join_pointer(pointer, name, at);
            field_errors_add(errors, 0, at, "\"%.64s\" is not a field here", name);
        }
    }
}

void json_spec_read(const json_t *object, const struct json_field *fields, size_t n_fields,
                    const char *pointer, void *out, struct field_errors *errors)
{
    if (!json_is_object(object)) {
        field_errors_add(errors, 0, pointer, "must be an object, not %s", json_spec_kind(object));
        return;
    }
    report_unknown(object, fields, n_fields, pointer, errors);
    for (size_t i = 0; i < n_fields; i++) {
        const json_t *value = json_object_get(object, fields[i].name);
        char at[JSON_POINTER_BYTES];
        struct json_reader reader = {out, errors, at};
        if (value == NULL && !fields[i].is_required) {
            continue;
        }
        join_pointer(pointer, fields[i].name, at);
        if (value != NULL) {
            fields[i].read(&reader, value);
        } else {
            field_errors_add(errors, 0, at, "%s is missing", fields[i].name);
        }
    }
}

const char *json_spec_kind(const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        return "an object";
    case JSON_ARRAY:
        return "an array";
    case JSON_STRING:
        return "a string";
    case JSON_INTEGER:
    case JSON_REAL:
        return "a number";
    case JSON_TRUE:
    case JSON_FALSE:
        return "a boolean";
    default:
        return "null";
    }
}

bool json_spec_integer(const json_t *value, json_int_t *out)
{
    if (json_is_integer(value)) {
        *out = json_integer_value(value);
        return true;
    }
    if (json_is_real(value) && fabs(json_real_value(value)) < 1e15 &&
        json_real_value(value) == floor(json_real_value(value))) {
        *out = (json_int_t)json_real_value(value);
        return true;
    }
    return false;
}

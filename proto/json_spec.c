#include "proto/json_spec.h"

#include <assert.h>
#include <inttypes.h>
#include <string.h>

#include "core/utf8.h"

/* Unknown and repeated fields beyond that many are not told of. */
enum { MOST_TOLD = 16, NAME_BYTES = 128 };

/* Appends a member name to a pointer, escaped as RFC 6901 says, cut between characters where it is
 * too long. */
static void join_pointer(const char *pointer, const char *name, char out[JSON_POINTER_BYTES])
{
    size_t n = strnlen(pointer, JSON_POINTER_BYTES - 1);
    size_t step;

    memcpy(out, pointer, n);
    if (n + 1 < JSON_POINTER_BYTES) {
        out[n++] = '/';
    }
    for (const char *c = name; *c != '\0' && n + 4 < JSON_POINTER_BYTES; c += step) {
        step = (unsigned char)*c < 0x80 ? 1 : utf8_length(c);
        step = step > 0 ? step : 1; /* names come from checked text */
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

/* The same with the name of a field, which needs no escape as a rule. Every field of every request
 * comes here, so that a look at each character would be felt. */
static void join_field(const char *pointer, const char *name, char out[JSON_POINTER_BYTES])
{
    const size_t n = strlen(pointer);
    const size_t length = strlen(name);

    if (n + length + 2 > JSON_POINTER_BYTES || strpbrk(name, "~/") != NULL) {
        join_pointer(pointer, name, out);
        return;
    }
    memcpy(out, pointer, n);
    out[n] = '/';
    memcpy(out + n + 1, name, length);
    out[n + 1 + length] = '\0';
}

/* The field of a member's name, or n_fields. */
static size_t find_field(const struct json_field *fields, size_t n_fields,
                         struct json_view member_name)
{
    char decoded[NAME_BYTES];
    const char *name;
    size_t length;
    size_t i = 0;

    if (!json_view_string_plain(member_name, &name, &length)) {
        name = decoded;
        length = json_view_string(member_name, decoded, sizeof decoded);
        if (length >= sizeof decoded || strlen(decoded) < length) { /* no field's name has a NUL */
            return n_fields;
        }
    }
    while (i < n_fields &&
           (strncmp(fields[i].name, name, length) != 0 || fields[i].name[length] != '\0')) {
        i++;
    }
    return i;
}

/* A table, and whether objects may have other fields too. */
struct spec {
    const struct json_field *fields;
    size_t n_fields;
    bool is_open;
};

/* Finds each field's value; one that is absent stays NULL. */
static void find_values(struct json_view object, const struct spec *spec, const char *pointer,
                        struct json_view *values, struct field_errors *errors)
{
    const size_t n_fields = spec->n_fields;
    struct json_member member;
    size_t n_told = 0;

    for (bool more = json_view_first_member(object, &member); more;
         more = json_view_next_member(&member)) {
        char name[NAME_BYTES];
        char at[JSON_POINTER_BYTES];
        size_t field = find_field(spec->fields, n_fields, member.name);
        if (field < n_fields && values[field].at == NULL) {
            values[field] = member.value;
            continue;
        }
        if (field == n_fields && spec->is_open) {
            continue;
        }
        if (n_told++ == MOST_TOLD) {
            break; /* nothing that follows could make the object right */
        }
        (void)json_view_string(member.name, name, sizeof name);
        join_pointer(pointer, name, at);
        if (field < n_fields) {
            field_errors_add(errors, 0, at, "%s is given twice", name);
        } else {
            field_errors_add(errors, 0, at, "\"%.64s\" is not a field here", name);
        }
    }
}

static void read_object(struct json_view object, const struct spec *spec, const char *pointer,
                        void *out, struct field_errors *errors)
{
    const struct json_field *fields = spec->fields;
    struct json_view values[JSON_SPEC_MAX_FIELDS] = {{NULL}};

    assert(spec->n_fields <= JSON_SPEC_MAX_FIELDS);
    if (json_view_kind(object) != JSON_KIND_OBJECT) {
        field_errors_add(errors, 0, pointer, "must be an object, not %s",
                         json_view_kind_name(object));
        return;
    }
    find_values(object, spec, pointer, values, errors);
    for (size_t i = 0; i < spec->n_fields; i++) {
        char at[JSON_POINTER_BYTES];
        struct json_reader reader = {out, errors, at};
        if (values[i].at == NULL && !fields[i].is_required) {
            continue;
        }
        join_field(pointer, fields[i].name, at);
        if (values[i].at != NULL) {
            fields[i].read(&reader, values[i]);
        } else {
            field_errors_add(errors, 0, at, "%s is missing", fields[i].name);
        }
    }
}

void json_spec_read(struct json_view object, const struct json_field *fields, size_t n_fields,
                    const char *pointer, void *out, struct field_errors *errors)
{
    const struct spec spec = {fields, n_fields, false};

    read_object(object, &spec, pointer, out, errors);
}

void json_spec_read_open(struct json_view object, const struct json_field *fields, size_t n_fields,
                         const char *pointer, void *out, struct field_errors *errors)
{
    const struct spec spec = {fields, n_fields, true};

    read_object(object, &spec, pointer, out, errors);
}

/* A number that is too large arrives cut to the largest there is, and would pass for it. */
static bool is_cut(struct json_view value, int64_t whole)
{
    static const char largest[] = "9223372036854775807";
    const size_t length = sizeof largest - 1;

    return whole == INT64_MAX &&
           (json_view_size(value) != length || memcmp(value.at, largest, length) != 0);
}

bool json_read_whole(const struct json_reader *reader, struct json_view value, int64_t min,
                     int64_t max, int64_t *out)
{
    int64_t whole;

    if (!json_view_whole(value, &whole) || whole < min || whole > max || is_cut(value, whole)) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a whole number from %" PRId64 " to %" PRId64, min, max);
        return false;
    }
    *out = whole;
    return true;
}

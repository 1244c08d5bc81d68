/* JSON read where it stands (RFC 8259): one pass checks a text whole, and from then on values are
 * looked at in place. Nothing is allocated, so a body costs no more memory than its bytes, however
 * it nests or how many numbers it holds.
 *
 * A struct json_view points into the text, which must outlive it and stay as it is. Everything but
 * json_view_check() may be called on views of checked text only. Thread-safe. */
#ifndef DGLD_PROTO_JSON_VIEW_H
#define DGLD_PROTO_JSON_VIEW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum { JSON_MAX_DEPTH = 64 };

enum json_kind {
    JSON_KIND_NULL,
    JSON_KIND_BOOLEAN,
    JSON_KIND_NUMBER,
    JSON_KIND_STRING,
    JSON_KIND_ARRAY,
    JSON_KIND_OBJECT,
};

struct json_view {
    const char *at; /* first character of the value */
};

/* Checks that `bytes` (size; no terminator needed) are one JSON value in UTF-8, nested at most
 * JSON_MAX_DEPTH deep, and returns it. ERR_SYNTAX names line, column and what is wrong. */
enum err json_view_check(const char *bytes, size_t size, struct json_view *out, struct error *err);

enum json_kind json_view_kind(struct json_view value);
/* "a string", "an object" ... for messages; static. */
const char *json_view_kind_name(struct json_view value);

bool json_view_is_null(struct json_view value);
bool json_view_is_true(struct json_view value);

/* The number as a double; one that is too large for it is infinite. Of a value inside of an array
 * or object only. */
double json_view_number(struct json_view value);

/* A whole number; 4.0 counts as one, as JSON Schema has it, and one that is too large is cut to
 * what fits. Digits alone are kept all, however many. False for any other value. */
bool json_view_whole(struct json_view value, int64_t *out);

/* A string, decoded into `out` (size, at least 1), cut between characters where it is longer.
 * Returns the length of the whole string, so a result of `size` or more says that it was cut. A NUL
 * in the string is decoded as one. */
size_t json_view_string(struct json_view value, char *out, size_t size);

/* The same for text that must fit and hold no NUL: false for any other value. `out` is written
 * anyway. */
bool json_view_text(struct json_view value, char *out, size_t size);

/* A string without escapes, in place: false where it has some. */
bool json_view_string_plain(struct json_view value, const char **text, size_t *length);

/* Bytes of the value's text, from its first character. Of a value inside of an array or object
 * only. */
size_t json_view_size(struct json_view value);

/* Items of an array, members of an object, one after another:
 *     for (bool more = json_view_first(array, &item); more; more = json_view_next(&item))
 * json_view_next() is given the value that was looked at last. */
bool json_view_first(struct json_view container, struct json_view *item);
bool json_view_next(struct json_view *item);
size_t json_view_count(struct json_view array);

struct json_member {
    struct json_view name; /* a string */
    struct json_view value;
};

bool json_view_first_member(struct json_view object, struct json_member *member);
bool json_view_next_member(struct json_member *member);

/* The first member of that name, of at most 63 bytes. False where there is none, or `object` is no
 * object. */
bool json_view_find(struct json_view object, const char *name, struct json_view *out);

#endif

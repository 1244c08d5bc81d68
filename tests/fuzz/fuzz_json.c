/* JSON, read where it stands and by jansson: both accept the same texts and see the same in them. */
#include <jansson.h>

#include "tests/fuzz/fuzz.h"

enum { TEXT_BYTES = 1 << 16 };

static char text[TEXT_BYTES];

static void compare(struct json_view view, const json_t *peer);

static void compare_string(struct json_view view, const char *bytes, size_t length)
{
    char cut[8];

    require(json_view_kind(view) == JSON_KIND_STRING);
    require(json_view_string(view, text, sizeof text) == length);
    require(length >= sizeof text || memcmp(text, bytes, length + 1) == 0);
    require(json_view_text(view, text, sizeof text) ==
            (length < sizeof text && strlen(bytes) == length));
    require(json_view_string(view, cut, sizeof cut) == length);
    require(strnlen(cut, sizeof cut) < sizeof cut);
}

static void compare_number(struct json_view view, const json_t *peer)
{
    int64_t whole = 0;
    bool is_whole = json_view_whole(view, &whole);

    require(json_view_kind(view) == JSON_KIND_NUMBER);
    if (json_is_integer(peer)) {
        require(is_whole && whole == json_integer_value(peer));
    }
    require(json_view_number(view) == json_number_value(peer));
}

static void compare_array(struct json_view view, const json_t *peer)
{
    struct json_view item;
    size_t n = 0;

    require(json_view_count(view) == json_array_size(peer));
    for (bool more = json_view_first(view, &item); more; more = json_view_next(&item)) {
        require(json_view_size(item) > 0);
        compare(item, json_array_get(peer, n++));
    }
    require(n == json_array_size(peer));
}

/* Of members with the same name jansson keeps the last: such objects are not compared further. */
static void compare_object(struct json_view view, const json_t *peer)
{
    struct json_member member;
    size_t n = 0;

    for (bool more = json_view_first_member(view, &member); more;
         more = json_view_next_member(&member)) {
        n++;
    }
    require(n >= json_object_size(peer));
    if (n > json_object_size(peer)) {
        return;
    }
    for (bool more = json_view_first_member(view, &member); more;
         more = json_view_next_member(&member)) {
        if (json_view_text(member.name, text, sizeof text)) {
            compare(member.value, json_object_get(peer, text));
        }
    }
}

static void compare(struct json_view view, const json_t *peer)
{
    require(peer != NULL);
    switch (json_typeof(peer)) {
    case JSON_OBJECT:
        require(json_view_kind(view) == JSON_KIND_OBJECT);
        compare_object(view, peer);
        break;
    case JSON_ARRAY:
        require(json_view_kind(view) == JSON_KIND_ARRAY);
        compare_array(view, peer);
        break;
    case JSON_STRING:
        compare_string(view, json_string_value(peer), json_string_length(peer));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        compare_number(view, peer);
        break;
    case JSON_NULL:
        require(json_view_is_null(view));
        break;
    default:
        require(json_view_kind(view) == JSON_KIND_BOOLEAN);
        require(json_view_is_true(view) == json_is_true(peer));
        break;
    }
}

static void run(const char *bytes, size_t size)
{
    struct json_view view;
    struct error err = {0};
    json_error_t peer_error;
    json_t *peer = json_loadb(bytes, size, JSON_DECODE_ANY | JSON_ALLOW_NUL, &peer_error);
    enum err rc = json_view_check(bytes, size, &view, &err);

    require_told(rc, &err, NULL);
    if (rc != ERR_OK) {
        require(rc == ERR_SYNTAX);
        /* jansson takes a NUL between values for the end, and has no such bound on depth */
        require(peer == NULL || strstr(err.text, "deep") != NULL ||
                memchr(bytes, '\0', size) != NULL);
    } else if (peer == NULL) { /* what it has no form for, and we have */
        enum json_error_code why = json_error_code(&peer_error);
        require(why == json_error_numeric_overflow || why == json_error_null_byte_in_key);
    } else if (json_view_kind(view) >= JSON_KIND_ARRAY) {
        compare(view, peer);
    }
    json_decref(peer);
}

FUZZ_TARGET(run)

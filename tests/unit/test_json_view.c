/* proto/json_view.h against jansson: whatever one accepts the other accepts, and both see the same.
 */
#include <jansson.h>

#include "core/rng.h"
#include "core/utf8.h"
#include "proto/json_view.h"
#include "tests/support/check.h"

/* ---- comparison with jansson ----------------------------------------------------------------- */

static void assert_same(struct json_view view, const json_t *value);

static void assert_same_text(struct json_view view, const char *expected, size_t length)
{
    char decoded[4096];

    assert_int_equal(json_view_string(view, decoded, sizeof decoded), length);
    assert_true(length < sizeof decoded);
    assert_memory_equal(decoded, expected, length + 1);
}

static void assert_same_array(struct json_view view, const json_t *value)
{
    struct json_view item;
    size_t i = 0;

    assert_int_equal(json_view_count(view), json_array_size(value));
    for (bool more = json_view_first(view, &item); more; more = json_view_next(&item)) {
        assert_same(item, json_array_get(value, i++));
    }
    assert_int_equal(i, json_array_size(value));
}

static void assert_same_object(struct json_view view, const json_t *value)
{
    struct json_member member;
    size_t n = 0;

    for (bool more = json_view_first_member(view, &member); more;
         more = json_view_next_member(&member)) {
        char name[4096];
        assert_true(json_view_text(member.name, name, sizeof name));
        assert_non_null(json_object_get(value, name));
        assert_same(member.value, json_object_get(value, name));
        n++;
    }
    assert_int_equal(n, json_object_size(value));
}

static void assert_same(struct json_view view, const json_t *value)
{
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        assert_int_equal(json_view_kind(view), JSON_KIND_OBJECT);
        assert_same_object(view, value);
        break;
    case JSON_ARRAY:
        assert_int_equal(json_view_kind(view), JSON_KIND_ARRAY);
        assert_same_array(view, value);
        break;
    case JSON_STRING:
        assert_int_equal(json_view_kind(view), JSON_KIND_STRING);
        assert_same_text(view, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        assert_int_equal(json_view_kind(view), JSON_KIND_NUMBER);
        assert_true(json_view_number(view) == json_number_value(value));
        break;
    case JSON_NULL:
        assert_true(json_view_is_null(view));
        break;
    default:
        assert_int_equal(json_view_kind(view), JSON_KIND_BOOLEAN);
        assert_int_equal(json_view_is_true(view), json_is_true(value));
        break;
    }
}

/* What we take and jansson does not: an escaped NUL in a name, numbers beyond its types, and, with
 * its flag, a name given twice. What it takes and we do not: deeper nesting. */
static bool is_known_difference(const json_error_t *error)
{
    enum json_error_code code = json_error_code(error);

    return code == json_error_null_byte_in_key || code == json_error_null_character ||
           code == json_error_numeric_overflow || code == json_error_duplicate_key;
}

/* The text is copied to a block of its very size, so that a sanitizer sees every step beyond. */
static void compare(const char *text, size_t size, size_t *n_accepted)
{
    char *exact = mem_calloc(size, 1);
    json_error_t json_error;
    struct json_view view = {NULL};
    struct error err = {0};
    json_t *value = json_loadb(
        text, size, JSON_DECODE_ANY | JSON_ALLOW_NUL | JSON_REJECT_DUPLICATES, &json_error);
    enum err rc;

    assert_non_null(exact);
    memcpy(exact, text, size);
    rc = json_view_check(exact, size, &view, &err);
    if (value != NULL && rc != ERR_OK) {
        assert_contains(err.text, "too deep");
    } else if (value == NULL && rc == ERR_OK) {
        if (!is_known_difference(&json_error)) {
            fail_msg("taken, and not by jansson (%s): %.*s", json_error.text, (int)size, text);
        }
    } else if (value != NULL && (json_is_object(value) || json_is_array(value))) {
        assert_same(view, value);
        (*n_accepted)++;
    } else if (rc != ERR_OK) {
        assert_contains(err.text, "line ");
    }
    json_decref(value);
    mem_free(exact);
}

static const char *const seeds[] = {
    "{\"search_space\":\"nasbench201\",\"hardware\":[2.0,3,1,7.46],\"architectures\":[\"444244\"]}",
    "[4,-4,0,4.5,-0.25e-3,1E+9,10000000000,true,false,null,[],{},[[1],[2,[3]]]]",
    " { \"a\" : [ 1 , 2 ] ,\n\t\"b\" : { \"c\" : \"d\" } , \"\" : \"\" }\r\n",
    "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u0041\\u00e9\\u20ac\\ud83d\\ude00 \xc3\xa9 \xe2\x82\xac "
    "\xf0\x9f\x98\x80\"]",
    "{\"on_error\":\"null\",\"devices\":[\"a\",[1,2,3,4],{\"frequency_ghz\":2}]}",
};

static void every_seed_is_taken_and_every_truncation_is_not(void **state)
{
    size_t n_accepted = 0;

    (void)state;
    for (size_t s = 0; s < COUNT_OF(seeds); s++) {
        size_t size = strlen(seeds[s]);
        for (size_t cut = 1; cut <= size; cut++) {
            compare(seeds[s], cut, &n_accepted);
        }
    }
    assert_true(n_accepted >= COUNT_OF(seeds));
}

/* Seeds with some bytes changed, taken out, doubled or swapped for what JSON is made of. */
static void mutations_are_taken_exactly_where_jansson_takes_them(void **state)
{
    static const char likely[] = "{}[]\",:\\ue-+.0123456789tfn \n\x01\xc3\xa9\xf0\xff";
    const size_t n_texts = IS_SANITIZED ? 40000 : 400000;
    size_t n_accepted = 0;
    struct rng rng;

    (void)state;
    rng_init(&rng, 1);
    for (size_t n = 0; n < n_texts; n++) {
        char text[512];
        const char *seed = seeds[rng_below(&rng, COUNT_OF(seeds))];
        size_t size = strlen(seed);
        memcpy(text, seed, size);
        for (size_t m = 1 + rng_below(&rng, 3); m > 0; m--) {
            size_t at = rng_below(&rng, size);
            switch (rng_below(&rng, 3)) {
            case 0:
                text[at] = likely[rng_below(&rng, sizeof likely - 1)];
                break;
            case 1:
                memmove(text + at, text + at + 1, size - at - 1);
                size -= size > 1 ? 1 : 0;
                break;
            default:
                memmove(text + at + 1, text + at, size - at);
                text[at] = likely[rng_below(&rng, sizeof likely - 1)];
                size++;
                break;
            }
        }
        compare(text, size, &n_accepted);
    }
    assert_true(n_accepted > n_texts / 20);
}

/* ---- on its own ------------------------------------------------------------------------------ */

static enum err check_text(const char *text, struct json_view *view, struct error *err)
{
    return json_view_check(text, strlen(text), view, err);
}

static void what_is_wrong_is_told_with_line_and_column(void **state)
{
    static const struct {
        const char *text, *said;
    } rows[] = {
        {"",              "line 1, column 1: empty"                                  },
        {"  ",            "line 1, column 3: the text ends where a value is expected"},
        {"{",             "line 1, column 2: a member's name"                        },
        {"{\n \"a\" 1}",  "line 2, column 6: a colon"                                },
        {"[1\n,2\n 3]",   "line 3, column 2: a comma or ]"                           },
        {"{\"a\":1,}",    "line 1, column 8: a member's name"                        },
        {"[01]",          "line 1, column 3: a number does not begin with 0"         },
        {"[1.]",          "line 1, column 4: a digit"                                },
        {"[\"\\x\"]",     "line 1, column 4: there is no such escape"                },
        {"[\"\\u12g4\"]", "line 1, column 5: \\u needs"                              },
        {"[\"\\udc00\"]", "half of a surrogate pair"                                 },
        {"[\"a\tb\"]",    "control character"                                        },
        {"[\"\xc3(\"]",   "not UTF-8"                                                },
        {"[nul]",         "line 1, column 2: a value"                                },
        {"[1] 2",         "line 1, column 5: the value ends, and the text goes on"   },
        {"[\"abc",        "the text ends inside of a string"                         },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct json_view view;
        struct error err = {0};
        assert_error(check_text(rows[i].text, &view, &err), ERR_SYNTAX, &err, rows[i].said);
    }
}

static void nesting_ends_at_its_bound(void **state)
{
    static char text[200000];
    struct json_view view;
    struct error err = {0};

    (void)state;
    memset(text, '[', sizeof text / 2);
    memset(text + sizeof text / 2, ']', sizeof text / 2);
    assert_error(json_view_check(text, sizeof text, &view, &err), ERR_SYNTAX, &err, "too deep");
    assert_ok(
        json_view_check(text + sizeof text / 2 - JSON_MAX_DEPTH, 2 * JSON_MAX_DEPTH, &view, &err),
        &err);
    assert_error(json_view_check(text + sizeof text / 2 - JSON_MAX_DEPTH - 1,
                                 2 * JSON_MAX_DEPTH + 2, &view, &err),
                 ERR_SYNTAX, &err, "too deep");
}

static void a_short_decimal_is_the_nearest_double(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 5);
    for (int i = 0; i < 100000; i++) {
        char text[64];
        struct json_view root;
        struct json_view item;
        int digits = (int)rng_below(&rng, 18);
        (void)snprintf(text, sizeof text, "[%s%.*f]", rng_below(&rng, 2) ? "-" : "", digits,
                       rng_uniform(&rng) * (rng_below(&rng, 2) ? 1 : 1e4));
        assert_int_equal(json_view_check(text, strlen(text), &root, NULL), ERR_OK);
        assert_true(json_view_first(root, &item));
        assert_true(json_view_number(item) == strtod(text + 1, NULL));
    }
}

static void a_number_without_fraction_counts_as_whole(void **state)
{
    static const struct {
        const char *text;
        bool is_whole;
        int64_t value;
    } rows[] = {
        {"[4]",                     true,  4                            },
        {"[-0]",                    true,  0                            },
        {"[4.0]",                   true,  4                            },
        {"[-4e1]",                  true,  -40                          },
        {"[999999999999999]",       true,  999999999999999              },
        {"[9007199254740993]",      true,  9007199254740993             },
        {"[-9222036854775875808]",  true,  INT64_C(-9222036854775875808)},
        {"[9223372036854775807]",   true,  INT64_MAX                    },
        {"[-9223372036854775808]",  true,  INT64_MIN                    },
        {"[9223372036854775808]",   true,  INT64_MAX                    },
        {"[-99999999999999999999]", true,  INT64_MIN                    },
        {"[999999999999999999]",    true,  999999999999999999           },
        {"[1000000000000000000.0]", true,  1000000000000000000          },
        {"[9999999999999999999.5]", true,  INT64_MAX                    },
        {"[1e300]",                 true,  INT64_MAX                    },
        {"[-1e999]",                true,  INT64_MIN                    },
        {"[4.5]",                   false, 0                            },
        {"[\"4\"]",                 false, 0                            },
        {"[true]",                  false, 0                            },
        {"[null]",                  false, 0                            },
        {"[[4]]",                   false, 0                            },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct json_view view;
        struct json_view item;
        int64_t whole = 0;
        assert_ok(check_text(rows[i].text, &view, NULL), NULL);
        assert_true(json_view_first(view, &item));
        assert_int_equal(json_view_whole(item, &whole), rows[i].is_whole);
        assert_int_equal(whole, rows[i].value);
    }
}

static void strings_are_cut_between_characters(void **state)
{
    struct json_view view;

    (void)state;
    assert_ok(check_text("\"a\\u00e9\xe2\x82\xac\\ud83d\\ude00z\"", &view, NULL), NULL);
    for (size_t size = 1; size < 16; size++) {
        char out[16];
        memset(out, '?', sizeof out);
        assert_int_equal(json_view_string(view, out, size), 11);
        assert_true(strlen(out) < size);
        for (const char *c = out; *c != '\0'; c += utf8_length(c)) {
            assert_true(utf8_length(c) > 0);
        }
        assert_memory_equal(out, "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z", strlen(out));
        assert_int_equal(json_view_text(view, out, size), size > 11);
    }
}

static void text_with_a_nul_is_no_text(void **state)
{
    struct json_view view;
    char out[16];

    (void)state;
    assert_ok(check_text("\"a\\u0000b\"", &view, NULL), NULL);
    assert_int_equal(json_view_string(view, out, sizeof out), 3);
    assert_memory_equal(out, "a\0b", 4);
    assert_false(json_view_text(view, out, sizeof out));
}

static void plain_strings_are_seen_in_place(void **state)
{
    const char *text = "\"444244\"";
    const char *plain = NULL;
    struct json_view view;
    size_t length = 0;

    (void)state;
    assert_ok(check_text(text, &view, NULL), NULL);
    assert_true(json_view_string_plain(view, &plain, &length));
    assert_ptr_equal(plain, text + 1);
    assert_int_equal(length, 6);
    assert_ok(check_text("\"4\\u0034\"", &view, NULL), NULL);
    assert_false(json_view_string_plain(view, &plain, &length));
}

static void a_value_is_as_long_as_its_text(void **state)
{
    static const char *const values[] = {
        "4",           "-4.5e-3",         "true", "null", "\"\"", "\"a\\\"b\\u00e9]\"", "[]",
        "[ 1 , [2] ]", "{\"a\" : \"}\"}",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        static const char *const ends[] = {"]", ",1]", " ]", "\n,1]"};
        for (size_t e = 0; e < COUNT_OF(ends); e++) {
            struct json_view view;
            struct json_view item;
            char text[64];
            (void)snprintf(text, sizeof text, "[%s%s", values[i], ends[e]);
            assert_ok(check_text(text, &view, NULL), NULL);
            assert_true(json_view_first(view, &item));
            assert_int_equal(json_view_size(item), strlen(values[i]));
        }
    }
}

static void a_member_is_found_by_its_name(void **state)
{
    struct json_view view;
    struct json_view found;

    (void)state;
    assert_ok(
        check_text("{\"a\":{\"b\":1},\"b\":2,\"b\":3,\"\\u0063\":4,\"d\\u0000\":5}", &view, NULL),
        NULL);
    assert_true(json_view_find(view, "b", &found) &&
                *found.at == '2'); /* the first, not one within */
    assert_true(json_view_find(view, "c", &found) && *found.at == '4');
    assert_false(json_view_find(view, "d", &found));
    assert_false(json_view_find(view, "", &found));
    assert_ok(check_text("[\"b\"]", &view, NULL), NULL);
    assert_false(json_view_find(view, "b", &found));
    assert_ok(check_text("{}", &view, NULL), NULL);
    assert_false(json_view_find(view, "b", &found));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_seed_is_taken_and_every_truncation_is_not),
        counted_test(mutations_are_taken_exactly_where_jansson_takes_them),
        counted_test(what_is_wrong_is_told_with_line_and_column),
        counted_test(nesting_ends_at_its_bound),
        counted_test(a_short_decimal_is_the_nearest_double),
        counted_test(a_number_without_fraction_counts_as_whole),
        counted_test(strings_are_cut_between_characters),
        counted_test(text_with_a_nul_is_no_text),
        counted_test(plain_strings_are_seen_in_place),
        counted_test(a_value_is_as_long_as_its_text),
        counted_test(a_member_is_found_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

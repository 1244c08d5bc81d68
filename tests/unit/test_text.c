/* proto/text.h: growing texts, JSON strings and numbers. */
#include <jansson.h>

#include "core/rng.h"
#include "proto/text.h"
#include "tests/support/check.h"

static void pieces_are_put_one_after_another(void **state)
{
    struct text text = {0};
    size_t size = 0;
    char *bytes;
    (void)state;
    text_puts(&text, "ab");
    text_put(&text, "c\0d", 3);
    text_printf(&text, "%d-%s", 7, "x");
    assert_int_equal(text.size, 8);
    bytes = text_take(&text, &size);
    assert_int_equal(size, 8);
    assert_memory_equal(bytes, "abc\0d7-x", 9); /* with the terminator */
    assert_null(text.bytes);
    mem_free(bytes);
    text_close(&text);
}

static void long_texts_grow_and_keep_what_they_hold(void **state)
{
    struct text text = {0};
    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        text_printf(&text, "%05zu", i);
    }
    assert_false(text.has_failed);
    assert_int_equal(text.size, 100000);
    assert_memory_equal(text.bytes + 5 * 12345, "12345", 5);
    text_close(&text);
}

static void an_allocation_that_fails_is_remembered(void **state)
{
    struct text text = {0};
    size_t size = 77;
    (void)state;
    text_puts(&text, "begin");
    mem_fail_after(1, 0);
    for (size_t i = 0; i < 1000; i++) {
        text_puts(&text, "0123456789");
        text_printf(&text, "%d", 1);
        text_put_json_number(&text, 1.5);
        text_put_json_string(&text, "x");
    }
    assert_true(text.has_failed);
    assert_null(text_take(&text, &size));
    text_close(&text);
}

static void a_size_that_cannot_be_is_a_failure_not_a_hang(void **state)
{
    static const size_t sizes[] = {SIZE_MAX, SIZE_MAX - 300, SIZE_MAX / 2, SIZE_MAX / 4};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct text text = {0};
        text_puts(&text, "x");
        text_reserve(&text, sizes[i]);
        assert_true(text.has_failed);
        text_close(&text);
    }
}

/* ---- strings --------------------------------------------------------------------------------- */

static void assert_string(const char *string, const char *expected)
{
    struct text text = {0};

    text_put_json_string(&text, string);
    assert_string_equal(text.bytes, expected);
    text_close(&text);
}

static void strings_are_escaped_where_json_wants_it(void **state)
{
    (void)state;
    assert_string("", "\"\"");
    assert_string("a/b", "\"a/b\"");
    assert_string("\"\\", "\"\\\"\\\\\"");
    assert_string("a\nb\tc", "\"a\\u000ab\\u0009c\"");
    assert_string("\x01\x1f\x7f", "\"\\u0001\\u001f\\u007f\"");
    assert_string("\xc3\xa9\xf0\x9f\x98\x80", "\"\xc3\xa9\xf0\x9f\x98\x80\"");
}

static void malformed_utf8_is_shown_as_such(void **state)
{
    (void)state;
    assert_string("a\xff_", "\"a\\ufffd_\"");
    assert_string("\xc3", "\"\\ufffd\"");
    assert_string("\xed\xa0\x80", "\"\\ufffd\\ufffd\\ufffd\"");
    assert_string("\xc0\xaf", "\"\\ufffd\\ufffd\"");
}

/* Any bytes give a string that a JSON parser takes, and well-formed ones come back. */
static void every_string_can_be_parsed_again(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 1);
    for (size_t round = 0; round < 3000; round++) {
        char string[40] = {0};
        struct text text = {0};
        json_t *value;
        bool is_ascii = round % 2 == 0;
        size_t length = rng_below(&rng, 39);
        for (size_t i = 0; i < length; i++) {
            string[i] = (char)(1 + rng_below(&rng, is_ascii ? 127 : 255));
        }
        text_put_json_string(&text, string);
        value = json_loadb(text.bytes, text.size, JSON_DECODE_ANY, NULL);
        assert_true(json_is_string(value));
        if (is_ascii) {
            assert_string_equal(json_string_value(value), string);
        }
        json_decref(value);
        text_close(&text);
    }
}

/* ---- numbers --------------------------------------------------------------------------------- */

static double read_back(double value)
{
    struct text text = {0};
    json_t *number;
    double read;

    text_put_json_number(&text, value);
    number = json_loadb(text.bytes, text.size, JSON_DECODE_ANY, NULL);
    if (!json_is_number(number)) {
        fail_msg("%.17g is written as \"%s\"", value, text.bytes);
    }
    read = strtod(text.bytes, NULL);
    assert_near_relative(json_number_value(number), read, 1e-15);
    json_decref(number);
    text_close(&text);
    return read;
}

/* Nine significant digits: half a unit in the ninth is 5e-9 of the smallest mantissa. */
static void numbers_have_nine_digits_at_every_magnitude(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 2);
    for (int exponent = -300; exponent <= 300;
         exponent += exponent > -13 && exponent < 13 ? 1 : 9) {
        for (size_t i = 0; i < 400; i++) {
            double value = (1.0 + 9.0 * rng_uniform(&rng)) * pow(10.0, exponent);
            value = i % 2 == 0 ? value : -value;
            assert_near_relative(read_back(value), value, 5.001e-9);
        }
    }
}

static void values_beside_powers_of_ten_are_rounded_over_them(void **state)
{
    (void)state;
    for (int exponent = -10; exponent <= 15; exponent++) {
        double power = pow(10.0, exponent);
        assert_near_relative(read_back(power), power, 1e-15);
        assert_near_relative(read_back(nextafter(power, 0.0)), power, 5e-9);
        assert_near_relative(read_back(nextafter(power, INFINITY)), power, 5e-9);
        assert_near_relative(read_back(power * (1.0 - 4e-10)), power, 5e-9);
        assert_near_relative(read_back(power * 5.0), power * 5.0, 1e-15);
    }
}

static void short_numbers_are_written_short(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0,                  "0"         },
        {1,                  "1"         },
        {10,                 "10"        },
        {100,                "100"       },
        {1.5,                "1.5"       },
        {12.25,              "12.25"     },
        {0.5,                "0.5"       },
        {1810.6453070661305, "1810.64531"},
        {99999999,           "99999999"  },
        {9.9999999999,       "10"        },
        {1.00000001,         "1.00000001"},
        {-2.5,               "-2.5"      },
        {100000000,          "100000000" },
        {1e300,              "1e+300"    },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text text = {0};
        text_put_json_number(&text, rows[i].value);
        assert_string_equal(text.bytes, rows[i].text);
        text_close(&text);
    }
}

static void what_is_not_finite_is_null(void **state)
{
    const double values[] = {NAN, INFINITY, -INFINITY};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        struct text text = {0};
        text_put_json_number(&text, values[i]);
        assert_string_equal(text.bytes, "null");
        text_close(&text);
    }
}

static void exact_numbers_are_read_back_as_they_were(void **state)
{
    static const struct {
        double value;
        const char *text;
    } rows[] = {
        {0,                   "0"                  },
        {34.1,                "34.1"               },
        {0.1,                 "0.1"                },
        {1810.6453070661305,  "1810.6453070661305" },
        {0.30000000000000004, "0.30000000000000004"},
        {1.0 / 3.0,           "0.3333333333333333" },
        {123456789.25,        "123456789.25"       },
        {1e300,               "1e+300"             },
        {-7.46,               "-7.46"              },
        {NAN,                 "null"               },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text text = {0};
        text_puts(&text, "x");
        text_put_json_number_exact(&text, rows[i].value);
        assert_string_equal(text.bytes + 1, rows[i].text);
        text_close(&text);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(pieces_are_put_one_after_another),
        counted_test(long_texts_grow_and_keep_what_they_hold),
        counted_test(an_allocation_that_fails_is_remembered),
        counted_test(a_size_that_cannot_be_is_a_failure_not_a_hang),
        counted_test(strings_are_escaped_where_json_wants_it),
        counted_test(malformed_utf8_is_shown_as_such),
        counted_test(every_string_can_be_parsed_again),
        counted_test(numbers_have_nine_digits_at_every_magnitude),
        counted_test(values_beside_powers_of_ten_are_rounded_over_them),
        counted_test(short_numbers_are_written_short),
        counted_test(what_is_not_finite_is_null),
        counted_test(exact_numbers_are_read_back_as_they_were),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

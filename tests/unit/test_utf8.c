/* core/utf8.h: RFC 3629, no more and no less. */
#include "core/utf8.h"
#include "tests/support/check.h"

/* Encodes without a thought for what is allowed. */
static size_t encode(unsigned long code, size_t n, char out[5])
{
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};

    memset(out, 0, 5);
    if (n == 1) {
        out[0] = (char)code;
        return 1;
    }
    for (size_t i = n; i-- > 1;) {
        out[i] = (char)(0x80 | (code & 0x3f));
        code >>= 6;
    }
    out[0] = (char)(lead[n] | code);
    return n;
}

static size_t shortest(unsigned long code)
{
    return code < 0x80 ? 1 : code < 0x800 ? 2 : code < 0x10000 ? 3 : 4;
}

static void every_code_point_has_its_length_and_surrogates_none(void **state)
{
    (void)state;
    for (unsigned long code = 1; code <= 0x10ffff; code++) {
        char text[5];
        size_t n = encode(code, shortest(code), text);
        bool is_surrogate = code >= 0xd800 && code <= 0xdfff;
        if (utf8_length(text) != (is_surrogate ? 0 : n)) {
            fail_msg("U+%04lX gives %zu", code, utf8_length(text));
        }
    }
}

static void overlong_forms_are_malformed(void **state)
{
    static const unsigned long codes[] = {1, 0x2f, 0x7f, 0x80, 0x7ff, 0x800, 0xffff};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(codes); i++) {
        for (size_t n = shortest(codes[i]) + 1; n <= 4; n++) {
            char text[5];
            (void)encode(codes[i], n, text);
            assert_int_equal(utf8_length(text), 0);
        }
    }
}

static void code_points_beyond_the_last_are_malformed(void **state)
{
    char text[5];
    (void)state;
    (void)encode(0x110000, 4, text);
    assert_int_equal(utf8_length(text), 0);
    assert_int_equal(utf8_length("\xf5\x80\x80\x80"), 0);
    assert_int_equal(utf8_length("\xff"), 0);
}

static void a_character_that_breaks_off_is_malformed(void **state)
{
    static const char *const rows[] = {"\xc3", "\xe2\x82", "\xe2",  "\xf0\x9f\x98", "\xf0\x9f",
                                       "\x80", "\xbf",     "\xc3(", "\xe2(\xa1"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(utf8_length(rows[i]), 0);
    }
}

static void the_terminator_has_length_one(void **state)
{
    (void)state;
    assert_int_equal(utf8_length(""), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_has_its_length_and_surrogates_none),
        cmocka_unit_test(overlong_forms_are_malformed),
        cmocka_unit_test(code_points_beyond_the_last_are_malformed),
        cmocka_unit_test(a_character_that_breaks_off_is_malformed),
        cmocka_unit_test(the_terminator_has_length_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

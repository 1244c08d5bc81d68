/* server/job_request.h: what clients say of jobs beside the body. */
#include "server/job_request.h"
#include "tests/support/check.h"

static struct preference parse(const char *field)
{
    struct preference found;

    memset(&found, 0xff, sizeof found);
    preference_parse(field, &found);
    return found;
}

static void a_preference_to_wait_is_found_wherever_it_stands(void **state)
{
    static const struct {
        const char *field;
        int wait_s;
    } cases[] = {
        {"wait=5",                                       5 },
        {"WAIT=5",                                       5 },
        {"wait = 5",                                     5 },
        {"wait=\"5\"",                                   5 },
        {"wait=0",                                       0 },
        {"wait=60",                                      60},
        {"wait=61",                                      60},
        {"wait=99999999999999999999999999",              60},
        {"respond-async, wait=7",                        7 },
        {"respond-async,wait=7",                         7 },
        {"handling=lenient; a=b, wait=7; c",             7 },
        {"x=\"a, wait=3\", wait=7",                      7 },
        {"x=\"a\\\", wait=3\", wait=7",                  7 },
        {",, wait=7,,",                                  7 },
        {"wait=7, wait=8",                               7 },
        {"wait=x, wait=8",                               8 },
        {"a-name-that-is-longer-than-any-here=1,wait=4", 4 },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct preference found = parse(cases[i].field);
        assert_true(found.has_wait);
        assert_int_equal(found.wait_s, cases[i].wait_s);
    }
}

static void what_is_no_preference_to_wait_is_passed_over(void **state)
{
    static const char *const fields[] = {
        NULL,      "",          "wait",     "wait=",     "wait=-1",      "wait=1.5",
        "wait=5s", "waiting=5", "x=wait=5", "x; wait=5", "x=\"wait=5\"", "x=\"wait=5",
        ";wait=5", "=5",        ",",        "\"wait\\",  "wait=0x5",     "x=\"a, wait=3",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(fields); i++) {
        struct preference found = parse(fields[i]);
        assert_false(found.has_wait);
        assert_int_equal(found.wait_s, 0);
        assert_false(found.is_async);
    }
}

static void respond_async_is_found(void **state)
{
    (void)state;
    assert_true(parse("respond-async").is_async);
    assert_true(parse("wait=3, Respond-Async").is_async);
    assert_false(parse("respond-asynchronously, wait=3").is_async);
}

static void digits_are_a_number_and_nothing_else_is(void **state)
{
    static const char *const wrong[] = {"",    " 1",  "1 ",  "+1",      "-1",
                                        "1.0", "0x1", "1e3", "\xd9\xa1"};
    int64_t value = -1;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(digits_parse(wrong[i], &value));
        assert_int_equal(value, -1);
    }
    assert_true(digits_parse("0", &value) && value == 0);
    assert_true(digits_parse("0060", &value) && value == 60);
    assert_true(digits_parse("4294967296", &value) && value == INT64_C(4294967296));
    assert_true(digits_parse("9223372036854775900", &value) && value == INT64_MAX);
    assert_true(digits_parse("99999999999999999999999", &value) && value == INT64_MAX);
}

static void a_key_is_visible_characters_with_or_without_quotes(void **state)
{
    char longest[JOB_KEY_BYTES + 2];
    char key[JOB_KEY_BYTES];
    struct error err = {0};
    (void)state;

    assert_ok(idempotency_key_parse("8e03978e-40d5", key, &err), &err);
    assert_string_equal(key, "8e03978e-40d5");
    assert_ok(idempotency_key_parse("\"8e03978e-40d5\"", key, &err), &err);
    assert_string_equal(key, "8e03978e-40d5");
    assert_ok(idempotency_key_parse("\"", key, &err), &err);
    assert_string_equal(key, "\"");
    memset(longest, 'x', sizeof longest);
    longest[JOB_KEY_BYTES - 1] = '\0';
    assert_ok(idempotency_key_parse(longest, key, &err), &err);
    assert_string_equal(key, longest);
    longest[JOB_KEY_BYTES - 1] = 'x';
    longest[JOB_KEY_BYTES] = '\0';
    assert_error(idempotency_key_parse(longest, key, &err), ERR_INVALID, &err,
                 "Idempotency-Key must have 1 to 255 characters, not 256");
    assert_error(idempotency_key_parse("", key, &err), ERR_INVALID, &err, "not 0");
    assert_error(idempotency_key_parse("\"\"", key, &err), ERR_INVALID, &err, "not 0");
    assert_error(idempotency_key_parse("a b", key, &err), ERR_INVALID, &err, "character 2");
    assert_error(idempotency_key_parse("a\x7f", key, &err), ERR_INVALID, &err, "character 2");
    assert_error(idempotency_key_parse("\xc3\xa4", key, &err), ERR_INVALID, &err, "character 1");
}

static void a_cursor_is_read_back_and_nothing_else_is(void **state)
{
    static const int64_t numbers[] = {1, 9, 10, 255, INT64_C(1) << 40, INT64_MAX};
    static const char *const wrong[] = {"",
                                        "j",
                                        "j0",
                                        "1",
                                        "k1",
                                        "j-1",
                                        "j+1",
                                        "j 1",
                                        "J1",
                                        "j0x1",
                                        "j01",
                                        "j1 ",
                                        "j1g",
                                        "jA",
                                        "jffffffffffffffff",
                                        "j8000000000000000",
                                        "j11111111111111111111111111"};
    char text[JOB_CURSOR_BYTES];
    int64_t value = -7;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_false(cursor_parse(wrong[i], &value));
        assert_int_equal(value, -7);
    }
    for (size_t i = 0; i < COUNT_OF(numbers); i++) {
        cursor_format(numbers[i], text);
        assert_true(cursor_parse(text, &value));
        assert_int_equal(value, numbers[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_preference_to_wait_is_found_wherever_it_stands),
        counted_test(what_is_no_preference_to_wait_is_passed_over),
        counted_test(respond_async_is_found),
        counted_test(digits_are_a_number_and_nothing_else_is),
        counted_test(a_key_is_visible_characters_with_or_without_quotes),
        counted_test(a_cursor_is_read_back_and_nothing_else_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

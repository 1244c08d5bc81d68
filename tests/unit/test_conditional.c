/* server/conditional.h: which lists of tags match, to read and to write. */
#include "server/conditional.h"
#include "tests/support/check.h"

static enum condition check(const char *if_match, const char *if_none_match, bool is_read,
                            const char *etag)
{
    const struct conditions conditions = {if_match, if_none_match};
    struct error err = {0};
    enum condition result = condition_check(&conditions, is_read, etag, &err);

    assert_int_equal(result, condition_check(&conditions, is_read, etag, NULL));
    assert_int_equal(result == CONDITION_FAILED, err.code == ERR_INVALID);
    return result;
}

/* The same with the field named where it comes out otherwise. */
static void expect(const char *if_match, const char *if_none_match, bool is_read, const char *etag,
                   enum condition expected)
{
    if (check(if_match, if_none_match, is_read, etag) != expected) {
        fail_msg("If-Match: %s, If-None-Match: %s, to %s: not %d",
                 if_match != NULL ? if_match : "(none)",
                 if_none_match != NULL ? if_none_match : "(none)", is_read ? "read" : "write",
                 (int)expected);
    }
}

static void equal_bytes_have_equal_tags_and_others_do_not(void **state)
{
    char a[ETAG_BYTES];
    char b[ETAG_BYTES];
    char c[ETAG_BYTES];
    (void)state;
    etag_make("abc", 3, NULL, a);
    etag_make("abcd", 3, NULL, b);
    etag_make("abd", 3, NULL, c);
    assert_string_equal(a, "\"ba7816bf8f01cfea414140de5dae2223\"");
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
    etag_make("abc", 3, "csv", a);
    assert_string_equal(a, "\"ba7816bf8f01cfea414140de5dae2223-csv\"");
    etag_make("abc", 3, "a-name-that-is-far-too-long-for-a-variant", a);
    assert_true(strlen(a) < ETAG_BYTES && a[strlen(a) - 1] == '"');
}

static void no_condition_holds_always(void **state)
{
    (void)state;
    expect(NULL, NULL, true, "\"a\"", CONDITION_HOLDS);
    expect(NULL, NULL, false, NULL, CONDITION_HOLDS);
}

struct row {
    const char *list;
    const char *etag;
    enum condition to_read, to_write;
};

/* clang-format off */
static const struct row if_match_rows[] = {
    {"\"a\"",               "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {"  \"a\"  ",           "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {"\"b\", \"a\"",        "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {",, \"b\"\t,,\"a\",,", "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {"*",                   "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {" * ",                 "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {"\"b,a\", \"a\"",      "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {"\"b,a\"",             "\"a\"",          CONDITION_FAILED, CONDITION_FAILED},
    {"\"b\"",               "\"a\"",          CONDITION_FAILED, CONDITION_FAILED},
    {"\"A\"",               "\"a\"",          CONDITION_FAILED, CONDITION_FAILED},
    {"W/\"a\"",             "\"a\"",          CONDITION_FAILED, CONDITION_FAILED},
    {"W/\"a\", \"a\"",      "\"a\"",          CONDITION_HOLDS,  CONDITION_HOLDS},
    {"*",                   NULL,             CONDITION_FAILED, CONDITION_FAILED},
    {"\"a\"",               NULL,             CONDITION_FAILED, CONDITION_FAILED},
    {"\"\"",                "\"a\"",          CONDITION_FAILED, CONDITION_FAILED},
    {"\"d-json\"",          "\"d-csv\"",      CONDITION_FAILED, CONDITION_HOLDS},
    {"\"d\"",               "\"d-csv\"",      CONDITION_FAILED, CONDITION_HOLDS},
    {"\"d-csv-gzip\"",      "\"d-csv\"",      CONDITION_HOLDS,  CONDITION_HOLDS},
    {"\"dd-csv\"",          "\"d-csv\"",      CONDITION_FAILED, CONDITION_FAILED},
};

static const struct row if_none_match_rows[] = {
    {"\"a\"",               "\"a\"",     CONDITION_NOT_MODIFIED, CONDITION_FAILED},
    {"W/\"a\"",             "\"a\"",     CONDITION_NOT_MODIFIED, CONDITION_FAILED},
    {"\"b\", W/\"a\"",      "\"a\"",     CONDITION_NOT_MODIFIED, CONDITION_FAILED},
    {"*",                   "\"a\"",     CONDITION_NOT_MODIFIED, CONDITION_FAILED},
    {"\"b\", \"c\"",        "\"a\"",     CONDITION_HOLDS,        CONDITION_HOLDS},
    {"*",                   NULL,        CONDITION_HOLDS,        CONDITION_HOLDS},
    {"\"a\"",               NULL,        CONDITION_HOLDS,        CONDITION_HOLDS},
    {"\"d-gzip\"",          "\"d\"",     CONDITION_NOT_MODIFIED, CONDITION_FAILED},
    {"\"d-json\"",          "\"d-csv\"", CONDITION_HOLDS,        CONDITION_FAILED},
};

static const char *const malformed[] = {
    "", " ", ",", "a", "\"a", "a\"", "\"a\" \"a\"", "\"a\"b", "**", "*, \"a\"", "\"a\", *", "w/\"a\"", "W/a", "W/",
    "W", "\"a b\"", "\"a\x01\"", "\"a\x7f\"", "\"a\";", "'a'",
};
/* clang-format on */

static void if_match_needs_a_strong_tag_of_the_list(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(if_match_rows); i++) {
        const struct row *row = &if_match_rows[i];
        expect(row->list, NULL, true, row->etag, row->to_read);
        expect(row->list, NULL, false, row->etag, row->to_write);
    }
}

static void if_none_match_answers_304_to_reads_and_412_to_writes(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(if_none_match_rows); i++) {
        const struct row *row = &if_none_match_rows[i];
        expect(NULL, row->list, true, row->etag, row->to_read);
        expect(NULL, row->list, false, row->etag, row->to_write);
    }
}

static void a_malformed_list_never_lets_a_write_through(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(malformed); i++) {
        expect(malformed[i], NULL, false, "\"a\"", CONDITION_FAILED);
        expect(malformed[i], NULL, true, "\"a\"", CONDITION_FAILED);
        expect(NULL, malformed[i], false, "\"a\"", CONDITION_FAILED);
        expect(NULL, malformed[i], false, NULL, CONDITION_FAILED);
        expect(NULL, malformed[i], true, "\"a\"", CONDITION_HOLDS);
    }
}

static void both_conditions_must_hold(void **state)
{
    (void)state;
    expect("\"a\"", "\"b\"", true, "\"a\"", CONDITION_HOLDS);
    expect("\"a\"", "\"a\"", true, "\"a\"", CONDITION_NOT_MODIFIED);
    expect("\"b\"", "\"a\"", true, "\"a\"", CONDITION_FAILED);
    expect("*", "*", false, "\"a\"", CONDITION_FAILED);
}

static void the_reason_says_what_is_there_now(void **state)
{
    const struct conditions conditions = {"\"b\"", NULL};
    const struct conditions unquoted = {"b", NULL};
    struct error err;
    (void)state;
    (void)condition_check(&conditions, false, "\"a\"", &err);
    assert_contains(err.text, "If-Match does not hold");
    assert_contains(err.text, "its entity tag is \"a\"");
    (void)condition_check(&conditions, false, NULL, &err);
    assert_contains(err.text, "no such resource");
    (void)condition_check(&unquoted, false, "\"a\"", &err);
    assert_contains(err.text, "in double quotes");
}

static void if_range_needs_the_very_representation(void **state)
{
    (void)state;
    assert_true(etag_is_exactly("\"a\"", "\"a\""));
    assert_true(etag_is_exactly(" \"a\"\t", "\"a\""));
    assert_false(etag_is_exactly("W/\"a\"", "\"a\""));
    assert_false(etag_is_exactly("\"a-gzip\"", "\"a\""));
    assert_false(etag_is_exactly("*", "\"a\""));
    assert_false(etag_is_exactly("", "\"a\""));
    assert_false(etag_is_exactly("Sat, 29 Oct 1994 19:43:31 GMT", "\"a\""));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(equal_bytes_have_equal_tags_and_others_do_not),
        counted_test(no_condition_holds_always),
        counted_test(if_match_needs_a_strong_tag_of_the_list),
        counted_test(if_none_match_answers_304_to_reads_and_412_to_writes),
        counted_test(a_malformed_list_never_lets_a_write_through),
        counted_test(both_conditions_must_hold),
        counted_test(the_reason_says_what_is_there_now),
        counted_test(if_range_needs_the_very_representation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

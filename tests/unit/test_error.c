/* core/error.h: codes and sentences. */
#include <errno.h>

#include "tests/support/check.h"

static void error_set_fills_code_and_sentence_and_yields_the_code(void **state)
{
    struct error err = {0};
    (void)state;
    assert_int_equal(error_set(&err, ERR_LIMIT, "%d of %s", 7, "nine"), ERR_LIMIT);
    assert_int_equal(err.code, ERR_LIMIT);
    assert_string_equal(err.text, "7 of nine");
}

static void null_is_accepted_everywhere(void **state)
{
    (void)state;
    assert_int_equal(error_set(NULL, ERR_SYNTAX, "%d", 1), ERR_SYNTAX);
    assert_int_equal(error_sys(NULL, ENOENT, "%d", 1), ERR_NOT_FOUND);
    (void)error_wrap(NULL, "%d", 1);
}

static void wrapping_puts_the_place_in_front_and_keeps_the_code(void **state)
{
    struct error err = {0};
    (void)state;
    (void)error_set(&err, ERR_INVALID, "gene 3 is 9");
    assert_int_equal(error_wrap(&err, "line %d", 12), ERR_INVALID);
    assert_int_equal(error_wrap(&err, "net.txt"), ERR_INVALID);
    assert_string_equal(err.text, "net.txt: line 12: gene 3 is 9");
}

static void a_long_sentence_is_cut_at_its_end(void **state)
{
    struct error err = {0};
    char longer[2 * ERROR_TEXT_BYTES];
    (void)state;
    memset(longer, 'a', sizeof longer);
    longer[sizeof longer - 1] = '\0';
    (void)error_set(&err, ERR_IO, "begin %s", longer);
    assert_int_equal(strlen(err.text), ERROR_TEXT_BYTES - 1);
    assert_memory_equal(err.text, "begin aaa", 9);
}

static void wrapping_a_full_sentence_cuts_its_end_not_the_place(void **state)
{
    (void)state;
    for (size_t length = ERROR_TEXT_BYTES - 5; length < ERROR_TEXT_BYTES + 5; length++) {
        struct error err = {0};
        char place[2 * ERROR_TEXT_BYTES] = {0};
        memset(place, 'p', length);
        (void)error_set(&err, ERR_IO, "what");
        error_wrap(&err, "%s", place);
        assert_true(strlen(err.text) <= ERROR_TEXT_BYTES - 1);
        assert_int_equal(strlen(err.text),
                         length + 6 < ERROR_TEXT_BYTES ? length + 6 : ERROR_TEXT_BYTES - 1);
        assert_memory_equal(err.text, "pppp", 4);
    }
}

static void system_errors_map_to_codes_and_tell_their_reason(void **state)
{
    static const struct {
        int number;
        enum err code;
        const char *reason;
    } rows[] = {
        {ENOENT, ERR_NOT_FOUND, "open x: No such file"},
        {ENOMEM, ERR_NOMEM,     "open x: Cannot alloc"},
        {EACCES, ERR_IO,        "open x: Permission d"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct error err = {0};
        assert_error(error_sys(&err, rows[i].number, "open %s", "x"), rows[i].code, &err,
                     rows[i].reason);
    }
}

static void every_code_has_a_name_of_its_own_and_a_title(void **state)
{
    (void)state;
    for (unsigned i = ERR_OK; i <= ERR_INTERNAL; i++) {
        assert_true(strlen(err_name((enum err)i)) > 0 && strlen(err_title((enum err)i)) > 0);
        for (unsigned j = 0; j < i; j++) {
            assert_string_not_equal(err_name((enum err)i), err_name((enum err)j));
        }
    }
    assert_string_equal(err_name((enum err)1000), err_name(ERR_INTERNAL));
    assert_string_equal(err_title((enum err)1000), err_title(ERR_INTERNAL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(error_set_fills_code_and_sentence_and_yields_the_code),
        cmocka_unit_test(null_is_accepted_everywhere),
        cmocka_unit_test(wrapping_puts_the_place_in_front_and_keeps_the_code),
        cmocka_unit_test(a_long_sentence_is_cut_at_its_end),
        cmocka_unit_test(wrapping_a_full_sentence_cuts_its_end_not_the_place),
        cmocka_unit_test(system_errors_map_to_codes_and_tell_their_reason),
        cmocka_unit_test(every_code_has_a_name_of_its_own_and_a_title),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

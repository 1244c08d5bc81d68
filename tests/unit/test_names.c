/* server/names.h and server/path.h: lists of names, and paths with a check of their length. */
#include "server/names.h"
#include "server/path.h"
#include "tests/support/check.h"

static void a_list_is_split_at_its_commas_without_the_blanks(void **state)
{
    struct names names = {0};
    struct error err = {0};
    (void)state;
    assert_ok(names_split("Oppo A5,  Galaxy A9 ,X", &names, &err), &err);
    assert_int_equal(names.n, 3);
    assert_string_equal(names.items[0], "Oppo A5");
    assert_string_equal(names.items[1], "Galaxy A9");
    assert_string_equal(names.items[2], "X");
    assert_true(names_contain(&names, "X"));
    assert_false(names_contain(&names, "x"));
    names_close(&names);
    names_close(&names);
}

static void empty_wrong_and_repeated_names_are_refused(void **state)
{
    static const char *const rows[][2] = {
        {"",        "must not be empty"},
        {"a,",      "must not be empty"},
        {",a",      "must not be empty"},
        {"a, ,b",   "must not be empty"},
        {"a,b, a",  "a is named twice" },
        {"a,../b",  "a device name"    },
        {"a,b\xff", "UTF-8"            },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct names names = {0};
        struct error err = {0};
        assert_error(names_split(rows[i][0], &names, &err), ERR_INVALID, &err, rows[i][1]);
        assert_null(names.items);
    }
}

static void names_are_sorted_by_their_bytes(void **state)
{
    struct names names = {0};
    (void)state;
    names_sort(&names); /* an empty list may be sorted */
    assert_int_equal(names_split("b,a,B,ab", &names, NULL), ERR_OK);
    names_sort(&names);
    assert_string_equal(names.items[0], "B");
    assert_string_equal(names.items[1], "a");
    assert_string_equal(names.items[2], "ab");
    assert_string_equal(names.items[3], "b");
    names_close(&names);
}

static enum err split_once(void *context, struct error *err)
{
    struct names names = {0};
    enum err rc = names_split(context, &names, err);

    names_close(&names);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    fail_each_allocation(split_once, (void *)"a,b,c");
}

static void a_path_that_does_not_fit_is_refused(void **state)
{
    static char longest[PATH_BYTES + 10];
    char path[PATH_BYTES];
    struct error err = {0};
    (void)state;
    memset(longest, 'x', PATH_BYTES - 1);
    assert_ok(path_format(path, &err, "%s", longest), &err);
    assert_string_equal(path, longest);
    longest[PATH_BYTES - 1] = 'x';
    assert_error(path_format(path, &err, "%s", longest), ERR_LIMIT, &err, "longer than 4095 bytes");
}

static void only_regular_files_are_files(void **state)
{
    (void)state;
    assert_true(path_is_file(write_text("a.txt", "x")));
    assert_false(path_is_file(check_directory));
    assert_false(path_is_file(own_path("none")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_list_is_split_at_its_commas_without_the_blanks),
        counted_test(empty_wrong_and_repeated_names_are_refused),
        counted_test(names_are_sorted_by_their_bytes),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
        counted_test(a_path_that_does_not_fit_is_refused),
        directory_test(only_regular_files_are_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

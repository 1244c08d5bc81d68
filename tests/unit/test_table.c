/* core/table.h: what is read rightly, and what is refused with file, line and reason. */
#include <sys/types.h>

#include "core/table.h"
#include "tests/support/check.h"

/* Bytes of a file, NUL allowed inside. */
#define TEXT(literal) literal, sizeof(literal) - 1

static void numbers_are_read_row_by_row(void **state)
{
    struct table table = {0};
    struct error err = {0};
    (void)state;
    assert_ok(table_read(write_text("t.txt", "1 2.5 -3\n4e2\t.5  +6.\n"), 3, &table, &err), &err);
    assert_int_equal(table.n_rows, 2);
    assert_int_equal(table.n_columns, 3);
    assert_memory_equal(table.values, ((double[]){1, 2.5, -3, 400, .5, 6}), 6 * sizeof(double));
    table_close(&table);
    table_close(&table); /* a closed table may be closed again */
}

static void every_usual_form_of_a_text_file_is_read_alike(void **state)
{
    static const char *const texts[] = {
        "1 2\n3 4\n",
        "1 2\n3 4",
        "1 2\r\n3 4\r\n",
        "1 2\r\n3 4",
        "1 2\n3 4\n\n\n",
        "1 2\n3 4\n \n\t\n",
        "\xef\xbb\xbf"
        "1 2\n3 4\n",
        "1 2\r\n3 4\r\n\r\n",
        " 1 2 \n\t3 4\t\n",
        "1 2\n3 4\r",
        "1 2\n3 4\n  ",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct table table = {0};
        struct error err = {0};
        assert_ok(table_read(write_text("t.txt", texts[i]), 2, &table, &err), &err);
        assert_int_equal(table.n_rows, 2);
        assert_memory_equal(table.values, ((double[]){1, 2, 3, 4}), 4 * sizeof(double));
        table_close(&table);
    }
}

/* Rows: bytes, code, what stands behind "<path>:". Two columns are expected. */
static void bad_tables_are_refused_with_file_line_and_reason(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        enum err code;
        const char *phrase;
    } rows[] = {
        {TEXT(""),                   ERR_SYNTAX,  "1: the file is empty"                  },
        {TEXT("\n\n"),               ERR_SYNTAX,  "1: the file is empty"                  },
        {TEXT("\xef\xbb\xbf"),       ERR_SYNTAX,  "1: the file is empty"                  },
        {TEXT("1 2\n3\n"),           ERR_SYNTAX,  "2: 1 numbers where 2 are expected"     },
        {TEXT("1 2\n3 4 5\n"),       ERR_SYNTAX,  "2: 3 numbers where 2 are expected"     },
        {TEXT("1 2\n\n3 4\n"),       ERR_SYNTAX,  "2: 0 numbers where 2 are expected"     },
        {TEXT("1 2\n3 x\n"),         ERR_SYNTAX,  "2: \"x\" is not a number"              },
        {TEXT("1 2\n3 4x\n"),        ERR_SYNTAX,  "2: \"4x\" is not a number"             },
        {TEXT("1 2\n3,4\n"),         ERR_SYNTAX,  "2: \"3,4\" is not a number"            },
        {TEXT("1 2\n3 nan\n"),       ERR_SYNTAX,  "2: \"nan\" is not a number"            },
        {TEXT("1 2\n3 NaN\n"),       ERR_SYNTAX,  "2: \"NaN\" is not a number"            },
        {TEXT("1 2\n3 inf\n"),       ERR_SYNTAX,  "2: \"inf\" is not a number"            },
        {TEXT("1 2\n3 -Infinity\n"), ERR_SYNTAX,  "2: \"-Infinity\" is not a number"      },
        {TEXT("1 0x10\n"),           ERR_SYNTAX,  "1: \"0x10\" is not a number"           },
        {TEXT("1 1e999\n"),          ERR_INVALID, "1: 1e999 is too large for a number"    },
        {TEXT("1 -1e999\n"),         ERR_INVALID, "1: -1e999 is too large for a number"   },
        {TEXT("1 2e\n"),             ERR_SYNTAX,  "1: \"2e\" is not a number"             },
        {TEXT("1 2e+\n"),            ERR_SYNTAX,  "1: \"2e+\" is not a number"            },
        {TEXT("1 .\n"),              ERR_SYNTAX,  "1: \".\" is not a number"              },
        {TEXT("1 -\n"),              ERR_SYNTAX,  "1: \"-\" is not a number"              },
        {TEXT("1 1.2.3\n"),          ERR_SYNTAX,  "1: \"1.2.3\" is not a number"          },
        {TEXT("1 2\n3 4\0\n"),       ERR_SYNTAX,  "2: \"4\" is not a number"              },
        {TEXT("1 2\n3 4\n\0"),       ERR_SYNTAX,  "3: \"\" is not a number"               },
        {TEXT("1 2\r3 4\n"),         ERR_SYNTAX,  "1: a carriage return stands inside the"},
        {TEXT("1\r2\n"),             ERR_SYNTAX,  "1: a carriage return stands inside the"},
        {TEXT("1 \xff\x01\n"),       ERR_SYNTAX,  "1: \"\?\?\" is not a number"           },
        {TEXT("1 2\n\xef\xbb\xbf"
              "3 4\n"),
         ERR_SYNTAX,                              "2: \"\?\?\?3\" is not a number"        },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *path = write_bytes("bad.txt", rows[i].bytes, rows[i].size);
        struct table table = {0};
        struct error err = {0};
        char phrase[TEST_PATH_BYTES];
        (void)snprintf(phrase, sizeof phrase, "%s:%s", path, rows[i].phrase);
        assert_error(table_read(path, 2, &table, &err), rows[i].code, &err, phrase);
        assert_null(table.values); /* outputs are written on success only */
    }
}

static void a_word_of_any_length_is_refused_without_harm(void **state)
{
    char text[5000];
    (void)state;
    for (size_t length = 60; length < sizeof text; length += length < 70 ? 1 : 700) {
        struct table table = {0};
        struct error err = {0};
        memset(text, '1', length);
        text[length - 1] = 'x';
        assert_error(table_read(write_bytes("t.txt", text, length), 1, &table, &err), ERR_SYNTAX,
                     &err, "is not a number");
    }
}

static void values_may_stand_on_one_line_or_on_many(void **state)
{
    static const char *const texts[] = {"2 3 1 7.46", "2\n3\n1\n7.46\n", "2 3\r\n1\r\n\r\n7.46",
                                        "\n2 3 1 7.46\n\n"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        double values[4] = {0};
        struct error err = {0};
        assert_ok(table_read_values(write_text("h.txt", texts[i]), 4, values, NULL, &err), &err);
        assert_memory_equal(values, ((double[]){2, 3, 1, 7.46}), sizeof values);
    }
}

static void a_wrong_number_of_values_is_refused(void **state)
{
    double values[5] = {0, 0, 0, 0, 77};
    struct error err = {0};
    (void)state;
    assert_error(table_read_values(write_text("h.txt", "2 3 1\n"), 4, values, NULL, &err),
                 ERR_SYNTAX, &err, "3 numbers where 4 are expected");
    assert_error(table_read_values(write_text("h.txt", "2 3 1 4\n5\n"), 4, values, NULL, &err),
                 ERR_SYNTAX, &err, "5 numbers where 4 are expected");
    assert_near(values[4], 77, 0);
    assert_error(table_read_values(write_text("h.txt", ""), 4, values, NULL, &err), ERR_SYNTAX,
                 &err, "0 numbers where 4 are expected");
    assert_error(table_read_values(write_text("h.txt", "2 3\n1 x\n"), 4, values, NULL, &err),
                 ERR_SYNTAX, &err, "h.txt:2: \"x\" is not a number");
    assert_error(table_read_values(write_text("h.txt", "2 3\r1 4\n"), 4, values, NULL, &err),
                 ERR_SYNTAX, &err, "h.txt:1: a carriage return");
}

static void positive_columns_refuse_zero_negative_and_another_length(void **state)
{
    double *values = NULL;
    size_t n = 0;
    struct error err = {0};
    (void)state;
    assert_ok(table_read_positive(write_text("a.txt", "1.5\n2\n"), 2, &values, NULL, &err), &err);
    assert_near(values[1], 2, 0);
    mem_free(values);
    assert_ok(table_read_positive(write_text("a.txt", "1\n2\n3\n"), 0, &values, &n, &err), &err);
    assert_int_equal(n, 3);
    mem_free(values);
    assert_error(table_read_positive(write_text("a.txt", "1\n0\n"), 2, &values, NULL, &err),
                 ERR_INVALID, &err, "a.txt:2: 0 must be a positive number");
    assert_error(table_read_positive(write_text("a.txt", "-3\n1\n"), 2, &values, NULL, &err),
                 ERR_INVALID, &err, "a.txt:1: -3 must be a positive number");
    assert_error(table_read_positive(write_text("a.txt", "1\n2\n3\n"), 2, &values, NULL, &err),
                 ERR_INVALID, &err, "a.txt:3: the file has 3 rows where net.txt has 2");
    assert_error(table_read_positive(write_text("a.txt", "1\n"), 2, &values, NULL, &err),
                 ERR_INVALID, &err, "a.txt:1: the file has 1 rows where net.txt has 2");
}

static void what_is_no_regular_file_is_refused_without_waiting(void **state)
{
    struct table table = {0};
    struct error err = {0};
    (void)state;
    assert_error(table_read(own_path("none.txt"), 1, &table, &err), ERR_NOT_FOUND, &err,
                 "none.txt");
    assert_error(table_read(check_directory, 1, &table, &err), ERR_IO, &err, "not a regular file");
    assert_int_equal(mkfifo(own_path("fifo"), 0600), 0);
    assert_error(table_read(own_path("fifo"), 1, &table, &err), ERR_IO, &err, "not a regular file");
    assert_error(table_read("/dev/zero", 1, &table, &err), ERR_IO, &err, "not a regular file");
}

static enum err read_once(void *context, struct error *err)
{
    double *values = NULL;
    enum err rc = table_read_positive(context, 2, &values, NULL, err);

    mem_free(values);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    fail_each_allocation(read_once, (void *)write_text("t.txt", "1\n2\n"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(numbers_are_read_row_by_row),
        directory_test(every_usual_form_of_a_text_file_is_read_alike),
        directory_test(bad_tables_are_refused_with_file_line_and_reason),
        directory_test(a_word_of_any_length_is_refused_without_harm),
        directory_test(values_may_stand_on_one_line_or_on_many),
        directory_test(a_wrong_number_of_values_is_refused),
        directory_test(positive_columns_refuse_zero_negative_and_another_length),
        directory_test(what_is_no_regular_file_is_refused_without_waiting),
        directory_test(running_out_of_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

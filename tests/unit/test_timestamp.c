/* proto/timestamp.h: points in time as text, and HTTP's dates back. */
#include "proto/timestamp.h"
#include "tests/support/check.h"

static const struct {
    time_t at;
    const char *stamp, *date;
} known[] = {
    {0,            "1970-01-01T00:00:00.123Z", "Thu, 01 Jan 1970 00:00:00 GMT"},
    {784111777,    "1994-11-06T08:49:37.123Z", "Sun, 06 Nov 1994 08:49:37 GMT"}, /* RFC 9110's */
    {951782400,    "2000-02-29T00:00:00.123Z", "Tue, 29 Feb 2000 00:00:00 GMT"},
    {1709210096,   "2024-02-29T12:34:56.123Z", "Thu, 29 Feb 2024 12:34:56 GMT"},
    {4107542399,   "2100-02-28T23:59:59.123Z", "Sun, 28 Feb 2100 23:59:59 GMT"},
    {253402300799, "9999-12-31T23:59:59.123Z", "Fri, 31 Dec 9999 23:59:59 GMT"},
};

static void times_are_written_in_both_forms(void **state)
{
    char stamp[TIMESTAMP_BYTES];
    char date[HTTP_DATE_BYTES];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(known); i++) {
        timestamp_format((struct timespec){known[i].at, 123999999}, stamp);
        assert_string_equal(stamp, known[i].stamp);
        http_date_format(known[i].at, date);
        assert_string_equal(date, known[i].date);
    }
}

static void times_outside_of_four_digit_years_are_shown_as_the_nearest_inside(void **state)
{
    char date[HTTP_DATE_BYTES];
    char stamp[TIMESTAMP_BYTES];
    (void)state;
    http_date_format(-1, date);
    assert_string_equal(date, known[0].date);
    http_date_format((time_t)1 << 60, date);
    assert_string_equal(date, known[COUNT_OF(known) - 1].date);
    timestamp_format((struct timespec){(time_t)1 << 60, 0}, stamp);
    assert_string_equal(stamp, "9999-12-31T23:59:59.000Z");
}

static void a_date_that_was_written_is_read_back_on_every_day(void **state)
{
    char date[HTTP_DATE_BYTES];
    (void)state;
    for (time_t at = 43201; at < (time_t)300 * 366 * 86400; at += 86400) {
        time_t read = -1;
        http_date_format(at, date);
        assert_true(http_date_parse(date, &read));
        assert_true(read == at);
    }
}

static void all_three_forms_of_http_are_read(void **state)
{
    static const struct {
        const char *text;
        time_t at;
    } forms[] = {
        {"Sun, 06 Nov 1994 08:49:37 GMT",    784111777         },
        {"Sunday, 06-Nov-94 08:49:37 GMT",   784111777         },
        {"Sun Nov  6 08:49:37 1994",         784111777         },
        {"Sun Nov 16 08:49:37 1994",         784111777 + 864000},
        {"Thursday, 29-Feb-24 12:34:56 GMT", 1709210096        },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        time_t read = -1;
        assert_true(http_date_parse(forms[i].text, &read));
        assert_true(read == forms[i].at);
    }
}

static void other_text_is_no_date(void **state)
{
    static const char *const texts[] = {
        "",
        "now",
        "784111777",
        "Sun, 06 Nov 1994 08:49:37",
        "Sun, 06 Nov 1994 08:49:37 GMT ",
        "Sun, 06 Nov 1994 08:49:37 CET",
        "Sun, 6 Nov 1994 08:49:37 GMT",
        "Sun, 06 nov 1994 08:49:37 GMT",
        "Sun, 00 Nov 1994 08:49:37 GMT",
        "Sun, 32 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 24:49:37 GMT",
        "Sun, 06 Nov 1994 08:60:37 GMT",
        "Sun, 06 Nov 1994 08:49:61 GMT",
        "Sun, 06 Nov 19940 08:49:37 GMT",
        "1994-11-06T08:49:37Z",
        ", 06 Nov 1994 08:49:37 GMT",
        "Sun, 06 Nov 1994 08:49:3\xff GMT",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        time_t read = 42;
        assert_false(http_date_parse(texts[i], &read));
        assert_true(read == 42);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(times_are_written_in_both_forms),
        counted_test(times_outside_of_four_digit_years_are_shown_as_the_nearest_inside),
        counted_test(a_date_that_was_written_is_read_back_on_every_day),
        counted_test(all_three_forms_of_http_are_read),
        counted_test(other_text_is_no_date),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

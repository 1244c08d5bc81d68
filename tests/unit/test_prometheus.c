/* proto/prometheus.h: the text format. */
#include "proto/prometheus.h"
#include "tests/support/check.h"

static void assert_text(struct text *text, const char *expected)
{
    assert_false(text->has_failed);
    assert_string_equal(text->bytes, expected);
    text_close(text);
}

static void a_family_is_described_before_its_samples(void **state)
{
    const struct prom_label labels[] = {
        {"a", "x"},
        {"b", "" }
    };
    struct text text = {0};
    (void)state;
    prom_family(&text, "n_total", "counter", "How many.");
    prom_whole(&text, "n_total", labels, 2, UINT64_MAX);
    prom_whole(&text, "n_total", labels, 1, 0);
    assert_text(&text, "# HELP n_total How many.\n"
                       "# TYPE n_total counter\n"
                       "n_total{a=\"x\",b=\"\"} 18446744073709551615\n"
                       "n_total{a=\"x\"} 0\n");
}

static void numbers_are_written_in_full(void **state)
{
    struct text text = {0};
    (void)state;
    prom_real(&text, "x", NULL, 0, 1.0 / 3);
    prom_real(&text, "x", NULL, 0, 1700000000.25);
    prom_real(&text, "x", NULL, 0, -0.5);
    prom_real(&text, "x", NULL, 0, NAN);
    prom_real(&text, "x", NULL, 0, INFINITY);
    prom_real(&text, "x", NULL, 0, -INFINITY);
    assert_text(&text, "x 0.33333333333333331\n"
                       "x 1700000000.25\n"
                       "x -0.5\n"
                       "x NaN\n"
                       "x +Inf\n"
                       "x -Inf\n");
    prom_single(&text, "y", "gauge", "Y.", 2);
    assert_text(&text, "# HELP y Y.\n# TYPE y gauge\ny 2\n");
}

static void label_values_are_escaped(void **state)
{
    static const struct {
        const char *value, *expected;
    } rows[] = {
        {"plain",        "plain"          },
        {"a\"b\\c\nd",   "a\\\"b\\\\c\\nd"},
        {"\xc3\xa9\t{}", "\xc3\xa9\t{}"   },
        {"\xff",         "\xef\xbf\xbd"   },
        {"a\xc3",        "a\xef\xbf\xbd"  },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct prom_label label = {"l", rows[i].value};
        struct text text = {0};
        char expected[64];
        (void)snprintf(expected, sizeof expected, "x{l=\"%s\"} 1\n", rows[i].expected);
        prom_whole(&text, "x", &label, 1, 1);
        assert_text(&text, expected);
    }
}

static void buckets_are_cumulated_up_to_the_count(void **state)
{
    static const double bounds[] = {1e-5, 0.25, 10};
    static const uint64_t counts[] = {3, 0, 4, 5};
    const struct prom_histogram histogram = {bounds, counts, 3, 1.5};
    const struct prom_label label = {"r", "/x"};
    struct text text = {0};
    (void)state;
    prom_histogram(&text, "d", &label, 1, &histogram);
    assert_text(&text, "d_bucket{r=\"/x\",le=\"1e-05\"} 3\n"
                       "d_bucket{r=\"/x\",le=\"0.25\"} 3\n"
                       "d_bucket{r=\"/x\",le=\"10\"} 7\n"
                       "d_bucket{r=\"/x\",le=\"+Inf\"} 12\n"
                       "d_sum{r=\"/x\"} 1.5\n"
                       "d_count{r=\"/x\"} 12\n");
    prom_histogram(&text, "d", NULL, 0, &histogram);
    assert_contains(text.bytes, "d_bucket{le=\"+Inf\"} 12\nd_sum 1.5\nd_count 12\n");
    text_close(&text);
}

static void want_of_memory_shows_in_the_text(void **state)
{
    struct text text = {0};
    (void)state;
    mem_fail_after(1, 1);
    prom_single(&text, "y", "gauge", "Y.", 2);
    mem_fail_after(0, 0);
    assert_true(text.has_failed);
    text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_family_is_described_before_its_samples),
        counted_test(numbers_are_written_in_full),
        counted_test(label_values_are_escaped),
        counted_test(buckets_are_cumulated_up_to_the_count),
        counted_test(want_of_memory_shows_in_the_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* core/search_sample.h: all of what was looked at, or evenly chosen ones. */
#include "core/search_sample.h"
#include "tests/support/check.h"

enum { N_TARGETS = 3 };

/* Networks that tell their numbers. */
static enum err add_numbered(struct search_sample *sample, size_t n, struct error *err)
{
    enum err rc = ERR_OK;

    search_sample_init(sample, N_TARGETS);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const double latency_ms[N_TARGETS] = {(double)i, (double)i + 0.25, (double)i + 0.5};
        rc = search_sample_add(sample, -(double)i, latency_ms, err);
    }
    return rc;
}

static void check_numbers(const struct search_sample *sample, size_t every)
{
    for (size_t i = 0; i < sample->n; i++) {
        const double number = (double)(i * every);
        assert_near(sample->accuracy[i], -number, 0);
        for (size_t t = 0; t < N_TARGETS; t++) {
            assert_near(sample->latency_ms[i * N_TARGETS + t], number + 0.25 * (double)t, 0);
        }
    }
}

static void few_are_all_kept_and_of_many_every_so_manieth(void **state)
{
    static const struct {
        size_t n, n_kept, every;
    } rows[] = {
        {0,                         0,                         1},
        {1,                         1,                         1},
        {1025,                      1025,                      1},
        {SEARCH_SAMPLE_MAX,         SEARCH_SAMPLE_MAX,         1},
        {SEARCH_SAMPLE_MAX + 1,     SEARCH_SAMPLE_MAX / 2 + 1, 2},
        {2 * SEARCH_SAMPLE_MAX,     SEARCH_SAMPLE_MAX,         2},
        {2 * SEARCH_SAMPLE_MAX + 2, SEARCH_SAMPLE_MAX / 2 + 1, 4},
        {100000,                    25000,                     4},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct search_sample sample;
        struct error err = {0};
        assert_ok(add_numbered(&sample, rows[i].n, &err), &err);
        assert_int_equal(sample.n, rows[i].n_kept);
        assert_int_equal(search_sample_is_whole(&sample), rows[i].every == 1);
        check_numbers(&sample, rows[i].every);
        search_sample_close(&sample);
    }
}

static enum err fill(void *context, struct error *err)
{
    struct search_sample sample;
    enum err rc = add_numbered(&sample, *(size_t *)context, err);

    search_sample_close(&sample);
    return rc;
}

static void running_out_of_memory_is_told(void **state)
{
    size_t n = 5000;
    (void)state;
    fail_each_allocation(fill, &n);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(few_are_all_kept_and_of_many_every_so_manieth),
        counted_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

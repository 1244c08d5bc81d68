/* core/metrics.h against naive loops over all pairs, ties included. */
#include "core/metrics.h"
#include "core/rng.h"
#include "tests/support/check.h"

enum { MOST = 200 };

/* Rank by counting: values below, and half of the equal ones. */
static double naive_rank(const double *values, size_t n, size_t at)
{
    double rank = 0.5;

    for (size_t i = 0; i < n; i++) {
        rank += values[i] < values[at] ? 1.0 : values[i] == values[at] ? 0.5 : 0.0;
    }
    return rank;
}

/* Pearson's r as the sum over all pairs of products of differences. */
static double naive_pearson(const double *x, const double *y, size_t n)
{
    double xx = 0;
    double yy = 0;
    double xy = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            xx += (x[i] - x[j]) * (x[i] - x[j]);
            yy += (y[i] - y[j]) * (y[i] - y[j]);
            xy += (x[i] - x[j]) * (y[i] - y[j]);
        }
    }
    return xy / sqrt(xx * yy);
}

static double sign(double x)
{
    return (double)((x > 0) - (x < 0));
}

/* tau-b: Pearson's r of the signs of all differences. */
static double naive_kendall(const double *x, const double *y, size_t n)
{
    double xx = 0;
    double yy = 0;
    double xy = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < i; j++) {
            xx += fabs(sign(x[i] - x[j]));
            yy += fabs(sign(y[i] - y[j]));
            xy += sign(x[i] - x[j]) * sign(y[i] - y[j]);
        }
    }
    return xy / sqrt(xx * yy);
}

static void all_metrics_agree_with_the_naive_ones(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 1);
    for (size_t round = 0; round < 60; round++) {
        const size_t n = 3 + rng_below(&rng, MOST - 2);
        const double steps = round % 3 == 0   ? 5.0
                             : round % 3 == 1 ? 40.0
                                              : 1e9; /* many ties to none */
        double x[MOST];
        double y[MOST];
        double ranks_x[MOST];
        double ranks_y[MOST];
        double squares = 0;
        double absolute = 0;
        double relative = 0;
        double within = 0;
        struct metrics m = {0};
        for (size_t i = 0; i < n; i++) {
            y[i] = 1.0 + floor(rng_uniform(&rng) * steps);
            x[i] = round % 2 == 0 ? y[i] * (0.8 + 0.4 * rng_uniform(&rng))
                                  : 1.0 + floor(rng_uniform(&rng) * steps);
        }
        x[0] = 0.5; /* so that neither array is constant */
        y[1] = 2.0 + steps;
        for (size_t i = 0; i < n; i++) {
            ranks_x[i] = naive_rank(x, n, i);
            ranks_y[i] = naive_rank(y, n, i);
            squares += (x[i] - y[i]) * (x[i] - y[i]);
            absolute += fabs(x[i] - y[i]);
            relative += fabs(x[i] / y[i] - 1.0);
            within += fabs(x[i] - y[i]) <= 0.1 * y[i] ? 1.0 : 0.0;
        }
        assert_int_equal(metrics_compute(x, y, n, &m, NULL), ERR_OK);
        assert_int_equal(m.n, n);
        assert_near(m.r, naive_pearson(x, y, n), 1e-9);
        assert_near(metrics_pearson(x, y, n), naive_pearson(x, y, n), 1e-9);
        assert_near(m.spearman, naive_pearson(ranks_x, ranks_y, n), 1e-9);
        assert_near(m.kendall, naive_kendall(x, y, n), 1e-9);
        assert_near_relative(m.rmse, sqrt(squares / (double)n), 1e-12);
        assert_near_relative(m.mae, absolute / (double)n, 1e-12);
        assert_near_relative(m.mape, relative / (double)n, 1e-12);
        assert_near(m.within_10_percent, within / (double)n, 1e-12);
    }
}

static void a_perfect_prediction_has_no_error_and_full_correlation(void **state)
{
    const double y[] = {3, 1, 4, 1, 5, 9, 2, 6};
    struct metrics m = {0};
    (void)state;
    assert_int_equal(metrics_compute(y, y, 8, &m, NULL), ERR_OK);
    assert_near(m.r, 1, 1e-15);
    assert_near(m.spearman, 1, 1e-15);
    assert_near(m.kendall, 1, 1e-15);
    assert_true(m.rmse == 0 && m.mae == 0 && m.mape == 0 && m.within_10_percent == 1);
}

static void a_reversed_prediction_is_anticorrelated(void **state)
{
    const double x[] = {4, 3, 2, 1};
    const double y[] = {1, 2, 3, 40};
    struct metrics m = {0};
    (void)state;
    assert_int_equal(metrics_compute(x, y, 4, &m, NULL), ERR_OK);
    assert_near(m.spearman, -1, 1e-15);
    assert_near(m.kendall, -1, 1e-15);
    assert_true(m.r < 0 && m.r > -1);
}

static void the_bound_of_ten_percent_counts_as_within(void **state)
{
    const double x[] = {11, 9, 11.01, 8.99};
    const double y[] = {10, 10, 10, 10};
    struct metrics m = {0};
    (void)state;
    assert_int_equal(metrics_compute(x, y, 4, &m, NULL), ERR_OK);
    assert_near(m.within_10_percent, 0.5, 0);
}

/* 0.1 and its like have no exact mean: a constant array must not seem to vary by its rounding. */
static void without_variation_a_correlation_is_nan(void **state)
{
    static const double constants[] = {1, 0.1, 0.3, 1e-300, 12345.678, 1e300};
    (void)state;
    for (size_t c = 0; c < COUNT_OF(constants); c++) {
        for (size_t n = 1; n <= 50; n++) {
            double varied[50];
            double constant[50];
            struct metrics m = {0};
            for (size_t i = 0; i < n; i++) {
                constant[i] = constants[c];
                varied[i] = 1.0 + (double)i;
            }
            assert_true(isnan(metrics_pearson(constant, varied, n)));
            assert_true(isnan(metrics_pearson(varied, constant, n)));
            assert_int_equal(metrics_compute(varied, constant, n, &m, NULL), ERR_OK);
            assert_true(isnan(m.r) && isnan(m.spearman) && isnan(m.kendall));
            assert_true(isfinite(m.mape));
        }
    }
}

static void one_row_has_errors_but_no_correlation(void **state)
{
    const double x = 12;
    const double y = 10;
    struct metrics m = {0};
    (void)state;
    assert_int_equal(metrics_compute(&x, &y, 1, &m, NULL), ERR_OK);
    assert_near(m.rmse, 2, 1e-15);
    assert_near(m.mape, 0.2, 1e-15);
    assert_true(isnan(m.r) && isnan(m.spearman) && isnan(m.kendall));
}

static void no_rows_are_refused(void **state)
{
    struct metrics m;
    struct error err = {0};
    (void)state;
    assert_error(metrics_compute(NULL, NULL, 0, &m, &err), ERR_INVALID, &err, "nothing to compare");
    assert_true(isnan(metrics_pearson(NULL, NULL, 0)));
}

static void kendall_counts_a_hundred_thousand_rows_quickly(void **state)
{
    enum { N = 100000 };
    double *x = mem_calloc(2 * N, sizeof *x);
    struct metrics m = {0};
    (void)state;
    for (size_t i = 0; i < N; i++) { /* pairs of neighbours swapped: N/2 of N(N-1)/2 disagree */
        x[i] = (double)i;
        x[N + i] = (double)(i ^ 1) + 1.0;
    }
    assert_int_equal(metrics_compute(x, x + N, N, &m, NULL), ERR_OK);
    assert_near(m.kendall, 1.0 - 2.0 / (N - 1.0), 1e-12);
    mem_free(x);
}

static enum err compute_once(void *context, struct error *err)
{
    const double y[] = {1, 2, 3};
    struct metrics m;

    (void)context;
    return metrics_compute(y, y, 3, &m, err);
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    fail_each_allocation(compute_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(all_metrics_agree_with_the_naive_ones),
        counted_test(a_perfect_prediction_has_no_error_and_full_correlation),
        counted_test(a_reversed_prediction_is_anticorrelated),
        counted_test(the_bound_of_ten_percent_counts_as_within),
        counted_test(without_variation_a_correlation_is_nan),
        counted_test(one_row_has_errors_but_no_correlation),
        counted_test(no_rows_are_refused),
        counted_test(kendall_counts_a_hundred_thousand_rows_quickly),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

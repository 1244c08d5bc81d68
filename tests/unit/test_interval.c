/* core/interval.h: quantiles that tables of Student's t give, and bounds that hold the median. */
#include "core/interval.h"
#include "core/rng.h"
#include "tests/support/check.h"

static void quantiles_are_those_of_students_t_with_4_degrees(void **state)
{
    /* two-sided points of the table, in scales; a standard deviation is sqrt(2) scales */
    static const double table[][2] = {
        {0.5,   0.74070},
        {0.8,   1.53321},
        {0.9,   2.13185},
        {0.95,  2.77645},
        {0.98,  3.74695},
        {0.99,  4.60409},
        {0.999, 8.61030},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(table); i++) {
        assert_near_relative(interval_quantile(table[i][0]), table[i][1] / sqrt(2.0), 1e-5);
    }
}

static void any_level_gives_a_finite_quantile_that_grows(void **state)
{
    double previous = 0.0;
    (void)state;
    for (double level = 1e-12; level < 1.0; level += 1e-3) {
        double q = interval_quantile(level);
        assert_true(isfinite(q));
        assert_at_least(q, previous);
        previous = q;
    }
    assert_true(isfinite(interval_quantile(1.0 - 1e-16)));
}

static void bounds_hold_the_median_and_narrow_with_the_spread(void **state)
{
    const double latency_ms[] = {10.0, 10.0, 1e-9, 1e12};
    const double spread[] = {0.0, 0.1, 0.5, 0.01};
    double low[4];
    double high[4];
    double in_place[4];
    (void)state;
    interval_bounds(latency_ms, spread, 4, 0.9, low, high);
    assert_near(low[0], 10.0, 0.0);
    assert_near(high[0], 10.0, 0.0);
    for (size_t i = 1; i < 4; i++) {
        assert_true(low[i] > 0.0 && low[i] < latency_ms[i] && latency_ms[i] < high[i]);
        assert_near_relative(log(high[i] / low[i]), 2.0 * interval_quantile(0.9) * spread[i], 1e-9);
    }
    memcpy(in_place, latency_ms, sizeof in_place);
    interval_bounds(in_place, spread, 4, 0.9, in_place, high);
    assert_memory_equal(in_place, low, sizeof low);
}

/* A t of 4 degrees is a normal over the root of a chi square of 4 over 4: an exact draw. */
static double draw_t(struct rng *rng)
{
    double radius = sqrt(-2.0 * log(1.0 - rng_uniform(rng)));
    double normal = radius * cos(6.283185307179586 * rng_uniform(rng));
    double chi = -2.0 * log((1.0 - rng_uniform(rng)) * (1.0 - rng_uniform(rng)));

    return normal / sqrt(chi / 4.0);
}

static void intervals_hold_the_share_that_they_say(void **state)
{
    static const double levels[] = {0.5, 0.9, 0.99};
    const size_t n = 100000;
    struct rng rng;
    (void)state;
    rng_init(&rng, 1);
    for (size_t l = 0; l < COUNT_OF(levels); l++) {
        size_t n_inside = 0;
        for (size_t i = 0; i < n; i++) {
            const double median = 50.0;
            const double spread = 0.2;
            double truth = median * exp(spread * draw_t(&rng) / sqrt(2.0));
            double low;
            double high;
            interval_bounds(&median, &spread, 1, levels[l], &low, &high);
            n_inside += truth >= low && truth <= high ? 1 : 0;
        }
        assert_near((double)n_inside / (double)n, levels[l], 0.006);
    }
}

static void without_measurements_the_device_is_part_of_the_spread(void **state)
{
    struct space plain = {.name = "plain"};
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        assert_near_relative(interval_spread(*s, 100.0, 0.0), (*s)->device_spread, 1e-12);
        assert_near_relative(interval_spread(*s, 100.0, 5.0), hypot(0.05, (*s)->device_spread),
                             1e-12);
    }
    assert_near_relative(interval_spread(&plain, 1.0, 0.0), INTERVAL_DEVICE_SPREAD, 1e-12);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(quantiles_are_those_of_students_t_with_4_degrees),
        counted_test(any_level_gives_a_finite_quantile_that_grows),
        counted_test(bounds_hold_the_median_and_narrow_with_the_spread),
        counted_test(intervals_hold_the_share_that_they_say),
        counted_test(without_measurements_the_device_is_part_of_the_spread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

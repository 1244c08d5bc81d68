/* core/stats.h: median and biweight. */
#include "core/rng.h"
#include "core/stats.h"
#include "tests/support/check.h"

static void the_median_is_the_middle_value_or_the_mean_of_two(void **state)
{
    double one[] = {7};
    double odd[] = {9, 1, 5};
    double even[] = {4, 1, 10, 2};
    double ties[] = {2, 2, 2, 8};
    (void)state;
    assert_near(stats_median(one, 1), 7, 0);
    assert_near(stats_median(odd, 3), 5, 0);
    assert_near(stats_median(even, 4), 3, 0);
    assert_near(stats_median(ties, 4), 2, 0);
}

static void the_biweight_of_symmetric_values_is_their_centre(void **state)
{
    const double values[] = {-2, -1, 0, 1, 2};
    double scratch[5];
    (void)state;
    assert_near(stats_biweight(values, 5, 1.0, scratch), 0, 1e-12);
}

static void the_biweight_ignores_what_lies_far_out(void **state)
{
    static const double outliers[] = {1.6, -1.0, 3.0, 1e9, -1e300}; /* beyond 4.685 scales */
    const double clean[] = {1.0, 1.1, 0.9, 1.05, 0.95};
    double scratch[6];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(outliers); i++) {
        const double dirty[] = {1.0, 1.1, 0.9, 1.05, 0.95, outliers[i]};
        assert_near(stats_biweight(dirty, 6, 0.1, scratch), stats_biweight(clean, 5, 0.1, scratch),
                    1e-9);
    }
}

static void the_biweight_uses_more_than_the_median_does(void **state)
{
    enum { N = 50, N_DRAWS = 400 };
    struct rng rng;
    double square_biweight = 0;
    double square_median = 0;
    (void)state;
    rng_init(&rng, 1);
    for (size_t d = 0; d < N_DRAWS; d++) {
        double values[N];
        double scratch[N];
        double b;
        for (size_t i = 0; i < N; i++) { /* nearly normal, variance 1 */
            values[i] = -6.0;
            for (size_t k = 0; k < 12; k++) {
                values[i] += rng_uniform(&rng);
            }
        }
        b = stats_biweight(values, N, 1.0, scratch);
        square_biweight += b * b;
        b = stats_median(values, N);
        square_median += b * b;
    }
    assert_at_most(square_biweight, 0.8 * square_median); /* efficiency .95 against .64 */
}

static void without_scale_the_biweight_is_the_median(void **state)
{
    const double values[] = {5, 1, 4, 100};
    double scratch[4];
    (void)state;
    assert_near(stats_biweight(values, 4, 0.0, scratch), 4.5, 0);
    assert_near(values[3], 100, 0); /* the values themselves keep their order */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_median_is_the_middle_value_or_the_mean_of_two),
        cmocka_unit_test(the_biweight_of_symmetric_values_is_their_centre),
        cmocka_unit_test(the_biweight_ignores_what_lies_far_out),
        cmocka_unit_test(the_biweight_uses_more_than_the_median_does),
        cmocka_unit_test(without_scale_the_biweight_is_the_median),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

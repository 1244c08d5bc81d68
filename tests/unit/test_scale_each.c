#include <float.h>
#include <math.h>

#include "core/scale_each.h"
#include "tests/support/check.h"

enum { N = 67 }; /* no multiple of what is done at a time */

static void fill(double *a, double *factor)
{
    for (int i = 0; i < N; i++) {
        a[i] = 0.1 + 1e3 * i;
        factor[i] = 3.0 / (1 + i);
    }
}

static void products_are_rounded_once_whatever_their_number(void **state)
{
    double a[N], factor[N];
    (void)state;
    fill(a, factor);
    for (size_t n = 0; n <= N; n++) {
        float out[N + 1];
        for (size_t i = 0; i <= N; i++) {
            out[i] = -1.0F;
        }
        assert_true(scale_each(a, factor, n, out));
        for (size_t i = 0; i < n; i++) {
            assert_true(out[i] == (float)(a[i] * factor[i]));
        }
        assert_true(out[n] == -1.0F);
    }
}

static void one_that_is_not_finite_is_noticed_wherever_it_stands(void **state)
{
    static const double wrong[] = {NAN, INFINITY, -INFINITY, 2.0 * FLT_MAX};
    (void)state;
    for (size_t w = 0; w < COUNT_OF(wrong); w++) {
        for (size_t i = 0; i < N; i++) {
            double a[N], factor[N];
            float out[N];
            fill(a, factor);
            a[i] = wrong[w];
            factor[i] = 1.0;
            assert_false(scale_each(a, factor, N, out));
            a[i] = FLT_MAX;
            assert_true(scale_each(a, factor, N, out));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_are_rounded_once_whatever_their_number),
        cmocka_unit_test(one_that_is_not_finite_is_noticed_wherever_it_stands),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

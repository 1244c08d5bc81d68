#include <math.h>

#include "core/tanh_each.h"
#include "tests/support/check.h"

#define TOLERANCE 3e-7 /* relative, as promised */

static float tanh_of(float x)
{
    tanh_each(&x, 1);
    return x;
}

static void agrees_with_the_library(void **state)
{
    enum { N = 1000 };

    (void)state;
    for (int exponent = -40; exponent <= 4; exponent++) {
        float x[2 * N];
        float y[2 * N];
        for (int i = 0; i < N; i++) {
            x[2 * i] = ldexpf(1.0F + (float)i / N, exponent);
            x[2 * i + 1] = -x[2 * i];
        }
        memcpy(y, x, sizeof y);
        tanh_each(y, 2 * N);
        for (int i = 0; i < 2 * N; i++) {
            assert_near_relative(y[i], tanh((double)x[i]), TOLERANCE);
            assert_true(fabsf(y[i]) <= 1.0F);
        }
    }
}

static void the_seam_and_the_ends_are_smooth(void **state)
{
    const float seam = 0.6F;

    (void)state;
    assert_near_relative(tanh_of(seam), tanh_of(nextafterf(seam, 0.0F)), TOLERANCE);
    assert_true(tanh_of(9.99F) == 1.0F && tanh_of(1e30F) == 1.0F);
    assert_true(tanh_of(INFINITY) == 1.0F && tanh_of(-INFINITY) == -1.0F);
    assert_true(tanh_of(0.0F) == 0.0F && !signbit(tanh_of(0.0F)) && signbit(tanh_of(-0.0F)));
    assert_true(tanh_of(1e-42F) == 1e-42F);
    assert_true(isnan(tanh_of(NAN)));
}

static void a_length_is_kept_to(void **state)
{
    enum { N = 20 };

    (void)state;
    for (size_t n = 0; n < N; n++) {
        float y[N];
        for (size_t i = 0; i < N; i++) {
            y[i] = 0.1F * (float)i;
        }
        tanh_each(y, n);
        for (size_t i = 0; i < N; i++) { /* the same wherever a number stands, and none beyond */
            assert_true(y[i] == (i < n ? tanh_of(0.1F * (float)i) : 0.1F * (float)i));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agrees_with_the_library),
        cmocka_unit_test(the_seam_and_the_ends_are_smooth),
        cmocka_unit_test(a_length_is_kept_to),
    };

    return cmocka_run_group_tests_name("tanh_each", tests, NULL, NULL);
}

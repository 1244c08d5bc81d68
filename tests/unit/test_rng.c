/* core/rng.h: the same sequence on every host. The recorded values come from an independent
 * implementation of xoshiro256** and splitmix64 in Python. */
#include "core/rng.h"
#include "tests/support/check.h"

static void the_first_values_of_a_seed_are_the_recorded_ones(void **state)
{
    static const struct {
        uint64_t seed, values[5];
    } rows[] = {
        {0,
         {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0, 0x6aa594f1262d2d2c,
          0xbba5ad4a1f842e59}},
        {1,
         {0xb3f2af6d0fc710c5, 0x853b559647364cea, 0x92f89756082a4514, 0x642e1c7bc266a3a7,
          0xb27a48e29a233673}},
        {42,
         {0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1, 0xecb8ad4703b360a1,
          0xfde6dc7fe2ec5e64}},
        {UINT64_MAX,
         {0x8f5520d52a7ead08, 0xc476a018caa1802d, 0x81de31c0d260469e, 0xbf658d7e065f3c2f,
          0x913593fda1bca32a}},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rng rng;
        rng_init(&rng, rows[i].seed);
        for (size_t j = 0; j < 5; j++) {
            assert_true(rng_u64(&rng) == rows[i].values[j]);
        }
    }
}

/* The sequence of splitmix64 from 0, as its authors publish it, in any order. */
static void numbers_of_a_sequence_need_no_other(void **state)
{
    (void)state;
    assert_true(rng_at(0, 2) == 0x06c45d188009454f);
    assert_true(rng_at(0, 0) == 0xe220a8397b1dcdaf);
    assert_true(rng_at(0, 1) == 0x6e789e6aa1b965f4);
}

static void uniform_is_the_upper_53_bits(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 42);
    assert_true(rng_uniform(&rng) == (double)(0x15780b2e0c2ec716 >> 11) / 9007199254740992.0);
    for (size_t i = 0; i < 10000; i++) {
        double u = rng_uniform(&rng);
        assert_true(u >= 0.0 && u < 1.0);
    }
}

static void below_reaches_every_value_and_none_beyond(void **state)
{
    struct rng rng;
    (void)state;
    rng_init(&rng, 3);
    for (size_t n = 1; n <= 20; n++) {
        size_t seen[20] = {0};
        for (size_t i = 0; i < 200 * n; i++) {
            size_t x = rng_below(&rng, n);
            assert_true(x < n);
            seen[x]++;
        }
        for (size_t i = 0; i < n; i++) { /* 200 expected; 7 standard deviations */
            assert_in_range(seen[i], 101, n == 1 ? 200 : 299);
        }
    }
}

static void below_is_not_biased_where_the_bound_is_no_power_of_two(void **state)
{
    /* 2/3 of 2^64: plain modulo would give the lower half of the range twice as often */
    const size_t bound = (size_t)(UINT64_MAX / 3 * 2);
    struct rng rng;
    size_t n_low = 0;
    (void)state;
    rng_init(&rng, 4);
    for (size_t i = 0; i < 10000; i++) {
        n_low += rng_below(&rng, bound) < bound / 2 ? 1 : 0;
    }
    assert_in_range(n_low, 4700, 5300); /* 6 standard deviations; the bias would give 6,667 */
}

static void shuffle_is_a_permutation_and_every_place_can_hold_every_item(void **state)
{
    enum { N = 7, N_SHUFFLES = 7000 };
    size_t seen[N][N] = {{0}};
    struct rng rng;
    (void)state;
    rng_init(&rng, 5);
    for (size_t s = 0; s < N_SHUFFLES; s++) {
        size_t items[N] = {0, 1, 2, 3, 4, 5, 6};
        size_t sum = 0;
        rng_shuffle(&rng, items, N);
        for (size_t i = 0; i < N; i++) {
            sum |= (size_t)1 << items[i];
            seen[i][items[i]]++;
        }
        assert_int_equal(sum, 127);
    }
    for (size_t i = 0; i < N * N; i++) { /* 1,000 expected; 6 standard deviations */
        assert_in_range(seen[i / N][i % N], 820, 1180);
    }
}

static void shuffling_nothing_or_one_is_allowed(void **state)
{
    struct rng rng;
    size_t one = 9;
    (void)state;
    rng_init(&rng, 6);
    rng_shuffle(&rng, NULL, 0);
    rng_shuffle(&rng, &one, 1);
    assert_int_equal(one, 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_values_of_a_seed_are_the_recorded_ones),
        cmocka_unit_test(numbers_of_a_sequence_need_no_other),
        cmocka_unit_test(uniform_is_the_upper_53_bits),
        cmocka_unit_test(below_reaches_every_value_and_none_beyond),
        cmocka_unit_test(below_is_not_biased_where_the_bound_is_no_power_of_two),
        cmocka_unit_test(shuffle_is_a_permutation_and_every_place_can_hold_every_item),
        cmocka_unit_test(shuffling_nothing_or_one_is_allowed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

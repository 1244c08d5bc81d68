/* core/search.h: the best under a limit, its ties, and that the order of candidates is no matter. */
#include "core/rng.h"
#include "core/search.h"
#include "tests/support/check.h"

enum { N_GENES = 6, MOST = 200 };

static int32_t genes[MOST * N_GENES];
static double accuracy[MOST];
static double latency_ms[MOST];

static struct search_candidates candidates(size_t n)
{
    return (struct search_candidates){&space_nasbench201, n, genes, accuracy, latency_ms};
}

static void put(size_t row, size_t rank, double its_accuracy, double its_latency_ms)
{
    space_unrank(&space_nasbench201, rank, genes + row * N_GENES);
    accuracy[row] = its_accuracy;
    latency_ms[row] = its_latency_ms;
}

static void the_most_accurate_within_the_limit_is_the_best(void **state)
{
    struct search_candidates c = candidates(3);
    struct search_result found;

    (void)state;
    put(0, 5, 70.0, 100.0);
    put(1, 6, 72.0, 200.0);
    put(2, 7, 71.0, 50.0);
    found = search_exhaustive(&c, 1000.0);
    assert_true(found.is_feasible && found.best == 1);
    assert_near(found.lowest_latency_ms, 50.0, 0);
    found = search_exhaustive(&c, 200.0); /* the limit itself is within */
    assert_true(found.is_feasible && found.best == 1);
    found = search_exhaustive(&c, 199.999);
    assert_true(found.is_feasible && found.best == 2);
}

static void a_limit_that_none_keeps_gives_the_lowest_latency(void **state)
{
    struct search_candidates c = candidates(2);
    struct search_result found;

    (void)state;
    put(0, 5, 70.0, 100.0);
    put(1, 6, 72.0, 80.0);
    found = search_exhaustive(&c, 79.0);
    assert_false(found.is_feasible);
    assert_near(found.lowest_latency_ms, 80.0, 0);
    c.n = 0;
    found = search_exhaustive(&c, 79.0);
    assert_true(!found.is_feasible && isinf(found.lowest_latency_ms));
}

static void ties_go_to_the_faster_and_then_to_the_first_in_order(void **state)
{
    struct search_candidates c = candidates(3);

    (void)state;
    put(0, 9, 70.0, 90.0);
    put(1, 8, 70.0, 80.0);
    put(2, 7, 70.0, 80.0);
    assert_int_equal(search_exhaustive(&c, 100.0).best, 2);
    put(2, 7, 70.0, 80.5);
    assert_int_equal(search_exhaustive(&c, 100.0).best, 1);
}

/* Against the definition, on values with many ties, in every order. */
static void the_order_of_the_candidates_does_not_matter(void **state)
{
    enum { N_ROUNDS = 50 };
    struct search_candidates c = candidates(MOST);
    struct rng rng;

    (void)state;
    rng_init(&rng, 5);
    for (size_t round = 0; round < N_ROUNDS; round++) {
        const size_t shift = rng_below(&rng, MOST);
        const double limit = (double)rng_below(&rng, 12);
        size_t best[2];
        bool is_feasible = false;
        for (size_t turn = 0; turn < 2; turn++) {
            struct search_result found;
            for (size_t i = 0; i < MOST; i++) {
                size_t rank = (i + turn * shift) % MOST;
                put(i, rank, (double)(rank * 7 % 11), (double)(rank * 5 % 13));
            }
            found = search_exhaustive(&c, limit);
            is_feasible = found.is_feasible;
            assert_near(found.lowest_latency_ms, 0, 0);
            best[turn] = space_rank(&space_nasbench201, genes + found.best * N_GENES);
            for (size_t i = 0; i < MOST; i++) {
                assert_true(latency_ms[i] > limit || accuracy[i] <= accuracy[found.best]);
            }
        }
        assert_true(is_feasible);
        assert_int_equal(best[0], best[1]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_most_accurate_within_the_limit_is_the_best),
        cmocka_unit_test(a_limit_that_none_keeps_gives_the_lowest_latency),
        cmocka_unit_test(ties_go_to_the_faster_and_then_to_the_first_in_order),
        cmocka_unit_test(the_order_of_the_candidates_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* core/search.h: the best under a limit, its ties, and that the order of candidates is no matter. */
#include "core/rng.h"
#include "core/search.h"
#include "tests/support/check.h"

enum { N_GENES = 6, MOST = 200 };

static int32_t genes[MOST * N_GENES];
static double accuracy[MOST];
static double latency_ms[MOST];
static double cost[MOST];

/* The first n, under a limit of latency. */
static struct search_result search(size_t n, double limit_ms)
{
    const struct search_candidates all = {&space_nasbench201, n, genes, accuracy, cost};

    for (size_t i = 0; i < n; i++) {
        cost[i] = latency_ms[i] / limit_ms;
    }
    return search_exhaustive(&all);
}

static void put(size_t row, size_t rank, double its_accuracy, double its_latency_ms)
{
    space_unrank(&space_nasbench201, rank, genes + row * N_GENES);
    accuracy[row] = its_accuracy;
    latency_ms[row] = its_latency_ms;
}

static void the_most_accurate_within_the_limit_is_the_best(void **state)
{
    struct search_result found;

    (void)state;
    put(0, 5, 70.0, 100.0);
    put(1, 6, 72.0, 200.0);
    put(2, 7, 71.0, 50.0);
    found = search(3, 1000.0);
    assert_true(found.is_feasible && found.best == 1);
    found = search(3, 200.0); /* the limit itself is within */
    assert_true(found.is_feasible && found.best == 1);
    found = search(3, 199.999);
    assert_true(found.is_feasible && found.best == 2);
}

static void a_limit_that_none_keeps_gives_the_lowest_cost(void **state)
{
    struct search_result found;

    (void)state;
    put(0, 5, 70.0, 100.0);
    put(1, 6, 72.0, 80.0);
    found = search(2, 79.0);
    assert_true(!found.is_feasible && found.best == 1);
    assert_false(search(0, 79.0).is_feasible);
}

static void ties_go_to_the_faster_and_then_to_the_first_in_order(void **state)
{

    (void)state;
    put(0, 9, 70.0, 90.0);
    put(1, 8, 70.0, 80.0);
    put(2, 7, 70.0, 80.0);
    assert_int_equal(search(3, 100.0).best, 2);
    put(2, 7, 70.0, 80.5);
    assert_int_equal(search(3, 100.0).best, 1);
}

/* Against the definition, on values with many ties, in every order. */
static void the_order_of_the_candidates_does_not_matter(void **state)
{
    enum { N_ROUNDS = 50 };
    struct rng rng;

    (void)state;
    rng_init(&rng, 5);
    for (size_t round = 0; round < N_ROUNDS; round++) {
        const size_t shift = rng_below(&rng, MOST);
        const double limit = (double)rng_below(&rng, 12) + 0.5;
        size_t best[2];
        bool is_feasible = false;
        for (size_t turn = 0; turn < 2; turn++) {
            struct search_result found;
            for (size_t i = 0; i < MOST; i++) {
                size_t rank = (i + turn * shift) % MOST;
                put(i, rank, (double)(rank * 7 % 11), (double)(rank * 5 % 13));
            }
            found = search(MOST, limit);
            is_feasible = found.is_feasible;
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
        cmocka_unit_test(a_limit_that_none_keeps_gives_the_lowest_cost),
        cmocka_unit_test(ties_go_to_the_faster_and_then_to_the_first_in_order),
        cmocka_unit_test(the_order_of_the_candidates_does_not_matter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

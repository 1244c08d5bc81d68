/* core/search_pareto.h: the front against its definition, and the area below it. */
#include "core/rng.h"
#include "core/search_pareto.h"
#include "tests/support/check.h"

enum { MOST = 120 };

static double accuracy[MOST];
static double latency_ms[MOST];
static size_t front[MOST];

static size_t find_front(size_t n)
{
    struct error err = {0};
    size_t n_front = 777;

    assert_ok(search_pareto(accuracy, latency_ms, n, front, &n_front, &err), &err);
    assert_in_range(n_front, 0, n);
    return n_front;
}

/* Small whole numbers, so that there are ties of every kind. */
static void make_rows(size_t n, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        accuracy[i] = (double)rng_below(&rng, 15);
        latency_ms[i] = (double)rng_below(&rng, 15) + accuracy[i] / 2;
    }
}

static bool dominates(size_t i, size_t j)
{
    return accuracy[i] >= accuracy[j] && latency_ms[i] <= latency_ms[j] &&
           (accuracy[i] > accuracy[j] || latency_ms[i] < latency_ms[j] || i < j);
}

static void the_front_is_what_no_other_row_dominates(void **state)
{
    (void)state;
    for (size_t n = 1; n <= MOST; n++) {
        bool is_in_front[MOST] = {false};
        size_t n_front;
        make_rows(n, n);
        n_front = find_front(n);
        for (size_t k = 0; k < n_front; k++) {
            is_in_front[front[k]] = true;
            assert_true(k == 0 || (latency_ms[front[k - 1]] < latency_ms[front[k]] &&
                                   accuracy[front[k - 1]] < accuracy[front[k]]));
        }
        for (size_t j = 0; j < n; j++) {
            bool is_dominated = false;
            for (size_t i = 0; i < n; i++) {
                is_dominated = is_dominated || (i != j && dominates(i, j));
            }
            assert_int_equal(is_in_front[j], !is_dominated);
        }
    }
}

static void no_rows_have_an_empty_front(void **state)
{
    (void)state;
    assert_int_equal(find_front(0), 0);
    assert_near(search_hypervolume(accuracy, latency_ms, front, 0, 0, 100), 0, 0);
}

static void the_hypervolume_is_the_area_up_to_the_reference(void **state)
{
    const double its_accuracy[] = {60, 70, 75};
    const double its_latency_ms[] = {10, 20, 40};
    const size_t all[] = {0, 1, 2};

    (void)state;
    /* 10 ms of 10, 20 ms of 20, 60 ms of 25 */
    assert_near(search_hypervolume(its_accuracy, its_latency_ms, all, 3, 50, 100), 2000, 1e-9);
    /* the first is no better than the reference, the last too slow for it */
    assert_near(search_hypervolume(its_accuracy, its_latency_ms, all, 3, 60, 30), 100, 1e-9);
    assert_near(search_hypervolume(its_accuracy, its_latency_ms, all, 3, 50, 5), 0, 0);
    assert_near(search_hypervolume(its_accuracy, its_latency_ms, all, 3, 90, 100), 0, 0);
}

/* Accuracies and half latencies are whole, so the area is a sum over cells of half a ms by 1. */
static void the_hypervolume_counts_the_cells_that_the_rows_dominate(void **state)
{
    enum { REFERENCE_MS = 18, REFERENCE_ACCURACY = 3 };

    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        size_t n_front;
        double n_cells = 0;
        make_rows(20, seed);
        n_front = find_front(20);
        for (int x = 0; x < 2 * REFERENCE_MS; x++) {
            for (int y = REFERENCE_ACCURACY; y < 15; y++) {
                bool is_dominated = false;
                for (size_t i = 0; i < 20; i++) {
                    is_dominated = is_dominated || (2 * latency_ms[i] <= x && accuracy[i] >= y + 1);
                }
                n_cells += is_dominated;
            }
        }
        assert_near(search_hypervolume(accuracy, latency_ms, front, n_front, REFERENCE_ACCURACY,
                                       REFERENCE_MS),
                    n_cells / 2, 1e-9);
    }
}

static enum err find_once(void *context, struct error *err)
{
    size_t n_front;

    (void)context;
    return search_pareto(accuracy, latency_ms, 10, front, &n_front, err);
}

static void memory_that_is_out_is_told(void **state)
{
    (void)state;
    make_rows(10, 1);
    fail_each_allocation(find_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_front_is_what_no_other_row_dominates),
        counted_test(no_rows_have_an_empty_front),
        counted_test(the_hypervolume_is_the_area_up_to_the_reference),
        counted_test(the_hypervolume_counts_the_cells_that_the_rows_dominate),
        counted_test(memory_that_is_out_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* core/pareto_front.h: a front that grows, against the one of all rows at once. */
#include <math.h>

#include "core/pareto_front.h"
#include "core/rng.h"
#include "core/search_pareto.h"
#include "tests/support/check.h"

enum { N_ROWS = 3000 };

/* What search_pareto() finds among the first n rows is what has grown. */
static void check_against_all(const struct pareto_front *front, const double *accuracy,
                              const double *latency_ms, size_t n)
{
    static size_t rows[N_ROWS];
    size_t n_front = 0;

    assert_int_equal(search_pareto(accuracy, latency_ms, n, rows, &n_front, NULL), ERR_OK);
    assert_int_equal(front->n, n_front);
    for (size_t i = 0; i < n_front; i++) {
        assert_true(front->accuracy[i] == accuracy[rows[i]]);
        assert_true(front->latency_ms[i] == latency_ms[rows[i]]);
    }
}

static void it_is_the_front_of_what_was_added(void **state)
{
    static double accuracy[N_ROWS], latency_ms[N_ROWS];
    struct pareto_front front = {0};
    struct rng rng;

    (void)state;
    rng_init(&rng, 1);
    for (size_t i = 0; i < N_ROWS; i++) { /* coarse, so that there are equal ones */
        latency_ms[i] = 1.0 + (double)rng_below(&rng, 400);
        accuracy[i] = floor(10.0 * log(latency_ms[i])) + (double)rng_below(&rng, 20);
        pareto_front_add(&front, accuracy[i], latency_ms[i]);
        if (i < 50 || i % 100 == 0) {
            check_against_all(&front, accuracy, latency_ms, i + 1);
        }
    }
    check_against_all(&front, accuracy, latency_ms, N_ROWS);
}

static void what_is_dominated_changes_nothing(void **state)
{
    struct pareto_front front = {0};
    uint64_t n_changes;

    (void)state;
    pareto_front_add(&front, 70.0, 5.0);
    pareto_front_add(&front, 60.0, 3.0);
    n_changes = front.n_changes;
    assert_true(n_changes == 2);
    pareto_front_add(&front, 70.0, 5.0); /* equal */
    pareto_front_add(&front, 60.0, 4.0);
    pareto_front_add(&front, 59.0, 3.0);
    assert_int_equal(front.n, 2);
    assert_true(front.n_changes == n_changes);
    pareto_front_add(&front, 71.0, 2.0); /* dominates all */
    assert_int_equal(front.n, 1);
    assert_true(front.accuracy[0] == 71.0 && front.latency_ms[0] == 2.0);
    assert_true(front.n_changes > n_changes);
}

static void check_ascending(const double *values, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        assert_true(values[i] > values[i - 1]);
    }
}

static void it_is_thinned_evenly_with_both_ends(void **state)
{
    struct pareto_front front = {0};
    double accuracy[64], latency_ms[64];

    (void)state;
    assert_int_equal(pareto_front_thin(&front, 64, accuracy, latency_ms), 0);
    for (int i = 0; i < 631; i++) {
        pareto_front_add(&front, 2.0 * i, 1.0 + i);
        if (i == 63) { /* as many as may be: none is left out */
            assert_int_equal(pareto_front_thin(&front, 64, accuracy, latency_ms), 64);
            assert_memory_equal(latency_ms, front.latency_ms, sizeof latency_ms);
        }
    }
    assert_int_equal(pareto_front_thin(&front, 64, accuracy, latency_ms), 64);
    for (int i = 0; i < 64; i++) {
        assert_true(latency_ms[i] == 1.0 + 10.0 * i);
        assert_true(accuracy[i] == 20.0 * i);
    }
    assert_int_equal(pareto_front_thin(&front, 2, accuracy, latency_ms), 2);
    assert_true(latency_ms[0] == 1.0 && latency_ms[1] == 631.0);
}

static void a_front_of_any_length_keeps_its_size_and_its_ends(void **state)
{
    struct pareto_front front = {0};
    struct rng rng;

    (void)state;
    rng_init(&rng, 2);
    pareto_front_add(&front, 0.0, 1.0);
    pareto_front_add(&front, 1e6, 1e6);
    for (size_t i = 0; i < (size_t)20 * PARETO_FRONT_MAX; i++) { /* nothing dominates anything */
        const double x = 2.0 + (double)rng_below(&rng, 900000);
        pareto_front_add(&front, x, x);
        assert_true(front.n <= PARETO_FRONT_MAX);
    }
    assert_true(front.n >= PARETO_FRONT_MAX / 2);
    check_ascending(front.latency_ms, front.n);
    check_ascending(front.accuracy, front.n);
    assert_true(front.latency_ms[0] == 1.0 && front.latency_ms[front.n - 1] == 1e6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(it_is_the_front_of_what_was_added),
        counted_test(what_is_dominated_changes_nothing),
        counted_test(it_is_thinned_evenly_with_both_ends),
        counted_test(a_front_of_any_length_keeps_its_size_and_its_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* core/search_archive.h and core/search_additive.h: what a search remembers, and what it learns. */
#include "core/rng.h"
#include "core/search_additive.h"
#include "core/search_archive.h"
#include "tests/support/check.h"

static void put_number(uint8_t *codes, size_t n_genes, size_t number)
{
    for (size_t g = 0; g < n_genes; g++) {
        codes[g] = (uint8_t)(number % 10);
        number /= 10;
    }
}

/* Of any width, so that whole words and rests of them are compared. */
static void every_architecture_is_added_once_and_found_again(void **state)
{
    enum { N = 3000 };

    (void)state;
    for (size_t n_genes = 4; n_genes <= SPACE_MAX_GENES; n_genes += 5) {
        struct search_archive archive = {.n_genes = n_genes};
        struct error err = {0};
        uint8_t codes[SPACE_MAX_GENES];
        put_number(codes, n_genes, 1);
        assert_false(search_archive_has(&archive, codes));
        for (size_t i = 0; i < N; i++) {
            put_number(codes, n_genes, i);
            assert_ok(search_archive_reserve(&archive, 1, &err), &err);
            assert_false(search_archive_has(&archive, codes));
            assert_true(search_archive_add(&archive, codes));
            archive.accuracy[i] = (double)i;
            archive.cost[i] = -(double)i;
        }
        assert_ok(search_archive_reserve(&archive, 1, &err), &err);
        for (size_t i = 0; i < N; i++) {
            put_number(codes, n_genes, i);
            assert_true(search_archive_has(&archive, codes));
            assert_false(search_archive_add(&archive, codes));
            assert_memory_equal(search_archive_row(&archive, i), codes, n_genes);
            assert_near(archive.accuracy[i] - archive.cost[i], 2.0 * (double)i, 0);
        }
        assert_int_equal(archive.n, N);
        search_archive_close(&archive);
    }
}

static enum err fill_once(void *context, struct error *err)
{
    struct search_archive archive = {.n_genes = 6};
    enum err rc = ERR_OK;

    (void)context;
    for (size_t i = 0; i < 600 && rc == ERR_OK; i++) {
        uint8_t codes[6];
        put_number(codes, 6, i);
        rc = search_archive_reserve(&archive, 1, err);
        if (rc == ERR_OK) {
            assert_true(search_archive_add(&archive, codes));
        } else { /* as it was: the last one is there, this one is not */
            assert_false(search_archive_has(&archive, codes));
            put_number(codes, 6, i == 0 ? 0 : i - 1);
            assert_int_equal(search_archive_has(&archive, codes), i > 0);
        }
    }
    search_archive_close(&archive);
    return rc;
}

static void an_archive_that_cannot_grow_stays_as_it_was(void **state)
{
    (void)state;
    fail_each_allocation(fill_once, NULL);
}

static double weight(size_t gene, uint8_t code)
{
    return (double)((gene * 7 + code * 5) % 11);
}

/* Where the truth is a sum, the model comes to it. */
static void the_model_learns_what_genes_are_worth(void **state)
{
    const struct space *space = &space_fbnetv3;
    struct search_additive model;
    struct error err = {0};
    struct rng rng;
    double largest_error = 0;

    (void)state;
    rng_init(&rng, 3);
    assert_ok(search_additive_init(&model, space, &err), &err);
    for (size_t i = 0; i < 21000; i++) {
        uint8_t codes[SPACE_MAX_GENES];
        struct search_effect estimate;
        double sum = 0;
        for (size_t g = 0; g < space->n_genes; g++) {
            codes[g] = (uint8_t)rng_below(&rng, (size_t)space->genes[g].n_values);
            sum += weight(g, codes[g]);
        }
        estimate = search_additive_estimate(&model, codes);
        if (i >= 20000) {
            largest_error = fmax(largest_error, fabs(estimate.accuracy - sum));
            largest_error = fmax(largest_error, fabs(estimate.cost + 2 * sum));
        }
        search_additive_learn(&model, codes, sum, -2 * sum);
    }
    assert_at_most(largest_error, 1e-6);
    search_additive_close(&model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_architecture_is_added_once_and_found_again),
        counted_test(an_archive_that_cannot_grow_stays_as_it_was),
        counted_test(the_model_learns_what_genes_are_worth),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* core/residual.h: features of known cells, and those of a space that names none. */
#include "core/residual.h"
#include "core/rng.h"
#include "core/space_nasbench201.h"
#include "core/space_standard.h"
#include "tests/support/check.h"

/* Counts of none, skip, 1x1, 3x3, pool; of the live ones of the last four; alive, sums; depths in
 * convolutions, 3x3, operators, and operators that are no skip. */
static void cells_are_counted_alive_and_deep(void **state)
{
    static const struct {
        int32_t genes[6];
        double expected[15];
    } cells[] = {
        {{4, 4, 4, 2, 4, 4}, {0, 1, 0, 5, 0, 1, 0, 5, 0, 1, 3, 3, 3, 3, 3}},
        {{1, 1, 1, 1, 1, 1}, {6, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
        {{4, 1, 1, 1, 1, 4}, {4, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}},
        {{4, 1, 1, 2, 1, 3}, {3, 1, 1, 1, 0, 1, 0, 0, 0, 1, 0, 0, 0, 1, 0}},
        {{5, 1, 3, 1, 1, 2}, {3, 1, 1, 0, 1, 1, 1, 0, 1, 1, 0, 1, 0, 3, 2}},
    };
    (void)state;
    for (size_t c = 0; c < COUNT_OF(cells); c++) {
        double features[SPACE_MAX_RESIDUALS];
        nasbench201_residuals.compute(&space_nasbench201, cells[c].genes, features);
        for (size_t j = 0; j < 15; j++) {
            if (features[j] != cells[c].expected[j]) {
                fail_msg("cell %zu has %g for feature %zu, not %g", c, features[j], j,
                         cells[c].expected[j]);
            }
        }
    }
}

static void group_sizes_add_up(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        const struct space_residuals *r = (*s)->residuals;
        size_t sum = 0;
        assert_non_null(r); /* a space works without; a built-in one is calibrated by its own */
        assert_in_range(r->n_groups, 1, SPACE_MAX_RESIDUAL_GROUPS);
        for (size_t g = 0; g < r->n_groups; g++) {
            sum += r->groups[g].size;
            assert_true(r->groups[g].same_kind > 0.0 && r->groups[g].other_kind > 0.0);
        }
        assert_int_equal(sum, r->n_features);
        assert_int_equal(residual_count(*s), r->n_features);
    }
}

static double value_of(const double *row, const double *x, size_t q)
{
    double sum = 0.0;

    for (size_t j = 0; j < q; j++) {
        sum += row[j] * x[j];
    }
    return sum;
}

static void assert_standardised(const struct space *space)
{
    enum { N = 4000 };
    struct residual_basis basis;
    struct error err = {0};
    double row[RESIDUAL_MAX_WIDTH];
    double x[RESIDUAL_MAX_WIDTH];

    assert_ok(residual_basis_init(&basis, space, &err), &err);
    for (size_t j = 0; j < basis.p; j++) {
        struct rng rng;
        double mean = 0.0;
        double square = 0.0;
        rng_init(&rng, 77);
        residual_standardised(&basis, j, row);
        for (size_t i = 0; i < N; i++) {
            int32_t genes[SPACE_MAX_GENES];
            double z;
            space_draw(space, &rng, genes);
            residual_describe(&basis, genes, x);
            z = value_of(row, x, basis.q);
            mean += z / N;
            square += z * z / N;
        }
        assert_near(mean, 0.0, 0.15);
        assert_near(square, basis.inverse[j] > 0.0 ? 1.0 : 0.0, 0.5);
    }
}

static void standardised_features_have_mean_0_and_deviation_1(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        assert_standardised(*s);
    }
}

static void a_space_that_names_no_features_has_its_genes(void **state)
{
    static const struct gene few[] = {
        {"width",  16, 8, 3, NULL},
        {"kernel", 3,  2, 2, NULL}
    };
    static struct gene many[SPACE_MAX_GENES];
    static const int32_t genes[] = {24, 5};
    static const double one_hot[] = {0, 1, 0, 0, 1};
    struct space space = {.name = "plain", .genes = few, .n_genes = 2};
    struct residual_basis basis;
    double x[RESIDUAL_MAX_WIDTH];
    (void)state;
    assert_int_equal(residual_count(&space), 5);
    assert_standardised(&space);
    assert_int_equal(residual_basis_init(&basis, &space, NULL), ERR_OK);
    residual_describe(&basis, genes, x);
    assert_memory_equal(x + RESIDUAL_FIRST, one_hot, sizeof one_hot);
    for (size_t g = 0; g < SPACE_MAX_GENES; g++) { /* too many values to tell apart */
        many[g] = (struct gene){"gene", 0, 1, 100, NULL};
    }
    space.genes = many;
    space.n_genes = SPACE_MAX_GENES;
    assert_int_equal(residual_count(&space), SPACE_MAX_GENES);
    assert_standardised(&space);
}

static enum err init_once(void *context, struct error *err)
{
    struct residual_basis basis;

    return residual_basis_init(&basis, context, err);
}

static void running_out_of_memory_is_told(void **state)
{
    (void)state;
    fail_each_allocation(init_once, (void *)&space_nasbench201);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(cells_are_counted_alive_and_deep),
        counted_test(group_sizes_add_up),
        counted_test(standardised_features_have_mean_0_and_deviation_1),
        counted_test(a_space_that_names_no_features_has_its_genes),
        counted_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

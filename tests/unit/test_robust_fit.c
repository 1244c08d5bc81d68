/* core/robust_fit.h: what it recovers, what it lets go, and what it leaves as it was told. */
#include "core/matrix.h"
#include "core/predictor.h"
#include "core/rng.h"
#include "core/robust_fit.h"
#include "tests/support/check.h"

enum { N = 60, P = 3 };

static const struct robust_options options = {
    .noise_scale = 0.05,
    .noise_rows = 2.0,
    .noise_min = 0.001,
    .n_updates = 12,
    .n_soft_updates = 6,
};

static const struct robust_group groups[] = {
    {1, 100.0, INFINITY},
    {2, 0.5,   1.0     },
};

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

/* target = 1 + 2 x - 3 y, with a little noise. */
static struct robust_fit make_fit(void)
{
    struct robust_fit f;
    struct rng rng;

    assert_int_equal(robust_fit_init(&f, N, groups, 2, NULL), ERR_OK);
    assert_int_equal(f.p, P);
    rng_init(&rng, 1);
    for (size_t i = 0; i < N; i++) {
        double x = rng_uniform(&rng) - 0.5;
        double y = rng_uniform(&rng) - 0.5;
        f.phi[i * P] = 1.0;
        f.phi[i * P + 1] = x;
        f.phi[i * P + 2] = y;
        f.target[i] = 1.0 + 2.0 * x - 3.0 * y + 0.02 * (rng_uniform(&rng) - 0.5);
    }
    return f;
}

static void assert_recovered(const struct robust_fit *f)
{
    static const double truth[P] = {1.0, 2.0, -3.0};

    for (size_t j = 0; j < P; j++) {
        assert_near(f->root[j] * f->solution[j], truth[j], 0.03);
    }
}

static void coefficients_are_recovered_and_wild_rows_let_go(void **state)
{
    (void)state;
    for (size_t n_wild = 0; n_wild <= 6; n_wild += 3) {
        struct robust_fit f = make_fit();
        struct error err = {0};
        for (size_t i = 0; i < n_wild; i++) {
            f.target[7 * i] += i % 2 == 0 ? 50.0 : -50.0;
        }
        assert_ok(robust_fit_run(&f, &options, NULL, &err), &err);
        assert_recovered(&f);
        for (size_t i = 0; i < N; i++) {
            assert_int_equal(f.is_kept[i], !(i % 7 == 0 && i / 7 < n_wild));
        }
        assert_at_most(sqrt(f.noise), 0.03);
        robust_fit_close(&f);
    }
}

static void a_belief_of_infinite_weight_is_not_changed(void **state)
{
    struct robust_fit f = make_fit();
    struct error err = {0};
    (void)state;
    assert_ok(robust_fit_run(&f, &options, NULL, &err), &err);
    assert_true(f.variance[0] == groups[0].variance);
    assert_true(f.variance[1] > 2.0 * groups[1].variance); /* the evidence wants more */
    robust_fit_close(&f);
}

/* The posterior covariance in units of root, against its definition. */
static void the_triangle_is_that_of_the_posterior(void **state)
{
    struct robust_fit f = make_fit();
    struct error err = {0};
    (void)state;
    assert_ok(robust_fit_run(&f, &options, NULL, &err), &err);
    for (size_t a = 0; a < P; a++) {
        for (size_t b = 0; b < P; b++) {
            double product = 0.0; /* of covariance and precision */
            for (size_t c = 0; c < P; c++) {
                double covariance = 0.0;
                double precision = c == b ? 1.0 : 0.0;
                for (size_t k = 0; k < P; k++) {
                    covariance += (k >= a ? f.triangle[k * P + a] : 0.0) *
                                  (k >= c ? f.triangle[k * P + c] : 0.0);
                }
                for (size_t i = 0; i < N; i++) {
                    precision += f.root[c] * f.phi[i * P + c] * f.root[b] * f.phi[i * P + b] *
                                 (f.is_kept[i] ? f.weight[i] / f.noise : 0.0);
                }
                product += covariance * precision;
            }
            assert_near(product, a == b ? 1.0 : 0.0, 1e-8);
        }
    }
    robust_fit_close(&f);
}

static void a_single_row_is_fitted(void **state)
{
    struct robust_fit f;
    struct error err = {0};
    (void)state;
    assert_ok(robust_fit_init(&f, 1, groups, 1, &err), &err);
    f.phi[0] = 1.0;
    f.target[0] = 4.0;
    assert_ok(robust_fit_run(&f, &options, NULL, &err), &err);
    assert_near(f.root[0] * f.solution[0], 4.0, 0.01);
    robust_fit_close(&f);
}

static void numbers_that_are_none_are_an_error(void **state)
{
    struct robust_fit f = make_fit();
    (void)state;
    f.phi[4] = NAN;
    assert_int_equal(robust_fit_run(&f, &options, NULL, NULL), ERR_NUMERIC);
    robust_fit_close(&f);
}

static bool stop(void *context, const struct fit_progress *progress)
{
    (void)context;
    return progress->percent < 50.0;
}

static void a_fit_can_be_stopped(void **state)
{
    const struct fit_hooks hooks = {.progress = stop};
    struct robust_fit f = make_fit();
    (void)state;
    assert_int_equal(robust_fit_run(&f, &options, &hooks, NULL), ERR_CANCELED);
    robust_fit_close(&f);
}

static enum err init_once(void *context, struct error *err)
{
    struct robust_fit f;
    enum err rc = robust_fit_init(&f, N, groups, 2, err);

    (void)context;
    robust_fit_close(&f);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    fail_each_allocation(init_once, NULL);
}

/* More columns than rows, wild rows among them, groups of every kind. */
static const struct robust_group many_groups[] = {
    {1,  1.0,  INFINITY},
    {1,  0.01, 1.0     },
    {20, 0.02, 3.0     },
    {60, 1e-3, 1.0     },
};

enum { MANY_COLUMNS = 82, MANY_MAPS = 5 };

static void fill_many(struct robust_fit *f, double scatter, size_t n_wild)
{
    struct rng rng;

    rng_init(&rng, 4);
    for (size_t i = 0; i < f->n; i++) {
        f->target[i] = scatter * (rng_uniform(&rng) - 0.5);
        for (size_t j = 0; j < f->p; j++) {
            double x = j == 0 ? 1.0 : rng_uniform(&rng) - 0.5;
            f->phi[i * f->p + j] = x;
            f->target[i] += 0.3 * cos((double)j) * x;
        }
        f->target[i] *= i < n_wild ? 20.0 : 1.0;
    }
}

static void assert_same_numbers(const double *dual, const double *primal, size_t n)
{
    double scale = 0.0;

    for (size_t i = 0; i < n; i++) {
        scale = fmax(scale, fabs(primal[i]));
    }
    for (size_t i = 0; i < n; i++) {
        assert_near(dual[i], primal[i], 1e-9 * scale);
    }
}

static void covariance_of(const struct robust_fit *f, double *covariance)
{
    double maps[MANY_COLUMNS * MANY_MAPS];
    double scratch[MANY_COLUMNS * MANY_MAPS];
    struct rng rng;

    rng_init(&rng, 9);
    for (size_t i = 0; i < COUNT_OF(maps); i++) {
        maps[i] = rng_uniform(&rng) - 0.5;
    }
    memset(covariance, 0, MANY_MAPS * MANY_MAPS * sizeof *covariance);
    robust_fit_covariance(f, maps, MANY_MAPS, scratch, covariance);
}

/* Noise that says much beside the prior, and noise that says little; rows that are left out. */
static void both_forms_give_the_same_numbers(void **state)
{
    static const size_t numbers[] = {1, 2, 9, 40, MANY_COLUMNS - 1};
    static const double scatters[] = {0.01, 10.0};
    (void)state;
    for (size_t s = 0; s < COUNT_OF(numbers) * COUNT_OF(scatters); s++) {
        const size_t n = numbers[s / 2];
        struct robust_fit fits[2];
        double covariance[2][MANY_MAPS * MANY_MAPS];
        struct error err = {0};
        assert_ok(robust_fit_init(&fits[0], n, many_groups, 4, &err), &err);
        assert_ok(robust_fit_init_smaller(&fits[1], n, many_groups, 4, &err), &err);
        assert_false(fits[0].is_dual);
        assert_true(fits[1].is_dual);
        for (int form = 0; form < 2; form++) {
            fill_many(&fits[form], scatters[s % 2], n / 8);
            assert_ok(robust_fit_run(&fits[form], &options, NULL, &err), &err);
            covariance_of(&fits[form], covariance[form]);
        }
        assert_near_relative(fits[1].noise, fits[0].noise, 1e-9);
        assert_same_numbers(fits[1].variance, fits[0].variance, 4);
        assert_same_numbers(fits[1].effective, fits[0].effective, 4);
        assert_same_numbers(fits[1].root, fits[0].root, MANY_COLUMNS);
        assert_same_numbers(fits[1].solution, fits[0].solution, MANY_COLUMNS);
        assert_same_numbers(fits[1].residual, fits[0].residual, n);
        assert_same_numbers(fits[1].leverage, fits[0].leverage, n);
        assert_same_numbers(fits[1].z, fits[0].z, n);
        assert_same_numbers(fits[1].scale, fits[0].scale, n);
        assert_same_numbers(covariance[1], covariance[0], COUNT_OF(covariance[0]));
        assert_memory_equal(fits[1].is_kept, fits[0].is_kept, n * sizeof(bool));
        robust_fit_close(&fits[0]);
        robust_fit_close(&fits[1]);
    }
}

static void with_rows_enough_the_smaller_form_is_the_usual_one(void **state)
{
    struct robust_fit f;
    (void)state;
    assert_int_equal(robust_fit_init_smaller(&f, MANY_COLUMNS, many_groups, 4, NULL), ERR_OK);
    assert_false(f.is_dual);
    robust_fit_close(&f);
}

#define fit_test(name) cmocka_unit_test_setup_teardown(name, start, check_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fit_test(coefficients_are_recovered_and_wild_rows_let_go),
        fit_test(a_belief_of_infinite_weight_is_not_changed),
        fit_test(the_triangle_is_that_of_the_posterior),
        fit_test(a_single_row_is_fitted),
        fit_test(numbers_that_are_none_are_an_error),
        fit_test(a_fit_can_be_stopped),
        fit_test(running_out_of_memory_is_told_and_leaks_nothing),
        fit_test(both_forms_give_the_same_numbers),
        fit_test(with_rows_enough_the_smaller_form_is_the_usual_one),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

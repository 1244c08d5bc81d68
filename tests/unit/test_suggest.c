/* core/suggest.h: what is suggested is new, the same every time, and worth more than what is drawn.
 */
#include "core/matrix.h"
#include "core/space_standard.h"
#include "core/suggest.h"
#include "tests/support/calibration_data.h"
#include "tests/support/check.h"
#include "tests/support/deviations.h"

enum { N_CANDIDATES = 3000 };

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

static struct {
    int32_t genes[N_CANDIDATES * 28];
    double a[N_CANDIDATES], sd[N_CANDIDATES];
} made;

static struct suggest_candidates make_candidates(const struct space *space, size_t n)
{
    struct rng rng;

    rng_init(&rng, 5);
    for (size_t i = 0; i < n; i++) {
        double features[SPACE_MAX_FEATURES];
        double log_cost;
        space_draw(space, &rng, made.genes + i * space->n_genes);
        space->features->compute(space, made.genes + i * space->n_genes, &log_cost, features);
        made.a[i] = exp(log_cost);
        made.sd[i] = 0.05 * made.a[i];
    }
    return (struct suggest_candidates){made.genes, made.a, made.sd, n};
}

static void suggestions_are_distinct_and_the_same_every_time(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        for (int has_hardware = 0; has_hardware < 2; has_hardware++) {
            const struct suggest_candidates c = make_candidates(*s, 200);
            bool is_taken[200] = {false};
            size_t rows[40];
            size_t again[40];
            size_t fewer[10];
            struct error err = {0};
            const struct calibration_prior *prior = calibration_prior_shipped(*s);
            assert_ok(calibration_suggest(*s, prior, has_hardware, &c, 40, NULL, rows, &err), &err);
            assert_ok(calibration_suggest(*s, prior, has_hardware, &c, 40, NULL, again, &err),
                      &err);
            assert_ok(calibration_suggest(*s, prior, has_hardware, &c, 10, NULL, fewer, &err),
                      &err);
            assert_memory_equal(rows, again, sizeof rows);
            assert_memory_equal(rows, fewer, sizeof fewer); /* in the order in which they help */
            for (size_t i = 0; i < 40; i++) {
                assert_in_range(rows[i], 0, 199);
                assert_false(is_taken[rows[i]]);
                is_taken[rows[i]] = true;
            }
        }
    }
}

static void all_candidates_may_be_suggested_and_no_more(void **state)
{
    const struct suggest_candidates c = make_candidates(&space_fbnetv3, 12);
    size_t rows[SUGGEST_MAX + 1];
    struct error err = {0};
    (void)state;
    assert_ok(calibration_suggest(&space_fbnetv3, NULL, true, &c, 12, NULL, rows, &err), &err);
    assert_error(calibration_suggest(&space_fbnetv3, NULL, true, &c, 13, NULL, rows, &err),
                 ERR_INVALID, &err, "1 to 12 architectures can be suggested, not 13");
    assert_error(calibration_suggest(&space_fbnetv3, NULL, true, &c, 0, NULL, rows, &err),
                 ERR_INVALID, &err, "not 0");
}

static void of_many_candidates_an_even_part_is_weighed(void **state)
{
    const struct suggest_candidates c = make_candidates(&space_nasbench201, N_CANDIDATES);
    size_t rows[20];
    size_t highest = 0;
    struct error err = {0};
    (void)state;
    assert_ok(calibration_suggest(&space_nasbench201, NULL, true, &c, 20, NULL, rows, &err), &err);
    for (size_t i = 0; i < 20; i++) {
        assert_in_range(rows[i], 0, N_CANDIDATES - 1);
        highest = rows[i] > highest ? rows[i] : highest;
        for (size_t j = 0; j < i; j++) {
            assert_true(rows[i] != rows[j]);
        }
    }
    assert_true(highest >= SUGGEST_MAX_CANDIDATES / 2);
}

static struct predictor *fit_predictor(const struct space *space)
{
    const struct suggest_candidates c = make_candidates(space, 100);
    const struct fit_options options = {0};
    struct predictor *predictor = NULL;

    assert_int_equal(predictor_fit(&predictor_kind_cost, space, c.genes, c.a, c.n, &options,
                                   &predictor, NULL, NULL),
                     ERR_OK);
    return predictor;
}

static void a_space_suggests_valid_and_distinct_architectures(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        const size_t n_genes = (*s)->n_genes;
        struct predictor *predictor = fit_predictor(*s);
        int32_t genes[2][10 * 28];
        struct error err = {0};
        for (int seed = 0; seed < 2; seed++) {
            assert_ok(calibration_suggest_of_space(predictor, calibration_prior_shipped(*s), true,
                                                   7, 10, NULL, genes[seed], &err),
                      &err);
        }
        assert_memory_equal(genes[0], genes[1], 10 * n_genes * sizeof(int32_t));
        for (size_t i = 0; i < 10; i++) {
            assert_ok(space_validate(*s, genes[0] + i * n_genes, NULL, &err), &err);
            for (size_t j = 0; j < i; j++) {
                assert_memory_not_equal(genes[0] + i * n_genes, genes[0] + j * n_genes,
                                        n_genes * sizeof(int32_t));
            }
        }
        predictor_destroy(predictor);
    }
}

/* ---- after measurements ---------------------------------------------------------------------- */

static const struct hardware phone_sheet = {2.0, 3, 1, 7.46};

/* Measurements of the candidates at `rows`, each `repeats` times, of a phone that is as believed. */
static struct {
    int32_t genes[400 * 28];
    double a[400], sd[400], latency_ms[400];
} taken;

static struct measured measure(const struct space *space, const size_t *rows, size_t n,
                               size_t repeats)
{
    for (size_t i = 0; i < n * repeats; i++) {
        const size_t at = rows[i % n];
        memcpy(taken.genes + i * space->n_genes, made.genes + at * space->n_genes,
               space->n_genes * sizeof *taken.genes);
        taken.a[i] = made.a[at];
        taken.sd[i] = made.sd[at];
        taken.latency_ms[i] =
            made.a[at] * hardware_factor(&phone_sheet) * (1.1 + 0.05 * cos(0.7 * (double)(int)at));
    }
    return (struct measured){taken.genes, taken.a, taken.sd, taken.latency_ms, n * repeats};
}

static int count_common(const size_t *a, const size_t *b, size_t n)
{
    int n_common = 0;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            n_common += a[i] == b[j] ? 1 : 0;
        }
    }
    return n_common;
}

/* Of a phone that is as believed, what helps after the ten that help most is about what would have been
 * told to help next; repeated measurements change nothing. */
static void what_is_measured_is_taken_into_account_and_not_suggested_again(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        const struct suggest_candidates c = make_candidates(*s, 300);
        struct suggest_choice request = {
            .space = *s,
            .prior = calibration_prior_shipped(*s),
            .hardware = &phone_sheet,
            .candidates = &c,
        };
        size_t twenty[20];
        size_t next[10];
        size_t after_repeats[10];
        struct measured measured;
        struct error err = {0};
        assert_ok(calibration_suggest_next(&request, 20, NULL, twenty, &err), &err);
        measured = measure(*s, twenty, 10, 1);
        request.measured = &measured;
        assert_ok(calibration_suggest_next(&request, 10, NULL, next, &err), &err);
        assert_int_equal(count_common(next, twenty, 10), 0);
        assert_at_least(count_common(next, twenty + 10, 10), 3); /* by chance: a third of one */
        measured = measure(*s, twenty, 10, 7);
        assert_ok(calibration_suggest_next(&request, 10, NULL, after_repeats, &err), &err);
        assert_memory_equal(after_repeats, next, sizeof next);
    }
}

/* The same candidates in three beliefs' eyes: what is measured says that A tells nothing. */
static void a_device_that_proves_to_be_of_another_kind_is_asked_otherwise(void **state)
{
    const struct suggest_candidates c = make_candidates(&space_nasbench201, 300);
    struct suggest_choice request = {
        .space = &space_nasbench201,
        .prior = calibration_prior_shipped(&space_nasbench201),
        .hardware = &phone_sheet,
        .candidates = &c,
    };
    size_t rows[30];
    size_t as_believed[10];
    size_t otherwise[10];
    struct measured measured;
    struct error err = {0};
    (void)state;
    for (size_t i = 0; i < 30; i++) {
        rows[i] = 7 * i;
    }
    measured = measure(&space_nasbench201, rows, 30, 1);
    request.measured = &measured;
    assert_ok(calibration_suggest_next(&request, 10, NULL, as_believed, &err), &err);
    for (size_t i = 0; i < measured.n; i++) { /* latencies of other networks */
        taken.latency_ms[i] = made.a[(rows[i] + 101) % 300];
    }
    assert_ok(calibration_suggest_next(&request, 10, NULL, otherwise, &err), &err);
    assert_true(count_common(as_believed, otherwise, 10) < 8);
}

static void what_is_left_may_be_suggested_and_no_more(void **state)
{
    const struct suggest_candidates c = make_candidates(&space_fbnetv3, 12);
    const size_t all[12] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11};
    struct measured measured = measure(&space_fbnetv3, all, 7, 2);
    const struct suggest_choice request = {
        .space = &space_fbnetv3, .candidates = &c, .measured = &measured};
    size_t rows[6];
    struct error err = {0};
    (void)state;
    assert_ok(calibration_suggest_next(&request, 5, NULL, rows, &err), &err);
    for (size_t i = 0; i < 5; i++) {
        assert_in_range(rows[i], 7, 11);
    }
    assert_error(calibration_suggest_next(&request, 6, NULL, rows, &err), ERR_INVALID, &err,
                 "1 to 5 architectures can be suggested, not 6");
    measured = measure(&space_fbnetv3, all, 12, 1);
    assert_error(calibration_suggest_next(&request, 1, NULL, rows, &err), ERR_INVALID, &err,
                 "not 1");
    measured.latency_ms = (const double[]){0.0};
    measured.n = 1;
    assert_error(calibration_suggest_next(&request, 1, NULL, rows, &err), ERR_INVALID, &err,
                 "measurement 1: latency_ms");
    measured.n = 0; /* the same as none */
    assert_ok(calibration_suggest_next(&request, 6, NULL, rows, &err), &err);
}

/* More than calibrations use, and more than a linear look at each candidate would bear. */
static void many_measurements_are_thinned_out(void **state)
{
    enum { N = 25000 };
    const struct suggest_candidates c = make_candidates(&space_fbnetv3, 50);
    const size_t n_genes = space_fbnetv3.n_genes;
    int32_t *genes = mem_calloc(N * n_genes, sizeof *genes);
    double *a = mem_calloc(2 * (size_t)N, sizeof *a);
    const struct measured measured = {genes, a, NULL, a + N, N};
    const struct suggest_choice request = {
        .space = &space_fbnetv3, .candidates = &c, .measured = &measured};
    size_t rows[10];
    struct error err = {0};
    struct rng rng;
    (void)state;
    rng_init(&rng, 6);
    for (size_t i = 0; i < N; i++) {
        space_draw(&space_fbnetv3, &rng, genes + i * n_genes);
        a[i] = 500.0 + (double)(i % 100);
        a[N + i] = 100.0 + (double)(i % 70);
    }
    assert_ok(calibration_suggest_next(&request, 10, NULL, rows, &err), &err);
    mem_free(genes);
    mem_free(a);
}

static bool stop_at(void *context, const struct fit_progress *progress)
{
    size_t *n_left = context;

    assert_string_equal(progress->stage, "suggesting");
    return (*n_left)-- > 0;
}

static void suggesting_can_be_stopped(void **state)
{
    const struct suggest_candidates c = make_candidates(&space_nasbench201, 50);
    (void)state;
    for (size_t n = 0; n <= 5; n++) {
        size_t n_left = n;
        size_t rows[5];
        const struct fit_hooks hooks = {.context = &n_left, .progress = stop_at};
        assert_int_equal(
            calibration_suggest(&space_nasbench201, NULL, true, &c, 5, &hooks, rows, NULL),
            n < 5 ? ERR_CANCELED : ERR_OK);
    }
}

static enum err suggest_once(void *context, struct error *err)
{
    int32_t genes[2 * 28];

    return calibration_suggest_of_space(
        context, calibration_prior_shipped(((const struct predictor *)context)->space), true, 1, 2,
        NULL, genes, err);
}

static enum err suggest_next_once(void *context, struct error *err)
{
    size_t rows[3];

    return calibration_suggest_next(context, 3, NULL, rows, err);
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    struct predictor *predictor = fit_predictor(&space_nasbench201);
    const struct suggest_candidates c = make_candidates(&space_nasbench201, 30);
    const size_t first[3] = {0, 1, 2};
    const struct measured measured = measure(&space_nasbench201, first, 3, 1);
    struct suggest_choice request = {
        .space = &space_nasbench201,
        .prior = calibration_prior_shipped(&space_nasbench201),
        .hardware = &phone_sheet,
        .candidates = &c,
        .measured = &measured,
    };
    (void)state;
    make_deviations(predictor);
    fail_each_allocation(suggest_once, predictor);
    fail_each_allocation(suggest_next_once, &request);
    predictor_destroy(predictor);
}

enum { N_POOLS = IS_SANITIZED ? 3 : 20, N_DRAWS = 5 };

/* Mean RMSE of ten suggested out of a random half of a phone's rows, over that of ten drawn. */
static double ratio_to_random(const struct device_data *phone)
{
    static int32_t genes[DATA_MAX_ROWS * 28];
    static double a[DATA_MAX_ROWS], sd[DATA_MAX_ROWS];
    static size_t order[DATA_MAX_ROWS];
    const size_t n_genes = phone->space->n_genes;
    const struct calibration_prior *prior = calibration_prior_shipped(phone->space);
    const struct suggest_candidates pool = {genes, a, sd, phone->n / 2};
    double suggested = 0.0;
    double drawn = 0.0;

    for (uint64_t p = 0; p < N_POOLS; p++) {
        size_t rows[10];
        struct trial trial = {.device = phone, .base = BASE_HELD_OUT, .prior = prior, .n = 10};
        struct trial_result one;
        struct error err = {0};
        order_at_random(900 + p, phone->n, order);
        for (size_t i = 0; i < pool.n; i++) {
            memcpy(genes + i * n_genes, phone->genes + order[i] * n_genes, n_genes * sizeof *genes);
            a[i] = phone->a[BASE_HELD_OUT][order[i]];
            sd[i] = phone->sd[BASE_HELD_OUT][order[i]];
        }
        assert_ok(calibration_suggest(phone->space, prior, true, &pool, 10, NULL, rows, &err),
                  &err);
        for (size_t i = 0; i < 10; i++) {
            rows[i] = order[rows[i]];
        }
        trial.rows = rows;
        assert_ok(run_trial(&trial, &one, &err), &err);
        suggested += one.metrics.rmse;
        trial.rows = NULL;
        for (uint64_t draw = 0; draw < N_DRAWS; draw++) {
            trial.seed = p * N_DRAWS + draw;
            assert_ok(run_trial(&trial, &one, &err), &err);
            drawn += one.metrics.rmse / N_DRAWS;
        }
    }
    return suggested / drawn;
}

/* On the mean over the phones; a single set of ten is a matter of luck too. */
static void ten_suggested_measurements_beat_ten_random_ones(void **state)
{
    struct space_data measured[2];
    struct error err = {0};
    double mean = 0.0;
    (void)state;
    (void)shared_path("data/dgl/nasbench201/net.txt");
    assert_ok(load_space("nasbench201", &measured[0], &err), &err);
    assert_ok(load_space("fbnetv3", &measured[1], &err), &err);
    for (size_t p = 0; p < N_PHONES; p++) {
        struct device_data phone;
        double ratio;
        assert_ok(load_phone(&measured[strcmp(phone_list[p].space, "fbnetv3") == 0],
                             phone_list[p].name, &phone, &err),
                  &err);
        ratio = ratio_to_random(&phone);
        print_message("%s: RMSE times %.3f\n", phone.name, ratio);
        mean += ratio / N_PHONES;
        mem_free(phone.latency_ms);
    }
    print_message("mean %.3f\n", mean);
    close_space(&measured[0]);
    close_space(&measured[1]);
    assert_true(mean < (IS_SANITIZED ? 1.05 : 1.0));
}

#define suggest_test(name) cmocka_unit_test_setup_teardown(name, start, check_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        suggest_test(suggestions_are_distinct_and_the_same_every_time),
        suggest_test(all_candidates_may_be_suggested_and_no_more),
        suggest_test(of_many_candidates_an_even_part_is_weighed),
        suggest_test(a_space_suggests_valid_and_distinct_architectures),
        suggest_test(what_is_measured_is_taken_into_account_and_not_suggested_again),
        suggest_test(a_device_that_proves_to_be_of_another_kind_is_asked_otherwise),
        suggest_test(what_is_left_may_be_suggested_and_no_more),
        suggest_test(many_measurements_are_thinned_out),
        suggest_test(suggesting_can_be_stopped),
        suggest_test(running_out_of_memory_is_told_and_leaks_nothing),
        suggest_test(ten_suggested_measurements_beat_ten_random_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

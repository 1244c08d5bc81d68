/* core/suggest.h: what is suggested is new, the same every time, and worth more than what is drawn.
 */
#include "core/matrix.h"
#include "core/space_standard.h"
#include "core/suggest.h"
#include "tests/support/calibration_data.h"
#include "tests/support/check.h"

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
    for (const struct space *const *s = spaces; *s != NULL; s++) {
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
    for (const struct space *const *s = spaces; *s != NULL; s++) {
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

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    struct predictor *predictor = fit_predictor(&space_nasbench201);
    (void)state;
    fail_each_allocation(suggest_once, predictor);
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
        suggest_test(suggesting_can_be_stopped),
        suggest_test(running_out_of_memory_is_told_and_leaks_nothing),
        suggest_test(ten_suggested_measurements_beat_ten_random_ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

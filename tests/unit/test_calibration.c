/* core/calibration.h: what any measurements give, and on the measured data the figures that the
 * project promises. */
#include "core/calibration.h"
#include "core/matrix.h"
#include "core/space_nasbench201.h"
#include "core/space_standard.h"
#include "tests/support/calibration_data.h"
#include "tests/support/check.h"

enum { MOST_ROWS = 3000, N_REST = 200 };

static const struct hardware phone = {2.0, 3, 1, 7.46};

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

/* Random architectures with a made-up A, and a device that is a factor away from it, with scatter.
 */
static struct {
    const struct space *space;
    int32_t genes[MOST_ROWS * 28];
    double a[MOST_ROWS], sd[MOST_ROWS], latency_ms[MOST_ROWS];
} made;

static double draw_normal(struct rng *rng)
{
    double z = -6.0;

    for (int i = 0; i < 12; i++) {
        z += rng_uniform(rng);
    }
    return z;
}

static void make_device(const struct space *space, double factor, double scatter, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    made.space = space;
    for (size_t i = 0; i < MOST_ROWS; i++) {
        double features[SPACE_MAX_FEATURES];
        double log_cost;
        int32_t *genes = made.genes + i * space->n_genes;
        space_draw(space, &rng, genes);
        space->features->compute(space, genes, &log_cost, features);
        made.a[i] = 1000.0 * exp(log_cost);
        made.sd[i] = 0.05 * made.a[i];
        made.latency_ms[i] =
            made.a[i] * hardware_factor(&phone) * factor * exp(scatter * draw_normal(&rng));
    }
}

static enum err fit_rows(const double *latency_ms, size_t n, const struct hardware *hardware,
                         struct calibration **out, struct error *err)
{
    const struct measured measured = {made.genes, made.a, made.sd, latency_ms, n};

    return calibration_fit(made.space, calibration_prior_shipped(made.space), hardware, &measured,
                           out, err);
}

static struct calibration *fit(size_t n, const struct hardware *hardware)
{
    struct calibration *calibration = NULL;
    struct error err = {0};

    assert_ok(fit_rows(made.latency_ms, n, hardware, &calibration, &err), &err);
    return calibration;
}

/* Root mean square of log(predicted / measured) over the last N_REST rows, on sane predictions. */
static double log_error(const struct calibration *calibration)
{
    const size_t at = MOST_ROWS - N_REST;
    double latency_ms[N_REST];
    double spread[N_REST];
    double square = 0.0;

    calibration_predict(calibration, made.genes + at * made.space->n_genes, made.a + at,
                        made.sd + at, N_REST, latency_ms, spread);
    for (size_t i = 0; i < N_REST; i++) {
        double error = log(latency_ms[i] / made.latency_ms[at + i]);
        assert_true(isfinite(latency_ms[i]) && latency_ms[i] > 0.0);
        assert_true(isfinite(spread[i]) && spread[i] > 0.0);
        square += error * error / N_REST;
    }
    return sqrt(square);
}

/* ---- any measurements ------------------------------------------------------------------------ */

static void every_number_of_measurements_helps(void **state)
{
    static const size_t numbers[] = {1, 2, 3, 5, 10, 20, 50, 100, 1000, MOST_ROWS - N_REST};
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        make_device(*s, 1.3, 0.05, 1);
        for (size_t i = 0; i < COUNT_OF(numbers); i++) {
            struct calibration *calibration = fit(numbers[i], &phone);
            assert_at_most(log_error(calibration), numbers[i] < 3 ? 0.2 : 0.1);
            calibration_destroy(calibration);
        }
    }
}

static void a_device_without_data_sheet_is_told_by_its_measurements(void **state)
{
    static const double factors[] = {1e-6, 1.0, 1e6};
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        for (size_t f = 0; f < COUNT_OF(factors); f++) {
            struct calibration *calibration;
            make_device(*s, factors[f], 0.05, 2);
            calibration = fit(20, NULL);
            assert_at_most(log_error(calibration), 0.15);
            calibration_destroy(calibration);
        }
    }
}

static void one_wild_measurement_of_ten_is_let_go(void **state)
{
    static const double wild[] = {10.0, 0.1, 1e6, 1e-6};
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        double clean;
        struct calibration *calibration;
        make_device(*s, 1.2, 0.05, 3);
        calibration = fit(10, &phone);
        clean = log_error(calibration);
        calibration_destroy(calibration);
        for (size_t w = 0; w < COUNT_OF(wild); w++) {
            double kept = made.latency_ms[4];
            made.latency_ms[4] *= wild[w];
            calibration = fit(10, &phone);
            made.latency_ms[4] = kept;
            assert_at_most(log_error(calibration), 1.1 * clean);
            calibration_destroy(calibration);
        }
    }
}

static void repeated_measurements_count_as_one_by_their_median(void **state)
{
    enum { N = 7, REPEATS = 5 };
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        const size_t n_genes = (*s)->n_genes;
        static int32_t genes[N * REPEATS * 28];
        double a[N * REPEATS];
        double sd[N * REPEATS];
        double latency_ms[N * REPEATS];
        const struct measured measured = {genes, a, sd, latency_ms, N * REPEATS};
        struct calibration_report report;
        struct calibration *once;
        struct calibration *often = NULL;
        struct error err = {0};
        double predictions[2][2][N_REST];
        make_device(*s, 1.2, 0.05, 4);
        for (size_t i = 0; i < N * REPEATS; i++) { /* interleaved, two of five of them wild */
            const size_t at = i % N;
            memcpy(genes + i * n_genes, made.genes + at * n_genes, n_genes * sizeof *genes);
            a[i] = made.a[at];
            sd[i] = made.sd[at];
            latency_ms[i] = made.latency_ms[at] * (i / N == 1 ? 100.0 : (i / N == 3 ? 0.01 : 1.0));
        }
        once = fit(N, &phone);
        assert_ok(
            calibration_fit(*s, calibration_prior_shipped(*s), &phone, &measured, &often, &err),
            &err);
        calibration_describe(often, &report);
        assert_int_equal(report.n_architectures, N);
        for (int c = 0; c < 2; c++) {
            calibration_predict(c == 0 ? once : often, made.genes, made.a, made.sd, N_REST,
                                predictions[c][0], predictions[c][1]);
        }
        assert_memory_equal(predictions[0], predictions[1], sizeof predictions[0]);
        calibration_destroy(once);
        calibration_destroy(often);
    }
}

static void degenerate_measurements_give_a_finite_calibration(void **state)
{
    static const double values[][2] = {
        {5.0,    5.0   },
        {1e-9,   1e9   },
        {1e300,  1e300 },
        {1e-300, 1e300 },
        {1e-300, 1e-300},
    };
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        make_device(*s, 1.0, 0.05, 5);
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            for (size_t n = 1; n <= 64; n *= 4) {
                double latency_ms[64];
                struct calibration *calibration = NULL;
                struct error err = {0};
                for (size_t i = 0; i < n; i++) {
                    latency_ms[i] = values[v][i % 2];
                }
                assert_ok(fit_rows(latency_ms, n, n % 8 == 0 ? NULL : &phone, &calibration, &err),
                          &err);
                (void)log_error(calibration);
                calibration_destroy(calibration);
            }
        }
        for (size_t i = 1; i < 50; i++) { /* one architecture, measured again and again */
            memcpy(made.genes + i * (*s)->n_genes, made.genes, (*s)->n_genes * sizeof(int32_t));
            made.a[i] = made.a[0];
        }
        {
            struct calibration *calibration = fit(50, &phone);
            (void)log_error(calibration);
            calibration_destroy(calibration);
        }
    }
}

static void an_architecture_is_predicted_the_same_whatever_stands_beside_it(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct calibration *calibration;
        double latency_ms[N_REST];
        double spread[N_REST];
        make_device(*s, 0.8, 0.05, 6);
        calibration = fit(30, &phone);
        calibration_predict(calibration, made.genes, made.a, made.sd, N_REST, latency_ms, spread);
        for (size_t i = 0; i < N_REST; i++) {
            const int32_t *genes = made.genes + i * (*s)->n_genes;
            double alone;
            double alone_spread;
            calibration_predict(calibration, genes, &made.a[i], &made.sd[i], 1, &alone,
                                &alone_spread);
            assert_true(alone == latency_ms[i] && alone_spread == spread[i]);
            calibration_predict(calibration, genes, &made.a[i], NULL, 1, &alone, NULL);
            assert_near_relative(alone, latency_ms[i], 1e-12);
        }
        calibration_destroy(calibration);
    }
}

/* Dead operators cost nothing on that device, and A knows nothing of it. */
static void a_device_of_another_kind_is_learned_not_rescaled(void **state)
{
    enum { N = 50 };
    double measured[N_REST];
    double predicted[N_REST];
    struct metrics metrics;
    struct calibration_report report;
    struct calibration *calibration;
    const size_t at = MOST_ROWS - N_REST;
    (void)state;
    make_device(&space_nasbench201, 1.0, 0.03, 7);
    for (size_t i = 0; i < MOST_ROWS; i++) {
        const int32_t *genes = made.genes + i * NASBENCH201_N_EDGES;
        bool live[NASBENCH201_N_EDGES];
        nasbench201_mark_live(genes, live);
        made.latency_ms[i] = 0.5;
        for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
            made.latency_ms[i] += live[e] && genes[e] == NASBENCH201_CONV3 ? 3.0 : 0.0;
            made.latency_ms[i] += live[e] && genes[e] == NASBENCH201_CONV1 ? 1.0 : 0.0;
            made.latency_ms[i] += live[e] && genes[e] == NASBENCH201_POOL ? 0.7 : 0.0;
        }
    }
    assert_ok(metrics_compute(made.a + at, made.latency_ms + at, N_REST, &metrics, NULL), NULL);
    assert_at_most(metrics.spearman, 0.9);
    calibration = fit(N, &phone);
    calibration_describe(calibration, &report);
    assert_near(report.same_kind + report.other_kind + report.library, 1.0, 1e-9);
    assert_at_most(report.same_kind, 0.01);
    calibration_predict(calibration, made.genes + at * NASBENCH201_N_EDGES, made.a + at, NULL,
                        N_REST, predicted, NULL);
    memcpy(measured, made.latency_ms + at, sizeof measured);
    assert_ok(metrics_compute(predicted, measured, N_REST, &metrics, NULL), NULL);
    assert_at_least(metrics.spearman, 0.98);
    calibration_destroy(calibration);
}

static void measurements_that_are_none_are_refused_by_row(void **state)
{
    static const double bad[] = {0.0, -1.0, NAN, INFINITY};
    struct calibration *out = NULL;
    struct error err = {0};
    (void)state;
    make_device(&space_fbnetv3, 1.0, 0.05, 8);
    assert_error(fit_rows(made.latency_ms, 0, &phone, &out, &err), ERR_INVALID, &err, "not 0");
    assert_error(fit_rows(made.latency_ms, CALIBRATION_MAX_ROWS + 1, &phone, &out, &err),
                 ERR_INVALID, &err, "not 200001");
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        double kept = made.latency_ms[2];
        made.latency_ms[2] = bad[i];
        assert_error(fit_rows(made.latency_ms, 5, &phone, &out, &err), ERR_INVALID, &err,
                     "measurement 3: latency_ms");
        made.latency_ms[2] = kept;
        made.a[3] = bad[i];
        assert_error(fit_rows(made.latency_ms, 5, &phone, &out, &err), ERR_INVALID, &err,
                     "measurement 4");
        made.a[3] = 1.0;
    }
    assert_null(out);
    calibration_destroy(NULL);
}

static void of_more_architectures_than_are_used_the_others_are_left(void **state)
{
    enum { N = 25000 };
    const size_t n_genes = space_fbnetv3.n_genes;
    int32_t *genes = mem_calloc(N * n_genes, sizeof *genes);
    double *a = mem_calloc(2 * (size_t)N, sizeof *a);
    const struct measured measured = {genes, a, NULL, a + N, N};
    struct calibration_report report;
    struct calibration *calibration = NULL;
    struct error err = {0};
    struct rng rng;
    (void)state;
    rng_init(&rng, 9);
    for (size_t i = 0; i < N; i++) {
        space_draw(&space_fbnetv3, &rng, genes + i * n_genes);
        a[i] = 500.0;
        a[N + i] = 100.0 * exp(0.05 * draw_normal(&rng));
    }
    assert_ok(calibration_fit(&space_fbnetv3, NULL, NULL, &measured, &calibration, &err), &err);
    calibration_describe(calibration, &report);
    assert_int_equal(report.n_architectures, CALIBRATION_USED_ROWS);
    calibration_destroy(calibration);
    mem_free(genes);
    mem_free(a);
}

/* With fewer rows than features, and with more. */
static size_t n_fitted;

static enum err fit_once(void *context, struct error *err)
{
    struct calibration *calibration = NULL;
    enum err rc = fit_rows(made.latency_ms, n_fitted, context, &calibration, err);

    calibration_destroy(calibration);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        make_device(*s, 1.0, 0.05, 10);
        for (n_fitted = 12; n_fitted <= 120; n_fitted *= 10) {
            fail_each_allocation(fit_once, NULL);
            fail_each_allocation(fit_once, (void *)&phone);
        }
    }
}

/* ---- the measured data ----------------------------------------------------------------------- */

enum { N_DRAWS = IS_SANITIZED ? 3 : 20 };

static struct space_data measured_spaces[2];
static struct device_data phones[N_PHONES];

/* Loads the reference phones once; skips where they are absent. */
static void need_phones(void)
{
    struct error err = {0};

    (void)shared_path("data/dgl/nasbench201/net.txt");
    if (phones[0].n > 0) {
        return;
    }
    assert_ok(load_space("nasbench201", &measured_spaces[0], &err), &err);
    assert_ok(load_space("fbnetv3", &measured_spaces[1], &err), &err);
    for (size_t p = 0; p < N_PHONES; p++) {
        const bool is_second = strcmp(phone_list[p].space, "fbnetv3") == 0;
        assert_ok(load_phone(&measured_spaces[is_second], phone_list[p].name, &phones[p], &err),
                  &err);
    }
}

static int close_phones(void **state)
{
    (void)state;
    for (size_t p = 0; p < N_PHONES; p++) {
        mem_free(phones[p].latency_ms);
    }
    close_space(&measured_spaces[0]);
    close_space(&measured_spaces[1]);
    return 0;
}

static struct trial trial_of(size_t p, int base, size_t n)
{
    return (struct trial){
        .device = &phones[p],
        .base = base,
        .prior = calibration_prior_shipped(phones[p].space),
        .n = n,
    };
}

static struct trial_result mean_of_draws(struct trial trial)
{
    struct trial_result mean = {0};

    for (uint64_t draw = 0; draw < N_DRAWS; draw++) {
        struct trial_result one;
        struct error err = {0};
        trial.seed = draw;
        trial.wild = trial.wild == 0.0 ? 0.0 : (draw % 2 == 0 ? 10.0 : 0.1);
        assert_ok(run_trial(&trial, &one, &err), &err);
        mean.metrics.rmse += one.metrics.rmse / N_DRAWS;
        mean.coverage += one.coverage / N_DRAWS;
        mean.log_width += one.log_width / N_DRAWS;
    }
    return mean;
}

static void ten_measurements_of_an_unseen_phone_give_the_promised_rmse(void **state)
{
    (void)state;
    need_phones();
    for (size_t p = 0; p < N_PHONES; p++) {
        for (int base = BASE_HELD_OUT; base <= BASE_SEEN; base++) {
            double rmse = mean_of_draws(trial_of(p, base, 10)).metrics.rmse;
            print_message("%s: %.4g ms\n", phones[p].name, rmse);
            assert_at_most(rmse, phone_list[p].rmse_ms * (IS_SANITIZED ? 1.1 : 1.0));
        }
    }
}

static void one_measurement_helps_and_more_help_more(void **state)
{
    static const size_t sizes[] = {1, 3, 10, 50};
    (void)state;
    need_phones();
    for (int base = BASE_HELD_OUT; base <= BASE_SEEN; base++) {
        double previous = IS_SANITIZED ? 1.1 : 1.0;
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            double ratio = 0.0;
            for (size_t p = 0; p < N_PHONES; p++) {
                ratio += mean_of_draws(trial_of(p, base, sizes[s])).metrics.rmse /
                         mean_of_draws(trial_of(p, base, 0)).metrics.rmse / N_PHONES;
            }
            print_message("%zu measurements: RMSE times %.3f\n", sizes[s], ratio);
            assert_true(ratio < previous);
            previous = ratio;
        }
    }
}

static void a_wild_measurement_among_ten_costs_less_than_a_tenth(void **state)
{
    (void)state;
    need_phones();
    for (size_t p = 0; p < N_PHONES; p++) {
        struct trial trial = trial_of(p, BASE_HELD_OUT, 10);
        double clean = mean_of_draws(trial).metrics.rmse;
        trial.wild = 10.0;
        assert_at_most(fabs(mean_of_draws(trial).metrics.rmse / clean - 1.0), 0.1);
    }
}

static void intervals_hold_on_each_space_and_narrow_by_a_third(void **state)
{
    static const size_t sizes[] = {0, 3, 10, 50};
    double narrowed = 0.0;
    (void)state;
    need_phones();
    for (size_t first = 0; first < N_PHONES; first += 5) { /* five phones, then four */
        const size_t n = first == 0 ? 5 : 4;
        double without = 0.0;
        for (size_t s = 0; s < COUNT_OF(sizes); s++) {
            double coverage = 0.0;
            double width = 0.0;
            for (size_t p = first; p < first + n; p++) {
                struct trial_result mean = mean_of_draws(trial_of(p, BASE_HELD_OUT, sizes[s]));
                coverage += mean.coverage / (double)n;
                width += mean.log_width / (double)n;
            }
            print_message("%s, %zu measurements: coverage %.3f, width %.3f\n",
                          phones[first].space->name, sizes[s], coverage, width);
            assert_at_least(coverage, IS_SANITIZED ? 0.8 : 0.85);
            assert_at_most(coverage, IS_SANITIZED ? 0.99 : 0.95);
            without = sizes[s] == 0 ? width : without;
            narrowed += sizes[s] == 10 ? width / without * (double)n / N_PHONES : 0.0;
        }
    }
    assert_at_most(narrowed, 2.0 / 3.0);
}

#define fit_test(name)  cmocka_unit_test_setup_teardown(name, start, check_blocks)
#define data_test(name) cmocka_unit_test_setup(name, start)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fit_test(every_number_of_measurements_helps),
        fit_test(a_device_without_data_sheet_is_told_by_its_measurements),
        fit_test(one_wild_measurement_of_ten_is_let_go),
        fit_test(repeated_measurements_count_as_one_by_their_median),
        fit_test(degenerate_measurements_give_a_finite_calibration),
        fit_test(an_architecture_is_predicted_the_same_whatever_stands_beside_it),
        fit_test(a_device_of_another_kind_is_learned_not_rescaled),
        fit_test(measurements_that_are_none_are_refused_by_row),
        fit_test(of_more_architectures_than_are_used_the_others_are_left),
        fit_test(running_out_of_memory_is_told_and_leaks_nothing),
        data_test(ten_measurements_of_an_unseen_phone_give_the_promised_rmse),
        data_test(one_measurement_helps_and_more_help_more),
        data_test(a_wild_measurement_among_ten_costs_less_than_a_tenth),
        data_test(intervals_hold_on_each_space_and_narrow_by_a_third),
    };
    return cmocka_run_group_tests(tests, NULL, close_phones);
}

/* core/calibration_prior.h and core/library_evaluate.h: what a library teaches, its tensors, and on
 * the nine measured devices the figures that the project promises. */
#include "core/calibration_prior.h"
#include "core/library_evaluate.h"
#include "core/matrix.h"
#include "core/space_nasbench201.h"
#include "core/space_standard.h"
#include "tests/support/calibration_data.h"
#include "tests/support/check.h"

enum { N_MADE = 4, N_ROWS = 120 };

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

/* Devices that weigh live convolutions differently; the last two have data sheets. */
static struct {
    int32_t genes[N_MADE][N_ROWS * NASBENCH201_N_EDGES];
    double latency_ms[N_MADE][N_ROWS];
    struct library_device devices[N_MADE];
} made;

static const struct hardware sheets[2] = {
    {2.3, 4, 1, 14.9},
    {2.8, 5, 2, 29.8},
};

static double made_latency(size_t device, const int32_t *genes)
{
    static const double conv3[N_MADE] = {5.0, 1.0, 3.0, 9.0};
    static const double scale[N_MADE] = {1.0, 10.0, 0.3, 0.2};
    bool live[NASBENCH201_N_EDGES];
    double sum = 2.0;

    nasbench201_mark_live(genes, live);
    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        sum += live[e] && genes[e] == NASBENCH201_CONV3 ? conv3[device] : 0.0;
        sum += live[e] && genes[e] == NASBENCH201_CONV1 ? 1.0 : 0.0;
    }
    return scale[device] * sum;
}

static void make_devices(void)
{
    struct rng rng;

    rng_init(&rng, 3);
    for (size_t d = 0; d < N_MADE; d++) {
        for (size_t i = 0; i < N_ROWS; i++) {
            int32_t *genes = made.genes[d] + i * NASBENCH201_N_EDGES;
            space_draw(&space_nasbench201, &rng, genes);
            made.latency_ms[d][i] = made_latency(d, genes) * (0.97 + 0.06 * rng_uniform(&rng));
        }
        made.devices[d] = (struct library_device){
            .name = d == 0 ? "first" : "other",
            .genes = made.genes[d],
            .latency_ms = made.latency_ms[d],
            .n = N_ROWS,
            .hardware = d >= 2 ? &sheets[d - 2] : NULL,
        };
    }
}

static struct calibration_prior *learn(size_t n)
{
    struct calibration_prior *prior = NULL;
    struct error err = {0};

    make_devices();
    assert_ok(calibration_prior_fit(&space_nasbench201, made.devices, n, NULL, &prior, &err), &err);
    return prior;
}

/* ---- what it learns -------------------------------------------------------------------------- */

static void a_device_between_others_is_predicted_with_few_measurements(void **state)
{
    enum { N = 6, N_TESTED = 300 };
    struct calibration_prior *prior = learn(N_MADE);
    struct calibration *calibration = NULL;
    int32_t genes[N_TESTED * NASBENCH201_N_EDGES];
    double a[N_TESTED];
    double truth_ms[N_TESTED];
    double latency_ms[N_TESTED];
    const struct measured measured = {genes, a, NULL, truth_ms, N};
    struct metrics metrics;
    struct error err = {0};
    struct rng rng;
    (void)state;
    rng_init(&rng, 4);
    for (size_t i = 0; i < N_TESTED; i++) {
        int32_t *row = genes + i * NASBENCH201_N_EDGES;
        space_draw(&space_nasbench201, &rng, row);
        a[i] = 1000.0; /* nothing is known of A */
        truth_ms[i] = 7.0 * (made_latency(0, row) / 1.0 + made_latency(1, row) / 10.0);
    }
    assert_ok(calibration_fit(&space_nasbench201, prior, NULL, &measured, &calibration, &err),
              &err);
    calibration_predict(calibration, genes, a, NULL, N_TESTED, latency_ms, NULL);
    assert_ok(metrics_compute(latency_ms, truth_ms, N_TESTED, &metrics, NULL), NULL);
    assert_at_least(metrics.spearman, 0.97);
    assert_at_most(metrics.mape, 0.1);
    calibration_destroy(calibration);
    calibration_prior_destroy(prior);
}

static void the_level_of_a_device_follows_from_its_sheet(void **state)
{
    struct calibration_prior *prior = learn(N_MADE);
    double log_ms = 0.0;
    double twice = 0.0;
    double sd = 0.0;
    double latency_ms[2];
    struct hardware slower = sheets[0];
    (void)state;
    assert_true(calibration_prior_level(prior, 0.1, &log_ms, &sd));
    assert_true(calibration_prior_level(prior, 0.2, &twice, &sd));
    assert_near(twice - log_ms, log(2.0), 1e-12);
    assert_true(sd > 0.0 && sd < 2.0);
    slower.frequency_ghz /= 3.0;
    assert_int_equal(
        calibration_prior_predict(prior, &sheets[0], made.genes[0], 1, latency_ms, NULL, NULL),
        ERR_OK);
    assert_int_equal(
        calibration_prior_predict(prior, &slower, made.genes[0], 1, latency_ms + 1, NULL, NULL),
        ERR_OK);
    assert_near_relative(latency_ms[1], 3.0 * latency_ms[0], 1e-9);
    calibration_prior_destroy(prior);
    prior = learn(2); /* none of which has a sheet */
    assert_false(calibration_prior_level(prior, 0.1, &log_ms, &sd));
    assert_int_equal(
        calibration_prior_predict(prior, NULL, made.genes[0], 1, latency_ms, latency_ms + 1, NULL),
        ERR_OK);
    assert_true(isfinite(latency_ms[0]) && latency_ms[0] > 0.0 && latency_ms[1] > 0.0);
    calibration_prior_destroy(prior);
}

static void libraries_that_are_none_are_refused(void **state)
{
    struct calibration_prior *out = NULL;
    struct error err = {0};
    (void)state;
    make_devices();
    assert_error(calibration_prior_fit(&space_nasbench201, made.devices, 0, NULL, &out, &err),
                 ERR_LIMIT, &err, "not 0");
    assert_error(calibration_prior_fit(&space_nasbench201, made.devices, LIBRARY_MAX_DEVICES + 1,
                                       NULL, &out, &err),
                 ERR_LIMIT, &err, "not 65");
    made.latency_ms[0][7] = -3.0;
    assert_error(calibration_prior_fit(&space_nasbench201, made.devices, 2, NULL, &out, &err),
                 ERR_INVALID, &err, "first: measurement 8");
    made.latency_ms[0][7] = 3.0;
    made.devices[0].n = 0;
    assert_error(calibration_prior_fit(&space_nasbench201, made.devices, 2, NULL, &out, &err),
                 ERR_INVALID, &err, "first: a device has");
    assert_null(out);
    calibration_prior_destroy(NULL);
}

static void latencies_that_no_file_could_tell_of_are_not_learned(void **state)
{
    static const double wild_ms[] = {1e-300, 1e-45, 1e60, 1e300};

    (void)state;
    for (size_t k = 0; k < COUNT_OF(wild_ms); k++) {
        struct calibration_prior *out = NULL;
        struct error err = {0};
        make_devices();
        for (size_t i = 0; i < N_ROWS; i++) {
            made.latency_ms[1][i] = wild_ms[k];
        }
        assert_error(calibration_prior_fit(&space_nasbench201, made.devices, 2, NULL, &out, &err),
                     ERR_NUMERIC, &err, "other: the latencies are beyond");
        assert_null(out);
    }
}

static void any_size_of_library_and_device_is_learned(void **state)
{
    (void)state;
    for (size_t n_devices = 1; n_devices <= N_MADE; n_devices++) {
        for (size_t n = 1; n <= N_ROWS; n *= 3) {
            struct calibration_prior *prior = NULL;
            struct error err = {0};
            double latency_ms[N_ROWS];
            double spread[N_ROWS];
            make_devices();
            for (size_t d = 0; d < n_devices; d++) {
                made.devices[d].n = n;
            }
            assert_ok(calibration_prior_fit(&space_nasbench201, made.devices, n_devices, NULL,
                                            &prior, &err),
                      &err);
            assert_ok(calibration_prior_predict(prior, &sheets[0], made.genes[0], N_ROWS,
                                                latency_ms, spread, &err),
                      &err);
            for (size_t i = 0; i < N_ROWS; i++) {
                assert_true(isfinite(latency_ms[i]) && latency_ms[i] > 0.0);
                assert_true(isfinite(spread[i]) && spread[i] > 0.0);
            }
            calibration_prior_destroy(prior);
        }
    }
}

static bool stop_at_once(void *context, const struct fit_progress *progress)
{
    size_t *n_left = context;

    assert_true(progress->percent >= 0.0 && progress->percent <= 100.0);
    return (*n_left)-- > 0;
}

static void learning_and_evaluating_can_be_stopped_everywhere(void **state)
{
    struct library_figures figures[N_MADE];
    bool is_done[2] = {false, false};
    (void)state;
    make_devices();
    for (size_t n = 0; !is_done[0] || !is_done[1]; n++) {
        for (int k = 0; k < 2; k++) {
            size_t n_left = n;
            const struct fit_hooks hooks = {.context = &n_left, .progress = stop_at_once};
            struct calibration_prior *prior = NULL;
            struct error err = {0};
            enum err rc = k == 0 ? calibration_prior_fit(&space_nasbench201, made.devices, N_MADE,
                                                         &hooks, &prior, &err)
                                 : library_evaluate(&space_nasbench201, NULL, made.devices, N_MADE,
                                                    1, 1, &hooks, figures, &err);
            is_done[k] = rc == ERR_OK;
            assert_true(rc == ERR_OK || rc == ERR_CANCELED);
            calibration_prior_destroy(prior);
        }
        assert_true(n < 100);
    }
    assert_true(isfinite(figures[0].at[1].rmse_ms));
}

/* ---- tensors --------------------------------------------------------------------------------- */

static void tensors_give_the_same_prior(void **state)
{
    struct calibration_prior *prior = learn(N_MADE);
    struct calibration_prior *loaded = NULL;
    struct tensor tensors[CALIBRATION_PRIOR_N_TENSORS];
    struct error err = {0};
    size_t n = calibration_prior_tensors(prior, tensors);
    (void)state;
    assert_int_equal(n, CALIBRATION_PRIOR_N_TENSORS);
    assert_true(calibration_prior_is_among(tensors, n));
    assert_false(calibration_prior_is_among(tensors + 1, n - 1));
    assert_ok(calibration_prior_load(&space_nasbench201, tensors, n, &loaded, &err), &err);
    assert_int_equal(loaded->n_devices, N_MADE);
    assert_memory_equal(loaded->functions, prior->functions,
                        N_MADE * prior->n_coefficients * sizeof(double));
    assert_memory_equal(loaded->level, prior->level, N_MADE * sizeof(double));
    assert_memory_equal(loaded->hardware, prior->hardware,
                        N_MADE * HARDWARE_N_FIELDS * sizeof(double));
    calibration_prior_destroy(loaded);
    calibration_prior_destroy(prior);
}

/* Loads with one number of one tensor replaced. */
static void assert_number_refused(const struct tensor *good, size_t which, size_t at, double value,
                                  const char *phrase)
{
    struct tensor bad[CALIBRATION_PRIOR_N_TENSORS];
    struct calibration_prior *out = NULL;
    struct error err = {0};
    size_t count = 0;
    double *data;

    memcpy(bad, good, sizeof bad);
    assert_true(tensor_count(&good[which], &count));
    data = mem_calloc(count, sizeof *data);
    memcpy(data, good[which].data, count * sizeof *data);
    data[at] = value;
    bad[which].data = data;
    assert_error(
        calibration_prior_load(&space_nasbench201, bad, CALIBRATION_PRIOR_N_TENSORS, &out, &err),
        ERR_INVALID, &err, phrase);
    assert_null(out);
    mem_free(data);
}

static void malformed_tensors_are_refused_by_name(void **state)
{
    struct calibration_prior *prior = learn(N_MADE);
    struct tensor good[CALIBRATION_PRIOR_N_TENSORS];
    const size_t n = calibration_prior_tensors(prior, good);
    (void)state;
    for (size_t i = 0; i < n; i++) {
        struct calibration_prior *out = NULL;
        struct error err = {0};
        for (int kind = 0; kind < 4; kind++) {
            struct tensor bad[CALIBRATION_PRIOR_N_TENSORS];
            memcpy(bad, good, sizeof bad);
            bad[i].name[0] = kind == 0 ? 'X' : bad[i].name[0];
            bad[i].shape[bad[i].n_dims - 1] += kind == 1 ? 1 : 0;
            bad[i].type = kind == 2 ? TENSOR_I32 : bad[i].type;
            bad[i].shape[0] = kind == 3 ? 0 : bad[i].shape[0];
            assert_error(calibration_prior_load(&space_nasbench201, bad, n, &out, &err),
                         ERR_INVALID, &err, good[i].name);
            assert_null(out);
        }
        assert_number_refused(good, i, 0, NAN, good[i].name);
        assert_number_refused(good, i, 0, INFINITY, good[i].name);
    }
    assert_number_refused(good, 0, 0, 2.0, "library_functions"); /* the mean is 1 */
    assert_number_refused(good, 0, 5, 1e9, "library_functions");
    assert_number_refused(good, 1, 0, 1e5, "library_level");
    assert_number_refused(good, 2, 9, -1.0, "library_hardware"); /* of the first that has a sheet */
    {
        struct calibration_prior *out = NULL;
        struct error err = {0};
        assert_error(calibration_prior_load(&space_fbnetv3, good, n, &out, &err), ERR_INVALID, &err,
                     "library_functions");
        good[0].shape[0] = LIBRARY_MAX_DEVICES + 1;
        assert_error(calibration_prior_load(&space_nasbench201, good, n, &out, &err), ERR_INVALID,
                     &err, "1 to 64 rows");
    }
    calibration_prior_destroy(prior);
}

static enum err learn_once(void *context, struct error *err)
{
    struct calibration_prior *prior = NULL;
    struct calibration_prior *loaded = NULL;
    struct tensor tensors[CALIBRATION_PRIOR_N_TENSORS];
    double latency_ms;
    enum err rc = calibration_prior_fit(&space_nasbench201, made.devices, 2, NULL, &prior, err);

    (void)context;
    if (rc == ERR_OK) {
        rc = calibration_prior_load(&space_nasbench201, tensors,
                                    calibration_prior_tensors(prior, tensors), &loaded, err);
    }
    if (rc == ERR_OK) {
        rc = calibration_prior_predict(loaded, NULL, made.genes[0], 1, &latency_ms, NULL, err);
    }
    calibration_prior_destroy(prior);
    calibration_prior_destroy(loaded);
    return rc;
}

static enum err evaluate_once(void *context, struct error *err)
{
    struct library_figures figures[2];

    (void)context;
    return library_evaluate(&space_nasbench201, NULL, made.devices, 2, 1, 1, NULL, figures, err);
}

static enum err load_once(void *context, struct error *err)
{
    struct calibration_prior *prior = NULL;
    enum err rc = calibration_prior_load(&space_nasbench201, context, CALIBRATION_PRIOR_N_TENSORS,
                                         &prior, err);

    calibration_prior_destroy(prior);
    return rc;
}

static enum err predict_once(void *context, struct error *err)
{
    double latency_ms[3];

    return calibration_prior_predict(context, NULL, made.devices[0].genes, 3, latency_ms, NULL,
                                     err);
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    const struct calibration_prior *shipped = calibration_prior_shipped(&space_nasbench201);
    struct tensor tensors[CALIBRATION_PRIOR_N_TENSORS];
    (void)state;
    make_devices();
    (void)calibration_prior_tensors(shipped, tensors);
    fail_each_allocation(load_once, tensors);
    fail_each_allocation(predict_once, (void *)shipped);
    made.devices[0].n = made.devices[1].n = 21; /* two sizes are tried, and quickly */
    fail_each_allocation(learn_once, NULL);
    fail_each_allocation(evaluate_once, NULL);
}

static void a_single_device_is_evaluated_without_others(void **state)
{
    struct library_figures figures;
    struct error err = {0};
    (void)state;
    make_devices();
    assert_ok(
        library_evaluate(&space_nasbench201, NULL, made.devices, 1, 2, 1, NULL, &figures, &err),
        &err);
    assert_true(isnan(figures.at[0].spearman));
    assert_at_least(figures.at[3].spearman, 0.9);
    assert_at_least(figures.at[3].r, 0.9);
}

/* ---- the measured data ----------------------------------------------------------------------- */

/* Measurements, and the Spearman that they are to give: of the phones, and of all nine. */
static const struct {
    size_t at; /* in library_sizes */
    double phones, all;
} promises[] = {
    {0, .80, .85 },
    {1, .90, .935},
    {2, .90, .95 },
    {3, .94, .96 },
};

static void devices_that_the_library_lacks_are_ordered_as_promised(void **state)
{
    struct space_data space;
    struct device_data devices[N_LIBRARY];
    struct library_device list[N_LIBRARY];
    struct library_figures figures[N_LIBRARY];
    struct error err = {0};
    (void)state;
    (void)shared_path("data/library/nasbench201/pixel3.csv");
    assert_ok(load_space("nasbench201", &space, &err), &err);
    assert_ok(load_library(space.predictor, devices, &err), &err);
    for (size_t d = 0; d < N_LIBRARY; d++) {
        list[d] = (struct library_device){devices[d].name, devices[d].genes, devices[d].latency_ms,
                                          devices[d].n,
                                          devices[d].has_hardware ? &devices[d].hardware : NULL};
    }
    assert_ok(library_evaluate(&space_nasbench201, space.predictor, list, N_LIBRARY,
                               IS_SANITIZED ? 2 : 20, 1, NULL, figures, &err),
              &err);
    for (size_t p = 0; p < COUNT_OF(promises); p++) {
        const double slack = IS_SANITIZED ? 0.02 : 0.0;
        double all = 0.0;
        double phones = 0.0;
        for (size_t d = 0; d < N_LIBRARY; d++) {
            all += figures[d].at[promises[p].at].spearman / N_LIBRARY;
            phones += devices[d].has_hardware ? figures[d].at[promises[p].at].spearman / 4 : 0.0;
        }
        print_message("%zu measurements: Spearman %.4f, phones %.4f\n",
                      library_sizes[promises[p].at], all, phones);
        assert_at_least(all, promises[p].all - slack);
        assert_at_least(phones, promises[p].phones - slack);
    }
    for (size_t d = 0; d < N_LIBRARY; d++) {
        close_measured(&devices[d]);
    }
    close_space(&space);
}

static void the_shipped_prior_is_what_the_nine_devices_teach(void **state)
{
    const struct calibration_prior *shipped = calibration_prior_shipped(&space_nasbench201);
    struct space_data space;
    struct device_data devices[N_LIBRARY];
    struct calibration_prior *learned = NULL;
    struct error err = {0};
    (void)state;
    assert_null(calibration_prior_shipped(&space_fbnetv3));
    (void)shared_path("data/library/nasbench201/pixel3.csv");
    assert_ok(load_space("nasbench201", &space, &err), &err);
    assert_ok(load_library(space.predictor, devices, &err), &err);
    assert_ok(learn_library(devices, N_LIBRARY, N_LIBRARY, &learned, &err), &err);
    assert_int_equal(shipped->n_devices, learned->n_devices);
    assert_int_equal(shipped->n_coefficients, learned->n_coefficients);
    for (size_t i = 0; i < learned->n_devices * learned->n_coefficients; i++) {
        assert_near(shipped->functions[i], learned->functions[i], 1e-4);
    }
    for (size_t d = 0; d < learned->n_devices; d++) {
        assert_near(shipped->level[d], learned->level[d], 1e-3);
    }
    calibration_prior_destroy(learned);
    for (size_t d = 0; d < N_LIBRARY; d++) {
        close_measured(&devices[d]);
    }
    close_space(&space);
}

#define prior_test(name) cmocka_unit_test_setup_teardown(name, start, check_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        prior_test(a_device_between_others_is_predicted_with_few_measurements),
        prior_test(the_level_of_a_device_follows_from_its_sheet),
        prior_test(libraries_that_are_none_are_refused),
        prior_test(latencies_that_no_file_could_tell_of_are_not_learned),
        prior_test(any_size_of_library_and_device_is_learned),
        prior_test(learning_and_evaluating_can_be_stopped_everywhere),
        prior_test(tensors_give_the_same_prior),
        prior_test(malformed_tensors_are_refused_by_name),
        prior_test(running_out_of_memory_is_told_and_leaks_nothing),
        prior_test(a_single_device_is_evaluated_without_others),
        prior_test(devices_that_the_library_lacks_are_ordered_as_promised),
        prior_test(the_shipped_prior_is_what_the_nine_devices_teach),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* core/predictor_cost.h: the fit, what it survives, its weights, and on the measured data the
 * figures that the project promises. */
#include "core/dataset.h"
#include "core/device.h"
#include "core/matrix.h"
#include "core/metrics.h"
#include "core/predictor_cost.h"
#include "core/rng.h"
#include "core/table.h"
#include "tests/support/check.h"

enum { MOST_ROWS = 5000 };

/* What a start from other values leaves after a fixed number of updates, relative to A. */
#define NO_SAY 1e-5

static const struct fit_options options = {.seed = 0};

/* Random architectures and a made-up truth: the nominal cost with a twist and noise. */
struct rows {
    const struct space *space;
    size_t n;
    int32_t genes[MOST_ROWS * 28];
    double a[MOST_ROWS];
};

static struct rows rows;

/* Noise of deviation `noise` in log A, and a bend that the predictor has to learn. */
static void make_rows(const struct space *space, size_t n, double noise, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    rows.space = space;
    rows.n = n;
    for (size_t i = 0; i < n; i++) {
        int32_t *genes = rows.genes + i * space->n_genes;
        double features[SPACE_MAX_FEATURES];
        double nominal;
        double z = -6.0;
        for (size_t g = 0; g < space->n_genes; g++) {
            const struct gene *gene = &space->genes[g];
            genes[g] = gene->first + gene->step * (int32_t)rng_below(&rng, (size_t)gene->n_values);
        }
        space->features->compute(space, genes, &nominal, features);
        for (size_t k = 0; k < 12; k++) {
            z += rng_uniform(&rng);
        }
        rows.a[i] = 3.0 * exp(nominal + 0.05 * (double)(genes[0] + genes[3]) + noise * z);
    }
}

static struct predictor *fit(size_t n)
{
    struct predictor *predictor = NULL;
    struct error err = {0};

    assert_ok(predictor_fit(&predictor_kind_cost, rows.space, rows.genes, rows.a, n, &options,
                            &predictor, NULL, &err),
              &err);
    return predictor;
}

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

/* ---- weights --------------------------------------------------------------------------------- */

static void assert_same_weights(const struct predictor *p, const struct predictor *q)
{
    struct tensor a[PREDICTOR_MAX_TENSORS];
    struct tensor b[PREDICTOR_MAX_TENSORS];
    size_t n = p->kind->weights(p, a);

    assert_int_equal(q->kind->weights(q, b), n);
    assert_true(n > 0);
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        assert_true(tensor_count(&a[i], &count) && count > 0);
        assert_string_equal(a[i].name, b[i].name);
        assert_memory_equal(a[i].data, b[i].data, count * tensor_type_bytes(a[i].type));
    }
}

static void two_fits_of_the_same_rows_have_the_same_bytes(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct predictor *p;
        struct predictor *q;
        make_rows(*s, 300, 0.05, 1);
        p = fit(300);
        q = fit(300);
        assert_same_weights(p, q);
        predictor_destroy(p);
        predictor_destroy(q);
    }
}

static void loaded_weights_predict_the_same(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct tensor tensors[PREDICTOR_MAX_TENSORS];
        struct predictor *loaded = NULL;
        struct predictor *fitted;
        double predictions[4][200];
        struct error err = {0};
        size_t n;
        make_rows(*s, 200, 0.05, 2);
        fitted = fit(200);
        n = fitted->kind->weights(fitted, tensors);
        assert_ok(predictor_kind_cost.load(*s, tensors, n, &loaded, &err), &err);
        assert_same_weights(fitted, loaded);
        assert_ok(predictor_predict(fitted, rows.genes, 200, predictions[0], predictions[1], &err),
                  &err);
        assert_ok(predictor_predict(loaded, rows.genes, 200, predictions[2], predictions[3], &err),
                  &err);
        assert_memory_equal(predictions[0], predictions[2], 2 * sizeof predictions[0]);
        predictor_destroy(fitted);
        predictor_destroy(loaded);
    }
}

/* From the exported weights alone: log A = log c + [1, features] . coefficients, and its variance
 * noise^2 + |uncertainty [1, features]|^2, of which the table and the direct path must both be. */
static void predictions_follow_from_the_weights(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        const size_t p = 1 + (*s)->features->n_features;
        static double root[(SPACE_MAX_FEATURES + 1) * (SPACE_MAX_FEATURES + 1)];
        struct tensor tensors[PREDICTOR_MAX_TENSORS];
        double coefficients[SPACE_MAX_FEATURES + 1];
        double noise;
        struct predictor *predictor;
        size_t n;
        make_rows(*s, 400, 0.05, 3);
        predictor = fit(300); /* the last hundred rows were never seen */
        n = predictor->kind->weights(predictor, tensors);
        assert_int_equal(tensor_read(tensors, n, "coefficients", p, coefficients, NULL), ERR_OK);
        assert_int_equal(tensor_read(tensors, n, "uncertainty", p * p, root, NULL), ERR_OK);
        assert_int_equal(tensor_read(tensors, n, "noise_scale", 1, &noise, NULL), ERR_OK);
        for (size_t i = 0; i < 400; i++) {
            const int32_t *genes = rows.genes + i * (*s)->n_genes;
            double phi[SPACE_MAX_FEATURES + 1] = {1.0};
            double log_a;
            double variance = noise * noise;
            double a;
            double sd;
            double alone;
            (*s)->features->compute(*s, genes, &log_a, phi + 1);
            for (size_t j = 0; j < p; j++) {
                double sum = 0;
                for (size_t k = 0; k <= j; k++) {
                    sum += root[j * p + k] * phi[k];
                }
                variance += sum * sum;
                log_a += coefficients[j] * phi[j];
            }
            assert_int_equal(predictor_predict(predictor, genes, 1, &a, &sd, NULL), ERR_OK);
            assert_int_equal(predictor_predict(predictor, genes, 1, &alone, NULL, NULL), ERR_OK);
            assert_near_relative(a, exp(log_a), 1e-9);
            assert_near_relative(sd, exp(log_a) * sqrt(2.0 * variance), 1e-7);
            assert_true(alone == a);
        }
        predictor_destroy(predictor);
    }
}

static void weights_that_fit_the_space_not_are_refused(void **state)
{
    struct tensor good[PREDICTOR_MAX_TENSORS];
    struct predictor *predictor;
    size_t n;
    double not_a_number = NAN;
    (void)state;
    make_rows(&space_fbnetv3, 50, 0.05, 4);
    predictor = fit(50);
    n = predictor->kind->weights(predictor, good);
    for (size_t i = 0; i < n; i++) {
        struct tensor bad[PREDICTOR_MAX_TENSORS];
        struct predictor *out = NULL;
        struct error err = {0};
        memcpy(bad, good, sizeof bad);
        bad[i].name[0] = 'X'; /* missing */
        assert_error(predictor_kind_cost.load(&space_fbnetv3, bad, n, &out, &err), ERR_INVALID,
                     &err, good[i].name);
        memcpy(bad, good, sizeof bad);
        bad[i].shape[0]++;
        assert_error(predictor_kind_cost.load(&space_fbnetv3, bad, n, &out, &err), ERR_INVALID,
                     &err, good[i].name);
        memcpy(bad, good, sizeof bad);
        bad[i].type = TENSOR_I64;
        assert_error(predictor_kind_cost.load(&space_fbnetv3, bad, n, &out, &err), ERR_INVALID,
                     &err, good[i].name);
        assert_int_equal(predictor_kind_cost.load(&space_nasbench201, good, n, &out, &err),
                         ERR_INVALID);
        assert_null(out);
        if (strcmp(good[i].name, "noise_scale") == 0) {
            memcpy(bad, good, sizeof bad);
            bad[i].data = &not_a_number;
            assert_error(predictor_kind_cost.load(&space_fbnetv3, bad, n, &out, &err), ERR_INVALID,
                         &err, "not finite");
        }
    }
    predictor_destroy(predictor);
}

/* The deviations of a space that is numbered are made when somebody asks: they are bounded before. */
static void deviations_that_are_not_finite_are_refused(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        const size_t p = 1 + (*s)->features->n_features;
        struct tensor tensors[PREDICTOR_MAX_TENSORS];
        double *huge = mem_calloc(p * p, sizeof *huge);
        struct predictor *predictor;
        struct predictor *out = NULL;
        struct error err = {0};
        double a, sd;
        size_t n;
        enum err rc;
        make_rows(*s, 50, 0.05, 4);
        predictor = fit(50);
        n = predictor->kind->weights(predictor, tensors);
        for (size_t j = 0; j < p * p; j++) {
            huge[j] = 1e300;
        }
        assert_string_equal(tensors[1].name, "uncertainty");
        tensors[1].data = huge;
        rc = predictor_kind_cost.load(*s, tensors, n, &out, &err);
        if (rc == ERR_OK) {
            rc = predictor_predict(out, rows.genes, 1, &a, &sd, &err);
        }
        assert_error(rc, ERR_NUMERIC, &err, "no finite");
        predictor_destroy(out);
        predictor_destroy(predictor);
        mem_free(huge);
    }
}

static void weights_that_give_no_finite_a_are_refused_or_fail_to_predict(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct tensor tensors[PREDICTOR_MAX_TENSORS];
        double huge[SPACE_MAX_FEATURES + 1];
        struct predictor *predictor;
        struct predictor *out = NULL;
        struct error err = {0};
        double a;
        double sd;
        size_t n;
        enum err rc;
        make_rows(*s, 50, 0.05, 4);
        predictor = fit(50);
        n = predictor->kind->weights(predictor, tensors);
        for (size_t j = 0; j <= (*s)->features->n_features; j++) {
            huge[j] = 1e300;
        }
        assert_string_equal(tensors[0].name, "coefficients");
        tensors[0].data = huge;
        rc = predictor_kind_cost.load(*s, tensors, n, &out, &err);
        if (rc == ERR_OK) {
            rc = predictor_predict(out, rows.genes, 1, &a, &sd, &err);
        }
        assert_error(rc, ERR_NUMERIC, &err, "no finite A");
        predictor_destroy(out);
        predictor_destroy(predictor);
    }
}

/* ---- few, many and odd rows ------------------------------------------------------------------ */

static void assert_finite_everywhere(const struct predictor *predictor)
{
    struct rng rng;

    rng_init(&rng, 9);
    for (size_t i = 0; i < 500; i++) {
        int32_t genes[28];
        double a = 0;
        double sd = 0;
        struct error err = {0};
        for (size_t g = 0; g < rows.space->n_genes; g++) {
            const struct gene *gene = &rows.space->genes[g];
            genes[g] = gene->first + gene->step * (int32_t)rng_below(&rng, (size_t)gene->n_values);
        }
        assert_ok(predictor_predict(predictor, genes, 1, &a, &sd, &err), &err);
        if (!(isfinite(a) && a > 0 && isfinite(sd) && sd > 0)) {
            fail_msg("a prediction is %g +- %g", a, sd);
        }
    }
}

static void any_number_of_rows_gives_a_finite_model(void **state)
{
    static const size_t numbers[] = {1, 2, 10, 5000};
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        make_rows(*s, MOST_ROWS, 0.05, 5);
        for (size_t i = 0; i < COUNT_OF(numbers); i++) {
            struct predictor *predictor = fit(numbers[i]);
            double a;
            double sd;
            assert_finite_everywhere(predictor);
            assert_int_equal(predictor_predict(predictor, rows.genes, 1, &a, &sd, NULL), ERR_OK);
            assert_near_relative(a, rows.a[0], 0.5); /* even one row sets the level */
            predictor_destroy(predictor);
        }
    }
}

static void rows_that_are_all_alike_give_a_finite_model(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct predictor *predictor;
        double a;
        make_rows(*s, 200, 0.05, 6);
        for (size_t i = 1; i < 200; i++) {
            memcpy(rows.genes + i * (*s)->n_genes, rows.genes, (*s)->n_genes * sizeof *rows.genes);
            rows.a[i] = rows.a[0];
        }
        predictor = fit(200);
        assert_finite_everywhere(predictor);
        assert_int_equal(predictor_predict(predictor, rows.genes, 1, &a, NULL, NULL), ERR_OK);
        assert_near_relative(a, rows.a[0], 0.02);
        predictor_destroy(predictor);
    }
}

static void extreme_values_of_a_give_a_finite_model(void **state)
{
    static const double values[][2] = {
        {5000,  5000 },
        {1e-12, 1e-12},
        {1e12,  1e12 },
        {1e-6,  1e6  },
    };
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        for (size_t v = 0; v < COUNT_OF(values); v++) {
            struct predictor *predictor;
            make_rows(*s, 100, 0.05, 7);
            for (size_t i = 0; i < 100; i++) {
                rows.a[i] = values[v][i % 2];
            }
            predictor = fit(100);
            assert_finite_everywhere(predictor);
            predictor_destroy(predictor);
        }
    }
}

static void no_rows_and_too_many_are_refused(void **state)
{
    struct predictor *out = NULL;
    struct error err = {0};
    (void)state;
    make_rows(&space_fbnetv3, 1, 0.05, 8);
    assert_error(predictor_fit(&predictor_kind_cost, &space_fbnetv3, rows.genes, rows.a, 0,
                               &options, &out, NULL, &err),
                 ERR_INVALID, &err, "not 0");
    assert_error(predictor_fit(&predictor_kind_cost, &space_fbnetv3, rows.genes, rows.a,
                               COST_FIT_MAX_ROWS + 1, &options, &out, NULL, &err),
                 ERR_INVALID, &err, "not 200001");
    assert_null(out);
}

static enum err fit_once(void *context, struct error *err)
{
    struct predictor *predictor = NULL;
    struct fit_report report = {0};
    enum err rc = predictor_fit(&predictor_kind_cost, context, rows.genes, rows.a, 20, &options,
                                &predictor, &report, err);

    predictor_destroy(predictor);
    fit_report_close(&report);
    return rc;
}

static enum err validate_once(void *context, struct error *err)
{
    static const size_t fold[20] = {0, 1, 0, 1, 0, 1};
    double predicted[20];

    return predictor_cross_validate(&predictor_kind_cost, context, rows.genes, rows.a, 20, fold, 2,
                                    &options, predicted, NULL, err);
}

static enum err load_once(void *context, struct error *err)
{
    const struct predictor *fitted = context;
    struct tensor tensors[PREDICTOR_MAX_TENSORS];
    struct predictor *predictor = NULL;
    enum err rc = predictor_kind_cost.load(fitted->space, tensors,
                                           fitted->kind->weights(fitted, tensors), &predictor, err);

    predictor_destroy(predictor);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct predictor *predictor;
        make_rows(*s, 20, 0.05, 9);
        fail_each_allocation(fit_once, (void *)*s);
        fail_each_allocation(validate_once, (void *)*s);
        predictor = fit(20);
        fail_each_allocation(load_once, predictor);
        predictor_destroy(predictor);
    }
}

static void kinds_are_found_by_name(void **state)
{
    (void)state;
    assert_ptr_equal(predictor_kind_find("cost"), &predictor_kind_cost);
    assert_null(predictor_kind_find("Cost"));
    assert_null(predictor_kind_find(""));
    predictor_destroy(NULL);
}

/* ---- what it learns -------------------------------------------------------------------------- */

static void held_out_rows_are_predicted_by_a_model_without_them(void **state)
{
    size_t fold[60];
    double predicted[60];
    double expected[60];
    double sd[60];
    int32_t genes[30 * 28];
    double a[30];
    struct predictor *predictor = NULL;
    (void)state;
    make_rows(&space_fbnetv3, 60, 0.05, 10);
    for (size_t i = 0; i < 60; i++) {
        fold[i] = i % 2;
    }
    for (size_t i = 0; i < 30; i++) { /* the odd rows, which the even ones must be predicted from */
        memcpy(genes + i * 28, rows.genes + (2 * i + 1) * 28, 28 * sizeof *genes);
        a[i] = rows.a[2 * i + 1];
    }
    assert_int_equal(predictor_cross_validate(&predictor_kind_cost, &space_fbnetv3, rows.genes,
                                              rows.a, 60, fold, 2, &options, predicted, sd, NULL),
                     ERR_OK);
    assert_int_equal(predictor_fit(&predictor_kind_cost, &space_fbnetv3, genes, a, 30, &options,
                                   &predictor, NULL, NULL),
                     ERR_OK);
    assert_int_equal(predictor_predict(predictor, rows.genes, 60, expected, NULL, NULL), ERR_OK);
    for (size_t i = 0; i < 60; i += 2) {
        assert_true(predicted[i] == expected[i] && sd[i] > 0);
    }
    predictor_destroy(predictor);
}

struct stop {
    size_t at, n_calls;
    double percent;
};

static bool stop_at_call(void *context, const struct fit_progress *progress)
{
    struct stop *stop = context;

    assert_true(progress->percent >= stop->percent && progress->percent <= 100.0);
    assert_string_equal(progress->stage, "validating");
    stop->percent = progress->percent;
    return ++stop->n_calls != stop->at;
}

static void a_cross_validation_can_be_stopped_everywhere(void **state)
{
    enum { N = 20 };
    struct stop stop = {0};
    const struct fit_hooks hooks = {.context = &stop, .progress = stop_at_call};
    struct fit_options told_options = {.hooks = &hooks};
    size_t fold[N];
    double plain[N];
    double told[N];
    enum err rc = ERR_CANCELED;

    (void)state;
    make_rows(&space_nasbench201, N, 0.05, 12);
    for (size_t i = 0; i < N; i++) {
        fold[i] = i % 2;
    }
    assert_ok(predictor_cross_validate(&predictor_kind_cost, &space_nasbench201, rows.genes, rows.a,
                                       N, fold, 2, &options, plain, NULL, NULL),
              NULL);
    for (size_t at = 1; rc == ERR_CANCELED; at++) {
        struct error err = {0};
        stop = (struct stop){.at = at};
        rc = predictor_cross_validate(&predictor_kind_cost, &space_nasbench201, rows.genes, rows.a,
                                      N, fold, 2, &told_options, told, NULL, &err);
        assert_true(rc == ERR_OK || (rc == ERR_CANCELED && stop.n_calls == at));
    }
    assert_int_equal(rc, ERR_OK);
    assert_true(stop.n_calls > 20 && stop.percent >= 90.0);
    assert_memory_equal(plain, told, sizeof plain);
}

/* The standard deviation of a t with 4 degrees of freedom is sqrt(2) scales; on nearly normal noise
 * it is somewhat too wide, never too narrow. */
static void the_standard_deviation_covers_what_it_should(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        enum { N_FIT = 400, N_NEW = 1000 };
        static double a[N_NEW];
        static double sd[N_NEW];
        struct predictor *predictor;
        size_t within_one = 0;
        size_t within_two = 0;
        make_rows(*s, N_FIT + N_NEW, 0.05, 11);
        predictor = fit(N_FIT);
        assert_int_equal(
            predictor_predict(predictor, rows.genes + N_FIT * (*s)->n_genes, N_NEW, a, sd, NULL),
            ERR_OK);
        for (size_t i = 0; i < N_NEW; i++) {
            double off = fabs(rows.a[N_FIT + i] - a[i]) / sd[i];
            assert_true(sd[i] > 0);
            within_one += off <= 1.0 ? 1 : 0;
            within_two += off <= 2.0 ? 1 : 0;
        }
        assert_in_range(within_one, 600, 900);
        assert_in_range(within_two, 930, 1000);
        predictor_destroy(predictor);
    }
}

static void wild_rows_are_distrusted_and_no_others(void **state)
{
    static const size_t wild[] = {7, 50, 199};
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct fit_report report = {0};
        struct predictor *predictor = NULL;
        struct error err = {0};
        make_rows(*s, 300, 0.03, 12);
        for (size_t w = 0; w < COUNT_OF(wild); w++) {
            rows.a[wild[w]] *= w % 2 == 0 ? 10.0 : 0.1;
        }
        assert_ok(predictor_fit(&predictor_kind_cost, *s, rows.genes, rows.a, 300, &options,
                                &predictor, &report, &err),
                  &err);
        assert_int_equal(report.n_distrusted, COUNT_OF(wild));
        assert_memory_equal(report.distrusted, wild, sizeof wild);
        assert_in_range((uintmax_t)(1000 * report.noise_scale), 10, 50);
        fit_report_close(&report);
        predictor_destroy(predictor);
    }
}

/* Wild rows at the end, so that the fit without them is one of the rows before. */
static void distrusted_rows_have_no_say(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        static double a[2][300];
        struct predictor *with;
        struct predictor *without;
        make_rows(*s, 303, 0.03, 13);
        for (size_t i = 300; i < 303; i++) {
            rows.a[i] *= 30.0;
        }
        with = fit(303);
        without = fit(300);
        assert_int_equal(predictor_predict(with, rows.genes, 300, a[0], NULL, NULL), ERR_OK);
        assert_int_equal(predictor_predict(without, rows.genes, 300, a[1], NULL, NULL), ERR_OK);
        for (size_t i = 0; i < 300; i++) {
            assert_near_relative(a[0][i], a[1][i], NO_SAY);
        }
        predictor_destroy(with);
        predictor_destroy(without);
    }
}

/* ---- measured data --------------------------------------------------------------------------- */

/* A space with its rows whose A is corrupt (counted from 0), and the promised R. */
static const struct promise {
    const struct space *space;
    const char *directory;
    size_t corrupt[2];
    size_t n_corrupt;
    double r;
} promises[] = {
    {&space_nasbench201, "data/dgl/nasbench201", {120, 375}, 2, .982},
    {&space_fbnetv3,     "data/dgl/fbnetv3",     {0, 0},     0, .976},
};

static void load_measured(const struct promise *promise)
{
    struct dataset set = {0};
    double *a = NULL;
    char name[128];
    struct error err = {0};

    (void)snprintf(name, sizeof name, "%s/net.txt", promise->directory);
    assert_ok(dataset_load(promise->space, shared_path(name), &set, &err), &err);
    (void)snprintf(name, sizeof name, "%s/a.txt", promise->directory);
    assert_ok(table_read_positive(shared_path(name), set.n_rows, &a, NULL, &err), &err);
    rows.space = promise->space;
    rows.n = set.n_rows;
    memcpy(rows.genes, set.genes, set.n_rows * promise->space->n_genes * sizeof *set.genes);
    memcpy(rows.a, a, set.n_rows * sizeof *a);
    dataset_close(&set);
    mem_free(a);
}

static bool is_corrupt(const struct promise *promise, size_t row)
{
    for (size_t i = 0; i < promise->n_corrupt; i++) {
        if (promise->corrupt[i] == row) {
            return true;
        }
    }
    return false;
}

static void predict_held_out(const double *a, uint64_t seed, size_t n_folds, double *predicted)
{
    static size_t fold[MOST_ROWS];
    struct error err = {0};

    assert_ok(dataset_fold(rows.space, rows.genes, rows.n, n_folds, seed, fold, &err), &err);
    assert_ok(predictor_cross_validate(&predictor_kind_cost, rows.space, rows.genes, a, rows.n,
                                       fold, n_folds, &options, predicted, NULL, &err),
              &err);
}

/* R of held-out predictions against the uncorrupted A, the corrupt rows not scored. */
static double held_out_r(const struct promise *promise, const double *a, uint64_t seed,
                         size_t n_folds)
{
    static double predicted[MOST_ROWS];
    static double measured[MOST_ROWS];
    size_t n = 0;

    predict_held_out(a, seed, n_folds, predicted);
    for (size_t i = 0; i < rows.n; i++) {
        if (!is_corrupt(promise, i)) {
            predicted[n] = predicted[i];
            measured[n++] = rows.a[i];
        }
    }
    return metrics_pearson(predicted, measured, n);
}

static void held_out_architectures_are_predicted_as_promised(void **state)
{
    (void)state;
    for (size_t p = 0; p < COUNT_OF(promises); p++) {
        load_measured(&promises[p]);
        for (uint64_t seed = 0; seed < (IS_SANITIZED ? 1 : 5); seed++) {
            assert_at_least(held_out_r(&promises[p], rows.a, seed, 10), promises[p].r);
        }
    }
}

static void corrupt_rows_are_distrusted_and_few_others(void **state)
{
    (void)state;
    for (size_t p = 0; p < COUNT_OF(promises); p++) {
        struct fit_report report = {0};
        struct predictor *predictor = NULL;
        struct error err = {0};
        size_t n_found = 0;
        load_measured(&promises[p]);
        assert_ok(predictor_fit(&predictor_kind_cost, rows.space, rows.genes, rows.a, rows.n,
                                &options, &predictor, &report, &err),
                  &err);
        for (size_t i = 0; i < report.n_distrusted; i++) {
            assert_true(i == 0 || report.distrusted[i] > report.distrusted[i - 1]);
            n_found += is_corrupt(&promises[p], report.distrusted[i]) ? 1 : 0;
        }
        assert_int_equal(n_found, promises[p].n_corrupt);
        assert_true(report.n_distrusted - n_found <= rows.n / 50);
        fit_report_close(&report);
        predictor_destroy(predictor);
    }
}

/* 2 % of all rows times or divided by ten. */
static void corrupt_at_random(uint64_t seed, double *a)
{
    static size_t order[MOST_ROWS];
    struct rng rng;

    rng_init(&rng, 1000 + seed);
    for (size_t i = 0; i < rows.n; i++) {
        order[i] = i;
        a[i] = rows.a[i];
    }
    rng_shuffle(&rng, order, rows.n);
    for (size_t i = 0; i < rows.n / 50; i++) {
        a[order[i]] *= rng_u64(&rng) % 2 == 0 ? 10.0 : 0.1;
    }
}

static void two_percent_of_corrupt_rows_cost_less_than_a_hundredth_of_r(void **state)
{
    const uint64_t n_seeds = IS_SANITIZED ? 2 : 20;
    static double a[MOST_ROWS];
    (void)state;
    for (size_t p = 0; p < COUNT_OF(promises); p++) {
        double fall = 0;
        load_measured(&promises[p]);
        for (uint64_t seed = 0; seed < n_seeds; seed++) {
            double clean = held_out_r(&promises[p], rows.a, seed, IS_SANITIZED ? 5 : 10);
            corrupt_at_random(seed, a);
            fall += (clean - held_out_r(&promises[p], a, seed, IS_SANITIZED ? 5 : 10)) /
                    (double)n_seeds;
        }
        assert_at_most(fall, 0.01);
    }
}

/* An unseen device, its hardware vector, and the promised figures: R at least, RMSE at most. */
static const struct {
    size_t promise;
    const char *device;
    double r, rmse_ms;
} unseen[] = {
    {0, "Huawei Mate 20",      .963, 53  },
    {0, "Samsung Galaxy A10s", .971, 296 },
    {0, "Xiaomi Redmi 5 Plus", .984, 382 },
    {0, "Sony Xperia XZ2",     .962, 186 },
    {0, "Motorola Moto E6s",   .975, 235 },
    {1, "Asus ROG Phone 3",    .860, 11.5},
    {1, "Oppo A5",             .902, 75  },
    {1, "Xiaomi Mi 8 Lite",    .965, 28  },
    {1, "Samsung Galaxy S8+",  .926, 23  },
};

static void score_device(size_t at, const double *a)
{
    const struct promise *promise = &promises[unseen[at].promise];
    char name[128];
    double vector[HARDWARE_N_FIELDS];
    double *latency_ms = NULL;
    double predicted_ms[MOST_ROWS];
    struct hardware hw;
    struct metrics m;
    struct error err = {0};

    (void)snprintf(name, sizeof name, "%s/hardware/%s.txt", promise->directory, unseen[at].device);
    assert_ok(table_read_values(shared_path(name), HARDWARE_N_FIELDS, vector, NULL, &err), &err);
    (void)snprintf(name, sizeof name, "%s/latency/%s.txt", promise->directory, unseen[at].device);
    assert_ok(table_read_positive(shared_path(name), rows.n, &latency_ms, NULL, &err), &err);
    hw = hardware_from_vector(vector);
    for (size_t i = 0; i < rows.n; i++) {
        predicted_ms[i] = a[i] * hardware_factor(&hw);
    }
    assert_ok(metrics_compute(predicted_ms, latency_ms, rows.n, &m, &err), &err);
    mem_free(latency_ms);
    print_message("%s: R %.4f, RMSE %.4g ms\n", unseen[at].device, m.r, m.rmse);
    assert_at_least(m.r, unseen[at].r);
    assert_at_most(m.rmse, unseen[at].rmse_ms);
}

static void unseen_architectures_on_unseen_devices_are_predicted_as_promised(void **state)
{
    static double a[MOST_ROWS];
    size_t loaded = SIZE_MAX;
    (void)state;
    for (size_t at = 0; at < COUNT_OF(unseen); at++) {
        if (unseen[at].promise != loaded) {
            loaded = unseen[at].promise;
            load_measured(&promises[loaded]);
            predict_held_out(rows.a, 0, 10, a);
        }
        score_device(at, a);
    }
}

#define fit_test(name) cmocka_unit_test_setup_teardown(name, start, check_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fit_test(two_fits_of_the_same_rows_have_the_same_bytes),
        fit_test(loaded_weights_predict_the_same),
        fit_test(predictions_follow_from_the_weights),
        fit_test(weights_that_fit_the_space_not_are_refused),
        fit_test(weights_that_give_no_finite_a_are_refused_or_fail_to_predict),
        fit_test(deviations_that_are_not_finite_are_refused),
        fit_test(any_number_of_rows_gives_a_finite_model),
        fit_test(rows_that_are_all_alike_give_a_finite_model),
        fit_test(extreme_values_of_a_give_a_finite_model),
        fit_test(no_rows_and_too_many_are_refused),
        fit_test(running_out_of_memory_is_told_and_leaks_nothing),
        fit_test(kinds_are_found_by_name),
        fit_test(held_out_rows_are_predicted_by_a_model_without_them),
        fit_test(a_cross_validation_can_be_stopped_everywhere),
        fit_test(the_standard_deviation_covers_what_it_should),
        fit_test(wild_rows_are_distrusted_and_no_others),
        fit_test(distrusted_rows_have_no_say),
        fit_test(held_out_architectures_are_predicted_as_promised),
        fit_test(corrupt_rows_are_distrusted_and_few_others),
        fit_test(two_percent_of_corrupt_rows_cost_less_than_a_hundredth_of_r),
        fit_test(unseen_architectures_on_unseen_devices_are_predicted_as_promised),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

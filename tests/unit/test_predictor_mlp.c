/* The paper's predictor on synthetic data: reproducible, resumable, held out what it says. */
#include "core/matrix.h"
#include "core/predictor.h"
#include "core/random_layers.h"
#include "core/rng.h"
#include "tests/support/check.h"

enum { N_ROWS = 60, N_GENES = 6, N_EPOCHS = IS_SANITIZED ? 1500 : 2500 };

struct rows {
    int32_t genes[N_ROWS * N_GENES];
    double a[N_ROWS];
};

/* Random cells, every fifth a repetition, whose A follows the convolutions in them. */
static void make_rows(struct rows *rows)
{
    struct rng rng;

    rng_init(&rng, 11);
    for (size_t i = 0; i < N_ROWS; i++) {
        int32_t *genes = rows->genes + i * N_GENES;
        rows->a[i] = 1500.0;
        for (size_t g = 0; g < N_GENES; g++) {
            genes[g] = i % 5 == 4 ? genes[g - N_GENES] : 1 + (int32_t)rng_below(&rng, 5);
            rows->a[i] += genes[g] == 4 ? 2600.0 : 150.0 * genes[g];
        }
    }
}

static const struct fit_options base_options = {
    .seed = 3,
    .n_epochs = N_EPOCHS,
    .learning_rate = 0.1,
    .held_out_share = 0.2,
};

static enum err fit(const struct rows *rows, const struct fit_options *options,
                    struct predictor **out, struct fit_report *report, struct error *err)
{
    return predictor_fit(&predictor_kind_mlp, &space_nasbench201, rows->genes, rows->a, N_ROWS,
                         options, out, report, err);
}

static void predict(const struct predictor *predictor, const struct rows *rows, double *a)
{
    assert_ok(predictor_predict(predictor, rows->genes, N_ROWS, a, NULL, NULL), NULL);
}

static void assert_same_weights(const struct predictor *p, const struct predictor *q)
{
    struct tensor x[PREDICTOR_MAX_TENSORS];
    struct tensor y[PREDICTOR_MAX_TENSORS];
    size_t n = p->kind->weights(p, x);

    assert_int_equal(q->kind->weights(q, y), n);
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        assert_true(tensor_count(&x[i], &count) && count > 0);
        assert_string_equal(x[i].name, y[i].name);
        assert_memory_equal(x[i].data, y[i].data, count * tensor_type_bytes(x[i].type));
    }
}

static void the_same_seed_gives_the_same_weights(void **state)
{
    struct rows rows;
    struct predictor *p = NULL;
    struct predictor *q = NULL;

    (void)state;
    make_rows(&rows);
    assert_ok(fit(&rows, &base_options, &p, NULL, NULL), NULL);
    assert_ok(fit(&rows, &base_options, &q, NULL, NULL), NULL);
    assert_same_weights(p, q);
    predictor_destroy(q);
    predictor_destroy(p);
}

static void weights_load_to_the_same_predictions(void **state)
{
    struct rows rows;
    struct predictor *p = NULL;
    struct predictor *q = NULL;
    struct tensor tensors[PREDICTOR_MAX_TENSORS];
    double x[N_ROWS];
    double y[N_ROWS];

    (void)state;
    make_rows(&rows);
    assert_ok(fit(&rows, &base_options, &p, NULL, NULL), NULL);
    assert_ok(p->kind->load(p->space, tensors, p->kind->weights(p, tensors), &q, NULL), NULL);
    predict(p, &rows, x);
    predict(q, &rows, y);
    assert_memory_equal(x, y, sizeof x);
    predictor_destroy(q);
    predictor_destroy(p);
}

static void missing_and_misshapen_weights_are_refused(void **state)
{
    struct rows rows;
    struct predictor *p = NULL;
    struct predictor *q = NULL;
    struct tensor tensors[PREDICTOR_MAX_TENSORS];
    struct fit_options options = base_options;
    size_t n;

    (void)state;
    make_rows(&rows);
    options.n_epochs = 1;
    assert_ok(fit(&rows, &options, &p, NULL, NULL), NULL);
    n = p->kind->weights(p, tensors);
    for (size_t i = 0; i < n; i++) {
        struct error err = {0};
        struct tensor kept = tensors[i];
        tensors[i].name[0] = '?';
        assert_error(p->kind->load(p->space, tensors, n, &q, &err), ERR_INVALID, &err, kept.name);
        tensors[i] = kept;
        tensors[i].shape[0] += 1;
        assert_error(p->kind->load(p->space, tensors, n, &q, &err), ERR_INVALID, &err, kept.name);
        tensors[i] = kept;
    }
    predictor_destroy(p);
}

/* The rows that are reported as held out are whole architectures, a fifth of them, and have had no
 * part in the weights: with other values of A there the weights are the same. */
static void held_out_rows_have_no_part_in_the_weights(void **state)
{
    struct rows rows;
    struct predictor *p = NULL;
    struct predictor *q = NULL;
    struct fit_report report = {0};
    double x[N_ROWS];
    double y[N_ROWS];

    (void)state;
    make_rows(&rows);
    assert_ok(fit(&rows, &base_options, &p, &report, NULL), NULL);
    assert_in_range(report.n_held_out, N_ROWS / 8, N_ROWS / 3);
    predict(p, &rows, x);
    for (size_t i = 0; i < report.n_held_out; i++) {
        assert_near_relative(report.held_out_a[i], x[report.held_out[i]], 1e-5);
        rows.a[report.held_out[i]] *= 3.0;
    }
    assert_ok(fit(&rows, &base_options, &q, NULL, NULL), NULL);
    predict(q, &rows, y);
    assert_memory_equal(x, y, sizeof x);
    for (size_t i = 4; i < N_ROWS; i += 5) { /* a repetition goes where its twin goes */
        assert_true((rows.a[i] > 1.5 * rows.a[i - 1]) == (rows.a[i - 1] > 1.5 * rows.a[i]));
    }
    fit_report_close(&report);
    predictor_destroy(q);
    predictor_destroy(p);
}

static void training_learns(void **state)
{
    struct rows rows;
    struct predictor *p = NULL;
    struct fit_options options = base_options;
    double x[N_ROWS];
    double error = 0.0;
    double spread = 0.0;

    (void)state;
    make_rows(&rows);
    options.held_out_share = 0.0;
    options.n_epochs = 4000;
    assert_ok(fit(&rows, &options, &p, NULL, NULL), NULL);
    predict(p, &rows, x);
    for (size_t i = 0; i < N_ROWS; i++) {
        error += fabs(x[i] - rows.a[i]) / N_ROWS;
        spread += fabs(rows.a[i] - 6000.0) / N_ROWS;
    }
    assert_at_most(error, 0.3 * spread);
    predictor_destroy(p);
}

/* Keeps the state of a checkpoint, and stops the fit some epochs later. */
struct interruption {
    size_t stop_at;
    int64_t epoch;
    double parameters[256 * 28 + 28 + 28 + 1];
    struct tensor state[2];
    size_t n_saved;
};

static bool stop_there(void *context, const struct fit_progress *progress)
{
    struct interruption *i = context;

    if (strcmp(progress->stage, "features") == 0) {
        assert_true(progress->n_epochs == 0 && progress->epoch == 0 && isnan(progress->loss));
        return true;
    }
    assert_true(progress->n_epochs == N_EPOCHS && isfinite(progress->loss));
    return progress->epoch != i->stop_at;
}

static enum err keep_state(void *context, const struct tensor *tensors, size_t n, struct error *err)
{
    struct interruption *i = context;

    (void)err;
    assert_int_equal(n, 2);
    memcpy(i->state, tensors, sizeof i->state);
    memcpy(&i->epoch, tensors[0].data, sizeof i->epoch);
    memcpy(i->parameters, tensors[1].data, sizeof i->parameters);
    assert_int_equal(tensors[1].shape[0], COUNT_OF(i->parameters));
    i->state[0].data = &i->epoch;
    i->state[1].data = i->parameters;
    i->n_saved++;
    return ERR_OK;
}

static void a_resumed_fit_ends_with_the_same_weights(void **state)
{
    static struct interruption interruption = {.stop_at = CHECKPOINT_EPOCHS + 77};
    struct fit_hooks hooks = {.context = &interruption, .progress = stop_there, .save = keep_state};
    struct fit_options options = base_options;
    struct rows rows;
    struct predictor *whole = NULL;
    struct predictor *resumed = NULL;
    struct error err = {0};

    (void)state;
    make_rows(&rows);
    assert_ok(fit(&rows, &options, &whole, NULL, NULL), NULL);
    options.hooks = &hooks;
    assert_error(fit(&rows, &options, &resumed, NULL, &err), ERR_CANCELED, &err, "epoch 1077");
    assert_int_equal(interruption.n_saved, 1);
    assert_int_equal(interruption.epoch, CHECKPOINT_EPOCHS);
    interruption.stop_at = 0;
    hooks.state = interruption.state;
    hooks.n_state = 2;
    assert_ok(fit(&rows, &options, &resumed, NULL, &err), &err);
    assert_same_weights(whole, resumed);
    predictor_destroy(resumed);
    predictor_destroy(whole);
}

static enum err refuse_state(void *context, const struct tensor *tensors, size_t n,
                             struct error *err)
{
    (void)context;
    (void)tensors;
    (void)n;
    return error_set(err, ERR_IO, "the disk is full");
}

/* Stops at the given call, and sees to it that what is told makes sense. */
struct stop {
    size_t at, n_calls, n_features; /* at 0: never */
    double percent;
};

static bool stop_at_call(void *context, const struct fit_progress *progress)
{
    struct stop *stop = context;

    assert_true(progress->percent >= stop->percent && progress->percent <= 100.0);
    stop->percent = progress->percent;
    stop->n_features += strcmp(progress->stage, "features") == 0 ? 1 : 0;
    return ++stop->n_calls != stop->at;
}

enum { FEW_EPOCHS = 3 };

static void a_fit_can_be_stopped_everywhere(void **state)
{
    struct rows rows;
    struct stop stop = {0};
    struct fit_hooks hooks = {.context = &stop, .progress = stop_at_call};
    struct fit_options options = base_options;
    struct predictor *plain = NULL;
    struct predictor *p = NULL;

    (void)state;
    make_rows(&rows);
    options.n_epochs = FEW_EPOCHS;
    assert_ok(fit(&rows, &options, &plain, NULL, NULL), NULL);
    options.hooks = &hooks;
    for (size_t at = 1;; at++) {
        struct error err = {0};
        enum err rc;
        stop = (struct stop){.at = at};
        rc = fit(&rows, &options, &p, NULL, &err);
        if (rc == ERR_OK) {
            break;
        }
        assert_error(rc, ERR_CANCELED, &err, "stopped");
        assert_true(p == NULL && stop.n_calls == at);
    }
    assert_int_equal(stop.n_features, 1 + RANDOM_N_LAYERS);
    assert_int_equal(stop.n_calls, stop.n_features + FEW_EPOCHS);
    assert_same_weights(plain, p);
    predictor_destroy(plain);
    predictor_destroy(p);
}

/* Each fold reports before its features, between their layers, its epochs and its predictions; what
 * is saved or resumed is none of the folds' business. */
static void a_cross_validation_can_be_stopped_everywhere(void **state)
{
    enum { N_FOLDS = 2, CALLS_A_FOLD = 1 + RANDOM_N_LAYERS + FEW_EPOCHS + 1 };
    struct rows rows;
    struct stop stop = {0};
    struct fit_hooks hooks = {.context = &stop, .progress = stop_at_call, .save = refuse_state};
    struct fit_options options = base_options;
    size_t fold[N_ROWS];
    double plain[N_ROWS];
    double told[N_ROWS];
    enum err rc = ERR_CANCELED;

    (void)state;
    make_rows(&rows);
    for (size_t i = 0; i < N_ROWS; i++) {
        fold[i] = i % N_FOLDS;
    }
    options.n_epochs = FEW_EPOCHS;
    assert_ok(predictor_cross_validate(&predictor_kind_mlp, &space_nasbench201, rows.genes, rows.a,
                                       N_ROWS, fold, N_FOLDS, &options, plain, NULL, NULL),
              NULL);
    options.hooks = &hooks;
    for (size_t at = 1; rc == ERR_CANCELED; at++) {
        struct error err = {0};
        stop = (struct stop){.at = at};
        rc = predictor_cross_validate(&predictor_kind_mlp, &space_nasbench201, rows.genes, rows.a,
                                      N_ROWS, fold, N_FOLDS, &options, told, NULL, &err);
        assert_true(rc == ERR_OK || (rc == ERR_CANCELED && stop.n_calls == at));
    }
    assert_int_equal(rc, ERR_OK);
    assert_int_equal(stop.n_calls, N_FOLDS * CALLS_A_FOLD);
    assert_int_equal(stop.n_features, 0);
    assert_at_least(stop.percent, 90.0);
    assert_memory_equal(plain, told, sizeof plain);
}

static void predictions_can_be_stopped_and_are_those_of_one_call(void **state)
{
    enum { N = 65 + 64 + 64 };
    struct rows rows;
    struct stop stop = {0};
    struct fit_hooks hooks = {.context = &stop, .progress = stop_at_call};
    struct fit_options options = base_options;
    struct predictor *p = NULL;
    int32_t genes[N * N_GENES];
    double whole[N];
    double whole_sd[N];
    double told[N];
    double sd[N];
    enum err rc = ERR_CANCELED;

    (void)state;
    make_rows(&rows);
    for (size_t i = 0; i < N; i++) {
        memcpy(genes + i * N_GENES, rows.genes + i % N_ROWS * N_GENES, N_GENES * sizeof *genes);
    }
    options.n_epochs = 1;
    assert_ok(fit(&rows, &options, &p, NULL, NULL), NULL);
    assert_ok(predictor_predict(p, genes, N, whole, whole_sd, NULL), NULL);
    for (size_t at = 1; rc == ERR_CANCELED; at++) {
        struct error err = {0};
        stop = (struct stop){.at = at};
        rc = predictor_predict_told(p, genes, N, &hooks, told, sd, &err);
        assert_true(rc == ERR_OK || (rc == ERR_CANCELED && stop.n_calls == at));
    }
    assert_int_equal(rc, ERR_OK);
    assert_int_equal(stop.n_calls, 3);
    for (size_t i = 0; i < N; i++) {
        assert_near_relative(told[i], whole[i], 1e-5);
    }
    assert_memory_equal(sd, whole_sd, sizeof sd);
    assert_ok(predictor_predict_told(p, genes, N, NULL, whole, NULL, NULL), NULL);
    assert_memory_equal(told, whole, sizeof told);
    predictor_destroy(p);
}

static void a_checkpoint_that_cannot_be_written_ends_the_fit(void **state)
{
    struct fit_hooks hooks = {.save = refuse_state};
    struct fit_options options = base_options;
    struct rows rows;
    struct predictor *p = NULL;
    struct error err = {0};

    (void)state;
    make_rows(&rows);
    options.hooks = &hooks;
    assert_error(fit(&rows, &options, &p, NULL, &err), ERR_IO, &err, "the disk is full");
}

static enum err fit_once(void *context, struct error *err)
{
    struct predictor *p = NULL;
    struct fit_options options = base_options;
    struct fit_report report = {0};
    enum err rc;

    options.n_epochs = 1;
    rc = fit(context, &options, &p, &report, err);
    if (rc == ERR_OK) {
        double a;
        rc = predictor_predict(p, ((struct rows *)context)->genes, 1, &a, NULL, err);
    }
    fit_report_close(&report);
    predictor_destroy(p);
    return rc;
}

static void every_failing_allocation_is_reported(void **state)
{
    struct rows rows;

    (void)state;
    make_rows(&rows);
    fail_each_allocation(fit_once, &rows);
}

static void frozen_layers_agree_with_a_plain_evaluation(void **state)
{
    enum { N_AT_ONCE = 5 };
    const double row[6] = {0.5, -1.0, 2.0, 0.0, 1.5, -0.25};
    struct random_layers layers = {0};
    double x[N_AT_ONCE * 6];
    static double y[N_AT_ONCE * RANDOM_N_OUTPUTS];
    static double now[2048];
    static double next[2048];
    const float *at;

    (void)state;
    assert_ok(random_layers_init(&layers, 6, 9, NULL), NULL);
    for (size_t i = 0; i < N_AT_ONCE; i++) {
        memcpy(x + 6 * i, row, sizeof row);
    }
    memcpy(now, row, sizeof row);
    at = layers.parameters;
    for (size_t l = 0; l < RANDOM_N_LAYERS; l++) {
        size_t in = layers.widths[l];
        size_t out = layers.widths[l + 1];
        for (size_t u = 0; u < out; u++) {
            double sum = (double)at[out * in + u];
            for (size_t k = 0; k < in; k++) {
                sum += (double)at[u * in + k] * now[k];
                assert_true(fabs((double)at[u * in + k]) <= 1.0 / sqrt((double)in));
            }
            next[u] = tanh(sum);
        }
        at += out * (in + 1);
        memcpy(now, next, sizeof now);
    }
    for (size_t n = 1; n <= N_AT_ONCE; n++) { /* few rows go another way than many */
        assert_ok(random_layers_apply(&layers, x, n, y, NULL, NULL, NULL), NULL);
        for (size_t i = 0; i < n * RANDOM_N_OUTPUTS; i++) {
            /* single precision over four wide layers */
            assert_near(y[i], now[i % RANDOM_N_OUTPUTS], 1e-5);
        }
    }
    random_layers_close(&layers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_same_seed_gives_the_same_weights),
        counted_test(weights_load_to_the_same_predictions),
        counted_test(missing_and_misshapen_weights_are_refused),
        counted_test(held_out_rows_have_no_part_in_the_weights),
        counted_test(training_learns),
        counted_test(a_resumed_fit_ends_with_the_same_weights),
        counted_test(a_fit_can_be_stopped_everywhere),
        counted_test(a_cross_validation_can_be_stopped_everywhere),
        counted_test(predictions_can_be_stopped_and_are_those_of_one_call),
        counted_test(a_checkpoint_that_cannot_be_written_ends_the_fit),
        counted_test(every_failing_allocation_is_reported),
        counted_test(frozen_layers_agree_with_a_plain_evaluation),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

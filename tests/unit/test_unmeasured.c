/* core/prior_rate.h, server/unmeasured.h and what is made of them in server/calibrator.h and
 * server/run_infer.h: what is said of devices of which nothing is measured. */
#include "core/interval.h"
#include "core/matrix.h"
#include "server/calibrator.h"
#include "server/run_infer.h"
#include "server/unmeasured.h"
#include "tests/support/check.h"
#include "tests/support/library.h"

enum { N_ASKED = 40 };

static const struct hardware phones[] = {
    {2.0,  3.0,  1.0, 7.46},
    {2.2,  10.0, 4.0, 34.1},
    {2.84, 10.0, 2.0, 34.1},
};

/* Models of a space, alone and with a library, and architectures to ask for. */
struct fixture {
    const struct space *space;
    struct small_library library;
    struct model model;
    int32_t genes[N_ASKED * SPACE_MAX_GENES];
};

static struct fixture fixture;

/* `has_sheet`: whether a device of the library has a data sheet. */
static struct fixture *begin(const struct space *space, bool has_library, bool has_sheet)
{
    struct fixture *f = &fixture;
    struct error err = {0};

    memset(f, 0, sizeof *f);
    f->space = space;
    library_make(space, &f->library);
    library_fill_genes(space, N_ASKED, f->genes);
    if (!has_sheet) {
        f->library.devices[0].hardware = NULL;
    }
    assert_ok(matrix_init(&err), &err);
    assert_ok(predictor_fit(&predictor_kind_cost, space, f->library.genes, f->library.latency_ms[0],
                            LIBRARY_N_ROWS, &(struct fit_options){0}, &f->model.predictor, NULL,
                            &err),
              &err);
    if (has_library) {
        assert_ok(calibration_prior_fit(space, f->library.devices, LIBRARY_N_DEVICES, NULL,
                                        &f->model.prior, &err),
                  &err);
    }
    return f;
}

static void end(struct fixture *f)
{
    model_close(&f->model);
}

/* ---- rates and factors ----------------------------------------------------------------------- */

/* Rate times factor is what the library says of the device itself. */
static void assert_is_the_librarys(const struct fixture *f)
{
    double rate[N_ASKED];
    double spread[N_ASKED];
    double said_ms[N_ASKED];
    double said_spread[N_ASKED];
    struct error err = {0};

    assert_ok(unmeasured_predict(&f->model, f->genes, N_ASKED, rate, spread, &err), &err);
    for (size_t p = 0; p < COUNT_OF(phones); p++) {
        const double factor = unmeasured_factor(&f->model, &phones[p]);
        assert_ok(calibration_prior_predict(f->model.prior, &phones[p], f->genes, N_ASKED, said_ms,
                                            said_spread, &err),
                  &err);
        for (size_t i = 0; i < N_ASKED; i++) {
            assert_near_relative(rate[i] * factor, said_ms[i], 1e-12);
            assert_near_relative(spread[i], said_spread[i], 1e-12);
        }
    }
}

static void a_library_speaks_with_or_without_a_table(void **state)
{
    static const struct space *const asked[] = {&space_nasbench201, &space_fbnetv3};
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(asked); i++) {
        struct fixture *f = begin(asked[i / 2], true, i % 2 == 0);
        assert_is_the_librarys(f);
        assert_ok(model_prepare(&f->model, &err), &err);
        assert_int_equal(f->model.rates != NULL, f->space->n_architectures > 0);
        assert_is_the_librarys(f);
        end(f);
    }
}

static void a_sheet_is_told_by_its_factor_where_the_library_has_one_to_hold_it_against(void **state)
{
    struct fixture *f = begin(&space_fbnetv3, true, true);

    (void)state;
    assert_near(unmeasured_factor(&f->model, &phones[1]), hardware_factor(&phones[1]), 0.0);
    end(f);
    f = begin(&space_fbnetv3, true, false);
    assert_near(unmeasured_factor(&f->model, &phones[1]), 1.0, 0.0);
    end(f);
}

static void without_a_library_the_predictor_speaks(void **state)
{
    struct fixture *f = begin(&space_fbnetv3, false, true);
    double rate[N_ASKED];
    double spread[N_ASKED];
    double a[N_ASKED];
    double sd[N_ASKED];
    struct error err = {0};

    (void)state;
    assert_ok(model_prepare(&f->model, &err), &err);
    assert_null(f->model.rates);
    assert_ok(unmeasured_predict(&f->model, f->genes, N_ASKED, rate, spread, &err), &err);
    assert_ok(predictor_predict(f->model.predictor, f->genes, N_ASKED, a, sd, &err), &err);
    assert_memory_equal(rate, a, sizeof a);
    for (size_t i = 0; i < N_ASKED; i++) {
        assert_near(spread[i], interval_spread(f->space, a[i], sd[i]), 0.0);
    }
    assert_near(unmeasured_factor(&f->model, &phones[0]), hardware_factor(&phones[0]), 0.0);
    end(f);
}

static bool note_progress(void *context, const struct fit_progress *progress)
{
    size_t *n_left = context;

    assert_string_equal(progress->stage, "predicting");
    return (*n_left)-- > 1;
}

static void many_rows_are_told_of_and_can_be_stopped(void **state)
{
    enum { N_MANY = 5000 };
    static int32_t genes[N_MANY * 28];
    static double rate[N_MANY];
    static double at_once[N_MANY];
    struct fixture *f = begin(&space_fbnetv3, true, true);
    size_t n_left = SIZE_MAX;
    const struct fit_hooks hooks = {.context = &n_left, .progress = note_progress};
    struct error err = {0};

    (void)state;
    library_fill_genes(f->space, N_MANY, genes);
    assert_ok(unmeasured_predict(&f->model, genes, N_MANY, at_once, NULL, &err), &err);
    assert_ok(unmeasured_predict_told(&f->model, genes, N_MANY, &hooks, rate, NULL, &err), &err);
    assert_memory_equal(rate, at_once, sizeof rate);
    assert_true(n_left < SIZE_MAX - 1);
    n_left = 2;
    assert_error(unmeasured_predict_told(&f->model, genes, N_MANY, &hooks, rate, NULL, &err),
                 ERR_CANCELED, &err, "");
    end(f);
}

/* ---- answers --------------------------------------------------------------------------------- */

/* A request for a phone that is not measured and one that is. */
struct question {
    struct fixture *f;
    struct predict_target targets[2];
    bool is_bad[N_ASKED];
    struct predict_request request;
    bool is_measured; /* the second one */
};

static void ask(struct fixture *f, bool is_measured, double level, struct question *out)
{
    *out = (struct question){.f = f, .is_measured = is_measured};
    out->targets[0].hardware = phones[0];
    out->targets[1].hardware = phones[1];
    out->request = (struct predict_request){
        .space = f->space,
        .targets = out->targets,
        .n_targets = 2,
        .genes = f->genes,
        .is_bad = out->is_bad,
        .n_architectures = N_ASKED,
        .level = level,
    };
}

/* Answers, with the measurements of the library's second device for the second phone. */
static enum err answer(struct question *q, struct forecast *out, struct error *err)
{
    const struct small_library *library = &q->f->library;
    struct fitted *fitted[2] = {NULL, NULL};
    enum err rc = ERR_OK;

    if (q->is_measured) {
        rc = fitted_create(&q->f->model, &phones[1], library->genes, library->latency_ms[1],
                           LIBRARY_N_ROWS, &fitted[1], err);
    }
    rc = rc != ERR_OK ? rc : forecast_make(&q->f->model, &q->request, fitted, out, err);
    fitted_unref(fitted[1]);
    return rc;
}

static double median_ms(const struct forecast *made, size_t target, size_t i)
{
    const struct predict_reply *reply = &made->reply;

    return reply->latency_ms != NULL ? reply->latency_ms[target * N_ASKED + i]
                                     : reply->rate[i] * reply->factors[target];
}

/* The phone that is not measured is answered alike, whatever is asked for besides. */
static void a_forecast_says_of_each_device_what_is_known_of_it(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct fixture *f = begin(&space_nasbench201, (i & 1) != 0, true);
        const double factor = unmeasured_factor(&f->model, &phones[0]);
        double rate[N_ASKED];
        struct forecast made = {0};
        struct question q;
        struct error err = {0};
        ask(f, (i & 2) != 0, (i & 4) != 0 ? 0.9 : 0.0, &q);
        assert_ok(answer(&q, &made, &err), &err);
        assert_ok(unmeasured_predict(&f->model, f->genes, N_ASKED, rate, NULL, &err), &err);
        for (size_t row = 0; row < N_ASKED; row++) {
            assert_near_relative(median_ms(&made, 0, row), rate[row] * factor, 1e-12);
            if (q.is_measured) { /* 3 to 4.2 ms, where the phones take tens */
                assert_at_most(median_ms(&made, 1, row), 6.0);
            }
            if (q.request.level > 0.0) {
                assert_true(made.reply.low_ms[row] < median_ms(&made, 0, row));
                assert_true(made.reply.high_ms[row] > median_ms(&made, 0, row));
            }
        }
        assert_int_equal(made.reply.calibrations != NULL, q.is_measured);
        assert_int_equal(made.reply.low_ms != NULL, q.request.level > 0.0);
        if (q.is_measured) {
            assert_int_equal(made.reply.calibrations[0].n_measurements, 0);
            assert_int_equal(made.reply.calibrations[1].n_measurements, LIBRARY_N_ROWS);
        }
        forecast_close(&made);
        end(f);
    }
}

static enum err answer_once(void *context, struct error *err)
{
    struct forecast made = {0};
    enum err rc = answer(context, &made, err);

    forecast_close(&made);
    return rc;
}

static enum err prepare_once(void *context, struct error *err)
{
    const struct fixture *f = context;
    struct prior_rate_table *table = NULL;
    enum err rc = prior_rate_table_create(f->model.prior, &table, err);

    prior_rate_table_destroy(table);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    for (int i = 0; i < 8; i++) {
        struct fixture *f = begin(&space_fbnetv3, (i & 1) != 0, true);
        struct question q;
        ask(f, (i & 2) != 0, (i & 4) != 0 ? 0.9 : 0.0, &q);
        fail_each_allocation(answer_once, &q);
        end(f);
    }
    (void)begin(&space_nasbench201, true, true);
    fail_each_allocation(prepare_once, &fixture);
    end(&fixture);
}

/* ---- tensors --------------------------------------------------------------------------------- */

static void tensors_of_bytes_are_answered_by_the_library_too(void **state)
{
    enum { N_GENES = 6 };
    static const char header[] = "{\"inputs\":["
                                 "{\"name\":\"architecture\",\"shape\":[40,6],\"datatype\":"
                                 "\"UINT8\",\"parameters\":{\"binary_data_size\":240}},"
                                 "{\"name\":\"hardware\",\"shape\":[4],\"datatype\":\"FP64\","
                                 "\"data\":[2.2,10,4,34.1]}],\"outputs\":[{\"name\":"
                                 "\"latency_ms\",\"parameters\":{\"binary_data\":true}}]}";
    struct fixture *f = begin(&space_nasbench201, true, true);
    char body[sizeof header + N_ASKED * N_GENES];
    char length[16];
    double rate[N_ASKED];
    float latency_ms[N_ASKED];
    struct infer_request request;
    struct error err = {0};

    (void)state;
    memcpy(body, header, sizeof header - 1);
    for (size_t i = 0; i < N_ASKED * N_GENES; i++) {
        body[sizeof header - 1 + i] = (char)f->genes[i];
    }
    (void)snprintf(length, sizeof length, "%zu", sizeof header - 1);
    assert_ok(msg_infer_decode(f->space, body, sizeof header - 1 + N_ASKED * N_GENES, length,
                               &request, &err),
              &err);
    assert_ok(run_infer(&f->model, &request, (unsigned char *)latency_ms, &err), &err);
    assert_ok(unmeasured_predict(&f->model, f->genes, N_ASKED, rate, NULL, &err), &err);
    for (size_t i = 0; i < N_ASKED; i++) {
        assert_near_relative(latency_ms[i], rate[i] * unmeasured_factor(&f->model, &phones[1]),
                             1e-6);
    }
    body[sizeof header - 1 + 7 * N_GENES + 2] = 9;
    assert_error(run_infer(&f->model, &request, (unsigned char *)latency_ms, &err), ERR_INVALID,
                 &err, "architecture[7]");
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_library_speaks_with_or_without_a_table),
        counted_test(a_sheet_is_told_by_its_factor_where_the_library_has_one_to_hold_it_against),
        counted_test(without_a_library_the_predictor_speaks),
        counted_test(many_rows_are_told_of_and_can_be_stopped),
        counted_test(a_forecast_says_of_each_device_what_is_known_of_it),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
        counted_test(tensors_of_bytes_are_answered_by_the_library_too),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

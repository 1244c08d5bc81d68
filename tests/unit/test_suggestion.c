/* server/suggestion.h: what is chosen to be measured of a device of a data tree. */
#include "core/matrix.h"
#include "core/suggest.h"
#include "server/measured_rows.h"
#include "server/suggestion.h"
#include "tests/support/deviations.h"
#include "tests/support/job.h"
#include "tests/support/library.h"

/* A tree with measurements of Four and Two, and a model. */
struct fixture {
    struct data_tree tree;
    struct model model;
    struct small_library library;
    const char *device;
    const int32_t *given;
    size_t n_given, n;
};

static struct fixture fixture;

static struct fixture *begin(void)
{
    struct fixture *f = &fixture;
    char version[MODEL_VERSION_BYTES];
    char path[PATH_BYTES];
    struct error err = {0};

    memset(f, 0, sizeof *f);
    job_make_tree(&f->tree);
    job_make_library();
    job_serve_model(&predictor_kind_cost, version);
    assert_ok(model_store_path(check_directory, &space_nasbench201, path, &err), &err);
    assert_ok(model_store_load(path, &space_nasbench201, &f->model, NULL, &err), &err);
    library_make(&space_nasbench201, &f->library);
    f->device = "Two";
    f->n = 3;
    return f;
}

static enum err suggest(const struct fixture *f, struct suggestion *made, struct error *err)
{
    return suggestion_make(&f->model, &f->tree, f->device, f->given, f->n_given, 1, f->n, made,
                           err);
}

static bool is_twice(const struct suggestion *made, size_t i)
{
    return space_is_among(&space_nasbench201, made->genes, i, made->genes + i * JOB_GENES);
}

static void what_is_measured_is_not_suggested_again(void **state)
{
    struct fixture *f = begin();
    struct suggestion made;
    struct measured_rows two = {0};
    struct error err = {0};

    (void)state;
    f->n = 60;
    assert_ok(suggest(f, &made, &err), &err);
    assert_ok(measured_rows_load(&f->tree, &space_nasbench201, "two", &two, &err), &err);
    assert_true(made.has_hardware);
    assert_int_equal(made.n_measurements, two.n);
    for (size_t i = 0; i < made.n; i++) {
        assert_false(is_twice(&made, i));
        assert_false(
            space_is_among(&space_nasbench201, two.genes, two.n, made.genes + i * JOB_GENES));
    }
    measured_rows_close(&two);
    suggestion_close(&made);
    model_close(&f->model);
}

static void of_given_architectures_as_many_are_chosen_as_there_are(void **state)
{
    struct fixture *f = begin();
    struct suggestion made;
    struct error err = {0};

    (void)state;
    f->device = "nobody knows it";
    f->given = f->library.genes;
    f->n_given = 5;
    f->n = 5;
    assert_ok(suggest(f, &made, &err), &err);
    assert_false(made.has_hardware);
    for (size_t i = 0; i < made.n; i++) {
        assert_false(is_twice(&made, i));
        assert_true(space_is_among(&space_nasbench201, f->given, 5, made.genes + i * JOB_GENES));
    }
    suggestion_close(&made);
    f->n = 6;
    assert_error(suggest(f, &made, &err), ERR_INVALID, &err, "5 are there");
    assert_true(made.is_short);
    model_close(&f->model);
}

static enum err suggest_once(void *context, struct error *err)
{
    struct suggestion made = {0};
    enum err rc = suggest(context, &made, err);

    suggestion_close(&made);
    return rc;
}

/* By what is drawn and by what is given, with and without a library of the model's own. */
static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    struct fixture *f = begin();
    struct error err = {0};

    (void)state;
    f->given = f->library.genes;
    f->n_given = 20;
    make_deviations(f->model.predictor);
    fail_each_allocation(suggest_once, f);
    assert_ok(calibration_prior_fit(&space_nasbench201, f->library.devices, LIBRARY_N_DEVICES, NULL,
                                    &f->model.prior, &err),
              &err);
    fail_each_allocation(suggest_once, f);
    model_close(&f->model);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(what_is_measured_is_not_suggested_again),
        directory_test(of_given_architectures_as_many_are_chosen_as_there_are),
        directory_test(running_out_of_memory_is_told_and_leaks_nothing),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

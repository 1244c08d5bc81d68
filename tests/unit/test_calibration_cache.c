/* server/calibration_cache.h: remembered is only what the files, the model and the sheet still say. */
#include "core/matrix.h"
#include "server/calibration_cache.h"
#include "tests/support/check.h"
#include "tests/support/deviations.h"

#define TABLE "architecture,latency_ms\n"

static const struct hardware phone = {2.0, 3.0, 1.0, 7.46};

struct fixture {
    struct data_tree tree;
    struct calibration_cache cache;
    struct model model;
};

/* A predictor of a few rows. */
static struct predictor *fit_predictor(struct error *err)
{
    enum { N = 60 };
    int32_t genes[N * 6];
    double a[N];
    const struct fit_options options = {.seed = 1};
    struct predictor *predictor = NULL;

    for (size_t i = 0; i < N; i++) {
        a[i] = 2000.0;
        for (size_t g = 0; g < 6; g++) {
            genes[i * 6 + g] = 1 + (int32_t)((i * 7 + g * (i / 5 + 1)) % 5);
            a[i] += 300.0 * genes[i * 6 + g];
        }
    }
    assert_ok(predictor_fit(&predictor_kind_cost, &space_nasbench201, genes, a, N, &options,
                            &predictor, NULL, err),
              err);
    return predictor;
}

static struct fixture *begin(void)
{
    static struct fixture fixture;
    struct error err = {0};

    memset(&fixture, 0, sizeof fixture);
    assert_ok(matrix_init(&err), &err);
    assert_ok(data_tree_init(&fixture.tree, check_directory, NULL, &err), &err);
    assert_ok(calibration_cache_init(&fixture.cache, &err), &err);
    fixture.model.predictor = fit_predictor(&err);
    model_version(fixture.model.predictor, fixture.model.info.version);
    return &fixture;
}

static void end(struct fixture *f)
{
    calibration_cache_close(&f->cache);
    model_close(&f->model);
}

/* How many measurements the device is corrected by; -1 where finding them fails. */
static int n_of(struct fixture *f, const char *device, const struct hardware *hardware)
{
    const struct calibration_key key = {&f->model, device, hardware};
    struct fitted *fitted = NULL;
    struct error err = {0};
    enum err rc = calibration_cache_find(&f->cache, &f->tree, &key, &fitted, &err);
    int n = rc != ERR_OK ? -1 : fitted == NULL ? 0 : (int)fitted->told.n_measurements;

    fitted_unref(fitted);
    return n;
}

static bool is_recalled(struct fixture *f, const char *device, int *n)
{
    const struct calibration_key key = {&f->model, device, &phone};
    struct fitted *fitted = NULL;
    bool is_there = calibration_cache_recall(&f->cache, &f->tree, &key, &fitted);

    *n = fitted == NULL ? 0 : (int)fitted->told.n_measurements;
    fitted_unref(fitted);
    return is_there;
}

/* Until what was written looks old enough to be remembered. */
static void wait_until_settled(void)
{
    const struct timespec pause = {3, 100 * 1000 * 1000};

    (void)nanosleep(&pause, NULL);
}

static void nothing_measured_is_known_without_a_search(void **state)
{
    struct fixture *f = begin();
    int n;
    (void)state;
    assert_true(is_recalled(f, "X", &n) && n == 0);
    assert_int_equal(n_of(f, "X", &phone), 0);
    end(f);
}

static void a_settled_fit_is_remembered_and_a_change_is_seen_at_once(void **state)
{
    struct fixture *f = begin();
    int n;
    (void)state;
    write_text("data/nasbench201/measurements/X.csv", TABLE "444244,900\n");
    assert_false(is_recalled(f, "x", &n));
    assert_int_equal(n_of(f, "x", &phone), 1);
    assert_false(is_recalled(f, "x", &n)); /* too fresh */
    assert_int_equal(n_of(f, "x", &phone), 1);
    assert_int_equal(f->cache.n_fits, 1); /* but of the same content */
    wait_until_settled();
    assert_int_equal(n_of(f, "x", &phone), 1);
    assert_int_equal(n_of(f, "Nobody", &phone), 0);
    assert_true(is_recalled(f, "x", &n) && n == 1);
    assert_true(is_recalled(f, "Nobody", &n) && n == 0);
    assert_int_equal(f->cache.n_fits, 1);

    write_text("data/nasbench201/measurements/X.csv", TABLE "444244,901\n"); /* edited in place */
    assert_false(is_recalled(f, "x", &n));
    assert_int_equal(n_of(f, "x", &phone), 1);
    assert_int_equal(f->cache.n_fits, 2);
    write_text("data/nasbench201/measurements/Nobody.csv", TABLE "444244,900\n111111,100\n");
    assert_int_equal(n_of(f, "Nobody", &phone), 2);
    assert_int_equal(unlink(own_path("data/nasbench201/measurements/X.csv")), 0);
    assert_int_equal(unlink(own_path("data/nasbench201/measurements/Nobody.csv")), 0);
    assert_int_equal(n_of(f, "x", &phone), 0);
    assert_int_equal(n_of(f, "Nobody", &phone), 0);
    end(f);
}

static void another_sheet_or_model_is_another_fit(void **state)
{
    struct fixture *f = begin();
    const struct hardware other = {2.5, 3.0, 1.0, 7.46};
    (void)state;
    write_text("data/nasbench201/measurements/X.csv", TABLE "444244,900\n");
    assert_int_equal(n_of(f, "X", &phone), 1);
    assert_int_equal(n_of(f, "X", &other), 1);
    assert_int_equal(n_of(f, "X", NULL), 1);
    assert_int_equal(f->cache.n_fits, 3);
    f->model.info.version[5] = '!';
    assert_int_equal(n_of(f, "X", NULL), 1);
    assert_int_equal(f->cache.n_fits, 4);
    assert_int_equal(unlink(own_path("data/nasbench201/measurements/X.csv")), 0);
    end(f);
}

static void what_is_malformed_is_told_with_file_and_line(void **state)
{
    struct fixture *f = begin();
    const struct calibration_key key = {&f->model, "X", NULL};
    struct fitted *fitted = NULL;
    struct error err = {0};
    (void)state;
    write_text("data/nasbench201/measurements/X.csv", TABLE "444244,fast\n");
    assert_error(calibration_cache_find(&f->cache, &f->tree, &key, &fitted, &err), ERR_INVALID,
                 &err, "line 2");
    assert_non_null(strstr(err.text, "X.csv"));
    assert_null(fitted);
    assert_int_equal(unlink(own_path("data/nasbench201/measurements/X.csv")), 0);
    end(f);
}

static bool is_any_kept(const struct calibration_cache *cache)
{
    for (size_t i = 0; i < CALIBRATION_CACHE_SLOTS; i++) {
        if (cache->slots[i].space != NULL) {
            return true;
        }
    }
    return false;
}

static enum err find_once(void *context, struct error *err)
{
    struct fixture *f = context;
    static struct calibration_cache cache;
    const struct calibration_key key = {&f->model, "X", &phone};
    struct fitted *fitted = NULL;
    enum err rc = calibration_cache_init(&cache, err);

    assert_int_equal(rc, ERR_OK);
    rc = calibration_cache_find(&cache, &f->tree, &key, &fitted, err);
    if (rc == ERR_OK && !is_any_kept(&cache)) {
        rc =
            error_set(err, ERR_NOMEM, "no memory to remember it"); /* which is no error of a find */
    }
    fitted_unref(fitted);
    calibration_cache_close(&cache);
    return rc;
}

static void no_memory_is_told_and_leaves_nothing(void **state)
{
    struct fixture *f = begin();
    (void)state;
    write_text("data/nasbench201/measurements/X.csv", TABLE "444244,900\n111111,100\n");
    make_deviations(f->model.predictor);
    fail_each_allocation(find_once, f);
    end(f);
}

enum { N_FINDERS = 4, N_FINDS = 200 };

static void *find_often(void *context)
{
    struct fixture *f = context;
    size_t n_wrong = 0;

    for (int i = 0; i < N_FINDS; i++) {
        n_wrong += n_of(f, i % 2 == 0 ? "X" : "Other", &phone) != (i % 2 == 0 ? 1 : 2);
    }
    return n_wrong == 0 ? NULL : f;
}

static void many_threads_may_ask(void **state)
{
    struct fixture *f = begin();
    pthread_t threads[N_FINDERS];
    (void)state;
    write_text("data/nasbench201/measurements/X.csv", TABLE "444244,900\n");
    write_text("data/nasbench201/measurements/Other.csv", TABLE "444244,900\n111111,100\n");
    for (size_t i = 0; i < N_FINDERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, find_often, f), 0);
    }
    for (size_t i = 0; i < N_FINDERS; i++) {
        void *wrong = f;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_in_range(f->cache.n_fits, 2, 2 * N_FINDERS);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(nothing_measured_is_known_without_a_search),
        directory_test(a_settled_fit_is_remembered_and_a_change_is_seen_at_once),
        directory_test(another_sheet_or_model_is_another_fit),
        directory_test(what_is_malformed_is_told_with_file_and_line),
        directory_test(no_memory_is_told_and_leaves_nothing),
        directory_test(many_threads_may_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/job_test.c: what is refused before it runs, what a run leaves, and what a stopped one. */
#include "core/file.h"
#include "core/matrix.h"
#include "server/training_set.h"
#include "tests/support/job.h"

#define FILES     "result/nasbench201/jobs"
#define THIS(end) "{\"kind\":\"test\",\"search_space\":\"nasbench201\"" end "}"
#define OF(name)  THIS(",\"params\":{\"test_devices\":[\"" name "\"]}")

static void what_cannot_be_tested_is_refused_by_its_pointer(void **state)
{
    struct data_tree tree;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_refused(&tree, THIS(""), "/search_space", "no served model of nasbench201");
    job_serve_model(&predictor_kind_cost, version);
    job_accepted(&tree, THIS(""));
    job_accepted(&tree, OF("two"));
    job_refused(&tree, OF("Four"), "/params/test_devices/0", "no device \"Four\"");
    job_refused(&tree, OF("Two\",\"0ne"), "/params/test_devices/1", "trained on");
    (void)write_text(JOB_TREE "hardware/Five.txt", "2 1 1 1");
    job_refused(&tree, OF("Five"), "/params/test_devices/0", "no measured latencies of \"Five\"");
    (void)write_text(JOB_TREE "latency/Five.txt", "1\n2\n3\n");
    job_refused(&tree, OF("Two\",\"Five"), "/params/test_devices/1", "latency/Five.txt");
    job_refused(&tree, THIS(""), "/search_space", "latency/Five.txt");
    job_refused(&tree, THIS(",\"params\":{\"version\":\"cost-none\"}"), "/params/version",
                "cost-none");
    (void)write_text(JOB_TREE "net.txt", "1 1 1 1 1 9\n");
    job_refused(&tree, THIS(""), "/search_space", "data/nasbench201/net.txt:1");
}

static void a_model_file_that_is_none_is_refused(void **state)
{
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    (void)write_text("result/nasbench201/pretrainmodel.safetensors", "rubbish");
    job_refused(&tree, THIS(""), "/search_space", "pretrainmodel.safetensors");
    (void)write_text("result/nasbench201/pretrainmodel-mine.safetensors", "rubbish");
    job_refused(&tree, THIS(",\"params\":{\"version\":\"mine\"}"), "/params/version",
                "pretrainmodel-mine.safetensors");
}

static void without_unseen_measured_devices_there_is_nothing_to_test(void **state)
{
    struct data_tree tree;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    assert_int_equal(unlink(own_path(JOB_TREE "latency/Two.txt")), 0);
    assert_int_equal(unlink(own_path(JOB_TREE "latency/Three.txt")), 0);
    job_refused(&tree, THIS(""), "/search_space", "no unseen device with measured latencies");
}

/* Held-out models learn from the model's devices: the data of those have to be there. */
static void a_held_out_test_needs_its_training_data(void **state)
{
    struct data_tree tree;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_accepted(&tree, THIS(",\"params\":{\"holdout\":true}"));
    (void)write_text(JOB_TREE "a.txt", "1\n2\n");
    job_accepted(&tree, THIS(""));
    job_refused(&tree, THIS(",\"params\":{\"holdout\":true}"), "/search_space",
                "data/nasbench201/a.txt");
}

static void a_run_leaves_its_predictions_and_says_how_good_they_are(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];
    char expected[320];
    char *bytes = NULL;
    size_t size = 0;
    size_t n_lines = 0;

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_succeeds(&tree, THIS(""), &result);
    assert_contains(result.bytes, "{\"search_space\":\"nasbench201\",\"predictor\":\"cost\","
                                  "\"holdout\":false,\"devices\":[{\"device\":\"Three\",\"n\":24,");
    (void)snprintf(expected, sizeof expected,
                   "}],\"version\":\"%s\",\"files\":[\"nasbench201/jobs/" JOB_ID
                   "/Three_timepre.txt\",\"nasbench201/jobs/" JOB_ID
                   "/Two_timepre.txt\",\"nasbench201/jobs/" JOB_ID "/plot.svg\"]}",
                   version);
    assert_contains(result.bytes, expected);
    assert_int_equal(count_files(own_path(FILES)), 3);
    assert_int_equal(
        file_read(own_path(FILES "/" JOB_ID "/Two_timepre.txt"), 4096, &bytes, &size, NULL),
        ERR_OK);
    for (size_t i = 0; i < size; i++) {
        n_lines += bytes[i] == '\n' ? 1 : 0;
    }
    assert_int_equal(n_lines, JOB_ROWS);
    mem_free(bytes);
    text_close(&result);
    assert_int_equal(job_files_remove(check_directory, &space_nasbench201, JOB_ID, NULL), ERR_OK);
    assert_int_equal(count_files(own_path(FILES)), 0);
}

static void a_version_is_tested_on_the_devices_that_are_named(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char old[MODEL_VERSION_BYTES];
    char now[MODEL_VERSION_BYTES];
    char json[256];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, old);
    job_serve_model(&predictor_kind_mlp, now);
    (void)snprintf(json, sizeof json,
                   THIS(",\"params\":{\"version\":\"%s\",\"test_devices\":[\"tw0\"]}"), old);
    job_succeeds(&tree, json, &result);
    assert_contains(result.bytes, "\"predictor\":\"cost\"");
    assert_contains(result.bytes, "\"devices\":[{\"device\":\"Two\"");
    assert_contains(result.bytes, old);
    assert_int_equal(count_files(own_path(FILES)), 2);
    text_close(&result);
    job_succeeds(&tree, THIS(""), &result);
    assert_contains(result.bytes, "\"predictor\":\"mlp\"");
    assert_contains(result.bytes, now);
    text_close(&result);
}

/* Then it learns from the paper's devices. */
static void a_held_out_test_needs_no_model(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    struct names paper = {0};

    (void)state;
    job_make_tree(&tree);
    job_refused(&tree, THIS(",\"params\":{\"holdout\":true}"), "/search_space",
                "no device \"Galaxy A9\"");
    assert_ok(training_default_devices(&tree, &space_nasbench201, &paper, NULL), NULL);
    for (size_t i = 0; i < paper.n; i++) {
        char path[TEST_PATH_BYTES];
        (void)snprintf(path, sizeof path, JOB_TREE "hardware/%s.txt", paper.items[i]);
        (void)write_text(path, "2 1 1 1");
    }
    names_close(&paper);
    job_succeeds(&tree, THIS(",\"params\":{\"holdout\":true,\"seed\":3}"), &result);
    assert_contains(result.bytes, "\"predictor\":\"cost\",\"holdout\":true");
    assert_contains(result.bytes, "\"version\":null");
    assert_int_equal(count_files(own_path(FILES)), 3);
    text_close(&result);
}

static void a_held_out_test_trains_the_kind_that_is_named(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_mlp, version);
    job_succeeds(&tree, THIS(",\"params\":{\"holdout\":true,\"predictor\":\"cost\"}"), &result);
    assert_contains(result.bytes, "\"predictor\":\"cost\",\"holdout\":true");
    text_close(&result);
}

static void a_stopped_run_leaves_nothing(void **state)
{
    struct data_tree tree;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_stops_everywhere(&tree, THIS(""), FILES);
    job_stops_everywhere(&tree, THIS(",\"params\":{\"holdout\":true}"), FILES);
}

/* A run that was killed may have put some files in place, and staged others. */
static void a_run_after_a_kill_leaves_the_same_files(void **state)
{
    struct data_tree tree;
    struct text first = {0};
    struct text second = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_succeeds(&tree, THIS(""), &first);
    (void)write_text(FILES "/" JOB_ID "/Old_timepre.txt", "1\n");
    (void)write_text(FILES "/" JOB_ID "/Two_timepre.txt", "1\n");
    job_succeeds(&tree, THIS(""), &second);
    assert_string_equal(first.bytes, second.bytes);
    assert_int_equal(count_files(own_path(FILES)), 3);
    assert_false(file_holds(own_path(FILES "/" JOB_ID "/Two_timepre.txt"), "1\n"));
    text_close(&first);
    text_close(&second);
}

static void what_went_missing_meanwhile_fails_the_run(void **state)
{
    struct data_tree tree;
    struct job_watch watch = {0};
    struct text result = {0};
    struct error err = {0};

    (void)state;
    job_make_tree(&tree);
    assert_error(job_try(&tree, THIS(""), &watch, &result, &err), ERR_INVALID, &err,
                 "no served model");
    assert_int_equal(watch.n_commits, 0);
    text_close(&result);
}

static enum err run_once(void *context, struct error *err)
{
    struct job_watch watch = {0};
    struct text result = {0};
    const struct job_env env = job_watch_env(&watch, context);
    const struct job_order order = {.kind = JOB_TEST, .space = &space_nasbench201};
    enum err rc = job_test_run(&env, &order, &result, err);

    if (rc == ERR_OK && result.has_failed) { /* which the engine looks at */
        rc = error_set(err, ERR_NOMEM, "no memory for the result");
    }
    text_close(&result);
    return rc;
}

static void running_out_of_memory_is_told_and_leaves_nothing(void **state)
{
    struct data_tree tree;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    fail_each_allocation(run_once, &tree);
}

/* ---- devices and measurements ----------------------------------------------------------------- */

#define DEVICES THIS(",\"params\":{\"holdout\":\"devices\"}")

static void each_device_of_the_library_is_held_out(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_refused(&tree, DEVICES, "/search_space", "no measurements of nasbench201");
    job_make_library();
    job_accepted(&tree, DEVICES);
    job_succeeds(&tree, DEVICES, &result);
    assert_contains(result.bytes, "\"holdout\":\"devices\",\"n_rows\":96,\"n_draws\":10,"
                                  "\"devices\":[{\"device\":\"Four\",\"n_rows\":48,");
    assert_contains(result.bytes, version);
    assert_contains(result.bytes, "\"files\":[]}");
    text_close(&result);
    job_stops(&tree, DEVICES, FILES, false);
}

static void rows_that_calibrate_are_not_scored(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_refused(&tree, THIS(",\"params\":{\"calibrate\":15}"), "/params/calibrate",
                "too few of the 24 rows");
    job_succeeds(&tree, THIS(",\"params\":{\"calibrate\":14,\"seed\":1}"), &result);
    assert_contains(result.bytes, "\"holdout\":false,\"calibrate\":14,\"devices\":[{\"device\":"
                                  "\"Three\",\"n\":10,");
    text_close(&result);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(what_cannot_be_tested_is_refused_by_its_pointer),
        directory_test(a_model_file_that_is_none_is_refused),
        directory_test(without_unseen_measured_devices_there_is_nothing_to_test),
        directory_test(a_held_out_test_needs_its_training_data),
        directory_test(a_run_leaves_its_predictions_and_says_how_good_they_are),
        directory_test(a_version_is_tested_on_the_devices_that_are_named),
        directory_test(a_held_out_test_needs_no_model),
        directory_test(a_held_out_test_trains_the_kind_that_is_named),
        directory_test(a_stopped_run_leaves_nothing),
        directory_test(a_run_after_a_kill_leaves_the_same_files),
        directory_test(what_went_missing_meanwhile_fails_the_run),
        directory_test(running_out_of_memory_is_told_and_leaves_nothing),
        directory_test(each_device_of_the_library_is_held_out),
        directory_test(rows_that_calibrate_are_not_scored),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

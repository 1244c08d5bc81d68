/* server/job_train.c: what is refused before it runs, the version that a run makes, what a stopped
 * run leaves and the next one goes on from, and when a version is served. */
#include "core/file.h"
#include "core/matrix.h"
#include "proto/safetensors.h"
#include "server/training_set.h"
#include "tests/support/job.h"

#define MODELS      "result/nasbench201/models"
#define CHECKPOINTS "result/nasbench201/jobs/" JOB_ID
#define OTHER_ID    "01890a5d-ac96-774b-bcce-b302099a8058"
#define OF(params)  "{\"kind\":\"train\",\"search_space\":\"nasbench201\",\"params\":{" params "}}"
#define ONE         "\"train_devices\":[\"One\"]"
#define ACTIVATE    ",\"activate\":true"
#define MLP(epochs) ",\"predictor\":\"mlp\",\"epoch\":" epochs

static void what_cannot_be_trained_is_refused_by_its_pointer(void **state)
{
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    job_accepted(&tree, OF(ONE));
    job_accepted(&tree, OF("\"train_devices\":[\"two\",\"three\"]"));
    job_refused(&tree, OF("\"train_devices\":[\"One\",\"Nine\"]"), "/params/train_devices/1",
                "no device \"Nine\"");
    /* the paper's twelve, which this tree does not know */
    job_refused(&tree, "{\"kind\":\"train\",\"search_space\":\"nasbench201\"}", "/search_space",
                "no device \"Galaxy A9\"");
    job_refused(&tree, "{\"kind\":\"train\",\"search_space\":\"fbnetv3\",\"params\":{" ONE "}}",
                "/params/train_devices/0", "of fbnetv3 has that name");
    (void)write_text(JOB_TREE "latency/Two.txt", "1\n2\n");
    job_refused(&tree, OF("\"train_devices\":[\"Two\"]"), "/search_space", "latency/Two.txt");
    (void)write_text(JOB_TREE "a.txt", "1\n2\nx\n");
    job_refused(&tree, OF(ONE), "/search_space", "data/nasbench201/a.txt:3");
    (void)write_text(JOB_TREE "net.txt", "1 1 1 1 1 9\n");
    job_refused(&tree, OF(ONE), "/search_space", "data/nasbench201/net.txt:1");
    assert_int_equal(unlink(own_path(JOB_TREE "net.txt")), 0);
    job_refused(&tree, OF(ONE), "/search_space", "make data FROM=");
}

/* A file of `n` equal lines. */
static void write_lines(const char *name, const char *line, size_t n)
{
    const size_t length = strlen(line);
    char *bytes = mem_calloc(n, length);

    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        memcpy(bytes + i * length, line, length);
    }
    (void)write_bytes(name, bytes, n * length);
    mem_free(bytes);
}

static void more_rows_than_a_predictor_takes_are_refused(void **state)
{
    struct data_tree tree;
    const size_t n = predictor_kind_mlp.fit_rows_max + 1;

    (void)state;
    job_make_tree(&tree);
    write_lines(JOB_TREE "net.txt", "1 1 1 1 1 1\n", n);
    write_lines(JOB_TREE "a.txt", "100\n", n);
    job_refused(&tree, OF(ONE MLP("1")), "/search_space", "mlp takes at most 200000");
}

/* The model file of a result, by its path below result/; the caller ends the block. */
static char *read_model(const struct text *result, size_t *size)
{
    static const char member[] = "\"file\":\"";
    const char *at = strstr(result->bytes, member);
    char path[256];
    char *bytes = NULL;

    assert_non_null(at);
    (void)snprintf(path, sizeof path, "result/%s", at + sizeof member - 1);
    path[strcspn(path, "\"")] = '\0';
    assert_int_equal(file_read(own_path(path), SAFETENSORS_MAX_FILE_BYTES, &bytes, size, NULL),
                     ERR_OK);
    return bytes;
}

/* The version that the result tells of, to be closed. */
static void decode_model(const struct text *result, struct model *model)
{
    size_t size;
    char *bytes = read_model(result, &size);
    struct error err = {0};

    assert_ok(model_decode(bytes, size, &space_nasbench201, model, &err), &err);
    mem_free(bytes);
}

static void check_version(const struct text *result, const char *kind)
{
    struct model model = {0};
    struct error err = {0};
    char expected[512];
    size_t size = 0;
    char *bytes = read_model(result, &size);

    assert_ok(model_decode(bytes, size, &space_nasbench201, &model, &err), &err);
    assert_string_equal(model.predictor->kind->name, kind);
    assert_int_equal(model.info.n_devices, 1);
    assert_string_equal(model.info.devices[0], "One");
    (void)snprintf(expected, sizeof expected,
                   "\"predictor\":\"%s\",\"version\":\"%s\",\"source\":\"a.txt\"", kind,
                   model.info.version);
    assert_contains(result->bytes, expected);
    (void)snprintf(expected, sizeof expected,
                   "\"file\":\"nasbench201/models/%s-job-" JOB_ID ".safetensors\","
                   "\"files\":[\"nasbench201/models/%s-job-" JOB_ID ".safetensors\"],"
                   "\"activated\":false,\"activation\":null}",
                   model.info.version, model.info.version);
    assert_contains(result->bytes, expected);
    model_close(&model);
    mem_free(bytes);
}

static void a_run_makes_a_version_and_nothing_else(void **state)
{
    static const char *const orders[][2] = {
        {OF(ONE),                           "cost"},
        {OF(ONE MLP("1001") ",\"seed\":4"), "mlp" },
    };
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct text result = {0};
        job_succeeds(&tree, orders[i][0], &result);
        check_version(&result, orders[i][1]);
        assert_int_equal(count_files(own_path("result")), 1);
        assert_int_not_equal(access(own_path(CHECKPOINTS), F_OK), 0); /* the directory is gone */
        text_close(&result);
        assert_int_equal(job_files_remove(check_directory, &space_nasbench201, JOB_ID, NULL),
                         ERR_OK);
        assert_int_equal(count_files(own_path("result")), 0);
    }
}

/* That each report of a fit and of its validation can stop it is tested with the predictors. */
static void a_stopped_run_leaves_nothing(void **state)
{
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    job_stops(&tree, OF(ONE ACTIVATE), "result", false);
    job_stops(&tree, OF(ONE MLP("2")), "result", false);
}

/* Stopped after its checkpoint, a training goes on from there, and ends with the same bytes as one
 * that was not. */
static void a_training_goes_on_from_its_checkpoint(void **state)
{
    static const char json[] = OF(ONE MLP("2500"));
    struct job_watch stopped = {.stop_epoch = 1700};
    struct job_watch resumed = {0};
    struct data_tree tree;
    struct text whole = {0};
    struct text result = {0};
    struct error err = {0};
    size_t sizes[2];
    char *bytes[2];

    (void)state;
    job_make_tree(&tree);
    job_succeeds(&tree, json, &whole);
    bytes[0] = read_model(&whole, &sizes[0]);
    assert_int_equal(job_files_remove(check_directory, &space_nasbench201, JOB_ID, NULL), ERR_OK);
    assert_error(job_try(&tree, json, &stopped, &result, &err), ERR_CANCELED, &err, "stopped");
    assert_int_equal(stopped.first_epoch, 1);
    assert_int_equal(count_files(own_path(MODELS)), 0);
    assert_int_equal(count_files(own_path(CHECKPOINTS)), 1);
    assert_ok(job_try(&tree, json, &resumed, &result, &err), &err);
    assert_int_equal(resumed.first_epoch, 1001);
    assert_int_equal(count_files(own_path("result")), 1);
    bytes[1] = read_model(&result, &sizes[1]);
    assert_int_equal(sizes[0], sizes[1]);
    assert_memory_equal(bytes[0], bytes[1], sizes[0]);
    mem_free(bytes[0]);
    mem_free(bytes[1]);
    text_close(&whole);
    text_close(&result);
}

/* What the data were when it was saved has changed: it is of another training, and removed with the
 * job's files. */
static void a_checkpoint_of_other_data_is_not_gone_on_from(void **state)
{
    static const char json[] = OF(ONE MLP("1500"));
    struct job_watch stopped = {.stop_epoch = 1200};
    struct job_watch again = {.stop_epoch = 1};
    struct data_tree tree;
    struct text result = {0};
    struct error err = {0};

    (void)state;
    job_make_tree(&tree);
    assert_error(job_try(&tree, json, &stopped, &result, &err), ERR_CANCELED, &err, "stopped");
    write_lines(JOB_TREE "a.txt", "123\n", JOB_ROWS);
    assert_error(job_try(&tree, json, &again, &result, &err), ERR_CANCELED, &err, "stopped");
    assert_int_equal(again.first_epoch, 1);
    assert_int_equal(job_files_remove(check_directory, &space_nasbench201, JOB_ID, NULL), ERR_OK);
    assert_int_equal(count_files(own_path("result")), 0);
    text_close(&result);
}

/* Runs it with what is served, and expects that. */
static void check_activation(const char *json, struct job_watch watch, bool is_activated,
                             size_t n_activations, const char *phrase)
{
    struct data_tree tree;
    struct text result = {0};
    struct error err = {0};

    assert_int_equal(data_tree_init(&tree, check_directory, NULL, NULL), ERR_OK);
    assert_ok(job_try(&tree, json, &watch, &result, &err), &err);
    assert_int_equal(watch.n_activations, n_activations);
    assert_int_equal(watch.n_acquired, 0);
    assert_contains(result.bytes, is_activated ? "\"activated\":true,\"activation\":null}"
                                               : "\"activated\":false,\"activation\":");
    assert_contains(result.bytes, phrase);
    if (n_activations > 0) { /* the very file that was made */
        char file[128];
        (void)snprintf(file, sizeof file, "\"file\":\"nasbench201/models/%s.safetensors\"",
                       watch.activated);
        assert_contains(result.bytes, file);
    }
    text_close(&result);
}

static void a_version_is_served_where_it_is_no_worse(void **state)
{
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    check_activation(OF(ONE), (struct job_watch){.served = "cost-0", .r_served = -1.0}, false, 0,
                     "\"activation\":null");
    check_activation(OF(ONE ACTIVATE), (struct job_watch){0}, true, 1, "");
    check_activation(OF(ONE ACTIVATE), (struct job_watch){.served = "cost-0", .r_served = -1.0},
                     true, 1, "");
    check_activation(OF(ONE ACTIVATE), (struct job_watch){.served = "cost-0", .r_served = NAN},
                     true, 1, "");
    check_activation(OF(ONE ACTIVATE), (struct job_watch){.served = "cost-0", .r_served = 1.0},
                     false, 0,
                     ", that of cost-0, which is served, is 1.0000; \\\"force\\\": true serves it");
    check_activation(OF(ONE ACTIVATE ",\"force\":true"),
                     (struct job_watch){.served = "cost-0", .r_served = 1.0}, true, 1, "");
}

/* The R of held-out A that a training with this seed tells. */
static double told_r(const struct data_tree *tree, const char *json)
{
    struct job_watch watch = {0};
    struct text result = {0};
    struct error err = {0};
    const char *at;
    double r;

    assert_ok(job_try(tree, json, &watch, &result, &err), &err);
    at = strstr(result.bytes, "\"r\":");
    assert_non_null(at);
    r = strtod(at + strlen("\"r\":"), NULL);
    text_close(&result);
    return r;
}

/* A file keeps six decimals of an R, which may be a little more than it was. */
static void an_equal_version_is_no_worse_though_what_is_served_was_rounded_up(void **state)
{
    struct data_tree tree;
    bool is_tried = false;

    (void)state;
    job_make_tree(&tree);
    for (int seed = 0; seed < 30 && !is_tried; seed++) {
        char json[200];
        double r, kept;
        (void)snprintf(json, sizeof json, OF(ONE ACTIVATE ",\"seed\":%d"), seed);
        r = told_r(&tree, json);
        kept = model_kept_r(r);
        is_tried = kept > r;
        if (is_tried) {
            check_activation(json, (struct job_watch){.served = "cost-0", .r_served = kept}, true,
                             1, "");
            check_activation(json, (struct job_watch){.served = "cost-0", .r_served = kept + 1e-6},
                             false, 0, "which is served");
        }
    }
    assert_true(is_tried);
}

/* One architecture alone cannot be validated on: how good the version is nobody knows. */
static void a_version_of_unknown_worth_is_not_served_in_place_of_a_known_one(void **state)
{
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    (void)write_text(JOB_TREE "net.txt", "1 2 3 4 5 1\n");
    (void)write_text(JOB_TREE "a.txt", "100\n");
    check_activation(OF(ONE ACTIVATE), (struct job_watch){.served = "cost-0", .r_served = -1.0},
                     false, 0, "its R of held-out A is unknown");
}

/* A run that was killed after it had served its version, and is run again. */
static void a_version_that_is_served_already_is_left_alone(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    struct model model = {0};

    (void)state;
    job_make_tree(&tree);
    job_succeeds(&tree, OF(ONE), &result);
    decode_model(&result, &model);
    check_activation(OF(ONE ACTIVATE),
                     (struct job_watch){.served = model.info.version, .r_served = 1.0}, true, 0,
                     model.info.version);
    model_close(&model);
    text_close(&result);
}

static void a_version_that_cannot_be_served_is_an_error(void **state)
{
    struct job_watch watch = {.activation = ERR_IO};
    struct data_tree tree;
    struct text result = {0};
    struct error err = {0};

    (void)state;
    job_make_tree(&tree);
    assert_error(job_try(&tree, OF(ONE ACTIVATE), &watch, &result, &err), ERR_IO, &err, "no room");
    assert_int_equal(result.size, 0);
    assert_int_equal(job_files_remove(check_directory, &space_nasbench201, JOB_ID, NULL), ERR_OK);
    assert_int_equal(count_files(own_path("result")), 0);
}

static void removing_takes_the_files_of_that_job_alone(void **state)
{
    struct error err = {0};

    (void)state;
    /* of a job that never had any */
    assert_ok(job_files_remove(check_directory, &space_nasbench201, JOB_ID, &err), &err);
    (void)write_text(MODELS "/cost-0-job-" JOB_ID ".safetensors", "1");
    (void)write_text(MODELS "/cost-1-job-" JOB_ID ".safetensors", "2");
    (void)write_text(CHECKPOINTS "/training-0.checkpoint", "3");
    (void)write_text(MODELS "/cost-0-job-" OTHER_ID ".safetensors", "4");
    (void)write_text(MODELS "/cost-0.safetensors", "5");
    (void)write_text("result/nasbench201/jobs/" OTHER_ID "/result.json", "6");
    (void)write_text("result/nasbench201/pretrainmodel.safetensors", "7");
    (void)write_text("result/fbnetv3/models/cost-0-job-" JOB_ID ".safetensors", "8");
    assert_ok(job_files_remove(check_directory, &space_nasbench201, JOB_ID, &err), &err);
    assert_int_equal(count_files(own_path("result")), 5);
    assert_int_equal(access(own_path(MODELS "/cost-0-job-" OTHER_ID ".safetensors"), F_OK), 0);
    assert_int_not_equal(access(own_path(CHECKPOINTS), F_OK), 0);
    assert_error(job_files_remove(check_directory, &space_nasbench201, "..", &err), ERR_INVALID,
                 &err, "no job's id");
    assert_int_equal(count_files(own_path("result")), 5);
}

/* ---- a library ------------------------------------------------------------------------------- */

#define LIBRARY ",\"library\":true"

static void a_library_that_cannot_be_learned_from_is_refused_by_its_pointer(void **state)
{
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    job_refused(&tree, OF(ONE LIBRARY), "/params/library", "no measurements of nasbench201");
    job_make_library();
    job_accepted(&tree, OF(ONE LIBRARY));
    job_accepted(&tree, OF(ONE ",\"library\":[\"two\"]"));
    job_refused(&tree, OF(ONE ",\"library\":[\"Two\",\"Nine\"]"), "/params/library/1",
                "no measurements of \"Nine\"");
    (void)write_text(JOB_TREE "measurements/Four.csv", "111111,1\n111119,2\n");
    job_refused(&tree, OF(ONE LIBRARY), "/params/library", "measurements/Four.csv: line 2");
    job_accepted(&tree, OF(ONE ",\"library\":[\"Two\"]"));
}

static void what_a_library_teaches_is_in_the_version(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    struct model model = {0};

    (void)state;
    job_make_tree(&tree);
    job_make_library();
    job_succeeds(&tree, OF(ONE LIBRARY ",\"input\":\"1x3x32x32\",\"runtime\":\"TFLite\""), &result);
    assert_contains(
        result.bytes,
        "\"conditions\":{\"input\":\"1x3x32x32\",\"runtime\":\"TFLite\"},"
        "\"library\":{\"n_rows\":96,\"n_draws\":10,\"devices\":[{\"device\":\"Four\","
        "\"n_rows\":48,\"has_sheet\":false,\"figures\":[{\"measurements\":0,\"spearman\":");
    assert_contains(result.bytes, "{\"device\":\"Two\",\"n_rows\":48,\"has_sheet\":true,");
    assert_contains(result.bytes, "{\"measurements\":50,\"spearman\":null,\"r\":null,");
    decode_model(&result, &model);
    assert_non_null(model.prior);
    assert_int_equal(model.prior->n_devices, 2);
    assert_string_equal(model.info.library.devices[0], "Four");
    assert_int_equal(model.info.library.n_rows, 96);
    assert_true(model.info.library.spearman[1] > 0.5);
    assert_string_equal(model.info.conditions.runtime, "TFLite");
    model_close(&model);
    text_close(&result);
}

static void without_data_the_served_predictor_is_taken_over(void **state)
{
    static const char json[] =
        "{\"kind\":\"train\",\"search_space\":\"nasbench201\",\"params\":{\"library\":true}}";
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_make_library();
    assert_int_equal(unlink(own_path(JOB_TREE "net.txt")), 0);
    job_refused(&tree, "{\"kind\":\"train\",\"search_space\":\"nasbench201\",\"params\":{}}",
                "/search_space", "make data FROM=");
    job_serve_model(&predictor_kind_cost, version);
    job_accepted(&tree, json);
    job_refused(&tree, OF(ONE LIBRARY), "/search_space", "make data FROM=");
    job_succeeds(&tree, json, &result);
    assert_contains(result.bytes, "was taken over");
    assert_contains(result.bytes, version);
    assert_contains(result.bytes, "\"held_out\":null");
    text_close(&result);
}

static void without_data_and_predictor_the_library_teaches_both(void **state)
{
    static const char json[] =
        "{\"kind\":\"train\",\"search_space\":\"nasbench201\",\"params\":{\"library\":true}}";
    struct data_tree tree;
    struct text result = {0};
    struct model model = {0};

    (void)state;
    job_make_tree(&tree);
    job_make_library();
    assert_int_equal(unlink(own_path(JOB_TREE "net.txt")), 0);
    job_accepted(&tree, json);
    job_succeeds(&tree, json, &result);
    assert_contains(result.bytes, "nothing to train on but the library");
    decode_model(&result, &model);
    assert_string_equal(model.info.source, TRAINING_OF_LIBRARY);
    assert_int_equal(model.info.n_rows, 96);
    assert_int_equal(model.info.n_devices, 2);
    assert_true(model.info.r_held_out > 0.3);
    assert_non_null(model.prior);
    model_close(&model);
    text_close(&result);
}

static void a_stopped_run_with_a_library_leaves_nothing(void **state)
{
    struct data_tree tree;

    (void)state;
    job_make_tree(&tree);
    job_make_library();
    job_stops(&tree, OF(ONE LIBRARY), "result", false);
}

static int init(void **state)
{
    (void)state;
    return matrix_init(NULL) == ERR_OK ? 0 : 1;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(what_cannot_be_trained_is_refused_by_its_pointer),
        directory_test(more_rows_than_a_predictor_takes_are_refused),
        directory_test(a_run_makes_a_version_and_nothing_else),
        directory_test(a_stopped_run_leaves_nothing),
        directory_test(a_training_goes_on_from_its_checkpoint),
        directory_test(a_checkpoint_of_other_data_is_not_gone_on_from),
        directory_test(a_version_is_served_where_it_is_no_worse),
        directory_test(an_equal_version_is_no_worse_though_what_is_served_was_rounded_up),
        directory_test(a_version_of_unknown_worth_is_not_served_in_place_of_a_known_one),
        directory_test(a_version_that_is_served_already_is_left_alone),
        directory_test(a_version_that_cannot_be_served_is_an_error),
        directory_test(removing_takes_the_files_of_that_job_alone),
        directory_test(a_library_that_cannot_be_learned_from_is_refused_by_its_pointer),
        directory_test(what_a_library_teaches_is_in_the_version),
        directory_test(without_data_the_served_predictor_is_taken_over),
        directory_test(without_data_and_predictor_the_library_teaches_both),
        directory_test(a_stopped_run_with_a_library_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, init, NULL);
}

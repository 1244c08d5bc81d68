/* server/job_nas.c: what is refused before it runs, what it finds, and what a stopped run leaves. */
#include "core/matrix.h"
#include "core/table.h"
#include "tests/support/job.h"

#define FILES        "result/nasbench201/jobs"
#define RESULT       FILES "/" JOB_ID "/result.json"
#define OF(params)   "{\"kind\":\"nas\",\"search_space\":\"nasbench201\",\"params\":{" params "}}"
#define LIMIT(ms)    ",\"export\":[],\"latency_constraint_ms\":" ms
#define DEVICE(name) "\"device\":\"" name "\""

/* The tree with a table of accuracies: those rows of net.txt, the later the better, but for row 20,
 * which is as good as row 10. */
static void make_tree(struct data_tree *tree)
{
    char net[1024];
    char acc[1024] = "";
    FILE *fp;
    size_t size;

    job_make_tree(tree);
    fp = fopen(own_path(JOB_TREE "net.txt"), "rb");
    assert_non_null(fp);
    size = fread(net, 1, sizeof net, fp);
    (void)fclose(fp);
    (void)write_bytes(JOB_TREE "NAS/net.txt", net, size);
    for (size_t row = 0; row < JOB_ROWS; row++) {
        (void)snprintf(acc + strlen(acc), sizeof acc - strlen(acc), "%zu.25\n",
                       50 + (row == 20 ? 10 : row));
    }
    (void)write_text(JOB_TREE "NAS/acc.txt", acc);
}

static void what_cannot_be_searched_is_refused_by_its_pointer(void **state)
{
    struct data_tree tree;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    job_make_tree(&tree);
    job_refused(&tree, OF(DEVICE("One") LIMIT("40")), "/search_space", "no served model");
    job_serve_model(&predictor_kind_cost, version);
    job_refused(&tree, OF(DEVICE("One") LIMIT("40")), "/search_space",
                "there is nothing to tell the accuracy of nasbench201 by");
    make_tree(&tree);
    job_accepted(&tree, OF(DEVICE("0NE") LIMIT("40")));
    job_accepted(&tree, OF("\"hardware\":[2,3,1,7.46]" LIMIT("40")));
    job_refused(&tree, OF(DEVICE("Nine") LIMIT("40")), "/params/device", "no device \"Nine\"");
    (void)write_text(JOB_TREE "NAS/acc.txt", "1\n2\n");
    job_refused(&tree, OF(DEVICE("One") LIMIT("40")), "/search_space",
                "data/nasbench201/NAS/acc.txt");
    (void)write_text(JOB_TREE "NAS/net.txt", "1 1 1 1 1 1\n1 1 1 1 1 2\n");
    (void)write_text(JOB_TREE "NAS/acc.txt", "1\n100.5\n");
    job_refused(&tree, OF(DEVICE("One") LIMIT("40")), "/search_space",
                "acc.txt:2: an accuracy is at most 100 %, not 100.5");
    assert_int_equal(unlink(own_path(JOB_TREE "NAS/acc.txt")), 0);
    job_refused(&tree, OF(DEVICE("One") LIMIT("40")), "/search_space",
                "there is nothing to tell the accuracy of nasbench201 by");
    make_tree(&tree);
    job_refused(&tree, OF(DEVICE("One") LIMIT("40") ",\"version\":\"none\""), "/params/version",
                "none");
    job_refused(&tree,
                OF("\"targets\":[{\"device\":\"One\",\"latency_constraint_ms\":4},"
                   "{\"device\":\"Nine\",\"latency_constraint_ms\":4}]"),
                "/params/targets/1/device", "no device \"Nine\"");
}

static void what_was_trained_twice_has_the_mean_of_its_accuracies(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    (void)write_text(JOB_TREE "NAS/net.txt", "1 1 1 1 1 1\n1 1 1 1 1 2\n1 1 1 1 1 1\n");
    (void)write_text(JOB_TREE "NAS/acc.txt", "50\n54\n60\n");
    job_succeeds(&tree, OF(DEVICE("One") LIMIT("1e9")), &result);
    assert_contains(result.bytes, "\"architecture\":[1,1,1,1,1,1]");
    assert_contains(result.bytes, "\"accuracy\":55,");
    text_close(&result);
}

/* The value of a number of the result. */
static double number(const struct text *result, const char *name)
{
    char member[64];
    const char *at;

    (void)snprintf(member, sizeof member, "\"%s\":", name);
    at = strstr(result->bytes, member);
    assert_non_null(at);
    return strtod(at + strlen(member), NULL);
}

/* With room for all, the last row is the most accurate; the file tells what the result does. */
static void a_run_finds_the_best_and_leaves_it_in_a_file(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];
    char expected[128];
    char held[4096];
    int32_t genes[JOB_GENES];
    double a;

    (void)state;
    make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_succeeds(&tree, OF(DEVICE("0ne") LIMIT("1e9") ",\"seed\":3"), &result);
    job_genes(JOB_ROWS - 1, genes);
    (void)snprintf(expected, sizeof expected,
                   "\"feasible\":true,\"architecture\":[%d,%d,%d,%d,%d,%d],\"notation\":\"|",
                   (int)genes[0], (int)genes[1], (int)genes[2], (int)genes[3], (int)genes[4],
                   (int)genes[5]);
    assert_contains(result.bytes, expected);
    assert_contains(result.bytes, "{\"search_space\":\"nasbench201\",\"device\":\"One\","
                                  "\"hardware\":{\"frequency_ghz\":1,");
    assert_contains(result.bytes, "\"latency_constraint_ms\":1e+09,\"objective\":");
    assert_contains(result.bytes, "\"predictor\":\"cost\",");
    assert_contains(result.bytes, "\"accuracy_source\":{\"source\":\"table\",\"n_rows\":24}");
    assert_contains(result.bytes, version);
    assert_contains(result.bytes,
                    "\"n_evaluated\":24,\"files\":[\"nasbench201/jobs/" JOB_ID "/result.json\","
                    "\"nasbench201/jobs/" JOB_ID "/plot.svg\"]}");
    assert_near(number(&result, "accuracy"), 73.25, 1e-9);
    {
        struct model model = {0};
        char path[PATH_BYTES];
        assert_ok(model_store_path(check_directory, &space_nasbench201, path, NULL), NULL);
        assert_ok(model_store_load(path, &space_nasbench201, &model, NULL, NULL), NULL);
        assert_ok(predictor_predict(model.predictor, genes, 1, &a, NULL, NULL), NULL);
        model_close(&model);
    }
    assert_near_relative(number(&result, "latency_ms"), 2.0 * a, 1e-5); /* k of One is 2 */
    assert_int_equal(count_files(own_path(FILES)), 2);
    (void)snprintf(held, sizeof held, "%.*s,\"history\":[]}\n",
                   (int)(strstr(result.bytes, ",\"files\"") - result.bytes), result.bytes);
    assert_true(file_holds(own_path(RESULT), held));
    assert_int_equal(job_files_remove(check_directory, &space_nasbench201, JOB_ID, NULL), ERR_OK);
    assert_int_equal(count_files(own_path(FILES)), 0);
    text_close(&result);
}

static void a_limit_is_kept_and_where_none_keeps_it_that_is_told(void **state)
{
    struct data_tree tree;
    struct text all = {0};
    struct text some = {0};
    struct text none = {0};
    char version[MODEL_VERSION_BYTES];
    char json[256];

    (void)state;
    make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_succeeds(&tree, OF(DEVICE("One") LIMIT("1e9")), &all);
    (void)snprintf(json, sizeof json, OF(DEVICE("One") LIMIT("%.17g")),
                   0.999 * number(&all, "latency_ms"));
    job_succeeds(&tree, json, &some);
    assert_contains(some.bytes, "\"feasible\":true");
    assert_true(number(&some, "latency_ms") <= 0.999 * number(&all, "latency_ms"));
    assert_true(number(&some, "accuracy") < number(&all, "accuracy"));
    job_succeeds(&tree, OF(DEVICE("One") LIMIT("0.001")), &none);
    assert_contains(none.bytes,
                    "\"feasible\":false,\"architecture\":null,\"notation\":null,"
                    "\"accuracy\":null,\"macs\":null,\"params\":null,\"latency_ms\":null,"
                    "\"interval_ms\":null,\"interval\":0.9,\"fastest\":{");
    assert_true(number(&none, "lowest_latency_ms") > 0.001);
    assert_near(number(&none, "lowest_latency_ms"), number(&all, "lowest_latency_ms"), 0);
    text_close(&all);
    text_close(&some);
    text_close(&none);
}

static void hardware_alone_has_no_name(void **state)
{
    struct data_tree tree;
    struct text result = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    make_tree(&tree);
    job_serve_model(&predictor_kind_mlp, version);
    job_succeeds(&tree, OF("\"hardware\":[2,3,1,7.46]" LIMIT("1e9")), &result);
    assert_contains(result.bytes, "\"device\":null,\"hardware\":{\"frequency_ghz\":2,"
                                  "\"dispatch_width\":3,\"cache_mb\":1,"
                                  "\"memory_bandwidth_gbs\":7.46},");
    assert_contains(result.bytes, "\"predictor\":\"mlp\"");
    text_close(&result);
}

static void a_stopped_run_leaves_nothing(void **state)
{
    struct data_tree tree;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_stops_everywhere(&tree, OF(DEVICE("One") LIMIT("1e9")), FILES);
}

static void a_run_after_a_kill_leaves_the_same_file(void **state)
{
    struct data_tree tree;
    struct text first = {0};
    struct text second = {0};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    make_tree(&tree);
    job_serve_model(&predictor_kind_cost, version);
    job_succeeds(&tree, OF(DEVICE("One") LIMIT("1e9")), &first);
    (void)write_text(RESULT, "{}");
    (void)write_text(FILES "/" JOB_ID "/.result.json.staged", "{");
    job_succeeds(&tree, OF(DEVICE("One") LIMIT("1e9")), &second);
    assert_string_equal(first.bytes, second.bytes);
    assert_false(file_holds(own_path(RESULT), "{}"));
    assert_int_equal(count_files(own_path(FILES)), 2);
    text_close(&first);
    text_close(&second);
}

/* A run in a tree, of these params. */
struct attempt {
    struct data_tree tree;
    struct job_nas_params params;
};

static enum err run_once(void *context, struct error *err)
{
    const struct attempt *attempt = context;
    struct job_watch watch = {0};
    struct text result = {0};
    const struct job_env env = job_watch_env(&watch, &attempt->tree);
    const struct job_order order = {
        .kind = JOB_NAS, .space = &space_nasbench201, .params.nas = attempt->params};
    enum err rc = job_nas_run(&env, &order, &result, err);

    if (rc == ERR_OK && result.has_failed) { /* which the engine looks at */
        rc = error_set(err, ERR_NOMEM, "no memory for the result");
    }
    text_close(&result);
    return rc;
}

static void running_out_of_memory_is_told_and_leaves_nothing(void **state)
{
    static struct attempt a;
    char version[MODEL_VERSION_BYTES];

    (void)state;
    make_tree(&a.tree);
    job_serve_model(&predictor_kind_cost, version);
    a.params = (struct job_nas_params){.targets = {{.device = "One", .latency_constraint_ms = 1e9}},
                                       .n_targets = 1};
    fail_each_allocation(run_once, &a);
}

/* By what is stored of one of two targets, and by what comes with the order. */
static void running_out_of_memory_with_measurements_is_told_and_leaves_nothing(void **state)
{
    static struct attempt a;
    int32_t genes[3 * JOB_GENES];
    double ms[] = {30.0, 31.0, 35.5};
    char version[MODEL_VERSION_BYTES];

    (void)state;
    make_tree(&a.tree);
    job_make_library();
    job_serve_model(&predictor_kind_cost, version);
    a.params = (struct job_nas_params){
        .targets = {{.device = "four", .latency_constraint_ms = 1e9},
                    {.device = "One", .latency_constraint_ms = 1e9}},
        .n_targets = 2,
        .calibrate = true,
    };
    fail_each_allocation(run_once, &a);
    for (size_t i = 0; i < COUNT_OF(ms); i++) {
        job_genes(i, genes + i * JOB_GENES);
    }
    a.params = (struct job_nas_params){
        .targets = {{.latency_constraint_ms = 1e9}},
        .n_targets = 1,
        .measured_genes = genes,
        .measured_ms = ms,
        .n_measured = COUNT_OF(ms),
    };
    fail_each_allocation(run_once, &a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(what_cannot_be_searched_is_refused_by_its_pointer),
        directory_test(what_was_trained_twice_has_the_mean_of_its_accuracies),
        directory_test(a_run_finds_the_best_and_leaves_it_in_a_file),
        directory_test(a_limit_is_kept_and_where_none_keeps_it_that_is_told),
        directory_test(hardware_alone_has_no_name),
        directory_test(a_stopped_run_leaves_nothing),
        directory_test(a_run_after_a_kill_leaves_the_same_file),
        directory_test(running_out_of_memory_is_told_and_leaves_nothing),
        directory_test(running_out_of_memory_with_measurements_is_told_and_leaves_nothing),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

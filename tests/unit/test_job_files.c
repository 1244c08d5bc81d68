/* server/job_files.h: each attempt of a job has files of its own, so that one that lost the job, and
 * goes on, harms nothing of its successor's. */
#include "core/file.h"
#include "tests/support/job.h"

#define RESULTS  "result/nasbench201/jobs/" JOB_ID
#define MODELS   "result/nasbench201/models"
#define OTHER_ID "01890a5d-ac96-774b-bcce-b302099a8058"

static void attempts_have_names_of_their_own(void **state)
{
    char path[PATH_BYTES];
    char name[MODEL_NAME_BYTES];
    char id[JOB_ID_BYTES];
    struct error err = {0};

    (void)state;
    assert_ok(job_directory("/r", &space_fbnetv3, JOB_ID, 1, path, &err), &err);
    assert_string_equal(path, "/r/result/fbnetv3/jobs/" JOB_ID);
    assert_ok(job_directory("/r", &space_fbnetv3, JOB_ID, 12, path, &err), &err);
    assert_string_equal(path, "/r/result/fbnetv3/jobs/" JOB_ID "/attempt-12");
    assert_ok(job_model_name("cost-0123456789ab", JOB_ID, 1, name, &err), &err);
    assert_string_equal(name, "cost-0123456789ab-job-" JOB_ID);
    assert_ok(job_model_name("cost-0123456789ab", JOB_ID, 1000, name, &err), &err);
    assert_string_equal(name, "cost-0123456789ab-job-" JOB_ID "-1000");
    assert_ok(model_name_validate(name, &err), &err);
    assert_error(job_model_name("cost-0123456789abcdef0123", JOB_ID, 100, name, &err), ERR_LIMIT,
                 &err, "too long");
    assert_int_equal(job_model_attempt("cost-0-job-" JOB_ID ".safetensors", id), 1);
    assert_string_equal(id, JOB_ID);
    assert_int_equal(job_model_attempt("cost-0-job-" JOB_ID "-12.safetensors", id), 12);
}

static void other_files_are_of_no_attempt(void **state)
{
    static const char *const names[] = {
        "cost-0.safetensors",
        "cost-0-job-.safetensors",
        "cost-0-job-01890a5d.safetensors",
        "cost-0-job-" JOB_ID,
        "cost-0-job-" JOB_ID ".safetensors.tmp",
        "cost-0-job-" JOB_ID "-.safetensors",
        "cost-0-job-" JOB_ID "-0.safetensors",
        "cost-0-job-" JOB_ID "-1x.safetensors",
        "cost-0-job-" JOB_ID "-99999999999.safetensors",
        "cost-0-job-" JOB_ID "-9999999999999999999999999.safetensors",
        "cost-0-job-" JOB_ID "12.safetensors",
    };
    char id[JOB_ID_BYTES];

    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_int_equal(job_model_attempt(names[i], id), 0);
    }
}

static void make_files(void)
{
    (void)write_text(RESULTS "/result.json", "1");
    (void)write_text(RESULTS "/attempt-2/result.json", "2");
    (void)write_text(RESULTS "/attempt-2/training-0.checkpoint", "2");
    (void)write_text(RESULTS "/attempt-10/result.json", "10");
    (void)write_text(MODELS "/cost-0-job-" JOB_ID ".safetensors", "1");
    (void)write_text(MODELS "/cost-0-job-" JOB_ID "-2.safetensors", "2");
    (void)write_text(MODELS "/cost-0-job-" JOB_ID "-10.safetensors", "10");
    (void)write_text(MODELS "/cost-0-job-" OTHER_ID "-2.safetensors", "0");
}

static bool is_there(const char *name)
{
    return access(own_path(name), F_OK) == 0;
}

static void removing_takes_the_files_of_those_attempts_alone(void **state)
{
    const char *root = check_directory;
    struct error err = {0};

    (void)state;
    make_files();
    assert_ok(job_files_remove_attempts(root, &space_nasbench201, JOB_ID, 2, 9, &err), &err);
    assert_int_equal(count_files(own_path("result")), 5);
    assert_true(is_there(RESULTS "/result.json") && !is_there(RESULTS "/attempt-2"));
    assert_ok(job_files_remove_attempts(root, &space_nasbench201, JOB_ID, 1, 1, &err), &err);
    assert_int_equal(count_files(own_path("result")), 3);
    assert_true(is_there(RESULTS "/attempt-10/result.json"));
    assert_ok(job_models_remove_attempts(root, &space_nasbench201, JOB_ID, 1, 10, &err), &err);
    assert_int_equal(count_files(own_path("result")), 2);
    assert_ok(job_files_remove_attempts(root, &space_nasbench201, JOB_ID, 10, 10, &err), &err);
    assert_false(is_there(RESULTS)); /* with the last of them goes the job's own */
    make_files();
    assert_ok(job_results_remove_attempts(root, &space_nasbench201, JOB_ID, 1, 9, &err), &err);
    assert_int_equal(count_files(own_path("result")), 5);
    assert_ok(job_files_remove(root, &space_nasbench201, JOB_ID, &err), &err);
    assert_int_equal(count_files(own_path("result")), 1);
    assert_error(job_files_remove_attempts(root, &space_nasbench201, "../x", 1, 2, &err),
                 ERR_INVALID, &err, "no job's id");
}

/* ---- two runs of one job --------------------------------------------------------------------- */

static const char *const orders[] = {
    "{\"kind\":\"test\",\"search_space\":\"nasbench201\"}",
    "{\"kind\":\"train\",\"search_space\":\"nasbench201\",\"params\":{\"train_devices\":[\"One\"]}"
    "}",
    "{\"kind\":\"train\",\"search_space\":\"nasbench201\",\"params\":{\"train_devices\":[\"One\"],"
    "\"predictor\":\"mlp\",\"epoch\":1001}}",
    "{\"kind\":\"nas\",\"search_space\":\"nasbench201\",\"params\":{\"device\":\"One\","
    "\"latency_constraint_ms\":1e9}}",
};

/* With accuracies, and a model that is served. */
static void make_tree(struct data_tree *tree)
{
    char version[MODEL_VERSION_BYTES];
    char *net = NULL;
    size_t size;

    job_make_tree(tree);
    assert_int_equal(file_read(own_path(JOB_TREE "net.txt"), 4096, &net, &size, NULL), ERR_OK);
    (void)write_bytes(JOB_TREE "NAS/net.txt", net, size);
    (void)write_text(JOB_TREE "NAS/acc.txt",
                     "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n21\n"
                     "22\n23\n24\n");
    mem_free(net);
    job_serve_model(&predictor_kind_cost, version);
}

/* Other data and another model, so that a run from now on comes to something else. */
static void change_tree(void)
{
    char version[MODEL_VERSION_BYTES];

    (void)write_text(JOB_TREE "a.txt",
                     "9\n8\n7\n6\n5\n4\n3\n2\n1\n9\n8\n7\n6\n5\n4\n3\n2\n1\n9\n8\n7\n6\n5\n4\n");
    job_serve_model(&predictor_kind_mlp, version);
}

/* Where the first attempt's process is stopped for so long that the second attempt begins and ends. */
enum stall { STALL_AT_BEGIN, STALL_AT_COMMIT };

struct stalling {
    struct job_watch watch; /* first: it is the context */
    const struct data_tree *tree;
    const char *json;
    enum stall where;
    bool has_stalled;
    struct text second; /* result of the second attempt */
};

static void stall(struct stalling *s)
{
    struct job_watch watch = {.attempt = 2};
    struct error err = {0};

    s->has_stalled = true;
    change_tree();
    assert_ok(job_try(s->tree, s->json, &watch, &s->second, &err), &err);
}

static bool report(void *context, const struct job_progress *progress)
{
    struct stalling *s = context;

    if (s->where == STALL_AT_BEGIN && !s->has_stalled) {
        stall(s);
    }
    return job_watch_report(&s->watch, progress);
}

static bool may_commit(void *context)
{
    struct stalling *s = context;

    if (s->where == STALL_AT_COMMIT) {
        stall(s); /* it may, and then is stopped before it does */
    }
    return job_watch_commit(&s->watch);
}

/* Every file that a result names, one after the other. */
static void read_files(const struct text *result, struct text *out)
{
    const char *at = strstr(result->bytes, "\"files\":[");

    assert_non_null(at);
    at += sizeof "\"files\":[" - 1;
    while (*at == '"' || *at == ',') {
        char path[256];
        char *bytes = NULL;
        size_t size;
        at += strspn(at, "\",");
        (void)snprintf(path, sizeof path, "result/%.*s", (int)strcspn(at, "\""), at);
        at += strcspn(at, "\"") + 1;
        assert_int_equal(file_read(own_path(path), 1 << 26, &bytes, &size, NULL), ERR_OK);
        text_printf(out, "%s %zu\n", path, size);
        text_put(out, bytes, size);
        mem_free(bytes);
    }
    assert_false(out->has_failed);
    assert_true(out->size > 0);
}

static void check_stall(const char *json, enum stall where, bool is_commit_refused)
{
    struct data_tree tree;
    struct stalling s = {
        .watch = {.attempt = 1, .is_commit_refused = is_commit_refused},
        .tree = &tree,
        .json = json,
        .where = where
    };
    struct job_env env;
    struct job_order order = {0};
    struct text first = {0};
    struct text before = {0};
    struct text after = {0};
    size_t n_files;
    struct error err = {0};
    enum err rc;

    make_tree(&tree);
    env = job_watch_env(&s.watch, &tree);
    env.report = report;
    env.may_commit = may_commit;
    job_read(json, &order);
    rc = job_kinds[order.kind].run(&env, &order, &first, &err);
    if (is_commit_refused) {
        assert_int_equal(rc, ERR_CANCELED);
    } else { /* its successor may have cleared away what it had staged */
        assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
    }
    assert_true(s.has_stalled);
    read_files(&s.second, &before);
    /* what it made is removed when the store has refused its end; then nothing is left of it */
    assert_int_equal(
        job_files_remove_attempts(check_directory, &space_nasbench201, JOB_ID, 1, 1, NULL), ERR_OK);
    read_files(&s.second, &after);
    assert_int_equal(before.size, after.size);
    assert_memory_equal(before.bytes, after.bytes, before.size);
    n_files = count_files(own_path("result"));
    assert_int_equal(
        job_files_remove_attempts(check_directory, &space_nasbench201, JOB_ID, 2, 2, NULL), ERR_OK);
    assert_true(count_files(own_path("result")) < n_files);
    assert_false(is_there(RESULTS));
    text_close(&before);
    text_close(&after);
    text_close(&first);
    text_close(&s.second);
    job_order_close(&order);
    remove_tree(own_path("result"));
}

static void a_run_that_stalls_before_it_commits_changes_nothing_of_its_successor(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        check_stall(orders[i], STALL_AT_COMMIT, false);
    }
}

static void a_run_that_stalls_before_it_clears_away_changes_nothing_of_its_successor(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        check_stall(orders[i], STALL_AT_BEGIN, true);
    }
}

/* The second attempt writes over what the first one left, by a name of its own. */
static void a_later_attempt_clears_away_what_earlier_ones_left(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct job_watch watches[] = {{.attempt = 1}, {.attempt = 2}, {.attempt = 5}};
        struct data_tree tree;
        size_t n_files = 0;
        make_tree(&tree);
        for (size_t k = 0; k < COUNT_OF(watches); k++) {
            struct text result = {0};
            struct text files = {0};
            struct error err = {0};
            assert_ok(job_try(&tree, orders[i], &watches[k], &result, &err), &err);
            read_files(&result, &files);
            n_files = k == 0 ? count_files(own_path("result")) : n_files;
            assert_int_equal(count_files(own_path("result")), n_files);
            text_close(&result);
            text_close(&files);
        }
        remove_tree(own_path("result"));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(attempts_have_names_of_their_own),
        directory_test(other_files_are_of_no_attempt),
        directory_test(removing_takes_the_files_of_those_attempts_alone),
        directory_test(a_run_that_stalls_before_it_commits_changes_nothing_of_its_successor),
        directory_test(a_run_that_stalls_before_it_clears_away_changes_nothing_of_its_successor),
        directory_test(a_later_attempt_clears_away_what_earlier_ones_left),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/infer_stats.h: counts that many threads add to, and what is told of them. */
#include <jansson.h>

#include "server/infer_stats.h"
#include "tests/support/check.h"

static struct infer_stats stats;

/* The answer, parsed; to be given back. */
static json_t *tell(const struct space *space, const char *version)
{
    struct text text = {0};
    json_error_t why;
    json_t *root;

    infer_stats_encode(&stats, space, version, &text);
    assert_false(text.has_failed);
    root = json_loadb(text.bytes, text.size, 0, &why);
    assert_non_null(root);
    assert_int_equal(json_object_size(root), 1);
    text_close(&text);
    return root;
}

static json_t *entry(json_t *root, size_t i)
{
    return json_array_get(json_object_get(root, "model_stats"), i);
}

static size_t n_entries(json_t *root)
{
    return json_array_size(json_object_get(root, "model_stats"));
}

static void check_duration(json_t *parent, const char *name, json_int_t count, json_int_t ns)
{
    json_t *duration = json_object_get(parent, name);

    assert_int_equal(json_object_size(duration), 2);
    assert_int_equal(json_integer_value(json_object_get(duration, "count")), count);
    assert_int_equal(json_integer_value(json_object_get(duration, "ns")), ns);
}

static json_int_t whole(json_t *parent, const char *name)
{
    assert_true(json_is_integer(json_object_get(parent, name)));
    return json_integer_value(json_object_get(parent, name));
}

static void requests_are_added_up(void **state)
{
    const struct infer_record first = {true, 10, 1000, 100, 200, 300, 400};
    const struct infer_record second = {true, 3, 2000, 1, 2, 3, 4};
    const struct infer_record third = {true, 10, 10, 1, 1, 1, 1};
    const struct infer_record failed = {.total_ns = 77, .n_inferences = 5, .input_ns = 9};
    json_t *root;
    json_t *one;
    json_t *batches;

    (void)state;
    infer_stats_add(&stats, &space_nasbench201, "cost-1", &first);
    infer_stats_add(&stats, &space_nasbench201, "cost-1", &second);
    infer_stats_add(&stats, &space_nasbench201, "cost-1", &third);
    infer_stats_add(&stats, &space_nasbench201, "cost-1", &failed);
    root = tell(NULL, NULL);
    assert_int_equal(n_entries(root), 1);
    one = entry(root, 0);
    assert_int_equal(json_object_size(one), 7);
    assert_string_equal(json_string_value(json_object_get(one, "name")), "nasbench201");
    assert_string_equal(json_string_value(json_object_get(one, "version")), "cost-1");
    assert_true(whole(one, "last_inference") > 1500000000000);
    assert_int_equal(whole(one, "inference_count"), 23);
    assert_int_equal(whole(one, "execution_count"), 3);
    batches = json_object_get(one, "batch_stats");
    one = json_object_get(one, "inference_stats");
    assert_int_equal(json_object_size(one), 8);
    check_duration(one, "success", 3, 3010);
    check_duration(one, "fail", 1, 77);
    check_duration(one, "queue", 3, 102);
    check_duration(one, "compute_input", 3, 203);
    check_duration(one, "compute_infer", 3, 304);
    check_duration(one, "compute_output", 3, 405);
    check_duration(one, "cache_hit", 0, 0);
    check_duration(one, "cache_miss", 0, 0);
    assert_int_equal(json_array_size(batches), 2);
    assert_int_equal(whole(json_array_get(batches, 0), "batch_size"), 10);
    assert_int_equal(json_object_size(json_array_get(batches, 0)), 4);
    check_duration(json_array_get(batches, 0), "compute_input", 2, 201);
    check_duration(json_array_get(batches, 0), "compute_infer", 2, 301);
    check_duration(json_array_get(batches, 0), "compute_output", 2, 401);
    assert_int_equal(whole(json_array_get(batches, 1), "batch_size"), 3);
    json_decref(root);
}

static void versions_and_spaces_are_told_apart(void **state)
{
    const struct infer_record record = {.is_success = true, .n_inferences = 1};
    json_t *root;

    (void)state;
    infer_stats_add(&stats, &space_nasbench201, "cost-1", &record);
    infer_stats_know(&stats, &space_nasbench201, "mlp-2");
    infer_stats_know(&stats, &space_nasbench201, "mlp-2");
    infer_stats_add(&stats, &space_fbnetv3, "cost-1", &record);
    root = tell(NULL, NULL);
    assert_int_equal(n_entries(root), 3);
    json_decref(root);
    root = tell(&space_nasbench201, NULL);
    assert_int_equal(n_entries(root), 2);
    assert_int_equal(whole(entry(root, 0), "inference_count"), 1);
    assert_int_equal(whole(entry(root, 1), "inference_count"), 0);
    assert_int_equal(whole(entry(root, 1), "last_inference"), 0);
    assert_int_equal(json_array_size(json_object_get(entry(root, 1), "batch_stats")), 0);
    json_decref(root);
    root = tell(&space_nasbench201, "mlp-2");
    assert_int_equal(n_entries(root), 1);
    json_decref(root);
    root = tell(&space_fbnetv3, "mlp-2");
    assert_int_equal(n_entries(root), 0);
    json_decref(root);
}

static void more_versions_and_batch_sizes_than_places_are_counted_together(void **state)
{
    json_t *root;

    (void)state;
    for (size_t i = 0; i < INFER_STATS_VERSIONS + 9; i++) {
        const struct infer_record record = {.is_success = true, .n_inferences = 1};
        char version[16];
        (void)snprintf(version, sizeof version, "cost-%zu", i);
        infer_stats_add(&stats, &space_fbnetv3, version, &record);
    }
    for (size_t n = 0; n < INFER_STATS_BATCHES + 9; n++) {
        const struct infer_record record = {.is_success = true, .n_inferences = n};
        infer_stats_add(&stats, &space_fbnetv3, "cost-0", &record);
    }
    root = tell(&space_fbnetv3, NULL);
    assert_int_equal(n_entries(root), INFER_STATS_VERSIONS);
    assert_int_equal(whole(entry(root, 0), "execution_count"), INFER_STATS_BATCHES + 10);
    assert_int_equal(json_array_size(json_object_get(entry(root, 0), "batch_stats")),
                     INFER_STATS_BATCHES);
    assert_string_equal(
        json_string_value(json_object_get(entry(root, INFER_STATS_VERSIONS - 1), "version")),
        "others");
    assert_int_equal(whole(entry(root, INFER_STATS_VERSIONS - 1), "execution_count"), 10);
    json_decref(root);
}

enum { N_THREADS = 4, N_TIMES = IS_SANITIZED ? 2000 : 20000 };

static void *add_many(void *context)
{
    (void)context;
    for (uint64_t i = 0; i < N_TIMES; i++) {
        const struct infer_record record = {i % 4 != 3, i % 7, 1, 1, 1, 1, 1};
        char version[16];
        (void)snprintf(version, sizeof version, "cost-%d", (int)(i % 5));
        infer_stats_add(&stats, &space_nasbench201, version, &record);
    }
    return NULL;
}

static void nothing_is_lost_between_threads(void **state)
{
    pthread_t threads[N_THREADS];
    json_t *root;
    json_int_t n_successes = 0;
    json_int_t n_batched = 0;

    (void)state;
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, NULL), 0);
    }
    for (size_t i = 0; i < 50; i++) {
        json_decref(tell(NULL, NULL));
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    root = tell(NULL, NULL);
    assert_int_equal(n_entries(root), 5);
    for (size_t i = 0; i < 5; i++) {
        json_t *batches = json_object_get(entry(root, i), "batch_stats");
        assert_int_equal(json_array_size(batches), 7);
        n_successes += whole(entry(root, i), "execution_count");
        for (size_t b = 0; b < 7; b++) {
            n_batched +=
                whole(json_object_get(json_array_get(batches, b), "compute_infer"), "count");
        }
    }
    assert_int_equal(n_successes, N_THREADS * N_TIMES / 4 * 3);
    assert_int_equal(n_batched, n_successes);
    json_decref(root);
}

static enum err init_once(void *context, struct error *err)
{
    struct infer_stats own;
    enum err rc = infer_stats_init(&own, err);

    (void)context;
    infer_stats_close(&own);
    return rc;
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    fail_each_allocation(init_once, NULL);
}

static int start(void **state)
{
    (void)count_blocks(state);
    return infer_stats_init(&stats, NULL) == ERR_OK ? 0 : -1;
}

static int stop(void **state)
{
    infer_stats_close(&stats);
    return check_blocks(state);
}

#define stats_test(name) cmocka_unit_test_setup_teardown(name, start, stop)

int main(void)
{
    const struct CMUnitTest tests[] = {
        stats_test(requests_are_added_up),
        stats_test(versions_and_spaces_are_told_apart),
        stats_test(more_versions_and_batch_sizes_than_places_are_counted_together),
        stats_test(nothing_is_lost_between_threads),
        counted_test(every_failing_allocation_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/counters.h: what the service counts of itself. */
#include <pthread.h>

#include "server/counters.h"
#include "server/routes.h"
#include "tests/support/check.h"

static struct counters *make(void)
{
    struct counters *counters = NULL;
    struct error err = {0};

    assert_ok(counters_create(&counters, &err), &err);
    return counters;
}

/* The value of a series in what is written; -1 where there is no such series. */
static double value_of(const struct counters *counters, const char *series)
{
    struct text text = {0};
    char line[200];
    const char *found;
    double value = -1;

    counters_encode(counters, &text);
    assert_false(text.has_failed);
    (void)snprintf(line, sizeof line, "\n%s ", series);
    found = strstr(text.bytes, line);
    if (found != NULL) {
        assert_null(strstr(found + 1, line)); /* each once */
        value = strtod(found + strlen(line), NULL);
    }
    text_close(&text);
    return value;
}

static const struct route *route_of(const char *method, const char *path)
{
    for (size_t i = 0; i < n_routes; i++) {
        if (strcmp(routes[i].path, path) == 0 && strcmp(routes[i].method, method) == 0) {
            return &routes[i];
        }
    }
    fail_msg("there is no %s %s", method, path);
    return NULL;
}

#define REQUESTS(route, method, code) \
    "dgld_http_requests_total{route=\"" route "\",method=\"" method "\",code=\"" code "\"}"
#define DURATION(part, labels) "dgld_http_request_duration_seconds_" part "{" labels "}"

static void requests_are_counted_by_route_method_and_status(void **state)
{
    struct counters *counters = make();
    const struct route *predict = route_of("POST", "/v1/predict");
    const struct route *health = route_of("GET", "/healthz");
    (void)state;
    assert_near(value_of(counters, REQUESTS("/v1/predict", "POST", "200")), -1, 0);
    counters_request(counters, predict, "POST", 200, 1000);
    counters_request(counters, predict, "POST", 200, 1000);
    counters_request(counters, predict, "POST", 422, 1000);
    counters_request(counters, health, "HEAD", 200, 1000);
    counters_request(counters, NULL, "DELETE", 404, 1000);
    assert_near(value_of(counters, REQUESTS("/v1/predict", "POST", "200")), 2, 0);
    assert_near(value_of(counters, REQUESTS("/v1/predict", "POST", "422")), 1, 0);
    assert_near(value_of(counters, REQUESTS("/healthz", "HEAD", "200")), 1, 0);
    assert_near(value_of(counters, REQUESTS("(none)", "DELETE", "404")), 1, 0);
    assert_near(value_of(counters, REQUESTS("/healthz", "GET", "200")), -1, 0);
    counters_destroy(counters);
}

/* Whatever method or status: a client makes no new labels. */
static void labels_are_bounded(void **state)
{
    struct counters *counters = make();
    (void)state;
    counters_request(counters, NULL, "BREW", 418, 1);
    counters_request(counters, NULL, "get", 1000000, 1);
    counters_request(counters, NULL, "", 0, 1);
    counters_request(counters, NULL, "x\"} 1\n", 599, 1);
    assert_near(value_of(counters, REQUESTS("(none)", "other", "other")), 4, 0);
    counters_destroy(counters);
}

static void every_route_has_its_series(void **state)
{
    struct counters *counters = make();
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        counters_request(counters, &routes[i], routes[i].method, 200, 1);
    }
    for (size_t i = 0; i < n_routes; i++) {
        char series[200];
        size_t n_of_path = 0;
        (void)snprintf(series, sizeof series,
                       "dgld_http_requests_total{route=\"%s\",method=\"%s\",code=\"200\"}",
                       routes[i].path, routes[i].method);
        assert_near(value_of(counters, series), 1, 0);
        for (size_t k = 0; k < n_routes; k++) {
            n_of_path += strcmp(routes[k].path, routes[i].path) == 0;
        }
        (void)snprintf(series, sizeof series,
                       "dgld_http_request_duration_seconds_count{route=\"%s\"}", routes[i].path);
        assert_near(value_of(counters, series), (double)n_of_path, 0);
    }
    counters_destroy(counters);
}

static void durations_fall_into_buckets_whose_bound_they_do_not_exceed(void **state)
{
    struct counters *counters = make();
    (void)state;
    counters_request(counters, NULL, "GET", 200, 0);
    counters_request(counters, NULL, "GET", 200, 10000);
    counters_request(counters, NULL, "GET", 200, 10001);
    counters_request(counters, NULL, "GET", 200, 1000000000);
    counters_request(counters, NULL, "GET", 200, 10000000000);
    counters_request(counters, NULL, "GET", 200, 10000000001);
#define BUCKET(le) DURATION("bucket", "route=\"(none)\",le=\"" le "\"")
    assert_near(value_of(counters, BUCKET("1e-05")), 2, 0);
    assert_near(value_of(counters, BUCKET("2.5e-05")), 3, 0);
    assert_near(value_of(counters, BUCKET("0.5")), 3, 0);
    assert_near(value_of(counters, BUCKET("1")), 4, 0);
    assert_near(value_of(counters, BUCKET("10")), 5, 0);
    assert_near(value_of(counters, BUCKET("+Inf")), 6, 0);
    assert_near(value_of(counters, DURATION("count", "route=\"(none)\"")), 6, 0);
    assert_near(value_of(counters, DURATION("sum", "route=\"(none)\"")), 21.000020002, 1e-12);
    counters_destroy(counters);
}

static void predictions_and_batches_are_counted(void **state)
{
    static const struct predictor cost = {&predictor_kind_cost, &space_nasbench201};
    static const struct predictor mlp = {&predictor_kind_mlp, &space_fbnetv3};
    struct counters *counters = make();
    (void)state;
#define PREDICTIONS(space, kind) \
    "dgld_predictions_total{search_space=\"" space "\",predictor=\"" kind "\"}"
    assert_near(value_of(counters, PREDICTIONS("nasbench201", "cost")), 0, 0);
    counters_predicted(counters, &cost, 1, 1);
    counters_predicted(counters, &cost, 16, 3);
    counters_predicted(counters, &mlp, 17, 1);
    counters_predicted(counters, &cost, 5000000, 1);
    assert_near(value_of(counters, PREDICTIONS("nasbench201", "cost")), 5000049, 0);
    assert_near(value_of(counters, PREDICTIONS("fbnetv3", "mlp")), 17, 0);
    assert_near(value_of(counters, PREDICTIONS("fbnetv3", "cost")), 0, 0);
    assert_near(value_of(counters, "dgld_batch_size_bucket{le=\"1\"}"), 1, 0);
    assert_near(value_of(counters, "dgld_batch_size_bucket{le=\"16\"}"), 2, 0);
    assert_near(value_of(counters, "dgld_batch_size_bucket{le=\"64\"}"), 3, 0);
    assert_near(value_of(counters, "dgld_batch_size_bucket{le=\"4194304\"}"), 3, 0);
    assert_near(value_of(counters, "dgld_batch_size_count"), 4, 0);
    assert_near(value_of(counters, "dgld_batch_size_sum"), 5000034, 0);
    counters_destroy(counters);
}

static void activations_and_refusals_are_counted(void **state)
{
    struct counters *counters = make();
    (void)state;
    counters_activated(counters, &space_fbnetv3);
    counters_activated(counters, &space_fbnetv3);
    counters_refused(counters, REFUSED_CONNECTIONS_OF_ADDRESS);
    assert_near(value_of(counters, "dgld_model_activations_total{search_space=\"fbnetv3\"}"), 2, 0);
    assert_near(value_of(counters, "dgld_model_activations_total{search_space=\"nasbench201\"}"), 0,
                0);
    assert_near(value_of(counters, "dgld_http_connections_refused_total{reason="
                                   "\"connections_per_address_max\"}"),
                1, 0);
    assert_near(
        value_of(counters, "dgld_http_connections_refused_total{reason=\"connections_max\"}"), 0,
        0);
    counters_destroy(counters);
}

static void ends_of_runs_are_counted_by_kind_and_outcome(void **state)
{
    struct counters *counters = make();
    (void)state;
    counters_job_run(counters, JOB_NAS, RUN_LOST);
    counters_job_run(counters, JOB_NAS, RUN_LOST);
    counters_job_run(counters, JOB_TRAIN, RUN_PUT_BACK);
    assert_near(value_of(counters, "dgld_job_runs_total{kind=\"nas\",outcome=\"lost\"}"), 2, 0);
    assert_near(value_of(counters, "dgld_job_runs_total{kind=\"train\",outcome=\"put_back\"}"), 1,
                0);
    assert_near(value_of(counters, "dgld_job_runs_total{kind=\"train\",outcome=\"lost\"}"), 0, 0);
    assert_near(value_of(counters, "dgld_job_runs_total{kind=\"test\",outcome=\"failed\"}"), 0, 0);
    counters_destroy(counters);
}

/* More threads than have a part of their own: the rest share one, and nothing is lost. */
enum { N_THREADS = 80, N_EACH = 2000 };

static void *count_many(void *counters)
{
    for (size_t i = 0; i < N_EACH; i++) {
        counters_request(counters, NULL, "GET", 200, 1000);
    }
    return NULL;
}

static void counts_of_all_threads_are_added(void **state)
{
    struct counters *counters = make();
    pthread_t threads[N_THREADS];
    (void)state;
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_create(&threads[t], NULL, count_many, counters), 0);
    }
    assert_at_least(value_of(counters, REQUESTS("(none)", "GET", "200")), -1); /* while they run */
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    assert_near(value_of(counters, REQUESTS("(none)", "GET", "200")), N_THREADS * N_EACH, 0);
    assert_near(value_of(counters, DURATION("sum", "route=\"(none)\"")), N_THREADS * N_EACH * 1e-6,
                1e-9);
    counters_destroy(counters);
}

static void without_memory_a_thread_counts_with_others(void **state)
{
    struct counters *counters = make();
    (void)state;
    mem_fail_after(1, 1);
    counters_request(counters, NULL, "GET", 200, 1);
    mem_fail_after(0, 0);
    counters_request(counters, NULL, "GET", 200, 1);
    assert_near(value_of(counters, REQUESTS("(none)", "GET", "200")), 2, 0);
    counters_destroy(counters);
}

static void nothing_is_counted_where_nobody_asks(void **state)
{
    static const struct predictor cost = {&predictor_kind_cost, &space_nasbench201};
    (void)state;
    counters_request(NULL, NULL, "GET", 200, 1);
    counters_predicted(NULL, &cost, 1, 1);
    counters_activated(NULL, &space_nasbench201);
    counters_refused(NULL, REFUSED_CONNECTIONS);
    counters_job_run(NULL, JOB_TRAIN, RUN_FAILED);
}

static enum err create_and_destroy(void *context, struct error *err)
{
    struct counters *counters = NULL;
    enum err rc = counters_create(&counters, err);

    (void)context;
    counters_destroy(counters);
    return rc;
}

static void want_of_memory_stops_the_start(void **state)
{
    (void)state;
    fail_each_allocation(create_and_destroy, NULL);
    counters_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(requests_are_counted_by_route_method_and_status),
        counted_test(labels_are_bounded),
        counted_test(every_route_has_its_series),
        counted_test(durations_fall_into_buckets_whose_bound_they_do_not_exceed),
        counted_test(predictions_and_batches_are_counted),
        counted_test(activations_and_refusals_are_counted),
        counted_test(ends_of_runs_are_counted_by_kind_and_outcome),
        counted_test(without_memory_a_thread_counts_with_others),
        counted_test(counts_of_all_threads_are_added),
        counted_test(nothing_is_counted_where_nobody_asks),
        counted_test(want_of_memory_stops_the_start),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

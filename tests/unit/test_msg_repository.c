/* proto/msg_repository.h and proto/msg_infer_metadata.h: what inference clients ask beside
 * latencies. */
#include <jansson.h>

#include "core/version.h"
#include "proto/msg_infer_metadata.h"
#include "proto/msg_repository.h"
#include "tests/support/check.h"

/* What was written, to be equal to what is expected, whatever the order of the members. */
static void check_json(struct text *text, const char *expected)
{
    json_error_t why;
    json_t *found = json_loadb(text->bytes, text->size, 0, &why);
    json_t *wanted = json_loads(expected, 0, &why);

    assert_non_null(found);
    assert_non_null(wanted);
    if (!json_equal(found, wanted)) {
        fail_msg("%s is not %s", text->bytes, expected);
    }
    json_decref(found);
    json_decref(wanted);
    text_close(text);
}

static void metadata_have_the_fields_of_the_protocol(void **state)
{
    static const char *const versions[] = {"cost-1", "mlp-2"};
    struct text text = {0};

    (void)state;
    msg_infer_server_encode(&text);
    check_json(&text, "{\"name\":\"dgld\",\"version\":\"" DGLD_VERSION "\",\"extensions\":["
                      "\"binary_tensor_data\",\"statistics\",\"model_repository\","
                      "\"model_configuration\"]}");
    msg_infer_model_encode(&space_nasbench201, versions, 2, &text);
    check_json(&text,
               "{\"name\":\"nasbench201\",\"versions\":[\"cost-1\",\"mlp-2\"],\"platform\":"
               "\"dgld\",\"inputs\":["
               "{\"name\":\"architecture\",\"datatype\":\"INT64\",\"shape\":[-1,6]},"
               "{\"name\":\"hardware\",\"datatype\":\"FP64\",\"shape\":[-1,4]}],"
               "\"outputs\":[{\"name\":\"latency_ms\",\"datatype\":\"FP32\",\"shape\":[-1]}]}");
    msg_infer_config_encode(&space_fbnetv3, &text);
    check_json(&text,
               "{\"name\":\"fbnetv3\",\"platform\":\"dgld\",\"backend\":\"dgld\","
               "\"version_policy\":{\"latest\":{\"num_versions\":1}},\"max_batch_size\":0,"
               "\"input\":[{\"name\":\"architecture\",\"data_type\":\"TYPE_INT64\","
               "\"dims\":[-1,28]},{\"name\":\"hardware\",\"data_type\":\"TYPE_FP64\","
               "\"dims\":[-1,4]}],"
               "\"output\":[{\"name\":\"latency_ms\",\"data_type\":\"TYPE_FP32\",\"dims\":[-1]}]}");
}

static void the_index_tells_what_is_ready_and_why_not(void **state)
{
    static const struct repository_entry entries[] = {
        {"nasbench201", "cost-1", ""                   },
        {"fbnetv3",     NULL,     "it was \"unloaded\""}
    };
    struct text text = {0};

    (void)state;
    msg_repository_index_encode(entries, 2, &text);
    check_json(&text, "[{\"name\":\"nasbench201\",\"version\":\"cost-1\",\"state\":\"READY\","
                      "\"reason\":\"\"},{\"name\":\"fbnetv3\",\"state\":\"UNAVAILABLE\",\"reason\":"
                      "\"it was \\\"unloaded\\\"\"}]");
    msg_repository_index_encode(entries, 0, &text);
    check_json(&text, "[]");
}

static void the_index_request_may_be_empty(void **state)
{
    static const struct {
        const char *body;
        bool only_ready;
    } rows[] = {
        {"",                          false},
        {"{}",                        false},
        {"{\"ready\":false}",         false},
        {"{\"ready\":true,\"x\":[]}", true },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        bool only_ready = !rows[i].only_ready;
        struct error err = {0};
        assert_ok(
            msg_repository_index_decode(rows[i].body, strlen(rows[i].body), &only_ready, &err),
            &err);
        assert_int_equal(only_ready, rows[i].only_ready);
    }
}

struct wrong_request {
    const char *body;
    enum err code;
    const char *phrase;
};

/* clang-format off */
static const struct wrong_request index_requests[] = {
    {"{", ERR_SYNTAX, "line 1, column 2"},
    {"[]", ERR_INVALID, "must be an object, not an array"},
    {"{\"ready\":1}", ERR_INVALID, "/ready: must be true or false, not a number"},
    {"{\"ready\":0,\"ready\":1}", ERR_INVALID, "/ready: ready is given twice"},
};

static const struct wrong_request orders[] = {
    {"", ERR_OK, ""},
    {"{}", ERR_OK, ""},
    {"{\"parameters\":{\"unload_dependents\":false,\"x\":1}}", ERR_OK, ""},
    {"x", ERR_SYNTAX, "line 1, column 1"},
    {"7", ERR_INVALID, "must be an object, not a number"},
    {"{\"parameters\":[]}", ERR_INVALID, "/parameters: must be an object"},
    {"{\"parameters\":{\"config\":\"{}\"}}", ERR_INVALID, "/parameters/config: a model"},
    {"{\"parameters\":{\"unload_dependents\":1}}", ERR_INVALID, "must be true or false"},
    {"{\"parameters\":{\"file:1/model.onnx\":\"aGk=\"}}", ERR_INVALID,
     "/parameters: \"file:1/model.onnx\": files are not taken"},
};
/* clang-format on */

static void wrong_index_requests_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(index_requests); i++) {
        const struct wrong_request *wrong = &index_requests[i];
        bool only_ready;
        struct error err = {0};
        assert_error(
            msg_repository_index_decode(wrong->body, strlen(wrong->body), &only_ready, &err),
            wrong->code, &err, wrong->phrase);
    }
}

static void orders_are_taken_or_refused_by_name(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(orders); i++) {
        struct error err = {0};
        assert_error(msg_repository_order_check(orders[i].body, strlen(orders[i].body), &err),
                     orders[i].code, &err, orders[i].phrase);
    }
}

static enum err check_wrong_order(void *context, struct error *err)
{
    enum err rc = msg_repository_order_check("{\"parameters\":7}", 16, err);

    (void)context;
    return rc == ERR_INVALID ? ERR_OK : rc;
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    fail_each_allocation(check_wrong_order, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(metadata_have_the_fields_of_the_protocol),
        counted_test(the_index_tells_what_is_ready_and_why_not),
        counted_test(the_index_request_may_be_empty),
        counted_test(wrong_index_requests_are_refused),
        counted_test(orders_are_taken_or_refused_by_name),
        counted_test(every_failing_allocation_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* proto/msg_accuracy.h: what may be asked for, and how it is answered. */
#include "proto/msg_accuracy.h"
#include "tests/support/check.h"

static enum err decode(const char *body, size_t n_max, struct accuracy_request *request,
                       struct error *err)
{
    return msg_accuracy_decode(body, strlen(body), &space_nasbench201, n_max, request, err);
}

static void architectures_come_in_any_notation(void **state)
{
    static const int32_t expected[] = {4, 4, 4, 2, 4, 4, 1, 2, 3, 4, 5, 1};
    struct accuracy_request request;
    struct error err = {0};
    (void)state;
    assert_ok(decode("{\"architectures\":[\"444244\",[1,2,3,4,5,1]]}", 2, &request, &err), &err);
    assert_int_equal(request.n, 2);
    assert_memory_equal(request.genes, expected, sizeof expected);
    msg_accuracy_close(&request);
}

static void what_is_wrong_is_told_by_pointer(void **state)
{
    static const struct {
        const char *body, *pointer;
        enum err code;
    } wrong[] = {
        {"{}",                                                "/architectures",     ERR_INVALID},
        {"{\"architectures\":[]}",                            "/architectures",     ERR_INVALID},
        {"{\"architectures\":{}}",                            "/architectures",     ERR_INVALID},
        {"{\"architectures\":[\"1\",\"1\",\"1\",\"1\"]}",     "/architectures",     ERR_LIMIT  },
        {"{\"architectures\":[\"444244\",\"9\"]}",            "/architectures/1",   ERR_INVALID},
        {"{\"architectures\":[[1,2,3,4,5,6]]}",               "/architectures/0/5", ERR_INVALID},
        {"{\"architectures\":[\"444244\"],\"device\":\"x\"}", "/device",            ERR_INVALID},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct accuracy_request request;
        struct error err = {0};
        assert_error(decode(wrong[i].body, 3, &request, &err), wrong[i].code, &err, "");
        assert_string_equal(request.errors.items[0].pointer, wrong[i].pointer);
        msg_accuracy_close(&request);
    }
}

static void what_is_no_json_is_told_so(void **state)
{
    struct accuracy_request request;
    struct error err = {0};
    (void)state;
    assert_error(decode("{\"architectures\":", 3, &request, &err), ERR_SYNTAX, &err, "");
    msg_accuracy_close(&request);
}

static void what_has_no_accuracy_is_null(void **state)
{
    static const double accuracy[] = {73.22, NAN, INFINITY, 1.0};
    struct text text = {0};
    (void)state;
    msg_accuracy_encode(&space_nasbench201, "{\"source\":\"table\"}", accuracy, 4, &text);
    assert_string_equal(text.bytes, "{\"search_space\":\"nasbench201\",\"source\":{\"source\":"
                                    "\"table\"},\"accuracy\":[73.22,null,null,1]}\n");
    text_close(&text);
}

static enum err decode_once(void *context, struct error *err)
{
    struct accuracy_request request;
    enum err rc = decode(context, 3, &request, err);

    msg_accuracy_close(&request);
    return rc;
}

static void no_memory_is_told_and_leaves_nothing(void **state)
{
    char body[] = "{\"architectures\":[\"444244\"]}";
    (void)state;
    fail_each_allocation(decode_once, body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(architectures_come_in_any_notation),
        counted_test(what_is_wrong_is_told_by_pointer),
        counted_test(what_is_no_json_is_told_so),
        counted_test(what_has_no_accuracy_is_null),
        counted_test(no_memory_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* proto/msg_suggest.h: what may be asked for, and the two forms of the answer. */
#include "proto/msg_suggest.h"
#include "tests/support/check.h"

#define SPACE "\"search_space\":\"nasbench201\""

static enum err decode(const char *body, struct suggest_request *request, struct error *err)
{
    return msg_suggest_decode(body, strlen(body), request, err);
}

static void what_is_not_given_has_defaults(void **state)
{
    struct suggest_request request;
    struct error err = {0};
    (void)state;
    assert_ok(decode("{" SPACE "}", &request, &err), &err);
    assert_ptr_equal(request.space, &space_nasbench201);
    assert_int_equal(request.n, SUGGEST_DEFAULT_N);
    assert_int_equal(request.seed, 0);
    assert_string_equal(request.model, "");
    assert_null(request.genes);
    msg_suggest_close(&request);
}

static void candidates_come_in_any_notation(void **state)
{
    static const int32_t expected[] = {4, 4, 4, 2, 4, 4, 1, 2, 3, 4, 5, 1};
    struct suggest_request request;
    struct error err = {0};
    (void)state;
    assert_ok(decode("{" SPACE ",\"architectures\":[\"444244\",[1,2,3,4,5,1]],\"n\":2,"
                     "\"model\":\"small\","
                     "\"seed\":9223372036854775807}",
                     &request, &err),
              &err);
    assert_int_equal(request.n_given, 2);
    assert_memory_equal(request.genes, expected, sizeof expected);
    assert_int_equal(request.seed, INT64_MAX);
    assert_string_equal(request.model, "small");
    msg_suggest_close(&request);
}

static void what_is_wrong_is_told_by_pointer(void **state)
{
    static const struct {
        const char *body, *pointer;
    } wrong[] = {
        {"{}",                                               "/search_space"     },
        {"{\"search_space\":\"darts\"}",                     "/search_space"     },
        {"{" SPACE ",\"n\":0}",                              "/n"                },
        {"{" SPACE ",\"n\":101}",                            "/n"                },
        {"{" SPACE ",\"n\":1.5}",                            "/n"                },
        {"{" SPACE ",\"seed\":-1}",                          "/seed"             },
        {"{" SPACE ",\"seed\":9223372036854775808000}",      "/seed"             },
        {"{" SPACE ",\"architectures\":[]}",                 "/architectures"    },
        {"{" SPACE ",\"architectures\":{}}",                 "/architectures"    },
        {"{" SPACE ",\"architectures\":[\"444244\",\"9\"]}", "/architectures/1"  },
        {"{" SPACE ",\"architectures\":[[1,2,3,4,5,6]]}",    "/architectures/0/5"},
        {"{" SPACE ",\"model\":\"../mlp\"}",                 "/model"            },
        {"{" SPACE ",\"model\":7}",                          "/model"            },
        {"{" SPACE ",\"device\":\"mlp\"}",                   "/device"           },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct suggest_request request;
        struct error err = {0};
        assert_error(decode(wrong[i].body, &request, &err), ERR_INVALID, &err, "");
        assert_string_equal(request.errors.items[0].pointer, wrong[i].pointer);
        msg_suggest_close(&request);
    }
}

static void both_forms_hold_the_same_architectures(void **state)
{
    static const int32_t genes[] = {4, 4, 4, 2, 4, 4, 1, 1, 1, 1, 1, 1};
    const struct suggest_reply reply = {&space_nasbench201, "My \"Phone\"", true, 3, genes, 2};
    struct text text = {0};
    (void)state;
    msg_suggest_encode_csv(&reply, "\n", &text);
    assert_string_equal(text.bytes, "architecture,latency_ms\n444244,\n111111,\n");
    text_close(&text);
    msg_suggest_encode_json(&reply, &text);
    assert_contains(text.bytes, "{\"device\":\"My \\\"Phone\\\"\",\"search_space\":\"nasbench201\","
                                "\"has_hardware\":true,\"n_measurements\":3,"
                                "\"architectures\":[\"444244\",\"111111\"],\"notations\":[\"|nor");
    text_close(&text);
}

static enum err decode_once(void *context, struct error *err)
{
    struct suggest_request request;
    enum err rc = decode(context, &request, err);

    msg_suggest_close(&request);
    return rc;
}

static void no_memory_is_told_and_leaves_nothing(void **state)
{
    char body[] = "{" SPACE ",\"architectures\":[\"444244\"]}";
    (void)state;
    fail_each_allocation(decode_once, body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(what_is_not_given_has_defaults),
        counted_test(candidates_come_in_any_notation),
        counted_test(what_is_wrong_is_told_by_pointer),
        counted_test(both_forms_hold_the_same_architectures),
        counted_test(no_memory_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

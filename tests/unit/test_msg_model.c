/* proto/msg_model.h: models as JSON, and the order to activate one. */
#include "proto/msg_model.h"
#include "tests/support/check.h"

static struct text encode(const struct model_view *view)
{
    struct text text = {0};

    msg_model_encode(view, &text);
    assert_false(text.has_failed);
    return text;
}

static char *const devices[] = {(char *)"Galaxy A9", (char *)"\"q\""};

static struct model_info make_info(double r)
{
    struct model_info info = {
        .version = "cost-0123456789ab",
        .source = "a.txt",
        .n_rows = 2000,
        .data_sha256 = "abc",
        .seed = 18446744073709551615U,
        .validation = "10-fold",
        .r_held_out = r,
    };
    assert_int_equal(model_info_set_devices(&info, devices, 2, NULL), ERR_OK);
    return info;
}

static void a_model_is_written_with_all_its_members(void **state)
{
    struct model_info info = make_info(0.9875);
    char *const names[] = {(char *)"default", (char *)"other"};
    const struct model_view view = {
        .info = &info,
        .predictor = "cost",
        .names = names,
        .n_names = 2,
        .is_served = true,
        .has_file = true,
        .size_bytes = 54008,
        .modified = {1709210096, 7000000},
    };
    struct text text = encode(&view);
    (void)state;
    assert_string_equal(
        text.bytes,
        "{\"version\":\"cost-0123456789ab\",\"predictor\":\"cost\",\"names\":[\"default\","
        "\"other\"],\"is_served\":true,\"source\":\"a.txt\",\"n_rows\":2000,\"devices\":[\"Galaxy "
        "A9\",\"\\\"q\\\"\"],\"data_sha256\":\"abc\",\"seed\":18446744073709551615,"
        "\"validation\":\"10-fold\",\"r_held_out\":0.9875,\"size_bytes\":54008,"
        "\"modified_at\":\"2024-02-29T12:34:56.007Z\"}");
    text_close(&text);
    model_info_close(&info);
}

static void what_is_unknown_is_null(void **state)
{
    struct model_info info = make_info(NAN);
    const struct model_view view = {.info = &info, .predictor = "mlp"};
    struct text text = encode(&view);
    (void)state;
    assert_contains(text.bytes, "\"names\":[],\"is_served\":false,");
    assert_contains(text.bytes, "\"r_held_out\":null,\"size_bytes\":null,\"modified_at\":null}");
    text_close(&text);
    text = encode(NULL);
    assert_string_equal(text.bytes, "null");
    text_close(&text);
    model_info_close(&info);
}

static void a_file_that_is_no_model_says_why(void **state)
{
    char *const names[] = {(char *)"broken"};
    const struct model_view view = {.error = "it is \"short\"",
                                    .names = names,
                                    .n_names = 1,
                                    .has_file = true,
                                    .size_bytes = 3};
    struct text text = encode(&view);
    (void)state;
    assert_string_equal(text.bytes, "{\"version\":null,\"predictor\":null,\"names\":[\"broken\"],"
                                    "\"is_served\":false,\"error\":\"it is \\\"short\\\"\","
                                    "\"size_bytes\":3,"
                                    "\"modified_at\":\"1970-01-01T00:00:00.000Z\"}");
    text_close(&text);
}

static void an_order_names_a_version(void **state)
{
    static const char body[] = " {\"version\" : \"cost-0123\\u0034.x_y\"} ";
    struct activate_request request;
    struct field_errors errors = {0};
    struct error err = {0};
    (void)state;
    assert_ok(msg_activate_decode(body, sizeof body - 1, &request, &errors, &err), &err);
    assert_string_equal(request.version, "cost-01234.x_y");
    field_errors_close(&errors);
}

static void other_orders_are_refused_by_pointer(void **state)
{
    /* clang-format off */
    static const struct {
        const char *body, *pointer, *detail;
    } bad[] = {
        {"{}",                                                                                   "/version", "missing"    },
        {"{\"version\": 3}",                                                                     "/version", "not a number"},
        {"{\"version\": null}",                                                                  "/version", "not null"    },
        {"{\"version\": \"\"}",                                                                  "/version", "1 to 64"     },
        {"{\"version\": \"../x\"}",                                                              "/version", "1 to 64"     },
        {"{\"version\": \"a/b\"}",                                                               "/version", "1 to 64"     },
        {"{\"version\": \"a\\u0000b\"}",                                                         "/version", "1 to 64"     },
        {"{\"version\": \"0123456789012345678901234567890123456789012345678901234567890123x\"}",
         "/version",                                                                                         "1 to 64"     },
        {"{\"version\": \"a\", \"force\": true}",                                                "/force",   ""            },
        {"[]",                                                                                   "",         ""            },
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct activate_request request;
        struct field_errors errors = {0};
        struct error err = {0};
        assert_error(msg_activate_decode(bad[i].body, strlen(bad[i].body), &request, &errors, &err),
                     ERR_INVALID, &err, bad[i].pointer);
        assert_string_equal(errors.items[0].pointer, bad[i].pointer);
        assert_contains(errors.items[0].detail, bad[i].detail);
        field_errors_close(&errors);
    }
}

static void what_is_no_json_is_a_syntax_error(void **state)
{
    struct activate_request request;
    struct field_errors errors = {0};
    struct error err = {0};
    (void)state;
    assert_error(msg_activate_decode("{", 1, &request, &errors, &err), ERR_SYNTAX, &err, "line 1");
    assert_error(msg_activate_decode(NULL, 0, &request, &errors, &err), ERR_SYNTAX, &err, "");
    field_errors_close(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_model_is_written_with_all_its_members),
        counted_test(what_is_unknown_is_null),
        counted_test(a_file_that_is_no_model_says_why),
        counted_test(an_order_names_a_version),
        counted_test(other_orders_are_refused_by_pointer),
        counted_test(what_is_no_json_is_a_syntax_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

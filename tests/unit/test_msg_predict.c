/* proto/msg_predict.h: the body of POST /v1/predict and its reply. */
#include <jansson.h>

#include "proto/msg_predict.h"
#include "tests/support/check.h"

#define SPACE    "\"search_space\":\"nasbench201\""
#define HARDWARE "\"hardware\":[2,3,1,7.46]"
#define CELL                                                                             \
    "\"|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|" \
    "nor_conv_3x3~2|\""

#define MEASURED \
    "\"measurements\":{\"architectures\":[\"444244\",\"111111\"],\"latency_ms\":[900,1e2]}"

static enum err decode(const char *body, struct predict_request *request, struct error *err)
{
    return msg_predict_decode(body, strlen(body), 8388608, request, err);
}

/* Decodes a body that must be right. */
static struct predict_request decode_right(const char *body)
{
    struct predict_request request;
    struct error err = {0};

    assert_ok(decode(body, &request, &err), &err);
    assert_int_equal(request.errors.n, 0);
    return request;
}

static void every_notation_is_read_as_the_same_genes(void **state)
{
    static const int32_t cell[] = {4, 4, 4, 2, 4, 4};
    struct predict_request request =
        decode_right("{" SPACE "," HARDWARE ",\"architectures\":[[4,4,4,2,4,4],\"444244\"," CELL
                     ",\"4 4 4 2 4 4\",\"[4,4,4,2,4,4]\",[4.0,4,4e0,2,4,4]]}");
    (void)state;
    assert_ptr_equal(request.space, &space_nasbench201);
    assert_int_equal(request.n_architectures, 6);
    for (size_t i = 0; i < 6; i++) {
        assert_memory_equal(request.genes + i * 6, cell, sizeof cell);
        assert_false(request.is_bad[i]);
    }
    msg_predict_close(&request);
}

static void hardware_is_a_vector_or_an_object(void **state)
{
    static const char *const forms[] = {
        "[2,3,1,7.46]",
        "{\"memory_bandwidth_gbs\":7.46,\"cache_mb\":1,\"dispatch_width\":3,\"frequency_ghz\":2}"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        char body[400];
        struct predict_request request;
        (void)snprintf(body, sizeof body, "{" SPACE ",\"architectures\":[],\"hardware\":%s}",
                       forms[i]);
        request = decode_right(body);
        assert_int_equal(request.n_targets, 1);
        assert_false(request.targets[0].is_named || request.has_device_list);
        assert_near(hardware_factor(&request.targets[0].hardware), 0.23369079535299375, 1e-15);
        msg_predict_close(&request);
    }
}

static void a_device_or_a_list_of_devices_is_kept_with_its_pointers(void **state)
{
    struct predict_request request =
        decode_right("{" SPACE ",\"architectures\":[],\"device\":\"Oppo A5\"}");
    (void)state;
    assert_true(request.targets[0].is_named && !request.has_device_list);
    assert_string_equal(request.targets[0].name, "Oppo A5");
    assert_string_equal(request.targets[0].pointer, "/device");
    msg_predict_close(&request);
    request = decode_right("{" SPACE
                           ",\"architectures\":[],\"devices\":[\"Oppo A5\",[2,3,1,7.46],\"X\"]}");
    assert_int_equal(request.n_targets, 3);
    assert_true(request.has_device_list);
    assert_true(request.targets[0].is_named && !request.targets[1].is_named);
    assert_near(request.targets[1].hardware.memory_bandwidth_gbs, 7.46, 0);
    assert_string_equal(request.targets[2].name, "X");
    assert_string_equal(request.targets[2].pointer, "/devices/2");
    msg_predict_close(&request);
}

/* ---- what is wrong --------------------------------------------------------------------------- */

#define BODY(rest) "{" SPACE "," HARDWARE "," rest "}"

/* Rows: body, pointer of its first error, phrase of the detail. */
static const struct {
    const char *body, *pointer, *phrase;
} wrong[] = {
    {"[]",                                                              "",                        "must be an object, not an array"      },
    {"{}",                                                              "/search_space",           "search_space is missing"              },
    {"{" SPACE "," HARDWARE "}",                                        "/architectures",          "architectures is missing"             },
    {"{" SPACE ",\"architectures\":[]}",                                "",                        "say for which device"                 },
    {"{\"search_space\":\"x\"," HARDWARE ",\"architectures\":[]}",      "/search_space",
     "there is no search space \"x\"; there are nas"                                                                                      },
    {"{\"search_space\":7," HARDWARE ",\"architectures\":[]}",          "/search_space",
     "must be a string, not a number"                                                                                                     },
    {BODY("\"architectures\":[],\"arch\":1"),                           "/arch",                   "\"arch\" is not a field here"         },
    {BODY("\"architectures\":[],\"a/b~\":1"),                           "/a~1b~0",                 "\"a/b~\" is not a field here"         },
    {BODY("\"architectures\":{}"),                                      "/architectures",
     "must be a list of architectures, not an objec"                                                                                      },
    {BODY("\"architectures\":\"444244\""),                              "/architectures",
     "must be a list of architectures, not a string"                                                                                      },
    {BODY("\"architectures\":[[4,4,4,2,4,4],[4,4,9,2,4,4]]"),           "/architectures/1/2",
     "gene 3 of nasbench201 must be 1 to 5, not 9"                                                                                        },
    {BODY("\"architectures\":[[4,4,4,2,4]]"),                           "/architectures/0",        "has 6 genes, not 5"                   },
    {BODY("\"architectures\":[[4,4,4,2,4,4,4]]"),                       "/architectures/0",        "has 6 genes, not 7"                   },
    {BODY("\"architectures\":[[4,4,4,2,4,4.5]]"),                       "/architectures/0/5",
     "gene 6 of nasbench201 must be a whole number,"                                                                                      },
    {BODY("\"architectures\":[[4,4,4,2,4,\"4\"]]"),                     "/architectures/0/5",      "not a string"                         },
    {BODY("\"architectures\":[[4,4,4,2,4,99999999999]]"),               "/architectures/0/5",      "not 2147483647"                       },
    {BODY("\"architectures\":[[4,4,4,2,4,-99999999999]]"),              "/architectures/0/5",      "not -2147483648"                      },
    {BODY("\"architectures\":[444244]"),                                "/architectures/0",
     "a list of genes or a string, not a number"                                                                                          },
    {BODY("\"architectures\":[null]"),                                  "/architectures/0",        "a list of genes or a string, not null"},
    {BODY("\"architectures\":[\"44424\"]"),                             "/architectures/0",        "has 6 genes, not 1"                   },
    {BODY("\"architectures\":[\"444294\"]"),                            "/architectures/0",
     "gene 5 of nasbench201 must be 1 to 5, not 9"                                                                                        },
    {BODY("\"architectures\":[],\"on_error\":null"),                    "/on_error",               "must be \"null\""                     },
    {BODY("\"architectures\":[],\"on_error\":\"skip\""),                "/on_error",               "must be \"null\""                     },
    {BODY("\"architectures\":[],\"device\":\"x\""),                     "/device",
     "give only one of hardware, device and devices"                                                                                      },
    {BODY("\"architectures\":[],\"devices\":[\"x\"]"),                  "/devices",
     "give only one of hardware, device and devices"                                                                                      },
    {"{" SPACE ",\"architectures\":[],\"hardware\":[2,0,1,7]}",         "/hardware/1",
     "dispatch_width (D, in micro-operations a cycl"                                                                                      },
    {"{" SPACE ",\"architectures\":[],\"hardware\":[2,3,1]}",           "/hardware",               "not 3"                                },
    {"{" SPACE ",\"architectures\":[],\"hardware\":\"x\"}",             "/hardware",               "not a string"                         },
    {"{" SPACE ",\"architectures\":[],\"hardware\":{\"cache_mb\":1}}",  "/hardware/frequency_ghz",
     "frequency_ghz is missing"                                                                                                           },
    {"{" SPACE ",\"architectures\":[],\"device\":3}",                   "/device",
     "must be a device's name, not a number"                                                                                              },
    {"{" SPACE ",\"architectures\":[],\"device\":\"../x\"}",            "/device",
     "a device name must not begin with a dot"                                                                                            },
    {"{" SPACE ",\"architectures\":[],\"devices\":[]}",                 "/devices",
     "must be a list of 1 to 1024 device names"                                                                                           },
    {"{" SPACE ",\"architectures\":[],\"devices\":\"x\"}",              "/devices",
     "must be a list of 1 to 1024 device names"                                                                                           },
    {"{" SPACE ",\"architectures\":[],\"devices\":[\"a\",\"a/b\"]}",    "/devices/1",
     "a device name must not hold"                                                                                                        },
    {"{" SPACE ",\"architectures\":[],\"devices\":[\"a\",[1,2,3,-4]]}", "/devices/1/3",
     "memory_bandwidth_gbs"                                                                                                               },
    {"{" SPACE ",\"architectures\":[],\"devices\":[null]}",             "/devices/0",
     "hardware must be a vector of 4 numbers or an"                                                                                       },
};

static void each_wrong_field_is_told_with_its_pointer(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct predict_request request;
        struct error err = {0};
        assert_error(decode(wrong[i].body, &request, &err), ERR_INVALID, &err, wrong[i].phrase);
        assert_true(request.errors.n > 0);
        assert_string_equal(request.errors.items[0].pointer, wrong[i].pointer);
        assert_contains(request.errors.items[0].detail, wrong[i].phrase);
        msg_predict_close(&request);
    }
}

static void all_that_is_wrong_is_told_at_once(void **state)
{
    struct predict_request request;
    (void)state;
    assert_int_equal(decode("{" SPACE
                            ",\"hardware\":[0],\"architectures\":[[9,9,9,9,9,9],\"x\"],\"y\":1}",
                            &request, NULL),
                     ERR_INVALID);
    assert_int_equal(request.errors.n, 4);
    assert_int_equal(request.errors.items[3].index, 1);
    assert_string_equal(request.errors.items[3].pointer, "/architectures/1");
    msg_predict_close(&request);
}

static void a_body_that_breaks_off_anywhere_is_a_syntax_error(void **state)
{
    static const char body[] =
        "{" SPACE "," HARDWARE ",\"architectures\":[[4,4,4,2,4,4],\"444244\"]}";
    (void)state;
    for (size_t length = 0; length < sizeof body - 1; length++) {
        struct predict_request request;
        struct error err = {0};
        assert_error(msg_predict_decode(body, length, 8388608, &request, &err), ERR_SYNTAX, &err,
                     "line 1");
        msg_predict_close(&request);
    }
}

static void a_call_that_is_wrong_throughout_is_answered_shortly(void **state)
{
    static char body[40000] = "{" SPACE "," HARDWARE ",\"architectures\":[0";
    char *at = body + strlen(body);
    struct predict_request request;
    (void)state;
    for (size_t i = 0; i < 10000; i++) {
        at += sprintf(at, ",0");
    }
    (void)sprintf(at, "]}");
    assert_int_equal(decode(body, &request, NULL), ERR_INVALID);
    assert_in_range(request.errors.n, 1, 64);
    msg_predict_close(&request);
}

static void a_bad_architecture_is_passed_over_where_the_caller_says_so(void **state)
{
    struct predict_request request =
        decode_right("{\"architectures\":[[4,4,4,2,4,4],[4,4,9,2,4,4],\"x\",\"444244\"],\"on_"
                     "error\":\"null\"," SPACE "," HARDWARE "}");
    size_t bad_gene;
    (void)state;
    assert_int_equal(request.skipped.n, 2);
    assert_int_equal(request.skipped.items[0].index, 1);
    assert_string_equal(request.skipped.items[0].pointer, "/architectures/1/2");
    assert_int_equal(request.skipped.items[1].index, 2);
    assert_string_equal(request.skipped.items[1].pointer, "/architectures/2");
    for (size_t i = 0; i < 4; i++) {
        assert_int_equal(request.is_bad[i], i == 1 || i == 2);
        assert_int_equal(space_validate(request.space, request.genes + 6 * i, &bad_gene, NULL),
                         ERR_OK);
    }
    msg_predict_close(&request);
}

static void at_most_the_stated_number_of_bad_architectures_is_passed_over(void **state)
{
    enum { MOST = 65536 };
    (void)state;
    for (size_t n = MOST; n <= MOST + 1; n++) {
        char *body = mem_calloc(400 + 2 * n, 1);
        char *at = body;
        struct predict_request request;

        at += sprintf(at, "{" SPACE "," HARDWARE
                          ",\"on_error\":\"null\",\"architectures\":[\"444244\"");
        for (size_t i = 0; i < n; i++) {
            at += sprintf(at, ",0");
        }
        (void)sprintf(at, "]}");
        assert_int_equal(decode(body, &request, NULL), n == MOST ? ERR_OK : ERR_INVALID);
        assert_int_equal(request.skipped.n, MOST);
        assert_int_equal(request.errors.n, n == MOST ? 0 : 1);
        if (n > MOST) {
            assert_string_equal(request.errors.items[0].pointer, "/architectures");
        }
        msg_predict_close(&request);
        mem_free(body);
    }
}

static void a_call_asks_for_at_most_the_stated_number_of_devices_and_values(void **state)
{
    enum { N_DEVICES = PREDICT_MAX_DEVICES, N_ROWS = 8193 }; /* together one row too many */
    char *body = mem_calloc(400 + 4 * N_DEVICES + 2 * N_ROWS, 1);
    char *at = body + sprintf(body, "{" SPACE ",\"devices\":[\"a\"");
    struct predict_request request;
    struct error err = {0};
    (void)state;
    for (size_t i = 1; i < N_DEVICES; i++) {
        at += sprintf(at, ",\"a\"");
    }
    (void)sprintf(at, ",\"a\"],\"architectures\":[]}");
    assert_error(decode(body, &request, &err), ERR_INVALID, &err,
                 "/devices: must be a list of 1 to 1024");
    msg_predict_close(&request);
    at += sprintf(at, "],\"architectures\":[0");
    for (size_t i = 1; i < N_ROWS; i++) {
        at += sprintf(at, ",0");
    }
    (void)sprintf(at, "]}");
    assert_error(decode(body, &request, &err), ERR_LIMIT, &err,
                 "more latencies than batch_max lets one call ask for, which is 8388608 here");
    msg_predict_close(&request);
    mem_free(body);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void *take(size_t size)
{
    return mem_calloc(size, 1);
}

static enum err decode_once(void *context, struct error *err)
{
    struct predict_request request;
    enum err rc = decode(context, &request, err);

    msg_predict_close(&request);
    return rc == ERR_INVALID ? ERR_OK : rc;
}

static const char *const memory_bodies[] = {
    "{" SPACE ",\"devices\":[\"a\",[2,3,1,7]],\"architectures\":[[4,4,4,2,4,4],\"444244\"]}",
    "{" SPACE "," HARDWARE ",\"on_error\":\"null\",\"architectures\":[[9,4,4,2,4,4]]}",
    "{" SPACE ",\"architectures\":[\"444244\"]," MEASURED ",\"interval\":0.9}",
    "{" SPACE ",\"hardware\":[0],\"architectures\":[0,0,0],\"x\":1}",
};

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(memory_bodies); i++) {
        fail_each_allocation(decode_once, (void *)memory_bodies[i]);
    }
}

/* The parser's lexer takes its own want of memory for a mistake in the text, so that either code
 * may come; never success of a part, and never a leak. */
static void a_parser_that_runs_out_of_memory_refuses_the_body_and_leaks_nothing(void **state)
{
    long before = mem_live_blocks();
    (void)state;
    json_set_alloc_funcs(take, mem_free);
    for (size_t i = 0; i < COUNT_OF(memory_bodies); i++) {
        enum err rc = ERR_NOMEM;
        for (long n = 1; rc != ERR_OK; n++) {
            mem_fail_after(n, 0);
            rc = decode_once((void *)memory_bodies[i], NULL);
            mem_fail_after(0, 0);
            assert_true(rc == ERR_OK || rc == ERR_NOMEM || rc == ERR_SYNTAX);
            assert_true(n > 1 || rc == ERR_NOMEM); /* the very first one is told rightly */
            assert_int_equal(mem_live_blocks(), before);
        }
    }
    json_set_alloc_funcs(malloc, free);
}

/* ---- measurements and intervals -------------------------------------------------------------- */

static void measurements_come_with_a_device_or_alone(void **state)
{
    static const char *const devices[] = {HARDWARE ",", "\"device\":\"x\",", ""};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(devices); i++) {
        char body[400];
        struct predict_request request;
        (void)snprintf(body, sizeof body,
                       "{%s" SPACE "," MEASURED ",\"architectures\":[\"555555\"]}", devices[i]);
        request = decode_right(body);
        assert_int_equal(request.n_targets, 1);
        assert_int_equal(request.targets[0].lacks_hardware, i == 2);
        assert_int_equal(request.n_measured, 2);
        assert_int_equal(request.measured_genes[0], 4);
        assert_int_equal(request.measured_genes[6], 1);
        assert_true(request.measured_ms[0] == 900.0 && request.measured_ms[1] == 100.0);
        assert_false(request.is_uncalibrated);
        assert_true(request.level == 0.0);
        msg_predict_close(&request);
    }
}

static void what_contradicts_measurements_is_told(void **state)
{
    static const struct {
        const char *fields, *pointer;
    } refused[] = {
        {"\"devices\":[\"x\"]," MEASURED,                                         "/measurements"},
        {HARDWARE ",\"calibrate\":false," MEASURED,                               "/calibrate"   },
        {HARDWARE ",\"calibrate\":\"no\"",                                        "/calibrate"   },
        {HARDWARE ",\"interval\":1.0",                                            "/interval"    },
        {HARDWARE ",\"interval\":0e5",                                            "/interval"    },
        {HARDWARE ",\"interval\":[0.9]",                                          "/interval"    },
        {"\"measurements\":{\"architectures\":[\"444244\"],\"latency_ms\":[-1]}",
         "/measurements/latency_ms/0"                                                            },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        char body[400];
        struct predict_request request;
        struct error err = {0};
        (void)snprintf(body, sizeof body, "{" SPACE ",\"architectures\":[\"555555\"],%s}",
                       refused[i].fields);
        assert_error(decode(body, &request, &err), ERR_INVALID, &err, refused[i].pointer);
        assert_string_equal(request.errors.items[0].pointer, refused[i].pointer);
        msg_predict_close(&request);
    }
}

static void bounds_and_calibrations_are_told_by_device(void **state)
{
    static const double a[] = {100, 200};
    static const double factors[] = {1, 2};
    static const double latency_ms[] = {1, 2, 3, 4};
    static const double low_ms[] = {0.5, 1, 1.5, 2};
    static const double high_ms[] = {2, 4, 6, 8};
    static const struct predict_calibration calibrations[] = {
        {0,  0},
        {10, 1}
    };
    struct predict_request request =
        decode_right("{" SPACE ",\"devices\":[\"x\",\"y\"],\"on_error\":\"null\","
                     "\"interval\":0.5,\"architectures\":[\"444244\",\"9\"]}");
    const struct predict_reply reply = {.request = &request,
                                        .version = "cost-0123",
                                        .predictor = "cost",
                                        .rate = a,
                                        .factors = factors,
                                        .latency_ms = latency_ms,
                                        .low_ms = low_ms,
                                        .high_ms = high_ms,
                                        .calibrations = calibrations};
    struct text text = {0};
    (void)state;
    msg_predict_encode(&reply, &text);
    assert_contains(text.bytes, "\"latency_ms\":[[1,null],[3,null]],"
                                "\"interval_ms\":[[[0.5,2],null],[[1.5,6],null]],"
                                "\"calibration\":[null,{\"n_measurements\":10,\"n_distrusted\":1}],"
                                "\"errors\":[");
    text_close(&text);
    msg_predict_close(&request);
}

/* ---- the reply ------------------------------------------------------------------------------- */

static json_t *encode(const struct predict_request *request, const double *a, const double *factors)
{
    const struct predict_reply reply = {.request = request,
                                        .version = "cost-0123",
                                        .predictor = "cost",
                                        .rate = a,
                                        .factors = factors};
    struct text text = {0};
    json_t *value;

    msg_predict_encode(&reply, &text);
    value = json_loadb(text.bytes, text.size, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_object(value));
    text_close(&text);
    return value;
}

static void the_reply_for_one_device_is_one_row_in_order(void **state)
{
    static const double a[] = {7748.038618, 100};
    static const double factor = 0.23369079535299375;
    struct predict_request request =
        decode_right("{" SPACE "," HARDWARE ",\"architectures\":[\"444244\",\"111111\"]}");
    json_t *reply = encode(&request, a, &factor);
    json_t *row = json_object_get(reply, "latency_ms");
    const char *version = NULL;
    const char *predictor = NULL;
    const char *input = NULL;
    int batch = 0;
    (void)state;
    assert_int_equal(json_array_size(row), 2);
    assert_near_relative(json_number_value(json_array_get(row, 0)), 1810.6453070661305, 5e-9);
    assert_near_relative(json_number_value(json_array_get(row, 1)), 23.369079535, 5e-9);
    assert_int_equal(json_unpack(reply, "{s:{s:s, s:s}, s:{s:s, s:i}}", "model", "version",
                                 &version, "predictor", &predictor, "conditions", "input", &input,
                                 "batch", &batch),
                     0);
    assert_string_equal(version, "cost-0123");
    assert_string_equal(predictor, "cost");
    assert_string_equal(input, "1x3x224x224");
    assert_int_equal(batch, 1);
    assert_string_equal(json_string_value(json_object_get(reply, "search_space")), "nasbench201");
    assert_null(json_object_get(reply, "errors"));
    json_decref(reply);
    msg_predict_close(&request);
}

static void the_reply_for_a_list_of_devices_has_a_row_for_each(void **state)
{
    static const double a[] = {10, 20};
    static const double factors[] = {1, 2};
    struct predict_request request = decode_right(
        "{" SPACE ",\"devices\":[\"a\",\"b\"],\"architectures\":[\"444244\",\"111111\"]}");
    json_t *reply = encode(&request, a, factors);
    json_t *rows = json_object_get(reply, "latency_ms");
    (void)state;
    assert_int_equal(json_array_size(rows), 2);
    assert_near(json_number_value(json_array_get(json_array_get(rows, 0), 1)), 20, 0);
    assert_near(json_number_value(json_array_get(json_array_get(rows, 1), 0)), 20, 0);
    assert_near(json_number_value(json_array_get(json_array_get(rows, 1), 1)), 40, 0);
    json_decref(reply);
    msg_predict_close(&request);
}

static void what_was_passed_over_is_null_and_listed(void **state)
{
    static const double a[] = {10, 20};
    static const double factor = 1;
    struct predict_request request =
        decode_right("{" SPACE "," HARDWARE ",\"architectures\":[\"444244\",[9,1,1,1,1,1]],"
                     "\"on_error\":\"null\"}");
    json_t *reply = encode(&request, a, &factor);
    json_t *row = json_object_get(reply, "latency_ms");
    json_t *error = json_array_get(json_object_get(reply, "errors"), 0);
    (void)state;
    assert_near(json_number_value(json_array_get(row, 0)), 10, 0);
    assert_true(json_is_null(json_array_get(row, 1)));
    assert_int_equal(json_array_size(json_object_get(reply, "errors")), 1);
    assert_int_equal(json_integer_value(json_object_get(error, "index")), 1);
    assert_string_equal(json_string_value(json_object_get(error, "pointer")), "/architectures/1/0");
    assert_contains(json_string_value(json_object_get(error, "detail")), "must be 1 to 5, not 9");
    json_decref(reply);
    msg_predict_close(&request);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_notation_is_read_as_the_same_genes),
        counted_test(hardware_is_a_vector_or_an_object),
        counted_test(a_device_or_a_list_of_devices_is_kept_with_its_pointers),
        counted_test(each_wrong_field_is_told_with_its_pointer),
        counted_test(all_that_is_wrong_is_told_at_once),
        counted_test(a_body_that_breaks_off_anywhere_is_a_syntax_error),
        counted_test(a_call_that_is_wrong_throughout_is_answered_shortly),
        counted_test(a_bad_architecture_is_passed_over_where_the_caller_says_so),
        counted_test(at_most_the_stated_number_of_bad_architectures_is_passed_over),
        counted_test(a_call_asks_for_at_most_the_stated_number_of_devices_and_values),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
        counted_test(a_parser_that_runs_out_of_memory_refuses_the_body_and_leaks_nothing),
        counted_test(measurements_come_with_a_device_or_alone),
        counted_test(what_contradicts_measurements_is_told),
        counted_test(bounds_and_calibrations_are_told_by_device),
        counted_test(the_reply_for_one_device_is_one_row_in_order),
        counted_test(the_reply_for_a_list_of_devices_has_a_row_for_each),
        counted_test(what_was_passed_over_is_null_and_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

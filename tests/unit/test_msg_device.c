/* proto/msg_device.h: device sheets. */
#include "core/file.h"
#include "proto/msg_device.h"
#include "tests/support/check.h"

#define HARDWARE                                                                                  \
    "\"hardware\":{\"frequency_ghz\":2.2,\"dispatch_width\":4,\"cache_mb\":1,\"memory_bandwidth_" \
    "gbs\":14.9}"

static enum err decode(const char *text, struct device_sheet *sheet, struct error *err)
{
    return msg_device_decode(text, strlen(text), sheet, err);
}

static void a_sheet_is_read_with_all_its_fields(void **state)
{
    struct device_sheet sheet = {.name = "kept"};
    struct error err = {0};
    (void)state;
    assert_ok(decode("{" HARDWARE ",\"chip\":\"Kirin\",\"estimated\":true,\"source\":\"sheet\"}",
                     &sheet, &err),
              &err);
    assert_string_equal(sheet.name, "kept");
    assert_string_equal(sheet.chip, "Kirin");
    assert_string_equal(sheet.source, "sheet");
    assert_true(sheet.is_estimated);
    assert_true(sheet.hardware.frequency_ghz == 2.2 && sheet.hardware.dispatch_width == 4 &&
                sheet.hardware.cache_mb == 1 && sheet.hardware.memory_bandwidth_gbs == 14.9);
    assert_ok(decode("{\"hardware\":[2.5,10,2,44]}", &sheet, &err), &err);
    assert_true(sheet.hardware.frequency_ghz == 2.5 && sheet.hardware.memory_bandwidth_gbs == 44);
    assert_false(sheet.is_estimated);
    assert_string_equal(sheet.chip, "");
}

static void each_wrong_field_of_a_sheet_is_named(void **state)
{
    static const struct {
        const char *text;
        enum err code;
        const char *phrase;
    } rows[] = {
        {"{",                                    ERR_SYNTAX,  "line 1"                               },
        {"[]",                                   ERR_INVALID, "must be an object, not an array"      },
        {"{}",                                   ERR_INVALID, "/hardware: hardware is missing"       },
        {"{\"hardware\":3}",                     ERR_INVALID, "/hardware: hardware must be a vector" },
        {"{\"hardware\":[1,2,3]}",               ERR_INVALID, "/hardware: hardware must be 4 numbers"},
        {"{\"hardware\":[1,2,3,4,5]}",           ERR_INVALID, "not 5"                                },
        {"{\"hardware\":[1,2,\"x\",4]}",         ERR_INVALID, "/hardware/2: cache_mb must be a numbe"},
        {"{\"hardware\":[1,0,3,4]}",             ERR_INVALID, "/hardware/1: dispatch_width (D, in m" },
        {"{\"hardware\":[-1,2,3,4]}",            ERR_INVALID, "/hardware/0: frequency_ghz"           },
        {"{\"hardware\":[1,2,3,1e9]}",           ERR_INVALID, "/hardware/3: memory_bandwidth_gbs"    },
        {"{\"hardware\":{\"frequency_ghz\":2}}", ERR_INVALID,
         "/hardware/dispatch_width: dispatch_w"                                                      },
        {"{\"hardware\":{\"clock\":2}}",         ERR_INVALID, "/hardware/clock: \"clock\" is not a f"},
        {"{\"hardware\":{\"frequency_ghz\":2,\"dispatch_width\":4,\"cache_mb\":0,\"memory_"
         "bandwidth_gbs\":1}}",         ERR_INVALID, "/hardware/cache_mb: cache_mb"         },
        {"{" HARDWARE ",\"estimated\":1}",       ERR_INVALID, "/estimated: must be true or false"    },
        {"{" HARDWARE ",\"chip\":1}",            ERR_INVALID, "/chip: must be a string"              },
        {"{" HARDWARE ",\"source\":[]}",         ERR_INVALID, "/source: must be a string"            },
        {"{" HARDWARE ",\"name\":\"x\"}",        ERR_INVALID, "/name: \"name\" is not a field here"  },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct device_sheet sheet = {.chip = "as before"};
        struct error err = {0};
        assert_error(decode(rows[i].text, &sheet, &err), rows[i].code, &err, rows[i].phrase);
        assert_string_equal(sheet.chip, "as before");
    }
}

static void a_text_that_is_too_long_is_refused(void **state)
{
    (void)state;
    for (size_t length = SHEET_TEXT_BYTES - 1; length <= SHEET_TEXT_BYTES; length++) {
        char chip[SHEET_TEXT_BYTES + 1] = {0};
        char text[1000];
        struct device_sheet sheet = {0};
        memset(chip, 'x', length);
        (void)snprintf(text, sizeof text, "{" HARDWARE ",\"chip\":\"%s\"}", chip);
        assert_int_equal(decode(text, &sheet, NULL),
                         length < SHEET_TEXT_BYTES ? ERR_OK : ERR_INVALID);
    }
}

static void every_shipped_sheet_is_valid(void **state)
{
    DIR *dir = opendir("data/devices");
    const struct dirent *entry;
    size_t n = 0;
    (void)state;
    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        char path[TEST_PATH_BYTES];
        char *bytes = NULL;
        size_t size = 0;
        struct device_sheet sheet = {0};
        struct error err = {0};
        if (strstr(entry->d_name, ".json") == NULL) {
            continue;
        }
        (void)snprintf(path, sizeof path, "data/devices/%s", entry->d_name);
        assert_ok(file_read(path, 10000, &bytes, &size, &err), &err);
        assert_ok(msg_device_decode(bytes, size, &sheet, &err), &err);
        mem_free(bytes);
        n++;
    }
    (void)closedir(dir);
    assert_int_equal(n, 21); /* nine phones of the method's own data and twelve to train on */
}

static void a_sheet_is_written_as_the_shipped_ones_are(void **state)
{
    const struct device_sheet sheet = {
        .name = "X",
        .hardware = {3.1, 10, 4, 34.1637},
        .chip = "a \"chip\"\n",
        .source = "us",
    };
    struct device_sheet back = {0};
    struct text text = {0};
    struct error err = {0};
    (void)state;
    msg_device_encode_sheet(&sheet, &text);
    assert_string_equal(text.bytes,
                        "{\n  \"hardware\": {\n    \"frequency_ghz\": 3.1,\n    "
                        "\"dispatch_width\": 10,\n    \"cache_mb\": 4,\n    "
                        "\"memory_bandwidth_gbs\": 34.1637\n  },\n  \"chip\": \"a "
                        "\\\"chip\\\"\\u000a\",\n  \"estimated\": false,\n  \"source\": "
                        "\"us\"\n}\n");
    assert_ok(msg_device_decode(text.bytes, text.size, &back, &err), &err);
    assert_string_equal(back.chip, sheet.chip);
    assert_memory_equal(&back.hardware, &sheet.hardware, sizeof back.hardware);
    text_close(&text);
}

static void a_body_may_say_null_where_a_reply_does(void **state)
{
    static const char body[] = "{" HARDWARE ",\"chip\":null,\"estimated\":false,\"source\":null}";
    struct device_sheet sheet = {.chip = "x"};
    struct field_errors errors = {0};
    struct error err = {0};
    (void)state;
    assert_ok(msg_device_decode_body(body, strlen(body), &sheet, &errors, &err), &err);
    assert_string_equal(sheet.chip, "");
    assert_string_equal(sheet.source, "");
    field_errors_close(&errors);
}

static void every_wrong_field_of_a_body_is_pointed_at(void **state)
{
    static const char body[] = "{\"hardware\":[1,0,3,4],\"chip\":1,\"x\":2}";
    struct device_sheet sheet = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    (void)state;
    assert_error(msg_device_decode_body(body, strlen(body), &sheet, &errors, &err), ERR_INVALID,
                 &err, "/x");
    assert_int_equal(errors.n, 3);
    assert_string_equal(errors.items[0].pointer, "/x");
    assert_string_equal(errors.items[1].pointer, "/hardware/1");
    assert_string_equal(errors.items[2].pointer, "/chip");
    field_errors_close(&errors);
}

static void a_device_is_written_with_what_each_space_knows(void **state)
{
    struct device_view device = {
        .name = "A \"phone\"",
        .has_sheet = true,
        .sheet = {.hardware = {2, 3, 1, 7.46}, .is_estimated = true, .source = "us"},
        .spaces = {{.space = &space_nasbench201,
                    .has_hardware = true,
                    .hardware = {2.5, 3, 1, 7.46},
                    .n_measurements = 7,
                    .has_latency = true},
                  {.space = &space_fbnetv3, .error = "x.csv: line 3: \"y\""}       },
        .n_spaces = 2,
    };
    struct text text = {0};
    (void)state;
    msg_device_encode(&device, &text);
    assert_string_equal(
        text.bytes,
        "{\"name\":\"A \\\"phone\\\"\",\"hardware\":{\"frequency_ghz\":2,\"dispatch_width\":3,"
        "\"cache_mb\":1,\"memory_bandwidth_gbs\":7.46},\"chip\":null,\"estimated\":true,"
        "\"source\":\"us\",\"search_spaces\":{\"nasbench201\":{\"hardware\":{\"frequency_ghz\":2.5,"
        "\"dispatch_width\":3,\"cache_mb\":1,\"memory_bandwidth_gbs\":7.46},\"n_measurements\":7,"
        "\"has_latency\":true},\"fbnetv3\":{\"hardware\":null,\"n_measurements\":0,"
        "\"has_latency\":false,\"error\":\"x.csv: line 3: \\\"y\\\"\"}}}");
    text_close(&text);
    device.has_sheet = false;
    (void)snprintf(device.error, sizeof device.error, "broken");
    msg_device_encode(&device, &text);
    assert_contains(text.bytes, "\"hardware\":null,\"chip\":null");
    assert_contains(text.bytes, "}},\"error\":\"broken\"}");
    text_close(&text);
}

static enum err decode_wrong(void *context, struct error *err)
{
    struct device_sheet sheet = {0};
    enum err rc = decode(context, &sheet, err);

    return rc == ERR_INVALID ? ERR_OK
                             : rc; /* it is wrong, which must be found without memory too */
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    fail_each_allocation(decode_wrong, (void *)"{\"hardware\":[0,2,3,4],\"x\":1,\"y\":2}");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_sheet_is_read_with_all_its_fields),
        counted_test(each_wrong_field_of_a_sheet_is_named),
        counted_test(a_text_that_is_too_long_is_refused),
        counted_test(every_shipped_sheet_is_valid),
        counted_test(a_sheet_is_written_as_the_shipped_ones_are),
        counted_test(a_body_may_say_null_where_a_reply_does),
        counted_test(every_wrong_field_of_a_body_is_pointed_at),
        counted_test(a_device_is_written_with_what_each_space_knows),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

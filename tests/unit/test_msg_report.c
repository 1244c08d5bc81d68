/* proto/msg_report.h: reports as JSON. */
#include <jansson.h>

#include "proto/msg_report.h"
#include "tests/support/check.h"

static double number(const json_t *object, const char *name)
{
    const json_t *value = json_object_get(object, name);

    return json_is_number(value) ? json_number_value(value) : NAN;
}

static void a_test_report_has_every_promised_member(void **state)
{
    struct device_report device = {
        .name = "Oppo \"A5\"", .metrics = {10, .5, 250, 125, .1, .25, .75, NAN}
    };
    const struct test_report report = {&space_fbnetv3, "cost", true, 0, &device, 1, 10, 0.9, 0};
    struct text text = {0};
    json_t *value;
    json_t *row;
    (void)state;
    msg_test_encode(&report, &text);
    value = json_loadb(text.bytes, text.size, JSON_REJECT_DUPLICATES, NULL);
    text_close(&text);
    assert_string_equal(json_string_value(json_object_get(value, "search_space")), "fbnetv3");
    assert_string_equal(json_string_value(json_object_get(value, "predictor")), "cost");
    assert_true(json_is_true(json_object_get(value, "holdout")));
    row = json_array_get(json_object_get(value, "devices"), 0);
    assert_string_equal(json_string_value(json_object_get(row, "device")), "Oppo \"A5\"");
    assert_near(number(row, "n"), 10, 0);
    assert_near(number(row, "r"), .5, 0);
    assert_near(number(row, "rmse_ms"), 250, 0);
    assert_near(number(row, "mae_ms"), 125, 0);
    assert_near(number(row, "mape"), .1, 0);
    assert_near(number(row, "within_10_percent"), .25, 0);
    assert_near(number(row, "spearman"), .75, 0);
    assert_true(json_is_null(json_object_get(row, "kendall"))); /* not defined: null */
    assert_near(number(row, "rmse_reference_unit"), 2.5, 0);
    assert_near(number(row, "mae_reference_unit"), 1.25, 0);
    json_decref(value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_test_report_has_every_promised_member),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* proto/msg_result.h: a directory as JSON. */
#include "proto/msg_result.h"
#include "tests/support/check.h"

static void entries_are_written_in_order_with_sizes_of_files_alone(void **state)
{
    const struct result_entry entries[] = {
        {(char *)"a \"b\".txt", false, 12,   {1709210096, 0}},
        {(char *)"nas",         true,  4096, {0, 999000000} },
    };
    struct text text = {0};
    (void)state;
    msg_result_encode("nasbench201", entries, 2, "nas", &text);
    assert_string_equal(
        text.bytes,
        "{\"path\":\"nasbench201\",\"entries\":[{\"name\":\"a \\\"b\\\".txt\",\"type\":\"file\","
        "\"size_bytes\":12,\"modified_at\":\"2024-02-29T12:34:56.000Z\"},{\"name\":\"nas\","
        "\"type\":"
        "\"directory\",\"size_bytes\":null,\"modified_at\":\"1970-01-01T00:00:00.999Z\"}],"
        "\"next\":\"nas\"}\n");
    text_close(&text);
}

static void an_empty_directory_is_an_empty_list(void **state)
{
    struct text text = {0};
    (void)state;
    msg_result_encode("", NULL, 0, NULL, &text);
    assert_string_equal(text.bytes, "{\"path\":\"\",\"entries\":[],\"next\":null}\n");
    text_close(&text);
}

static void bytes_that_are_no_utf8_become_valid_json(void **state)
{
    const struct result_entry entry = {
        (char *)"x\xff\ny", false, 0, {0, 0}
    };
    struct text text = {0};
    (void)state;
    msg_result_encode("", &entry, 1, NULL, &text);
    assert_contains(text.bytes, "\"name\":\"x\\ufffd\\u000ay\"");
    text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(entries_are_written_in_order_with_sizes_of_files_alone),
        counted_test(an_empty_directory_is_an_empty_list),
        counted_test(bytes_that_are_no_utf8_become_valid_json),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

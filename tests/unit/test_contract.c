/* proto/contract.h: YAML becomes JSON. */
#include <jansson.h>

#include "core/version.h"
#include "proto/contract.h"
#include "tests/support/check.h"

static void check_json(const char *yaml, const char *expected)
{
    struct text text = {0};
    struct error err = {0};

    assert_ok(contract_convert(yaml, strlen(yaml), &text, &err), &err);
    assert_string_equal(text.bytes, expected);
    text_close(&text);
}

static void check_refused(const char *yaml, const char *phrase)
{
    struct text text = {0};
    struct error err = {0};

    assert_error(contract_convert(yaml, strlen(yaml), &text, &err), ERR_SYNTAX, &err, phrase);
    text_close(&text);
}

static void plain_scalars_are_typed_by_the_core_schema(void **state)
{
    (void)state;
    check_json("[null, Null, NULL, ~, ]", "[null,null,null,null]");
    check_json("a:\nb: 1", "{\"a\":null,\"b\":1}");
    check_json("[true, True, TRUE, false, False, FALSE]", "[true,true,true,false,false,false]");
    check_json("[0, -0, +12, 007, 0o17, 0xfF, 12345678901234567890]",
               "[0,-0,12,7,15,255,12345678901234567890]");
    check_json("[1.5, -.5, 5., +00.25, 1e3, 1.E-2, .5e+1]",
               "[1.5,-0.5,5.0,0.25,1e3,1.0E-2,0.5e+1]");
}

static void what_is_no_number_or_word_of_the_core_schema_is_a_string(void **state)
{
    (void)state;
    check_json("[yes, no, on, tRUE, nULL, 1_000, 1:30, 2026-01-31, 0b1, 0o8, 0x, 0xg, -, +, ., e1]",
               "[\"yes\",\"no\",\"on\",\"tRUE\",\"nULL\",\"1_000\",\"1:30\",\"2026-01-31\",\"0b1\","
               "\"0o8\",\"0x\",\"0xg\",\"-\",\"+\",\".\",\"e1\"]");
    check_json("[--1, 1e, 1e+, 1.2.3, -0x1, 0xfffffffffffffffff]",
               "[\"--1\",\"1e\",\"1e+\",\"1.2.3\",\"-0x1\",\"0xfffffffffffffffff\"]");
}

static void quoted_and_block_scalars_are_strings(void **state)
{
    (void)state;
    check_json("['1', \"true\", '', \"a\\tb\\\"\"]", "[\"1\",\"true\",\"\",\"a\\u0009b\\\"\"]");
    check_json("a: |\n  1\n  2\nb: >-\n  3\n  4\n", "{\"a\":\"1\\u000a2\\u000a\",\"b\":\"3 4\"}");
    check_json("'100 \u00b5s'", "\"100 \u00b5s\"");
}

static void order_and_structure_are_kept_and_keys_are_strings(void **state)
{
    (void)state;
    check_json("z: {y: [], x: {}}\n200: [[1], [{a: b}, 2]]\nnull: true\n",
               "{\"z\":{\"y\":[],\"x\":{}},\"200\":[[1],[{\"a\":\"b\"},2]],\"null\":true}");
}

static void the_version_is_put_in_its_place(void **state)
{
    (void)state;
    check_json("version: '" CONTRACT_VERSION "'", "{\"version\":\"" DGLD_VERSION "\"}");
}

static void what_json_cannot_say_is_refused_with_its_line(void **state)
{
    (void)state;
    check_refused("a: 1\nb: &x 2\n", "line 2: anchors");
    check_refused("a: &x [1]\n", "line 1: anchors");
    check_refused("a: &x {b: 1}\n", "line 1: anchors");
    check_refused("a: !!str 1\n", "line 1: anchors and tags");
    check_refused("a: 1\nb: *x\n", "line 2: aliases");
    check_refused("a: .inf\n", "line 1: JSON has neither");
    check_refused("a: 1\n? [b]\n: 2\n", "line 2: a key must be a scalar");
    check_refused("a: 1\n---\nb: 2\n", "line 2: one document");
    check_refused("a: \"\\0\"\n", "line 1: a scalar must not hold a NUL");
}

static void what_is_no_yaml_is_refused_with_its_line(void **state)
{
    (void)state;
    check_refused("", "line 1: there is nothing");
    check_refused("# a remark\n", "there is nothing");
    check_refused("a: 1\n\tb: [\n", "line 2");
    check_refused("a: {\n", "line 2");
    check_refused("a: \xff\n", "line 1");
}

static void depth_has_a_bound(void **state)
{
    char yaml[2 * CONTRACT_MAX_DEPTH + 3];
    (void)state;
    memset(yaml, 0, sizeof yaml);
    memset(yaml, '[', CONTRACT_MAX_DEPTH);
    memset(yaml + CONTRACT_MAX_DEPTH, ']', CONTRACT_MAX_DEPTH);
    check_json(yaml, yaml);
    memset(yaml, '[', CONTRACT_MAX_DEPTH + 1);
    memset(yaml + CONTRACT_MAX_DEPTH + 1, ']', CONTRACT_MAX_DEPTH + 1);
    check_refused(yaml, "nested too deeply");
}

static void the_programs_own_contract_is_openapi(void **state)
{
    struct text text = {0};
    struct error err = {0};
    json_t *root;
    (void)state;
    assert_ok(contract_write(&text, &err), &err);
    root = json_loadb(text.bytes, text.size, JSON_REJECT_DUPLICATES, NULL);
    assert_non_null(root);
    assert_string_equal(json_string_value(json_object_get(root, "openapi")), "3.1.0");
    assert_string_equal(
        json_string_value(json_object_get(json_object_get(root, "info"), "version")), DGLD_VERSION);
    assert_true(json_object_size(json_object_get(root, "paths")) > 0);
    json_decref(root);
    text_close(&text);
}

static enum err write_contract(void *context, struct error *err)
{
    struct text text = {0};
    enum err rc = contract_write(&text, err);
    (void)context;
    text_close(&text);
    return rc;
}

static void a_failing_allocation_is_reported(void **state)
{
    (void)state;
    fail_each_allocation(write_contract, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(plain_scalars_are_typed_by_the_core_schema),
        counted_test(what_is_no_number_or_word_of_the_core_schema_is_a_string),
        counted_test(quoted_and_block_scalars_are_strings),
        counted_test(order_and_structure_are_kept_and_keys_are_strings),
        counted_test(the_version_is_put_in_its_place),
        counted_test(what_json_cannot_say_is_refused_with_its_line),
        counted_test(what_is_no_yaml_is_refused_with_its_line),
        counted_test(depth_has_a_bound),
        counted_test(the_programs_own_contract_is_openapi),
        counted_test(a_failing_allocation_is_reported),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

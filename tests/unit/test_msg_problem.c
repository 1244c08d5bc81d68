/* proto/msg_problem.h: problem+json. */
#include <jansson.h>

#include "proto/msg_problem.h"
#include "tests/support/check.h"

static json_t *encode(const struct problem *problem)
{
    struct text text = {0};
    json_t *value;

    msg_problem_encode(problem, &text);
    value = json_loadb(text.bytes, text.size, JSON_REJECT_DUPLICATES, NULL);
    assert_true(json_is_object(value));
    text_close(&text);
    return value;
}

static const char *member(const json_t *object, const char *name)
{
    return json_string_value(json_object_get(object, name));
}

static void every_status_has_its_own_type_and_title(void **state)
{
    static const int statuses[] = {400, 404, 405, 408, 413, 415, 416, 422, 500, 503};
    char types[COUNT_OF(statuses)][100];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        const struct problem problem = {.status = statuses[i]};
        json_t *value = encode(&problem);
        assert_int_equal(json_integer_value(json_object_get(value, "status")), statuses[i]);
        assert_int_equal(json_object_size(value), 3); /* nothing that was not given */
        assert_true(strlen(member(value, "title")) > 0);
        (void)snprintf(types[i], sizeof types[i], "%s", member(value, "type"));
        assert_memory_equal(types[i], "urn:dgld:problem:", 17);
        for (size_t j = 0; j < i; j++) {
            assert_string_not_equal(types[i], types[j]);
        }
        json_decref(value);
    }
}

static void an_unknown_status_is_an_internal_error(void **state)
{
    const struct problem problem = {.status = 299};
    json_t *value = encode(&problem);
    (void)state;
    assert_int_equal(json_integer_value(json_object_get(value, "status")), 500);
    assert_string_equal(member(value, "type"), "urn:dgld:problem:internal-error");
    json_decref(value);
}

static void errors_are_listed_with_pointer_and_detail(void **state)
{
    struct field_errors errors = {0};
    const struct problem problem = {422, "two are \"wrong\"", "/v1/\n", &errors};
    json_t *value;
    json_t *list;
    (void)state;
    field_errors_add(&errors, 0, "/a/0", "must be %d", 1);
    field_errors_add(&errors, 0, "/b\"", "must not be \x01");
    value = encode(&problem);
    assert_string_equal(member(value, "detail"), "two are \"wrong\"");
    assert_string_equal(member(value, "instance"), "/v1/\n");
    list = json_object_get(value, "errors");
    assert_int_equal(json_array_size(list), 2);
    assert_string_equal(member(json_array_get(list, 0), "pointer"), "/a/0");
    assert_string_equal(member(json_array_get(list, 0), "detail"), "must be 1");
    assert_string_equal(member(json_array_get(list, 1), "pointer"), "/b\"");
    json_decref(value);
    field_errors_close(&errors);
    value = encode(&problem); /* an empty list is no member */
    assert_null(json_object_get(value, "errors"));
    json_decref(value);
}

static void the_one_for_want_of_memory_is_as_any_other(void **state)
{
    const struct problem problem = {.status = 503, .detail = "no memory for the reply"};
    struct text text = {0};

    (void)state;
    msg_problem_encode(&problem, &text);
    assert_string_equal(text.bytes, msg_problem_no_memory);
    text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_status_has_its_own_type_and_title),
        counted_test(an_unknown_status_is_an_internal_error),
        counted_test(errors_are_listed_with_pointer_and_detail),
        counted_test(the_one_for_want_of_memory_is_as_any_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* proto/json_spec.h and proto/field_error.h: objects read by a table, errors by pointer. */
#include "core/utf8.h"
#include "proto/json_spec.h"
#include "tests/support/check.h"

/* What the table fills, in the order of its fields. */
struct pair {
    int64_t first, second;
};

static void read_whole(const struct json_reader *reader, struct json_view value, int64_t *out)
{
    if (!json_view_whole(value, out)) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be whole, not %s",
                         json_view_kind_name(value));
    }
}

static void read_first(const struct json_reader *reader, struct json_view value)
{
    read_whole(reader, value, &((struct pair *)reader->out)->first);
}

/* Relies on the field before it. */
static void read_second(const struct json_reader *reader, struct json_view value)
{
    struct pair *pair = reader->out;

    read_whole(reader, value, &pair->second);
    pair->second *= pair->first;
}

static const struct json_field fields[] = {
    {"first",  true,  read_first },
    {"se~c/d", false, read_second},
};

static struct json_view parse(const char *text)
{
    struct json_view value = {NULL};
    struct error err = {0};

    assert_ok(json_view_check(text, strlen(text), &value, &err), &err);
    return value;
}

/* Reads at the place `pointer` and checks the errors, ended by NULL: "pointer: detail". */
static void check_object(const char *text, const char *pointer, const char *const *expected)
{
    struct pair pair = {0, 0};
    struct field_errors errors = {0};
    struct json_view value = parse(text);
    size_t n = 0;

    json_spec_read(value, fields, COUNT_OF(fields), pointer, &pair, &errors);
    for (; expected[n] != NULL; n++) {
        char found[600];
        assert_true(n < errors.n);
        (void)snprintf(found, sizeof found, "%s: %s", errors.items[n].pointer,
                       errors.items[n].detail);
        assert_string_equal(found, expected[n]);
    }
    assert_int_equal(errors.n, n);
    field_errors_close(&errors);
}

static void fields_are_read_in_the_order_of_the_table(void **state)
{
    struct pair pair = {0, 0};
    struct field_errors errors = {0};
    struct json_view value = parse("{\"se~c/d\": 3, \"first\": 7.0}");
    (void)state;
    json_spec_read(value, fields, COUNT_OF(fields), "", &pair, &errors);
    assert_int_equal(errors.n, 0);
    assert_int_equal(pair.first, 7);
    assert_int_equal(pair.second, 21);
    field_errors_close(&errors);
}

static void each_wrong_field_is_told_with_its_pointer(void **state)
{
    (void)state;
    check_object("{}", "", (const char *[]){"/first: first is missing", NULL});
    check_object("{\"first\": 1}", "", (const char *[]){NULL});
    check_object("{\"first\": \"x\"}", "",
                 (const char *[]){"/first: must be whole, not a string", NULL});
    check_object("{\"first\": null}", "/a",
                 (const char *[]){"/a/first: must be whole, not null", NULL});
    check_object("{\"third\": 1, \"se~c/d\": []}", "/a",
                 (const char *[]){"/a/third: \"third\" is not a field here",
                                  "/a/first: first is missing",
                                  "/a/se~0c~1d: must be whole, not an array", NULL});
    check_object("{\"first\": 1, \"second\\u0000 and more than a field has\": 2}", "",
                 (const char *[]){"/second: \"second\" is not a field here", NULL});
    check_object("{\"first\\u0000\": 1}", "",
                 (const char *[]){"/first: \"first\" is not a field here",
                                  "/first: first is missing", NULL});
    check_object("[1]", "/a", (const char *[]){"/a: must be an object, not an array", NULL});
    check_object("true", "", (const char *[]){": must be an object, not a boolean", NULL});
}

static void at_most_sixteen_unknown_fields_are_told(void **state)
{
    char text[2000] = "{\"first\":1";
    struct pair pair;
    struct field_errors errors = {0};
    struct json_view value;
    (void)state;
    for (int i = 0; i < 50; i++) {
        (void)sprintf(text + strlen(text), ",\"x%d\":1", i);
    }
    value = parse(strcat(text, "}"));
    json_spec_read(value, fields, COUNT_OF(fields), "", &pair, &errors);
    assert_int_equal(errors.n, 16);
    field_errors_close(&errors);
}

static bool is_utf8(const char *text)
{
    while (*text != '\0' && utf8_length(text) > 0) {
        text += utf8_length(text);
    }
    return *text == '\0';
}

/* Names of every length, of characters of 1 to 4 bytes, below pointers of every length. */
static void pointers_are_cut_between_characters_and_never_overrun(void **state)
{
    static const char *const characters[] = {"x", "~", "\xc3\xa9", "\xe2\x82\xac",
                                             "\xf0\x9f\x98\x80"};
    (void)state;
    for (size_t c = 0; c < COUNT_OF(characters); c++) {
        for (size_t length = 0; length < JSON_POINTER_BYTES; length += 5) {
            char pointer[JSON_POINTER_BYTES] = {0};
            char name[1200] = {0};
            struct field_errors errors = {0};
            struct pair pair;
            char text[1300];
            memset(pointer, 'p', length);
            for (size_t i = 0; i < 280; i++) {
                (void)strcat(name, characters[c]);
            }
            (void)snprintf(text, sizeof text, "{\"%s\": true}", name);
            json_spec_read(parse(text), fields, COUNT_OF(fields), pointer, &pair, &errors);
            assert_int_equal(errors.n, 2);
            for (size_t i = 0; i < 2; i++) {
                assert_true(strlen(errors.items[i].pointer) < JSON_POINTER_BYTES);
                assert_true(is_utf8(errors.items[i].pointer));
                assert_memory_equal(errors.items[i].pointer, pointer, length);
            }
            field_errors_close(&errors);
        }
    }
}

static void a_field_given_twice_is_told(void **state)
{
    (void)state;
    check_object("{\"first\": 1, \"first\": 1}", "",
                 (const char *[]){"/first: first is given twice", NULL});
    check_object("{\"first\": 1, \"\\u0066irst\": 2}", "/a",
                 (const char *[]){"/a/first: first is given twice", NULL});
}

static void errors_are_kept_and_a_failed_allocation_is_remembered(void **state)
{
    (void)state;
    for (long n = 1; n <= 8; n++) {
        struct field_errors errors = {0};
        field_errors_add(&errors, 0, "/a", "first");
        mem_fail_after(n, 0);
        for (size_t i = 0; i < 20; i++) {
            field_errors_add(&errors, i, "/b", "number %zu", i);
        }
        mem_fail_after(0, 0);
        assert_true(errors.has_failed);
        assert_string_equal(errors.items[0].pointer, "/a");
        assert_string_equal(errors.items[errors.n - 1].pointer, "/b");
        field_errors_close(&errors);
        assert_null(errors.items);
    }
}

static void an_open_object_may_have_other_fields_and_none_twice(void **state)
{
    struct pair pair = {0, 0};
    struct field_errors errors = {0};

    (void)state;
    json_spec_read_open(parse("{\"x\":[1],\"first\":3,\"se~c/d\":4,\"x\":2}"), fields,
                        COUNT_OF(fields), "", &pair, &errors);
    assert_int_equal(errors.n, 0);
    assert_int_equal(pair.first, 3);
    assert_int_equal(pair.second, 12);
    json_spec_read_open(parse("{\"first\":3,\"first\":4}"), fields, COUNT_OF(fields), "", &pair,
                        &errors);
    assert_int_equal(errors.n, 1);
    assert_string_equal(errors.items[0].detail, "first is given twice");
    json_spec_read_open(parse("{\"second\":3}"), fields, COUNT_OF(fields), "/at", &pair, &errors);
    assert_int_equal(errors.n, 2);
    assert_string_equal(errors.items[1].pointer, "/at/first");
    assert_string_equal(errors.items[1].detail, "first is missing");
    field_errors_close(&errors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(fields_are_read_in_the_order_of_the_table),
        counted_test(each_wrong_field_is_told_with_its_pointer),
        counted_test(at_most_sixteen_unknown_fields_are_told),
        counted_test(pointers_are_cut_between_characters_and_never_overrun),
        counted_test(a_field_given_twice_is_told),
        counted_test(an_open_object_may_have_other_fields_and_none_twice),
        counted_test(errors_are_kept_and_a_failed_allocation_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

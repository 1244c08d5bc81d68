/* proto/pickle.h: the bytes of each instruction are those of Python's format. */
#include "proto/pickle.h"
#include "tests/support/check.h"

static void assert_bytes(struct text *text, const char *expected, size_t size)
{
    assert_false(text->has_failed);
    assert_int_equal(text->size, size);
    assert_memory_equal(text->bytes, expected, size);
    text_close(text);
}

#define assert_holds(text, literal) assert_bytes((text), (literal), sizeof(literal) - 1)

/* As pickle.dumps(..., protocol=2) has them, but for LONG1, where Python strips zeroes. */
static void whole_numbers_take_as_few_bytes_as_there_is_an_instruction_for(void **state)
{
    static const struct {
        int64_t value;
        const char *bytes;
        size_t size;
    } rows[] = {
        {0,                   "K\0",                              2 },
        {255,                 "K\xff",                            2 },
        {256,                 "M\0\1",                            3 },
        {65535,               "M\xff\xff",                        3 },
        {65536,               "J\0\0\1\0",                        5 },
        {INT32_MAX,           "J\xff\xff\xff\x7f",                5 },
        {-1,                  "J\xff\xff\xff\xff",                5 },
        {INT32_MIN,           "J\0\0\0\x80",                      5 },
        {(int64_t)1 << 31,    "\x8a\x08\0\0\0\x80\0\0\0\0",       10},
        {-((int64_t)1 << 32), "\x8a\x08\0\0\0\0\xff\xff\xff\xff", 10},
        {INT64_MIN,           "\x8a\x08\0\0\0\0\0\0\0\x80",       10},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text text = {0};
        pickle_int(&text, rows[i].value);
        assert_bytes(&text, rows[i].bytes, rows[i].size);
    }
}

static void strings_have_their_length_before_them(void **state)
{
    struct text text = {0};
    char *many = mem_calloc(301, 1);
    (void)state;
    assert_non_null(many);
    pickle_string(&text, "");
    pickle_string(&text, "h\xc3\xa9");
    assert_holds(&text, "X\0\0\0\0X\3\0\0\0h\xc3\xa9");
    memset(many, 'a', 300);
    pickle_string(&text, many);
    assert_memory_equal(text.bytes, "X\x2c\1\0\0a", 6);
    assert_int_equal(text.size, 305);
    text_close(&text);
    mem_free(many);
}

/* An object with two attributes, as pickle.dumps() has it without its memo. */
static void a_pickle_is_its_instructions_in_order(void **state)
{
    struct text text = {0};
    (void)state;
    pickle_begin(&text);
    pickle_global(&text, "a.b", "C");
    pickle_op(&text, PICKLE_EMPTY_TUPLE);
    pickle_op(&text, PICKLE_NEW_OBJECT);
    pickle_op(&text, PICKLE_EMPTY_DICT);
    pickle_op(&text, PICKLE_MARK);
    pickle_string(&text, "x");
    pickle_bool(&text, true);
    pickle_string(&text, "y");
    pickle_op(&text, PICKLE_MARK);
    pickle_bool(&text, false);
    pickle_op(&text, PICKLE_NONE);
    pickle_op(&text, PICKLE_TUPLE);
    pickle_op(&text, PICKLE_SET_ITEMS);
    pickle_op(&text, PICKLE_BUILD);
    pickle_end(&text);
    assert_holds(&text, "\x80\2"
                        "ca.b\nC\n)\x81}(X\1\0\0\0x\x88X\1\0\0\0y(\x89Ntub.");
}

static void a_failed_allocation_is_remembered(void **state)
{
    struct text text = {0};
    (void)state;
    mem_fail_after(1, 0);
    pickle_begin(&text);
    mem_fail_after(0, 0);
    pickle_end(&text);
    assert_true(text.has_failed);
    text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(whole_numbers_take_as_few_bytes_as_there_is_an_instruction_for),
        counted_test(strings_have_their_length_before_them),
        counted_test(a_pickle_is_its_instructions_in_order),
        counted_test(a_failed_allocation_is_remembered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

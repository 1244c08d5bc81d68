/* core/mem.h: checked sizes, the count of live blocks, and the hook that fails an allocation. */
#include "tests/support/check.h"

static void sizes_that_overflow_give_null(void **state)
{
    void *block = mem_calloc(4, 4);
    volatile size_t half = SIZE_MAX / 2 + 1; /* volatile: compilers would warn of the size */
    (void)state;
    assert_non_null(block);
    assert_null(mem_calloc(half, 2));
    assert_null(mem_calloc(half, half));
    assert_null(mem_resize(NULL, half, 2));
    assert_null(mem_resize(block, half, 3));
    assert_null(mem_strndup("x", SIZE_MAX));
    mem_free(block);
}

static void calloc_gives_zeroes(void **state)
{
    unsigned char *bytes = mem_calloc(1000, 3);
    (void)state;
    for (size_t i = 0; i < 3000; i++) {
        assert_int_equal(bytes[i], 0);
    }
    mem_free(bytes);
}

static void nothing_at_all_is_a_block_that_may_be_freed(void **state)
{
    void *none = mem_calloc(0, 8);
    void *grown = mem_resize(NULL, 0, 8);
    (void)state;
    assert_non_null(none);
    assert_non_null(grown);
    mem_free(none);
    mem_free(grown);
    mem_free(NULL);
}

static void live_blocks_are_counted(void **state)
{
    long before = mem_live_blocks();
    void *a = mem_calloc(1, 1);
    void *b = mem_resize(NULL, 10, 1);
    (void)state;
    assert_int_equal(mem_live_blocks(), before + 2);
    b = mem_resize(b, 100, 1);
    assert_int_equal(mem_live_blocks(), before + 2);
    mem_free(a);
    mem_free(b);
    assert_int_equal(mem_live_blocks(), before);
}

static void resizing_keeps_the_content(void **state)
{
    char *text = mem_strdup("abc");
    (void)state;
    text = mem_resize(text, 100000, 1);
    assert_string_equal(text, "abc");
    mem_free(text);
}

static void strndup_ends_the_copy(void **state)
{
    char *text = mem_strndup("abcdef", 3);
    char *empty = mem_strndup("", 0);
    (void)state;
    assert_string_equal(text, "abc");
    assert_string_equal(empty, "");
    mem_free(text);
    mem_free(empty);
}

static void the_hook_fails_the_nth_allocation_once(void **state)
{
    void *a;
    void *b;
    (void)state;
    mem_fail_after(2, 0);
    a = mem_calloc(1, 1);
    assert_non_null(a);
    assert_null(mem_calloc(1, 1));
    b = mem_strdup("x");
    assert_non_null(b);
    mem_free(a);
    mem_free(b);
}

static void the_hook_fails_all_allocations_for_good(void **state)
{
    void *block = mem_calloc(1, 1);
    (void)state;
    mem_fail_after(1, 1);
    assert_null(mem_calloc(1, 1));
    assert_null(mem_strdup("x"));
    assert_null(mem_resize(block, 2, 1));
    mem_fail_after(0, 0);
    block = mem_resize(block, 2, 1); /* the failure left it as it was */
    assert_non_null(block);
    mem_free(block);
}

/* Large blocks, some of which have been freed before: what they hold stays through every size. */
static void large_blocks_keep_their_content_too(void **state)
{
    static const size_t sizes[] = {1000,    900000,   1 << 20, 3 << 20, 2 << 20, 8 << 20,
                                   9 << 20, 20 << 20, 8 << 20, 1 << 20, 100};
    void *blocks[5];

    (void)state;
    for (size_t round = 0; round < 3; round++) {
        unsigned char *bytes = NULL;
        size_t held = 0;
        for (size_t i = 0; i < COUNT_OF(sizes); i++) {
            unsigned char *grown = mem_resize(bytes, sizes[i], 1);
            assert_non_null(grown);
            bytes = grown;
            held = held < sizes[i] ? held : sizes[i];
            for (size_t k = 0; k < held; k += 97) {
                assert_int_equal(bytes[k], (k + round) % 251);
            }
            for (size_t k = 0; k < sizes[i]; k++) {
                bytes[k] = (unsigned char)((k + round) % 251);
            }
            held = sizes[i];
        }
        mem_free(bytes);
        for (size_t i = 0; i < COUNT_OF(blocks); i++) { /* more than are kept, and all at once */
            blocks[i] = mem_resize(NULL, (size_t)(i + 1) << 20, 1);
            memset(blocks[i], (int)i, (size_t)(i + 1) << 20);
        }
        for (size_t i = 0; i < COUNT_OF(blocks); i++) {
            assert_int_equal(((unsigned char *)blocks[i])[(i + 1) << 19], i);
            mem_free(blocks[i]);
        }
    }
}

static void a_kept_block_is_no_zeroed_one(void **state)
{
    unsigned char *bytes = mem_resize(NULL, 4 << 20, 1);

    (void)state;
    memset(bytes, 7, 4 << 20);
    mem_free(bytes);
    calloc_gives_zeroes(state);
    bytes = mem_calloc(4 << 20, 1);
    for (size_t i = 0; i < 4 << 20; i++) {
        assert_int_equal(bytes[i], 0);
    }
    mem_free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(sizes_that_overflow_give_null),
        counted_test(calloc_gives_zeroes),
        counted_test(nothing_at_all_is_a_block_that_may_be_freed),
        counted_test(live_blocks_are_counted),
        counted_test(resizing_keeps_the_content),
        counted_test(large_blocks_keep_their_content_too),
        counted_test(a_kept_block_is_no_zeroed_one),
        counted_test(strndup_ends_the_copy),
        counted_test(the_hook_fails_the_nth_allocation_once),
        counted_test(the_hook_fails_all_allocations_for_good),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

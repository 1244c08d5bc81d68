/* server/spelling.h: which name was meant. */
#include "server/spelling.h"
#include "tests/support/check.h"

static void the_distance_counts_letters_to_change(void **state)
{
    static const struct {
        const char *a, *b;
        size_t distance;
    } rows[] = {
        {"",             "",             0},
        {"",             "abc",          3},
        {"port",         "port",         0},
        {"port",         "prot",         1},
        {"port",         "pot",          1},
        {"port",         "sport",        1},
        {"port",         "part",         1},
        {"Max-Bytes",    "max_bytes",    0},
        {"kitten",       "sitting",      3},
        {"abcd",         "badc",         2},
        {"ca",           "abc",          3},
        {"http_threads", "pool_threads", 4},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_int_equal(spelling_distance(rows[i].a, rows[i].b), rows[i].distance);
        assert_int_equal(spelling_distance(rows[i].b, rows[i].a), rows[i].distance);
    }
}

static void a_name_that_is_too_long_is_near_nothing(void **state)
{
    char name[SPELLING_MAX_LENGTH + 2] = {0};
    (void)state;
    memset(name, 'a', SPELLING_MAX_LENGTH);
    assert_int_equal(spelling_distance(name, "aa"), SPELLING_MAX_LENGTH - 2);
    assert_int_equal(spelling_distance("aa", name), SPELLING_MAX_LENGTH - 2);
    name[SPELLING_MAX_LENGTH] = 'a';
    assert_true(spelling_distance(name, "aa") == SIZE_MAX);
    assert_true(spelling_distance("aa", name) == SIZE_MAX);
}

static void the_nearest_offer_wins_and_the_first_of_equals(void **state)
{
    struct spelling spelling = {.given = "thread"};
    (void)state;
    spelling_offer(&spelling, "bread");
    assert_string_equal(spelling.nearest, "bread");
    spelling_offer(&spelling, "threads");
    assert_string_equal(spelling.nearest, "threads");
    spelling_offer(&spelling, "thread_");
    assert_string_equal(spelling.nearest, "threads");
}

static void what_is_far_is_not_offered(void **state)
{
    struct spelling spelling = {.given = "port"};
    struct spelling empty = {.given = ""};
    (void)state;
    spelling_offer(&spelling, "bind");
    spelling_offer(&spelling, "part_"); /* two letters of four */
    assert_null(spelling.nearest);
    spelling_offer(&empty, "");
    spelling_offer(&empty, "a");
    assert_string_equal(empty.nearest, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_distance_counts_letters_to_change),
        counted_test(a_name_that_is_too_long_is_near_nothing),
        counted_test(the_nearest_offer_wins_and_the_first_of_equals),
        counted_test(what_is_far_is_not_offered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/trace.h: request ids and the header traceparent. */
#include <pthread.h>

#include "server/trace.h"
#include "tests/support/check.h"

#define TRACE  "0af7651916cd43dd8448eb211c80319c"
#define PARENT "b7ad6b7169203331"

static void ids_of_clients_are_taken_where_they_need_no_quoting(void **state)
{
    char longest[REQUEST_ID_BYTES + 1];
    (void)state;
    memset(longest, 'x', sizeof longest);
    longest[128] = '\0';
    assert_true(request_id_is_fit(longest));
    assert_true(request_id_is_fit("a"));
    assert_true(request_id_is_fit("AZaz09-_.~:/+=@#"));
    longest[128] = 'x';
    longest[129] = '\0';
    assert_false(request_id_is_fit(longest));
    assert_false(request_id_is_fit(NULL));
    assert_false(request_id_is_fit(""));
}

static void every_other_byte_is_refused_wherever_it_stands(void **state)
{
    static const char fit[] = "-_.~:/+=@#";
    (void)state;
    for (int c = 1; c < 256; c++) {
        bool is_letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        bool is_expected = is_letter || strchr(fit, c) != NULL;
        char first[] = {(char)c, 'x', '\0'};
        char last[] = {'x', (char)c, '\0'};
        assert_int_equal(request_id_is_fit(first), is_expected);
        assert_int_equal(request_id_is_fit(last), is_expected);
    }
}

static void ids_are_of_a_process_and_count_up(void **state)
{
    char first[REQUEST_ID_MADE_BYTES];
    char second[REQUEST_ID_MADE_BYTES];
    (void)state;
    trace_init();
    request_id_make(first);
    request_id_make(second);
    assert_int_equal(strspn(first, "0123456789abcdef"), 16);
    assert_int_equal(first[16], '-');
    assert_true(request_id_is_fit(first));
    assert_memory_equal(first, second, 17);
    assert_int_equal(strtoull(second + 17, NULL, 16), strtoull(first + 17, NULL, 16) + 1);
    trace_init(); /* as another process would */
    request_id_make(second);
    assert_memory_not_equal(first, second, 16);
}

enum { N_THREADS = 4, N_IDS = 3000, N_ALL = N_THREADS * N_IDS };

static unsigned long long made[N_THREADS][N_IDS];

static void *make_ids(void *row)
{
    for (size_t i = 0; i < N_IDS; i++) {
        char id[REQUEST_ID_MADE_BYTES];
        request_id_make(id);
        ((unsigned long long *)row)[i] = strtoull(id + 17, NULL, 16);
    }
    return NULL;
}

static int compare(const void *a, const void *b)
{
    const unsigned long long *x = a;
    const unsigned long long *y = b;

    return (*x > *y) - (*x < *y);
}

static void no_two_threads_make_the_same_id(void **state)
{
    pthread_t threads[N_THREADS];
    unsigned long long *all = &made[0][0];
    (void)state;
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_create(&threads[t], NULL, make_ids, made[t]), 0);
    }
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_join(threads[t], NULL), 0);
    }
    qsort(all, N_ALL, sizeof *all, compare);
    for (size_t i = 1; i < N_ALL; i++) {
        assert_true(all[i] != all[i - 1]);
    }
}

static void a_traceparent_gives_its_ids(void **state)
{
    static const char *const good[] = {
        "00-" TRACE "-" PARENT "-00",
        "00-" TRACE "-" PARENT "-01",
        "00-" TRACE "-" PARENT "-ff", /* flags that are not known yet */
        "01-" TRACE "-" PARENT "-01", /* a later version ... */
        "cc-" TRACE "-" PARENT "-01-what-the-future-will-be-like",
        "fe-" TRACE "-" PARENT "-01-",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(good); i++) {
        struct trace trace;
        assert_true(trace_parse(good[i], &trace));
        assert_string_equal(trace.trace_id, TRACE);
        assert_string_equal(trace.parent_id, PARENT);
    }
}

static void a_malformed_traceparent_is_ignored(void **state)
{
    static const char *const bad[] = {
        NULL,
        "",
        "00",
        "00-" TRACE "-" PARENT,
        "00-" TRACE "-" PARENT "-",
        "00-" TRACE "-" PARENT "-0",
        "00-" TRACE "-" PARENT "-0g",
        "00-" TRACE "-" PARENT "-01-",
        "00-" TRACE "-" PARENT "-01-x",
        "00-" TRACE "-" PARENT "-011",
        "00-" TRACE "-" PARENT "-01 ",
        " 00-" TRACE "-" PARENT "-01",
        "cc-" TRACE "-" PARENT "-01.x",
        "cc-" TRACE "-" PARENT "-011",
        "ff-" TRACE "-" PARENT "-01",
        "0-" TRACE "-" PARENT "-01",
        "0G-" TRACE "-" PARENT "-01",
        "00_" TRACE "-" PARENT "-01",
        "00-" TRACE "_" PARENT "-01",
        "00-" TRACE "-" PARENT "_01",
        "00-0AF7651916CD43DD8448EB211C80319C-" PARENT "-01",
        "00-" TRACE "-B7AD6B7169203331-01",
        "00-00000000000000000000000000000000-" PARENT "-01",
        "00-" TRACE "-0000000000000000-01",
        "00-0af7651916cd43dd8448eb211c80319-" PARENT "-001",
        "00-0af7651916cd43dd8448eb211c8031\xc3\xa9-" PARENT "-01",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct trace trace;
        memset(&trace, 'x', sizeof trace);
        if (trace_parse(bad[i], &trace)) {
            fail_msg("\"%s\" is taken", bad[i] != NULL ? bad[i] : "NULL");
        }
        assert_string_equal(trace.trace_id, "");
        assert_string_equal(trace.parent_id, "");
    }
}

/* Each byte in turn changed: taken if and only if the change leaves a digit where one stood. */
static void every_byte_of_a_traceparent_is_looked_at(void **state)
{
    static const char good[] = "00-" TRACE "-" PARENT "-01";
    (void)state;
    for (size_t i = 0; i < sizeof good - 1; i++) {
        char text[sizeof good];
        struct trace trace;
        memcpy(text, good, sizeof good);
        text[i] = 'X';
        assert_false(trace_parse(text, &trace));
        text[i] = '\0';
        assert_false(trace_parse(text, &trace));
        text[i] = '7'; /* version 07 or 70 may well be */
        assert_int_equal(trace_parse(text, &trace), good[i] != '-');
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(ids_of_clients_are_taken_where_they_need_no_quoting),
        counted_test(every_other_byte_is_refused_wherever_it_stands),
        counted_test(ids_are_of_a_process_and_count_up),
        counted_test(no_two_threads_make_the_same_id),
        counted_test(a_traceparent_gives_its_ids),
        counted_test(a_malformed_traceparent_is_ignored),
        counted_test(every_byte_of_a_traceparent_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

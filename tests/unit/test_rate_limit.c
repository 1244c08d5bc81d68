/* server/rate_limit.h: how many requests an address may make. Time is given, so nothing waits. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>

#include "server/rate_limit.h"
#include "tests/support/check.h"

#define S  UINT64_C(1000000000)
#define T0 (100000 * S)

static const struct sockaddr *address(const char *text)
{
    static struct sockaddr_storage both[2];
    static unsigned turn;
    struct sockaddr_storage *out = &both[turn++ % 2];
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &v6->sin6_addr), 1);
        v6->sin6_family = AF_INET6;
    }
    return (const struct sockaddr *)out;
}

static struct rate_limit *create(void)
{
    struct rate_limit *limit = NULL;
    struct error err = {0};

    assert_ok(rate_limit_create(&limit, &err), &err);
    return limit;
}

static void a_burst_passes_and_the_next_waits(void **state)
{
    struct rate_limit *limit = create();
    const struct sockaddr *a = address("192.0.2.1");
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(rate_limit_take(limit, a, 2, 10, T0), 0);
    }
    assert_int_equal(rate_limit_take(limit, a, 2, 10, T0), 1);
    assert_int_equal(rate_limit_take(limit, a, 2, 10, T0 + S / 2 - 1),
                     1); /* refusals cost nothing */
    assert_int_equal(rate_limit_take(limit, a, 2, 10, T0 + S / 2), 0);
    assert_int_equal(rate_limit_take(limit, a, 2, 10, T0 + S / 2), 1);
    rate_limit_destroy(limit);
}

static void a_bucket_fills_to_a_burst_and_no_further(void **state)
{
    struct rate_limit *limit = create();
    const struct sockaddr *a = address("192.0.2.1");
    (void)state;
    assert_int_equal(rate_limit_take(limit, a, 1, 3, T0), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(rate_limit_take(limit, a, 1, 3, T0 + 1000 * S), 0);
    }
    assert_int_equal(rate_limit_take(limit, a, 1, 3, T0 + 1000 * S), 1);
    rate_limit_destroy(limit);
}

static void a_steady_client_at_the_rate_is_never_refused(void **state)
{
    struct rate_limit *limit = create();
    const struct sockaddr *a = address("192.0.2.1");
    int n_refused = 0;
    (void)state;
    for (uint64_t i = 0; i < 1000; i++) {
        n_refused += rate_limit_take(limit, a, 100, 1, T0 + i * S / 100) != 0;
    }
    assert_int_equal(n_refused, 0);
    for (uint64_t i = 0; i < 1000; i++) { /* twice the rate: every other one */
        n_refused += rate_limit_take(limit, a, 100, 1, T0 + 20 * S + i * S / 200) != 0;
    }
    assert_int_equal(n_refused, 500);
    rate_limit_destroy(limit);
}

static void the_wait_is_told_in_whole_seconds(void **state)
{
    struct rate_limit *limit = create();
    const struct sockaddr *a = address("192.0.2.1");
    (void)state;
    for (int i = 0; i < 8; i++) {
        assert_int_equal(rate_limit_take(limit, a, 1, 8, T0), 0);
    }
    assert_int_equal(rate_limit_take(limit, a, 1, 3, T0), 6); /* the burst was cut meanwhile */
    assert_int_equal(rate_limit_take(limit, a, 1, 3, T0 + 5 * S + 1), 1);
    assert_int_equal(rate_limit_take(limit, a, 1, 3, T0 + 6 * S), 0);
    rate_limit_destroy(limit);
}

static void addresses_are_counted_apart(void **state)
{
    static const struct {
        const char *one, *other;
        bool is_shared;
    } rows[] = {
        {"192.0.2.1",            "192.0.2.2",        false},
        {"192.0.2.1",            "::ffff:192.0.2.1", true },
        {"192.0.2.1",            "::ffff:192.0.2.2", false},
        {"2001:db8::1",          "2001:db8::2",      true },
        {"2001:db8:0:0:ffff::1", "2001:db8::1",      true },
        {"2001:db8:0:1::1",      "2001:db8:0:2::1",  false},
        {"2001:db9::1",          "2001:db8::1",      false},
        {"::1",                  "127.0.0.1",        false},
        {"0.0.0.0",              "::",               false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct rate_limit *limit = create();
        assert_int_equal(rate_limit_take(limit, address(rows[i].one), 1, 1, T0), 0);
        assert_int_equal(rate_limit_take(limit, address(rows[i].one), 1, 1, T0), 1);
        assert_int_equal(rate_limit_take(limit, address(rows[i].other), 1, 1, T0),
                         rows[i].is_shared);
        rate_limit_destroy(limit);
    }
}

static void a_crowd_does_not_make_a_client_forgotten(void **state)
{
    struct rate_limit *limit = create();
    struct sockaddr_in crowd = {.sin_family = AF_INET};
    const struct sockaddr *greedy = address("192.0.2.1");
    (void)state;
    for (int i = 0; i < 50; i++) {
        assert_int_equal(rate_limit_take(limit, greedy, 1, 50, T0), 0);
    }
    for (uint32_t i = 0; i < 1000000; i++) { /* fifteen times the places of the table */
        crowd.sin_addr.s_addr = htonl(0x0a000000 + i);
        assert_int_equal(rate_limit_take(limit, (const struct sockaddr *)&crowd, 1, 50, T0 + i), 0);
    }
    assert_int_equal(rate_limit_take(limit, greedy, 1, 50, T0 + 1000000), 1);
    rate_limit_destroy(limit);
}

struct taker {
    struct rate_limit *limit;
    atomic_int n_taken;
};

static void *take_many(void *context)
{
    struct taker *taker = context;
    const struct sockaddr_in one = {.sin_family = AF_INET};

    for (int i = 0; i < 20000; i++) {
        if (rate_limit_take(taker->limit, (const struct sockaddr *)&one, 1, 1000, T0) == 0) {
            atomic_fetch_add(&taker->n_taken, 1);
        }
    }
    return NULL;
}

static void threads_share_a_bucket(void **state)
{
    struct taker taker = {.limit = create()};
    pthread_t threads[4];
    (void)state;
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_many, &taker), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(atomic_load(&taker.n_taken), 1000);
    rate_limit_destroy(taker.limit);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_burst_passes_and_the_next_waits),
        counted_test(a_bucket_fills_to_a_burst_and_no_further),
        counted_test(a_steady_client_at_the_rate_is_never_refused),
        counted_test(the_wait_is_told_in_whole_seconds),
        counted_test(addresses_are_counted_apart),
        counted_test(a_crowd_does_not_make_a_client_forgotten),
        counted_test(threads_share_a_bucket),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

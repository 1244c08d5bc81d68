/* server/job_keys.h: idempotency keys of submissions that are on their way. */
#include <pthread.h>
#include <stdatomic.h>

#include "server/job_keys.h"
#include "tests/support/check.h"

static struct job_keys keys;

static int open_keys(void **state)
{
    job_keys_init(&keys);
    return count_blocks(state);
}

static int close_keys(void **state)
{
    assert_null(keys.first);
    job_keys_close(&keys);
    return check_blocks(state);
}

static void a_key_is_taken_once_until_it_is_dropped(void **state)
{
    struct job_key one = {.client = "ada", .key = "k"};
    struct job_key again = {.client = "ada", .key = "k"};
    (void)state;

    assert_true(job_keys_take(&keys, &one));
    assert_false(job_keys_take(&keys, &again));
    job_keys_drop(&keys, &one);
    assert_true(job_keys_take(&keys, &again));
    assert_false(job_keys_take(&keys, &one));
    job_keys_drop(&keys, &again);
}

static void keys_are_each_clients_own(void **state)
{
    struct job_key all[] = {
        {.client = "ada", .key = "k"},
        {.client = "bob", .key = "k"},
        {.client = "",    .key = "k"},
        {.client = "ada", .key = "l"},
    };
    (void)state;

    for (size_t i = 0; i < COUNT_OF(all); i++) {
        assert_true(job_keys_take(&keys, &all[i]));
    }
    job_keys_drop(&keys, &all[1]); /* from the middle, the end and the beginning */
    job_keys_drop(&keys, &all[0]);
    job_keys_drop(&keys, &all[3]);
    assert_false(job_keys_take(&keys, &(struct job_key){.client = "", .key = "k"}));
    job_keys_drop(&keys, &all[2]);
}

enum { N_THREADS = 4, N_ROUNDS = 2000 };

static atomic_int n_holders, n_taken, n_together;

static void *take_and_drop(void *argument)
{
    (void)argument;
    for (int i = 0; i < N_ROUNDS; i++) {
        struct job_key mine = {.client = "ada", .key = "k"};
        if (job_keys_take(&keys, &mine)) {
            n_together += atomic_fetch_add(&n_holders, 1) > 0;
            n_taken++;
            atomic_fetch_sub(&n_holders, 1);
            job_keys_drop(&keys, &mine);
        }
    }
    return NULL;
}

static void of_several_threads_one_has_the_key(void **state)
{
    pthread_t threads[N_THREADS];
    (void)state;

    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, take_and_drop, NULL), 0);
    }
    for (size_t i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    }
    assert_int_equal(n_together, 0);
    assert_in_range(n_taken, N_ROUNDS / 100, N_THREADS * N_ROUNDS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_key_is_taken_once_until_it_is_dropped, open_keys,
                                        close_keys),
        cmocka_unit_test_setup_teardown(keys_are_each_clients_own, open_keys, close_keys),
        cmocka_unit_test_setup_teardown(of_several_threads_one_has_the_key, open_keys, close_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

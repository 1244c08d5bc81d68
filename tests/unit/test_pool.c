/* server/pool.h: threads for what takes long. */
#include <stdatomic.h>

#include "server/pool.h"
#include "tests/support/check.h"

enum { N_JOBS = 1000 };

struct task {
    struct pool_job job;
    atomic_int *n_run;
    atomic_bool *may_go; /* NULL: need not wait */
    int order;
};

static void run(struct pool_job *job)
{
    struct task *task = (struct task *)job;

    while (task->may_go != NULL && !atomic_load(task->may_go)) {
    }
    task->order = atomic_fetch_add(task->n_run, 1);
}

static void every_job_runs_once_before_the_pool_is_stopped(void **state)
{
    struct task *tasks = mem_calloc(N_JOBS, sizeof *tasks);
    struct pool *pool = NULL;
    atomic_int n_run = 0;
    (void)state;
    assert_int_equal(pool_start(3, &pool, NULL), ERR_OK);
    for (int i = 0; i < N_JOBS; i++) {
        tasks[i] = (struct task){.job.run = run, .n_run = &n_run, .order = -1};
        assert_true(pool_submit(pool, &tasks[i].job, N_JOBS));
    }
    pool_stop(pool);
    assert_int_equal(n_run, N_JOBS);
    assert_false(pool_submit(pool, &tasks[0].job, N_JOBS)); /* who asks after that is answered */
    pool_destroy(pool);
    for (int i = 0; i < N_JOBS; i++) {
        assert_true(tasks[i].order >= 0);
    }
    mem_free(tasks);
}

static void the_first_come_is_the_first_served(void **state)
{
    struct task tasks[8];
    struct pool *pool = NULL;
    atomic_int n_run = 0;
    (void)state;
    assert_int_equal(pool_start(1, &pool, NULL), ERR_OK);
    for (int i = 0; i < 8; i++) {
        tasks[i] = (struct task){.job.run = run, .n_run = &n_run};
        assert_true(pool_submit(pool, &tasks[i].job, 8));
    }
    pool_destroy(pool);
    for (int i = 0; i < 8; i++) {
        assert_int_equal(tasks[i].order, i);
    }
}

static void a_full_queue_takes_no_more(void **state)
{
    struct task tasks[4];
    struct pool *pool = NULL;
    atomic_int n_run = 0;
    atomic_bool may_go = false;
    (void)state;
    assert_int_equal(pool_start(1, &pool, NULL), ERR_OK);
    for (int i = 0; i < 4; i++) {
        tasks[i] = (struct task){.job.run = run, .n_run = &n_run, .may_go = &may_go};
    }
    assert_true(pool_submit(pool, &tasks[0].job, 2));
    while (pool_n_busy(pool) == 0) {
    }
    assert_true(pool_submit(pool, &tasks[1].job, 2));
    assert_true(pool_submit(pool, &tasks[2].job, 2));
    assert_int_equal(pool_n_queued(pool), 2);
    assert_false(pool_submit(pool, &tasks[3].job, 2));
    atomic_store(&may_go, true);
    pool_destroy(pool);
    assert_int_equal(n_run, 3);
}

static void without_memory_no_pool_is_started(void **state)
{
    struct pool *pool = NULL;
    struct error err = {0};
    (void)state;
    for (long n = 1; n <= 2; n++) {
        mem_fail_after(n, 0);
        assert_error(pool_start(2, &pool, &err), ERR_NOMEM, &err, "no memory for 2 threads");
        mem_fail_after(0, 0);
        assert_null(pool);
    }
    pool_stop(NULL);
    pool_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_job_runs_once_before_the_pool_is_stopped),
        counted_test(the_first_come_is_the_first_served),
        counted_test(a_full_queue_takes_no_more),
        counted_test(without_memory_no_pool_is_started),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

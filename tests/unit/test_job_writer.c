/* server/job_writer.h: the thread that writes into the job store. */
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <time.h>

#include "server/job_writer.h"
#include "tests/support/check.h"

struct fixture {
    struct job_store *store;
    struct job_writer *writer;
};

static struct fixture start(void)
{
    struct fixture f = {0};
    char owner[JOB_OWNER_BYTES];
    struct error err = {0};

    assert_ok(job_store_open(own_path("jobs.sqlite"), &f.store, owner, &err), &err);
    assert_ok(job_writer_start(f.store, &f.writer, &err), &err);
    return f;
}

static void stop(struct fixture *f)
{
    job_writer_stop(f->writer);
    job_store_close(f->store);
}

/* A submission, which may fail or wait. */
struct submission {
    struct job_write write;
    char id[JOB_ID_BYTES];
    enum submit_result result;
    struct job job;
    int n_runs;
    bool is_bad;             /* fails after it has written */
    const atomic_bool *gate; /* waits in its run until that is true; NULL: does not */
    atomic_int *n_done;
    int place; /* how many were done before it */
};

static enum err run(struct job_write *write, struct job_store *store, struct error *err)
{
    struct submission *s = (struct submission *)write;
    struct job_draft draft = {.id = s->id,
                              .kind = JOB_NAS,
                              .space = "nasbench201",
                              .submitted_ms = 1,
                              .params = "{}",
                              .client = "",
                              .queue_max = 1000000};
    enum err rc;

    s->n_runs++;
    job_close(&s->job);
    while (s->gate != NULL && !atomic_load(s->gate)) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    rc = job_store_submit(store, &draft, &s->result, &s->job, err);
    return rc == ERR_OK && s->is_bad ? error_set(err, ERR_INTERNAL, "a bad one") : rc;
}

static void count_done(struct job_write *write)
{
    struct submission *s = (struct submission *)write;

    s->place = atomic_fetch_add(s->n_done, 1);
}

static struct submission *make_submissions(int n, atomic_int *n_done)
{
    struct submission *all = mem_calloc((size_t)n, sizeof *all);

    assert_non_null(all);
    for (int i = 0; i < n; i++) {
        all[i].write = (struct job_write){.run = run, .done = count_done};
        all[i].n_done = n_done;
        (void)snprintf(all[i].id, JOB_ID_BYTES, "01900000-0000-7000-8000-%012d", i);
    }
    return all;
}

static void free_submissions(struct submission *all, int n)
{
    for (int i = 0; i < n; i++) {
        job_close(&all[i].job);
    }
    mem_free(all);
}

static bool is_kept(struct job_store *store, const char *id)
{
    struct job job = {0};
    enum err rc = job_store_get(store, id, &job, NULL);

    job_close(&job);
    return rc == ERR_OK;
}

/* ---- tests ------------------------------------------------------------------------------------ */

static void writes_are_done_in_order_and_kept(void **state)
{
    enum { N = 1000 }; /* several batches */
    struct fixture f = start();
    atomic_int n_done = 0;
    struct submission *all = make_submissions(N, &n_done);
    (void)state;
    for (int i = 0; i < N; i++) {
        job_writer_submit(f.writer, &all[i].write);
    }
    job_writer_stop(f.writer); /* writes what was queued */
    assert_int_equal(n_done, N);
    for (int i = 0; i < N; i++) {
        assert_int_equal(all[i].write.rc, ERR_OK);
        assert_int_equal(all[i].place, i);
        assert_int_equal(all[i].job.seq, i + 1);
        assert_int_equal(all[i].n_runs, 1);
        assert_true(is_kept(f.store, all[i].id));
    }
    free_submissions(all, N);
    job_store_close(f.store);
}

static void a_write_that_fails_fails_alone(void **state)
{
    enum { N = 20, BAD = 7 };
    struct fixture f = start();
    atomic_bool gate = false;
    atomic_int n_done = 0;
    struct submission *all = make_submissions(N, &n_done);
    (void)state;
    all[0].gate = &gate; /* the others make one batch while it runs */
    all[BAD].is_bad = true;
    for (int i = 0; i < N; i++) {
        job_writer_submit(f.writer, &all[i].write);
    }
    atomic_store(&gate, true);
    job_writer_stop(f.writer);
    for (int i = 0; i < N; i++) {
        assert_int_equal(all[i].place, i);
        assert_int_equal(all[i].write.rc, i == BAD ? ERR_INTERNAL : ERR_OK);
        assert_int_equal(is_kept(f.store, all[i].id), i != BAD);
    }
    assert_string_equal(all[BAD].write.err.text, "a bad one");
    assert_int_equal(all[BAD - 1].n_runs, 2);
    free_submissions(all, N);
    job_store_close(f.store);
}

struct caller {
    pthread_t thread;
    struct job_writer *writer;
    struct submission *submissions; /* (n) */
    int n, n_ok;
};

static void *call(void *argument)
{
    struct caller *caller = argument;

    for (int i = 0; i < caller->n; i++) {
        struct error err = {0};
        caller->n_ok +=
            job_writer_run(caller->writer, &caller->submissions[i].write, &err) == ERR_OK;
    }
    return NULL;
}

static void many_threads_may_wait_for_their_writes(void **state)
{
    enum { THREADS = 16, EACH = 20 };
    struct fixture f = start();
    struct caller callers[THREADS];
    atomic_int n_done = 0;
    struct submission *all = make_submissions(THREADS * EACH, &n_done);
    (void)state;
    for (int i = 0; i < THREADS; i++) {
        callers[i] = (struct caller){
            .writer = f.writer, .submissions = all + (ptrdiff_t)i * EACH, .n = EACH};
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call, &callers[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) {
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
        assert_int_equal(callers[i].n_ok, EACH);
    }
    assert_int_equal(n_done, THREADS * EACH);
    for (int i = 0; i < THREADS * EACH; i++) {
        assert_int_equal(all[i].write.rc, ERR_OK);
        assert_true(is_kept(f.store, all[i].id));
    }
    stop(&f);
    free_submissions(all, THREADS * EACH);
}

struct reader {
    pthread_t thread;
    struct job_store *store;
    const atomic_bool *is_over;
    int n_bad;
};

/* Lists, and looks whether the list and the counts are of one moment's making each. */
static void *read_on(void *argument)
{
    struct reader *reader = argument;
    size_t last = 0;

    while (!atomic_load(reader->is_over)) {
        size_t counts[JOB_N_KINDS][JOB_N_STATES];
        struct job_list list = {0};
        enum err rc = job_store_count(reader->store, counts, NULL);
        if (rc == ERR_OK) {
            rc = job_store_list(reader->store, &(struct job_filter){.limit = 5}, &list, NULL);
        }
        /* what was counted first has not vanished */
        reader->n_bad +=
            rc != ERR_OK || counts[JOB_NAS][JOB_QUEUED] < last ||
            (list.n > 0 ? list.items[0].seq : 0) < (int64_t)counts[JOB_NAS][JOB_QUEUED];
        last = counts[JOB_NAS][JOB_QUEUED];
        job_list_close(&list);
    }
    return NULL;
}

static void many_threads_may_read_meanwhile(void **state)
{
    enum { READERS = 8, WRITES = 500 }; /* more than there are connections */
    struct fixture f = start();
    struct reader readers[READERS];
    atomic_bool is_over = false;
    atomic_int n_done = 0;
    struct submission *all = make_submissions(WRITES, &n_done);
    (void)state;
    for (int i = 0; i < READERS; i++) {
        readers[i] = (struct reader){.store = f.store, .is_over = &is_over};
        assert_int_equal(pthread_create(&readers[i].thread, NULL, read_on, &readers[i]), 0);
    }
    for (int i = 0; i < WRITES; i++) {
        struct error err = {0};
        assert_ok(job_writer_run(f.writer, &all[i].write, &err), &err);
        assert_true(is_kept(f.store, all[i].id)); /* at once */
    }
    atomic_store(&is_over, true);
    for (int i = 0; i < READERS; i++) {
        assert_int_equal(pthread_join(readers[i].thread, NULL), 0);
        assert_int_equal(readers[i].n_bad, 0);
    }
    stop(&f);
    free_submissions(all, WRITES);
}

static void what_fails_tells_who_waits(void **state)
{
    struct fixture f = start();
    atomic_int n_done = 0;
    struct submission *all = make_submissions(1, &n_done);
    struct error err = {0};
    (void)state;
    all[0].is_bad = true;
    assert_error(job_writer_run(f.writer, &all[0].write, &err), ERR_INTERNAL, &err, "a bad one");
    assert_int_equal(all[0].write.rc, ERR_INTERNAL);
    stop(&f);
    free_submissions(all, 1);
}

/* Tries again from its `done`, as an owner may whose write has to be. */
struct again {
    struct submission first;
    struct job_writer *writer;
    struct submission *second;
    const atomic_bool *gate;
};

static void submit_second(struct job_write *write)
{
    struct again *again = (struct again *)write;

    while (!atomic_load(again->gate)) {
        (void)nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    }
    job_writer_submit(again->writer, &again->second->write);
}

struct stopper {
    pthread_t thread;
    struct job_writer *writer;
};

static void *stop_writer(void *argument)
{
    const struct stopper *stopper = argument;

    job_writer_stop(stopper->writer);
    return NULL;
}

static void nothing_is_taken_once_a_stop_began(void **state)
{
    struct fixture f = start();
    atomic_bool gate = false;
    atomic_int n_done = 0;
    struct submission *all = make_submissions(2, &n_done);
    struct again again = {.first = all[0], .writer = f.writer, .second = &all[1], .gate = &gate};
    struct stopper stopper = {.writer = f.writer};
    (void)state;
    again.first.write.done = submit_second;
    job_writer_submit(f.writer, &again.first.write);
    assert_int_equal(pthread_create(&stopper.thread, NULL, stop_writer, &stopper), 0);
    (void)nanosleep(&(struct timespec){.tv_nsec = 200000000}, NULL); /* it has begun by then */
    atomic_store(&gate, true);
    assert_int_equal(pthread_join(stopper.thread, NULL), 0);
    assert_int_equal(again.first.write.rc, ERR_OK);
    assert_int_equal(n_done, 1);
    assert_error(all[1].write.rc, ERR_IO, &all[1].write.err, "being stopped");
    assert_int_equal(all[1].n_runs, 0);
    job_close(&again.first.job);
    free_submissions(all, 2);
    job_store_close(f.store);
}

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void health_comes_back_without_anything_to_write(void **state)
{
    struct fixture f = start();
    atomic_int n_done = 0;
    struct submission *all = make_submissions(3, &n_done);
    struct error err = {0};
    int n_looks = 0;
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_ok(job_writer_run(f.writer, &all[0].write, &err), &err);
    assert_false(job_writer_has_failed(f.writer, &err));
    limit_files(100);
    assert_error(job_writer_run(f.writer, &all[1].write, &err), ERR_IO, &err, "cannot be written");
    memset(&err, 0, sizeof err);
    assert_true(job_writer_has_failed(f.writer, &err));
    assert_contains(err.text, "cannot be written");
    (void)nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 500000000}, NULL);
    assert_true(job_writer_has_failed(f.writer, NULL)); /* looked again meanwhile: still */
    limit_files(RLIM_INFINITY);
    while (job_writer_has_failed(f.writer, NULL)) {
        assert_true(n_looks++ < 1000);
        (void)nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    assert_false(is_kept(f.store, all[1].id));
    assert_ok(job_writer_run(f.writer, &all[2].write, &err), &err);
    (void)signal(SIGXFSZ, SIG_DFL);
    stop(&f);
    free_submissions(all, 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(writes_are_done_in_order_and_kept),
        directory_test(a_write_that_fails_fails_alone),
        directory_test(many_threads_may_wait_for_their_writes),
        directory_test(many_threads_may_read_meanwhile),
        directory_test(what_fails_tells_who_waits),
        directory_test(nothing_is_taken_once_a_stop_began),
        directory_test(health_comes_back_without_anything_to_write),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

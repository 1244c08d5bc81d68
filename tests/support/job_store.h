/* What every job store has to do, whatever it is kept in (server/job_store.h): the tests of both kinds.
 *
 * Who includes this says before where the stores are:
 *     store_place(name)       of a test's own, empty at first
 *     OOM_JOBS, FRESH_ROUNDS  how often a test repeats, for what that costs
 * and puts JOB_STORE_TESTS among its tests. Header only, single-threaded. */
#ifndef DGLD_TESTS_SUPPORT_JOB_STORE_H
#define DGLD_TESTS_SUPPORT_JOB_STORE_H

#include <signal.h>
#include <sys/wait.h>

#include "server/job_store.h"
#include "tests/support/check.h"

enum { NOW = 1000000, LEASE = 10000, QUEUE_MAX = 1000 };

static const enum job_kind all_kinds[] = {JOB_TRAIN, JOB_TEST, JOB_NAS};

/* ---- a store to test with -------------------------------------------------------------------- */

static char owner[JOB_OWNER_BYTES];

static struct job_store *open_store(void)
{
    struct job_store *store = NULL;
    struct error err = {0};

    assert_ok(job_store_open(store_place("jobs.sqlite"), &store, owner, &err), &err);
    return store;
}

static void begin(struct job_store *store)
{
    struct error err = {0};

    assert_ok(job_store_begin(store, &err), &err);
}

static void commit(struct job_store *store)
{
    struct error err = {0};

    assert_ok(job_store_commit(store, &err), &err);
}

/* The id of the n-th job, in a static buffer of which 64 are in turn. */
static const char *id_of(int n)
{
    static char ids[64][JOB_ID_BYTES];
    static unsigned turn;
    char *id = ids[turn++ % 64];

    (void)snprintf(id, JOB_ID_BYTES, "01900000-0000-7000-8000-%012d", n);
    return id;
}

static struct job_draft draft_of(int n)
{
    return (struct job_draft){
        .id = id_of(n),
        .kind = JOB_TRAIN,
        .space = "nasbench201",
        .submitted_ms = NOW,
        .params = "{\"seed\": 1}",
        .client = "",
        .queue_max = QUEUE_MAX,
    };
}

static enum submit_result submit_draft(struct job_store *store, const struct job_draft *draft,
                                       struct job *out)
{
    enum submit_result result = SUBMIT_QUEUE_FULL;
    struct error err = {0};
    struct job job = {0};

    begin(store);
    assert_ok(job_store_submit(store, draft, &result, out != NULL ? out : &job, &err), &err);
    commit(store);
    job_close(&job);
    return result;
}

static void submit(struct job_store *store, int n, enum job_kind kind, int priority)
{
    struct job_draft draft = draft_of(n);

    draft.kind = kind;
    draft.priority = priority;
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
}

/* Claims, at a time; gives the number of the job's id, or 0. */
static int claim_at(struct job_store *store, const char *who, int64_t now_ms,
                    const enum job_kind *kinds, size_t n_kinds)
{
    struct job_lease lease = {who, now_ms, now_ms + LEASE};
    struct error err = {0};
    struct job job = {0};
    bool is_found = false;
    int n = 0;

    begin(store);
    assert_ok(job_store_claim(store, &lease, kinds, n_kinds, &is_found, &job, &err), &err);
    commit(store);
    if (is_found) {
        n = atoi(job.id + 24);
        assert_int_equal(job.state, JOB_RUNNING);
        assert_int_equal(job.started_ms, now_ms);
        assert_int_equal(job.revision, (int64_t)job.attempt << 32);
        assert_null(job.progress);
    }
    job_close(&job);
    return n;
}

static int claim(struct job_store *store)
{
    return claim_at(store, owner, NOW, all_kinds, 3);
}

static struct job get(struct job_store *store, int n)
{
    struct error err = {0};
    struct job job = {0};

    assert_ok(job_store_get(store, id_of(n), &job, &err), &err);
    return job;
}

static enum job_state state_of(struct job_store *store, int n)
{
    struct job job = get(store, n);
    enum job_state state = job.state;

    job_close(&job);
    return state;
}

static struct job_report report_of(int n, int attempt)
{
    return (struct job_report){
        .id = id_of(n), .owner = owner, .attempt = attempt, .revision = (int64_t)attempt << 32};
}

static bool end_as(struct job_store *store, const struct job_report *report, enum job_state state,
                   const char *result, const char *error, int64_t now_ms)
{
    struct error err = {0};
    bool is_held = false;

    begin(store);
    assert_ok(job_store_end(store, report, state, result, error, now_ms, &is_held, &err), &err);
    commit(store);
    return is_held;
}

/* Submits and ends a job. */
static void make_ended(struct job_store *store, int n, enum job_kind kind, enum job_state state,
                       int64_t ended_ms)
{
    struct job_report report = report_of(n, 1);

    submit(store, n, kind, 0);
    assert_int_equal(claim(store), n);
    assert_true(end_as(store, &report, state, NULL, NULL, ended_ms));
}

static bool renew(struct job_store *store, const struct job_report *report, bool *is_cancel)
{
    struct error err = {0};
    bool is_held = false;

    begin(store);
    assert_ok(job_store_renew(store, report, NOW + LEASE, &is_held, is_cancel, &err), &err);
    commit(store);
    return is_held;
}

static bool requeue(struct job_store *store, const struct job_report *report, int64_t not_before_ms,
                    const char *error, bool is_failure)
{
    struct error err = {0};
    bool is_held = false;

    begin(store);
    assert_ok(job_store_requeue(store, report, not_before_ms, error, is_failure, &is_held, &err),
              &err);
    commit(store);
    return is_held;
}

/* Cancels; the state afterwards, JOB_N_STATES where there is no such job. */
static enum job_state cancel(struct job_store *store, int n)
{
    enum job_state state = JOB_N_STATES;
    struct error err = {0};
    struct job job = {0};
    bool is_found = false;

    begin(store);
    assert_ok(job_store_cancel(store, id_of(n), NOW + 5, &is_found, &job, &err), &err);
    commit(store);
    if (is_found) {
        state = job.state;
        assert_string_equal(job.id, id_of(n));
    }
    job_close(&job);
    return state;
}

static bool remove_job(struct job_store *store, int n)
{
    struct error err = {0};
    bool is_removed = false;

    begin(store);
    assert_ok(job_store_remove(store, id_of(n), &is_removed, &err), &err);
    commit(store);
    return is_removed;
}

/* The number of the job that is adopted, or 0. */
static int adopt_at(struct job_store *store, const char *who, int64_t now_ms)
{
    struct job_lease lease = {who, now_ms, now_ms + LEASE};
    struct error err = {0};
    struct job job = {0};
    bool is_found = false;
    int n = 0;

    begin(store);
    assert_ok(job_store_adopt(store, &lease, &is_found, &job, &err), &err);
    commit(store);
    if (is_found) {
        n = atoi(job.id + 24);
        assert_int_equal(job.state, JOB_RUNNING);
    }
    job_close(&job);
    return n;
}

static size_t count_of(struct job_store *store, enum job_kind kind, enum job_state state)
{
    size_t counts[JOB_N_KINDS][JOB_N_STATES];
    struct error err = {0};

    assert_ok(job_store_count(store, counts, &err), &err);
    return counts[kind][state];
}

/* ---- submission ------------------------------------------------------------------------------- */

static void a_submitted_job_is_kept_as_it_is(void **state)
{
    struct job_store *store = open_store();
    struct job_draft draft = draft_of(1);
    struct job made = {0}, kept;
    struct error err = {0};
    (void)state;
    draft.kind = JOB_NAS;
    draft.priority = -7;
    draft.deadline_ms = NOW + 99;
    draft.params = "{\"device\": \"\xc3\xa9\"}";
    assert_int_equal(submit_draft(store, &draft, &made), SUBMIT_CREATED);
    job_store_close(store);
    store = open_store();
    kept = get(store, 1);
    assert_int_equal(kept.seq, 1);
    assert_int_equal(kept.kind, JOB_NAS);
    assert_string_equal(kept.space, "nasbench201");
    assert_int_equal(kept.state, JOB_QUEUED);
    assert_int_equal(kept.priority, -7);
    assert_int_equal(kept.attempt, 0);
    assert_int_equal(kept.submitted_ms, NOW);
    assert_int_equal(kept.deadline_ms, NOW + 99);
    assert_int_equal(kept.started_ms, 0);
    assert_int_equal(kept.ended_ms, 0);
    assert_true(kept.revision > 0);
    assert_string_equal(kept.params, draft.params);
    assert_null(kept.progress);
    assert_null(kept.result);
    assert_null(kept.error);
    assert_string_equal(made.params, kept.params);
    assert_int_equal(made.revision, kept.revision);
    assert_int_equal(made.seq, kept.seq);
    job_close(&made);
    job_close(&kept);
    assert_error(job_store_get(store, id_of(2), &kept, &err), ERR_NOT_FOUND, &err, id_of(2));
    job_store_close(store);
}

static void what_is_rolled_back_never_happened(void **state)
{
    struct job_store *store = open_store();
    struct job_draft draft = draft_of(1);
    enum submit_result result;
    struct error err = {0};
    struct job job = {0};
    (void)state;
    begin(store);
    assert_ok(job_store_submit(store, &draft, &result, &job, &err), &err);
    job_close(&job);
    assert_error(job_store_get(store, id_of(1), &job, &err), ERR_NOT_FOUND, &err, "no job");
    job_store_rollback(store);
    job_store_rollback(store); /* of nothing */
    assert_error(job_store_get(store, id_of(1), &job, &err), ERR_NOT_FOUND, &err, "no job");
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_QUEUED), 0);
    assert_error(job_store_submit(store, &draft, &result, &job, &err), ERR_INTERNAL, &err,
                 "outside of a transaction");
    assert_error(job_store_commit(store, &err), ERR_INTERNAL, &err, "nothing to commit");
    submit(store, 1, JOB_TRAIN, 0);
    job_store_close(store);
}

static void a_key_stands_for_its_job_as_long_as_that_is_there(void **state)
{
    struct job_store *store = open_store();
    struct job_draft draft = draft_of(1);
    struct job job = {0};
    (void)state;
    draft.client = "ci";
    draft.key = "k";
    draft.digest = "d1";
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
    assert_int_equal(claim(store), 1);
    draft.id = id_of(2);
    draft.queue_max = 0; /* it is full */
    assert_int_equal(submit_draft(store, &draft, &job), SUBMIT_REPEATED);
    assert_string_equal(job.id, id_of(1));
    assert_int_equal(job.state, JOB_RUNNING); /* as it is now */
    job_close(&job);
    draft.digest = "d2";
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_KEY_TAKEN);
    draft.queue_max = QUEUE_MAX;
    draft.client = "somebody else";
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
    draft.key = NULL;
    draft.id = id_of(3);
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
    draft.id = id_of(4); /* none is equal to none */
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
    assert_int_equal(cancel(store, 2), JOB_CANCELLED);
    assert_true(remove_job(store, 2));
    draft.key = "k";
    draft.id = id_of(5);
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
    job_store_close(store);
}

static void a_full_queue_takes_none_until_one_is_begun(void **state)
{
    struct job_store *store = open_store();
    struct job_draft draft = draft_of(3);
    (void)state;
    draft.queue_max = 2;
    submit(store, 1, JOB_TRAIN, 0);
    submit(store, 2, JOB_NAS, 0);
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_QUEUE_FULL);
    assert_int_equal(claim(store), 1);
    assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_RUNNING), 1);
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_QUEUED), 1);
    assert_int_equal(count_of(store, JOB_NAS, JOB_QUEUED), 1);
    job_store_close(store);
}

/* ---- running ---------------------------------------------------------------------------------- */

static void jobs_are_begun_by_kind_then_priority_then_age(void **state)
{
    static const enum job_kind order[] = {JOB_NAS, JOB_TRAIN};
    struct job_store *store = open_store();
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    submit(store, 2, JOB_TRAIN, 5);
    submit(store, 3, JOB_TRAIN, 5);
    submit(store, 4, JOB_NAS, -100);
    submit(store, 5, JOB_TEST, 100);
    submit(store, 6, JOB_TRAIN, -1);
    assert_int_equal(claim_at(store, owner, NOW, order, 2), 4);
    assert_int_equal(claim_at(store, owner, NOW, order, 2), 2);
    assert_int_equal(claim_at(store, owner, NOW, order, 2), 3);
    assert_int_equal(claim_at(store, owner, NOW, order, 2), 1);
    assert_int_equal(claim_at(store, owner, NOW, order, 2), 6);
    assert_int_equal(claim_at(store, owner, NOW, order, 2), 0);
    assert_int_equal(claim_at(store, owner, NOW, order, 0), 0);
    assert_int_equal(claim(store), 5);
    job_store_close(store);
}

static void a_report_is_kept_and_the_revision_never_falls(void **state)
{
    struct job_store *store = open_store();
    struct job_report report = report_of(1, 1);
    bool is_cancel = true;
    struct job job;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    report.progress = "{\"percent\": 5}";
    report.revision += 7;
    assert_true(renew(store, &report, &is_cancel));
    assert_false(is_cancel);
    report.progress = NULL;
    report.revision -= 3;
    assert_true(renew(store, &report, &is_cancel));
    job = get(store, 1);
    assert_string_equal(job.progress, "{\"percent\": 5}");
    assert_int_equal(job.revision, ((int64_t)1 << 32) + 7);
    job_close(&job);
    assert_int_equal(cancel(store, 1), JOB_RUNNING);
    assert_true(renew(store, &report, &is_cancel));
    assert_true(is_cancel);
    assert_true(end_as(store, &report, JOB_CANCELLED, NULL, NULL, NOW + 3));
    job = get(store, 1);
    assert_int_equal(job.revision, ((int64_t)1 << 32) + 8);
    job_close(&job);
    job_store_close(store);
}

static void check_history(struct job_store *store, int n, const char *expected)
{
    struct error err = {0};
    char *history = NULL;

    assert_ok(job_store_history(store, id_of(n), &history, &err), &err);
    if (expected == NULL) {
        assert_null(history);
    } else {
        assert_non_null(history);
        assert_string_equal(history, expected);
    }
    mem_free(history);
}

/* It outlives the attempts, the end and a restart, and goes with the job. */
static void a_history_is_kept_until_another_is_told(void **state)
{
    struct job_store *store = open_store();
    struct job_report first = report_of(1, 1), second = report_of(1, 2);
    struct error err = {0};
    bool is_cancel, is_removed = false;
    char *history = NULL;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    check_history(store, 1, NULL);
    assert_int_equal(claim(store), 1);
    first.history = "{\"n\": 1}";
    assert_true(renew(store, &first, &is_cancel));
    check_history(store, 1, "{\"n\": 1}");
    first.history = "{\"n\": 2}";
    assert_true(requeue(store, &first, 0, NULL, false));
    assert_int_equal(claim(store), 1);
    assert_true(renew(store, &second, &is_cancel)); /* it has none to tell yet */
    check_history(store, 1, "{\"n\": 2}");
    first.history = "stale";
    assert_false(renew(store, &first, &is_cancel));
    second.history = "{\"n\": 3}";
    assert_true(end_as(store, &second, JOB_CANCELLED, NULL, NULL, NOW + 3));
    job_store_close(store);
    store = open_store();
    check_history(store, 1, "{\"n\": 3}");
    begin(store);
    assert_ok(job_store_remove(store, id_of(1), &is_removed, &err), &err);
    commit(store);
    assert_true(is_removed);
    assert_error(job_store_history(store, id_of(1), &history, &err), ERR_NOT_FOUND, &err, "no job");
    job_store_close(store);
}

static void a_job_ends_with_its_result_or_its_error(void **state)
{
    struct job_store *store = open_store();
    struct job_report first = report_of(1, 1), second = report_of(2, 1);
    struct job job;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    submit(store, 2, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    assert_int_equal(claim(store), 2);
    first.revision += 50;
    assert_true(end_as(store, &first, JOB_SUCCEEDED, "{\"r\": 1}", NULL, NOW + 9));
    assert_true(end_as(store, &second, JOB_FAILED, NULL, "the disk is full", NOW + 10));
    job = get(store, 1);
    assert_int_equal(job.state, JOB_SUCCEEDED);
    assert_string_equal(job.result, "{\"r\": 1}");
    assert_null(job.error);
    assert_int_equal(job.ended_ms, NOW + 9);
    assert_int_equal(job.revision, first.revision);
    job_close(&job);
    job = get(store, 2);
    assert_int_equal(job.state, JOB_FAILED);
    assert_null(job.result);
    assert_string_equal(job.error, "the disk is full");
    job_close(&job);
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_RUNNING), 0);
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_SUCCEEDED), 1);
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_FAILED), 1);
    job_store_close(store);
}

static void who_lost_the_lease_changes_nothing(void **state)
{
    struct job_store *store = open_store();
    struct job_report stale[3] = {report_of(1, 1), report_of(1, 2), report_of(1, 2)};
    bool is_cancel = false;
    struct job job;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    assert_true(requeue(store, &stale[0], 0, NULL, false));
    assert_int_equal(claim(store), 1); /* the second attempt */
    stale[1].owner = "somebody else";
    stale[2].id = id_of(2);
    for (size_t i = 0; i < COUNT_OF(stale); i++) {
        stale[i].progress = "{}";
        stale[i].revision = (int64_t)9 << 32;
        assert_false(renew(store, &stale[i], &is_cancel));
        assert_false(requeue(store, &stale[i], 0, "no", true));
        assert_false(end_as(store, &stale[i], JOB_FAILED, NULL, "no", NOW));
    }
    job = get(store, 1);
    assert_int_equal(job.state, JOB_RUNNING);
    assert_int_equal(job.revision, (int64_t)2 << 32);
    assert_int_equal(job.n_failures, 0);
    assert_null(job.progress);
    assert_null(job.error);
    job_close(&job);
    stale[0] = report_of(1, 2);
    assert_true(end_as(store, &stale[0], JOB_SUCCEEDED, "{}", NULL, NOW));
    assert_false(end_as(store, &stale[0], JOB_FAILED, NULL, "no", NOW)); /* not twice */
    assert_false(renew(store, &stale[0], &is_cancel));
    assert_int_equal(state_of(store, 1), JOB_SUCCEEDED);
    job_store_close(store);
}

static void a_requeued_job_waits_for_its_time(void **state)
{
    struct job_store *store = open_store();
    struct job_report report = report_of(1, 1);
    struct job job;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    assert_true(requeue(store, &report, NOW + 500, "no space left", true));
    job = get(store, 1);
    assert_int_equal(job.state, JOB_QUEUED);
    assert_int_equal(job.attempt, 1);
    assert_int_equal(job.n_failures, 1);
    assert_int_equal(job.started_ms, 0);
    assert_int_equal(job.revision, report.revision + 1);
    assert_string_equal(job.error, "no space left");
    job_close(&job);
    assert_int_equal(claim_at(store, owner, NOW + 499, all_kinds, 3), 0);
    assert_int_equal(claim_at(store, owner, NOW + 500, all_kinds, 3), 1);
    report = report_of(1, 2);
    assert_true(requeue(store, &report, 0, NULL, false));
    job = get(store, 1);
    assert_int_equal(job.n_failures, 1);
    assert_string_equal(job.error, "no space left"); /* the last there was */
    job_close(&job);
    assert_int_equal(claim(store), 1);
    job_store_close(store);
}

/* ---- changes from outside --------------------------------------------------------------------- */

static void a_job_is_cancelled_according_to_its_state(void **state)
{
    struct job_store *store = open_store();
    struct job_report report = report_of(1, 1);
    struct job job;
    (void)state;
    submit(store, 1, JOB_TRAIN, 1);
    submit(store, 2, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    assert_int_equal(cancel(store, 1), JOB_RUNNING);
    job = get(store, 1);
    assert_true(job.is_cancel_requested);
    job_close(&job);
    assert_int_equal(cancel(store, 2), JOB_CANCELLED);
    job = get(store, 2);
    assert_int_equal(job.ended_ms, NOW + 5);
    assert_int_equal(job.revision, 2);
    job_close(&job);
    assert_int_equal(claim(store), 0);
    /* put back before its runner heard of it: whoever claims it hears, and at once */
    assert_true(requeue(store, &report, NOW + 500, NULL, false));
    assert_int_equal(claim(store), 1);
    job = get(store, 1);
    assert_true(job.is_cancel_requested);
    job_close(&job);
    report = report_of(1, 2);
    assert_true(end_as(store, &report, JOB_SUCCEEDED, "{}", NULL, NOW));
    assert_int_equal(cancel(store, 1), JOB_SUCCEEDED);
    assert_int_equal(cancel(store, 3), JOB_N_STATES);
    job_store_close(store);
}

/* It is known as removed until it is forgotten. */
static void check_removed(struct job_store *store, int n_job)
{
    struct job_trace traces[2];
    struct error err = {0};
    size_t n = 9;

    assert_ok(job_store_list_removed(store, 2, traces, &n, &err), &err);
    assert_int_equal(n, 1);
    assert_string_equal(traces[0].id, id_of(n_job));
    assert_string_equal(traces[0].space, "nasbench201");
    assert_ok(job_store_begin(store, &err), &err);
    assert_ok(job_store_forget(store, id_of(n_job), &err), &err);
    assert_ok(job_store_forget(store, id_of(n_job), &err), &err);
    assert_ok(job_store_commit(store, &err), &err);
    assert_ok(job_store_list_removed(store, 2, traces, &n, &err), &err);
    assert_int_equal(n, 0);
}

static void only_ended_jobs_are_removed(void **state)
{
    struct job_store *store = open_store();
    (void)state;
    submit(store, 1, JOB_TRAIN, 1);
    submit(store, 2, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    assert_false(remove_job(store, 1));
    assert_false(remove_job(store, 2));
    assert_false(remove_job(store, 3));
    assert_int_equal(cancel(store, 2), JOB_CANCELLED);
    assert_true(remove_job(store, 2));
    assert_false(remove_job(store, 2));
    check_removed(store, 2);
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_CANCELLED), 0);
    submit(store, 4, JOB_TRAIN, 0);
    {
        struct job job = get(store, 4);
        assert_int_equal(job.seq, 3); /* that of the removed one does not come again */
        job_close(&job);
    }
    job_store_close(store);
}

static void overdue_jobs_end_in_the_queue(void **state)
{
    struct job_store *store = open_store();
    char ids[2][JOB_ID_BYTES];
    struct error err = {0};
    struct job job;
    size_t n = 9;
    (void)state;
    for (int i = 1; i <= 5; i++) {
        struct job_draft draft = draft_of(i);
        draft.deadline_ms = i < 5 ? NOW + 10 * i : 0;
        assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
    }
    assert_int_equal(claim_at(store, owner, NOW + 10, all_kinds, 3), 2); /* 1 is overdue */
    begin(store);
    assert_ok(job_store_end_overdue(store, NOW + 9, 2, ids, &n, &err), &err);
    assert_int_equal(n, 0);
    assert_ok(job_store_end_overdue(store, NOW + 40, 2, ids, &n, &err), &err);
    assert_int_equal(n, 2);
    assert_string_equal(ids[0], id_of(1));
    assert_string_equal(ids[1], id_of(3));
    assert_ok(job_store_end_overdue(store, NOW + 40, 2, ids, &n, &err), &err);
    assert_int_equal(n, 1);
    commit(store);
    job = get(store, 3);
    assert_int_equal(job.state, JOB_FAILED);
    assert_int_equal(job.ended_ms, NOW + 40);
    assert_contains(job.error, "deadline");
    job_close(&job);
    assert_int_equal(state_of(store, 2), JOB_RUNNING);
    assert_int_equal(state_of(store, 5), JOB_QUEUED);
    job_store_close(store);
}

/* ---- adoption --------------------------------------------------------------------------------- */

static void a_job_is_adopted_once_its_lease_has_run_out(void **state)
{
    struct job_store *store = open_store();
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    assert_int_equal(adopt_at(store, owner, NOW + LEASE - 1), 0);
    assert_int_equal(adopt_at(store, owner, NOW + LEASE), 1);
    assert_int_equal(adopt_at(store, owner, NOW + LEASE), 0); /* it has a lease again */
    {
        struct job_report report = report_of(1, 1);
        assert_true(requeue(store, &report, 0, NULL, false));
    }
    job_store_close(store);
}

/* ---- lists ------------------------------------------------------------------------------------ */

enum { N_LISTED = 60 };

/* What the n-th job of the lists is. */
static enum job_kind kind_listed(int n)
{
    return all_kinds[n % 3];
}

static const char *space_listed(int n)
{
    return n % 5 < 2 ? "fbnetv3" : "nasbench201";
}

static void fill(struct job_store *store)
{
    for (int n = 1; n <= N_LISTED; n++) {
        struct job_draft draft = draft_of(n);
        draft.kind = kind_listed(n);
        draft.space = space_listed(n);
        assert_int_equal(submit_draft(store, &draft, NULL), SUBMIT_CREATED);
        if (n % 4 == 0) {
            assert_int_equal(cancel(store, n), JOB_CANCELLED);
        }
    }
}

/* Lists page by page, and compares with what should be there. */
static void check_list(struct job_store *store, struct job_filter filter)
{
    int n = N_LISTED;

    do {
        struct job_list list = {0};
        struct error err = {0};
        assert_ok(job_store_list(store, &filter, &list, &err), &err);
        assert_true(list.n <= filter.limit);
        for (size_t i = 0; i < list.n; i++, n--) {
            while ((filter.has_state && (filter.state == JOB_CANCELLED) != (n % 4 == 0)) ||
                   (filter.has_kind && filter.kind != kind_listed(n)) ||
                   (filter.space != NULL && strcmp(filter.space, space_listed(n)) != 0)) {
                n--;
            }
            assert_string_equal(list.items[i].id, id_of(n));
            assert_string_equal(list.items[i].space, space_listed(n));
        }
        filter.before_seq = list.next_seq;
        job_list_close(&list);
    } while (filter.before_seq != 0);
    for (; n > 0; n--) { /* nothing was left out at the end */
        assert_true((filter.has_state && (filter.state == JOB_CANCELLED) != (n % 4 == 0)) ||
                    (filter.has_kind && filter.kind != kind_listed(n)) ||
                    (filter.space != NULL && strcmp(filter.space, space_listed(n)) != 0));
    }
}

static void lists_hold_what_the_filter_says_page_by_page(void **state)
{
    static const size_t limits[] = {1, 7, N_LISTED - 1, N_LISTED, N_LISTED + 1};
    struct job_store *store = open_store();
    struct job_list list = {0};
    struct error err = {0};
    (void)state;
    fill(store);
    for (unsigned mask = 0; mask < 16; mask++) {
        for (size_t i = 0; i < COUNT_OF(limits); i++) {
            check_list(store, (struct job_filter){
                                  .has_state = (mask & 1) != 0,
                                  .has_kind = (mask & 2) != 0,
                                  .space = (mask & 4) != 0 ? "fbnetv3" : NULL,
                                  .state = (mask & 8) != 0 ? JOB_CANCELLED : JOB_QUEUED,
                                  .kind = JOB_TEST,
                                  .limit = limits[i],
                              });
        }
    }
    assert_ok(job_store_list(store, &(struct job_filter){.space = "none", .limit = 9}, &list, &err),
              &err);
    assert_int_equal(list.n, 0);
    assert_int_equal(list.next_seq, 0);
    job_list_close(&list);
    job_store_close(store);
}

static void a_cursor_holds_while_jobs_are_added(void **state)
{
    struct job_store *store = open_store();
    struct job_filter filter = {.limit = 3};
    int expected = 10;
    (void)state;
    for (int n = 1; n <= 10; n++) {
        submit(store, n, JOB_TRAIN, 0);
    }
    for (int added = 11; expected > 0; added++) {
        struct job_list list = {0};
        struct error err = {0};
        assert_ok(job_store_list(store, &filter, &list, &err), &err);
        for (size_t i = 0; i < list.n; i++) {
            assert_int_equal(list.items[i].seq, expected--);
        }
        filter.before_seq = list.next_seq;
        job_list_close(&list);
        submit(store, added, JOB_TRAIN, 0);
    }
    assert_int_equal(filter.before_seq, 0);
    job_store_close(store);
}

/* The numbers of the expired jobs, as "1 2 ". */
static const char *expired(struct job_store *store, int64_t before_ms, size_t keep_max,
                           size_t limit)
{
    static char text[64];
    struct job_list list = {0};
    struct error err = {0};
    int used = 0;

    text[0] = '\0';
    assert_ok(job_store_list_expired(store, before_ms, keep_max, limit, &list, &err), &err);
    for (size_t i = 0; i < list.n; i++) {
        used +=
            snprintf(text + used, sizeof text - (size_t)used, "%d ", atoi(list.items[i].id + 24));
    }
    job_list_close(&list);
    return text;
}

static void jobs_expire_by_age_and_by_number(void **state)
{
    struct job_store *store = open_store();
    (void)state;
    make_ended(store, 1, JOB_TRAIN, JOB_SUCCEEDED, NOW + 30);
    make_ended(store, 2, JOB_NAS, JOB_FAILED, NOW + 10);
    make_ended(store, 3, JOB_TEST, JOB_CANCELLED, NOW + 20);
    make_ended(store, 4, JOB_NAS, JOB_SUCCEEDED, NOW + 40);
    submit(store, 5, JOB_TRAIN, 0);
    assert_string_equal(expired(store, NOW, 4, 10), "");
    assert_string_equal(expired(store, NOW + 20, 4, 10), "2 ");
    assert_string_equal(expired(store, NOW + 21, 4, 10), "2 3 ");
    assert_string_equal(expired(store, NOW, 1, 10), "2 3 1 ");
    assert_string_equal(expired(store, NOW + 21, 3, 10), "2 3 ");
    assert_string_equal(expired(store, NOW, 0, 2), "2 3 ");
    assert_string_equal(expired(store, INT64_MAX, 100, 10), "2 3 1 4 ");
    assert_string_equal(expired(store, INT64_MAX, 100, 0), "");
    job_store_close(store);
}

/* ---- opening ---------------------------------------------------------------------------------- */

static void processes_may_open_a_fresh_store_at_the_same_time(void **state)
{
    enum { CHILDREN = 6 };
    (void)state;
    for (int round = 0; round < FRESH_ROUNDS; round++) {
        const char *place;
        char name[32];
        (void)snprintf(name, sizeof name, "fresh-%d", round);
        place = store_place(name);
        for (int i = 0; i < CHILDREN; i++) {
            pid_t child = fork();
            assert_true(child >= 0);
            if (child == 0) {
                struct job_store *store = NULL;
                char who[JOB_OWNER_BYTES];
                _exit(job_store_open(place, &store, who, NULL) != ERR_OK ||
                      job_store_begin(store, NULL) != ERR_OK ||
                      job_store_probe(store, NULL) != ERR_OK ||
                      job_store_commit(store, NULL) != ERR_OK);
            }
        }
        for (int i = 0; i < CHILDREN; i++) {
            int status = -1;
            assert_true(wait(&status) > 0);
            assert_int_equal(status, 0);
        }
    }
}

static enum err open_and_use(void *context, struct error *err)
{
    struct job_filter filter = {.limit = OOM_JOBS};
    struct job_store *store = NULL;
    struct job_list list = {0};
    char who[JOB_OWNER_BYTES];
    struct job job = {0};
    enum err rc = job_store_open(store_place("jobs.sqlite"), &store, who, err);

    (void)context;
    rc = rc == ERR_OK ? job_store_get(store, id_of(1), &job, err) : rc;
    rc = rc == ERR_OK ? job_store_list(store, &filter, &list, err) : rc;
    job_list_close(&list);
    job_close(&job);
    job_store_close(store);
    return rc;
}

static void memory_that_runs_out_leaves_nothing_behind(void **state)
{
    struct job_store *store = open_store();
    (void)state;
    for (int n = 1; n <= OOM_JOBS; n++) {
        submit(store, n, JOB_TRAIN, 0);
    }
    job_store_close(store);
    fail_each_allocation(open_and_use, NULL);
}

#define JOB_STORE_TESTS                                                                           \
    store_test(a_submitted_job_is_kept_as_it_is), store_test(what_is_rolled_back_never_happened), \
        store_test(a_key_stands_for_its_job_as_long_as_that_is_there),                            \
        store_test(a_full_queue_takes_none_until_one_is_begun),                                   \
        store_test(jobs_are_begun_by_kind_then_priority_then_age),                                \
        store_test(a_report_is_kept_and_the_revision_never_falls),                                \
        store_test(a_history_is_kept_until_another_is_told),                                      \
        store_test(a_job_ends_with_its_result_or_its_error),                                      \
        store_test(who_lost_the_lease_changes_nothing),                                           \
        store_test(a_requeued_job_waits_for_its_time),                                            \
        store_test(a_job_is_cancelled_according_to_its_state),                                    \
        store_test(only_ended_jobs_are_removed), store_test(overdue_jobs_end_in_the_queue),       \
        store_test(a_job_is_adopted_once_its_lease_has_run_out),                                  \
        store_test(processes_may_open_a_fresh_store_at_the_same_time),                            \
        store_test(lists_hold_what_the_filter_says_page_by_page),                                 \
        store_test(a_cursor_holds_while_jobs_are_added),                                          \
        store_test(jobs_expire_by_age_and_by_number),                                             \
        store_test(memory_that_runs_out_leaves_nothing_behind)

#endif

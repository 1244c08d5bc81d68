/* server/job_store.h: jobs that are kept in SQLite. */
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <sqlite3.h>

#include "tests/support/check.h"

enum { OOM_JOBS = 20, FRESH_ROUNDS = 20 };

static const char *store_place(const char *name)
{
    return own_path(name);
}

#define store_test directory_test
#include "tests/support/job_store.h"

/* ---- whose process has ended ------------------------------------------------------------------ */

static void stores_on_one_file_see_each_other_live(void **state)
{
    struct job_store *one = open_store(), *two = NULL;
    char second[JOB_OWNER_BYTES];
    struct job_report report;
    struct error err = {0};
    (void)state;
    assert_ok(job_store_open(own_path("jobs.sqlite"), &two, second, &err), &err);
    assert_string_not_equal(owner, second);
    submit(one, 1, JOB_TRAIN, 0);
    submit(two, 2, JOB_TRAIN, 0);
    assert_int_equal(claim(one), 1);
    assert_int_equal(claim_at(two, second, NOW, all_kinds, 3), 2);
    assert_int_equal(state_of(one, 2), JOB_RUNNING);
    assert_int_equal(adopt_at(two, second, NOW + 1), 0);
    assert_int_equal(adopt_at(one, owner, NOW + 1), 0);
    job_store_close(one);
    assert_int_equal(adopt_at(two, second, NOW + 1), 1);
    report = report_of(1, 1);
    assert_false(end_as(two, &report, JOB_FAILED, NULL, "no", NOW)); /* no longer the first's */
    report.owner = second;
    assert_true(requeue(two, &report, 0, NULL, false));
    assert_int_equal(state_of(two, 1), JOB_QUEUED);
    job_store_close(two);
}

/* Claims a job, says so, and stays. */
static void claim_and_stay(int fd)
{
    struct job_lease lease = {NULL, NOW, INT64_MAX};
    struct job_store *store = NULL;
    char who[JOB_OWNER_BYTES];
    struct job job = {0};
    bool is_found = false;

    if (job_store_open(own_path("jobs.sqlite"), &store, who, NULL) == ERR_OK &&
        job_store_begin(store, NULL) == ERR_OK) {
        lease.owner = who;
        (void)job_store_claim(store, &lease, all_kinds, 3, &is_found, &job, NULL);
        if (job_store_commit(store, NULL) == ERR_OK && is_found) {
            (void)!write(fd, "", 1);
        }
    }
    (void)close(fd);
    for (;;) {
        (void)pause();
    }
}

static void the_jobs_of_a_killed_process_are_adopted_at_once(void **state)
{
    struct job_store *store = open_store();
    int pipes[2];
    char byte;
    pid_t child;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    job_store_close(store);
    assert_int_equal(pipe(pipes), 0);
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        (void)close(pipes[0]);
        claim_and_stay(pipes[1]);
    }
    (void)close(pipes[1]);
    assert_int_equal(read(pipes[0], &byte, 1), 1);
    (void)close(pipes[0]);
    store = open_store();
    assert_int_equal(adopt_at(store, owner, NOW + 1), 0);
    assert_int_equal(kill(child, SIGKILL), 0);
    assert_int_equal(waitpid(child, NULL, 0), child);
    assert_int_equal(adopt_at(store, owner, NOW + 1), 1);
    job_store_close(store);
}

/* ---- files that are not what they should be --------------------------------------------------- */

static void refused(const char *path, enum err expected, const char *phrase)
{
    struct job_store *store = NULL;
    char who[JOB_OWNER_BYTES];
    struct error err = {0};

    assert_error(job_store_open(path, &store, who, &err), expected, &err, phrase);
    assert_null(store);
    assert_contains(err.text, path);
}

static void run_sql(const char *path, const char *sql)
{
    sqlite3 *db = NULL;

    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

static void files_that_are_no_job_store_are_refused(void **state)
{
    char path[TEST_PATH_BYTES];
    char noise[4096];
    (void)state;
    refused(own_path("no/such/jobs.sqlite"), ERR_IO, "No such file");
    refused(check_directory, ERR_IO, "no file");
    memset(noise, 'x', sizeof noise);
    refused(write_bytes("noise", noise, sizeof noise), ERR_INVALID, "move it away");
    refused(write_bytes("short", noise, 100), ERR_INVALID, "move it away");
    (void)snprintf(path, sizeof path, "%s", own_path("foreign.sqlite"));
    run_sql(path, "CREATE TABLE t (a)");
    refused(path, ERR_INVALID, "another program");
    run_sql(path, "PRAGMA application_id = 7");
    refused(path, ERR_INVALID, "another program");
    run_sql(path, "INSERT INTO t VALUES (1)"); /* it was left alone: no log beside it */
    assert_int_not_equal(access(own_path("foreign.sqlite-wal"), F_OK), 0);
}

static void a_store_of_a_newer_schema_is_refused(void **state)
{
    char path[TEST_PATH_BYTES];
    (void)state;
    job_store_close(open_store());
    (void)snprintf(path, sizeof path, "%s", own_path("jobs.sqlite"));
    run_sql(path, "PRAGMA user_version = 7");
    refused(path, ERR_INVALID, "newer dgld (schema 7, this one knows 2); start that version");
    run_sql(path, "PRAGMA user_version = 2; DROP TRIGGER jobs_count_insert; DROP TABLE job_counts");
    refused(path, ERR_INVALID, "damaged (no such table");
}

static void a_store_of_the_first_schema_is_brought_up(void **state)
{
    struct job_store *store = open_store();
    struct job_report report = report_of(1, 1);
    bool is_cancel;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    assert_int_equal(claim(store), 1);
    job_store_close(store);
    run_sql(own_path("jobs.sqlite"),
            "ALTER TABLE jobs DROP COLUMN history; PRAGMA user_version = 1");
    store = open_store();
    check_history(store, 1, NULL);
    assert_int_equal(adopt_at(store, owner, NOW + LEASE + 1), 1);
    report.history = "{\"points\": []}";
    assert_true(renew(store, &report, &is_cancel));
    check_history(store, 1, report.history);
    job_store_close(store);
}

static void the_files_are_for_their_owner_alone(void **state)
{
    static const char *const names[] = {"jobs.sqlite", "jobs.sqlite-wal", "jobs.sqlite-owners"};
    struct job_store *store = open_store();
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct stat st;
        assert_int_equal(stat(own_path(names[i]), &st), 0);
        assert_int_equal(st.st_mode & 0777, 0600);
    }
    job_store_close(store);
}

/* Does everything that there is to do with a store that may be damaged; nothing may crash, and what
 * fails has to say so. */
static void use_damaged(struct job_store *store, const char *who)
{
    struct job_lease lease = {who, NOW + LEASE, NOW + 2 * LEASE};
    struct job_draft draft = draft_of(1000);
    size_t counts[JOB_N_KINDS][JOB_N_STATES];
    char ids[4][JOB_ID_BYTES];
    enum submit_result result;
    struct job_list list = {0};
    struct job jobs[4] = {{0}};
    struct error err = {0};
    bool is_found;
    size_t n;

    (void)job_store_get(store, id_of(3), &jobs[0], &err);
    (void)job_store_list(store, &(struct job_filter){.limit = 100}, &list, &err);
    job_list_close(&list);
    (void)job_store_list_expired(store, NOW + 90, 3, 10, &list, &err);
    job_list_close(&list);
    (void)job_store_count(store, counts, &err);
    if (job_store_begin(store, &err) == ERR_OK) {
        (void)(job_store_submit(store, &draft, &result, &jobs[1], &err) == ERR_OK &&
               job_store_claim(store, &lease, all_kinds, 3, &is_found, &jobs[2], &err) == ERR_OK &&
               job_store_adopt(store, &lease, &is_found, &jobs[3], &err) == ERR_OK &&
               job_store_end_overdue(store, NOW, 4, ids, &n, &err) == ERR_OK);
        job_store_rollback(store);
    }
    assert_true(err.code == ERR_OK || err.code == ERR_INVALID || err.code == ERR_NOT_FOUND ||
                err.code == ERR_INTERNAL || err.code == ERR_IO);
    for (size_t i = 0; i < COUNT_OF(jobs); i++) {
        job_close(&jobs[i]);
    }
}

static void a_damaged_store_never_crashes(void **state)
{
    struct job_store *store = open_store();
    char path[TEST_PATH_BYTES];
    static unsigned char sound[1 << 20], bytes[1 << 20];
    size_t size, n_refused = 0;
    FILE *fp;
    (void)state;
    make_ended(store, 500, JOB_TRAIN, JOB_FAILED, NOW + 5);
    fill(store);
    assert_true(claim(store) != 0);
    job_store_close(store);
    (void)snprintf(path, sizeof path, "%s", own_path("jobs.sqlite"));
    fp = fopen(path, "rb");
    assert_non_null(fp);
    size = fread(sound, 1, sizeof sound, fp);
    (void)fclose(fp);
    assert_in_range(size, 8192, sizeof sound - 1);
    for (unsigned trial = 0; trial < (IS_SANITIZED ? 150 : 400); trial++) {
        size_t at = trial < 100 ? trial : (size_t)trial * 2654435761U % size;
        size_t length = trial % 3 == 0 ? 1 : 64;
        char who[JOB_OWNER_BYTES];
        struct error err = {0};
        memcpy(bytes, sound, size);
        for (size_t i = at; i < at + length && i < size; i++) {
            bytes[i] ^= (unsigned char)(0x5a + trial);
        }
        (void)unlink(own_path("jobs.sqlite-wal"));
        (void)unlink(own_path("jobs.sqlite-shm"));
        (void)write_bytes("jobs.sqlite", bytes, trial % 50 == 7 ? size - at : size);
        if (job_store_open(path, &store, who, &err) == ERR_OK) {
            use_damaged(store, who);
            job_store_close(store);
        } else {
            n_refused++;
            if (err.code != ERR_INVALID && err.code != ERR_IO) {
                fail_msg("damage at byte %zu gives: %s", at, err.text);
            }
        }
    }
    assert_true(n_refused > 20);
}

/* ---- faults ----------------------------------------------------------------------------------- */

static void limit_files(rlim_t bytes)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes < limit.rlim_max ? bytes : limit.rlim_max;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Submits until that fails; the error's code. */
static enum err submit_until_failure(struct job_store *store, int from, int *n, struct error *err)
{
    enum err rc = ERR_OK;

    for (*n = from; rc == ERR_OK; (*n)++) {
        struct job_draft draft = draft_of(*n);
        enum submit_result result;
        struct job job = {0};
        rc = job_store_begin(store, err);
        rc = rc == ERR_OK ? job_store_submit(store, &draft, &result, &job, err) : rc;
        rc = rc == ERR_OK ? job_store_commit(store, err) : rc;
        if (rc != ERR_OK) {
            job_store_rollback(store);
            job_close(&job);
            return rc;
        }
        job_close(&job);
    }
    return rc;
}

static void a_store_that_could_not_write_writes_again(void **state)
{
    struct job_store *store = open_store();
    struct error err = {0};
    struct job job = {0};
    struct stat st;
    int n = 0;
    (void)state;
    (void)signal(SIGXFSZ, SIG_IGN);
    submit(store, 1, JOB_TRAIN, 0);
    for (int round = 0; round < 3; round++) {
        int from = n + 2;
        assert_int_equal(stat(own_path("jobs.sqlite-wal"), &st), 0);
        limit_files((rlim_t)st.st_size + 100000);
        assert_error(submit_until_failure(store, from, &n, &err), ERR_IO, &err,
                     "cannot be written");
        assert_contains(err.text, "jobs.sqlite");
        assert_true(n > from);
        assert_int_equal(state_of(store, n - 1), JOB_QUEUED); /* what was acknowledged is there */
        assert_error(job_store_get(store, id_of(n), &job, &err), ERR_NOT_FOUND, &err, "no job");
        limit_files(RLIM_INFINITY);
        submit(store, n, JOB_TRAIN, 0);
        begin(store);
        assert_ok(job_store_probe(store, &err), &err);
        commit(store);
    }
    assert_int_equal(count_of(store, JOB_TRAIN, JOB_QUEUED), n - 2); /* two were left out */
    job_store_close(store);
    (void)signal(SIGXFSZ, SIG_DFL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_STORE_TESTS,
        directory_test(stores_on_one_file_see_each_other_live),
        directory_test(the_jobs_of_a_killed_process_are_adopted_at_once),
        directory_test(files_that_are_no_job_store_are_refused),
        directory_test(a_store_of_a_newer_schema_is_refused),
        directory_test(a_store_of_the_first_schema_is_brought_up),
        directory_test(the_files_are_for_their_owner_alone),
        directory_test(a_damaged_store_never_crashes),
        directory_test(a_store_that_could_not_write_writes_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

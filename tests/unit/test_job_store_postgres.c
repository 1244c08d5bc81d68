/* server/job_store.h: jobs that are kept in PostgreSQL, which the program runs for itself. */
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>

#include "server/clock.h"
#include "server/log.h"
#include "server/postgres.h"
#include "tests/support/postgres.h"

enum { OOM_JOBS = 3, FRESH_ROUNDS = 4 };

/* Of which store the schema is; a new one begins with none. */
static char schema_of[32];

static const char *store_place(const char *name)
{
    if (strcmp(schema_of, name) != 0) {
        (void)snprintf(schema_of, sizeof schema_of, "%s", name);
        postgres_sql("SET client_min_messages = error; DROP SCHEMA IF EXISTS dgld CASCADE");
    }
    return postgres_uri;
}

static int enter_schema(void **state)
{
    schema_of[0] = '\0';
    return count_blocks(state);
}

#define store_test(name) cmocka_unit_test_setup_teardown(name, enter_schema, check_blocks)
#include "tests/support/job_store.h"

/* Begins and commits something; how long that took, in ms. */
static int64_t try_to_write(struct job_store *store, enum err *rc, struct error *err)
{
    int64_t from_ms = monotonic_ms();

    *rc = job_store_begin(store, err);
    *rc = *rc == ERR_OK ? job_store_probe(store, err) : *rc;
    if (*rc == ERR_OK) {
        *rc = job_store_commit(store, err);
    } else {
        job_store_rollback(store);
    }
    return monotonic_ms() - from_ms;
}

static void wait_for_store(struct job_store *store)
{
    int64_t until_ms = monotonic_ms() + 20000;
    struct error err = {0};
    struct job_list list = {0};
    enum err rc = ERR_IO, read_rc = ERR_IO;

    while (rc != ERR_OK || read_rc != ERR_OK) {
        assert_true(monotonic_ms() < until_ms);
        pause_ms(20);
        (void)try_to_write(store, &rc, &err);
        read_rc = job_store_list(store, &(struct job_filter){.limit = 1}, &list, &err);
        job_list_close(&list);
    }
}

/* ---- several processes ------------------------------------------------------------------------ */

/* Another replica's store. */
static struct job_store *open_other(char who[JOB_OWNER_BYTES])
{
    struct job_store *store = NULL;
    struct error err = {0};

    assert_ok(job_store_open(postgres_uri, &store, who, &err), &err);
    return store;
}

static void leases_alone_tell_who_is_gone(void **state)
{
    struct job_store *one = open_store(), *two;
    char second[JOB_OWNER_BYTES];
    struct job_report report;
    (void)state;
    two = open_other(second);
    assert_string_not_equal(owner, second);
    submit(one, 1, JOB_TRAIN, 0);
    submit(two, 2, JOB_TRAIN, 0);
    assert_int_equal(claim(one), 1);
    assert_int_equal(claim_at(two, second, NOW, all_kinds, 3), 2);
    assert_int_equal(state_of(one, 2), JOB_RUNNING);
    job_store_close(one);
    assert_int_equal(adopt_at(two, second, NOW + LEASE - 1), 0);
    assert_int_equal(adopt_at(two, second, NOW + LEASE), 1);
    report = report_of(1, 1);
    assert_false(end_as(two, &report, JOB_FAILED, NULL, "no", NOW)); /* no longer the first's */
    report.owner = second;
    assert_true(requeue(two, &report, 0, NULL, false));
    assert_int_equal(state_of(two, 1), JOB_QUEUED);
    job_store_close(two);
}

static void the_clock_is_the_servers(void **state)
{
    struct job_store *store = open_store();
    struct pg_db db = {.what = "clock", .uri = postgres_uri, .limit_ms = 5000};
    const struct postgres_schema none = {.name = "dgld", .steps = NULL, .n_steps = 2};
    struct error err = {0};
    int64_t before_ms, now_ms, after_ms;
    (void)state;
    assert_true(job_store_is_shared(store));
    assert_ok(postgres_open(&db, &none, NULL, 0, &err), &err);
    begin(store);
    job_store_rollback(store);
    assert_ok(postgres_begin(&db, &before_ms, &err), &err);
    postgres_rollback(&db);
    now_ms = job_store_now_ms(store);
    assert_ok(postgres_begin(&db, &after_ms, &err), &err);
    postgres_close(&db);
    assert_in_range(now_ms, before_ms - 200, after_ms + 1);
    job_store_close(store);
}

/* A transaction that stalls holds what it wrote, and nothing else. */
static void a_stalled_transaction_is_in_nobodys_way(void **state)
{
    struct job_store *one = open_store(), *two;
    struct job_lease lease = {owner, NOW, NOW + LEASE};
    char second[JOB_OWNER_BYTES];
    struct error err = {0};
    struct job job = {0};
    bool is_found = false;
    (void)state;
    two = open_other(second);
    for (int n = 1; n <= 3; n++) {
        submit(one, n, JOB_TRAIN, 0);
    }
    begin(one);
    assert_ok(job_store_claim(one, &lease, all_kinds, 3, &is_found, &job, &err), &err);
    assert_string_equal(job.id, id_of(1));
    assert_int_equal(claim_at(two, second, NOW, all_kinds, 3), 2);
    submit(two, 4, JOB_TRAIN, 0);
    assert_int_equal(adopt_at(two, second, NOW + LEASE), 2);
    assert_int_equal(count_of(two, JOB_TRAIN, JOB_QUEUED), 3); /* 1 is not begun yet */
    commit(one);
    assert_int_equal(count_of(two, JOB_TRAIN, JOB_QUEUED), 2);
    job_close(&job);
    job_store_close(one);
    job_store_close(two);
}

/* What it holds may be what others need: a key, here. They are told so in time, and it is ended. */
static void a_transaction_that_stalls_for_long_is_ended(void **state)
{
    struct job_store *one = open_store(), *two;
    struct job_draft draft = draft_of(1);
    char second[JOB_OWNER_BYTES];
    int64_t from_ms = monotonic_ms();
    enum submit_result result;
    struct error err = {0};
    struct job job = {0};
    (void)state;
    two = open_other(second);
    draft.key = "k";
    draft.digest = "d";
    begin(one);
    assert_ok(job_store_submit(one, &draft, &result, &job, &err), &err);
    job_close(&job);
    draft.id = id_of(2);
    begin(two);
    assert_error(job_store_submit(two, &draft, &result, &job, &err), ERR_IO, &err, "lock timeout");
    job_store_rollback(two);
    assert_in_range(monotonic_ms() - from_ms, 2500, 4800);
    assert_int_equal(submit_draft(two, &draft, NULL), SUBMIT_CREATED); /* waits for that end */
    assert_error(job_store_commit(one, &err), ERR_IO, &err, "");
    wait_for_store(one);
    assert_int_equal(count_of(one, JOB_TRAIN, JOB_QUEUED), 1);
    job_store_close(one);
    job_store_close(two);
}

enum { N_CLAIMERS = 6, N_CLAIMED = 120 };

struct claimer {
    pthread_t thread;
    int taken[N_CLAIMED + 1]; /* by job: how often */
    int n_failed;
};

/* Claims and ends jobs until there are none. */
static void *claim_all(void *argument)
{
    struct claimer *claimer = argument;
    struct job_store *store = NULL;
    char who[JOB_OWNER_BYTES];
    bool is_found = true;

    claimer->n_failed += job_store_open(postgres_uri, &store, who, NULL) != ERR_OK;
    while (is_found && claimer->n_failed == 0) {
        struct job_lease lease = {who, NOW, NOW + LEASE};
        struct job job = {0};
        bool is_held = false;
        claimer->n_failed +=
            job_store_begin(store, NULL) != ERR_OK ||
            job_store_claim(store, &lease, all_kinds, 3, &is_found, &job, NULL) != ERR_OK ||
            job_store_commit(store, NULL) != ERR_OK;
        if (claimer->n_failed == 0 && is_found) {
            struct job_report report = {job.id, who, job.attempt, job.revision, NULL, NULL};
            claimer->taken[atoi(job.id + 24)]++;
            claimer->n_failed += job_store_begin(store, NULL) != ERR_OK ||
                                 job_store_end(store, &report, JOB_SUCCEEDED, "{}", NULL, NOW + 1,
                                               &is_held, NULL) != ERR_OK ||
                                 job_store_commit(store, NULL) != ERR_OK || !is_held;
        }
        job_close(&job);
    }
    job_store_close(store);
    return NULL;
}

static void each_job_is_claimed_by_one(void **state)
{
    struct job_store *store = open_store();
    static struct claimer claimers[N_CLAIMERS];
    (void)state;
    memset(claimers, 0, sizeof claimers);
    for (int n = 1; n <= N_CLAIMED; n++) {
        submit(store, n, all_kinds[n % 3], 0);
    }
    for (int i = 0; i < N_CLAIMERS; i++) {
        assert_int_equal(pthread_create(&claimers[i].thread, NULL, claim_all, &claimers[i]), 0);
    }
    for (int i = 0; i < N_CLAIMERS; i++) {
        assert_int_equal(pthread_join(claimers[i].thread, NULL), 0);
        assert_int_equal(claimers[i].n_failed, 0);
    }
    for (int n = 1; n <= N_CLAIMED; n++) {
        int times = 0;
        for (int i = 0; i < N_CLAIMERS; i++) {
            times += claimers[i].taken[n];
        }
        assert_int_equal(times, 1);
        assert_int_equal(state_of(store, n), JOB_SUCCEEDED);
    }
    for (int k = 0; k < JOB_N_KINDS; k++) {
        assert_int_equal(count_of(store, (enum job_kind)k, JOB_SUCCEEDED), N_CLAIMED / 3);
        assert_int_equal(count_of(store, (enum job_kind)k, JOB_QUEUED), 0);
        assert_int_equal(count_of(store, (enum job_kind)k, JOB_RUNNING), 0);
    }
    job_store_close(store);
}

enum { N_SUBMITTERS = 4, N_KEYS = 25 };

struct submitter {
    pthread_t thread;
    int number;
    int n_created, n_failed;
    char ids[N_KEYS][JOB_ID_BYTES]; /* of the job that each key stands for */
};

/* Submits under the same keys as the others at the same time. */
static void *submit_keys(void *argument)
{
    struct submitter *s = argument;
    struct job_store *store = NULL;
    char who[JOB_OWNER_BYTES];

    s->n_failed += job_store_open(postgres_uri, &store, who, NULL) != ERR_OK;
    for (int k = 0; s->n_failed == 0 && k < N_KEYS; k++) {
        char id[JOB_ID_BYTES], key[16];
        struct job_draft draft = {.id = id,
                                  .kind = JOB_NAS,
                                  .space = "nasbench201",
                                  .submitted_ms = NOW,
                                  .params = "{}",
                                  .client = "",
                                  .key = key,
                                  .digest = "d",
                                  .queue_max = QUEUE_MAX};
        enum submit_result result = SUBMIT_QUEUE_FULL;
        struct job job = {0};
        (void)snprintf(id, sizeof id, "01900000-0000-7000-8000-%012d", 100 * s->number + k);
        (void)snprintf(key, sizeof key, "key-%d", k);
        s->n_failed += job_store_begin(store, NULL) != ERR_OK ||
                       job_store_submit(store, &draft, &result, &job, NULL) != ERR_OK ||
                       job_store_commit(store, NULL) != ERR_OK ||
                       (result != SUBMIT_CREATED && result != SUBMIT_REPEATED);
        s->n_created += result == SUBMIT_CREATED;
        memcpy(s->ids[k], job.id, JOB_ID_BYTES);
        job_close(&job);
    }
    job_store_close(store);
    return NULL;
}

static void a_key_makes_one_job_whoever_it_is_sent_to(void **state)
{
    struct job_store *store = open_store();
    static struct submitter submitters[N_SUBMITTERS];
    int n_created = 0;
    (void)state;
    memset(submitters, 0, sizeof submitters);
    for (int i = 0; i < N_SUBMITTERS; i++) {
        submitters[i].number = i + 1;
        assert_int_equal(pthread_create(&submitters[i].thread, NULL, submit_keys, &submitters[i]),
                         0);
    }
    for (int i = 0; i < N_SUBMITTERS; i++) {
        assert_int_equal(pthread_join(submitters[i].thread, NULL), 0);
        assert_int_equal(submitters[i].n_failed, 0);
        n_created += submitters[i].n_created;
        for (int k = 0; k < N_KEYS; k++) {
            assert_string_equal(submitters[i].ids[k], submitters[0].ids[k]);
        }
    }
    assert_int_equal(n_created, N_KEYS);
    assert_int_equal(count_of(store, JOB_NAS, JOB_QUEUED), N_KEYS);
    job_store_close(store);
}

/* ---- news ------------------------------------------------------------------------------------- */

struct ear {
    atomic_int n_queued, n_cancels, n_changes, n_ends;
    char cancelled[JOB_ID_BYTES]; /* written before n_cancels */
    atomic_int_least64_t revision;
};

static void listen_in(void *context, const struct job_news *news)
{
    struct ear *ear = context;

    if (news->what == JOB_NEWS_QUEUED) {
        atomic_fetch_add(&ear->n_queued, 1);
    } else if (news->what == JOB_NEWS_CANCEL) {
        memcpy(ear->cancelled, news->id, JOB_ID_BYTES);
        atomic_fetch_add(&ear->n_cancels, 1);
    } else {
        atomic_store(&ear->revision, news->revision);
        atomic_fetch_add(news->has_ended ? &ear->n_ends : &ear->n_changes, 1);
    }
}

static void wait_until(const atomic_int *n, int expected)
{
    int64_t until_ms = monotonic_ms() + 10000;

    while (atomic_load(n) < expected && monotonic_ms() < until_ms) {
        pause_ms(2);
    }
    assert_int_equal(atomic_load(n), expected);
}

static void what_others_write_is_heard_at_once(void **state)
{
    struct job_store *one = open_store(), *two;
    struct ear ear = {0}, own = {0};
    char second[JOB_OWNER_BYTES];
    struct job_report report = report_of(1, 1);
    (void)state;
    two = open_other(second);
    pause_ms(300); /* both listen by then */
    job_store_follow(one, listen_in, &own);
    job_store_follow(two, listen_in, &ear);
    submit(one, 1, JOB_TRAIN, 0);
    wait_until(&ear.n_queued, 1);
    postgres_sql("NOTIFY dgld, 'nonsense'; NOTIFY dgld, 'x nobody'; NOTIFY dgld, 'c 1 2 3';"
                 " NOTIFY dgld, 'x 01900000-0000-7000-8000-000000000001 and more'; NOTIFY dgld");
    assert_int_equal(claim(one), 1);
    wait_until(&ear.n_changes, 1);
    assert_int_equal(ear.revision, (int64_t)1 << 32);
    assert_int_equal(cancel(one, 1), JOB_RUNNING);
    wait_until(&ear.n_cancels, 1);
    assert_string_equal(ear.cancelled, id_of(1));
    report.revision += 5;
    assert_true(end_as(one, &report, JOB_CANCELLED, NULL, NULL, NOW));
    wait_until(&ear.n_ends, 1);
    assert_int_equal(ear.revision, report.revision);
    job_store_follow(two, NULL, NULL);
    submit(one, 2, JOB_TRAIN, 0);
    assert_int_equal(claim_at(two, second, NOW, all_kinds, 3), 2);
    wait_until(&own.n_changes, 1);
    /* its own is no news, nor what was rolled back, nor what nobody follows */
    assert_int_equal(atomic_load(&own.n_queued) + atomic_load(&own.n_cancels), 0);
    assert_int_equal(atomic_load(&ear.n_queued), 1);
    assert_int_equal(atomic_load(&ear.n_changes), 1);
    job_store_close(one);
    job_store_close(two);
}

/* ---- databases that are not what they should be ----------------------------------------------- */

static void refused(const char *uri, enum err expected, const char *phrase)
{
    struct job_store *store = NULL;
    char who[JOB_OWNER_BYTES];
    struct error err = {0};

    assert_error(job_store_open(uri, &store, who, &err), expected, &err, phrase);
    assert_null(store);
}

static void a_store_of_the_first_schema_is_brought_up(void **state)
{
    struct job_store *store = open_store();
    struct job_report report;
    bool is_cancel;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    job_store_close(store);
    postgres_sql("ALTER TABLE dgld.jobs DROP COLUMN history;"
                 " UPDATE dgld.schema_version SET version = 1");
    store = open_store();
    check_history(store, 1, NULL);
    assert_int_equal(claim(store), 1);
    report = report_of(1, 1);
    report.history = "{\"points\": []}";
    assert_true(renew(store, &report, &is_cancel));
    check_history(store, 1, report.history);
    job_store_close(store);
}

static void schemas_that_are_no_job_stores_are_refused(void **state)
{
    (void)state;
    job_store_close(open_store());
    postgres_sql("UPDATE dgld.schema_version SET version = 7");
    refused(postgres_uri, ERR_INVALID,
            "newer dgld (schema 7, this one knows 2); start that version");
    postgres_sql("UPDATE dgld.schema_version SET version = -1");
    refused(postgres_uri, ERR_INVALID, "damaged (schema_version holds no version)");
    postgres_sql("UPDATE dgld.schema_version SET version = 2; DROP TABLE dgld.removed_jobs");
    refused(postgres_uri, ERR_INVALID, "damaged (relation \"dgld.removed_jobs\" does not exist)");
    postgres_sql("DROP TABLE dgld.schema_version");
    refused(postgres_uri, ERR_INVALID, "another program");
    postgres_sql(
        "SET client_min_messages = error; DROP SCHEMA dgld CASCADE; CREATE SCHEMA dgld"); /* as an administrator would */
    job_store_close(open_store());
}

/* Rows that no dgld wrote are refused one by one. */
static void a_row_that_cannot_be_is_told_of(void **state)
{
    struct job_store *store = open_store();
    struct error err = {0};
    struct job job = {0};
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    submit(store, 2, JOB_TRAIN, 0);
    postgres_sql("UPDATE dgld.jobs SET kind = 'nonsense' WHERE seq = 1");
    assert_error(job_store_get(store, id_of(1), &job, &err), ERR_INVALID, &err, "damaged");
    assert_int_equal(claim(store), 2);
    postgres_sql("DROP TABLE dgld.job_counts CASCADE");
    assert_error(job_store_begin(store, &err), ERR_OK, &err, "");
    assert_error(job_store_remove(store, id_of(2), &(bool){false}, &err), ERR_OK, &err, "");
    job_store_rollback(store);
    job_store_close(store);
}

static void an_address_that_cannot_be_read_is_not_repeated(void **state)
{
    struct job_store *store = NULL;
    char who[JOB_OWNER_BYTES];
    struct error err = {0};
    (void)state;
    refused("postgresql://u:se%zzcret@h/db", ERR_INVALID, "libpq can read");
    assert_error(job_store_open("postgres://u:secret@h/db?nonsense=1", &store, who, &err),
                 ERR_INVALID, &err, "libpq can read");
    assert_null(strstr(err.text, "secret"));
    refused("postgresql://u:se/cret@h/db", ERR_INVALID, "%2F for a /");
}

/* ---- a database that is away ------------------------------------------------------------------ */

static void check_away(struct job_store *store)
{
    struct error err = {0};
    struct job job = {0};
    enum err rc;

    for (int i = 0; i < 20; i++) {
        assert_true(try_to_write(store, &rc, &err) < 1000);
        assert_error(rc, ERR_IO, &err, "cannot be used");
        assert_error(job_store_get(store, id_of(1), &job, &err), ERR_IO, &err, "cannot be used");
    }
}

static void a_database_that_was_away_is_found_again(void **state)
{
    struct job_store *store = open_store();
    struct job_report report = report_of(2, 1);
    bool is_cancel;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    submit(store, 2, JOB_NAS, 0);
    assert_int_equal(claim_at(store, owner, NOW, (enum job_kind[]){JOB_NAS}, 1), 2);
    postgres_tell("stop");
    check_away(store);
    postgres_tell("start");
    wait_for_store(store);
    /* leases that ran out meanwhile may be renewed before anybody takes the jobs */
    assert_int_equal(adopt_at(store, "another", NOW + LEASE), 0);
    assert_true(renew(store, &report, &is_cancel));
    assert_int_equal(state_of(store, 1), JOB_QUEUED);
    job_store_close(store);
}

static void a_transaction_that_the_database_left_never_happened(void **state)
{
    struct job_store *store = open_store();
    struct job_draft draft = draft_of(2);
    enum submit_result result;
    struct error err = {0};
    struct job job = {0};
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    begin(store);
    assert_ok(job_store_submit(store, &draft, &result, &job, &err), &err);
    job_close(&job);
    postgres_tell("stop");
    assert_error(job_store_commit(store, &err), ERR_IO, &err, "is not known");
    assert_contains(err.text, "Idempotency-Key");
    postgres_tell("start");
    wait_for_store(store);
    assert_error(job_store_get(store, id_of(2), &job, &err), ERR_NOT_FOUND, &err, "no job");
    submit(store, 2, JOB_TRAIN, 0);
    job_store_close(store);
}

static void a_store_opens_before_its_database(void **state)
{
    struct job_store *store;
    (void)state;
    (void)store_place("jobs.sqlite");
    postgres_tell("stop");
    store = open_store();
    check_away(store);
    postgres_tell("start");
    wait_for_store(store);
    submit(store, 1, JOB_TRAIN, 0);
    assert_int_equal(state_of(store, 1), JOB_QUEUED);
    job_store_close(store);
}

/* A server that takes everything and answers nothing. */
static void a_server_that_is_silent_is_waited_for_once(void **state)
{
    struct job_store *store = open_store();
    struct error err = {0};
    struct job job = {0};
    int64_t from_ms;
    (void)state;
    submit(store, 1, JOB_TRAIN, 0);
    postgres_tell("freeze");
    from_ms = monotonic_ms();
    assert_error(job_store_get(store, id_of(1), &job, &err), ERR_IO, &err, "was silent for");
    assert_in_range(monotonic_ms() - from_ms, 1000, 6000);
    check_away(store);
    postgres_tell("thaw");
    wait_for_store(store);
    job_store_close(store);
}

/* ---- addresses -------------------------------------------------------------------------------- */

static void printed(const char *uri, const char *expected)
{
    char text[512];

    postgres_redact_uri(uri, text, sizeof text);
    assert_string_equal(text, expected);
}

static void addresses_are_printed_without_passwords(void **state)
{
    static const char long_uri[] = "postgresql://u:secret@host-of-a-name/db?application_name=a";
    char text[30];
    (void)state;
    printed("postgresql://u@h:5433/db?sslmode=require", "postgresql://u@h:5433/db?sslmode=require");
    printed("postgres://u:secret@h1:1,h2:2/db",
            "postgresql://?user=u&password=***&dbname=db&host=h1,h2&port=1,2");
    printed("postgresql:///db?host=/run/pg&password=s%65cret&sslpassword=x",
            "postgresql://?password=***&dbname=db&host=/run/pg&sslpassword=***");
    printed("postgresql://u:se/cret@h/db", "postgresql://...");
    printed("postgresql://u:%zz@h", "postgresql://...");
    postgres_redact_uri(long_uri, text, sizeof text);
    assert_int_equal(strlen(text), sizeof text - 1);
    assert_null(strstr(text, "secret"));
    assert_true(postgres_is_uri("postgres://") && postgres_is_uri("postgresql://x"));
    assert_false(postgres_is_uri("postgresql:/x") || postgres_is_uri("result/postgres://"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        JOB_STORE_TESTS,
        store_test(leases_alone_tell_who_is_gone),
        store_test(the_clock_is_the_servers),
        store_test(a_stalled_transaction_is_in_nobodys_way),
        store_test(a_transaction_that_stalls_for_long_is_ended),
        store_test(each_job_is_claimed_by_one),
        store_test(a_key_makes_one_job_whoever_it_is_sent_to),
        store_test(what_others_write_is_heard_at_once),
        store_test(schemas_that_are_no_job_stores_are_refused),
        store_test(a_store_of_the_first_schema_is_brought_up),
        store_test(a_row_that_cannot_be_is_told_of),
        store_test(an_address_that_cannot_be_read_is_not_repeated),
        store_test(a_database_that_was_away_is_found_again),
        store_test(a_transaction_that_the_database_left_never_happened),
        store_test(a_store_opens_before_its_database),
        store_test(a_server_that_is_silent_is_waited_for_once),
        store_test(addresses_are_printed_without_passwords),
    };

    (void)signal(SIGPIPE, SIG_IGN);
    log_set_level(LOG_ERROR);
    return cmocka_run_group_tests(tests, postgres_start, postgres_end);
}

/* The job store in PostgreSQL: opening it, and what is written. */
#include "server/job_store_postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/mem.h"
#include "server/clock.h"

/* ---- statements ------------------------------------------------------------------------------ */

enum {
    WRITE_SUBMIT,
    WRITE_FIND_KEY,
    WRITE_CLAIM,
    WRITE_RENEW,
    WRITE_END,
    WRITE_REQUEUE,
    WRITE_GET,
    WRITE_CANCEL,
    WRITE_REMOVE,
    WRITE_FORGET,
    WRITE_END_OVERDUE,
    WRITE_ADOPT,
    WRITE_PROBE,
    N_WRITE_SQL
};

/* A runner's job, where it is still its own. */
#define HELD " WHERE id = $1 AND state = 'running' AND lease_owner = $2 AND attempt = $3::integer"
/* The runner counts on from what was stored when it began; nobody else does meanwhile. */
#define REPORTED                                               \
    " revision = greatest(revision + 1, $4::bigint), progress" \
    " = coalesce($5::text, progress), history = coalesce($6::text, history)"
#define RELEASED " lease_owner = NULL, lease_until_ms = 0"

#define STRIPE "current_setting('dgld.stripe')::integer"

static const char *const write_sql[] = {
    /* One row, whatever becomes of it: jobs that wait, then a job, then its digest and whether it
     * was made now. Where another replica writes a job of the same key just now it is waited for;
     * then there is none. */
    [WRITE_SUBMIT] =
        "WITH known AS (SELECT " PG_JOB_COLUMNS ", digest FROM dgld.jobs"
        "  WHERE client = $8 AND key = $9::text),"
        " waiting AS (SELECT coalesce(sum(n), 0)::bigint AS n FROM dgld.job_counts"
        "  WHERE state = 'queued'),"
        " made AS (INSERT INTO dgld.jobs (id, kind, space, state, priority, submitted_ms,"
        "   deadline_ms, params, client, key, digest)"
        "  SELECT $1::text, $2::text, $3::text, 'queued', $4::integer, $5::bigint, $6::bigint,"
        "   $7::text, $8::text, $9::text, $10::text FROM waiting"
        "   WHERE n < $11::bigint AND NOT EXISTS (SELECT FROM known)"
        "  ON CONFLICT (client, key) WHERE key IS NOT NULL DO NOTHING"
        "  RETURNING " PG_JOB_COLUMNS ", digest)"
        " SELECT waiting.n, job.* FROM waiting LEFT JOIN"
        "  (SELECT known.*, 0 AS is_new, '' AS told FROM known"
        "   UNION ALL SELECT made.*, 1, " PG_NOTIFY_QUEUED "::text FROM made) AS job ON true",
    [WRITE_FIND_KEY] = "SELECT 0, " PG_JOB_COLUMNS ", digest, 0 FROM dgld.jobs"
                       " WHERE client = $1 AND key = $2",
    [WRITE_CLAIM] =
        "WITH next AS MATERIALIZED (SELECT seq FROM dgld.jobs WHERE state = 'queued' AND kind = $1"
        /* see the same of SQLite */
        "  AND (not_before_ms <= $2::bigint OR not_before_ms > $2::bigint + 60000)"
        "  AND (deadline_ms = 0 OR deadline_ms > $2::bigint)"
        "  ORDER BY priority DESC, seq LIMIT 1 FOR UPDATE SKIP LOCKED),"
        " taken AS (UPDATE dgld.jobs SET state = 'running', attempt = attempt + 1,"
        "  revision = (attempt + 1)::bigint << 32, started_ms = $2::bigint, progress = NULL,"
        "  lease_owner = $3, lease_until_ms = $4::bigint, not_before_ms = 0"
        "  WHERE seq = (SELECT seq FROM next) RETURNING " PG_JOB_COLUMNS ")"
        " SELECT *, " PG_NOTIFY_CHANGED("0") " FROM taken",
    [WRITE_RENEW] =
        "WITH held AS (UPDATE dgld.jobs SET revision = greatest(revision, $4::bigint),"
        "  progress = coalesce($5::text, progress), history = coalesce($6::text, history),"
        "  lease_until_ms = $7::bigint" HELD
        "  RETURNING id, revision, is_cancel_requested::int AS flag)"
        " SELECT flag, " PG_NOTIFY_CHANGED("0") " FROM held",
    [WRITE_END] =
        "WITH held AS (UPDATE dgld.jobs SET" REPORTED "," RELEASED ", state = $7,"
        "  result = $8, error = $9, ended_ms = $10::bigint" HELD " RETURNING id, revision)"
        " SELECT 1, " PG_NOTIFY_CHANGED("1") " FROM held",
    /* whose end was asked for meanwhile waits no longer for whoever sees to it */
    [WRITE_REQUEUE] =
        "WITH held AS (UPDATE dgld.jobs SET" REPORTED "," RELEASED ", state = 'queued',"
        "  started_ms = 0, not_before_ms = CASE WHEN is_cancel_requested THEN 0 ELSE $7::bigint "
        "END,"
        "  error = coalesce($8::text, error), n_failures = n_failures + $9::integer" HELD
        "  RETURNING id, revision)"
        " SELECT 1, " PG_NOTIFY_CHANGED("0") ", " PG_NOTIFY_QUEUED " FROM held",
    [WRITE_GET] = "SELECT " PG_JOB_COLUMNS " FROM dgld.jobs WHERE id = $1",
    /* of one that runs the revision is the runner's to count */
    [WRITE_CANCEL] =
        "WITH told AS (UPDATE dgld.jobs SET is_cancel_requested = true,"
        "  state = CASE state WHEN 'queued' THEN 'cancelled' ELSE state END,"
        "  revision = revision + CASE state WHEN 'queued' THEN 1 ELSE 0 END,"
        "  ended_ms = CASE state WHEN 'queued' THEN $2::bigint ELSE 0 END"
        "  WHERE id = $1 AND state IN ('queued', 'running') RETURNING " PG_JOB_COLUMNS ")"
        " SELECT *, CASE state WHEN 'running' THEN " PG_NOTIFY_CANCEL
        "::text ELSE " PG_NOTIFY_CHANGED("1") "::text END FROM told",
    [WRITE_REMOVE] = "DELETE FROM dgld.jobs WHERE id = $1 AND ended_ms > 0 RETURNING seq",
    [WRITE_FORGET] = "DELETE FROM dgld.removed_jobs WHERE id = $1",
    [WRITE_END_OVERDUE] =
        "WITH late AS MATERIALIZED (SELECT seq FROM dgld.jobs WHERE state = 'queued'"
        "  AND deadline_ms > 0 AND deadline_ms <= $1::bigint ORDER BY deadline_ms LIMIT $2"
        "  FOR UPDATE SKIP LOCKED),"
        " ended AS (UPDATE dgld.jobs SET state = 'failed', revision = revision + 1,"
        "  ended_ms = $1::bigint, error = 'its deadline passed while it waited' ||"
        "   coalesce('; its last attempt: ' || error, '')"
        "  WHERE seq IN (SELECT seq FROM late) RETURNING id, revision, deadline_ms)"
        " SELECT id, " PG_NOTIFY_CHANGED("1") " FROM ended ORDER BY deadline_ms",
    [WRITE_ADOPT] =
        "WITH orphan AS MATERIALIZED (SELECT seq FROM dgld.jobs WHERE state = 'running'"
        "  AND lease_until_ms <= $1::bigint ORDER BY seq LIMIT 1 FOR UPDATE SKIP LOCKED)"
        " UPDATE dgld.jobs SET lease_owner = $2, lease_until_ms = $3::bigint"
        " WHERE seq = (SELECT seq FROM orphan) RETURNING " PG_JOB_COLUMNS,
    [WRITE_PROBE] = "INSERT INTO dgld.probe AS p VALUES (" STRIPE ", 1)"
                    " ON CONFLICT (stripe) DO UPDATE SET n = p.n + 1",
};

/* ---- transactions ---------------------------------------------------------------------------- */

/* Each session that writes counts in a stripe of its own as long as there are enough of them. */
static const char take_stripe[] =
    "SELECT 1 FROM set_config('dgld.stripe', coalesce((SELECT i FROM generate_series(0, 255) AS i"
    " WHERE pg_try_advisory_lock(hashtext('dgld.stripe'), i) LIMIT 1), -1)::text, false)";

static enum err connect_writer(struct pg_job_store *store, struct error *err)
{
    enum err rc = postgres_open(&store->writer, &pg_job_schema, write_sql, N_WRITE_SQL, err);

    rc = rc == ERR_OK ? postgres_run(&store->writer, take_stripe, NULL, err) : rc;
    if (rc != ERR_OK) {
        postgres_close(&store->writer);
    }
    atomic_store(&store->writer_session, postgres_session(&store->writer));
    return rc;
}

/* Begins on the connection as it is. */
static enum err try_begin(struct pg_job_store *store, struct error *err)
{
    int64_t now_ms = 0;
    enum err rc = postgres_begin(&store->writer, &now_ms, err);

    if (rc == ERR_OK) {
        atomic_store(&store->offset_ms, now_ms - monotonic_ms());
    }
    return rc;
}

static enum err begin_anew(struct pg_job_store *store, struct error *err)
{
    enum err rc = connect_writer(store, err);

    store->reconnected_ms = monotonic_ms();
    return rc == ERR_OK ? try_begin(store, err) : rc;
}

/* A connection that was lost while nobody used it, to a database that is back already, is no reason
 * for a failure. */
static enum err begin(struct job_store *base, struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    int64_t from_ms = monotonic_ms();
    struct error why = {0};
    enum err rc;

    if (!pg_job_is_there(store, &why)) {
        rc = why.code;
    } else {
        rc = postgres_is_open(&store->writer) ? try_begin(store, &why) : begin_anew(store, &why);
        if (rc == ERR_IO && !postgres_is_open(&store->writer) &&
            monotonic_ms() < from_ms + PG_WRITE_MS / 2) {
            rc = begin_anew(store, &why);
        }
        if (rc != ERR_OK && !postgres_is_open(&store->writer)) {
            pg_job_set_away(store, &why);
        }
    }
    if (rc != ERR_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

static enum err commit(struct job_store *base, struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    struct error why = {0};
    enum err rc = postgres_commit(&store->writer, &why);

    if (rc != ERR_OK) {
        if (!postgres_is_open(&store->writer)) {
            pg_job_set_away(store, &why);
        }
        if (err != NULL) {
            *err = why;
        }
    }
    return rc;
}

static void rollback(struct job_store *base)
{
    struct pg_job_store *store = (struct pg_job_store *)base;

    postgres_rollback(&store->writer);
    if (!postgres_is_open(&store->writer) && pg_job_is_there(store, NULL)) {
        struct error why = {0};
        error_describe(&why, ERR_IO,
                       "the job store in PostgreSQL cannot be used: the connection was lost");
        pg_job_set_away(store, &why);
    }
}

static int64_t now_ms(struct job_store *base)
{
    const struct pg_job_store *store = (const struct pg_job_store *)base;

    return monotonic_ms() + atomic_load(&store->offset_ms);
}

static struct pg_query open_query(struct job_store *base, size_t number)
{
    return pg_query_open(&((struct pg_job_store *)base)->writer, number);
}

/* Runs a bound query that gives a row or none, of which one number may be wanted (`out`, or NULL);
 * closes it. */
static enum err run_flag(struct pg_query *query, bool *has_row, int64_t *out, struct error *err)
{
    enum err rc = pg_query_run(query, err);

    *has_row = rc == ERR_OK && pg_query_n_rows(query) > 0;
    if (*has_row && out != NULL) {
        *out = pg_query_int(query, 0, 0);
    }
    pg_query_close(query);
    return rc;
}

/* Runs a bound query that gives one job, or none; closes it. */
static enum err run_job(struct pg_query *query, bool *is_found, struct job *out, struct error *err)
{
    enum err rc = pg_query_run(query, err);
    bool has_row = rc == ERR_OK && pg_query_n_rows(query) > 0;

    rc = has_row ? pg_job_read(query, 0, 0, out, err) : rc;
    pg_query_close(query);
    if (rc == ERR_OK) {
        *is_found = has_row;
    }
    return rc;
}

static enum err probe(struct job_store *base, struct error *err)
{
    struct pg_query query = open_query(base, WRITE_PROBE);
    bool has_row;

    return run_flag(&query, &has_row, NULL, err);
}

/* ---- submission ------------------------------------------------------------------------------ */

/* Columns of what WRITE_SUBMIT and WRITE_FIND_KEY give. */
enum { AT_WAITING, AT_JOB, AT_DIGEST = AT_JOB + PG_JOB_N_COLUMNS, AT_IS_NEW };

/* What a row with a job says. */
static enum err read_submitted(const struct pg_query *query, const struct job_draft *draft,
                               enum submit_result *result, struct job *out, struct error *err)
{
    const char *digest = pg_query_text(query, 0, AT_DIGEST);

    if (pg_query_int(query, 0, AT_IS_NEW) != 0) {
        *result = SUBMIT_CREATED;
    } else {
        *result = digest != NULL && draft->digest != NULL && strcmp(digest, draft->digest) == 0
                      ? SUBMIT_REPEATED
                      : SUBMIT_KEY_TAKEN;
    }
    return *result == SUBMIT_KEY_TAKEN ? ERR_OK : pg_job_read(query, 0, AT_JOB, out, err);
}

static enum err try_submit(struct job_store *base, const struct job_draft *draft, bool *is_settled,
                           enum submit_result *result, struct job *out, struct error *err)
{
    struct pg_query query = open_query(base, WRITE_SUBMIT);
    enum err rc;

    pg_query_put_text(&query, draft->id);
    pg_query_put_text(&query, job_kind_name(draft->kind));
    pg_query_put_text(&query, draft->space);
    pg_query_put_int(&query, draft->priority);
    pg_query_put_int(&query, draft->submitted_ms);
    pg_query_put_int(&query, draft->deadline_ms);
    pg_query_put_text(&query, draft->params);
    pg_query_put_text(&query, draft->client);
    pg_query_put_text(&query, draft->key);
    pg_query_put_text(&query, draft->digest);
    pg_query_put_int(&query, (int64_t)draft->queue_max);
    rc = pg_query_run(&query, err);
    *is_settled = true;
    if (rc == ERR_OK && pg_query_text(&query, 0, AT_JOB) != NULL) {
        rc = read_submitted(&query, draft, result, out, err);
    } else if (rc == ERR_OK && pg_query_int(&query, 0, AT_WAITING) >= (int64_t)draft->queue_max) {
        *result = SUBMIT_QUEUE_FULL;
    } else {
        *is_settled = rc != ERR_OK;
    }
    pg_query_close(&query);
    return rc;
}

/* Another replica's job of the same key, which was not there yet when the statement began. */
static enum err find_key(struct job_store *base, const struct job_draft *draft, bool *is_settled,
                         enum submit_result *result, struct job *out, struct error *err)
{
    struct pg_query query = open_query(base, WRITE_FIND_KEY);
    enum err rc;

    pg_query_put_text(&query, draft->client);
    pg_query_put_text(&query, draft->key);
    rc = pg_query_run(&query, err);
    *is_settled = rc == ERR_OK && pg_query_n_rows(&query) > 0;
    if (*is_settled) {
        rc = read_submitted(&query, draft, result, out, err);
    }
    pg_query_close(&query);
    return rc;
}

static enum err submit(struct job_store *base, const struct job_draft *draft,
                       enum submit_result *result, struct job *out, struct error *err)
{
    enum { TRIES = 3 }; /* that job may be removed between two statements */

    for (int i = 0; i < TRIES; i++) {
        bool is_settled = false;
        enum err rc = try_submit(base, draft, &is_settled, result, out, err);
        if (rc == ERR_OK && !is_settled) {
            rc = find_key(base, draft, &is_settled, result, out, err);
        }
        if (rc != ERR_OK || is_settled) {
            return rc;
        }
    }
    return error_set(err, ERR_IO,
                     "the job store in PostgreSQL cannot be used: jobs of one Idempotency-Key come "
                     "and go all the time");
}

/* ---- running --------------------------------------------------------------------------------- */

static enum err claim(struct job_store *base, const struct job_lease *lease,
                      const enum job_kind *kinds, size_t n_kinds, bool *is_found, struct job *out,
                      struct error *err)
{
    enum err rc = ERR_OK;

    *is_found = false;
    for (size_t i = 0; rc == ERR_OK && !*is_found && i < n_kinds; i++) {
        struct pg_query query = open_query(base, WRITE_CLAIM);
        pg_query_put_text(&query, job_kind_name(kinds[i]));
        pg_query_put_int(&query, lease->now_ms);
        pg_query_put_text(&query, lease->owner);
        pg_query_put_int(&query, lease->until_ms);
        rc = run_job(&query, is_found, out, err);
    }
    return rc;
}

/* The first six parameters of what a runner writes: HELD and what it tells. */
static struct pg_query open_report(struct job_store *base, size_t number,
                                   const struct job_report *report)
{
    struct pg_query query = open_query(base, number);

    pg_query_put_text(&query, report->id);
    pg_query_put_text(&query, report->owner);
    pg_query_put_int(&query, report->attempt);
    pg_query_put_int(&query, report->revision);
    pg_query_put_text(&query, report->progress);
    pg_query_put_text(&query, report->history);
    return query;
}

static enum err renew(struct job_store *base, const struct job_report *report,
                      int64_t lease_until_ms, bool *is_held, bool *is_cancel_requested,
                      struct error *err)
{
    struct pg_query query = open_report(base, WRITE_RENEW, report);
    int64_t flag = 0;
    enum err rc;

    pg_query_put_int(&query, lease_until_ms);
    rc = run_flag(&query, is_held, &flag, err);
    *is_cancel_requested = flag != 0;
    return rc;
}

static enum err end(struct job_store *base, const struct job_report *report, enum job_state state,
                    const char *result, const char *error, int64_t ended_ms, bool *is_held,
                    struct error *err)
{
    struct pg_query query = open_report(base, WRITE_END, report);

    pg_query_put_text(&query, job_state_name(state));
    pg_query_put_text(&query, result);
    pg_query_put_text(&query, error);
    pg_query_put_int(&query, ended_ms);
    return run_flag(&query, is_held, NULL, err);
}

static enum err requeue(struct job_store *base, const struct job_report *report,
                        int64_t not_before_ms, const char *error, bool is_failure, bool *is_held,
                        struct error *err)
{
    struct pg_query query = open_report(base, WRITE_REQUEUE, report);

    pg_query_put_int(&query, not_before_ms);
    pg_query_put_text(&query, error);
    pg_query_put_int(&query, is_failure);
    return run_flag(&query, is_held, NULL, err);
}

/* After the database was away, leases have run out of jobs that run nonetheless: whoever holds them
 * is given the time to say so. */
static enum err adopt(struct job_store *base, const struct job_lease *lease, bool *is_found,
                      struct job *out, struct error *err)
{
    const struct pg_job_store *store = (const struct pg_job_store *)base;
    int64_t grace_ms = (lease->until_ms - lease->now_ms) / 2;
    struct pg_query query;

    *is_found = false;
    if (store->reconnected_ms != 0 && monotonic_ms() < store->reconnected_ms + grace_ms) {
        return ERR_OK;
    }
    query = open_query(base, WRITE_ADOPT);
    pg_query_put_int(&query, lease->now_ms);
    pg_query_put_text(&query, lease->owner);
    pg_query_put_int(&query, lease->until_ms);
    return run_job(&query, is_found, out, err);
}

/* ---- changes from outside -------------------------------------------------------------------- */

static enum err cancel(struct job_store *base, const char *id, int64_t ended_ms, bool *is_found,
                       struct job *out, struct error *err)
{
    struct pg_query query = open_query(base, WRITE_CANCEL);
    enum err rc;

    pg_query_put_text(&query, id);
    pg_query_put_int(&query, ended_ms);
    rc = run_job(&query, is_found, out, err);
    if (rc == ERR_OK && !*is_found) {
        query = open_query(base, WRITE_GET);
        pg_query_put_text(&query, id);
        rc = run_job(&query, is_found, out, err);
    }
    return rc;
}

static enum err remove_ended(struct job_store *base, const char *id, bool *is_removed,
                             struct error *err)
{
    struct pg_query query = open_query(base, WRITE_REMOVE);

    pg_query_put_text(&query, id);
    return run_flag(&query, is_removed, NULL, err);
}

static enum err forget(struct job_store *base, const char *id, struct error *err)
{
    struct pg_query query = open_query(base, WRITE_FORGET);
    bool has_row;

    pg_query_put_text(&query, id);
    return run_flag(&query, &has_row, NULL, err);
}

static enum err end_overdue(struct job_store *base, int64_t at_ms, size_t limit,
                            char (*ids)[JOB_ID_BYTES], size_t *n, struct error *err)
{
    struct pg_query query = open_query(base, WRITE_END_OVERDUE);
    enum err rc;

    *n = 0;
    pg_query_put_int(&query, at_ms);
    pg_query_put_int(&query, (int64_t)limit);
    rc = pg_query_run(&query, err);
    for (int row = 0; rc == ERR_OK && row < pg_query_n_rows(&query); row++) {
        const char *id = pg_query_text(&query, row, 0);
        if (*n < limit && id != NULL) {
            (void)snprintf(ids[(*n)++], JOB_ID_BYTES, "%s", id);
        }
    }
    pg_query_close(&query);
    return rc;
}

/* ---- news ------------------------------------------------------------------------------------ */

static void follow(struct job_store *base, job_news_fn *tell, void *context)
{
    struct pg_job_store *store = (struct pg_job_store *)base;

    (void)pthread_mutex_lock(&store->news_lock);
    store->tell = tell;
    store->context = context;
    (void)pthread_mutex_unlock(&store->news_lock);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void close_store(struct job_store *base)
{
    struct pg_job_store *store = (struct pg_job_store *)base;

    pg_job_tender_stop(store);
    for (size_t i = 0; i < PG_N_READERS; i++) {
        postgres_close(&store->readers[i]);
    }
    postgres_close(&store->listener);
    postgres_close(&store->writer);
    (void)pthread_cond_destroy(&store->has_reader);
    (void)pthread_mutex_destroy(&store->news_lock);
    (void)pthread_mutex_destroy(&store->lock);
    mem_free(store->uri);
    mem_free(store);
}

static const struct job_store_kind postgres_kind = {
    .is_server = true,
    .close = close_store,
    .now_ms = now_ms,
    .follow = follow,
    .begin = begin,
    .commit = commit,
    .rollback = rollback,
    .probe = probe,
    .submit = submit,
    .claim = claim,
    .renew = renew,
    .end = end,
    .requeue = requeue,
    .cancel = cancel,
    .remove = remove_ended,
    .forget = forget,
    .end_overdue = end_overdue,
    .adopt = adopt,
    .get = pg_job_get,
    .history = pg_job_history,
    .list = pg_job_list,
    .list_expired = pg_job_list_expired,
    .list_removed = pg_job_list_removed,
    .count = pg_job_count,
};

/* The names of processes are never the same: 128 bits of chance. */
static enum err draw_owner(struct pg_job_store *store, struct error *err)
{
    uint64_t drawn[2];

    if (getrandom(drawn, sizeof drawn, 0) != (ssize_t)sizeof drawn) {
        return error_set(err, ERR_IO, "the system has no random bytes to give");
    }
    (void)snprintf(store->owner, sizeof store->owner, "%016" PRIx64 "%016" PRIx64, drawn[0],
                   drawn[1]);
    return ERR_OK;
}

/* A database that is away is no reason not to open: it is looked for from now on. */
static enum err connect_all(struct pg_job_store *store, struct error *err)
{
    struct error why = {0};
    enum err rc = connect_writer(store, &why);

    if (rc == ERR_OK) {
        rc = try_begin(store, &why); /* which tells the server's clock */
        postgres_rollback(&store->writer);
    }
    for (size_t i = 0; rc == ERR_OK && i < PG_N_READERS; i++) {
        rc = postgres_open(&store->readers[i], &pg_job_schema, pg_job_read_sql, pg_job_n_read_sql,
                           &why);
        store->states[i] = rc == ERR_OK ? PG_READER_IDLE : PG_READER_AWAY;
    }
    if (rc == ERR_IO) {
        pg_job_set_away(store, &why);
        return ERR_OK;
    }
    if (rc != ERR_OK && err != NULL) {
        *err = why;
    }
    return rc;
}

static void init_connections(struct pg_job_store *store)
{
    const struct pg_db blank = {.what = "job store", .uri = store->uri, .limit_ms = PG_READ_MS};

    for (size_t i = 0; i < PG_N_READERS; i++) {
        store->readers[i] = blank;
    }
    store->writer = blank;
    store->writer.limit_ms = PG_WRITE_MS;
    store->writer.is_writer = true;
    store->listener = blank;
}

static enum err open_all(struct pg_job_store *store, const char *uri, struct error *err)
{
    enum err rc = postgres_check_uri(uri, err);

    store->uri = mem_strdup(uri);
    if (rc == ERR_OK && store->uri == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for the job store");
    }
    if (rc != ERR_OK) {
        return rc;
    }
    init_connections(store);
    atomic_store(&store->offset_ms, realtime_ms() - monotonic_ms()); /* until the server tells */
    rc = draw_owner(store, err);
    rc = rc == ERR_OK ? connect_all(store, err) : rc;
    return rc == ERR_OK ? pg_job_tender_start(store, err) : rc;
}

enum err job_store_postgres_open(const char *uri, struct job_store **out, char *owner,
                                 struct error *err)
{
    struct pg_job_store *store = mem_calloc(1, sizeof *store);
    pthread_condattr_t attributes;
    enum err rc;

    if (store == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the job store");
    }
    store->base.kind = &postgres_kind;
    store->wake_fd = -1;
    (void)pthread_mutex_init(&store->lock, NULL); /* these cannot fail on Linux */
    (void)pthread_mutex_init(&store->news_lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&store->has_reader, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    rc = open_all(store, uri, err);
    if (rc != ERR_OK) {
        close_store(&store->base);
        return rc;
    }
    (void)snprintf(owner, JOB_OWNER_BYTES, "%s", store->owner);
    *out = &store->base;
    return ERR_OK;
}

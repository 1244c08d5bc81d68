/* The job store in PostgreSQL: opening it, and what it does in a way of its own. */
#include "server/job_store_postgres.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/mem.h"
#include "server/clock.h"

/* ---- transactions ---------------------------------------------------------------------------- */

/* Each session that writes counts in a stripe of its own as long as there are enough of them. */
static const char take_stripe[] =
    "SELECT 1 FROM set_config('dgld.stripe', coalesce((SELECT i FROM generate_series(0, 255) AS i"
    " WHERE pg_try_advisory_lock(hashtext('dgld.stripe'), i) LIMIT 1), -1)::text, false)";

static enum err connect_writer(struct pg_job_store *store, struct error *err)
{
    enum err rc =
        postgres_open(&store->writer, &pg_job_schema, pg_job_write_sql, PG_JOB_N_WRITES, err);

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

/* ---- submission ------------------------------------------------------------------------------ */

/* What PG_JOB_SUBMIT says. `is_settled` is false where another replica has just written a job of the
 * key, which the statement could not see. */
static enum err read_answer(const struct job_query *query, const struct job_draft *draft,
                            bool *is_settled, enum submit_result *result, struct job *out,
                            struct error *err)
{
    *is_settled = true;
    if (job_query_text(query, JOB_AT_ID) == NULL) {
        *result = SUBMIT_QUEUE_FULL;
        *is_settled = job_query_int(query, PG_AT_N_QUEUED) >= (int64_t)draft->queue_max;
        return ERR_OK;
    }
    if (job_query_int(query, PG_AT_IS_NEW) != 0) {
        *result = SUBMIT_CREATED;
        return job_query_read_job(query, out, err);
    }
    return job_query_read_known(query, draft, result, out, err);
}

static enum err try_submit(struct job_store *base, const struct job_draft *draft, bool *is_settled,
                           enum submit_result *result, struct job *out, struct error *err)
{
    struct job_query *query = pg_job_open_write(base, PG_JOB_SUBMIT);
    bool has_row = false;
    enum err rc;

    job_query_put_draft(query, draft);
    job_query_put_int(query, (int64_t)draft->queue_max);
    rc = job_query_step(query, &has_row, err);
    if (rc == ERR_OK) {
        rc = read_answer(query, draft, is_settled, result, out, err);
    }
    job_query_close(query);
    return rc;
}

/* Another replica's job of the same key, which was not there yet when the statement began. */
static enum err find_key(struct job_store *base, const struct job_draft *draft, bool *is_settled,
                         enum submit_result *result, struct job *out, struct error *err)
{
    struct job_query *query = pg_job_open_write(base, PG_JOB_FIND_KEY);
    enum err rc;

    job_query_put_text(query, draft->client);
    job_query_put_text(query, draft->key);
    rc = job_query_step(query, is_settled, err);
    if (rc == ERR_OK && *is_settled) {
        rc = job_query_read_known(query, draft, result, out, err);
    }
    job_query_close(query);
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

/* ---- jobs whose runner is gone --------------------------------------------------------------- */

/* After the database was away, leases have run out of jobs that run nonetheless: whoever holds them
 * is given the time to say so. */
static enum err adopt(struct job_store *base, const struct job_lease *lease, bool *is_found,
                      struct job *out, struct error *err)
{
    const struct pg_job_store *store = (const struct pg_job_store *)base;
    int64_t grace_ms = (lease->until_ms - lease->now_ms) / 2;
    struct job_query *query;

    *is_found = false;
    if (store->reconnected_ms != 0 && monotonic_ms() < store->reconnected_ms + grace_ms) {
        return ERR_OK;
    }
    query = pg_job_open_write(base, PG_JOB_ADOPT);
    job_query_put_int(query, lease->now_ms);
    job_query_put_text(query, lease->owner);
    job_query_put_int(query, lease->until_ms);
    return job_query_run_job(query, is_found, out, err);
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
    for (size_t i = 0; i < JOB_N_READERS; i++) {
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
    .submit = submit,
    .adopt = adopt,
    .open_write = pg_job_open_write,
    .open_read = pg_job_open_read,
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
    for (size_t i = 0; rc == ERR_OK && i < JOB_N_READERS; i++) {
        rc = postgres_open(&store->readers[i], &pg_job_schema, pg_job_read_sql, JOB_N_READS, &why);
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

    for (size_t i = 0; i < JOB_N_READERS; i++) {
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

/* What is read from the job store, on connections of its own: readers do not wait for the writer's
 * disk. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "server/job_store_postgres.h"

/* ---- rows ------------------------------------------------------------------------------------ */

/* Copies a text that fits, as everything that we wrote does. */
static bool read_name(const struct pg_query *query, int row, int column, char *out, size_t size)
{
    const char *text = pg_query_text(query, row, column);

    if (text == NULL || strlen(text) >= size) {
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool read_names(const struct pg_query *query, int row, int at, struct job *out)
{
    const char *kind = pg_query_text(query, row, at + 2);
    const char *state = pg_query_text(query, row, at + 4);

    return kind != NULL && state != NULL && job_kind_find(kind, &out->kind) &&
           job_state_find(state, &out->state) &&
           read_name(query, row, at + 1, out->id, sizeof out->id) &&
           read_name(query, row, at + 3, out->space, sizeof out->space);
}

enum err pg_job_read(const struct pg_query *query, int row, int column, struct job *out,
                     struct error *err)
{
    struct job job = {0};
    char **const texts[] = {&job.params, &job.progress, &job.result, &job.error};
    enum err rc = ERR_OK;

    if (!read_names(query, row, column, &job)) {
        return postgres_damaged(query->db, err, "a job is not as it was written");
    }
    job.seq = pg_query_int(query, row, column);
    job.priority = (int)pg_query_int(query, row, column + 5);
    job.attempt = (int)pg_query_int(query, row, column + 6);
    job.n_failures = (int)pg_query_int(query, row, column + 7);
    job.is_cancel_requested = pg_query_int(query, row, column + 8) != 0;
    job.submitted_ms = pg_query_int(query, row, column + 9);
    job.started_ms = pg_query_int(query, row, column + 10);
    job.ended_ms = pg_query_int(query, row, column + 11);
    job.deadline_ms = pg_query_int(query, row, column + 12);
    job.revision = pg_query_int(query, row, column + 13);
    for (int i = 0; i < 4 && rc == ERR_OK; i++) {
        rc = pg_query_copy_text(query, row, column + 14 + i, texts[i], err);
    }
    if (rc != ERR_OK) {
        job_close(&job);
        return rc;
    }
    *out = job;
    return ERR_OK;
}

/* ---- statements ------------------------------------------------------------------------------ */

#define LIST(filter) \
    "SELECT " PG_JOB_COLUMNS " FROM dgld.jobs WHERE " filter " ORDER BY seq DESC LIMIT "

enum { BY_STATE = 1, BY_KIND = 2, BY_SPACE = 4, N_LISTS = 8 };
enum {
    READ_LIST,
    READ_GET = READ_LIST + N_LISTS,
    READ_HISTORY,
    READ_EXPIRED,
    READ_REMOVED,
    READ_COUNTS,
    N_READ_SQL
};

const char *const pg_job_read_sql[] = {
    [READ_LIST] = LIST("seq < $1") "$2",
    [READ_LIST + BY_STATE] = LIST("state = $1 AND seq < $2") "$3",
    [READ_LIST + BY_KIND] = LIST("kind = $1 AND seq < $2") "$3",
    [READ_LIST + BY_STATE + BY_KIND] = LIST("state = $1 AND kind = $2 AND seq < $3") "$4",
    [READ_LIST + BY_SPACE] = LIST("space = $1 AND seq < $2") "$3",
    [READ_LIST + BY_STATE + BY_SPACE] = LIST("state = $1 AND space = $2 AND seq < $3") "$4",
    [READ_LIST + BY_KIND + BY_SPACE] = LIST("kind = $1 AND space = $2 AND seq < $3") "$4",
    [READ_LIST + BY_STATE + BY_KIND + BY_SPACE] =
        LIST("state = $1 AND kind = $2 AND space = $3 AND seq < $4") "$5",
    [READ_GET] = "SELECT " PG_JOB_COLUMNS " FROM dgld.jobs WHERE id = $1",
    [READ_HISTORY] = "SELECT history FROM dgld.jobs WHERE id = $1",
    /* the oldest of those that ended, as many as are too old or too many, whichever is more */
    [READ_EXPIRED] = "SELECT " PG_JOB_COLUMNS " FROM dgld.jobs WHERE ended_ms > 0"
                     " ORDER BY ended_ms, seq LIMIT least($1::bigint, greatest("
                     "  (SELECT count(*) FROM (SELECT 1 FROM dgld.jobs"
                     "    WHERE ended_ms > 0 AND ended_ms < $2 LIMIT $1::bigint) AS old),"
                     "  (SELECT coalesce(sum(n), 0)::bigint FROM dgld.job_counts"
                     "    WHERE state IN ('succeeded', 'failed', 'cancelled')) - $3::bigint))",
    [READ_REMOVED] = "SELECT id, space FROM dgld.removed_jobs LIMIT $1",
    [READ_COUNTS] = "SELECT state, kind, sum(n) FROM dgld.job_counts GROUP BY state, kind",
};
const size_t pg_job_n_read_sql = N_READ_SQL;

/* ---- connections ----------------------------------------------------------------------------- */

/* The number of a connection that nobody uses, or PG_N_READERS. The lock is held. */
static size_t find_idle(const struct pg_job_store *store, bool *is_any_lent)
{
    size_t found = PG_N_READERS;

    *is_any_lent = false;
    for (size_t i = 0; i < PG_N_READERS; i++) {
        *is_any_lent |= store->states[i] == PG_READER_LENT;
        if (store->states[i] == PG_READER_IDLE) {
            found = i;
        }
    }
    return found;
}

/* Takes a connection. The lock is held. */
static enum err take_idle(struct pg_job_store *store, const struct timespec *until, size_t *out,
                          struct error *err)
{
    bool is_any_lent;

    while (!store->is_away && (*out = find_idle(store, &is_any_lent)) == PG_N_READERS) {
        if (!is_any_lent) {
            return error_set(
                err, ERR_IO,
                "the job store in PostgreSQL cannot be used: it is being connected to");
        }
        if (pthread_cond_timedwait(&store->has_reader, &store->lock, until) == ETIMEDOUT) {
            return error_set(err, ERR_IO,
                             "the job store in PostgreSQL cannot be used: all %d connections were "
                             "busy for %d ms",
                             PG_N_READERS, PG_READ_MS);
        }
    }
    if (store->is_away) {
        if (err != NULL) {
            *err = store->failure;
        }
        return store->failure.code;
    }
    store->states[*out] = PG_READER_LENT;
    return ERR_OK;
}

/* A statement on a connection of its own, until give_back(). */
static enum err borrow(struct pg_job_store *store, size_t number, struct pg_query *out,
                       struct error *err)
{
    struct timespec until;
    size_t i = 0;
    enum err rc;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PG_READ_MS / 1000;
    (void)pthread_mutex_lock(&store->lock);
    rc = take_idle(store, &until, &i, err);
    (void)pthread_mutex_unlock(&store->lock);
    if (rc == ERR_OK) {
        *out = pg_query_open(&store->readers[i], number);
    }
    return rc;
}

static void give_back(struct pg_job_store *store, struct pg_query *query, const struct error *why)
{
    const struct pg_db *reader = query->db;
    bool is_open = postgres_is_open(reader);

    pg_query_close(query);
    (void)pthread_mutex_lock(&store->lock);
    store->states[reader - store->readers] = is_open ? PG_READER_IDLE : PG_READER_AWAY;
    (void)pthread_cond_signal(&store->has_reader);
    (void)pthread_mutex_unlock(&store->lock);
    if (!is_open) {
        pg_job_set_away(store, why);
    }
}

/* Runs a bound query; gives its connection back where that fails. */
static enum err run(struct pg_job_store *store, struct pg_query *query, struct error *err)
{
    struct error why = {0};
    enum err rc = pg_query_run(query, &why);

    if (rc != ERR_OK) {
        give_back(store, query, &why);
        if (err != NULL) {
            *err = why;
        }
    }
    return rc;
}

/* ---- questions ------------------------------------------------------------------------------- */

/* Asks about one job; a query that is found has its row, and is to be given back. */
static enum err ask_about(struct pg_job_store *store, size_t number, const char *id,
                          struct pg_query *query, struct error *err)
{
    enum err rc = borrow(store, number, query, err);

    if (rc != ERR_OK) {
        return rc;
    }
    pg_query_put_text(query, id);
    rc = run(store, query, err);
    if (rc == ERR_OK && pg_query_n_rows(query) == 0) {
        give_back(store, query, NULL);
        rc = error_set(err, ERR_NOT_FOUND, "there is no job %.64s", id);
    }
    return rc;
}

enum err pg_job_get(struct job_store *base, const char *id, struct job *out, struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    struct pg_query query;
    enum err rc = ask_about(store, READ_GET, id, &query, err);

    if (rc == ERR_OK) {
        rc = pg_job_read(&query, 0, 0, out, err);
        give_back(store, &query, NULL);
    }
    return rc;
}

enum err pg_job_history(struct job_store *base, const char *id, char **out, struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    struct pg_query query;
    enum err rc = ask_about(store, READ_HISTORY, id, &query, err);

    if (rc == ERR_OK) {
        rc = pg_query_copy_text(&query, 0, 0, out, err);
        give_back(store, &query, NULL);
    }
    return rc;
}

static enum err read_rows(const struct pg_query *query, struct job_list *out, struct error *err)
{
    size_t n = (size_t)pg_query_n_rows(query);
    enum err rc = ERR_OK;

    out->items = n > 0 ? mem_calloc(n, sizeof *out->items) : NULL;
    if (n > 0 && out->items == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a list of jobs");
    }
    for (; rc == ERR_OK && out->n < n; out->n += rc == ERR_OK) {
        rc = pg_job_read(query, (int)out->n, 0, &out->items[out->n], err);
    }
    return rc;
}

/* Runs a bound query to a list. */
static enum err list_rows(struct pg_job_store *store, struct pg_query *query, struct job_list *out,
                          struct error *err)
{
    struct job_list list = {0};
    enum err rc = run(store, query, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = read_rows(query, &list, err);
    give_back(store, query, NULL);
    if (rc != ERR_OK) {
        job_list_close(&list);
        return rc;
    }
    *out = list;
    return ERR_OK;
}

enum err pg_job_list(struct job_store *base, const struct job_filter *filter, struct job_list *out,
                     struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    unsigned number = READ_LIST;
    struct pg_query query;
    enum err rc;

    number += filter->has_state ? BY_STATE : 0U;
    number += filter->has_kind ? BY_KIND : 0U;
    number += filter->space != NULL ? BY_SPACE : 0U;
    rc = borrow(store, number, &query, err);
    if (rc != ERR_OK) {
        return rc;
    }
    if (filter->has_state) {
        pg_query_put_text(&query, job_state_name(filter->state));
    }
    if (filter->has_kind) {
        pg_query_put_text(&query, job_kind_name(filter->kind));
    }
    if (filter->space != NULL) {
        pg_query_put_text(&query, filter->space);
    }
    pg_query_put_int(&query, filter->before_seq > 0 ? filter->before_seq : INT64_MAX);
    pg_query_put_int(&query, (int64_t)filter->limit + 1); /* one more tells that there are more */
    rc = list_rows(store, &query, out, err);
    if (rc == ERR_OK && out->n > filter->limit) {
        out->n = filter->limit;
        job_close(&out->items[out->n]);
        out->next_seq = out->n > 0 ? out->items[out->n - 1].seq : filter->before_seq;
    }
    return rc;
}

enum err pg_job_list_expired(struct job_store *base, int64_t ended_before_ms, size_t keep_max,
                             size_t limit, struct job_list *out, struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    struct pg_query query;
    enum err rc = borrow(store, READ_EXPIRED, &query, err);

    if (rc != ERR_OK) {
        return rc;
    }
    pg_query_put_int(&query, (int64_t)limit);
    pg_query_put_int(&query, ended_before_ms);
    pg_query_put_int(&query, (int64_t)keep_max);
    return list_rows(store, &query, out, err);
}

enum err pg_job_list_removed(struct job_store *base, size_t limit, struct job_trace *out, size_t *n,
                             struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    struct pg_query query;
    enum err rc = borrow(store, READ_REMOVED, &query, err);

    if (rc != ERR_OK) {
        return rc;
    }
    pg_query_put_int(&query, (int64_t)limit);
    rc = run(store, &query, err);
    if (rc != ERR_OK) {
        return rc;
    }
    *n = 0;
    for (int row = 0; row < pg_query_n_rows(&query) && *n < limit; row++) {
        *n += read_name(&query, row, 0, out[*n].id, sizeof out->id) &&
              read_name(&query, row, 1, out[*n].space, sizeof out->space);
    }
    give_back(store, &query, NULL);
    return ERR_OK;
}

enum err pg_job_count(struct job_store *base, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                      struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    struct pg_query query;
    enum err rc = borrow(store, READ_COUNTS, &query, err);

    rc = rc == ERR_OK ? run(store, &query, err) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    memset(counts, 0, sizeof(size_t[JOB_N_KINDS][JOB_N_STATES]));
    for (int row = 0; row < pg_query_n_rows(&query); row++) {
        const char *state = pg_query_text(&query, row, 0);
        const char *kind = pg_query_text(&query, row, 1);
        int64_t n = pg_query_int(&query, row, 2);
        enum job_state s;
        enum job_kind k;
        if (state != NULL && kind != NULL && job_state_find(state, &s) && job_kind_find(kind, &k)) {
            counts[k][s] = n > 0 ? (size_t)n : 0;
        }
    }
    give_back(store, &query, NULL);
    return ERR_OK;
}

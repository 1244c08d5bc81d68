/* Running the job store's statements in PostgreSQL. Who reads does so on connections of its own,
 * which are lent to threads in turn: readers do not wait for the writer's disk. */
#include <errno.h>
#include <time.h>

#include "server/job_store_postgres.h"

/* ---- connections ----------------------------------------------------------------------------- */

/* The number of a connection that nobody uses, or JOB_N_READERS. The lock is held. */
static size_t find_idle(const struct pg_job_store *store, bool *is_any_lent)
{
    size_t found = JOB_N_READERS;

    *is_any_lent = false;
    for (size_t i = 0; i < JOB_N_READERS; i++) {
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

    while (!store->is_away && (*out = find_idle(store, &is_any_lent)) == JOB_N_READERS) {
        if (!is_any_lent) {
            return error_set(
                err, ERR_IO,
                "the job store in PostgreSQL cannot be used: it is being connected to");
        }
        if (pthread_cond_timedwait(&store->has_reader, &store->lock, until) == ETIMEDOUT) {
            return error_set(err, ERR_IO,
                             "the job store in PostgreSQL cannot be used: all %d connections were "
                             "busy for %d ms",
                             JOB_N_READERS, PG_READ_MS);
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

/* The number of a connection that is the caller's until give_back(). */
static enum err borrow(struct pg_job_store *store, size_t *out, struct error *err)
{
    struct timespec until;
    enum err rc;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PG_READ_MS / 1000;
    (void)pthread_mutex_lock(&store->lock);
    rc = take_idle(store, &until, out, err);
    (void)pthread_mutex_unlock(&store->lock);
    return rc;
}

/* `why` is what has become of the connection where it was lost. */
static void give_back(struct pg_job_store *store, size_t i, const struct error *why)
{
    bool is_open = postgres_is_open(&store->readers[i]);

    (void)pthread_mutex_lock(&store->lock);
    store->states[i] = is_open ? PG_READER_IDLE : PG_READER_AWAY;
    (void)pthread_cond_signal(&store->has_reader);
    (void)pthread_mutex_unlock(&store->lock);
    if (!is_open) {
        pg_job_set_away(store, why);
    }
}

/* ---- statements ------------------------------------------------------------------------------ */

static void put_int(struct job_query *base, int64_t value)
{
    pg_query_put_int(&((struct pg_job_query *)base)->query, value);
}

static void put_text(struct job_query *base, const char *text)
{
    pg_query_put_text(&((struct pg_job_query *)base)->query, text);
}

/* All rows come at once, with the first step. */
static enum err step(struct job_query *base, bool *has_row, struct error *err)
{
    struct pg_job_query *query = (struct pg_job_query *)base;
    enum err rc = ERR_OK;

    *has_row = false;
    if (query->row < 0) {
        rc = pg_query_run(&query->query, &query->why);
    }
    if (rc != ERR_OK) {
        if (err != NULL) {
            *err = query->why;
        }
        return rc;
    }
    query->row++;
    *has_row = query->row < pg_query_n_rows(&query->query);
    return ERR_OK;
}

static int64_t get_int(const struct job_query *base, int column)
{
    const struct pg_job_query *query = (const struct pg_job_query *)base;

    return pg_query_int(&query->query, query->row, column);
}

static const char *get_text(const struct job_query *base, int column)
{
    const struct pg_job_query *query = (const struct pg_job_query *)base;

    return pg_query_text(&query->query, query->row, column);
}

static enum err copy_text(const struct job_query *base, int column, char **out, struct error *err)
{
    const struct pg_job_query *query = (const struct pg_job_query *)base;

    return pg_query_copy_text(&query->query, query->row, column, out, err);
}

static enum err damaged(const struct job_query *base, struct error *err, const char *how)
{
    return postgres_damaged(((const struct pg_job_query *)base)->query.db, err, how);
}

static void close_query(struct job_query *base)
{
    struct pg_job_query *query = (struct pg_job_query *)base;
    struct pg_job_store *store = query->store;

    pg_query_close(&query->query);
    if (query != &store->writing) {
        struct error why = query->why; /* what is given back is another's at once */
        give_back(store, (size_t)(query - store->reading), &why);
    }
}

static const struct job_query_kind kind = {
    .put_int = put_int,
    .put_text = put_text,
    .step = step,
    .get_int = get_int,
    .get_text = get_text,
    .copy_text = copy_text,
    .damaged = damaged,
    .close = close_query,
};

static struct job_query *begin(struct pg_job_query *query, struct pg_job_store *store,
                               struct pg_db *db, size_t number)
{
    *query = (struct pg_job_query){
        .base = {&kind}, .store = store, .query = pg_query_open(db, number), .row = -1};
    return &query->base;
}

struct job_query *pg_job_open_write(struct job_store *base, size_t number)
{
    struct pg_job_store *store = (struct pg_job_store *)base;

    return begin(&store->writing, store, &store->writer, number);
}

enum err pg_job_open_read(struct job_store *base, size_t number, struct job_query **out,
                          struct error *err)
{
    struct pg_job_store *store = (struct pg_job_store *)base;
    size_t i = 0;
    enum err rc = borrow(store, &i, err);

    if (rc == ERR_OK) {
        *out = begin(&store->reading[i], store, &store->readers[i], number);
    }
    return rc;
}

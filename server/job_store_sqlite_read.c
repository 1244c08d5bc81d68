/* What is read from the job store in SQLite, on connections of its own: readers do not wait for the
 * writer's disk. */
#include <string.h>

#include "core/mem.h"
#include "server/job_store_sqlite.h"

/* ---- rows ------------------------------------------------------------------------------------ */

/* Copies a text that fits, as everything that we wrote does. */
static bool read_name(const struct query *query, int column, char *out, size_t size)
{
    const char *text = query_text(query, column);

    if (text == NULL || strlen(text) >= size) {
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool read_names(const struct query *query, struct job *out)
{
    const char *kind = query_text(query, 2);
    const char *state = query_text(query, 4);

    return kind != NULL && state != NULL && job_kind_find(kind, &out->kind) &&
           job_state_find(state, &out->state) && read_name(query, 1, out->id, sizeof out->id) &&
           read_name(query, 3, out->space, sizeof out->space);
}

enum err job_row_read(const struct query *query, struct job *out, struct error *err)
{
    struct job job = {0};
    char **const texts[] = {&job.params, &job.progress, &job.result, &job.error};
    enum err rc = ERR_OK;

    if (!read_names(query, &job)) {
        return sqlite_damaged(query->db, err, "a job is not as it was written");
    }
    job.seq = query_int(query, 0);
    job.priority = (int)query_int(query, 5);
    job.attempt = (int)query_int(query, 6);
    job.n_failures = (int)query_int(query, 7);
    job.is_cancel_requested = query_int(query, 8) != 0;
    job.submitted_ms = query_int(query, 9);
    job.started_ms = query_int(query, 10);
    job.ended_ms = query_int(query, 11);
    job.deadline_ms = query_int(query, 12);
    job.revision = query_int(query, 13);
    for (int i = 0; i < 4 && rc == ERR_OK; i++) {
        rc = query_copy_text(query, 14 + i, texts[i], err);
    }
    if (rc != ERR_OK) {
        job_close(&job);
        return rc;
    }
    *out = job;
    return ERR_OK;
}

/* Reads the rows of a query until `is_wanted` says otherwise, at most `limit`. */
static enum err read_rows(struct query *query, size_t limit, struct job_list *out,
                          struct error *err)
{
    size_t capacity = 0;

    for (bool has_row = true; out->n < limit;) {
        enum err rc = query_step(query, &has_row, err);
        if (rc != ERR_OK || !has_row) {
            return rc;
        }
        if (out->n == capacity) {
            size_t grown = capacity == 0 ? 16 : 2 * capacity;
            struct job *items = mem_resize(out->items, grown, sizeof *items);
            if (items == NULL) {
                return error_set(err, ERR_NOMEM, "no memory for a list of jobs");
            }
            out->items = items;
            capacity = grown;
        }
        rc = job_row_read(query, &out->items[out->n], err);
        if (rc != ERR_OK) {
            return rc;
        }
        out->n++;
    }
    return ERR_OK;
}

/* ---- statements ------------------------------------------------------------------------------ */

#define LIST(index, filter) \
    "SELECT " JOB_COLUMNS " FROM jobs " index " WHERE " filter "seq < ? ORDER BY seq DESC LIMIT ?"

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

const char *const job_store_sqlite_read_sql[] = {
    [READ_LIST] = LIST("", ""),
    [READ_LIST + BY_STATE] = LIST("INDEXED BY jobs_list_s", "state = ? AND "),
    [READ_LIST + BY_KIND] = LIST("INDEXED BY jobs_list_k", "kind = ? AND "),
    [READ_LIST + BY_STATE + BY_KIND] =
        LIST("INDEXED BY jobs_list_sk", "state = ? AND kind = ? AND "),
    [READ_LIST + BY_SPACE] = LIST("INDEXED BY jobs_list_p", "space = ? AND "),
    [READ_LIST + BY_STATE + BY_SPACE] =
        LIST("INDEXED BY jobs_list_sp", "state = ? AND space = ? AND "),
    [READ_LIST + BY_KIND + BY_SPACE] =
        LIST("INDEXED BY jobs_list_kp", "kind = ? AND space = ? AND "),
    [READ_LIST + BY_STATE + BY_KIND + BY_SPACE] =
        LIST("INDEXED BY jobs_list_skp", "state = ? AND kind = ? AND space = ? AND "),
    [READ_GET] = "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?",
    [READ_HISTORY] = "SELECT history FROM jobs WHERE id = ?",
    /* the oldest of those that ended, as many as are too old or too many, whichever is more */
    [READ_EXPIRED] = "SELECT " JOB_COLUMNS " FROM jobs INDEXED BY jobs_ended WHERE ended_ms > 0"
                     " ORDER BY ended_ms, seq LIMIT min(?1, max("
                     "  (SELECT count(*) FROM (SELECT 1 FROM jobs INDEXED BY jobs_ended"
                     "    WHERE ended_ms > 0 AND ended_ms < ?2 LIMIT ?1)),"
                     "  (SELECT coalesce(sum(n), 0) FROM job_counts"
                     "    WHERE state IN ('succeeded', 'failed', 'cancelled')) - ?3))",
    [READ_REMOVED] = "SELECT id, space FROM removed_jobs LIMIT ?",
    [READ_COUNTS] = "SELECT state, kind, n FROM job_counts",
};
const size_t job_store_sqlite_n_read_sql = N_READ_SQL;

/* ---- connections ----------------------------------------------------------------------------- */

static struct sqlite_db *borrow(struct sqlite_job_store *store)
{
    size_t i;

    (void)pthread_mutex_lock(&store->lock);
    for (;;) {
        for (i = 0; i < JOB_N_READERS && store->is_lent[i]; i++) {
        }
        if (i < JOB_N_READERS) {
            break;
        }
        (void)pthread_cond_wait(&store->has_reader, &store->lock);
    }
    store->is_lent[i] = true;
    (void)pthread_mutex_unlock(&store->lock);
    return &store->readers[i];
}

static void give_back(struct sqlite_job_store *store, const struct sqlite_db *reader)
{
    (void)pthread_mutex_lock(&store->lock);
    store->is_lent[reader - store->readers] = false;
    (void)pthread_cond_signal(&store->has_reader);
    (void)pthread_mutex_unlock(&store->lock);
}

/* ---- questions ------------------------------------------------------------------------------- */

enum err job_store_sqlite_get(struct job_store *base, const char *id, struct job *out,
                              struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    struct sqlite_db *db = borrow(store);
    struct query query = query_open(db, READ_GET);
    bool is_found = false;
    enum err rc;

    query_put_text(&query, id);
    rc = query_step(&query, &is_found, err);
    if (rc == ERR_OK) {
        rc = is_found ? job_row_read(&query, out, err)
                      : error_set(err, ERR_NOT_FOUND, "there is no job %.64s", id);
    }
    query_close(&query);
    give_back(store, db);
    return rc;
}

enum err job_store_sqlite_history(struct job_store *base, const char *id, char **out,
                                  struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    struct sqlite_db *db = borrow(store);
    struct query query = query_open(db, READ_HISTORY);
    bool is_found = false;
    enum err rc;

    query_put_text(&query, id);
    rc = query_step(&query, &is_found, err);
    if (rc == ERR_OK) {
        rc = is_found ? query_copy_text(&query, 0, out, err)
                      : error_set(err, ERR_NOT_FOUND, "there is no job %.64s", id);
    }
    query_close(&query);
    give_back(store, db);
    return rc;
}

/* Runs a bound query to a list. */
static enum err list_rows(struct sqlite_job_store *store, struct query *query, size_t limit,
                          struct job_list *out, struct error *err)
{
    struct job_list list = {0};
    enum err rc = read_rows(query, limit, &list, err);

    query_close(query);
    give_back(store, query->db);
    if (rc != ERR_OK) {
        job_list_close(&list);
        return rc;
    }
    *out = list;
    return ERR_OK;
}

enum err job_store_sqlite_list(struct job_store *base, const struct job_filter *filter,
                               struct job_list *out, struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    unsigned number = READ_LIST;
    struct query query;
    enum err rc;

    number += filter->has_state ? BY_STATE : 0U;
    number += filter->has_kind ? BY_KIND : 0U;
    number += filter->space != NULL ? BY_SPACE : 0U;
    query = query_open(borrow(store), number);
    if (filter->has_state) {
        query_put_text(&query, job_state_name(filter->state));
    }
    if (filter->has_kind) {
        query_put_text(&query, job_kind_name(filter->kind));
    }
    if (filter->space != NULL) {
        query_put_text(&query, filter->space);
    }
    query_put_int(&query, filter->before_seq > 0 ? filter->before_seq : INT64_MAX);
    query_put_int(&query, (int64_t)filter->limit + 1); /* one more tells that there are more */
    rc = list_rows(store, &query, filter->limit + 1, out, err);
    if (rc == ERR_OK && out->n > filter->limit) {
        out->n = filter->limit;
        job_close(&out->items[out->n]);
        out->next_seq = out->n > 0 ? out->items[out->n - 1].seq : filter->before_seq;
    }
    return rc;
}

enum err job_store_sqlite_list_expired(struct job_store *base, int64_t ended_before_ms,
                                       size_t keep_max, size_t limit, struct job_list *out,
                                       struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    struct query query = query_open(borrow(store), READ_EXPIRED);

    query_put_int(&query, (int64_t)limit);
    query_put_int(&query, ended_before_ms);
    query_put_int(&query, (int64_t)keep_max);
    return list_rows(store, &query, limit, out, err);
}

enum err job_store_sqlite_list_removed(struct job_store *base, size_t limit, struct job_trace *out,
                                       size_t *n, struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    struct sqlite_db *db = borrow(store);
    struct query query = query_open(db, READ_REMOVED);
    bool has_row = false;
    enum err rc;

    *n = 0;
    query_put_int(&query, (int64_t)limit);
    while ((rc = query_step(&query, &has_row, err)) == ERR_OK && has_row && *n < limit) {
        *n += read_name(&query, 0, out[*n].id, sizeof out->id) &&
              read_name(&query, 1, out[*n].space, sizeof out->space);
    }
    query_close(&query);
    give_back(store, db);
    return rc;
}

enum err job_store_sqlite_count(struct job_store *base, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                                struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    struct sqlite_db *db = borrow(store);
    struct query query = query_open(db, READ_COUNTS);
    bool has_row = false;
    enum err rc;

    memset(counts, 0, sizeof(size_t[JOB_N_KINDS][JOB_N_STATES]));
    while ((rc = query_step(&query, &has_row, err)) == ERR_OK && has_row) {
        const char *state = query_text(&query, 0);
        const char *kind = query_text(&query, 1);
        enum job_state s;
        enum job_kind k;
        if (state != NULL && kind != NULL && job_state_find(state, &s) && job_kind_find(kind, &k)) {
            counts[k][s] = (size_t)query_int(&query, 2);
        }
    }
    query_close(&query);
    give_back(store, db);
    return rc;
}

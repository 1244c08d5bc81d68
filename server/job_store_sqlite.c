/* The job store in SQLite: its connections, and what is written. */
#include "server/job_store_sqlite.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "server/clock.h"

/* ---- statements ------------------------------------------------------------------------------ */

enum {
    WRITE_FIND_KEY,
    WRITE_COUNT_QUEUED,
    WRITE_INSERT,
    WRITE_CLAIM,
    WRITE_RENEW,
    WRITE_END,
    WRITE_REQUEUE,
    WRITE_GET,
    WRITE_CANCEL_QUEUED,
    WRITE_CANCEL_RUNNING,
    WRITE_REMOVE,
    WRITE_FORGET,
    WRITE_END_OVERDUE,
    WRITE_LIST_RUNNING,
    WRITE_ADOPT,
    WRITE_PROBE,
    N_WRITE_SQL
};

/* A runner's job, where it is still its own. */
#define HELD " WHERE id = ?1 AND state = 'running' AND lease_owner = ?2 AND attempt = ?3"
/* The runner counts on from what was stored when it began; nobody else does meanwhile. */
#define REPORTED                                                            \
    " revision = max(revision + 1, ?4), progress = coalesce(?5, progress)," \
    " history = coalesce(?6, history)"
#define RELEASED " lease_owner = NULL, lease_until_ms = 0"

static const char *const write_sql[] = {
    [WRITE_FIND_KEY] = "SELECT " JOB_COLUMNS ", digest FROM jobs INDEXED BY jobs_by_key"
                       " WHERE client = ? AND key = ?",
    [WRITE_COUNT_QUEUED] = "SELECT coalesce(sum(n), 0) FROM job_counts WHERE state = 'queued'",
    [WRITE_INSERT] =
        "INSERT INTO jobs (id, kind, space, state, priority, submitted_ms, deadline_ms, params,"
        " client, key, digest) VALUES (?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)"
        " RETURNING " JOB_COLUMNS,
    [WRITE_CLAIM] =
        "UPDATE jobs SET state = 'running', attempt = attempt + 1,"
        " revision = (attempt + 1) << 32, started_ms = ?2, progress = NULL,"
        " lease_owner = ?3, lease_until_ms = ?4, not_before_ms = 0 WHERE seq ="
        "  (SELECT seq FROM jobs INDEXED BY jobs_to_claim WHERE state = 'queued' AND kind = ?1"
        /* nothing is put off for a minute: what seems to be is of a clock that was set back since */
        "    AND (not_before_ms <= ?2 OR not_before_ms > ?2 + 60000)"
        "    AND (deadline_ms = 0 OR deadline_ms > ?2)"
        "    ORDER BY priority DESC, seq LIMIT 1)"
        " RETURNING " JOB_COLUMNS,
    [WRITE_RENEW] =
        "UPDATE jobs SET revision = max(revision, ?4), progress = coalesce(?5, progress),"
        " history = coalesce(?6, history), lease_until_ms = ?7" HELD
        " RETURNING is_cancel_requested",
    [WRITE_END] = "UPDATE jobs SET" REPORTED "," RELEASED ", state = ?7, result = ?8, error = ?9,"
                  " ended_ms = ?10" HELD " RETURNING seq",
    /* whose end was asked for meanwhile waits no longer for whoever sees to it */
    [WRITE_REQUEUE] =
        "UPDATE jobs SET" REPORTED "," RELEASED ", state = 'queued', started_ms = 0,"
        " not_before_ms = iif(is_cancel_requested, 0, ?7), error = coalesce(?8, error),"
        " n_failures = n_failures + ?9" HELD " RETURNING seq",
    [WRITE_GET] = "SELECT " JOB_COLUMNS " FROM jobs WHERE id = ?",
    [WRITE_CANCEL_QUEUED] =
        "UPDATE jobs SET state = 'cancelled', is_cancel_requested = 1,"
        " revision = revision + 1, ended_ms = ?2 WHERE id = ?1 AND state = 'queued'"
        " RETURNING " JOB_COLUMNS,
    /* its revision is the runner's to count */
    [WRITE_CANCEL_RUNNING] =
        "UPDATE jobs SET is_cancel_requested = 1 WHERE id = ?1 AND state = 'running'"
        " RETURNING " JOB_COLUMNS,
    [WRITE_REMOVE] = "DELETE FROM jobs WHERE id = ? AND ended_ms > 0 RETURNING seq",
    [WRITE_FORGET] = "DELETE FROM removed_jobs WHERE id = ? RETURNING 1",
    [WRITE_END_OVERDUE] =
        "UPDATE jobs SET state = 'failed', revision = revision + 1, ended_ms = ?1,"
        " error = 'its deadline passed while it waited' ||"
        "  coalesce('; its last attempt: ' || error, '')"
        " WHERE seq IN (SELECT seq FROM jobs INDEXED BY jobs_overdue WHERE state = 'queued'"
        "  AND deadline_ms > 0 AND deadline_ms <= ?1 ORDER BY deadline_ms LIMIT ?2)"
        " RETURNING id",
    [WRITE_LIST_RUNNING] =
        "SELECT seq, lease_owner, lease_until_ms FROM jobs INDEXED BY jobs_running"
        " WHERE state = 'running' ORDER BY seq",
    [WRITE_ADOPT] = "UPDATE jobs SET lease_owner = ?2, lease_until_ms = ?3 WHERE seq = ?1"
                    " RETURNING " JOB_COLUMNS,
    [WRITE_PROBE] = "UPDATE probe SET n = n + 1",
};

/* ---- transactions ---------------------------------------------------------------------------- */

static struct sqlite_db *writer_of(struct job_store *base)
{
    return &((struct sqlite_job_store *)base)->writer;
}

static enum err begin(struct job_store *base, struct error *err)
{
    return sqlite_begin(writer_of(base), err);
}

static enum err commit(struct job_store *base, struct error *err)
{
    return sqlite_commit(writer_of(base), err);
}

static void rollback(struct job_store *base)
{
    sqlite_rollback(writer_of(base));
}

static enum err probe(struct job_store *base, struct error *err)
{
    struct query query = query_open(writer_of(base), WRITE_PROBE);
    bool has_row;

    return query_run(&query, &has_row, NULL, err);
}

static int64_t now_ms(struct job_store *base)
{
    (void)base;
    return realtime_ms();
}

/* Runs a bound query that gives one job, or none; closes it. */
static enum err run_job(struct query *query, bool *is_found, struct job *out, struct error *err)
{
    struct job job = {0};
    bool has_row = false, has_more = false;
    enum err rc = query_step(query, &has_row, err);

    if (rc == ERR_OK && has_row) {
        rc = job_row_read(query, &job, err);
        rc = rc == ERR_OK ? query_step(query, &has_more, err) : rc;
    }
    query_close(query);
    if (rc != ERR_OK) {
        job_close(&job);
        return rc;
    }
    *is_found = has_row;
    if (has_row) {
        *out = job;
    }
    return ERR_OK;
}

/* ---- submission ------------------------------------------------------------------------------ */

static enum err find_key(struct sqlite_db *db, const struct job_draft *draft, bool *is_found,
                         enum submit_result *result, struct job *out, struct error *err)
{
    struct query query = query_open(db, WRITE_FIND_KEY);
    enum err rc;

    query_put_text(&query, draft->client);
    query_put_text(&query, draft->key);
    rc = query_step(&query, is_found, err);
    if (rc == ERR_OK && *is_found) {
        const char *digest = query_text(&query, 18); /* after the job's columns */
        *result = digest != NULL && strcmp(digest, draft->digest) == 0 ? SUBMIT_REPEATED
                                                                       : SUBMIT_KEY_TAKEN;
        rc = *result == SUBMIT_REPEATED ? job_row_read(&query, out, err) : ERR_OK;
    }
    query_close(&query);
    return rc;
}

static enum err insert(struct sqlite_db *db, const struct job_draft *draft, struct job *out,
                       struct error *err)
{
    struct query query = query_open(db, WRITE_INSERT);
    bool has_row;

    query_put_text(&query, draft->id);
    query_put_text(&query, job_kind_name(draft->kind));
    query_put_text(&query, draft->space);
    query_put_int(&query, draft->priority);
    query_put_int(&query, draft->submitted_ms);
    query_put_int(&query, draft->deadline_ms);
    query_put_text(&query, draft->params);
    query_put_text(&query, draft->client);
    query_put_text(&query, draft->key);
    query_put_text(&query, draft->digest);
    return run_job(&query, &has_row, out, err);
}

static enum err submit(struct job_store *base, const struct job_draft *draft,
                       enum submit_result *result, struct job *out, struct error *err)
{
    struct sqlite_db *db = writer_of(base);
    struct query query = query_open(db, WRITE_COUNT_QUEUED);
    int64_t n_queued = 0;
    bool is_found = false;
    enum err rc = ERR_OK;

    if (draft->key != NULL) {
        rc = find_key(db, draft, &is_found, result, out, err);
    }
    if (rc != ERR_OK || is_found) {
        return rc;
    }
    rc = query_run(&query, &is_found, &n_queued, err);
    if (rc == ERR_OK && (size_t)n_queued >= draft->queue_max) {
        *result = SUBMIT_QUEUE_FULL;
        return ERR_OK;
    }
    rc = rc == ERR_OK ? insert(db, draft, out, err) : rc;
    if (rc == ERR_OK) {
        *result = SUBMIT_CREATED;
    }
    return rc;
}

/* ---- running --------------------------------------------------------------------------------- */

static enum err claim(struct job_store *base, const struct job_lease *lease,
                      const enum job_kind *kinds, size_t n_kinds, bool *is_found, struct job *out,
                      struct error *err)
{
    enum err rc = ERR_OK;

    *is_found = false;
    for (size_t i = 0; rc == ERR_OK && !*is_found && i < n_kinds; i++) {
        struct query query = query_open(writer_of(base), WRITE_CLAIM);
        query_put_text(&query, job_kind_name(kinds[i]));
        query_put_int(&query, lease->now_ms);
        query_put_text(&query, lease->owner);
        query_put_int(&query, lease->until_ms);
        rc = run_job(&query, is_found, out, err);
    }
    return rc;
}

/* The first six parameters of what a runner writes: HELD and what it tells. */
static struct query open_report(struct job_store *base, size_t number,
                                const struct job_report *report)
{
    struct query query = query_open(writer_of(base), number);

    query_put_text(&query, report->id);
    query_put_text(&query, report->owner);
    query_put_int(&query, report->attempt);
    query_put_int(&query, report->revision);
    query_put_text(&query, report->progress);
    query_put_text(&query, report->history);
    return query;
}

static enum err renew(struct job_store *base, const struct job_report *report,
                      int64_t lease_until_ms, bool *is_held, bool *is_cancel_requested,
                      struct error *err)
{
    struct query query = open_report(base, WRITE_RENEW, report);
    int64_t flag = 0;
    enum err rc;

    query_put_int(&query, lease_until_ms);
    rc = query_run(&query, is_held, &flag, err);
    *is_cancel_requested = flag != 0;
    return rc;
}

static enum err end(struct job_store *base, const struct job_report *report, enum job_state state,
                    const char *result, const char *error, int64_t ended_ms, bool *is_held,
                    struct error *err)
{
    struct query query = open_report(base, WRITE_END, report);

    query_put_text(&query, job_state_name(state));
    query_put_text(&query, result);
    query_put_text(&query, error);
    query_put_int(&query, ended_ms);
    return query_run(&query, is_held, NULL, err);
}

static enum err requeue(struct job_store *base, const struct job_report *report,
                        int64_t not_before_ms, const char *error, bool is_failure, bool *is_held,
                        struct error *err)
{
    struct query query = open_report(base, WRITE_REQUEUE, report);

    query_put_int(&query, not_before_ms);
    query_put_text(&query, error);
    query_put_int(&query, is_failure);
    return query_run(&query, is_held, NULL, err);
}

/* The running job whose runner is gone that was submitted first. */
static enum err find_orphan(struct sqlite_job_store *store, const struct job_lease *lease,
                            int64_t *seq, struct error *err)
{
    struct query query = query_open(&store->writer, WRITE_LIST_RUNNING);
    bool has_row = false;
    enum err rc;

    *seq = 0;
    while ((rc = query_step(&query, &has_row, err)) == ERR_OK && has_row && *seq == 0) {
        const char *owner = query_text(&query, 1);
        bool is_over = query_int(&query, 2) <= lease->now_ms;
        if (is_over || owner == NULL || !job_owner_is_alive(&store->owner, owner)) {
            *seq = query_int(&query, 0);
        }
    }
    query_close(&query);
    return rc;
}

static enum err adopt(struct job_store *base, const struct job_lease *lease, bool *is_found,
                      struct job *out, struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    struct query query;
    int64_t seq = 0;
    enum err rc = find_orphan(store, lease, &seq, err);

    *is_found = false;
    if (rc != ERR_OK || seq == 0) {
        return rc;
    }
    query = query_open(&store->writer, WRITE_ADOPT);
    query_put_int(&query, seq);
    query_put_text(&query, lease->owner);
    query_put_int(&query, lease->until_ms);
    return run_job(&query, is_found, out, err);
}

/* ---- changes from outside -------------------------------------------------------------------- */

static enum err cancel(struct job_store *base, const char *id, int64_t ended_ms, bool *is_found,
                       struct job *out, struct error *err)
{
    struct query query = query_open(writer_of(base), WRITE_CANCEL_QUEUED);
    enum err rc;

    query_put_text(&query, id);
    query_put_int(&query, ended_ms);
    rc = run_job(&query, is_found, out, err);
    if (rc == ERR_OK && !*is_found) {
        query = query_open(writer_of(base), WRITE_CANCEL_RUNNING);
        query_put_text(&query, id);
        rc = run_job(&query, is_found, out, err);
    }
    if (rc == ERR_OK && !*is_found) {
        query = query_open(writer_of(base), WRITE_GET);
        query_put_text(&query, id);
        rc = run_job(&query, is_found, out, err);
    }
    return rc;
}

static enum err remove_ended(struct job_store *base, const char *id, bool *is_removed,
                             struct error *err)
{
    struct query query = query_open(writer_of(base), WRITE_REMOVE);

    query_put_text(&query, id);
    return query_run(&query, is_removed, NULL, err);
}

static enum err forget(struct job_store *base, const char *id, struct error *err)
{
    struct query query = query_open(writer_of(base), WRITE_FORGET);
    bool has_row;

    query_put_text(&query, id);
    return query_run(&query, &has_row, NULL, err);
}

static enum err end_overdue(struct job_store *base, int64_t at_ms, size_t limit,
                            char (*ids)[JOB_ID_BYTES], size_t *n, struct error *err)
{
    struct query query = query_open(writer_of(base), WRITE_END_OVERDUE);
    bool has_row = false;
    enum err rc;

    *n = 0;
    query_put_int(&query, at_ms);
    query_put_int(&query, (int64_t)limit);
    while ((rc = query_step(&query, &has_row, err)) == ERR_OK && has_row) {
        const char *id = query_text(&query, 0);
        if (*n < limit && id != NULL) {
            (void)snprintf(ids[(*n)++], JOB_ID_BYTES, "%s", id);
        }
    }
    query_close(&query);
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

static void close_store(struct job_store *base)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;

    for (size_t i = 0; i < JOB_N_READERS; i++) {
        sqlite_close(&store->readers[i]);
    }
    sqlite_close(&store->writer); /* the last one copies the log into the file */
    if (store->has_owner) {
        job_owner_close(&store->owner);
    }
    (void)pthread_cond_destroy(&store->has_reader);
    (void)pthread_mutex_destroy(&store->lock);
    mem_free(store->path);
    mem_free(store);
}

static const struct job_store_kind sqlite_kind = {
    .now_ms = now_ms,
    .close = close_store,
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
    .get = job_store_sqlite_get,
    .history = job_store_sqlite_history,
    .list = job_store_sqlite_list,
    .list_expired = job_store_sqlite_list_expired,
    .list_removed = job_store_sqlite_list_removed,
    .count = job_store_sqlite_count,
};

static enum err connect_all(struct sqlite_job_store *store, struct error *err)
{
    const struct sqlite_db blank = {
        .what = "job store", .setting = "job_store", .path = store->path};
    enum err rc;

    store->writer = blank;
    rc = sqlite_open(&store->writer, &job_store_sqlite_schema, err);
    rc = rc == ERR_OK ? sqlite_prepare(&store->writer, write_sql, N_WRITE_SQL, err) : rc;
    for (size_t i = 0; rc == ERR_OK && i < JOB_N_READERS; i++) {
        store->readers[i] = blank;
        rc = sqlite_open_reader(&store->readers[i], err);
        rc = rc == ERR_OK ? sqlite_prepare(&store->readers[i], job_store_sqlite_read_sql,
                                           job_store_sqlite_n_read_sql, err)
                          : rc;
    }
    return rc;
}

static enum err take_owner(struct sqlite_job_store *store, struct error *err)
{
    size_t size = strlen(store->path) + sizeof "-owners";
    char *path = mem_calloc(size, 1);
    enum err rc;

    if (path == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the job store %s", store->path);
    }
    (void)snprintf(path, size, "%s-owners", store->path);
    rc = job_owner_open(path, &store->owner, err);
    store->has_owner = rc == ERR_OK;
    mem_free(path);
    return rc;
}

enum err job_store_copy(const char *path, const char *to, int64_t *n_jobs, struct error *err)
{
    struct sqlite_db from = {.what = "job store", .setting = "job_store", .path = path};
    struct sqlite_db copy = {.what = "job store", .setting = "job_store", .path = to};
    enum err rc = sqlite_copy(&from, &job_store_sqlite_schema, to, err);

    rc = rc == ERR_OK ? sqlite_open_reader(&copy, err) : rc;
    rc = rc == ERR_OK ? sqlite_count(&copy, "SELECT count(*) FROM jobs", n_jobs, err) : rc;
    sqlite_close(&from);
    sqlite_close(&copy);
    return rc;
}

enum err job_store_sqlite_open(const char *path, struct job_store **out, char *owner,
                               struct error *err)
{
    struct sqlite_job_store *store = mem_calloc(1, sizeof *store);
    enum err rc;

    if (store == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the job store %s", path);
    }
    store->base.kind = &sqlite_kind;
    (void)pthread_mutex_init(&store->lock, NULL); /* cannot fail on Linux with no attributes */
    (void)pthread_cond_init(&store->has_reader, NULL);
    store->path = mem_strdup(path);
    rc = store->path != NULL ? connect_all(store, err)
                             : error_set(err, ERR_NOMEM, "no memory for the job store %s", path);
    rc = rc == ERR_OK ? take_owner(store, err) : rc;
    if (rc != ERR_OK) {
        close_store(&store->base);
        return rc;
    }
    (void)snprintf(owner, JOB_OWNER_BYTES, "%s", store->owner.name);
    *out = &store->base;
    return ERR_OK;
}

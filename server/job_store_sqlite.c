/* The job store in SQLite: opening it, and what it does in a way of its own. */
#include "server/job_store_sqlite.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "server/clock.h"

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

static int64_t now_ms(struct job_store *base)
{
    (void)base;
    return realtime_ms();
}

/* ---- submission ------------------------------------------------------------------------------ */

static enum err find_key(struct job_store *base, const struct job_draft *draft, bool *is_found,
                         enum submit_result *result, struct job *out, struct error *err)
{
    struct job_query *query = job_sqlite_open_write(base, JOB_SQLITE_FIND_KEY);
    enum err rc;

    job_query_put_text(query, draft->client);
    job_query_put_text(query, draft->key);
    rc = job_query_step(query, is_found, err);
    if (rc == ERR_OK && *is_found) {
        rc = job_query_read_known(query, draft, result, out, err);
    }
    job_query_close(query);
    return rc;
}

static enum err submit(struct job_store *base, const struct job_draft *draft,
                       enum submit_result *result, struct job *out, struct error *err)
{
    struct job_query *query;
    int64_t n_queued = 0;
    bool has_row = false;
    enum err rc = ERR_OK;

    if (draft->key != NULL) {
        bool is_found = false;
        rc = find_key(base, draft, &is_found, result, out, err);
        if (rc != ERR_OK || is_found) {
            return rc;
        }
    }
    query = job_sqlite_open_write(base, JOB_SQLITE_COUNT_QUEUED);
    rc = job_query_run(query, &has_row, &n_queued, err);
    if (rc == ERR_OK && (size_t)n_queued >= draft->queue_max) {
        *result = SUBMIT_QUEUE_FULL;
        return ERR_OK;
    }
    if (rc == ERR_OK) {
        query = job_sqlite_open_write(base, JOB_SQLITE_INSERT);
        job_query_put_draft(query, draft);
        rc = job_query_run_job(query, &has_row, out, err);
    }
    if (rc == ERR_OK) {
        *result = SUBMIT_CREATED;
    }
    return rc;
}

/* ---- jobs whose runner is gone --------------------------------------------------------------- */

/* The running job whose runner is gone that was submitted first. */
static enum err find_orphan(struct sqlite_job_store *store, const struct job_lease *lease,
                            int64_t *seq, struct error *err)
{
    struct job_query *query = job_sqlite_open_write(&store->base, JOB_SQLITE_LIST_RUNNING);
    bool has_row = false;
    enum err rc;

    *seq = 0;
    while ((rc = job_query_step(query, &has_row, err)) == ERR_OK && has_row && *seq == 0) {
        const char *owner = job_query_text(query, 1);
        bool is_over = job_query_int(query, 2) <= lease->now_ms;
        if (is_over || owner == NULL || !job_owner_is_alive(&store->owner, owner)) {
            *seq = job_query_int(query, 0);
        }
    }
    job_query_close(query);
    return rc;
}

static enum err adopt(struct job_store *base, const struct job_lease *lease, bool *is_found,
                      struct job *out, struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    struct job_query *query;
    int64_t seq = 0;
    enum err rc = find_orphan(store, lease, &seq, err);

    *is_found = false;
    if (rc != ERR_OK || seq == 0) {
        return rc;
    }
    query = job_sqlite_open_write(base, JOB_SQLITE_ADOPT);
    job_query_put_int(query, seq);
    job_query_put_text(query, lease->owner);
    job_query_put_int(query, lease->until_ms);
    return job_query_run_job(query, is_found, out, err);
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
    .submit = submit,
    .adopt = adopt,
    .open_write = job_sqlite_open_write,
    .open_read = job_sqlite_open_read,
};

static enum err connect_all(struct sqlite_job_store *store, struct error *err)
{
    const struct sqlite_db blank = {
        .what = "job store", .setting = "job_store", .path = store->path};
    enum err rc;

    store->writer = blank;
    rc = sqlite_open(&store->writer, &job_store_sqlite_schema, err);
    rc = rc == ERR_OK
             ? sqlite_prepare(&store->writer, job_sqlite_write_sql, JOB_SQLITE_N_WRITES, err)
             : rc;
    for (size_t i = 0; rc == ERR_OK && i < JOB_N_READERS; i++) {
        store->readers[i] = blank;
        rc = sqlite_open_reader(&store->readers[i], err);
        rc = rc == ERR_OK
                 ? sqlite_prepare(&store->readers[i], job_sqlite_read_sql, JOB_N_READS, err)
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

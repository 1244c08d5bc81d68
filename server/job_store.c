/* What is written, and which kind of store there is. What is read: server/job_store_read.c. */
#include "server/job_store_kind.h"
#include "server/postgres.h"

bool job_store_is_at_server(const char *place)
{
    return postgres_is_uri(place);
}

enum err job_store_open(const char *place, struct job_store **out, char *owner, struct error *err)
{
    return job_store_is_at_server(place) ? job_store_postgres_open(place, out, owner, err)
                                         : job_store_sqlite_open(place, out, owner, err);
}

void job_store_close(struct job_store *store)
{
    if (store != NULL) {
        store->kind->close(store);
    }
}

bool job_store_is_shared(const struct job_store *store)
{
    return store->kind->is_server;
}

int64_t job_store_now_ms(struct job_store *store)
{
    return store->kind->now_ms(store);
}

void job_store_follow(struct job_store *store, job_news_fn *tell, void *context)
{
    if (store->kind->follow != NULL) {
        store->kind->follow(store, tell, context);
    }
}

/* ---- writing --------------------------------------------------------------------------------- */

static struct job_query *open_write(struct job_store *store, size_t number)
{
    return store->kind->open_write(store, number);
}

enum err job_store_begin(struct job_store *store, struct error *err)
{
    return store->kind->begin(store, err);
}

enum err job_store_commit(struct job_store *store, struct error *err)
{
    return store->kind->commit(store, err);
}

void job_store_rollback(struct job_store *store)
{
    store->kind->rollback(store);
}

enum err job_store_probe(struct job_store *store, struct error *err)
{
    bool has_row;

    return job_query_run(open_write(store, JOB_WRITE_PROBE), &has_row, NULL, err);
}

enum err job_store_submit(struct job_store *store, const struct job_draft *draft,
                          enum submit_result *result, struct job *out, struct error *err)
{
    return store->kind->submit(store, draft, result, out, err);
}

enum err job_store_claim(struct job_store *store, const struct job_lease *lease,
                         const enum job_kind *kinds, size_t n_kinds, bool *is_found,
                         struct job *out, struct error *err)
{
    enum err rc = ERR_OK;

    *is_found = false;
    for (size_t i = 0; rc == ERR_OK && !*is_found && i < n_kinds; i++) {
        struct job_query *query = open_write(store, JOB_WRITE_CLAIM);
        job_query_put_text(query, job_kind_name(kinds[i]));
        job_query_put_int(query, lease->now_ms);
        job_query_put_text(query, lease->owner);
        job_query_put_int(query, lease->until_ms);
        rc = job_query_run_job(query, is_found, out, err);
    }
    return rc;
}

/* Begins a statement with what a runner writes: who it is, and what it tells. */
static struct job_query *open_report(struct job_store *store, size_t number,
                                     const struct job_report *report)
{
    struct job_query *query = open_write(store, number);

    job_query_put_text(query, report->id);
    job_query_put_text(query, report->owner);
    job_query_put_int(query, report->attempt);
    job_query_put_int(query, report->revision);
    job_query_put_text(query, report->progress);
    job_query_put_text(query, report->history);
    return query;
}

enum err job_store_renew(struct job_store *store, const struct job_report *report,
                         int64_t lease_until_ms, bool *is_held, bool *is_cancel_requested,
                         struct error *err)
{
    struct job_query *query = open_report(store, JOB_WRITE_RENEW, report);
    int64_t flag = 0;
    enum err rc;

    job_query_put_int(query, lease_until_ms);
    rc = job_query_run(query, is_held, &flag, err);
    *is_cancel_requested = flag != 0;
    return rc;
}

enum err job_store_end(struct job_store *store, const struct job_report *report,
                       enum job_state state, const char *result, const char *error, int64_t now_ms,
                       bool *is_held, struct error *err)
{
    struct job_query *query = open_report(store, JOB_WRITE_END, report);

    job_query_put_text(query, job_state_name(state));
    job_query_put_text(query, result);
    job_query_put_text(query, error);
    job_query_put_int(query, now_ms);
    return job_query_run(query, is_held, NULL, err);
}

enum err job_store_requeue(struct job_store *store, const struct job_report *report,
                           int64_t not_before_ms, const char *error, bool is_failure, bool *is_held,
                           struct error *err)
{
    struct job_query *query = open_report(store, JOB_WRITE_REQUEUE, report);

    job_query_put_int(query, not_before_ms);
    job_query_put_text(query, error);
    job_query_put_int(query, is_failure);
    return job_query_run(query, is_held, NULL, err);
}

enum err job_store_cancel(struct job_store *store, const char *id, int64_t now_ms, bool *is_found,
                          struct job *out, struct error *err)
{
    struct job_query *query = open_write(store, JOB_WRITE_CANCEL);
    enum err rc;

    job_query_put_text(query, id);
    job_query_put_int(query, now_ms);
    rc = job_query_run_job(query, is_found, out, err);
    if (rc == ERR_OK && !*is_found) {
        query = open_write(store, JOB_WRITE_GET);
        job_query_put_text(query, id);
        rc = job_query_run_job(query, is_found, out, err);
    }
    return rc;
}

enum err job_store_remove(struct job_store *store, const char *id, bool *is_removed,
                          struct error *err)
{
    struct job_query *query = open_write(store, JOB_WRITE_REMOVE);

    job_query_put_text(query, id);
    return job_query_run(query, is_removed, NULL, err);
}

enum err job_store_forget(struct job_store *store, const char *id, struct error *err)
{
    struct job_query *query = open_write(store, JOB_WRITE_FORGET);
    bool has_row;

    job_query_put_text(query, id);
    return job_query_run(query, &has_row, NULL, err);
}

enum err job_store_end_overdue(struct job_store *store, int64_t now_ms, size_t limit,
                               char (*ids)[JOB_ID_BYTES], size_t *n, struct error *err)
{
    struct job_query *query = open_write(store, JOB_WRITE_END_OVERDUE);
    bool has_row = false;
    enum err rc;

    *n = 0;
    job_query_put_int(query, now_ms);
    job_query_put_int(query, (int64_t)limit);
    while ((rc = job_query_step(query, &has_row, err)) == ERR_OK && has_row) {
        if (*n < limit) {
            *n += job_query_copy_name(query, 0, ids[*n], JOB_ID_BYTES);
        }
    }
    job_query_close(query);
    return rc;
}

enum err job_store_adopt(struct job_store *store, const struct job_lease *lease, bool *is_found,
                         struct job *out, struct error *err)
{
    return store->kind->adopt(store, lease, is_found, out, err);
}

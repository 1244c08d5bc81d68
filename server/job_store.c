#include "core/mem.h"
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
    return store->kind->probe(store, err);
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
    return store->kind->claim(store, lease, kinds, n_kinds, is_found, out, err);
}

enum err job_store_renew(struct job_store *store, const struct job_report *report,
                         int64_t lease_until_ms, bool *is_held, bool *is_cancel_requested,
                         struct error *err)
{
    return store->kind->renew(store, report, lease_until_ms, is_held, is_cancel_requested, err);
}

enum err job_store_end(struct job_store *store, const struct job_report *report,
                       enum job_state state, const char *result, const char *error, int64_t now_ms,
                       bool *is_held, struct error *err)
{
    return store->kind->end(store, report, state, result, error, now_ms, is_held, err);
}

enum err job_store_requeue(struct job_store *store, const struct job_report *report,
                           int64_t not_before_ms, const char *error, bool is_failure, bool *is_held,
                           struct error *err)
{
    return store->kind->requeue(store, report, not_before_ms, error, is_failure, is_held, err);
}

enum err job_store_cancel(struct job_store *store, const char *id, int64_t now_ms, bool *is_found,
                          struct job *out, struct error *err)
{
    return store->kind->cancel(store, id, now_ms, is_found, out, err);
}

enum err job_store_remove(struct job_store *store, const char *id, bool *is_removed,
                          struct error *err)
{
    return store->kind->remove(store, id, is_removed, err);
}

enum err job_store_forget(struct job_store *store, const char *id, struct error *err)
{
    return store->kind->forget(store, id, err);
}

enum err job_store_end_overdue(struct job_store *store, int64_t now_ms, size_t limit,
                               char (*ids)[JOB_ID_BYTES], size_t *n, struct error *err)
{
    return store->kind->end_overdue(store, now_ms, limit, ids, n, err);
}

enum err job_store_adopt(struct job_store *store, const struct job_lease *lease, bool *is_found,
                         struct job *out, struct error *err)
{
    return store->kind->adopt(store, lease, is_found, out, err);
}

/* ---- reading --------------------------------------------------------------------------------- */

enum err job_store_get(struct job_store *store, const char *id, struct job *out, struct error *err)
{
    return store->kind->get(store, id, out, err);
}

enum err job_store_history(struct job_store *store, const char *id, char **out, struct error *err)
{
    return store->kind->history(store, id, out, err);
}

enum err job_store_list(struct job_store *store, const struct job_filter *filter,
                        struct job_list *out, struct error *err)
{
    return store->kind->list(store, filter, out, err);
}

enum err job_store_list_expired(struct job_store *store, int64_t ended_before_ms, size_t keep_max,
                                size_t limit, struct job_list *out, struct error *err)
{
    return store->kind->list_expired(store, ended_before_ms, keep_max, limit, out, err);
}

enum err job_store_list_removed(struct job_store *store, size_t limit, struct job_trace *out,
                                size_t *n, struct error *err)
{
    return store->kind->list_removed(store, limit, out, n, err);
}

enum err job_store_count(struct job_store *store, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                         struct error *err)
{
    return store->kind->count(store, counts, err);
}

void job_list_close(struct job_list *list)
{
    for (size_t i = 0; i < list->n; i++) {
        job_close(&list->items[i]);
    }
    mem_free(list->items);
    list->items = NULL;
    list->n = 0;
    list->next_seq = 0;
}

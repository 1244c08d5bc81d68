/* What is read from the job store: each question on a connection that is its own meanwhile. */
#include <string.h>

#include "core/mem.h"
#include "server/job_store_kind.h"

static enum err open_read(struct job_store *store, size_t number, struct job_query **out,
                          struct error *err)
{
    return store->kind->open_read(store, number, out, err);
}

/* ---- one job --------------------------------------------------------------------------------- */

/* Asks about one job. On success the query has its row, and is to be closed. */
static enum err ask_about(struct job_store *store, size_t number, const char *id,
                          struct job_query **out, struct error *err)
{
    struct job_query *query = NULL;
    bool is_found = false;
    enum err rc = open_read(store, number, &query, err);

    if (rc != ERR_OK) {
        return rc;
    }
    job_query_put_text(query, id);
    rc = job_query_step(query, &is_found, err);
    if (rc == ERR_OK && !is_found) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no job %.64s", id);
    }
    if (rc != ERR_OK) {
        job_query_close(query);
        return rc;
    }
    *out = query;
    return ERR_OK;
}

enum err job_store_get(struct job_store *store, const char *id, struct job *out, struct error *err)
{
    struct job_query *query = NULL;
    enum err rc = ask_about(store, JOB_READ_GET, id, &query, err);

    if (rc == ERR_OK) {
        rc = job_query_read_job(query, out, err);
        job_query_close(query);
    }
    return rc;
}

enum err job_store_history(struct job_store *store, const char *id, char **out, struct error *err)
{
    struct job_query *query = NULL;
    enum err rc = ask_about(store, JOB_READ_HISTORY, id, &query, err);

    if (rc == ERR_OK) {
        rc = job_query_copy_text(query, 0, out, err);
        job_query_close(query);
    }
    return rc;
}

/* ---- lists ----------------------------------------------------------------------------------- */

/* Has room for one more. */
static enum err grow(struct job_list *list, size_t *capacity, struct error *err)
{
    size_t grown = *capacity == 0 ? 16 : 2 * *capacity;
    struct job *items = NULL;

    if (list->n < *capacity) {
        return ERR_OK;
    }
    items = mem_resize(list->items, grown, sizeof *items);
    if (items == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a list of jobs");
    }
    list->items = items;
    *capacity = grown;
    return ERR_OK;
}

static enum err read_rows(struct job_query *query, size_t limit, struct job_list *out,
                          struct error *err)
{
    size_t capacity = 0;
    bool has_row = true;
    enum err rc = ERR_OK;

    while (rc == ERR_OK && out->n < limit) {
        rc = job_query_step(query, &has_row, err);
        if (rc != ERR_OK || !has_row) {
            break;
        }
        rc = grow(out, &capacity, err);
        rc = rc == ERR_OK ? job_query_read_job(query, &out->items[out->n], err) : rc;
        out->n += rc == ERR_OK;
    }
    return rc;
}

/* Runs a query whose parameters are there to a list; closes it. */
static enum err list_rows(struct job_query *query, size_t limit, struct job_list *out,
                          struct error *err)
{
    struct job_list list = {0};
    enum err rc = read_rows(query, limit, &list, err);

    job_query_close(query);
    if (rc != ERR_OK) {
        job_list_close(&list);
        return rc;
    }
    *out = list;
    return ERR_OK;
}

static void put_filter(struct job_query *query, const struct job_filter *filter)
{
    if (filter->has_state) {
        job_query_put_text(query, job_state_name(filter->state));
    }
    if (filter->has_kind) {
        job_query_put_text(query, job_kind_name(filter->kind));
    }
    if (filter->space != NULL) {
        job_query_put_text(query, filter->space);
    }
    job_query_put_int(query, filter->before_seq > 0 ? filter->before_seq : INT64_MAX);
    job_query_put_int(query, (int64_t)filter->limit + 1); /* one more tells that there are more */
}

enum err job_store_list(struct job_store *store, const struct job_filter *filter,
                        struct job_list *out, struct error *err)
{
    size_t number = JOB_READ_LIST;
    struct job_query *query = NULL;
    enum err rc;

    number += filter->has_state ? JOB_BY_STATE : 0U;
    number += filter->has_kind ? JOB_BY_KIND : 0U;
    number += filter->space != NULL ? JOB_BY_SPACE : 0U;
    rc = open_read(store, number, &query, err);
    if (rc != ERR_OK) {
        return rc;
    }
    put_filter(query, filter);
    rc = list_rows(query, filter->limit + 1, out, err);
    if (rc == ERR_OK && out->n > filter->limit) {
        out->n = filter->limit;
        job_close(&out->items[out->n]);
        out->next_seq = out->n > 0 ? out->items[out->n - 1].seq : filter->before_seq;
    }
    return rc;
}

enum err job_store_list_expired(struct job_store *store, int64_t ended_before_ms, size_t keep_max,
                                size_t limit, struct job_list *out, struct error *err)
{
    struct job_query *query = NULL;
    enum err rc = open_read(store, JOB_READ_EXPIRED, &query, err);

    if (rc != ERR_OK) {
        return rc;
    }
    job_query_put_int(query, (int64_t)limit);
    job_query_put_int(query, ended_before_ms);
    job_query_put_int(query, (int64_t)keep_max);
    return list_rows(query, limit, out, err);
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

/* ---- the rest -------------------------------------------------------------------------------- */

enum err job_store_list_removed(struct job_store *store, size_t limit, struct job_trace *out,
                                size_t *n, struct error *err)
{
    struct job_query *query = NULL;
    bool has_row = false;
    enum err rc = open_read(store, JOB_READ_REMOVED, &query, err);

    *n = 0;
    if (rc != ERR_OK) {
        return rc;
    }
    job_query_put_int(query, (int64_t)limit);
    while ((rc = job_query_step(query, &has_row, err)) == ERR_OK && has_row && *n < limit) {
        *n += job_query_copy_name(query, 0, out[*n].id, sizeof out->id) &&
              job_query_copy_name(query, 1, out[*n].space, sizeof out->space);
    }
    job_query_close(query);
    return rc;
}

enum err job_store_count(struct job_store *store, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                         struct error *err)
{
    struct job_query *query = NULL;
    bool has_row = false;
    enum err rc = open_read(store, JOB_READ_COUNTS, &query, err);

    if (rc != ERR_OK) {
        return rc;
    }
    memset(counts, 0, sizeof(size_t[JOB_N_KINDS][JOB_N_STATES]));
    while ((rc = job_query_step(query, &has_row, err)) == ERR_OK && has_row) {
        const char *state = job_query_text(query, 0);
        const char *kind = job_query_text(query, 1);
        int64_t n = job_query_int(query, 2);
        enum job_state s;
        enum job_kind k;
        if (state != NULL && kind != NULL && job_state_find(state, &s) && job_kind_find(kind, &k)) {
            counts[k][s] = n > 0 ? (size_t)n : 0;
        }
    }
    job_query_close(query);
    return rc;
}

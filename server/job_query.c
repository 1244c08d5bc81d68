#include "server/job_query.h"

#include <string.h>

/* ---- parameters ------------------------------------------------------------------------------ */

void job_query_put_int(struct job_query *query, int64_t value)
{
    query->kind->put_int(query, value);
}

void job_query_put_text(struct job_query *query, const char *text)
{
    query->kind->put_text(query, text);
}

void job_query_put_draft(struct job_query *query, const struct job_draft *draft)
{
    job_query_put_text(query, draft->id);
    job_query_put_text(query, job_kind_name(draft->kind));
    job_query_put_text(query, draft->space);
    job_query_put_int(query, draft->priority);
    job_query_put_int(query, draft->submitted_ms);
    job_query_put_int(query, draft->deadline_ms);
    job_query_put_text(query, draft->params);
    job_query_put_text(query, draft->client);
    job_query_put_text(query, draft->key);
    job_query_put_text(query, draft->digest);
}

/* ---- rows ------------------------------------------------------------------------------------ */

enum err job_query_step(struct job_query *query, bool *has_row, struct error *err)
{
    return query->kind->step(query, has_row, err);
}

int64_t job_query_int(const struct job_query *query, int column)
{
    return query->kind->get_int(query, column);
}

const char *job_query_text(const struct job_query *query, int column)
{
    return query->kind->get_text(query, column);
}

enum err job_query_copy_text(const struct job_query *query, int column, char **out,
                             struct error *err)
{
    return query->kind->copy_text(query, column, out, err);
}

bool job_query_copy_name(const struct job_query *query, int column, char *out, size_t size)
{
    const char *text = job_query_text(query, column);

    if (text == NULL || strlen(text) >= size) {
        return false;
    }
    memcpy(out, text, strlen(text) + 1);
    return true;
}

static bool read_names(const struct job_query *query, struct job *out)
{
    const char *kind = job_query_text(query, JOB_AT_KIND);
    const char *state = job_query_text(query, JOB_AT_STATE);

    return kind != NULL && state != NULL && job_kind_find(kind, &out->kind) &&
           job_state_find(state, &out->state) &&
           job_query_copy_name(query, JOB_AT_ID, out->id, sizeof out->id) &&
           job_query_copy_name(query, JOB_AT_SPACE, out->space, sizeof out->space);
}

enum err job_query_read_job(const struct job_query *query, struct job *out, struct error *err)
{
    struct job job = {0};
    char **const texts[] = {&job.params, &job.progress, &job.result, &job.error};
    enum err rc = ERR_OK;

    if (!read_names(query, &job)) {
        return query->kind->damaged(query, err, "a job is not as it was written");
    }
    job.seq = job_query_int(query, JOB_AT_SEQ);
    job.priority = (int)job_query_int(query, JOB_AT_PRIORITY);
    job.attempt = (int)job_query_int(query, JOB_AT_ATTEMPT);
    job.n_failures = (int)job_query_int(query, JOB_AT_N_FAILURES);
    job.is_cancel_requested = job_query_int(query, JOB_AT_IS_CANCEL_REQUESTED) != 0;
    job.submitted_ms = job_query_int(query, JOB_AT_SUBMITTED_MS);
    job.started_ms = job_query_int(query, JOB_AT_STARTED_MS);
    job.ended_ms = job_query_int(query, JOB_AT_ENDED_MS);
    job.deadline_ms = job_query_int(query, JOB_AT_DEADLINE_MS);
    job.revision = job_query_int(query, JOB_AT_REVISION);
    for (int i = 0; i < 4 && rc == ERR_OK; i++) {
        rc = job_query_copy_text(query, JOB_AT_PARAMS + i, texts[i], err);
    }
    if (rc != ERR_OK) {
        job_close(&job);
        return rc;
    }
    *out = job;
    return ERR_OK;
}

enum err job_query_read_known(const struct job_query *query, const struct job_draft *draft,
                              enum submit_result *result, struct job *out, struct error *err)
{
    const char *digest = job_query_text(query, JOB_AT_DIGEST);
    bool is_same = digest != NULL && draft->digest != NULL && strcmp(digest, draft->digest) == 0;

    *result = is_same ? SUBMIT_REPEATED : SUBMIT_KEY_TAKEN;
    return is_same ? job_query_read_job(query, out, err) : ERR_OK;
}

/* ---- running one ----------------------------------------------------------------------------- */

void job_query_close(struct job_query *query)
{
    query->kind->close(query);
}

enum err job_query_run(struct job_query *query, bool *has_row, int64_t *out, struct error *err)
{
    bool has_more = false;
    enum err rc = job_query_step(query, has_row, err);

    if (rc == ERR_OK && *has_row) {
        if (out != NULL) {
            *out = job_query_int(query, 0);
        }
        rc = job_query_step(query, &has_more, err); /* to its end */
    }
    job_query_close(query);
    return rc;
}

enum err job_query_run_job(struct job_query *query, bool *is_found, struct job *out,
                           struct error *err)
{
    struct job job = {0};
    bool has_row = false, has_more = false;
    enum err rc = job_query_step(query, &has_row, err);

    if (rc == ERR_OK && has_row) {
        rc = job_query_read_job(query, &job, err);
        rc = rc == ERR_OK ? job_query_step(query, &has_more, err) : rc;
    }
    job_query_close(query);
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

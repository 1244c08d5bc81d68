/* GET /v1/jobs, GET and DELETE /v1/jobs/{id}, GET /v1/jobs/{id}/history, POST /v1/jobs/{id}/cancel. Submitting is
 * server/handle_job_submit.c, events are server/job_events.c. */
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/json_spec.h"
#include "server/job_request.h"
#include "server/job_respond.h"
#include "server/job_wait.h"

enum { LIST_DEFAULT_LIMIT = 100, LIST_MAX_LIMIT = 1000, CANCEL_WAIT_MS = 2000 };

/* ---- list ------------------------------------------------------------------------------------ */

/* Each reads an argument of the query. ERR_INVALID. */
static enum err read_state(const char *text, struct job_filter *filter, struct error *err)
{
    filter->has_state = job_state_find(text, &filter->state);
    return filter->has_state ? ERR_OK
                             : error_set(err, ERR_INVALID, "state must be " JOB_STATE_NAMES);
}

static enum err read_kind(const char *text, struct job_filter *filter, struct error *err)
{
    filter->has_kind = job_kind_find(text, &filter->kind);
    return filter->has_kind ? ERR_OK
                            : error_set(err, ERR_INVALID, "kind must be one of " JOB_KIND_NAMES);
}

static enum err read_space(const char *text, struct job_filter *filter, struct error *err)
{
    const struct space *space = space_find(text);

    if (space == NULL) {
        return error_set(err, ERR_INVALID, "search_space must be one of %s", space_names());
    }
    filter->space = space->name;
    return ERR_OK;
}

static enum err read_limit(const char *text, struct job_filter *filter, struct error *err)
{
    int64_t limit;

    if (!digits_parse(text, &limit) || limit < 1 || limit > LIST_MAX_LIMIT) {
        return error_set(err, ERR_INVALID, "limit must be a whole number of 1 to %d",
                         LIST_MAX_LIMIT);
    }
    filter->limit = (size_t)limit;
    return ERR_OK;
}

static enum err read_cursor(const char *text, struct job_filter *filter, struct error *err)
{
    return cursor_parse(text, &filter->before_seq)
               ? ERR_OK
               : error_set(err, ERR_INVALID, "cursor must be the \"next\" of the list before");
}

static const struct {
    const char *name;
    enum err (*read)(const char *text, struct job_filter *filter, struct error *err);
} list_arguments[] = {
    {"state",        read_state },
    {"kind",         read_kind  },
    {"search_space", read_space },
    {"limit",        read_limit },
    {"cursor",       read_cursor},
};

static enum err read_filter(const struct request *request, struct job_filter *out,
                            struct error *err)
{
    *out = (struct job_filter){.limit = LIST_DEFAULT_LIMIT};
    for (size_t i = 0; i < sizeof list_arguments / sizeof *list_arguments; i++) {
        const char *text = request_query(request, list_arguments[i].name);
        if (text != NULL && list_arguments[i].read(text, out, err) != ERR_OK) {
            return ERR_INVALID;
        }
    }
    return ERR_OK;
}

static void respond_list(struct reply *reply, const struct job_list *list)
{
    struct text text = {0};
    char cursor[JOB_CURSOR_BYTES];

    text_puts(&text, "{\"jobs\":[");
    for (size_t i = 0; i < list->n; i++) {
        text_puts(&text, i > 0 ? "," : "");
        msg_job_put(&list->items[i], &text);
    }
    text_puts(&text, "],\"next\":");
    if (list->next_seq > 0) {
        cursor_format(list->next_seq, cursor);
        text_put_json_string(&text, cursor);
    } else {
        text_puts(&text, "null");
    }
    text_puts(&text, "}\n");
    respond_json(reply, 200, &text);
}

void jobs_get_all(struct app *app, const struct request *request, struct reply *reply)
{
    struct job_filter filter;
    struct job_list list = {0};
    struct error err;

    if (!job_check_kept(app, request, reply)) {
        return;
    }
    if (read_filter(request, &filter, &err) != ERR_OK) {
        respond_problem(reply, request, 422, err.text, NULL);
    } else if (jobs_list(app->jobs, &filter, &list, &err) != ERR_OK) {
        job_respond_error(app, request, reply, &err);
    } else {
        respond_list(reply, &list);
    }
    job_list_close(&list);
}

/* ---- one ------------------------------------------------------------------------------------- */

/* A long poll: what is waited for is fixed when the request comes. */
struct poll {
    struct job_wait wait;
    int64_t after_revision, limit_ms;
};

static void end_poll(void *data)
{
    struct poll *poll = data;

    job_wait_close(&poll->wait);
    mem_free(poll);
}

static void wait_for_change(struct app *app, const struct request *request)
{
    struct poll *poll = request->state->data;

    job_wait_begin(&poll->wait, app, request, request->params[0], poll->after_revision, false,
                   poll->limit_ms);
}

/* The argument "wait"; 0 without. False where it is none that may be asked for. */
static bool read_wait(const struct request *request, int64_t *wait_s)
{
    const char *text = request_query(request, "wait");

    *wait_s = 0;
    return text == NULL || (digits_parse(text, wait_s) && *wait_s <= JOB_WAIT_MAX_S);
}

/* Whether the client knows the job as it is, as far as it says what it knows. */
static bool is_known(const struct request *request, const struct job *job)
{
    const struct conditions conditions = {.if_none_match =
                                              request_header(request, "If-None-Match")};
    char etag[ETAG_BYTES];

    return conditions.if_none_match == NULL ||
           (job_etag(job, etag) &&
            condition_check(&conditions, true, etag, NULL) == CONDITION_NOT_MODIFIED);
}

/* Lets the request wait, where memory allows. */
static bool begin_poll(const struct request *request, struct reply *reply, const struct job *job,
                       int64_t limit_ms)
{
    struct poll *poll = mem_calloc(1, sizeof *poll);

    if (poll == NULL) {
        return false;
    }
    poll->after_revision = job->revision;
    poll->limit_ms = limit_ms;
    *request->state = (struct request_state){.data = poll, .end = end_poll};
    reply->wait = wait_for_change;
    return true;
}

static void answer_poll(struct app *app, const struct request *request, struct reply *reply)
{
    const struct job_wait *wait = &((struct poll *)request->state->data)->wait;

    if (wait->rc == ERR_OK) {
        job_respond_tagged(request, reply, &wait->job);
    } else {
        job_respond_error(app, request, reply, &wait->err);
    }
}

void jobs_get_one(struct app *app, const struct request *request, struct reply *reply)
{
    struct job job = {0};
    struct error err;
    int64_t wait_s;

    if (request->state->data != NULL) {
        answer_poll(app, request, reply);
        return;
    }
    if (!job_check_kept(app, request, reply) || !job_check_id(request, reply)) {
        return;
    }
    if (!read_wait(request, &wait_s)) {
        error_describe(&err, ERR_INVALID, "wait must be a whole number of seconds, 0 to %d",
                       JOB_WAIT_MAX_S);
        respond_problem(reply, request, 422, err.text, NULL);
    } else if (jobs_get(app->jobs, request->params[0], &job, &err) != ERR_OK) {
        job_respond_error(app, request, reply, &err);
    } else if (wait_s == 0 || job_has_ended(job.state) || !is_known(request, &job) ||
               !begin_poll(request, reply, &job, wait_s * 1000)) {
        job_respond_tagged(request, reply, &job);
    }
    job_close(&job);
}

/* ---- history --------------------------------------------------------------------------------- */

void jobs_get_history(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};
    char etag[ETAG_BYTES];
    struct error err;

    if (!job_check_kept(app, request, reply) || !job_check_id(request, reply)) {
        return;
    }
    if (jobs_put_history(app->jobs, request->params[0], &text, &err) != ERR_OK) {
        job_respond_error(app, request, reply, &err);
        text_close(&text);
        return;
    }
    text_puts(&text, "\n");
    etag_make(text.bytes, text.size, NULL, etag);
    if (condition_answer(request, reply, etag)) {
        text_close(&text);
        return;
    }
    respond_json(reply, 200, &text);
    respond_header(reply, "ETag", "%s", etag);
}

/* ---- cancel ---------------------------------------------------------------------------------- */

struct cancelling {
    struct job_change change;
    struct job_wait wait;
    const struct request *request;
    bool has_waited;
};

static void end_cancelling(void *data)
{
    struct cancelling *c = data;

    job_close(&c->change.job);
    job_wait_close(&c->wait);
    mem_free(c);
}

/* In the writer's thread. */
static void on_cancelled(struct job_change *change)
{
    request_resume(((struct cancelling *)change)->request);
}

static void wait_for_store(struct app *app, const struct request *request)
{
    struct cancelling *c = request->state->data;

    jobs_cancel(app->jobs, &c->change);
}

static void wait_for_end(struct app *app, const struct request *request)
{
    struct cancelling *c = request->state->data;

    job_wait_begin(&c->wait, app, request, request->params[0], 0, true, CANCEL_WAIT_MS);
}

/* An empty body, or an object without fields. */
static bool check_cancel_body(const struct request *request, struct reply *reply)
{
    struct field_errors errors = {0};
    struct json_view body;
    struct error err;
    enum err rc = ERR_OK;

    if (request->body_size == 0) {
        return true;
    }
    rc = json_view_check(request->body, request->body_size, &body, &err);
    if (rc == ERR_OK) {
        json_spec_read(body, NULL, 0, "", NULL, &errors);
        if (errors.n > 0 || errors.has_failed) {
            rc = error_set(&err, ERR_INVALID, "the body must be empty, or {}");
        }
    }
    if (rc != ERR_OK) {
        respond_error(reply, request, &err, &errors);
    }
    field_errors_close(&errors);
    return rc == ERR_OK;
}

static void begin_cancelling(const struct request *request, struct reply *reply)
{
    struct cancelling *c = mem_calloc(1, sizeof *c);

    if (c == NULL) {
        respond_problem(reply, request, 503, "no memory for the request", NULL);
        return;
    }
    c->request = request;
    c->change.done = on_cancelled;
    (void)snprintf(c->change.id, sizeof c->change.id, "%s", request->params[0]);
    *request->state = (struct request_state){.data = c, .end = end_cancelling};
    reply->wait = wait_for_store;
}

static void respond_cancelled(const struct request *request, struct reply *reply,
                              const struct job *job)
{
    if (job->state == JOB_SUCCEEDED || job->state == JOB_FAILED) {
        struct error err;
        error_describe(&err, ERR_INVALID, "the job has %s: there is nothing left to cancel",
                       job_state_name(job->state));
        respond_problem(reply, request, 409, err.text, NULL);
    } else {
        job_respond(reply, job_has_ended(job->state) ? 200 : 202, job);
    }
}

/* The change is stored, or was not; or what runs has been waited for. */
static void go_on_cancelling(struct app *app, const struct request *request, struct reply *reply)
{
    struct cancelling *c = request->state->data;

    if (c->has_waited) { /* what could not be read now was asked to end nonetheless */
        respond_cancelled(request, reply, c->wait.rc == ERR_OK ? &c->wait.job : &c->change.job);
    } else if (c->change.write.rc != ERR_OK) {
        job_respond_error(app, request, reply, &c->change.write.err);
    } else if (!c->change.is_found) {
        job_respond_error(app, request, reply, &(struct error){.code = ERR_NOT_FOUND});
    } else if (c->change.job.state == JOB_RUNNING) {
        c->has_waited = true;
        reply->wait = wait_for_end;
    } else {
        respond_cancelled(request, reply, &c->change.job);
    }
}

void jobs_post_cancel(struct app *app, const struct request *request, struct reply *reply)
{
    if (request->state->data != NULL) {
        go_on_cancelling(app, request, reply);
    } else if (job_check_kept(app, request, reply) && job_check_id(request, reply) &&
               check_cancel_body(request, reply)) {
        begin_cancelling(request, reply);
    }
}

/* ---- removal --------------------------------------------------------------------------------- */

static void remove_job(struct app *app, const struct request *request, struct reply *reply)
{
    struct error err;
    enum err rc = jobs_remove(app->jobs, request->params[0], &err);

    if (rc == ERR_OK) {
        respond_empty(reply, 204);
    } else if (rc == ERR_INVALID) {
        respond_problem(reply, request, 409, "the job has not ended: cancel it first", NULL);
    } else {
        job_respond_error(app, request, reply, &err);
    }
}

/* What has ended does not change any more, so its tag holds until it is removed. */
void jobs_delete(struct app *app, const struct request *request, struct reply *reply)
{
    struct job job = {0};
    char etag[ETAG_BYTES];
    struct error err;

    if (!job_check_kept(app, request, reply) || !job_check_id(request, reply)) {
        return;
    }
    if (jobs_get(app->jobs, request->params[0], &job, &err) != ERR_OK) {
        job_respond_error(app, request, reply, &err);
    } else if (!job_etag(&job, etag)) {
        respond_problem(reply, request, 503, "no memory for the job", NULL);
    } else if (!condition_answer(request, reply, etag)) {
        remove_job(app, request, reply);
    }
    job_close(&job);
}

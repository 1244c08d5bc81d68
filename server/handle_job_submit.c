/* POST /v1/jobs: the order is checked on the pool, stored by the writer's thread, and then waited
 * for where the client prefers so; the answer is made in the I/O thread. */
#include <string.h>

#include "core/mem.h"
#include "proto/digest.h"
#include "server/job_keys.h"
#include "server/job_kinds.h"
#include "server/job_request.h"
#include "server/job_respond.h"
#include "server/job_wait.h"

/* A submission's request, from the moment that it was found good. */
struct submitting {
    struct job_submission submission;
    struct job_wait wait;
    struct app *app;
    const struct request *request;
    struct text params;
    char digest[DIGEST_HEX_BYTES];
    char key[JOB_KEY_BYTES];
    struct job_key taken;
    struct preference preference;
    bool has_key, has_waited;
};

static void end_submitting(void *data)
{
    struct submitting *s = data;

    job_close(&s->submission.job);
    job_wait_close(&s->wait);
    text_close(&s->params);
    mem_free(s);
}

/* In the writer's thread. */
static void on_stored(struct job_submission *submission)
{
    struct submitting *s = (struct submitting *)submission;

    if (s->has_key) {
        job_keys_drop(&s->app->job_keys, &s->taken);
    }
    request_resume(s->request);
}

static void wait_for_store(struct app *app, const struct request *request)
{
    struct submitting *s = request->state->data;

    jobs_submit(app->jobs, &s->submission);
}

static void wait_for_end(struct app *app, const struct request *request)
{
    struct submitting *s = request->state->data;

    job_wait_begin(&s->wait, app, request, s->submission.job.id, 0, true,
                   (int64_t)s->preference.wait_s * 1000);
}

/* ---- first: is it good? ---------------------------------------------------------------------- */

/* Reads the headers. False where the reply is made. */
static bool read_headers(struct submitting *s, struct reply *reply)
{
    const char *key = request_header(s->request, "Idempotency-Key");
    struct error err;

    preference_parse(request_header(s->request, "Prefer"), &s->preference);
    if (key == NULL) {
        return true;
    }
    if (idempotency_key_parse(key, s->key, &err) != ERR_OK) {
        respond_problem(reply, s->request, 422, err.text, NULL);
        return false;
    }
    s->has_key = true;
    return true;
}

/* Fills the draft by the order. What is submitted twice by one key has to be the same but for the
 * way it is written. False for want of memory. */
static bool fill_draft(struct submitting *s, const struct job_order *order)
{
    struct text head = {0};
    bool is_filled;

    msg_job_put_params(order, &s->params);
    text_printf(&head, "%s %s %d %lld ", job_kind_name(order->kind), order->space->name,
                order->priority, (long long)order->deadline_s);
    is_filled = !head.has_failed && !s->params.has_failed;
    if (is_filled) {
        const struct digest_part parts[] = {
            {head.bytes,      head.size     },
            {s->params.bytes, s->params.size},
        };
        digest_hex(parts, sizeof parts / sizeof *parts, s->digest);
        s->submission.deadline_s = order->deadline_s;
        s->submission.draft = (struct job_draft){
            .kind = order->kind,
            .space = order->space->name,
            .priority = order->priority,
            .params = s->params.bytes,
            .client = s->request->client,
            .key = s->has_key ? s->key : NULL,
            .digest = s->digest,
        };
    }
    text_close(&head);
    return is_filled;
}

/* The key is this request's until the job is stored. */
static bool take_key(struct submitting *s)
{
    if (!s->has_key) {
        return true;
    }
    s->taken.client = s->request->client;
    s->taken.key = s->key;
    return job_keys_take(&s->app->job_keys, &s->taken);
}

static void begin_submitting(struct app *app, const struct request *request, struct reply *reply,
                             const struct job_order *order)
{
    struct submitting *s = mem_calloc(1, sizeof *s);

    if (s == NULL) {
        respond_problem(reply, request, 503, "no memory for the job", NULL);
        return;
    }
    s->app = app;
    s->request = request;
    s->submission.done = on_stored;
    *request->state = (struct request_state){.data = s, .end = end_submitting};
    if (!read_headers(s, reply)) {
        return;
    }
    if (!fill_draft(s, order)) {
        respond_problem(reply, request, 503, "no memory for the job", NULL);
    } else if (!take_key(s)) {
        respond_problem(reply, request, 409,
                        "a submission with this Idempotency-Key is being carried out: send it "
                        "again in a moment to be told of its job",
                        NULL);
    } else {
        reply->wait = wait_for_store;
    }
}

static const struct model *acquire_served(void *context, const struct space *space)
{
    struct app *app = context;

    return model_registry_acquire(&app->models, space);
}

static void release_served(void *context, const struct model *model)
{
    struct app *app = context;

    model_registry_release(&app->models, model);
}

static void check_order(struct app *app, const struct request *request, struct reply *reply)
{
    const struct job_env env = {
        .tree = &app->tree,
        .context = app,
        .acquire_served = acquire_served,
        .release_served = release_served,
        .accuracies = &app->accuracies,
    };
    struct job_order order = {0};
    struct field_errors errors = {0};
    struct error err;
    enum err rc = msg_job_decode(request->body, request->body_size, &order, &errors, &err);

    rc = rc != ERR_OK ? rc : job_kinds[order.kind].check(&env, &order, &errors, &err);
    if (rc == ERR_OK) {
        begin_submitting(app, request, reply, &order);
    } else {
        data_localize(&app->tree, &err);
        respond_error(reply, request, &err, &errors);
    }
    job_order_close(&order);
    field_errors_close(&errors);
}

/* ---- then: what has become of it ------------------------------------------------------------- */

/* Tells which preferences were followed (RFC 7240, section 3). */
static void put_preferences(const struct preference *preference, unsigned status,
                            struct reply *reply)
{
    bool is_async = preference->is_async && status == 202;

    if (preference->has_wait) {
        respond_header(reply, "Preference-Applied", "wait=%d%s", preference->wait_s,
                       is_async ? ", respond-async" : "");
    } else if (is_async) {
        respond_header(reply, "Preference-Applied", "respond-async");
    }
}

static void respond_submitted(struct submitting *s, struct reply *reply, const struct job *job)
{
    unsigned status = job_has_ended(job->state) ? 200 : 202;

    job_respond(reply, status, job);
    respond_header(reply, "Location", "/v1/jobs/%s", job->id);
    put_preferences(&s->preference, status, reply);
    if (s->submission.result == SUBMIT_REPEATED) {
        respond_header(reply, "Idempotency-Replayed", "true");
    }
}

/* The store took it, or knew it; answers, or waits. */
static void answer_stored(struct submitting *s, struct reply *reply)
{
    const struct job *job = &s->submission.job;

    if (s->preference.wait_s > 0 && !job_has_ended(job->state)) {
        s->has_waited = true;
        reply->wait = wait_for_end;
    } else {
        respond_submitted(s, reply, job);
    }
}

static void refuse_full(const struct app *app, const struct request *request, struct reply *reply)
{
    struct error err;

    error_describe(&err, ERR_LIMIT,
                   "the queue is full: as many jobs wait as job_queue_max, which is %lld here",
                   (long long)app->config.job_queue_max);
    respond_problem(reply, request, 503, err.text, NULL);
}

static void go_on_submitting(struct app *app, const struct request *request, struct reply *reply)
{
    struct submitting *s = request->state->data;

    if (s->has_waited) { /* what cannot be read now is stored nonetheless */
        respond_submitted(s, reply, s->wait.rc == ERR_OK ? &s->wait.job : &s->submission.job);
    } else if (s->submission.write.rc != ERR_OK) {
        job_respond_error(app, request, reply, &s->submission.write.err);
    } else if (s->submission.result == SUBMIT_QUEUE_FULL) {
        refuse_full(app, request, reply);
    } else if (s->submission.result == SUBMIT_KEY_TAKEN) {
        respond_problem(reply, request, 422,
                        "this Idempotency-Key was used for another job: a key stands for one body",
                        NULL);
    } else {
        answer_stored(s, reply);
    }
}

void jobs_post(struct app *app, const struct request *request, struct reply *reply)
{
    if (request->state->data != NULL) {
        go_on_submitting(app, request, reply);
    } else if (!job_check_kept(app, request, reply)) {
        return;
    } else {
        check_order(app, request, reply);
    }
}

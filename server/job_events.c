/* GET /v1/jobs/{id}/events: a job's changes as server-sent events.
 *
 * What there is at first is read on the pool, with the request. Then the stream waits for the job,
 * the pool reads what is new, and the I/O thread sends it: one after the other, so nothing here is
 * locked. What was read is sent whole before more is read; so a slow client costs no memory, and is
 * dropped by the time that it takes.
 *
 *     read -> (nothing left) -> wait -> woken -> on the pool -> resumed -> read */
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "server/clock.h"
#include "server/http.h"
#include "server/job_request.h"
#include "server/job_respond.h"
#include "server/jobs.h"
#include "server/pool.h"

enum { PING_MS = 15000, WRITE_TIMEOUT_MS = 10000, RETRY_MS = 50 };

struct event_stream {
    struct reply_stream reply; /* first */
    struct job_watch watch;
    struct pool_job pool_job;
    struct app *app;
    bool is_counted; /* in app->n_event_streams */
    bool has_ended;  /* nothing comes after the text */
    bool is_refused; /* the pool is full: try again in a moment */
    int64_t revision;
    int64_t ping_ms; /* the longest silence */
    int64_t told_ms; /* monotonic clock, when the last text was made */
    struct text text;
    size_t n_sent; /* of it */
};

static struct event_stream *stream_of(struct reply_stream *reply)
{
    return (struct event_stream *)reply;
}

/* ---- what there is to tell ------------------------------------------------------------------- */

/* Appends what is new, or a ping where it was silent for long enough. On the pool. */
static enum err read_events(struct event_stream *stream, struct error *err)
{
    enum err rc = jobs_put_events(stream->app->jobs, stream->watch.id, stream->revision,
                                  &stream->text, &stream->revision, &stream->has_ended, err);
    int64_t now_ms = monotonic_ms();

    if (rc == ERR_OK && stream->text.size == 0 && !stream->has_ended &&
        now_ms >= stream->told_ms + stream->ping_ms) {
        text_puts(&stream->text, ": ping\n\n");
    }
    if (stream->text.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for events");
    }
    if (stream->text.size > 0) {
        stream->told_ms = now_ms;
    }
    return rc;
}

/* The client asks again from its last event on where this failed. */
static void run_read(struct pool_job *job)
{
    struct event_stream *stream =
        (struct event_stream *)(void *)((char *)job - offsetof(struct event_stream, pool_job));

    if (read_events(stream, NULL) != ERR_OK) {
        stream->has_ended = true;
    }
    stream_resume(&stream->reply);
}

/* With the board's lock held. */
static void on_wake(struct job_watch *watch)
{
    struct event_stream *stream =
        (struct event_stream *)(void *)((char *)watch - offsetof(struct event_stream, watch));
    size_t queue_max = (size_t)stream->app->config.pool_queue_max;

    stream->is_refused = !pool_submit(http_pool(stream->app->http), &stream->pool_job, queue_max);
    if (stream->is_refused) {
        stream_resume(&stream->reply);
    }
}

/* ---- the stream ------------------------------------------------------------------------------ */

static ptrdiff_t stream_read(struct reply_stream *reply, char *bytes, size_t size)
{
    struct event_stream *stream = stream_of(reply);
    size_t n = stream->text.size - stream->n_sent;

    if (n == 0) {
        text_close(&stream->text);
        stream->n_sent = 0;
        return stream->has_ended || atomic_load(&stream->app->is_draining) ? -1 : 0;
    }
    n = n < size ? n : size;
    memcpy(bytes, stream->text.bytes + stream->n_sent, n);
    stream->n_sent += n;
    return (ptrdiff_t)n;
}

/* Until there is an event or it is time for a ping; or, where the pool was full, for a moment. */
static void stream_wait(struct reply_stream *reply)
{
    struct event_stream *stream = stream_of(reply);

    stream->watch.after_revision = stream->is_refused ? INT64_MAX : stream->revision;
    stream->watch.until_ms =
        stream->is_refused ? monotonic_ms() + RETRY_MS : stream->told_ms + stream->ping_ms;
    stream->is_refused = false;
    jobs_watch(stream->app->jobs, &stream->watch);
}

static void stream_close(struct reply_stream *reply)
{
    struct event_stream *stream = stream_of(reply);

    if (stream->is_counted) {
        atomic_fetch_sub(&stream->app->n_event_streams, 1);
    }
    text_close(&stream->text);
    mem_free(stream);
}

/* Tests shorten it. */
static int64_t ping_period_ms(void)
{
    const char *text = getenv("DGLD_TEST_EVENT_PING_MS");
    int64_t ms;

    return text != NULL && digits_parse(text, &ms) && ms > 0 ? ms : PING_MS;
}

/* NULL where memory is out. */
static struct event_stream *stream_create(struct app *app, const char *id)
{
    struct event_stream *stream = mem_calloc(1, sizeof *stream);

    if (stream != NULL) {
        stream->app = app;
        stream->ping_ms = ping_period_ms();
        stream->pool_job.run = run_read;
        stream->watch.wake = on_wake;
        (void)snprintf(stream->watch.id, sizeof stream->watch.id, "%s", id);
        stream->reply = (struct reply_stream){.read = stream_read,
                                              .wait = stream_wait,
                                              .close = stream_close,
                                              .write_timeout_ms = WRITE_TIMEOUT_MS};
    }
    return stream;
}

/* ---- the request ----------------------------------------------------------------------------- */

/* The revision that the client has seen last; 0 where it says none, or none that the job had. */
static int64_t last_seen(const struct request *request, const struct job *job)
{
    const char *text = request_header(request, "Last-Event-ID");
    int64_t revision;

    text = text != NULL ? text : request_query(request, "last_event_id");
    return text != NULL && digits_parse(text, &revision) && revision <= job->revision ? revision
                                                                                      : 0;
}

/* Takes one of the places for streams; else the reply is made. */
static bool count_stream(struct event_stream *stream, const struct request *request,
                         struct reply *reply)
{
    struct app *app = stream->app;
    long limit = (long)app->config.event_streams_max;
    struct error err;

    stream->is_counted = true; /* from here on given back by stream_close() */
    if (atomic_fetch_add(&app->n_event_streams, 1) < limit) {
        return true;
    }
    error_describe(&err, ERR_LIMIT,
                   "as many clients follow events as event_streams_max, which is %ld here", limit);
    respond_problem(reply, request, 503, err.text, NULL);
    return false;
}

static void respond_stream(struct reply *reply, struct event_stream *stream)
{
    reply->status = 200;
    reply->content_type = "text/event-stream";
    reply->stream = &stream->reply;
    respond_header(reply, "Cache-Control", "no-store");
    respond_header(reply, "X-Accel-Buffering", "no"); /* nginx would wait for more */
}

/* Reads what there is, and lets the stream begin with it. Where the job has ended and the client has
 * its last event, 204 tells an EventSource not to come again. */
static void begin_stream(struct event_stream *stream, const struct request *request,
                         struct reply *reply)
{
    struct error err;
    size_t head_bytes;

    text_puts(&stream->text, "retry: 1000\n\n");
    head_bytes = stream->text.size;
    if (!count_stream(stream, request, reply)) {
        stream_close(&stream->reply);
    } else if (read_events(stream, &err) != ERR_OK) {
        stream_close(&stream->reply);
        job_respond_error(stream->app, request, reply, &err);
    } else if (stream->has_ended && stream->text.size == head_bytes) {
        stream_close(&stream->reply);
        respond_empty(reply, 204);
    } else {
        respond_stream(reply, stream);
    }
}

void jobs_get_events(struct app *app, const struct request *request, struct reply *reply)
{
    struct event_stream *stream;
    struct job job = {0};
    struct error err;

    if (!job_check_kept(app, request, reply) || !job_check_id(request, reply)) {
        return;
    }
    if (jobs_get(app->jobs, request->params[0], &job, &err) != ERR_OK) {
        job_respond_error(app, request, reply, &err);
    } else if ((stream = stream_create(app, job.id)) == NULL) {
        respond_problem(reply, request, 503, "no memory for a stream", NULL);
    } else if (strcmp(request->method, "HEAD") == 0) {
        respond_stream(reply, stream); /* nobody reads it */
    } else {
        stream->revision = last_seen(request, &job);
        stream->told_ms = monotonic_ms();
        begin_stream(stream, request, reply);
    }
    job_close(&job);
}

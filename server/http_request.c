#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/http_server.h"
#include "server/respond.h"

/* A body that is refused is read and dropped up to this size, so that the client gets to read the
 * reply and keeps its connection; a larger one ends it. */
enum { DROPPED_BODY_BYTES = 1 << 20 };

/* Room for the first piece of a body: as much as the client announces, within these. A small block
 * costs the allocator next to nothing. What is no larger than FIRST_BODY_BYTES is not counted as
 * held: connections have a bound of their own. */
enum { SMALL_BODY_BYTES = 64, FIRST_BODY_BYTES = 4096 };

/* What a client announces is believed as far as it has sent an eighth of it: each time that a body is
 * moved costs as much as to receive it. */
enum { CHUNKED_GROWTH = 2, ANNOUNCED_GROWTH = 8 };

/* A larger body is worked on by the pool: on the spot it would hold up the other connections of the
 * thread for more than some tenths of a millisecond. */
enum { SPOT_BODY_BYTES = 32 << 10 };

bool hold_bytes(struct http_server *server, struct context *context, size_t bytes)
{
    size_t limit = (size_t)server->app->config.transfer_max_bytes;

    if (bytes <= FIRST_BODY_BYTES) {
        return true;
    }
    if (atomic_fetch_add(&server->n_held_bytes, bytes) + bytes > limit) {
        atomic_fetch_sub(&server->n_held_bytes, bytes);
        return false;
    }
    context->n_held_bytes += bytes;
    return true;
}

/* Ends the body and gives back what the request holds. */
static void drop_body(struct context *context)
{
    if (context->n_held_bytes > 0) {
        atomic_fetch_sub(&context->server->n_held_bytes, context->n_held_bytes);
        context->n_held_bytes = 0;
    }
    mem_free(context->body);
    context->body = NULL;
    context->body_capacity = 0;
}

static void free_context(struct context *context)
{
    drop_body(context);
    reply_close(&context->reply);
    mem_free(context->observed.why);
    if (context->state.end != NULL) {
        context->state.end(context->state.data);
    }
    mem_free(context->places);
    mem_free(context);
}

/* ---- what handlers may ask ------------------------------------------------------------------- */

const char *request_header(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_HEADER_KIND, name);
}

const char *request_query(const struct request *request, const char *name)
{
    return MHD_lookup_connection_value(request->connection, MHD_GET_ARGUMENT_KIND, name);
}

/* ---- judging by the headers ------------------------------------------------------------------ */

/* Whether a Content-Type is this one; parameters are of no meaning for those that are taken here. */
static bool is_type(const char *type, const char *wanted)
{
    size_t length = strlen(wanted);

    return strncasecmp(type, wanted, length) == 0 &&
           (type[length] == '\0' || strchr("; \t", type[length]) != NULL);
}

/* What a route takes. No Content-Type at all passes for the first. */
static const struct {
    const char *types[2];
    const char *advice;
} bodies[] = {
    [BODY_NONE] = {.advice = NULL                                               },
    [BODY_JSON] = {{"application/json"},                                          "send the body as Content-Type: application/json"},
    [BODY_TABLE] = {{"application/json", "text/csv"},
                   "send the body as Content-Type: application/json or text/csv"},
    [BODY_BYTES] = {.advice = NULL},
};

static bool is_body_taken(const struct route *route, const char *type)
{
    if (bodies[route->body].advice == NULL || type == NULL) {
        return true;
    }
    for (size_t i = 0; i < 2 && bodies[route->body].types[i] != NULL; i++) {
        if (is_type(type, bodies[route->body].types[i])) {
            return true;
        }
    }
    return false;
}

void refuse(struct context *context, unsigned status, const char *detail)
{
    context->route = NULL;
    respond_problem(&context->reply, &context->request, status, detail, NULL);
}

static void refuse_too_large(struct context *context)
{
    char detail[128];

    (void)snprintf(detail, sizeof detail,
                   "the body is larger than body_max_bytes, which is %lld here",
                   (long long)context->server->app->config.body_max_bytes);
    refuse(context, 413, detail);
}

static void refuse_too_much(struct context *context)
{
    char detail[160];

    (void)snprintf(detail, sizeof detail,
                   "bodies and replies of other requests leave no room within transfer_max_bytes, "
                   "which is %lld here",
                   (long long)context->server->app->config.transfer_max_bytes);
    refuse(context, 503, detail);
}

/* Nothing at this path, or not by this method. */
static void refuse_route(struct context *context, const struct route_match *match)
{
    if (match->allow[0] == '\0') {
        refuse(context, 404, "there is nothing at this path");
        return;
    }
    if (strcmp(context->request.method, "OPTIONS") == 0) {
        respond_empty(&context->reply, 204);
    } else {
        refuse(context, 405, "this path does not take that method");
    }
    memcpy(context->allow, match->allow, sizeof context->allow);
    context->reply.allow = context->allow;
}

/* Copies what stands in the route's places. False where memory is out. */
static bool keep_places(struct context *context, const struct route_match *match)
{
    size_t size = 0;
    char *next;

    for (size_t i = 0; i < match->n_places; i++) {
        size += match->places[i].length + 1;
    }
    if (size == 0) {
        return true;
    }
    next = context->places = mem_calloc(size, 1);
    for (size_t i = 0; next != NULL && i < match->n_places; i++) {
        memcpy(next, match->places[i].start, match->places[i].length);
        context->request.params[i] = next;
        next += match->places[i].length + 1;
    }
    return next != NULL;
}

/* What a client may expect before it sends its body; without one there is nothing to expect. */
static bool is_expectation_met(struct context *context, const struct framing *framing)
{
    if (!framing->has_other_expectation || context->route->body == BODY_NONE) {
        return true;
    }
    refuse(context, 417, "the only Expect that is understood here is 100-continue");
    return false;
}

/* Bodies are taken as they are: nothing is unpacked, which could become any size, and nothing that is
 * said to be packed is taken for what it looks like. */
static bool is_coding_taken(struct context *context, const char *coding)
{
    char detail[128];

    if (coding == NULL || context->route->body == BODY_NONE) {
        return true;
    }
    (void)snprintf(detail, sizeof detail,
                   "a body of Content-Encoding %.40s is not taken; send it as it is", coding);
    refuse(context, 415, detail);
    respond_header(&context->reply, MHD_HTTP_HEADER_ACCEPT_ENCODING, "identity");
    return false;
}

/* Decides whether the request, which is well formed, will be carried out. False where memory is out.
 */
static bool judge_route(struct context *context, const struct framing *framing)
{
    const struct request *request = &context->request;
    struct route_match match;

    route_match(request->method, request->path, &match);
    context->route = context->observed.route = match.route;
    if (!guard_rate(context, match.route)) {
        return true;
    }
    if (match.route == NULL) {
        refuse_route(context, &match);
    } else if (!guard_caller(context, match.route) || !is_expectation_met(context, framing) ||
               !is_coding_taken(context, framing->coding)) {
        return true;
    } else if (!is_body_taken(match.route, request_header(request, MHD_HTTP_HEADER_CONTENT_TYPE))) {
        refuse(context, 415, bodies[match.route->body].advice);
    } else if (framing->length > (unsigned long long)context->server->app->config.body_max_bytes) {
        refuse_too_large(context);
    } else {
        return keep_places(context, &match);
    }
    return true;
}

/* Decides on the headers alone, and on whether the connection can go on after the reply. False where
 * memory is out. */
static bool judge(struct context *context, const char *target, const char *version)
{
    struct framing framing;
    const char *wrong = framing_read(context, target, version, &framing);

    if (wrong != NULL) {
        context->is_closing = context->is_answered_at_once = true;
        refuse(context, 400, wrong);
        return true;
    }
    context->announced_bytes = (size_t)framing.length;
    /* The library takes chunks whose lines do not end as they should, and others may find their end
     * elsewhere: nothing that comes behind them is taken for a request. */
    context->is_closing = framing.is_chunked;
    if (!judge_route(context, &framing)) {
        return false;
    }
    if (context->route == NULL && (framing.is_expecting || framing.has_other_expectation ||
                                   framing.length > DROPPED_BODY_BYTES)) {
        context->is_closing = context->is_answered_at_once = true;
    }
    return true;
}

/* ---- receiving ------------------------------------------------------------------------------- */

/* A target may name scheme and host before its path (RFC 9112, 3.2.2). */
static const char *path_of_target(const char *target)
{
    const char *authority = NULL;
    const char *slash;

    if (target[0] == '/') {
        return target;
    }
    if (strncasecmp(target, "http://", 7) == 0) {
        authority = target + 7;
    } else if (strncasecmp(target, "https://", 8) == 0) {
        authority = target + 8;
    }
    if (authority == NULL) {
        return target;
    }
    slash = strchr(authority, '/');
    return slash != NULL ? slash : "/";
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection,
                             const char *method, const char *target, const char *version,
                             void **slot)
{
    struct context *context = mem_calloc(1, sizeof *context);

    if (context == NULL) {
        return MHD_NO;
    }
    *slot = context;
    atomic_fetch_add(&server->n_in_flight, 1);
    context->server = server;
    context->connection = connection_of(connection);
    context->request = (struct request){.method = method,
                                        .path = path_of_target(target),
                                        .id = "",
                                        .client = "",
                                        .tree = &server->app->tree,
                                        .state = &context->state,
                                        .connection = connection};
    observe_begin(context);
    context->received_ms = (int64_t)(context->observed.begin_ns / 1000000);
    if (!connection_wait(context->connection, WAIT_BODY, context->received_ms,
                         server->app->config.body_timeout_s * 1000) ||
        !judge(context, target, version)) {
        return MHD_NO;
    }
    return context->is_answered_at_once ? send_reply(context) : MHD_YES;
}

/* Room for a body of at least so many bytes, and for what is to be expected behind them. */
static size_t capacity_for(const struct context *context, size_t bytes)
{
    const size_t announced = context->announced_bytes;
    size_t capacity = context->body_capacity;

    if (capacity == 0) {
        capacity = announced < SMALL_BODY_BYTES   ? SMALL_BODY_BYTES
                   : announced < FIRST_BODY_BYTES ? announced
                                                  : FIRST_BODY_BYTES;
    }
    while (capacity < bytes) {
        capacity *= announced > 0 ? ANNOUNCED_GROWTH : CHUNKED_GROWTH;
    }
    return announced >= bytes && announced < capacity ? announced : capacity;
}

/* Keeps a piece of the body, or drops it where the request is refused anyway. */
static enum MHD_Result receive(struct context *context, const char *bytes, size_t size)
{
    struct http_server *server = context->server;
    size_t limit = (size_t)server->app->config.body_max_bytes;

    if (context->route == NULL) {
        context->body_size += size;
        return context->body_size <= DROPPED_BODY_BYTES + limit ? MHD_YES : MHD_NO;
    }
    /* only a chunked body gets this far, or one that began before the bound was lowered */
    if (context->body_size > limit || size > limit - context->body_size) {
        refuse_too_large(context);
        return MHD_YES;
    }
    if (context->body_size + size > context->body_capacity) {
        size_t capacity = capacity_for(context, context->body_size + size);
        char *grown;
        if (!hold_bytes(server, context, capacity - context->body_capacity)) {
            drop_body(context);
            refuse_too_much(context);
            return MHD_YES;
        }
        grown = mem_resize(context->body, capacity, 1);
        if (grown == NULL) {
            return MHD_NO;
        }
        context->body = grown;
        context->body_capacity = capacity;
    }
    memcpy(context->body + context->body_size, bytes, size);
    context->body_size += size;
    return MHD_YES;
}

/* ---- answering ------------------------------------------------------------------------------- */

/* Memory that a reply takes until it is sent. */
static size_t bytes_held_by(const struct reply *reply)
{
    if (reply->stream != NULL) {
        return reply->stream->held_bytes;
    }
    return reply->is_static ? 0 : reply->body_size;
}

/* Runs the handler, and makes its reply ready to be sent. */
static void run_handler(struct context *context)
{
    struct http_server *server = context->server;

    context->route->handle(server->app, &context->request, &context->reply);
    if (context->reply.is_deferred) {
        return;
    }
    drop_body(context);
    if (context->reply.wait != NULL) {
        return;
    }
    context->is_answered = true;
    compress_reply(context);
    if (!hold_bytes(server, context, bytes_held_by(&context->reply))) {
        refuse_too_much(context);
    }
}

/* The handler has returned and waits. The connection is suspended; from here on the context may be
 * another thread's. */
static void begin_wait(struct context *context)
{
    void (*wait_for)(struct app * app, const struct request *request) = context->reply.wait;

    context->reply.wait = NULL;
    context->is_resumed = true;
    wait_for(context->server->app, &context->request);
}

void request_resume(const struct request *request)
{
    MHD_resume_connection(request->connection);
}

/* On the pool: what waited too long is not begun, since its client will have gone. */
static void run_job(struct pool_job *job)
{
    struct context *context = (struct context *)job;
    int64_t limit_ms = context->server->app->config.batch_timeout_ms;

    if (clock_ms() - context->submitted_ms > limit_ms) {
        char detail[128];
        (void)snprintf(
            detail, sizeof detail,
            "the request waited for the pool longer than batch_timeout_ms, which is %lld here",
            (long long)limit_ms);
        refuse(context, 503, detail);
        context->is_answered = true;
        drop_body(context);
    } else {
        run_handler(context);
    }
    if (context->reply.wait != NULL) {
        begin_wait(context);
    } else {
        MHD_resume_connection(context->request.connection);
    }
}

/* Lets the pool run the handler; on_request() is called again once it has. */
static enum MHD_Result submit(struct context *context)
{
    struct http_server *server = context->server;

    context->reply.is_deferred = false;
    context->request.is_on_pool = true;
    context->submitted_ms = clock_ms();
    context->job.run = run_job;
    MHD_suspend_connection(context->request.connection);
    if (!pool_submit(server->pool, &context->job, (size_t)server->app->config.pool_queue_max)) {
        char detail[128];
        (void)snprintf(
            detail, sizeof detail,
            "the queue is full: as many requests wait as pool_queue_max, which is %lld here",
            (long long)server->app->config.pool_queue_max);
        refuse(context, 503, detail);
        MHD_resume_connection(context->request.connection);
    }
    return MHD_YES;
}

static enum MHD_Result answer(struct context *context)
{
    const struct route *route = context->route;

    if (route == NULL || context->is_answered) {
        return send_reply(context);
    }
    if (!connection_wait(context->connection, WAIT_REPLY_READ, 0, DEADLINE_NONE)) {
        return MHD_NO;
    }
    context->request.body = context->body;
    context->request.body_size = context->body_size;
    context->request.is_on_pool = false;
    if (context->is_resumed) {
        context->is_resumed = false;
    } else if (route->place == ON_POOL ||
               (route->place == BY_SIZE && context->body_size > SPOT_BODY_BYTES)) {
        return submit(context);
    }
    run_handler(context);
    if (context->reply.wait != NULL) {
        MHD_suspend_connection(context->request.connection);
        begin_wait(context);
        return MHD_YES;
    }
    return context->reply.is_deferred ? submit(context) : send_reply(context);
}

/* Called by the library when the headers are there, for every piece of the body, at its end, and
 * when the pool is done. */
enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                           const char *method, const char *version, const char *upload,
                           size_t *upload_size, void **slot)
{
    struct context *context = *slot;

    if (context == NULL) {
        return begin(cls, connection, method, path, version, slot);
    }
    if (*upload_size > 0) {
        enum MHD_Result ok = receive(context, upload, *upload_size);
        *upload_size = 0;
        return ok;
    }
    return answer(context);
}

void on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                  enum MHD_RequestTerminationCode code)
{
    struct http_server *server = cls;
    struct context *context = *slot;
    const struct config *config = &server->app->config;
    uint64_t now_ns;

    (void)connection;
    (void)code;
    if (context == NULL) {
        return;
    }
    /* the next request of the connection may let itself be waited for, and then has to be there */
    now_ns = clock_ns();
    observe_end(context, now_ns);
    (void)connection_wait(context->connection, WAIT_HEADERS, (int64_t)(now_ns / 1000000),
                          (config->idle_timeout_s + config->header_timeout_s) * 1000);
    free_context(context);
    *slot = NULL;
    atomic_fetch_sub(&server->n_in_flight, 1);
}

#include <arpa/inet.h>
#include <stdatomic.h>
#include <string.h>

#include "server/app.h"
#include "server/http_server.h"
#include "server/log.h"

/* The status of a request without a reply: 408 where its connection was shut down for being slow. */
enum { STATUS_TIMEOUT = 408 };

void observe_begin(struct context *context)
{
    struct observed *observed = &context->observed;
    const char *given = request_header(&context->request, "X-Request-Id");

    observed->begin_ns = clock_ns();
    if (request_id_is_fit(given)) {
        context->request.id = given;
    } else {
        request_id_make(observed->id);
        context->request.id = observed->id;
    }
}

void observe_reply(struct context *context, unsigned status, uint64_t body_bytes)
{
    bool is_head = strcmp(context->request.method, MHD_HTTP_METHOD_HEAD) == 0;

    context->observed.status = status;
    context->observed.reply_bytes = is_head ? 0 : body_bytes;
    context->observed.why = context->reply.why;
    context->reply.why = NULL;
}

static unsigned status_of(const struct context *context)
{
    const struct connection *connection = context->connection;

    if (context->observed.status != 0) {
        return context->observed.status;
    }
    return connection != NULL && atomic_load(&connection->deadline_ms) == DEADLINE_EXPIRED
               ? STATUS_TIMEOUT
               : STATUS_CLIENT_WENT;
}

/* Writes the client's address; "" where it is not known. */
static void print_address(struct MHD_Connection *connection, char out[INET6_ADDRSTRLEN])
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    const struct sockaddr *address = info != NULL ? info->client_addr : NULL;
    const void *bytes = NULL;

    out[0] = '\0';
    if (address != NULL && address->sa_family == AF_INET) {
        bytes = &((const struct sockaddr_in *)(const void *)address)->sin_addr;
    } else if (address != NULL && address->sa_family == AF_INET6) {
        bytes = &((const struct sockaddr_in6 *)(const void *)address)->sin6_addr;
    }
    if (bytes != NULL) {
        (void)inet_ntop(address->sa_family, bytes, out, INET6_ADDRSTRLEN);
    }
}

static void log_context(const struct context *context, unsigned status, bool is_operator,
                        uint64_t duration_ns)
{
    const struct request *request = &context->request;
    const struct observed *observed = &context->observed;
    char address[INET6_ADDRSTRLEN];
    struct trace trace;

    print_address(request->connection, address);
    (void)trace_parse(request_header(request, "traceparent"), &trace);
    log_request(&(struct log_request){
        .id = request->id,
        .trace_id = trace.trace_id,
        .parent_id = trace.parent_id,
        .client = request->client,
        .address = address,
        .method = request->method,
        .path = request->path,
        .route = observed->route != NULL ? observed->route->path : "",
        .detail = observed->why != NULL ? observed->why : "",
        .status = status,
        .duration_us = duration_ns / 1000,
        .bytes = observed->reply_bytes,
        .is_operator = is_operator,
    });
}

void observe_end(struct context *context, uint64_t now_ns)
{
    const struct route *route = context->observed.route;
    uint64_t duration_ns = now_ns - context->observed.begin_ns;
    unsigned status = status_of(context);
    bool is_operator = route != NULL && route->role == ROLE_OPERATOR;

    counters_request(context->server->app->counters, route, context->request.method, status,
                     duration_ns);
    if (log_request_is_on(status, is_operator)) {
        log_context(context, status, is_operator, duration_ns);
    }
}

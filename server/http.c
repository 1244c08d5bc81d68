#include "server/http.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <microhttpd.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/log.h"
#include "server/respond.h"
#include "server/routes.h"

struct http_server {
    struct app *app;
    struct MHD_Daemon *daemon;
    int listen_fd; /* -1 from http_quiesce() on */
    atomic_size_t n_in_flight;
    atomic_size_t n_held_bytes; /* of large bodies and replies, bounded by transfer_max_bytes */
};

/* A request from its first line to the last byte of its reply. */
struct context {
    const struct route *route; /* NULL: `refusal` will be the reply */
    struct reply refusal;
    bool is_closing; /* the connection ends with the refusal */
    char *body;
    size_t body_size, body_capacity;
    size_t n_held_bytes; /* this request's share of the server's */
};

/* A body that is refused is read and dropped up to this size, so that the client gets to read the
 * reply and keeps its connection; a larger one ends it. */
enum { DROPPED_BODY_BYTES = 1 << 20 };

/* Room for a body that is not known to be larger. What is no larger is not counted as held:
 * connections have a bound of their own. */
enum { FIRST_BODY_BYTES = 4096 };

/* Memory of a connection for headers and pieces of the body. The library zeroes one and a half
 * times as much for every request, so its preset of 32 KiB would push the rest out of the cache. */
#define CONNECTION_BYTES ((size_t)16 << 10)

/* Takes `bytes` from what all connections together may hold; false where that is used up. */
static bool hold_bytes(struct http_server *server, struct context *context, size_t bytes)
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
static void drop_body(struct http_server *server, struct context *context)
{
    if (context->n_held_bytes > 0) {
        atomic_fetch_sub(&server->n_held_bytes, context->n_held_bytes);
        context->n_held_bytes = 0;
    }
    mem_free(context->body);
    context->body = NULL;
    context->body_capacity = 0;
}

static void free_context(struct http_server *server, struct context *context)
{
    drop_body(server, context);
    mem_free(context->refusal.body);
    mem_free(context);
}

/* ---- replies --------------------------------------------------------------------------------- */

static enum MHD_Result add_headers(struct MHD_Response *response, const struct reply *reply,
                                   bool is_closing)
{
    enum MHD_Result ok = MHD_YES;
    char seconds[16];

    if (reply->content_type != NULL) {
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONTENT_TYPE, reply->content_type);
    }
    if (reply->allow != NULL) {
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_ALLOW, reply->allow);
    }
    if (reply->retry_after_s > 0) {
        (void)snprintf(seconds, sizeof seconds, "%d", reply->retry_after_s);
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_RETRY_AFTER, seconds);
    }
    if (is_closing) {
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_CONNECTION, "close");
    }
    return ok;
}

/* Sends a reply; its body is taken over. MHD_NO closes the connection. */
static enum MHD_Result send_reply(const struct http_server *server,
                                  struct MHD_Connection *connection, struct reply *reply,
                                  bool is_closing)
{
    struct MHD_Response *response =
        MHD_create_response_from_buffer_with_free_callback(reply->body_size, reply->body, mem_free);
    enum MHD_Result ok;

    if (response == NULL) {
        mem_free(reply->body);
        reply->body = NULL;
        return MHD_NO;
    }
    reply->body = NULL;
    ok = add_headers(response, reply, is_closing || atomic_load(&server->app->is_draining));
    if (ok == MHD_YES) {
        ok = MHD_queue_response(connection, reply->status, response);
    }
    MHD_destroy_response(response);
    return ok;
}

/* ---- requests -------------------------------------------------------------------------------- */

static const char *header(struct MHD_Connection *connection, const char *name)
{
    return MHD_lookup_connection_value(connection, MHD_HEADER_KIND, name);
}

/* Whether a Content-Type says JSON; none at all passes too. Parameters are of no meaning for JSON.
 */
static bool is_json_type(const char *type)
{
    static const char json[] = "application/json";
    size_t length = sizeof json - 1;

    return type == NULL || (strncasecmp(type, json, length) == 0 &&
                            (type[length] == '\0' || strchr("; \t", type[length]) != NULL));
}

/* What the headers say about where the body ends. */
struct framing {
    unsigned n_lengths; /* Content-Length and Transfer-Encoding */
    bool is_malformed;
};

static enum MHD_Result read_framing(void *cls, enum MHD_ValueKind kind, const char *name,
                                    const char *value)
{
    struct framing *framing = cls;
    bool is_coding = strcasecmp(name, MHD_HTTP_HEADER_TRANSFER_ENCODING) == 0;

    (void)kind;
    if (is_coding || strcasecmp(name, MHD_HTTP_HEADER_CONTENT_LENGTH) == 0) {
        framing->n_lengths++;
    }
    if (name[strcspn(name, " \t")] != '\0' || /* "Content-Length :" would be another header */
        (is_coding && (value == NULL || strcasecmp(value, "chunked") != 0))) {
        framing->is_malformed = true;
    }
    return MHD_YES;
}

/* Why nobody could tell where the body ends, or NULL. The library would take one of several
 * lengths, a proxy before us perhaps another, and the rest of the body would pass for a request;
 * and for a coding that it does not know it would wait until the client goes. */
static const char *find_bad_framing(struct MHD_Connection *connection)
{
    struct framing framing = {0};

    (void)MHD_get_connection_values(connection, MHD_HEADER_KIND, read_framing, &framing);
    if (framing.n_lengths > 1) {
        return "a request gives its length once: by one Content-Length, or by Transfer-Encoding";
    }
    return framing.is_malformed ? "a header's name holds no blanks, and the only Transfer-Encoding "
                                  "that is understood here is chunked"
                                : NULL;
}

/* Length that the client announces: 0 where it announces none. MHD has checked that it is a number.
 */
static unsigned long long announced_length(struct MHD_Connection *connection)
{
    const char *text = header(connection, MHD_HTTP_HEADER_CONTENT_LENGTH);

    return text != NULL ? strtoull(text, NULL, 10) : 0;
}

/* The request will not be carried out: `detail` says which bound it hit. */
static void refuse_bound(const struct request *request, struct context *context, unsigned status,
                         const char *detail)
{
    context->route = NULL;
    mem_free(context->refusal.body);
    memset(&context->refusal, 0, sizeof context->refusal);
    respond_problem(&context->refusal, request, status, detail, NULL);
}

static void refuse_too_large(const struct http_server *server, const struct request *request,
                             struct context *context)
{
    char detail[128];

    (void)snprintf(detail, sizeof detail,
                   "the body is larger than body_max_bytes, which is %lld here",
                   (long long)server->app->config.body_max_bytes);
    refuse_bound(request, context, 413, detail);
}

static void refuse_too_much(const struct http_server *server, const struct request *request,
                            struct context *context)
{
    char detail[160];

    (void)snprintf(detail, sizeof detail,
                   "bodies and replies of other requests leave no room within transfer_max_bytes, "
                   "which is %lld here",
                   (long long)server->app->config.transfer_max_bytes);
    refuse_bound(request, context, 503, detail);
}

/* Decides on the headers alone whether the request will be carried out. */
static void judge(const struct http_server *server, struct MHD_Connection *connection,
                  const struct request *request, struct context *context)
{
    const char *bad_framing = find_bad_framing(connection);
    const char *allow;

    if (bad_framing != NULL) {
        context->is_closing = true;
        respond_problem(&context->refusal, request, 400, bad_framing, NULL);
        return;
    }
    context->route = route_match(request->method, request->path, &allow);
    if (context->route == NULL && allow == NULL) {
        respond_problem(&context->refusal, request, 404, "there is nothing at this path", NULL);
    } else if (context->route == NULL) {
        respond_problem(&context->refusal, request, 405, "this path does not take that method",
                        NULL);
        context->refusal.allow = allow;
    } else if (context->route->body == BODY_JSON &&
               !is_json_type(header(connection, MHD_HTTP_HEADER_CONTENT_TYPE))) {
        context->route = NULL;
        respond_problem(&context->refusal, request, 415,
                        "send the body as Content-Type: application/json", NULL);
    } else if (announced_length(connection) >
               (unsigned long long)server->app->config.body_max_bytes) {
        refuse_too_large(server, request, context);
    }
}

static enum MHD_Result begin(struct http_server *server, struct MHD_Connection *connection,
                             const struct request *request, void **slot)
{
    struct context *context = mem_calloc(1, sizeof *context);

    if (context == NULL) {
        return MHD_NO;
    }
    *slot = context;
    atomic_fetch_add(&server->n_in_flight, 1);
    judge(server, connection, request, context);
    if (context->is_closing ||
        (context->route == NULL && announced_length(connection) > DROPPED_BODY_BYTES)) {
        return send_reply(server, connection, &context->refusal, true);
    }
    return MHD_YES;
}

/* Keeps a piece of the body, or drops it where the request is refused anyway. */
static enum MHD_Result receive(struct http_server *server, const struct request *request,
                               struct context *context, const char *bytes, size_t size)
{
    size_t limit = (size_t)server->app->config.body_max_bytes;

    if (context->route == NULL) {
        context->body_size += size;
        return context->body_size <= DROPPED_BODY_BYTES + limit ? MHD_YES : MHD_NO;
    }
    if (size > limit - context->body_size) { /* only a chunked body gets this far */
        refuse_too_large(server, request, context);
        return MHD_YES;
    }
    if (context->body_size + size > context->body_capacity) {
        size_t capacity = context->body_capacity > 0 ? context->body_capacity : FIRST_BODY_BYTES;
        char *grown;
        while (capacity < context->body_size + size) {
            capacity *= 2;
        }
        if (!hold_bytes(server, context, capacity - context->body_capacity)) {
            drop_body(server, context);
            refuse_too_much(server, request, context);
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

static enum MHD_Result answer(struct http_server *server, struct MHD_Connection *connection,
                              struct request *request, struct context *context)
{
    struct reply reply = {0};

    if (context->route == NULL) {
        return send_reply(server, connection, &context->refusal, false);
    }
    request->body = context->body;
    request->body_size = context->body_size;
    context->route->handle(server->app, request, &reply);
    drop_body(server, context);
    if (!hold_bytes(server, context, reply.body_size)) {
        mem_free(reply.body);
        refuse_too_much(server, request, context);
        return send_reply(server, connection, &context->refusal, false);
    }
    return send_reply(server, connection, &reply, false);
}

/* Called by the library when the headers are there, for every piece of the body, and at its end. */
static enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                                  const char *method, const char *version, const char *upload,
                                  size_t *upload_size, void **slot)
{
    struct http_server *server = cls;
    struct context *context = *slot;
    struct request request = {.method = method, .path = path};

    (void)version;
    if (context == NULL) {
        return begin(server, connection, &request, slot);
    }
    if (*upload_size > 0) {
        enum MHD_Result ok = receive(server, &request, context, upload, *upload_size);
        *upload_size = 0;
        return ok;
    }
    return answer(server, connection, &request, context);
}

static void on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                         enum MHD_RequestTerminationCode code)
{
    struct http_server *server = cls;

    (void)connection;
    (void)code;
    if (*slot != NULL) {
        free_context(server, *slot);
        *slot = NULL;
        atomic_fetch_sub(&server->n_in_flight, 1);
    }
}

/* A path or argument with an escaped NUL would end early as a C string: leave such escapes as they
 * are. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strstr(text, "%00") != NULL ? strlen(text) : MHD_http_unescape(text);
}

static void on_library_log(void *cls, const char *format, va_list args)
{
    char message[512];

    (void)cls;
    (void)vsnprintf(message, sizeof message, format, args);
    message[strcspn(message, "\r\n")] = '\0';
    log_write(LOG_WARNING, "libmicrohttpd: %s", message);
}

/* ---- start and stop -------------------------------------------------------------------------- */

static enum err make_address(const struct config *config, struct sockaddr_storage *out,
                             socklen_t *size, struct error *err)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;

    memset(out, 0, sizeof *out);
    if (inet_pton(AF_INET, config->bind, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)config->port);
        *size = sizeof *v4;
        return ERR_OK;
    }
    if (inet_pton(AF_INET6, config->bind, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)config->port);
        *size = sizeof *v6;
        return ERR_OK;
    }
    return error_set(err, ERR_INVALID, "bind must be an IPv4 or IPv6 address, not \"%.60s\"",
                     config->bind);
}

/* The listening socket is made here rather than by the library, so that a failure says why. */
static enum err listen_on(const struct config *config, int *out, struct error *err)
{
    struct sockaddr_storage address;
    socklen_t size = 0;
    int yes = 1;
    int fd;
    int failed;
    enum err rc = make_address(config, &address, &size, err);

    if (rc != ERR_OK) {
        return rc;
    }
    fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) {
        return error_sys(err, errno, "cannot create a socket");
    }
    failed = setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) != 0 ||
             bind(fd, (const struct sockaddr *)&address, size) != 0 || listen(fd, 1024) != 0;
    if (failed) {
        error_sys(err, errno, "cannot listen on %s port %lld", config->bind,
                  (long long)config->port);
        (void)close(fd);
        return ERR_IO;
    }
    *out = fd;
    return ERR_OK;
}

static unsigned thread_count(const struct config *config)
{
    long n_cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (config->http_threads > 0) {
        return (unsigned)config->http_threads;
    }
    return n_cores > 0 ? (unsigned)n_cores : 1U;
}

/* The bounds are for all threads together. The daemon has no listening socket: were it left to the
 * threads, the first to wake would take most of a burst of connections, and one core would idle. */
static struct MHD_Daemon *start_daemon(struct http_server *server)
{
    const struct config *config = &server->app->config;
    unsigned n_threads = thread_count(config);
    unsigned limit = (unsigned)config->connections_max;

    limit = limit < n_threads ? n_threads : limit;
    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_USE_ITC | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_TURBO |
            MHD_USE_ERROR_LOG,
        0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, NULL,
        MHD_OPTION_THREAD_POOL_SIZE, n_threads > 1 ? n_threads : 0U, MHD_OPTION_CONNECTION_LIMIT,
        limit, MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->connections_per_address_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->idle_timeout_s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT,
        CONNECTION_BYTES, MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_END);
}

enum err http_start(struct app *app, struct http_server **out, struct error *err)
{
    struct http_server *server = mem_calloc(1, sizeof *server);
    int fd = -1;
    enum err rc;

    if (server == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the HTTP server");
    }
    server->app = app;
    server->listen_fd = -1;
    rc = listen_on(&app->config, &fd, err);
    if (rc == ERR_OK) {
        server->daemon = start_daemon(server);
        if (server->daemon == NULL) {
            (void)close(fd);
            rc = error_set(err, ERR_INTERNAL, "libmicrohttpd did not start");
        }
    }
    if (rc != ERR_OK) {
        mem_free(server);
        return rc;
    }
    server->listen_fd = fd;
    *out = server;
    return ERR_OK;
}

int http_listen_fd(const struct http_server *server)
{
    return server->listen_fd;
}

bool http_accept(struct http_server *server)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd;

    while ((fd = accept(server->listen_fd, (struct sockaddr *)&address, &size)) >= 0) {
        /* the library sets the socket's flags, and closes it where it cannot take it */
        (void)MHD_add_connection(server->daemon, fd, (const struct sockaddr *)&address, size);
        size = sizeof address;
    }
    return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
}

uint16_t http_port(const struct http_server *server)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    if (getsockname(server->listen_fd, (struct sockaddr *)&address, &size) != 0) {
        return 0;
    }
    return ntohs(address.ss_family == AF_INET6 ? ((const struct sockaddr_in6 *)&address)->sin6_port
                                               : ((const struct sockaddr_in *)&address)->sin_port);
}

void http_quiesce(struct http_server *server)
{
    if (server->listen_fd >= 0) {
        (void)close(server->listen_fd);
        server->listen_fd = -1;
    }
}

size_t http_in_flight(const struct http_server *server)
{
    return atomic_load(&server->n_in_flight);
}

void http_stop(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    MHD_stop_daemon(server->daemon);
    if (server->listen_fd >= 0) {
        (void)close(server->listen_fd);
    }
    mem_free(server);
}

#include "server/http.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/http_server.h"
#include "server/log.h"
#include "server/tls.h"

enum { REFUSED_TELL_MS = 1000, RECOUNT_AFTER_MS = 1000 };

/* Memory of a connection for headers and pieces of the body. The library reads bodies in pieces of half
 * of it, so large ones want more: with 16 KiB a tensor of 600 KB takes a fifth longer. It zeroes one and
 * a half times as much for every request, which with 64 KiB takes longer than the request. */
#define CONNECTION_BYTES ((size_t)32 << 10)

/* A path or argument with an escaped NUL would end early as a C string: leave such escapes as they
 * are. */
static size_t unescape(void *cls, struct MHD_Connection *connection, char *text)
{
    (void)cls;
    (void)connection;
    return strstr(text, "%00") != NULL ? strlen(text) : MHD_http_unescape(text);
}

/* Once the service runs, what the library has to say is about what some client did wrong: clients
 * must not be able to fill the log. */
static void on_library_log(void *cls, const char *format, va_list args)
{
    const struct http_server *server = cls;
    bool is_running = atomic_load(&server->is_running);
    char message[512];

    if (is_running && server->app->config.log_level < LOG_DEBUG) {
        return;
    }
    (void)vsnprintf(message, sizeof message, format, args);
    message[strcspn(message, "\r\n")] = '\0';
    log_write(is_running ? LOG_DEBUG : LOG_WARNING, "libmicrohttpd: %s", message);
}

/* ---- start and stop -------------------------------------------------------------------------- */

/* A setting of 0 is one thread a core, less `n_spare`, and at least one. */
static unsigned thread_count(int64_t setting, unsigned n_spare)
{
    long n_cores = sysconf(_SC_NPROCESSORS_ONLN);

    if (setting > 0) {
        return (unsigned)setting;
    }
    return n_cores > (long)n_spare ? (unsigned)n_cores - n_spare : 1U;
}

/* Cores that I/O threads leave to those whom they wait for: the pool, the loop, and clients on the
 * same machine. Taking turns on a core with them costs more than one thread more brings. */
enum { SPARE_CORES = 1 };

/* What the library is told besides, with TLS and without. */
static const struct MHD_OptionItem nothing[] = {
    {MHD_OPTION_END, 0, NULL}
};
static const struct MHD_OptionItem tls[] = {
    {MHD_OPTION_HTTPS_CERT_CALLBACK2, 0, (void *)tls_retrieve  },
    {MHD_OPTION_HTTPS_PRIORITIES,     0, (void *)tls_priorities},
    {MHD_OPTION_END,                  0, NULL                  },
};

/* A thread of the library that reaches its bound on connections waits for itself for ever (0.9.75),
 * and its bound is its share of what is set here: so the bound is ours to keep, http_take(),
 * and theirs is set where it is not reached. */
enum { SPARE_CONNECTIONS = 64 };

/* The bounds are for all threads together. The daemon has no listening socket: were it left to the
 * threads, the first to wake would take most of a burst of connections, and one core would idle. */
static struct MHD_Daemon *start_daemon(struct http_server *server)
{
    const struct config *config = &server->app->config;
    unsigned n_threads = thread_count(config->http_threads, SPARE_CORES);
    unsigned limit = ((unsigned)config->connections_max + SPARE_CONNECTIONS) * n_threads;
    bool has_tls = server->app->security.has_tls;
    /* a pool of one would be no pool, and the library would say so in the log */
    const struct MHD_OptionItem threads[] = {
        {n_threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, (intptr_t)n_threads, NULL},
        {MHD_OPTION_END,                                               0,                   NULL},
    };

    return MHD_start_daemon(
        MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET |
            MHD_USE_TURBO | MHD_USE_ERROR_LOG | (has_tls ? MHD_USE_TLS : 0),
        0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER, on_library_log, server,
        MHD_OPTION_ARRAY, threads, MHD_OPTION_CONNECTION_LIMIT, limit,
        MHD_OPTION_PER_IP_CONNECTION_LIMIT, (unsigned)config->connections_per_address_max,
        MHD_OPTION_CONNECTION_TIMEOUT, (unsigned)config->idle_timeout_s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, server, MHD_OPTION_NOTIFY_CONNECTION,
        on_connection, server, MHD_OPTION_CONNECTION_MEMORY_LIMIT, CONNECTION_BYTES,
        MHD_OPTION_UNESCAPE_CALLBACK, unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_target, NULL,
        MHD_OPTION_ARRAY, has_tls ? tls : nothing, MHD_OPTION_END);
}

enum err http_start(struct app *app, struct http_server **out, struct error *err)
{
    struct http_server *server = mem_calloc(1, sizeof *server);
    enum err rc;

    if (server == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the HTTP server");
    }
    server->app = app;
    app->http = server;
    server->is_library_known = framing_is_library_known();
    if (!server->is_library_known) {
        log_write(LOG_WARNING,
                  "libmicrohttpd %s: which malformed heads of requests it takes is not known, "
                  "and not looked into",
                  MHD_get_version());
    }
    (void)pthread_mutex_init(&server->lock, NULL); /* cannot fail on Linux with no attributes */
    rc = app->listeners.n > 0 ? ERR_OK : listeners_bind(&app->config, &app->listeners, err);
    if (rc == ERR_OK) {
        rc = pool_start(thread_count(app->config.pool_threads, 0), &server->pool, err);
    }
    if (rc == ERR_OK) {
        server->daemon = start_daemon(server);
        if (server->daemon == NULL) {
            rc = error_set(err, ERR_INTERNAL, "libmicrohttpd did not start");
        }
    }
    if (rc != ERR_OK) {
        http_stop(server);
        return rc;
    }
    atomic_store(&server->is_running, true);
    *out = server;
    return ERR_OK;
}

/* A connection was not taken: says by which bound, once a second at most. */
static void tell_refused(struct http_server *server, const char *bound, int64_t value)
{
    int64_t now_ms = clock_ms();

    server->n_refused++;
    if (now_ms < server->refused_told_ms + REFUSED_TELL_MS) {
        return;
    }
    log_write(LOG_WARNING, "connections refused: %zu, the last by %s, which is %lld",
              server->n_refused, bound, (long long)value);
    server->n_refused = 0;
    server->refused_told_ms = now_ms;
}

/* Gives a fresh connection to the library, which sets the socket's flags, and closes it where it
 * does not take it. */
void http_take(struct http_server *server, int fd, const struct sockaddr *address, socklen_t size)
{
    const struct config *config = &server->app->config;

    if (atomic_load(&server->n_open) >= config->connections_max) {
        (void)close(fd);
        counters_refused(server->app->counters, REFUSED_CONNECTIONS);
        tell_refused(server, "connections_max", config->connections_max);
        return;
    }
    atomic_fetch_add(&server->n_open, 1);
    if (MHD_add_connection(server->daemon, fd, address, size) == MHD_NO) {
        bool is_address = errno == ENFILE; /* the library says so for its bounds */
        atomic_fetch_sub(&server->n_open, 1);
        counters_refused(server->app->counters,
                         is_address ? REFUSED_CONNECTIONS_OF_ADDRESS : REFUSED_FOR_WANT);
        if (is_address) {
            tell_refused(server, "connections_per_address_max",
                         config->connections_per_address_max);
        }
    }
}

bool http_accept(struct http_server *server, int listen_fd)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;
    int fd;

    while ((fd = accept(listen_fd, (struct sockaddr *)&address, &size)) >= 0) {
        http_take(server, fd, (const struct sockaddr *)&address, size);
        size = sizeof address;
        server->accepted_ms = clock_ms();
    }
    return errno != EMFILE && errno != ENFILE && errno != ENOMEM && errno != ENOBUFS;
}

void http_recount(struct http_server *server)
{
    const union MHD_DaemonInfo *info;

    if (clock_ms() < server->accepted_ms + RECOUNT_AFTER_MS) {
        return; /* there may be some that no thread has begun to serve */
    }
    info = MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS);
    if (info != NULL) {
        atomic_store(&server->n_open, (long)info->num_connections);
    }
}

void http_quiesce(struct http_server *server)
{
    atomic_store(&server->is_refusing, true);
    listeners_close(&server->app->listeners);
}

struct pool *http_pool(struct http_server *server)
{
    return server->pool;
}

size_t http_in_flight(const struct http_server *server)
{
    return atomic_load(&server->n_in_flight);
}

size_t http_n_open(const struct http_server *server)
{
    long n = atomic_load(&server->n_open);

    return n > 0 ? (size_t)n : 0;
}

size_t http_n_connections(struct http_server *server)
{
    size_t n;

    (void)pthread_mutex_lock(&server->lock);
    n = server->n_connections;
    (void)pthread_mutex_unlock(&server->lock);
    return n;
}

size_t http_held_bytes(const struct http_server *server)
{
    return atomic_load(&server->n_held_bytes);
}

void http_stop(struct http_server *server)
{
    if (server == NULL) {
        return;
    }
    http_quiesce(server);
    pool_stop(server->pool); /* resumes every connection that is suspended */
    if (server->daemon != NULL) {
        MHD_stop_daemon(server->daemon); /* its threads may ask the pool until then */
    }
    pool_destroy(server->pool);
    (void)pthread_mutex_destroy(&server->lock);
    server->app->http = NULL;
    mem_free(server);
}

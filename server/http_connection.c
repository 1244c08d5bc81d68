#define _GNU_SOURCE /* POLLRDHUP; NOLINT(bugprone-reserved-identifier) */
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "core/mem.h"
#include "proto/text.h"
#include "server/app.h"
#include "server/http_server.h"
#include "server/log.h"

/* The library's own timeout counts idleness only: who sends a byte now and then would hold a
 * connection for ever. So each connection has a point in time by which what is waited for must be
 * there. The thread that serves the connection moves it, http_reap() looks for those that have
 * passed, and an atomic exchange decides who was first. */

uint64_t clock_ns(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

int64_t clock_ms(void)
{
    return (int64_t)(clock_ns() / 1000000);
}

static void add(struct http_server *server, struct connection *connection)
{
    (void)pthread_mutex_lock(&server->lock);
    connection->next = server->connections;
    if (connection->next != NULL) {
        connection->next->previous = connection;
    }
    server->connections = connection;
    server->n_connections++;
    (void)pthread_mutex_unlock(&server->lock);
}

static void drop(struct http_server *server, struct connection *connection)
{
    (void)pthread_mutex_lock(&server->lock);
    if (connection->next != NULL) {
        connection->next->previous = connection->previous;
    }
    if (connection->previous != NULL) {
        connection->previous->next = connection->next;
    } else {
        server->connections = connection->next;
    }
    server->n_connections--;
    (void)pthread_mutex_unlock(&server->lock);
    mem_free(connection);
}

void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                   enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = cls;

    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        atomic_fetch_sub(&server->n_open, 1);
    }
    if (code == MHD_CONNECTION_NOTIFY_STARTED) {
        const union MHD_ConnectionInfo *info =
            MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
        struct connection *record = mem_calloc(1, sizeof *record);
        if (record == NULL || info == NULL) {
            mem_free(record);
            return;
        }
        record->fd = info->connect_fd;
        atomic_init(&record->waiting_for, WAIT_HEADERS);
        atomic_init(&record->idle_since_ms, clock_ms());
        atomic_init(&record->deadline_ms,
                    record->idle_since_ms + server->app->config.header_timeout_s * 1000);
        add(server, record);
        *socket_context = record;
    } else if (*socket_context != NULL) { /* called before the library closes the socket */
        drop(server, *socket_context);
        *socket_context = NULL;
    }
}

struct connection *connection_of(struct MHD_Connection *connection)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);

    return info != NULL ? info->socket_context : NULL;
}

bool connection_wait(struct connection *connection, enum wait wait, int64_t now_ms,
                     int64_t limit_ms)
{
    int64_t deadline_ms = limit_ms == DEADLINE_NONE ? DEADLINE_NONE : now_ms + limit_ms;

    if (connection == NULL) {
        return true;
    }
    if (wait == WAIT_HEADERS) {
        atomic_store_explicit(&connection->idle_since_ms, now_ms, memory_order_relaxed);
    }
    atomic_store_explicit(&connection->waiting_for, (int)wait, memory_order_relaxed);
    if (atomic_exchange(&connection->deadline_ms, deadline_ms) != DEADLINE_EXPIRED) {
        return true;
    }
    atomic_store(&connection->deadline_ms, DEADLINE_EXPIRED);
    return false;
}

/* Tells a client that would still listen. The library writes nothing meanwhile: it waits for the
 * request, and connection_wait() will not let it answer any more. */
static void say_timeout(const struct connection *connection, const char *what)
{
    struct text text = {0};

    text_printf(&text,
                "HTTP/1.1 408 Request Timeout\r\nContent-Type: text/plain\r\nConnection: close\r\n"
                "Content-Length: %zu\r\n\r\n%s did not arrive in time\n",
                strlen(what) + sizeof " did not arrive in time\n" - 1, what);
    if (!text.has_failed) {
        (void)send(connection->fd, text.bytes, text.size, MSG_DONTWAIT | MSG_NOSIGNAL);
    }
    text_close(&text);
}

static void expire(const struct http_server *server, struct connection *connection)
{
    enum wait wait = (enum wait)atomic_load(&connection->waiting_for);
    bool is_plain = server->app->config.tls_certificate_file[0] == '\0';

    if (is_plain && wait != WAIT_REPLY_READ) {
        say_timeout(connection, wait == WAIT_BODY ? "the body" : "the headers");
    }
    /* the library finds the end of the stream, and closes */
    (void)shutdown(connection->fd, SHUT_RDWR);
}

/* Whether the client sends no more, while something of it is waited for. */
static bool has_half_closed(const struct connection *connection)
{
    struct pollfd at = {.fd = connection->fd, .events = POLLRDHUP};

    return atomic_load_explicit(&connection->waiting_for, memory_order_relaxed) !=
               WAIT_REPLY_READ &&
           poll(&at, 1, 0) == 1;
}

size_t http_reap(struct http_server *server)
{
    int64_t now_ms = clock_ms();
    size_t n = 0;

    http_recount(server);
    (void)pthread_mutex_lock(&server->lock); /* keeps the sockets open */
    for (struct connection *c = server->connections; c != NULL; c = c->next) {
        int64_t deadline_ms = atomic_load(&c->deadline_ms);
        if (deadline_ms != DEADLINE_EXPIRED && deadline_ms <= now_ms &&
            atomic_compare_exchange_strong(&c->deadline_ms, &deadline_ms, DEADLINE_EXPIRED)) {
            expire(server, c);
            n++;
        } else if (has_half_closed(c)) {
            /* The library misses an end that arrives together with data: it does not read again
             * where it got less than it had room for. Shutting what is shut makes a new event. */
            (void)shutdown(c->fd, SHUT_RD);
        }
    }
    (void)pthread_mutex_unlock(&server->lock);
    return n;
}

/* Whether the client has sent what nobody has read yet. */
static bool has_sent(const struct connection *connection)
{
    char byte;

    return recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0;
}

void http_close_idle(struct http_server *server, int64_t idle_ms)
{
    int64_t now_ms = clock_ms();

    (void)pthread_mutex_lock(&server->lock);
    for (struct connection *c = server->connections; c != NULL; c = c->next) {
        /* read first: a request that begins meanwhile moves it, and so stays */
        int64_t deadline_ms = atomic_load(&c->deadline_ms);
        if (deadline_ms != DEADLINE_EXPIRED && atomic_load(&c->waiting_for) == WAIT_HEADERS &&
            atomic_load(&c->idle_since_ms) + idle_ms <= now_ms && !has_sent(c) &&
            atomic_compare_exchange_strong(&c->deadline_ms, &deadline_ms, DEADLINE_EXPIRED)) {
            (void)shutdown(c->fd, SHUT_RDWR);
        }
    }
    (void)pthread_mutex_unlock(&server->lock);
}

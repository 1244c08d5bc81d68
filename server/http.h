/* The HTTP server: libmicrohttpd's epoll threads, request contexts, bodies and replies, and the pool
 * that large requests run on.
 *
 * http_start() returns once the port is bound; from then on handlers run in the library's threads
 * until http_stop(). The app is borrowed and must outlive the server. */
#ifndef DGLD_SERVER_HTTP_H
#define DGLD_SERVER_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include "core/error.h"

struct app;
struct http_server;
struct pool;

/* Binds the address of the settings, unless the app has listeners already. ERR_INVALID for an address
 * that is none, ERR_IO where it cannot be bound. */
enum err http_start(struct app *app, struct http_server **out, struct error *err);

/* What the loop does when somebody waits at a listening socket, which it watches until
 * http_quiesce(): takes all who wait, and deals them out to the threads in turn. False where the
 * system has no descriptors or memory left: then the loop had better look away for a moment. */
bool http_accept(struct http_server *server, int listen_fd);

/* Serves a connection that somebody else has made, from that address; `fd` is the server's from then
 * on, which may close it at once, for a bound say. Of the loop's thread. */
void http_take(struct http_server *server, int fd, const struct sockaddr *address, socklen_t size);

/* Closes the app's listeners, and accepts no further connections; those that are open are served
 * on, each until its next reply, which tells the client that it is the last one there. */
void http_quiesce(struct http_server *server);

/* Shuts down the connections whose absolute deadline has passed (headers, body, a reply that is not
 * read); to be called now and then. Returns how many. */
size_t http_reap(struct http_server *server);

/* Shuts down the connections that have waited for a request for `idle_ms` or more. One that
 * has sent what nobody has read yet stays. */
void http_close_idle(struct http_server *server, int64_t idle_ms);

/* The threads that large requests run on, for other work of that kind. */
struct pool *http_pool(struct http_server *server);

/* Requests that have begun and are not answered whole. */
size_t http_in_flight(const struct http_server *server);

/* Connections that were taken and are not closed; more than the next tells, by those that no thread
 * has begun to serve. */
size_t http_n_open(const struct http_server *server);

/* Connections that are open, and bytes of large bodies and replies that are held; from any thread.
 */
size_t http_n_connections(struct http_server *server);
size_t http_held_bytes(const struct http_server *server);

/* Closes what is open and ends the threads. Accepts NULL. */
void http_stop(struct http_server *server);

#endif

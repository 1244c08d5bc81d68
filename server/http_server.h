/* What the files of the HTTP server share. Nobody else includes this.
 *
 *   http.c             the listening socket, the library's daemon, start and stop
 *   http_connection.c  connections and their absolute deadlines
 *   http_framing.c     whether a request's head means to everyone what it means to the library
 *   http_request.c     a request: judged by its headers, received, answered on the spot or on the pool
 *   http_observe.c     what is counted and logged of a request
 *   http_guard.c       who may call, and how often
 *   http_browser.c     what replies tell browsers
 *   http_reply.c       a reply: headers, compression, hand-over to the library */
#ifndef DGLD_SERVER_HTTP_SERVER_H
#define DGLD_SERVER_HTTP_SERVER_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <microhttpd.h>

#include "server/http.h"
#include "server/pool.h"
#include "server/routes.h"
#include "server/tokens.h"
#include "server/trace.h"

/* A connection from its accept to its close; the library's socket context. */
struct connection {
    struct connection *next, *previous; /* in the server's list, under its lock */
    int fd;                             /* open while the connection is in the list */
    _Atomic int64_t deadline_ms;        /* of the monotonic clock, or one of the values below */
    _Atomic int64_t idle_since_ms;      /* likewise: since when it waits for headers */
    _Atomic int waiting_for;            /* enum wait */
    /* of the request that is being read, of the thread that reads it */
    size_t target_bytes; /* of its target as it was sent */
    bool is_target_fit;  /* which holds no blanks and control characters */
};

/* What a connection's deadline is for. */
enum wait { WAIT_HEADERS, WAIT_BODY, WAIT_REPLY_READ };

#define DEADLINE_NONE    INT64_MAX
#define DEADLINE_EXPIRED INT64_MIN /* the connection was shut down */

struct http_server {
    struct app *app;
    struct MHD_Daemon *daemon;
    struct pool *pool;
    atomic_bool is_running;
    bool is_library_known; /* framing_is_library_known() */
    atomic_long n_open;    /* connections, bounded by connections_max */
    /* of the loop's thread */
    size_t n_refused; /* connections since refused_told_ms */
    int64_t refused_told_ms, accepted_ms;
    atomic_size_t n_in_flight;
    atomic_size_t n_held_bytes; /* of large bodies and replies, bounded by transfer_max_bytes */
    pthread_mutex_t lock;       /* of the list of connections */
    struct connection *connections;
    size_t n_connections;    /* in the list */
    atomic_bool is_refusing; /* no connection is taken any more: each reply ends its own */
};

/* What is counted and logged of a request. */
struct observed {
    uint64_t begin_ns;         /* monotonic clock, when the headers were there */
    const struct route *route; /* the one that was asked for, carried out or refused; or NULL */
    unsigned status;           /* of the reply that was sent; 0 while there is none */
    uint64_t reply_bytes;
    char *why;                      /* owned: what a reply of 5xx said; or NULL */
    char id[REQUEST_ID_MADE_BYTES]; /* "" where the client gave one */
};

/* A request from its headers to the last byte of its reply. */
struct context {
    struct pool_job job; /* first: where the request runs on the pool */
    struct http_server *server;
    struct connection *connection; /* NULL for want of memory: then without deadlines */
    const struct route *route;     /* NULL: `reply` is a refusal, made already */
    struct request request;
    struct request_state state;
    struct reply reply;
    char *places; /* owned: the bytes of request.params */
    char *body;   /* owned */
    size_t body_size, body_capacity;
    size_t announced_bytes; /* of the body; 0 where it comes in chunks */
    size_t n_held_bytes;    /* this request's share of the server's */
    int64_t received_ms;    /* monotonic clock, when the headers were there */
    int64_t submitted_ms;   /* likewise, when the pool was given it */
    struct observed observed;
    bool is_closing;          /* the connection ends with the reply */
    bool is_answered_at_once; /* without waiting for the body: `reply` is a refusal */
    bool is_answered;         /* the handler has run, or there is none to run */
    bool is_resumed;          /* the handler waited, and is to be called again */
    char allow[ROUTE_ALLOW_BYTES];
    char client[TOKEN_NAME_BYTES]; /* where request.client points, once a token was given */
};

/* Takes `bytes` from what all connections together may hold; false where that is used up. */
bool hold_bytes(struct http_server *server, struct context *context, size_t bytes);

/* ---- http_connection.c ------------------------------------------------------------------------ */

/* Nanoseconds and milliseconds of the monotonic clock. */
uint64_t clock_ns(void);
int64_t clock_ms(void);

/* Sets n_open to what the library counts, once all that were accepted are counted there: a
 * connection that fails before it begins is never told of. Of the loop's thread. */
void http_recount(struct http_server *server);

/* MHD_NotifyConnectionCallback. */
void on_connection(void *cls, struct MHD_Connection *connection, void **socket_context,
                   enum MHD_ConnectionNotificationCode code);

struct connection *connection_of(struct MHD_Connection *connection);

/* From now on the connection has `limit_ms` for what it is waited for, or any time where it is
 * DEADLINE_NONE. False where its last deadline has passed and it was shut down. Accepts NULL. */
bool connection_wait(struct connection *connection, enum wait wait, int64_t now_ms,
                     int64_t limit_ms);

/* ---- http_framing.c --------------------------------------------------------------------------- */

/* What the headers say of the body that follows them. */
struct framing {
    unsigned long long length;  /* announced; 0 where none is */
    bool is_chunked;            /* its length shows as it comes */
    bool is_expecting;          /* the client waits for 100 Continue before it sends it */
    bool has_other_expectation; /* which nobody here can meet */
    const char *coding;         /* that the body is said to have, as a part of the head; or NULL */
};

/* Whether the linked library lays out a head as framing_read() expects. If not, what the library
 * itself lets pass is not found. */
bool framing_is_library_known(void);

/* The library's callback for the target as it was sent, before anything is read out of it. */
void *on_target(void *cls, const char *target, struct MHD_Connection *connection);

/* Why others could understand the head of the request otherwise, or NULL: then `out` is filled.
 * `target` and `version` are those that the library gives. */
const char *framing_read(const struct context *context, const char *target, const char *version,
                         struct framing *out);

/* ---- http_request.c --------------------------------------------------------------------------- */

/* MHD_AccessHandlerCallback and MHD_RequestCompletedCallback. */
enum MHD_Result on_request(void *cls, struct MHD_Connection *connection, const char *path,
                           const char *method, const char *version, const char *upload,
                           size_t *upload_size, void **slot);
void on_completed(void *cls, struct MHD_Connection *connection, void **slot,
                  enum MHD_RequestTerminationCode code);

/* ---- http_observe.c --------------------------------------------------------------------------- */

/* When the headers are there: gives the request its id, and notes the time. */
void observe_begin(struct context *context);

/* When a reply was handed over. */
void observe_reply(struct context *context, unsigned status, uint64_t body_bytes);

/* When the request has ended, with a reply or without: counts it, and logs it where it has to be. */
void observe_end(struct context *context, uint64_t now_ns);
/* The request will not be carried out; a reply that was there is dropped. */
void refuse(struct context *context, unsigned status, const char *detail);

/* ---- http_guard.c ----------------------------------------------------------------------------- */

/* Whether the address may make one more request, and whether the caller may use this route; `route`
 * is that of the request, NULL where there is none. False: the request was refused. */
bool guard_rate(struct context *context, const struct route *route);
bool guard_caller(struct context *context, const struct route *route);

/* ---- http_browser.c --------------------------------------------------------------------------- */

/* Adds what browsers are told, but for what the handler has said itself. */
enum MHD_Result browser_add_headers(struct MHD_Response *response, const struct context *context);

/* ---- http_reply.c ----------------------------------------------------------------------------- */

/* Compresses the body of the context's reply where the client takes that and it pays. */
void compress_reply(struct context *context);

/* Sends the context's reply and ends it. MHD_NO closes the connection. */
enum MHD_Result send_reply(struct context *context);

#endif

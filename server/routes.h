/* The table of addresses: what each takes, who may call it, where it runs, and who answers. */
#ifndef DGLD_SERVER_ROUTES_H
#define DGLD_SERVER_ROUTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "server/role.h"

struct app;
struct data_tree;
struct MHD_Connection;

enum { ROUTE_MAX_PLACES = 3, ROUTE_ALLOW_BYTES = 64, REPLY_MAX_HEADERS = 8 };

/* What a handler keeps of a request that waits, from one call to the next. */
struct request_state {
    void *data;              /* NULL at the first call */
    void (*end)(void *data); /* called when the request is over; may be NULL */
};

/* A request as handlers see it; everything is borrowed for the call. */
struct request {
    const char *method;
    const char *path;                     /* percent-decoded */
    const char *params[ROUTE_MAX_PLACES]; /* what stands in the route's {places}, never empty */
    const char *body;                     /* NULL where there is none */
    size_t body_size;
    const char *id;               /* for the log; "" where there is none */
    const char *client;           /* name of the token that was given; "" where there is none */
    const struct data_tree *tree; /* paths that replies tell are below it */
    bool is_on_pool;
    struct request_state *state;
    struct MHD_Connection *connection; /* for request_header() and request_query() alone */
};

/* The value of a header or of a query's argument (percent-decoded); NULL where there is none. Of the
 * thread that runs the handler. */
const char *request_header(const struct request *request, const char *name);
const char *request_query(const struct request *request, const char *name);

/* Lets the handler of a request that waits be called again. Once for each time that it waits, from
 * any thread; the request is the caller's no more. */
void request_resume(const struct request *request);

/* A body that is made while it is sent: one of a known size, or one that lasts for as long as the
 * client listens. The functions are called in the I/O thread. */
struct reply_stream {
    /* Writes at most `size` (at least 1) bytes. Returns how many; 0 where there are none yet, then
     * wait() is called; -1 at the end. */
    ptrdiff_t (*read)(struct reply_stream *stream, char *bytes, size_t size);
    /* Arranges that stream_resume() is called once, from any thread, at once or later. */
    void (*wait)(struct reply_stream *stream);
    void (*close)(struct reply_stream *stream); /* ends and frees it; nothing waits then */
    uint64_t
        size; /* of the whole, which read() then gives without waiting; 0 where it is unknown */
    size_t held_bytes; /* memory that counts to transfer_max_bytes */
    /* A client that does not take what was read within that is dropped. One that is sent a known
     * size has reply_timeout_s for all of it instead, as for any reply. */
    int64_t write_timeout_ms;
    struct context *context; /* the HTTP server's */
};

void stream_resume(struct reply_stream *stream);

struct reply_header {
    const char *name; /* static */
    char *value;      /* owned */
};

/* A reply in the making. The handler fills it by the functions of server/respond.h. */
struct reply {
    unsigned status;
    const char *content_type; /* static */
    char *body;               /* owned, unless is_static */
    size_t body_size;
    bool is_static;  /* the body lives as long as the program */
    bool is_starved; /* there was no memory for the body */
    bool has_file;   /* the body is this part of a file instead; `fd` is owned */
    int fd;
    uint64_t file_offset, file_size;
    const char *allow; /* the header Allow of a 405; lives as long as the request */
    int retry_after_s; /* 0: no such header */
    char *why;         /* owned: what a 5xx says, for the log; or NULL */
    struct reply_header headers[REPLY_MAX_HEADERS];
    size_t n_headers;
    bool is_deferred; /* a handler on the spot found that this takes long: let the pool run it */
    /* The handler has to wait: called once the handler has returned, it arranges that
     * request_resume() is called. Then the handler is called again, in the I/O thread, without the
     * body. */
    void (*wait)(struct app *app, const struct request *request);
    struct reply_stream *stream; /* owned: the body instead */
};

typedef void route_handler(struct app *app, const struct request *request, struct reply *reply);

enum route_body {
    BODY_NONE,
    BODY_JSON,
    BODY_TABLE, /* JSON or text/csv */
    BODY_BYTES, /* any type: the handler looks */
};

/* Where a route's handler runs: in the I/O thread, which others wait for, so for microseconds and
 * without touching files; or on the pool, while the connection is suspended. BY_SIZE: on the spot,
 * but with a large body on the pool. */
enum route_place { ON_SPOT, ON_POOL, BY_SIZE };

struct route {
    const char *method;
    const char *path; /* "/v1/devices/{device}": a place takes a segment, "{path*}" all the rest */
    route_handler *handle;
    enum role role;
    enum route_body body;
    enum route_place place;
};

extern const struct route routes[];
extern const size_t n_routes;

struct route_match {
    const struct route *route; /* NULL where there is none of that method */
    size_t n_places;
    struct {
        const char *start; /* in the path */
        size_t length;
    } places[ROUTE_MAX_PLACES];
    char allow[ROUTE_ALLOW_BYTES]; /* where the path takes other methods only: which; else empty */
};

/* The route of a method and path; HEAD is served by GET. */
void route_match(const char *method, const char *path, struct route_match *out);

/* Handlers, one file a resource. */
route_handler health_get_live, health_get_ready;
route_handler metrics_get;
route_handler predict_post;
route_handler models_get_all, models_get, models_activate;
route_handler jobs_post, jobs_get_all, jobs_get_one, jobs_get_events, jobs_get_history,
    jobs_post_cancel, jobs_delete;
route_handler results_get_top, results_get;
route_handler spaces_get_all, spaces_get, spaces_put, spaces_delete;
route_handler architectures_get;
route_handler accuracy_post;
route_handler devices_get_all, devices_get, devices_put, devices_delete;
route_handler suggest_post;
route_handler measurements_get, measurements_put, measurements_delete;
route_handler infer_post, infer_get_server, infer_get_live, infer_get_ready, infer_get_model,
    infer_get_model_ready, infer_get_config, infer_get_stats;
route_handler repository_post_index, repository_post_load, repository_post_unload;
route_handler contract_get, contract_get_docs;
route_handler dashboard_get, dashboard_get_asset;

#endif

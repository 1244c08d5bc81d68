/* The table of addresses: what each takes, and who answers. */
#ifndef DGLD_SERVER_ROUTES_H
#define DGLD_SERVER_ROUTES_H

#include <stdbool.h>
#include <stddef.h>

struct app;

/* A request as handlers see it; everything is borrowed for the call. */
struct request {
    const char *method;
    const char *path;
    const char *body; /* NULL where there is none */
    size_t body_size;
};

/* A reply in the making. The handler fills it by the functions of server/respond.h. */
struct reply {
    unsigned status;
    const char *content_type; /* static */
    char *body;               /* owned */
    size_t body_size;
    const char *allow; /* static; the header Allow of a 405 */
    int retry_after_s; /* 0: no such header */
};

typedef void route_handler(struct app *app, const struct request *request, struct reply *reply);

enum route_body { BODY_NONE, BODY_JSON };

struct route {
    const char *method;
    const char *path;
    route_handler *handle;
    enum route_body body;
};

extern const struct route routes[];
extern const size_t n_routes;

/* The route of a method and path; HEAD is served by GET. NULL where there is none: then `*allow` is
 * the value of an Allow header where the path takes other methods, and NULL where there is no such
 * path. */
const struct route *route_match(const char *method, const char *path, const char **allow);

/* Handlers, one file a resource. */
route_handler health_get_live, health_get_ready;
route_handler predict_post;

#endif

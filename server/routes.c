#include "server/routes.h"

#include <string.h>

const struct route routes[] = {
    {"GET",  "/healthz",    health_get_live,  BODY_NONE},
    {"GET",  "/readyz",     health_get_ready, BODY_NONE},
    {"POST", "/v1/predict", predict_post,     BODY_JSON},
};

const size_t n_routes = sizeof routes / sizeof *routes;

/* Each path has one method so far. */
static const char *allow_of(const struct route *route)
{
    return strcmp(route->method, "GET") == 0 ? "GET, HEAD" : route->method;
}

const struct route *route_match(const char *method, const char *path, const char **allow)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    *allow = NULL;
    for (size_t i = 0; i < n_routes; i++) {
        if (strcmp(routes[i].path, path) == 0) {
            if (strcmp(routes[i].method, wanted) == 0) {
                return &routes[i];
            }
            *allow = allow_of(&routes[i]);
        }
    }
    return NULL;
}

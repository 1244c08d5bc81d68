#include "server/routes.h"

#include <string.h>

/* The first route that fits is taken, so the busiest stands first, and a fixed segment before a
 * place. */
/* clang-format off */
const struct route routes[] = {
    {"POST",   "/v1/predict",
     predict_post,           ROLE_PREDICT,  BODY_JSON,  BY_SIZE},
    {"GET",    "/healthz",
     health_get_live,        ROLE_NONE,     BODY_NONE,  ON_SPOT},
    {"GET",    "/readyz",
     health_get_ready,       ROLE_NONE,     BODY_NONE,  ON_SPOT},
    {"GET",    "/metrics",
     metrics_get,            ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/openapi.json",
     contract_get,           ROLE_NONE,     BODY_NONE,  ON_POOL},
    {"GET",    "/docs",
     contract_get_docs,      ROLE_NONE,     BODY_NONE,  ON_SPOT},
    {"GET",    "/",
     dashboard_get,          ROLE_NONE,     BODY_NONE,  ON_SPOT},
    {"GET",    "/assets/{file}",
     dashboard_get_asset,    ROLE_NONE,     BODY_NONE,  ON_POOL},
    {"GET",    "/v1/spaces",
     spaces_get_all,         ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"GET",    "/v1/spaces/{space}",
     spaces_get,             ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"PUT",    "/v1/spaces/{space}",
     spaces_put,             ROLE_OPERATOR, BODY_JSON,  ON_POOL},
    {"DELETE", "/v1/spaces/{space}",
     spaces_delete,          ROLE_OPERATOR, BODY_NONE,  ON_POOL},
    {"GET",    "/v1/spaces/{space}/architectures/{notation}",
     architectures_get,      ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"POST",   "/v1/spaces/{space}/accuracy",
     accuracy_post,          ROLE_PREDICT,  BODY_JSON,  ON_POOL},
    {"GET",    "/v1/devices",
     devices_get_all,        ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"GET",    "/v1/devices/{device}",
     devices_get,            ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"PUT",    "/v1/devices/{device}",
     devices_put,            ROLE_OPERATOR, BODY_JSON,  ON_POOL},
    {"DELETE", "/v1/devices/{device}",
     devices_delete,         ROLE_OPERATOR, BODY_NONE,  ON_POOL},
    {"GET",    "/v1/devices/{device}/measurements/{space}",
     measurements_get,       ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"PUT",    "/v1/devices/{device}/measurements/{space}",
     measurements_put,       ROLE_OPERATOR, BODY_TABLE, ON_POOL},
    {"DELETE", "/v1/devices/{device}/measurements/{space}",
     measurements_delete,    ROLE_OPERATOR, BODY_NONE,  ON_POOL},
    {"POST",   "/v1/devices/{device}/suggest",
     suggest_post,           ROLE_PREDICT,  BODY_JSON,  ON_POOL},
    {"GET",    "/v1/models",
     models_get_all,         ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"GET",    "/v1/models/{space}",
     models_get,             ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"POST",   "/v1/models/{space}/activate",
     models_activate,        ROLE_OPERATOR, BODY_JSON,  ON_POOL},
    {"POST",   "/v1/jobs",
     jobs_post,              ROLE_OPERATOR, BODY_JSON,  ON_POOL},
    {"GET",    "/v1/jobs",
     jobs_get_all,           ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"GET",    "/v1/jobs/{id}",
     jobs_get_one,           ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"DELETE", "/v1/jobs/{id}",
     jobs_delete,            ROLE_OPERATOR, BODY_NONE,  ON_POOL},
    {"GET",    "/v1/jobs/{id}/events",
     jobs_get_events,        ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"GET",    "/v1/jobs/{id}/history",
     jobs_get_history,       ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"POST",   "/v1/jobs/{id}/cancel",
     jobs_post_cancel,       ROLE_OPERATOR, BODY_BYTES, ON_POOL},
    {"GET",    "/v1/results",
     results_get_top,        ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"GET",    "/v1/results/{path*}",
     results_get,            ROLE_PREDICT,  BODY_NONE,  ON_POOL},
    {"GET",    "/v2",
     infer_get_server,       ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/",
     infer_get_server,       ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/health/live",
     infer_get_live,         ROLE_NONE,     BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/health/ready",
     infer_get_ready,        ROLE_NONE,     BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/stats",
     infer_get_stats,        ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"POST",   "/v2/models/{model}/infer",
     infer_post,             ROLE_PREDICT,  BODY_BYTES, BY_SIZE},
    {"POST",   "/v2/models/{model}/versions/{version}/infer",
     infer_post,             ROLE_PREDICT,  BODY_BYTES, BY_SIZE},
    {"GET",    "/v2/models/{model}",
     infer_get_model,        ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/{model}/ready",
     infer_get_model_ready,  ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/{model}/config",
     infer_get_config,       ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/{model}/stats",
     infer_get_stats,        ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/{model}/versions/{version}",
     infer_get_model,        ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/{model}/versions/{version}/ready",
     infer_get_model_ready,  ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/{model}/versions/{version}/config",
     infer_get_config,       ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"GET",    "/v2/models/{model}/versions/{version}/stats",
     infer_get_stats,        ROLE_PREDICT,  BODY_NONE,  ON_SPOT},
    {"POST",   "/v2/repository/models/{model}/load",
     repository_post_load,   ROLE_OPERATOR, BODY_BYTES, ON_POOL},
    {"POST",   "/v2/repository/models/{model}/unload",
     repository_post_unload, ROLE_OPERATOR, BODY_BYTES, ON_POOL},
    {"POST",   "/v2/repository/index",
     repository_post_index,  ROLE_PREDICT,  BODY_BYTES, ON_POOL},
};
/* clang-format on */

const size_t n_routes = sizeof routes / sizeof *routes;

/* Whether the path has the pattern's form; notes what stands in its places. */
static bool fits(const char *pattern, const char *path, struct route_match *match)
{
    match->n_places = 0;
    for (;;) {
        size_t length;
        bool takes_rest;
        while (*pattern == *path && *pattern != '\0' && *pattern != '{') {
            pattern++;
            path++;
        }
        if (*pattern != '{') {
            return *pattern == *path;
        }
        pattern += strcspn(pattern, "}") + 1;
        takes_rest = pattern[-2] == '*';
        length = takes_rest ? strlen(path) : strcspn(path, "/");
        if (length == 0) {
            return false;
        }
        match->places[match->n_places].start = path;
        match->places[match->n_places].length = length;
        match->n_places++;
        path += length;
    }
}

static void allow(struct route_match *match, const char *method)
{
    size_t used = strlen(match->allow);

    if (strstr(match->allow, method) != NULL) { /* none of their names is part of another */
        return;
    }
    if (used + strlen(method) + sizeof ", " <= sizeof match->allow) {
        if (used > 0) {
            memcpy(match->allow + used, ", ", sizeof ", ");
            used += 2;
        }
        memcpy(match->allow + used, method, strlen(method) + 1);
    }
}

/* Which methods the path takes; "*" is the service as a whole. */
static void list_methods(const char *path, struct route_match *match)
{
    bool is_service = strcmp(path, "*") == 0;

    match->allow[0] = '\0';
    for (size_t i = 0; i < n_routes; i++) {
        if (is_service || fits(routes[i].path, path, match)) {
            allow(match, routes[i].method);
            if (strcmp(routes[i].method, "GET") == 0) {
                allow(match, "HEAD");
            }
        }
    }
    if (match->allow[0] != '\0') {
        allow(match, "OPTIONS");
    }
    match->n_places = 0;
}

void route_match(const char *method, const char *path, struct route_match *out)
{
    const char *wanted = strcmp(method, "HEAD") == 0 ? "GET" : method;

    out->allow[0] = '\0';
    for (size_t i = 0; i < n_routes; i++) {
        if (strcmp(routes[i].method, wanted) == 0 && fits(routes[i].path, path, out)) {
            out->route = &routes[i];
            return;
        }
    }
    out->route = NULL;
    if (strcmp(path, "*") != 0 || strcmp(method, "OPTIONS") == 0) {
        list_methods(path, out);
    }
}

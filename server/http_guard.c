#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "server/app.h"
#include "server/http_server.h"
#include "server/respond.h"

/* What stands between a request and its handler: the rate of its address, the token of its caller,
 * and the page that it comes from. Each is a branch where it is not configured. */

#define NS_PER_MS INT64_C(1000000)

/* ---- rate ------------------------------------------------------------------------------------ */

bool guard_rate(struct context *context, const struct route *route)
{
    const struct app *app = context->server->app;
    int64_t per_second = app->config.request_rate_max;
    const union MHD_ConnectionInfo *info;
    int64_t burst;
    int wait_s;
    char detail[192];

    if (per_second == 0 || (route != NULL && route->role == ROLE_NONE)) {
        return true; /* who watches the service's health is always answered */
    }
    info = MHD_get_connection_info(context->request.connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS);
    if (info == NULL) {
        return true;
    }
    burst = app->config.request_burst_max;
    wait_s = rate_limit_take(app->security.rates, info->client_addr, per_second, burst,
                             (uint64_t)(context->received_ms * NS_PER_MS));
    if (wait_s == 0) {
        return true;
    }
    (void)snprintf(detail, sizeof detail,
                   "this address asks more often than request_rate_max allows, which is %lld a "
                   "second here, and request_burst_max, which is %lld",
                   (long long)per_second, (long long)burst);
    refuse(context, 429, detail);
    context->reply.retry_after_s = wait_s;
    return false;
}

/* ---- caller ---------------------------------------------------------------------------------- */

static const struct {
    unsigned status;
    const char *detail, *challenge;
} refusals[] = {
    [AUTH_MISSING] = {401, "a token is needed here: send it as Authorization: Bearer <token>",
                      "Bearer realm=\"dgld\""                              },
    [AUTH_INVALID] = {401, "what Authorization holds is no token that is known here",
                      "Bearer realm=\"dgld\", error=\"invalid_token\""     },
    [AUTH_FORBIDDEN] = {403, "this needs a token with the role operator",
                      "Bearer realm=\"dgld\", error=\"insufficient_scope\""},
};

static bool guard_token(struct context *context, enum role role)
{
    struct auth *auth = &context->server->app->security.auth;
    enum auth_verdict verdict =
        auth_check(auth, role, request_header(&context->request, MHD_HTTP_HEADER_AUTHORIZATION),
                   context->client);

    context->request.client = context->client;
    if (verdict == AUTH_GRANTED) {
        return true;
    }
    refuse(context, refusals[verdict].status, refusals[verdict].detail);
    respond_header(&context->reply, MHD_HTTP_HEADER_WWW_AUTHENTICATE, "%s",
                   refusals[verdict].challenge);
    return false;
}

/* Whether `origin` is that of a page which this service has served itself. Without tokens, names do
 * not count but for localhost: another site's name may be made to point here. */
static bool is_own_origin(const char *origin, const char *host, bool has_tokens)
{
    const char *scheme_end = strstr(origin, "://");
    size_t length = host != NULL ? strcspn(host, ":") : 0;

    if (scheme_end == NULL || host == NULL || strcasecmp(scheme_end + 3, host) != 0) {
        return false;
    }
    return has_tokens || host[0] == '[' || host[strspn(host, "0123456789.:")] == '\0' ||
           (length == sizeof "localhost" - 1 && strncasecmp(host, "localhost", length) == 0);
}

/* Any page that a user opens can make the browser send requests here. It cannot read the answers,
 * but what an operator may do would be done. */
static bool guard_page(struct context *context)
{
    const struct security *security = &context->server->app->security;
    const char *origin = request_header(&context->request, MHD_HTTP_HEADER_ORIGIN);

    if (origin == NULL || cors_allow(&security->cors, origin) != NULL ||
        is_own_origin(origin, request_header(&context->request, MHD_HTTP_HEADER_HOST),
                      security->auth.is_on)) {
        return true;
    }
    refuse(context, 403,
           "a page of this Origin may not change anything here: it is not among "
           "cors_origins");
    return false;
}

bool guard_caller(struct context *context, const struct route *route)
{
    if (route->role == ROLE_NONE) {
        return true;
    }
    if (context->server->app->security.auth.is_on && !guard_token(context, route->role)) {
        return false;
    }
    return route->role != ROLE_OPERATOR || guard_page(context);
}

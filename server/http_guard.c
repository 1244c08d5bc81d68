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

/* ---- headers for browsers -------------------------------------------------------------------- */

/* Adds those that the handler has not said itself. */
static enum MHD_Result add_all(struct MHD_Response *response, const struct reply *reply,
                               const char *const headers[][2], size_t n)
{
    enum MHD_Result ok = MHD_YES;

    for (size_t i = 0; i < n; i++) {
        if (!reply_has_header(reply, headers[i][0])) {
            ok &= MHD_add_response_header(response, headers[i][0], headers[i][1]);
        }
    }
    return ok;
}

/* Answers what a browser asks before a page's request: any origin's question is answered, but only
 * an allowed one gets its name back, without which the rest counts for nothing. */
static enum MHD_Result add_preflight(struct MHD_Response *response, const struct reply *reply)
{
    char seconds[16];
    const char *const headers[][2] = {
        {"Access-Control-Allow-Methods", reply->allow        },
        {"Access-Control-Allow-Headers", cors_request_headers},
        {"Access-Control-Max-Age",       seconds             },
    };

    (void)snprintf(seconds, sizeof seconds, "%d", CORS_MAX_AGE_S);
    return add_all(response, reply, headers, sizeof headers / sizeof *headers);
}

static enum MHD_Result add_cors(struct MHD_Response *response, const struct context *context,
                                const struct cors *cors)
{
    const char *allowed = cors_allow(cors, request_header(&context->request, "Origin"));
    enum MHD_Result ok = MHD_YES;

    if (!cors->is_any) { /* a cache must not give one origin's reply to another */
        ok &= MHD_add_response_header(response, MHD_HTTP_HEADER_VARY, MHD_HTTP_HEADER_ORIGIN);
    }
    if (allowed == NULL) {
        return ok;
    }
    ok &= MHD_add_response_header(response, "Access-Control-Allow-Origin", allowed);
    if (context->reply.allow != NULL && strcmp(context->request.method, "OPTIONS") == 0) {
        return ok & add_preflight(response, &context->reply);
    }
    return ok &
           MHD_add_response_header(response, "Access-Control-Expose-Headers", cors_reply_headers);
}

enum MHD_Result guard_add_headers(struct MHD_Response *response, const struct context *context)
{
    /* pages of ours load nothing from elsewhere; a file of the result tree is data, and nothing in
     * it runs */
    static const char *const of_pages[][2] = {
        {"X-Content-Type-Options",  "nosniff"                                                    },
        {"Referrer-Policy",         "no-referrer"                                                },
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src "
         "'self' "
         "data:; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
    };
    static const char *const of_files[][2] = {
        {"X-Content-Type-Options",  "nosniff"                    },
        {"Referrer-Policy",         "no-referrer"                },
        {"Content-Security-Policy", "default-src 'none'; sandbox"},
    };
    const struct cors *cors = &context->server->app->security.cors;
    const char *type = context->reply.content_type;
    enum MHD_Result ok = cors_is_on(cors) ? add_cors(response, context, cors) : MHD_YES;

    if (context->reply.has_file) {
        ok &= add_all(response, &context->reply, of_files, sizeof of_files / sizeof *of_files);
    } else if (type != NULL && strncmp(type, "text/html", sizeof "text/html" - 1) == 0) {
        ok &= add_all(response, &context->reply, of_pages, sizeof of_pages / sizeof *of_pages);
    }
    return ok;
}

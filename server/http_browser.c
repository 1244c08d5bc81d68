#include <stdio.h>
#include <string.h>

#include "server/app.h"
#include "server/http_server.h"
#include "server/respond.h"

/* What replies tell browsers: which pages of other sites may read them, and what a browser had better
 * not do with them. Other clients pass it over. */

/* ---- pages of other sites -------------------------------------------------------------------- */

/* Answers what a browser asks before a page's request: any origin's question is answered, but only
 * an allowed one gets its name back, without which the rest counts for nothing. */
static enum MHD_Result add_preflight(struct MHD_Response *response, const struct reply *reply)
{
    char seconds[16];

    (void)snprintf(seconds, sizeof seconds, "%d", CORS_MAX_AGE_S);
    return MHD_add_response_header(response, "Access-Control-Allow-Methods", reply->allow) &
           MHD_add_response_header(response, "Access-Control-Allow-Headers", cors_request_headers) &
           MHD_add_response_header(response, "Access-Control-Max-Age", seconds);
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

/* ---- what browsers had better not do --------------------------------------------------------- */

/* Who is told. A reply is of one of the first five kinds, and may be of the others besides. */
enum {
    ANSWER = 1 << 0,   /* to what changes something, or asks by a body: nobody can navigate to it */
    READ = 1 << 1,     /* data of a GET */
    PAGE = 1 << 2,     /* HTML of ours */
    DOWNLOAD = 1 << 3, /* a file of the result tree, which others may have made */
    UNCHANGED = 1 << 4, /* 304: what it says takes the place of what the browser has kept */
    OPEN = 1 << 5,      /* read by everybody */
    SECRET = 1 << 6,    /* read with a token */
    ANYTHING = ANSWER | READ | PAGE | DOWNLOAD | UNCHANGED,
};

static const struct {
    unsigned kinds;
    const char *name, *value;
} told[] = {
  /* a body is what its type says, and no script or style because it looks like one */
    {ANYTHING,               "X-Content-Type-Options",       "nosniff"                 },
 /* nothing runs, loads or is framed; pages of ours say themselves what they may load */
    {READ | PAGE,            "Content-Security-Policy",
     "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'" },
 /* and no page of this origin: a picture that carries a script does not get to run it */
    {DOWNLOAD,               "Content-Security-Policy",
     "default-src 'none'; style-src 'unsafe-inline'; sandbox; frame-ancestors 'none'"  },
 /* addresses name devices and jobs: no other site is to learn them */
    {PAGE | DOWNLOAD,        "Referrer-Policy",              "no-referrer"             },
 /* no page of another site holds a window of ours, or has our data in its process */
    {PAGE,                   "Cross-Origin-Opener-Policy",   "same-origin"             },
    {READ | PAGE | DOWNLOAD, "Cross-Origin-Resource-Policy", "same-origin"             },
    {PAGE,                   "Permissions-Policy",
     "camera=(), display-capture=(), geolocation=(), microphone=(), payment=(), usb=()"},
 /* what is kept is asked for again before it is shown; and with tokens, by nobody but their owner */
    {OPEN,                   "Cache-Control",                "no-cache"                },
    {SECRET,                 "Cache-Control",                "private, no-cache"       },
};

static bool is_html(const char *type)
{
    return type != NULL && strncmp(type, "text/html", sizeof "text/html" - 1) == 0;
}

static unsigned kinds_of(const struct context *context)
{
    const char *method = context->request.method;
    const struct route *route = context->observed.route;
    unsigned kinds;

    if (strcmp(method, MHD_HTTP_METHOD_GET) != 0 && strcmp(method, MHD_HTTP_METHOD_HEAD) != 0) {
        return ANSWER;
    }
    kinds = context->reply.status == MHD_HTTP_NOT_MODIFIED ? UNCHANGED
            : context->reply.has_file                      ? DOWNLOAD
            : is_html(context->reply.content_type)         ? PAGE
                                                           : READ;
    return kinds |
           (context->server->app->security.auth.is_on && (route == NULL || route->role != ROLE_NONE)
                ? SECRET
                : OPEN);
}

/* Over TLS alone, where the browser believes it. */
static enum MHD_Result add_transport(struct MHD_Response *response, const struct app *app)
{
    char value[48];

    if (!app->security.has_tls || app->config.hsts_max_age_s == 0) {
        return MHD_YES;
    }
    (void)snprintf(value, sizeof value, "max-age=%lld", (long long)app->config.hsts_max_age_s);
    return MHD_add_response_header(response, MHD_HTTP_HEADER_STRICT_TRANSPORT_SECURITY, value);
}

enum MHD_Result browser_add_headers(struct MHD_Response *response, const struct context *context)
{
    const struct app *app = context->server->app;
    enum MHD_Result ok = add_transport(response, app);
    unsigned kinds = kinds_of(context);

    if (cors_is_on(&app->security.cors)) {
        ok &= add_cors(response, context, &app->security.cors);
    }
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        if ((told[i].kinds & kinds) != 0 && !reply_has_header(&context->reply, told[i].name)) {
            ok &= MHD_add_response_header(response, told[i].name, told[i].value);
        }
    }
    return ok;
}

#include "server/cors.h"

#include <ctype.h>
#include <string.h>
#include <strings.h>

const char cors_request_headers[] =
    "Authorization, Content-Type, If-Match, If-None-Match, If-Range, Range, Prefer, "
    "Idempotency-Key, Inference-Header-Content-Length, Last-Event-ID, X-Request-Id, traceparent";

const char cors_reply_headers[] =
    "Content-Range, ETag, Inference-Header-Content-Length, Location, Retry-After, "
    "WWW-Authenticate, X-Request-Id";

/* Whether `text` is "http://host", perhaps with a port, and nothing more. */
static bool is_origin(const char *text)
{
    static const char host[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_:[]";
    static const char *const schemes[] = {"https://", "http://"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        size_t length = strlen(schemes[i]);
        if (strncasecmp(text, schemes[i], length) == 0) {
            text += length;
            return *text != '\0' && text[strspn(text, host)] == '\0' &&
                   text[strlen(text) - 1] != ':';
        }
    }
    return false;
}

/* Adds one part of the list, which is (length). */
static enum err add_origin(struct cors *cors, const char *part, size_t length, struct error *err)
{
    char *origin;

    if (length == 1 && *part == '*') {
        cors->is_any = true;
        return ERR_OK;
    }
    if (cors->n == CORS_MAX_ORIGINS || length >= CORS_ORIGIN_BYTES) {
        return error_set(err, ERR_LIMIT,
                         "cors_origins holds at most %d origins of at most %d bytes",
                         CORS_MAX_ORIGINS, CORS_ORIGIN_BYTES - 1);
    }
    origin = cors->origins[cors->n];
    memcpy(origin, part, length);
    origin[length] = '\0';
    for (char *c = origin; *c != '\0'; c++) { /* as browsers send them, and compare the reply's */
        *c = (char)tolower((unsigned char)*c);
    }
    if (!is_origin(origin)) {
        return error_set(err, ERR_INVALID,
                         "cors_origins: \"%s\" is no origin; one is \"https://host\" or "
                         "\"http://host:port\", without a path, and \"*\" is all of them",
                         origin);
    }
    cors->n++;
    return ERR_OK;
}

enum err cors_parse(const char *list, struct cors *out, struct error *err)
{
    static const char blanks[] = " \t";
    struct cors cors = {0};
    bool is_end = list[strspn(list, blanks)] == '\0';

    while (!is_end) {
        const char *part = list + strspn(list, blanks);
        size_t length = strcspn(part, ",");
        enum err rc;
        is_end = part[length] == '\0';
        list = part + length + 1;
        while (length > 0 && strchr(blanks, part[length - 1]) != NULL) {
            length--;
        }
        rc = add_origin(&cors, part, length, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    if (cors.is_any && cors.n > 0) {
        return error_set(err, ERR_INVALID, "cors_origins is either \"*\" or a list of origins");
    }
    *out = cors;
    return ERR_OK;
}

const char *cors_allow(const struct cors *cors, const char *origin)
{
    if (cors->is_any) {
        return "*";
    }
    for (size_t i = 0; origin != NULL && i < cors->n; i++) {
        if (strcasecmp(cors->origins[i], origin) == 0) {
            return cors->origins[i];
        }
    }
    return NULL;
}

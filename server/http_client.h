/* Asks a service over HTTP, one question after another on one connection (libcurl). For the command
 * line: what goes wrong is told in a sentence that says where, and what to do.
 *
 * What comes back is as hostile as what comes in: it is bounded, and only read as JSON where it is
 * some. A client belongs to one thread. */
#ifndef DGLD_SERVER_HTTP_CLIENT_H
#define DGLD_SERVER_HTTP_CLIENT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "proto/text.h"

enum { HTTP_CLIENT_MAX_BYTES = 16 << 20 }; /* of a reply's body */

struct http_client;

/* `url` is that of the service, http or https; `token` and `ca_file` may be NULL. They are borrowed
 * for the call. ERR_USAGE where the URL cannot be one, ERR_INTERNAL where there is no libcurl, which
 * is loaded for the first client. The caller ends it by http_client_close(). */
enum err http_client_open(const char *url, const char *token, const char *ca_file,
                          struct http_client **out, struct error *err);
/* Lets the client ask a service of its own machine at its address, past any proxy and whatever the
 * certificate is called: for questions without a token. ERR_INTERNAL. */
enum err http_client_ask_own(struct http_client *client, struct error *err);
/* Accepts NULL. */
void http_client_close(struct http_client *client);

struct http_question {
    const char *method;
    const char *path; /* percent-encoded, from the leading slash on, with its query */
    const char *body; /* JSON, or NULL */
    size_t body_size;
    const char *key; /* Idempotency-Key, or NULL */
    long wait_s;     /* for how long the service may think beyond the usual */
};

struct http_answer {
    long status;      /* 0: there was none */
    struct text body; /* owned; ended by text_close() */
    long retry_after_s;
    bool is_lost; /* no answer, but there may be one to the same question later */
};

/* Asks. ERR_OK with whatever status the answer has; ERR_IO where there is none, ERR_LIMIT where it
 * is too large, ERR_NOMEM. `answer` is filled in any case. */
enum err http_client_ask(struct http_client *client, const struct http_question *question,
                         struct http_answer *answer, struct error *err);

/* Appends `text`, percent-encoded, so that it is one segment of a path or one value of a query. */
void http_client_put_escaped(struct text *out, const char *text);

#endif

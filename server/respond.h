/* Replies: the one place where an error becomes an HTTP status. Thread-safe. */
#ifndef DGLD_SERVER_RESPOND_H
#define DGLD_SERVER_RESPOND_H

#include "core/error.h"
#include "proto/field_error.h"
#include "proto/text.h"
#include "server/routes.h"

/* A body of any type (static); takes `text` over. Where there was no memory to write it, the reply
 * becomes a 503, whose body respond_starved() gives it. */
void respond_text(struct reply *reply, unsigned status, const char *content_type,
                  struct text *text);

/* The same of application/json. */
void respond_json(struct reply *reply, unsigned status, struct text *text);

/* No body: 204 or 304. */
void respond_empty(struct reply *reply, unsigned status);

/* application/problem+json; under /v2 the {"error": "..."} of the Open Inference Protocol. `detail`
 * and `errors` may be NULL. What the reply held before is dropped, its headers too. */
void respond_problem(struct reply *reply, const struct request *request, unsigned status,
                     const char *detail, const struct field_errors *errors);

/* The problem that an error is to a client. Paths in it are told below the root. */
void respond_error(struct reply *reply, const struct request *request, const struct error *err,
                   const struct field_errors *errors);

/* Gives a reply that there was no memory for a body that takes none. */
void respond_starved(struct reply *reply, const struct request *request);

/* Adds a header; `name` is static. What does not fit into REPLY_MAX_HEADERS or memory is left out:
 * such a reply is still right, if less told. */
void respond_header(struct reply *reply, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool reply_has_header(const struct reply *reply, const char *name);

/* Ends what the reply owns and zeroes it. */
void reply_close(struct reply *reply);

#endif

/* Replies: the one place where an error becomes an HTTP status. Thread-safe. */
#ifndef DGLD_SERVER_RESPOND_H
#define DGLD_SERVER_RESPOND_H

#include "core/error.h"
#include "proto/field_error.h"
#include "proto/text.h"
#include "server/routes.h"

/* A JSON body; takes `text` over. Where writing it failed, the reply becomes a 500. */
void respond_json(struct reply *reply, unsigned status, struct text *text);

/* application/problem+json. `detail` and `errors` may be NULL. */
void respond_problem(struct reply *reply, const struct request *request, unsigned status,
                     const char *detail, const struct field_errors *errors);

/* The problem that an error is to a client. */
void respond_error(struct reply *reply, const struct request *request, const struct error *err,
                   const struct field_errors *errors);

#endif

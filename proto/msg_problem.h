/* Errors as clients see them: application/problem+json (RFC 9457). Thread-safe. */
#ifndef DGLD_PROTO_MSG_PROBLEM_H
#define DGLD_PROTO_MSG_PROBLEM_H

#include "proto/field_error.h"
#include "proto/text.h"

/* status, name (ends the problem's type), title */
#define PROBLEM_LIST(X)                                                                      \
    X(400, "malformed-request", "The request cannot be parsed")                              \
    X(401, "unauthorized", "This needs a token")                                             \
    X(403, "forbidden", "The caller may not do this")                                        \
    X(404, "not-found", "There is nothing at this address")                                  \
    X(405, "method-not-allowed", "This address does not take that method")                   \
    X(406, "not-acceptable", "There is no such form of this")                                \
    X(408, "request-timeout", "The request took too long to arrive")                         \
    X(409, "conflict", "What is stored stands against this")                                 \
    X(412, "precondition-failed", "A condition of the request does not hold")                \
    X(413, "content-too-large", "The request is larger than this service accepts")           \
    X(415, "unsupported-media-type", "The request is not of a type that is understood here") \
    X(416, "range-not-satisfiable", "The file has no such range")                            \
    X(417, "expectation-failed", "The request expects what this service does not do")        \
    X(422, "invalid-request", "The request was understood but cannot be carried out")        \
    X(429, "too-many-requests", "This address asks too often")                               \
    X(500, "internal-error", "The service failed")                                           \
    X(503, "unavailable", "The service cannot answer this now")

struct problem {
    int status;
    const char *detail;                /* one sentence, or NULL */
    const char *instance;              /* the request's path, or NULL */
    const struct field_errors *errors; /* or NULL */
};

/* Appends the problem's JSON. A status outside the table is written as 500. */
void msg_problem_encode(const struct problem *problem, struct text *out);

/* The JSON of a 503 for want of memory, which takes none to write. */
extern const char msg_problem_no_memory[];

#endif

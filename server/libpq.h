/* libpq's functions, loaded where a job store is in PostgreSQL. See core/late_library.h. */
#ifndef DGLD_SERVER_LIBPQ_H
#define DGLD_SERVER_LIBPQ_H

#include <libpq-fe.h>

#include "core/error.h"
#include "core/late_library.h"

#define LIBPQ_FUNCTIONS(X)  \
    X(PQbackendPID)         \
    X(PQclear)              \
    X(PQcmdStatus)          \
    X(PQconnectPoll)        \
    X(PQconnectStartParams) \
    X(PQconninfoFree)       \
    X(PQconninfoParse)      \
    X(PQconsumeInput)       \
    X(PQerrorMessage)       \
    X(PQfinish)             \
    X(PQflush)              \
    X(PQfreemem)            \
    X(PQgetResult)          \
    X(PQgetisnull)          \
    X(PQgetvalue)           \
    X(PQisBusy)             \
    X(PQnotifies)           \
    X(PQntuples)            \
    X(PQparameterStatus)    \
    X(PQpass)               \
    X(PQresultErrorField)   \
    X(PQresultStatus)       \
    X(PQsendPrepare)        \
    X(PQsendQuery)          \
    X(PQsendQueryPrepared)  \
    X(PQserverVersion)      \
    X(PQsetNoticeReceiver)  \
    X(PQsetnonblocking)     \
    X(PQsocket)             \
    X(PQstatus)             \
    X(PQtransactionStatus)

struct libpq {
    LIBPQ_FUNCTIONS(LATE_MEMBER)
};

/* Nobody calls any of it before libpq_load() succeeded. */
extern struct libpq libpq;

/* See late_library_load(). */
enum err libpq_load(struct error *err);

#endif

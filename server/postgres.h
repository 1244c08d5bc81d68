/* PostgreSQL as this service uses it: connections that never hang, statements that are prepared
 * once, and errors that say what to do and tell no password.
 *
 * A connection belongs to one thread at a time. Whatever asks the server waits so long as
 * `limit_ms` at most; a connection that is lost, or whose server was silent for that long, is
 * closed by what noticed. libpq is loaded when the first address is read, or connection opened.
 * Every error is ERR_NOMEM; ERR_IO where the server cannot be reached, or
 * refuses for now (it starts, its disk is full, another one holds a lock: later the same works);
 * ERR_INVALID where the database is not what it should be; ERR_INTERNAL. */
#ifndef DGLD_SERVER_POSTGRES_H
#define DGLD_SERVER_POSTGRES_H

#include <libpq-fe.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* ---- where it is ------------------------------------------------------------------------------ */

/* Whether the text begins as a URI of libpq's: postgresql:// or postgres://. */
bool postgres_is_uri(const char *text);

/* ERR_INVALID where libpq cannot read it, ERR_INTERNAL where there is no libpq. The message does not
 * hold any of it. */
enum err postgres_check_uri(const char *uri, struct error *err);

/* Writes the URI without its passwords into `out` (cut to `size`, terminated): what may be printed.
 * One that cannot be read is left out as a whole, as is any where there is no libpq. */
void postgres_redact_uri(const char *uri, char *out, size_t size);

/* ---- connections ------------------------------------------------------------------------------ */

/* What a database has to be. Its schema's version is the number of steps that were taken. */
struct postgres_schema {
    const char *name;         /* of the schema, an identifier; also names the lock of migrations */
    const char *const *steps; /* (n_steps): SQL that makes version i + 1 out of version i */
    int n_steps;
};

struct pg_db {
    PGconn *handle;   /* NULL while there is no connection */
    const char *what; /* static: what the database is, for messages: "job store" */
    const char *uri;  /* borrowed */
    int limit_ms;     /* for an answer, and for connecting */
    bool is_writer;   /* its statements are run in transactions alone */
};

/* Connects, migrates the schema where it is older (one process at a time), and prepares the
 * statements, which pg_query_open() names by their number. Where it fails the connection is
 * closed. ERR_INVALID where the schema is another program's, or newer, or damaged. */
enum err postgres_open(struct pg_db *db, const struct postgres_schema *schema,
                       const char *const *sql, size_t n, struct error *err);

/* Accepts one that is closed. */
void postgres_close(struct pg_db *db);

bool postgres_is_open(const struct pg_db *db);

/* Runs SQL without parameters, of which the last statement's first value, a whole number, may be
 * wanted (`out`, or NULL). */
enum err postgres_run(struct pg_db *db, const char *sql, int64_t *out, struct error *err);

/* Begins a transaction. `now_ms` receives the server's clock, in ms since 1970. */
enum err postgres_begin(struct pg_db *db, int64_t *now_ms, struct error *err);
/* Where it fails the transaction is rolled back; but where the connection was lost, nobody knows:
 * the message says so. */
enum err postgres_commit(struct pg_db *db, struct error *err);
void postgres_rollback(struct pg_db *db);

/* The error that tells that the database holds what cannot be. */
enum err postgres_damaged(const struct pg_db *db, struct error *err, const char *how);

/* ---- notifications ---------------------------------------------------------------------------- */

/* Waits until the server sends something, `wake_fd` is readable, or `until_ms` of the monotonic
 * clock. Takes in what has come. ERR_IO where the connection is lost; then it is closed. */
enum err postgres_wait(struct pg_db *db, int wake_fd, int64_t until_ms, struct error *err);

/* The next notification that has come, in the caller's buffer; false where there is none left.
 * `sender` receives the number of the session (postgres_session()) that sent it. */
bool postgres_next_notice(struct pg_db *db, int *sender, char *payload, size_t size);

/* The session's number, 0 where there is none. */
int postgres_session(const struct pg_db *db);

/* ---- statements ------------------------------------------------------------------------------- */

enum { PG_MAX_PARAMS = 12, PG_NUMBER_BYTES = 24 };

/* A prepared statement while it is run. Ended by pg_query_close(), which takes a zeroed one. */
struct pg_query {
    struct pg_db *db;
    size_t number;
    PGresult *result; /* owned */
    int n_params;
    const char *params[PG_MAX_PARAMS];
    char numbers[PG_MAX_PARAMS][PG_NUMBER_BYTES];
};

struct pg_query pg_query_open(struct pg_db *db, size_t number);

/* Values of the parameters, one after the other. Texts are borrowed until pg_query_run(); NULL is a
 * value, too. */
void pg_query_put_int(struct pg_query *query, int64_t value);
void pg_query_put_text(struct pg_query *query, const char *text);

/* Runs it; then the rows are there. A statement of a writer does so outside of a transaction never:
 * ERR_INTERNAL. */
enum err pg_query_run(struct pg_query *query, struct error *err);

int pg_query_n_rows(const struct pg_query *query);
/* Values of a row, from 0; 0 and NULL where there is none. The text lives as long as the query. */
int64_t pg_query_int(const struct pg_query *query, int row, int column);
const char *pg_query_text(const struct pg_query *query, int row, int column);
/* A copy, to be freed with mem_free(). */
enum err pg_query_copy_text(const struct pg_query *query, int row, int column, char **out,
                            struct error *err);

void pg_query_close(struct pg_query *query);

#endif

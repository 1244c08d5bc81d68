/* SQLite as this service uses it: files that are refused unless they are what they should be,
 * schemas that grow by steps, statements that are prepared once, and errors that say what to do.
 *
 * A connection belongs to one thread at a time. Every error is ERR_NOMEM; ERR_IO where the file
 * cannot be read or written (a full disk, say: once the fault is gone the connection works again);
 * ERR_INVALID where it is damaged; ERR_INTERNAL. */
#ifndef DGLD_SERVER_SQLITE_H
#define DGLD_SERVER_SQLITE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <sqlite3.h>

#include "core/error.h"

/* What a file has to be. Its schema's version is the number of steps that were taken. */
struct sqlite_schema {
    int32_t application_id;   /* in the file's header: whose it is; not 0 */
    const char *const *steps; /* (n_steps): SQL that makes version i + 1 out of version i */
    int n_steps;
};

struct sqlite_db {
    sqlite3 *handle;
    const char *what;          /* static: what the file is, for messages: "job store" */
    const char *setting;       /* static: the setting that names the path */
    const char *path;          /* borrowed */
    sqlite3_stmt **statements; /* (n_statements), owned */
    size_t n_statements;
};

/* Opens a file (made with mode 0600 where it is missing) for writing, durably: a commit that
 * returned survives a loss of power. `db` names what, setting and path, and is closed by the caller
 * in any case. ERR_INVALID where the file is another program's, damaged, or of a newer schema; an
 * older one is migrated in one transaction. */
enum err sqlite_open(struct sqlite_db *db, const struct sqlite_schema *schema, struct error *err);

/* Opens a file that sqlite_open() has made, for reading. */
enum err sqlite_open_reader(struct sqlite_db *db, struct error *err);

/* Opens a file that sqlite_open() has made, and copies it to `to` (which is not there, or empty) as
 * it is at one moment; others may write meanwhile. The copy is one file, without a log, and was
 * looked through; it has not been fsynced. Errors as of sqlite_open(). */
enum err sqlite_copy(struct sqlite_db *db, const struct sqlite_schema *schema, const char *to,
                     struct error *err);

/* The number that a statement of one row and column gives. */
enum err sqlite_count(struct sqlite_db *db, const char *sql, int64_t *out, struct error *err);

/* Prepares statements, which sqlite_query_open() names by their number. ERR_INVALID where the tables
 * are not those that the statements want. */
enum err sqlite_prepare(struct sqlite_db *db, const char *const *sql, size_t n, struct error *err);

/* Accepts a struct that was never opened. */
void sqlite_close(struct sqlite_db *db);

enum err sqlite_begin(struct sqlite_db *db, struct error *err);
/* Where it fails, the transaction is rolled back. */
enum err sqlite_commit(struct sqlite_db *db, struct error *err);
/* Does nothing where SQLite has rolled back already. */
void sqlite_rollback(struct sqlite_db *db);

/* The error that tells that the file holds what cannot be. */
enum err sqlite_damaged(const struct sqlite_db *db, struct error *err, const char *how);

/* ---- statements ------------------------------------------------------------------------------ */

/* A prepared statement while it is run. */
struct sqlite_query {
    struct sqlite_db *db;
    sqlite3_stmt *statement;
    int n_bound;
    int rc; /* SQLite's, of the first call that failed */
};

struct sqlite_query sqlite_query_open(struct sqlite_db *db, size_t number);

/* Values of the parameters, one after the other. Texts are borrowed until sqlite_query_close(); NULL
 * is a value, too. */
void sqlite_query_put_int(struct sqlite_query *query, int64_t value);
void sqlite_query_put_text(struct sqlite_query *query, const char *text);

/* The next row. A statement that writes does so outside of a transaction never: ERR_INTERNAL. */
enum err sqlite_query_step(struct sqlite_query *query, bool *has_row, struct error *err);

/* Columns of the row, from 0. The text is valid until the next step; NULL where there is none. */
int64_t sqlite_query_int(const struct sqlite_query *query, int column);
const char *sqlite_query_text(const struct sqlite_query *query, int column);
/* A copy, to be freed with mem_free(). */
enum err sqlite_query_copy_text(const struct sqlite_query *query, int column, char **out,
                                struct error *err);

void sqlite_query_close(struct sqlite_query *query);

#endif

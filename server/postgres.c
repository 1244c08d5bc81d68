#include "server/postgres.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "server/clock.h"
#include "server/libpq.h"

enum {
    MIN_SERVER_VERSION = 120000,
    LOCK_TIMEOUT_MS = 3000, /* rows that others hold while they write */
    /* a session that stalls within a transaction is ended, and what it held is free again */
    IDLE_TIMEOUT_MS = 5000,
    MIGRATION_MS = 120000, /* another process's, or one's own */
    STATEMENT_BYTES = 16,
};

/* ---- where it is ----------------------------------------------------------------------------- */

bool postgres_is_uri(const char *text)
{
    static const char *const schemes[] = {"postgresql://", "postgres://"};

    for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++) {
        if (strncmp(text, schemes[i], strlen(schemes[i])) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_named(const PQconninfoOption *options, const char *keyword)
{
    while (options->keyword != NULL && strcmp(options->keyword, keyword) != 0) {
        options++;
    }
    return options->keyword != NULL && options->val != NULL;
}

/* Whether an @ within a password was not escaped: the first one ends what libpq takes for it, and the
 * rest is the host's, or goes on into the database's name. A socket without a file begins with one. */
static bool has_stray_at(const PQconninfoOption *options, const char *uri)
{
    static const char *const keywords[] = {"host", "port", "dbname"};
    const char *first = strchr(uri, '@');

    if (first == NULL || strchr(first + 1, '@') == NULL) {
        return false;
    }
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        for (size_t i = 0; i < sizeof keywords / sizeof *keywords && o->val != NULL; i++) {
            const char *at = strcmp(o->keyword, keywords[i]) == 0 ? o->val : "";
            while ((at = strchr(at, '@')) != NULL && (at == o->val || at[-1] == ',')) {
                at++;
            }
            if (at != NULL) {
                return true;
            }
        }
    }
    return false;
}

/* NULL where it cannot be read; then libpq's message may hold the whole of it, so nobody gets to
 * see that. A password with a slash that is not escaped ends what libpq takes for the host; an @
 * without a user tells. */
static PQconninfoOption *parse(const char *uri)
{
    char *message = NULL;
    PQconninfoOption *options = libpq.PQconninfoParse(uri, &message);

    libpq.PQfreemem(message);
    if (options != NULL && strchr(uri, '@') != NULL &&
        (!is_named(options, "user") || has_stray_at(options, uri))) {
        libpq.PQconninfoFree(options);
        options = NULL;
    }
    return options;
}

enum err postgres_check_uri(const char *uri, struct error *err)
{
    PQconninfoOption *options;
    enum err rc = libpq_load(err);

    if (rc != ERR_OK) {
        return rc;
    }
    options = parse(uri);
    if (options == NULL) {
        return error_set(err, ERR_INVALID,
                         "the address is none that libpq can read; it is written "
                         "postgresql://user@host:5432/database?sslmode=verify-full, with %%40 for "
                         "an @ within a name or a password, and %%2F for a /");
    }
    libpq.PQconninfoFree(options);
    return ERR_OK;
}

static bool is_secret(const PQconninfoOption *option)
{
    return option->dispchar[0] == '*';
}

struct sink {
    char *at;
    size_t left; /* the terminator's place among it */
};

static void put(struct sink *out, const char *text, size_t length)
{
    for (size_t i = 0; i < length && out->left > 1; i++, out->left--) {
        *out->at++ = text[i];
    }
    *out->at = '\0';
}

static void put_escaped(struct sink *out, const char *text)
{
    for (; *text != '\0'; text++) {
        char escaped[4];
        if (isalnum((unsigned char)*text) != 0 || strchr("-._~/:,@", *text) != NULL) {
            put(out, text, 1);
        } else {
            (void)snprintf(escaped, sizeof escaped, "%%%02X", (unsigned)(unsigned char)*text);
            put(out, escaped, 3);
        }
    }
}

/* In the form that any set of options can be written in: all of them behind the question mark. */
static void put_options(struct sink *out, const PQconninfoOption *options)
{
    bool is_first = true;

    put(out, "postgresql://", 13);
    for (const PQconninfoOption *o = options; o->keyword != NULL; o++) {
        if (o->val == NULL) {
            continue;
        }
        put(out, is_first ? "?" : "&", 1);
        put(out, o->keyword, strlen(o->keyword));
        put(out, "=", 1);
        if (is_secret(o)) {
            put(out, "***", 3);
        } else {
            put_escaped(out, o->val);
        }
        is_first = false;
    }
}

void postgres_redact_uri(const char *uri, char *out, size_t size)
{
    PQconninfoOption *options = libpq_load(NULL) == ERR_OK ? parse(uri) : NULL;
    struct sink sink = {out, size};
    bool has_secret = false;

    out[0] = '\0';
    for (const PQconninfoOption *o = options; o != NULL && o->keyword != NULL; o++) {
        has_secret |= is_secret(o) && o->val != NULL;
    }
    if (options == NULL) {
        put(&sink, "postgresql://...", 16);
    } else if (has_secret) {
        put_options(&sink, options);
    } else {
        put(&sink, uri, strlen(uri));
    }
    if (options != NULL) {
        libpq.PQconninfoFree(options);
    }
}

/* ---- errors ---------------------------------------------------------------------------------- */

/* Server and library write several lines; a password is in none of them as far as is known, which
 * is not far enough. */
static void clean_message(const struct pg_db *db, const char *message, char *out, size_t size)
{
    const char *secret = db->handle != NULL ? libpq.PQpass(db->handle) : NULL;
    size_t length = secret != NULL ? strlen(secret) : 0;
    size_t n = 0;

    while (*message != '\0' && n + 4 < size) {
        if (length > 0 && strncmp(message, secret, length) == 0) {
            memcpy(out + n, "***", 3);
            n += 3;
            message += length;
        } else if ((unsigned char)*message > 0x20) {
            out[n++] = *message++;
        } else {
            if (n > 0 && out[n - 1] != ' ') {
                out[n++] = ' ';
            }
            message++;
        }
    }
    while (n > 0 && out[n - 1] == ' ') {
        n--;
    }
    out[n] = '\0';
}

enum err postgres_damaged(const struct pg_db *db, struct error *err, const char *how)
{
    char line[256];

    clean_message(db, how, line, sizeof line);
    return error_set(err, ERR_INVALID,
                     "the %s in PostgreSQL is damaged (%s); restore a backup of its schema, or "
                     "drop that: what is in it is lost then",
                     db->what, line);
}

/* What the server's codes mean (PostgreSQL's manual, appendix A), the longer beginnings first.
 * Whatever else it says of statements that are right is a fault of theirs. */
static const struct {
    const char *prefix;
    enum err code;
    const char *advice;
} meanings[] = {
    {"25006", ERR_IO,      "; this server only reads: name the primary"                       },
    {"42501", ERR_IO,
     "; give the role the right to create in the database, or make it the owner of the schema"},
    {"53300", ERR_IO,      "; max_connections is too small there"                             },
    {"42",    ERR_INVALID, NULL                                                               },
    {"3F",    ERR_INVALID, NULL                                                               },
    {"XX001", ERR_INVALID, NULL                                                               },
    {"XX002", ERR_INVALID, NULL                                                               },
    {"08",    ERR_IO,      ""                                                                 },
    {"25P03", ERR_IO,      ""                                                                 },
    {"28",    ERR_IO,      ""                                                                 },
    {"3D",    ERR_IO,      ""                                                                 },
    {"40",    ERR_IO,      ""                                                                 },
    {"53",    ERR_IO,      ""                                                                 },
    {"55",    ERR_IO,      ""                                                                 },
    {"57",    ERR_IO,      ""                                                                 },
    {"58",    ERR_IO,      ""                                                                 },
};

static enum err cannot(const struct pg_db *db, const char *message, const char *advice,
                       struct error *err)
{
    char line[ERROR_TEXT_BYTES / 2];

    clean_message(db, message, line, sizeof line);
    return error_set(err, ERR_IO, "the %s in PostgreSQL cannot be used: %s%s", db->what, line,
                     advice);
}

/* The connection is of no use any more. */
static enum err lose(struct pg_db *db, const char *message, struct error *err)
{
    enum err rc = cannot(db, message, "", err);

    postgres_close(db);
    return rc;
}

static enum err refuse(struct pg_db *db, const PGresult *result, struct error *err)
{
    const char *state = libpq.PQresultErrorField(result, PG_DIAG_SQLSTATE);
    const char *message = libpq.PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
    char line[256];

    if (libpq.PQstatus(db->handle) == CONNECTION_BAD || state == NULL || message == NULL) {
        return lose(db, libpq.PQerrorMessage(db->handle), err);
    }
    for (size_t i = 0; i < sizeof meanings / sizeof *meanings; i++) {
        if (strncmp(state, meanings[i].prefix, strlen(meanings[i].prefix)) == 0) {
            return meanings[i].code == ERR_IO ? cannot(db, message, meanings[i].advice, err)
                                              : postgres_damaged(db, err, message);
        }
    }
    clean_message(db, message, line, sizeof line);
    return error_set(err, ERR_INTERNAL, "the %s in PostgreSQL: %s", db->what, line);
}

/* ---- asking without hanging ------------------------------------------------------------------ */

/* False where the time is over. */
static bool wait_socket(const struct pg_db *db, short events, int64_t until_ms)
{
    struct pollfd fd = {.fd = libpq.PQsocket(db->handle), .events = events};
    int64_t left_ms;
    int n;

    do {
        left_ms = until_ms - monotonic_ms();
        n = left_ms > 0 ? poll(&fd, 1, (int)left_ms) : 0;
    } while (n < 0 && errno == EINTR);
    return n > 0;
}

static enum err be_silent(struct pg_db *db, struct error *err)
{
    char text[64];

    (void)snprintf(text, sizeof text, "the server was silent for %d ms", db->limit_ms);
    return lose(db, text, err);
}

/* Sends what is still to be sent. */
static enum err flush(struct pg_db *db, int64_t until_ms, struct error *err)
{
    int rc;

    while ((rc = libpq.PQflush(db->handle)) == 1) {
        if (!wait_socket(db, POLLIN | POLLOUT, until_ms)) {
            return be_silent(db, err);
        }
        if (libpq.PQconsumeInput(db->handle) == 0) {
            return lose(db, libpq.PQerrorMessage(db->handle), err);
        }
    }
    return rc == 0 ? ERR_OK : lose(db, libpq.PQerrorMessage(db->handle), err);
}

/* The next result, NULL after the last. */
static enum err next_result(struct pg_db *db, int64_t until_ms, PGresult **out, struct error *err)
{
    while (libpq.PQisBusy(db->handle) != 0) {
        if (!wait_socket(db, POLLIN, until_ms)) {
            return be_silent(db, err);
        }
        if (libpq.PQconsumeInput(db->handle) == 0) {
            return lose(db, libpq.PQerrorMessage(db->handle), err);
        }
    }
    *out = libpq.PQgetResult(db->handle);
    return ERR_OK;
}

/* Waits for all that was asked to be answered; `out` receives the last result, or is unset where
 * there was an error: the first of them is told. */
static enum err collect(struct pg_db *db, int limit_ms, PGresult **out, struct error *err)
{
    int64_t until_ms = monotonic_ms() + limit_ms;
    PGresult *last = NULL, *result = NULL;
    enum err rc = flush(db, until_ms, err);
    enum err refused = ERR_OK;

    while (rc == ERR_OK) {
        rc = next_result(db, until_ms, &result, err);
        if (rc != ERR_OK || result == NULL) {
            break;
        }
        libpq.PQclear(last);
        last = result;
        if (refused == ERR_OK && libpq.PQresultStatus(result) != PGRES_COMMAND_OK &&
            libpq.PQresultStatus(result) != PGRES_TUPLES_OK) {
            refused = refuse(db, result, err);
            rc = db->handle != NULL ? ERR_OK : refused;
        }
    }
    rc = rc == ERR_OK ? refused : rc;
    if (db->handle != NULL && libpq.PQstatus(db->handle) == CONNECTION_BAD) {
        postgres_close(db); /* those were the server's last words */
    }
    if (rc == ERR_OK && last == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for what the %s answered", db->what);
    }
    if (rc != ERR_OK) {
        libpq.PQclear(last);
        return rc;
    }
    *out = last;
    return ERR_OK;
}

static enum err lost_before(const struct pg_db *db, struct error *err)
{
    return error_set(err, ERR_IO, "the %s in PostgreSQL cannot be used: the connection was lost",
                     db->what);
}

static enum err run_within(struct pg_db *db, const char *sql, int limit_ms, int64_t *out,
                           struct error *err)
{
    PGresult *result = NULL;
    enum err rc;

    if (db->handle == NULL) {
        return lost_before(db, err);
    }
    if (libpq.PQsendQuery(db->handle, sql) == 0) {
        return lose(db, libpq.PQerrorMessage(db->handle), err);
    }
    rc = collect(db, limit_ms, &result, err);
    if (rc == ERR_OK && out != NULL) {
        *out = libpq.PQntuples(result) > 0 ? strtoll(libpq.PQgetvalue(result, 0, 0), NULL, 10) : 0;
    }
    libpq.PQclear(result);
    return rc;
}

enum err postgres_run(struct pg_db *db, const char *sql, int64_t *out, struct error *err)
{
    return run_within(db, sql, db->limit_ms, out, err);
}

/* ---- connecting ------------------------------------------------------------------------------ */

static void ignore_notice(void *context, const PGresult *result)
{
    (void)context;
    (void)result;
}

static enum err finish_connecting(struct pg_db *db, struct error *err)
{
    int64_t until_ms = monotonic_ms() + db->limit_ms;

    for (PostgresPollingStatusType step = PGRES_POLLING_WRITING; step != PGRES_POLLING_OK;
         step = libpq.PQconnectPoll(db->handle)) {
        if (step == PGRES_POLLING_FAILED) {
            return lose(db, libpq.PQerrorMessage(db->handle), err);
        }
        if (!wait_socket(db, step == PGRES_POLLING_READING ? POLLIN : POLLOUT, until_ms)) {
            return be_silent(db, err);
        }
    }
    (void)libpq.PQsetnonblocking(db->handle, 1);
    return ERR_OK;
}

/* What the URI says wins over what stands before it here. */
static enum err start_connecting(struct pg_db *db, struct error *err)
{
    const char *keywords[] = {
        "tcp_user_timeout", "keepalives_idle",           "keepalives_interval",
        "keepalives_count", "target_session_attrs",      "dbname",
        "client_encoding",  "fallback_application_name", NULL};
    const char *values[] = {"5000", "10", "5", "3", "read-write", db->uri, "UTF8", "dgld", NULL};

    db->handle = libpq.PQconnectStartParams(keywords, values, 1);
    if (db->handle == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a connection of the %s", db->what);
    }
    (void)libpq.PQsetNoticeReceiver(db->handle, ignore_notice, NULL);
    return libpq.PQstatus(db->handle) == CONNECTION_BAD
               ? lose(db, libpq.PQerrorMessage(db->handle), err)
               : finish_connecting(db, err);
}

/* Plans are made while tables are empty and are used when they are not: each statement has its
 * index, and is to use it. What was committed is durable, whatever the server's settings say. */
static enum err set_session(struct pg_db *db, struct error *err)
{
    char sql[768];

    (void)snprintf(
        sql, sizeof sql,
        "SET statement_timeout = %d; SET lock_timeout = %d;"
        " SET idle_in_transaction_session_timeout = %d;"
        " SET default_transaction_isolation = 'read committed';"
        " SET enable_seqscan = off; SET enable_bitmapscan = off;"
        " SET enable_sort = off; SET jit = off; SET plan_cache_mode = force_generic_plan;"
        " SELECT set_config('synchronous_commit', 'on', false)"
        "  WHERE current_setting('synchronous_commit') = 'off'",
        db->limit_ms - db->limit_ms / 5, LOCK_TIMEOUT_MS, IDLE_TIMEOUT_MS);
    return postgres_run(db, sql, NULL, err);
}

static enum err check_server(struct pg_db *db, struct error *err)
{
    const char *encoding = libpq.PQparameterStatus(db->handle, "server_encoding");

    if (libpq.PQserverVersion(db->handle) < MIN_SERVER_VERSION) {
        return error_set(err, ERR_INVALID, "the %s needs PostgreSQL 12 or newer, and this is %d.%d",
                         db->what, libpq.PQserverVersion(db->handle) / 10000,
                         libpq.PQserverVersion(db->handle) % 10000);
    }
    if (encoding == NULL || strcmp(encoding, "UTF8") != 0) {
        return error_set(err, ERR_INVALID,
                         "the %s needs a database whose encoding is UTF8, and this one's is %.32s",
                         db->what, encoding != NULL ? encoding : "unknown");
    }
    return ERR_OK;
}

/* ---- schemas --------------------------------------------------------------------------------- */

/* The version of the schema, 0 where there is nothing in it, or it is not there. */
static enum err find_version(struct pg_db *db, const struct postgres_schema *schema, int *out,
                             struct error *err)
{
    char sql[256];
    int64_t n_tables = 0, has_version = 0, version = 0;
    enum err rc;

    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace ="
                   " to_regnamespace('%s')",
                   schema->name);
    rc = postgres_run(db, sql, &n_tables, err);
    if (rc != ERR_OK || n_tables == 0) {
        *out = 0;
        return rc;
    }
    (void)snprintf(sql, sizeof sql,
                   "SELECT count(*) FROM pg_catalog.pg_class WHERE relnamespace ="
                   " to_regnamespace('%s') AND relname = 'schema_version'",
                   schema->name);
    rc = postgres_run(db, sql, &has_version, err);
    if (rc == ERR_OK && has_version == 0) {
        return error_set(err, ERR_INVALID,
                         "the schema %s of the database is another program's; name another "
                         "database",
                         schema->name);
    }
    (void)snprintf(sql, sizeof sql, "SELECT version FROM %s.schema_version", schema->name);
    rc = rc == ERR_OK ? postgres_run(db, sql, &version, err) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    if (version < 1) {
        return postgres_damaged(db, err, "schema_version holds no version");
    }
    if (version > schema->n_steps) {
        return error_set(err, ERR_INVALID,
                         "the %s is of a newer dgld (schema %" PRId64 ", this one knows %d); start "
                         "that version, or name another database",
                         db->what, version, schema->n_steps);
    }
    *out = (int)version;
    return ERR_OK;
}

/* A role may own a schema that it could not create. */
static enum err create_schema(struct pg_db *db, const struct postgres_schema *schema,
                              struct error *err)
{
    char sql[256];
    int64_t is_there = 0;
    enum err rc;

    (void)snprintf(sql, sizeof sql, "SELECT (to_regnamespace('%s') IS NOT NULL)::int",
                   schema->name);
    rc = postgres_run(db, sql, &is_there, err);
    if (rc == ERR_OK && is_there == 0) {
        (void)snprintf(sql, sizeof sql, "CREATE SCHEMA %s", schema->name);
        rc = postgres_run(db, sql, NULL, err);
    }
    (void)snprintf(sql, sizeof sql,
                   "CREATE TABLE %s.schema_version (version integer NOT NULL);"
                   " INSERT INTO %s.schema_version VALUES (0)",
                   schema->name, schema->name);
    return rc == ERR_OK ? postgres_run(db, sql, NULL, err) : rc;
}

/* With the lock of migrations. */
static enum err take_steps(struct pg_db *db, const struct postgres_schema *schema,
                           struct error *err)
{
    char sql[128];
    int version = 0;
    enum err rc = find_version(db, schema, &version, err); /* another process may have been first */

    if (rc != ERR_OK || version == schema->n_steps) {
        return rc;
    }
    if (version == 0) {
        rc = create_schema(db, schema, err);
    }
    for (int i = version; rc == ERR_OK && i < schema->n_steps; i++) {
        rc = run_within(db, schema->steps[i], MIGRATION_MS, NULL, err);
        if (rc != ERR_OK) {
            (void)error_wrap(err, "cannot bring the schema from version %d to %d", i, i + 1);
        }
    }
    (void)snprintf(sql, sizeof sql, "UPDATE %s.schema_version SET version = %d", schema->name,
                   schema->n_steps);
    return rc == ERR_OK ? postgres_run(db, sql, NULL, err) : rc;
}

static enum err migrate(struct pg_db *db, const struct postgres_schema *schema, struct error *err)
{
    char sql[256];
    enum err rc;

    (void)snprintf(sql, sizeof sql,
                   "BEGIN; SET LOCAL lock_timeout = %d; SET LOCAL statement_timeout = %d;"
                   " SELECT pg_advisory_xact_lock(hashtext('%s'), hashtext('schema'))",
                   MIGRATION_MS, MIGRATION_MS, schema->name);
    rc = run_within(db, sql, MIGRATION_MS, NULL, err);
    rc = rc == ERR_OK ? take_steps(db, schema, err) : rc;
    if (rc != ERR_OK) {
        postgres_rollback(db);
        return rc;
    }
    return postgres_commit(db, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

static void statement_name(size_t number, char out[STATEMENT_BYTES])
{
    (void)snprintf(out, STATEMENT_BYTES, "s%u", (unsigned)number);
}

/* Whatever is wrong with statements that are right is wrong with the tables. */
static enum err prepare(struct pg_db *db, const char *const *sql, size_t n, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        char name[STATEMENT_BYTES];
        PGresult *result = NULL;
        statement_name(i, name);
        rc = libpq.PQsendPrepare(db->handle, name, sql[i], 0, NULL) != 0
                 ? collect(db, db->limit_ms, &result, err)
                 : lose(db, libpq.PQerrorMessage(db->handle), err);
        libpq.PQclear(result);
    }
    return rc;
}

enum err postgres_open(struct pg_db *db, const struct postgres_schema *schema,
                       const char *const *sql, size_t n, struct error *err)
{
    int version = 0;
    enum err rc;

    postgres_close(db);
    rc = libpq_load(err);
    rc = rc == ERR_OK ? start_connecting(db, err) : rc;
    rc = rc == ERR_OK ? check_server(db, err) : rc;
    rc = rc == ERR_OK ? set_session(db, err) : rc;
    rc = rc == ERR_OK ? find_version(db, schema, &version, err) : rc;
    if (rc == ERR_OK && version < schema->n_steps) {
        rc = migrate(db, schema, err);
    }
    rc = rc == ERR_OK ? prepare(db, sql, n, err) : rc;
    if (rc != ERR_OK) {
        postgres_close(db);
    }
    return rc;
}

void postgres_close(struct pg_db *db)
{
    if (db->handle != NULL) {
        libpq.PQfinish(db->handle);
        db->handle = NULL;
    }
}

bool postgres_is_open(const struct pg_db *db)
{
    return db->handle != NULL;
}

int postgres_session(const struct pg_db *db)
{
    return db->handle != NULL ? libpq.PQbackendPID(db->handle) : 0;
}

/* ---- transactions ---------------------------------------------------------------------------- */

enum err postgres_begin(struct pg_db *db, int64_t *now_ms, struct error *err)
{
    return postgres_run(db, "BEGIN; SELECT (extract(epoch FROM clock_timestamp()) * 1000)::bigint",
                        now_ms, err);
}

static enum err commit_open(struct pg_db *db, struct error *err)
{
    PGresult *result = NULL;
    enum err rc;

    if (libpq.PQsendQuery(db->handle, "COMMIT") == 0) {
        return lose(db, libpq.PQerrorMessage(db->handle), err);
    }
    rc = collect(db, db->limit_ms, &result, err);
    if (rc == ERR_OK && strcmp(libpq.PQcmdStatus(result), "COMMIT") != 0) {
        rc = error_set(err, ERR_INTERNAL, "the %s in PostgreSQL has rolled back", db->what);
    }
    libpq.PQclear(result);
    if (rc != ERR_OK && db->handle == NULL) {
        struct error lost = *err;
        return error_set(err, rc,
                         "%.300s; whether it was stored is not known, so send it again with the "
                         "same Idempotency-Key, if it had one",
                         lost.text);
    }
    return rc;
}

enum err postgres_commit(struct pg_db *db, struct error *err)
{
    struct error own = {0};
    enum err rc;

    err = err != NULL ? err : &own;
    if (db->handle == NULL) {
        return lost_before(db, err);
    }
    if (libpq.PQtransactionStatus(db->handle) == PQTRANS_IDLE) {
        return error_set(err, ERR_INTERNAL, "the %s in PostgreSQL: there is nothing to commit",
                         db->what);
    }
    rc = commit_open(db, err);
    if (rc != ERR_OK) {
        postgres_rollback(db);
    }
    return rc;
}

void postgres_rollback(struct pg_db *db)
{
    if (db->handle != NULL && libpq.PQtransactionStatus(db->handle) != PQTRANS_IDLE) {
        if (postgres_run(db, "ROLLBACK", NULL, NULL) != ERR_OK) {
            postgres_close(db); /* which rolls back, too */
        }
    }
}

/* ---- notifications --------------------------------------------------------------------------- */

enum err postgres_wait(struct pg_db *db, int wake_fd, int64_t until_ms, struct error *err)
{
    struct pollfd fds[] = {
        {.fd = libpq.PQsocket(db->handle), .events = POLLIN},
        {.fd = wake_fd,                    .events = POLLIN},
    };
    int64_t left_ms = until_ms - monotonic_ms();

    /* an interrupted wait is a short one */
    (void)poll(fds, 2, left_ms > 0 ? (int)left_ms : 0);
    return libpq.PQconsumeInput(db->handle) != 0 ? ERR_OK
                                                 : lose(db, libpq.PQerrorMessage(db->handle), err);
}

bool postgres_next_notice(struct pg_db *db, int *sender, char *payload, size_t size)
{
    PGnotify *notice = db->handle != NULL ? libpq.PQnotifies(db->handle) : NULL;

    if (notice == NULL) {
        return false;
    }
    *sender = notice->be_pid;
    (void)snprintf(payload, size, "%s", notice->extra);
    libpq.PQfreemem(notice);
    return true;
}

/* ---- statements ------------------------------------------------------------------------------ */

struct pg_query pg_query_open(struct pg_db *db, size_t number)
{
    return (struct pg_query){.db = db, .number = number};
}

void pg_query_put_int(struct pg_query *query, int64_t value)
{
    char *number = query->numbers[query->n_params];

    (void)snprintf(number, PG_NUMBER_BYTES, "%" PRId64, value);
    query->params[query->n_params++] = number;
}

void pg_query_put_text(struct pg_query *query, const char *text)
{
    query->params[query->n_params++] = text;
}

enum err pg_query_run(struct pg_query *query, struct error *err)
{
    struct pg_db *db = query->db;
    char name[STATEMENT_BYTES];

    if (db->handle == NULL) {
        return lost_before(db, err);
    }
    if (db->is_writer && libpq.PQtransactionStatus(db->handle) == PQTRANS_IDLE) {
        return error_set(err, ERR_INTERNAL,
                         "the %s in PostgreSQL: written to outside of a transaction", db->what);
    }
    for (int i = 0; i < query->n_params; i++) { /* the struct may have been moved since */
        if (query->params[i] != NULL && query->numbers[i][0] != '\0') {
            query->params[i] = query->numbers[i];
        }
    }
    statement_name(query->number, name);
    if (libpq.PQsendQueryPrepared(db->handle, name, query->n_params, query->params, NULL, NULL,
                                  0) == 0) {
        return lose(db, libpq.PQerrorMessage(db->handle), err);
    }
    return collect(db, db->limit_ms, &query->result, err);
}

int pg_query_n_rows(const struct pg_query *query)
{
    return libpq.PQntuples(query->result);
}

int64_t pg_query_int(const struct pg_query *query, int row, int column)
{
    return strtoll(libpq.PQgetvalue(query->result, row, column), NULL, 10); /* "" for NULL */
}

const char *pg_query_text(const struct pg_query *query, int row, int column)
{
    return libpq.PQgetisnull(query->result, row, column) != 0
               ? NULL
               : libpq.PQgetvalue(query->result, row, column);
}

enum err pg_query_copy_text(const struct pg_query *query, int row, int column, char **out,
                            struct error *err)
{
    const char *text = pg_query_text(query, row, column);

    *out = text != NULL ? mem_strdup(text) : NULL;
    return text == NULL || *out != NULL
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory for a text of the %s", query->db->what);
}

void pg_query_close(struct pg_query *query)
{
    if (query->result != NULL) {
        libpq.PQclear(query->result);
        query->result = NULL;
    }
}

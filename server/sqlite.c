#include "server/sqlite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"

enum {
    BUSY_TIMEOUT_MS = 5000, /* two processes share a file while one takes over from the other */
    BUSY_PAUSE_MS = 10,
    /* of the log: from so many pages on it is copied into the file as far as readers let it be,
     * from so many on they are waited for, so that it does not grow without end */
    WAL_COPY_PAGES = 4000,
    WAL_RESTART_PAGES = 40000,
    /* a file of up to that size is looked through when it is opened: some 0.1 s */
    CHECK_MAX_BYTES = 16 << 20,
};

/* ---- errors ---------------------------------------------------------------------------------- */

enum { DAMAGE_BYTES = 160 };

enum err sqlite_damaged(const struct sqlite_db *db, struct error *err, const char *how)
{
    char line[DAMAGE_BYTES]; /* what a check finds has several */
    size_t n = 0;

    for (; how[n] != '\0' && n + 1 < sizeof line; n++) {
        line[n] = how[n];
        if ((unsigned char)how[n] < 0x20) {
            line[n] = ' ';
        }
    }
    line[n] = '\0';
    return error_set(err, ERR_INVALID,
                     "the %s %s is damaged (%s); restore a backup of it, or move it away with "
                     "its -wal and -shm: what is in it is lost then",
                     db->what, db->path, line);
}

static enum err cannot(const struct sqlite_db *db, int rc, bool is_writing, struct error *err)
{
    const char *done = is_writing ? "written" : "read";
    const char *words = db->handle != NULL ? sqlite3_errmsg(db->handle) : sqlite3_errstr(rc);
    int saved_errno = db->handle != NULL ? sqlite3_system_errno(db->handle) : 0;
    bool is_errno_told = (rc & 0xff) == SQLITE_IOERR || (rc & 0xff) == SQLITE_CANTOPEN;

    if (is_errno_told && saved_errno != 0) {
        (void)error_sys(err, saved_errno, "the %s %s cannot be %s: %s", db->what, db->path, done,
                        words);
        if (err != NULL) {
            err->code = ERR_IO;
        }
        return ERR_IO;
    }
    return error_set(err, ERR_IO, "the %s %s cannot be %s: %s", db->what, db->path, done, words);
}

/* What a result of SQLite's other than OK, ROW and DONE means. */
static enum err fail(const struct sqlite_db *db, int rc, bool is_writing, struct error *err)
{
    switch (rc & 0xff) { /* the rest tells more, which the words do, too */
    case SQLITE_NOMEM:
        return error_set(err, ERR_NOMEM, "no memory for the %s %s", db->what, db->path);
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
        return sqlite_damaged(db, err, sqlite3_errstr(rc));
    case SQLITE_FULL:
    case SQLITE_IOERR:
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_PROTOCOL:
    case SQLITE_NOLFS:
    case SQLITE_TOOBIG:
        return cannot(db, rc, is_writing, err);
    case SQLITE_ERROR: /* statements are right, so what they read is not */
        if (!is_writing) {
            return sqlite_damaged(db, err, sqlite3_errmsg(db->handle));
        }
        /* fall through */
    default:
        return error_set(err, ERR_INTERNAL, "the %s %s: %s", db->what, db->path,
                         sqlite3_errmsg(db->handle));
    }
}

static enum err run_sql(struct sqlite_db *db, const char *sql, struct error *err)
{
    int rc = sqlite3_exec(db->handle, sql, NULL, NULL, NULL);

    return rc == SQLITE_OK ? ERR_OK : fail(db, rc, true, err);
}

/* ---- whose file it is ------------------------------------------------------------------------ */

/* The number that a statement gives. */
static enum err ask(struct sqlite_db *db, const char *sql, int64_t *out, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL);
    enum err result = ERR_OK;

    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
    } else {
        result = fail(db, rc, false, err);
    }
    (void)sqlite3_finalize(statement);
    return result;
}

/* The version of the file's schema, 0 where it is empty. */
static enum err find_version(struct sqlite_db *db, const struct sqlite_schema *schema, int *out,
                             struct error *err)
{
    int64_t id = 0, version = 0, n_tables = 0;
    enum err rc = ask(db, "PRAGMA application_id", &id, err);

    rc = rc == ERR_OK ? ask(db, "PRAGMA user_version", &version, err) : rc;
    rc = rc == ERR_OK ? ask(db, "SELECT count(*) FROM sqlite_schema", &n_tables, err) : rc;
    if (rc != ERR_OK) {
        return rc;
    }
    if (id == 0 && version == 0 && n_tables == 0) {
        *out = 0;
        return ERR_OK;
    }
    if (id != schema->application_id) {
        return error_set(err, ERR_INVALID,
                         "%s is no %s but a database of another program's; give %s another path",
                         db->path, db->what, db->setting);
    }
    if (version > schema->n_steps) {
        return error_set(err, ERR_INVALID,
                         "%s was written by a newer dgld (schema %lld, this one knows %d); start "
                         "that version, or give %s another path",
                         db->path, (long long)version, schema->n_steps, db->setting);
    }
    if (version < 1 || n_tables == 0) {
        return sqlite_damaged(db, err, "its header and its tables do not agree");
    }
    *out = (int)version;
    return ERR_OK;
}

/* The same before anything is done to the file. In one transaction, for another process may be
 * about to make the tables. */
static enum err look_at_version(struct sqlite_db *db, const struct sqlite_schema *schema, int *out,
                                struct error *err)
{
    int rc = sqlite3_exec(db->handle, "BEGIN", NULL, NULL, NULL);
    enum err result =
        rc == SQLITE_OK ? find_version(db, schema, out, err) : fail(db, rc, false, err);

    sqlite_rollback(db);
    return result;
}

static enum err take_steps(struct sqlite_db *db, const struct sqlite_schema *schema,
                           struct error *err)
{
    char mark[96];
    int version = 0;
    enum err rc = find_version(db, schema, &version, err); /* another process may have been first */

    for (int i = version; rc == ERR_OK && i < schema->n_steps; i++) {
        rc = run_sql(db, schema->steps[i], err);
        if (rc != ERR_OK) {
            (void)error_wrap(err, "cannot bring the schema from version %d to %d", i, i + 1);
        }
    }
    if (rc == ERR_OK) {
        (void)snprintf(mark, sizeof mark, "PRAGMA application_id = %d; PRAGMA user_version = %d",
                       (int)schema->application_id, schema->n_steps);
        rc = run_sql(db, mark, err);
    }
    return rc;
}

static enum err migrate(struct sqlite_db *db, const struct sqlite_schema *schema, struct error *err)
{
    enum err rc = sqlite_begin(db, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = take_steps(db, schema, err);
    if (rc != ERR_OK) {
        sqlite_rollback(db);
        return rc;
    }
    return sqlite_commit(db, err);
}

/* Looks through the whole of a file. */
static enum err check(struct sqlite_db *db, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    enum err result = ERR_OK;
    int rc;

    rc = sqlite3_prepare_v2(db->handle, "PRAGMA quick_check(1)", -1, &statement, NULL);
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc == SQLITE_ROW) {
        const char *word = (const char *)sqlite3_column_text(statement, 0);
        if (word == NULL || strcmp(word, "ok") != 0) {
            result = sqlite_damaged(db, err, word != NULL ? word : "");
        }
    } else {
        result = fail(db, rc, false, err);
    }
    (void)sqlite3_finalize(statement);
    return result;
}

/* The same where that is a matter of a moment: damage is better told at the start than in the
 * middle of a night. */
static enum err check_small(struct sqlite_db *db, struct error *err)
{
    int64_t n_pages = 0, page_bytes = 0;
    enum err rc = ask(db, "PRAGMA page_count", &n_pages, err);

    rc = rc == ERR_OK ? ask(db, "PRAGMA page_size", &page_bytes, err) : rc;
    return rc != ERR_OK || n_pages * page_bytes > CHECK_MAX_BYTES ? rc : check(db, err);
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Copies the log into the file where it has grown. What goes wrong here is no matter of the commit
 * that has just succeeded, and is tried again after the next. */
static int tend_log(void *context, sqlite3 *handle, const char *name, int n_pages)
{
    (void)context;
    if (n_pages >= WAL_COPY_PAGES) {
        int mode =
            n_pages >= WAL_RESTART_PAGES ? SQLITE_CHECKPOINT_RESTART : SQLITE_CHECKPOINT_PASSIVE;
        (void)sqlite3_wal_checkpoint_v2(handle, name, mode, NULL, NULL);
    }
    return SQLITE_OK;
}

/* Makes an empty file, for SQLite would make it readable for all. One that is there is left closed:
 * closing it again would drop the locks of this process's other connections. */
static enum err make_file(const struct sqlite_db *db, struct error *err)
{
    struct stat st;
    int fd;

    if (stat(db->path, &st) == 0) {
        return S_ISREG(st.st_mode) ? ERR_OK
                                   : error_set(err, ERR_IO, "%s cannot be the %s: it is no file",
                                               db->path, db->what);
    }
    fd = open(db->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
    if (fd < 0 && errno != EEXIST) {
        (void)error_sys(err, errno, "cannot make the %s %s", db->what, db->path);
        if (err != NULL) {
            err->code = ERR_IO; /* of which a missing directory is one */
        }
        return ERR_IO;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return ERR_OK;
}

static enum err connect_to(struct sqlite_db *db, struct error *err)
{
    int rc =
        sqlite3_open_v2(db->path, &db->handle, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);

    if (rc != SQLITE_OK) {
        return fail(db, rc, false, err);
    }
    (void)sqlite3_extended_result_codes(db->handle, 1);
    (void)sqlite3_busy_timeout(db->handle, BUSY_TIMEOUT_MS);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    /* the file may have been tampered with: look twice at its pages, trust no function it names */
    return run_sql(db, "PRAGMA cell_size_check = ON; PRAGMA trusted_schema = OFF", err);
}

/* SQLite does not wait while another process changes to the log itself. */
static enum err set_journal(struct sqlite_db *db, struct error *err)
{
    const struct timespec pause = {.tv_nsec = BUSY_PAUSE_MS * 1000000L};
    int rc;

    for (int waited_ms = 0;; waited_ms += BUSY_PAUSE_MS) {
        rc = sqlite3_exec(db->handle, "PRAGMA journal_mode = WAL", NULL, NULL, NULL);
        if ((rc & 0xff) != SQLITE_BUSY || waited_ms >= BUSY_TIMEOUT_MS) {
            break;
        }
        (void)nanosleep(&pause, NULL);
    }
    return rc == SQLITE_OK ? ERR_OK : fail(db, rc, true, err);
}

enum err sqlite_open(struct sqlite_db *db, const struct sqlite_schema *schema, struct error *err)
{
    int version = 0;
    enum err rc = make_file(db, err);

    rc = rc == ERR_OK ? connect_to(db, err) : rc;
    rc = rc == ERR_OK ? look_at_version(db, schema, &version, err) : rc;
    if (rc == ERR_OK && sqlite3_db_readonly(db->handle, "main") == 1) {
        rc = error_set(err, ERR_IO, "the %s %s cannot be written: no permission", db->what,
                       db->path);
    }
    /* now that the file is known to be ours */
    rc = rc == ERR_OK ? set_journal(db, err) : rc;
    rc = rc == ERR_OK ? run_sql(db,
                                "PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;"
                                "PRAGMA journal_size_limit = 16777216",
                                err)
                      : rc;
    rc = rc == ERR_OK ? check_small(db, err) : rc;
    if (rc == ERR_OK && version < schema->n_steps) {
        rc = migrate(db, schema, err);
    }
    if (rc == ERR_OK) {
        (void)sqlite3_wal_hook(db->handle, tend_log, NULL);
    }
    return rc;
}

enum err sqlite_open_reader(struct sqlite_db *db, struct error *err)
{
    enum err rc = connect_to(db, err);

    return rc == ERR_OK ? run_sql(db, "PRAGMA query_only = ON", err) : rc;
}

/* VACUUM INTO reads within one transaction, and takes the header's numbers along. */
static enum err copy_into(struct sqlite_db *db, const char *to, struct error *err)
{
    sqlite3_stmt *statement = NULL;
    int rc = sqlite3_prepare_v2(db->handle, "VACUUM INTO ?", -1, &statement, NULL);
    enum err result = ERR_OK;

    rc = rc == SQLITE_OK ? sqlite3_bind_text(statement, 1, to, -1, SQLITE_STATIC) : rc;
    rc = rc == SQLITE_OK ? sqlite3_step(statement) : rc;
    if (rc != SQLITE_DONE) {
        result = fail(db, rc, true, err);
        (void)error_wrap(err, "cannot copy to %s", to);
    }
    (void)sqlite3_finalize(statement);
    return result;
}

enum err sqlite_copy(struct sqlite_db *db, const struct sqlite_schema *schema, const char *to,
                     struct error *err)
{
    struct sqlite_db copy = {.what = db->what, .setting = db->setting, .path = to};
    int version = 0;
    enum err rc = connect_to(db, err);

    rc = rc == ERR_OK ? look_at_version(db, schema, &version, err) : rc;
    rc = rc == ERR_OK ? make_file(&copy, err) : rc;
    rc = rc == ERR_OK ? copy_into(db, to, err) : rc;
    rc = rc == ERR_OK ? connect_to(&copy, err) : rc;
    rc = rc == ERR_OK ? check(&copy, err) : rc;
    sqlite_close(&copy);
    return rc;
}

enum err sqlite_count(struct sqlite_db *db, const char *sql, int64_t *out, struct error *err)
{
    return ask(db, sql, out, err);
}

enum err sqlite_prepare(struct sqlite_db *db, const char *const *sql, size_t n, struct error *err)
{
    db->statements = mem_calloc(n, sizeof(sqlite3_stmt *));
    if (db->statements == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the %s %s", db->what, db->path);
    }
    for (; db->n_statements < n; db->n_statements++) {
        int rc =
            sqlite3_prepare_v3(db->handle, sql[db->n_statements], -1, SQLITE_PREPARE_PERSISTENT,
                               &db->statements[db->n_statements], NULL);
        if (rc == SQLITE_ERROR) { /* a table or a column is not there */
            return sqlite_damaged(db, err, sqlite3_errmsg(db->handle));
        }
        if (rc != SQLITE_OK) {
            return fail(db, rc, false, err);
        }
    }
    return ERR_OK;
}

void sqlite_close(struct sqlite_db *db)
{
    for (size_t i = 0; i < db->n_statements; i++) {
        (void)sqlite3_finalize(db->statements[i]);
    }
    mem_free(db->statements);
    (void)sqlite3_close(db->handle);
    db->statements = NULL;
    db->n_statements = 0;
    db->handle = NULL;
}

/* ---- transactions ---------------------------------------------------------------------------- */

enum err sqlite_begin(struct sqlite_db *db, struct error *err)
{
    return run_sql(db, "BEGIN IMMEDIATE", err);
}

enum err sqlite_commit(struct sqlite_db *db, struct error *err)
{
    enum err rc = sqlite3_get_autocommit(db->handle) == 0
                      ? run_sql(db, "COMMIT", err)
                      : error_set(err, ERR_INTERNAL, "the %s %s: there is nothing to commit",
                                  db->what, db->path);

    if (rc != ERR_OK) {
        sqlite_rollback(db);
    }
    return rc;
}

void sqlite_rollback(struct sqlite_db *db)
{
    if (sqlite3_get_autocommit(db->handle) == 0) {
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
}

/* ---- statements ------------------------------------------------------------------------------ */

struct sqlite_query sqlite_query_open(struct sqlite_db *db, size_t number)
{
    return (struct sqlite_query){.db = db, .statement = db->statements[number]};
}

void sqlite_query_put_int(struct sqlite_query *query, int64_t value)
{
    int rc = sqlite3_bind_int64(query->statement, ++query->n_bound, value);

    query->rc = query->rc == SQLITE_OK ? rc : query->rc;
}

void sqlite_query_put_text(struct sqlite_query *query, const char *text)
{
    int rc = sqlite3_bind_text(query->statement, ++query->n_bound, text, -1, SQLITE_STATIC);

    query->rc = query->rc == SQLITE_OK ? rc : query->rc;
}

enum err sqlite_query_step(struct sqlite_query *query, bool *has_row, struct error *err)
{
    bool is_reading = sqlite3_stmt_readonly(query->statement) != 0;
    int rc = query->rc;

    *has_row = false;
    if (!is_reading && sqlite3_get_autocommit(query->db->handle) != 0) {
        return error_set(err, ERR_INTERNAL, "the %s %s: written to outside of a transaction",
                         query->db->what, query->db->path);
    }
    rc = rc == SQLITE_OK ? sqlite3_step(query->statement) : rc;
    *has_row = rc == SQLITE_ROW;
    if (rc == SQLITE_ROW || rc == SQLITE_DONE) {
        return ERR_OK;
    }
    query->rc = rc;
    return fail(query->db, rc, !is_reading, err);
}

int64_t sqlite_query_int(const struct sqlite_query *query, int column)
{
    return sqlite3_column_int64(query->statement, column);
}

const char *sqlite_query_text(const struct sqlite_query *query, int column)
{
    return (const char *)sqlite3_column_text(query->statement, column);
}

enum err sqlite_query_copy_text(const struct sqlite_query *query, int column, char **out,
                                struct error *err)
{
    const char *text = sqlite_query_text(query, column);

    *out = text != NULL ? mem_strdup(text) : NULL;
    if (*out == NULL && sqlite3_column_type(query->statement, column) != SQLITE_NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a text of the %s %s", query->db->what,
                         query->db->path);
    }
    return ERR_OK;
}

void sqlite_query_close(struct sqlite_query *query)
{
    (void)sqlite3_reset(query->statement);
    (void)sqlite3_clear_bindings(query->statement); /* which borrowed */
}

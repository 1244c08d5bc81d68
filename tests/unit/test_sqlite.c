/* server/sqlite.h: schemas that are migrated, and refused. (Statements, faults and damage: see
 * test_job_store.c.) */
#include "server/sqlite.h"
#include "tests/support/check.h"

enum { APPLICATION_ID = 77 };

static const char *const steps[] = {
    "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1)",
    "ALTER TABLE t ADD COLUMN b INTEGER NOT NULL DEFAULT 5; UPDATE t SET a = a + 10",
    "UPDATE t SET b = a + b; CREATE INDEX t_by_b ON t (b)",
};
static const char *const broken_steps[] = {
    "CREATE TABLE t (a INTEGER) STRICT; INSERT INTO t VALUES (1)",
    "UPDATE t SET a = 99",
    "ALTER TABLE t ADD COLUMN c; INSERT INTO no_such_table VALUES (1)",
};
static const char *const questions[] = {"SELECT a FROM t", "UPDATE t SET a = a + 1"};

static struct sqlite_schema schema_of(const char *const *from, int n_steps)
{
    return (struct sqlite_schema){APPLICATION_ID, from, n_steps};
}

static struct sqlite_db unopened(char *path)
{
    (void)snprintf(path, TEST_PATH_BYTES, "%s", own_path("test.sqlite"));
    return (struct sqlite_db){.what = "test file", .setting = "test_path", .path = path};
}

/* Opens with the first `n_steps` of the steps, closes again. */
static enum err open_once(const char *const *from, int n_steps, struct error *err)
{
    struct sqlite_schema schema = schema_of(from, n_steps);
    char path[TEST_PATH_BYTES];
    struct sqlite_db db = unopened(path);
    enum err rc = sqlite_open(&db, &schema, err);

    sqlite_close(&db);
    return rc;
}

/* Runs a statement that gives at most one row, of which one number may be wanted; closes it. */
static enum err run(struct sqlite_query *query, bool *has_row, int64_t *out, struct error *err)
{
    bool has_more = false;
    enum err rc = sqlite_query_step(query, has_row, err);

    if (rc == ERR_OK && *has_row) {
        if (out != NULL) {
            *out = sqlite_query_int(query, 0);
        }
        rc = sqlite_query_step(query, &has_more, err);
    }
    sqlite_query_close(query);
    return rc;
}

/* The number that a statement gives. */
static int64_t ask(const char *sql)
{
    char path[TEST_PATH_BYTES];
    struct sqlite_db db = unopened(path);
    struct error err = {0};
    struct sqlite_query query;
    bool has_row = false;
    int64_t number = -1;

    assert_ok(sqlite_open_reader(&db, &err), &err);
    assert_ok(sqlite_prepare(&db, &sql, 1, &err), &err);
    query = sqlite_query_open(&db, 0);
    assert_ok(run(&query, &has_row, &number, &err), &err);
    assert_true(has_row);
    sqlite_close(&db);
    return number;
}

static void an_older_schema_is_brought_up_step_by_step(void **state)
{
    struct error err = {0};
    (void)state;
    assert_ok(open_once(steps, 1, &err), &err);
    assert_int_equal(ask("PRAGMA user_version"), 1);
    assert_int_equal(ask("PRAGMA application_id"), APPLICATION_ID);
    assert_int_equal(ask("SELECT a FROM t"), 1);
    assert_ok(open_once(steps, 3, &err), &err);
    assert_int_equal(ask("PRAGMA user_version"), 3);
    assert_int_equal(ask("SELECT a FROM t"), 11);
    assert_int_equal(ask("SELECT b FROM t"), 16);
    assert_ok(open_once(steps, 3, &err), &err); /* no step is taken twice */
    assert_int_equal(ask("SELECT b FROM t"), 16);
}

static void a_step_that_fails_leaves_the_file_as_it_was(void **state)
{
    struct error err = {0};
    (void)state;
    assert_ok(open_once(steps, 1, &err), &err);
    assert_error(open_once(broken_steps, 3, &err), ERR_INTERNAL, &err, "from version 2 to 3");
    assert_int_equal(ask("PRAGMA user_version"), 1);
    assert_int_equal(ask("SELECT a FROM t"), 1);
    assert_int_equal(ask("SELECT count(*) FROM pragma_table_info('t')"), 1);
    assert_ok(open_once(steps, 3, &err), &err);
    assert_int_equal(ask("SELECT b FROM t"), 16);
}

static void a_newer_schema_is_refused_and_left_alone(void **state)
{
    struct error err = {0};
    (void)state;
    assert_ok(open_once(steps, 3, &err), &err);
    assert_error(open_once(steps, 2, &err), ERR_INVALID, &err,
                 "newer dgld (schema 3, this one knows 2)");
    assert_contains(err.text, "give test_path another path");
    assert_int_equal(ask("SELECT b FROM t"), 16);
}

static void readers_cannot_write_and_writers_do_so_in_transactions(void **state)
{
    struct sqlite_schema schema = schema_of(steps, 1);
    char path[TEST_PATH_BYTES];
    struct sqlite_db writer = unopened(path), reader = unopened(path);
    struct error err = {0};
    struct sqlite_query query;
    bool has_row;
    int64_t number = 0;
    (void)state;
    assert_ok(sqlite_open(&writer, &schema, &err), &err);
    assert_ok(sqlite_prepare(&writer, questions, 2, &err), &err);
    assert_ok(sqlite_open_reader(&reader, &err), &err);
    assert_ok(sqlite_prepare(&reader, questions, 2, &err), &err);
    query = sqlite_query_open(&writer, 1);
    assert_error(run(&query, &has_row, NULL, &err), ERR_INTERNAL, &err, "transaction");
    assert_error(sqlite_begin(&reader, &err), ERR_IO, &err, "cannot be written");
    assert_ok(sqlite_begin(&writer, &err), &err);
    query = sqlite_query_open(&writer, 1);
    assert_ok(run(&query, &has_row, NULL, &err), &err);
    query = sqlite_query_open(&reader, 0);
    assert_ok(run(&query, &has_row, &number, &err), &err);
    assert_int_equal(number, 1); /* readers see what was committed */
    assert_ok(sqlite_commit(&writer, &err), &err);
    query = sqlite_query_open(&reader, 0);
    assert_ok(run(&query, &has_row, &number, &err), &err);
    assert_int_equal(number, 2);
    sqlite_close(&reader);
    sqlite_close(&writer);
}

static void a_statement_that_does_not_fit_the_tables_means_damage(void **state)
{
    const char *const wrong[] = {"SELECT a FROM t", "SELECT z FROM t"};
    struct sqlite_schema schema = schema_of(steps, 1);
    char path[TEST_PATH_BYTES];
    struct sqlite_db db = unopened(path);
    struct error err = {0};
    (void)state;
    assert_ok(sqlite_open(&db, &schema, &err), &err);
    assert_error(sqlite_prepare(&db, wrong, 2, &err), ERR_INVALID, &err,
                 "damaged (no such column: z); restore a backup");
    sqlite_close(&db);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(an_older_schema_is_brought_up_step_by_step),
        directory_test(a_step_that_fails_leaves_the_file_as_it_was),
        directory_test(a_newer_schema_is_refused_and_left_alone),
        directory_test(readers_cannot_write_and_writers_do_so_in_transactions),
        directory_test(a_statement_that_does_not_fit_the_tables_means_damage),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

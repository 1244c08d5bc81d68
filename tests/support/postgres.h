/* A PostgreSQL of a test program's own, which tests/support/postgres.py runs, for as long as the
 * program lives. Header only, single-threaded. */
#ifndef DGLD_TESTS_SUPPORT_POSTGRES_H
#define DGLD_TESTS_SUPPORT_POSTGRES_H

#include <libpq-fe.h>
#include <sys/wait.h>

#include "tests/support/check.h"

static char postgres_uri[TEST_PATH_BYTES];
static FILE *postgres_input, *postgres_output;
static pid_t postgres_pid;

static inline void postgres_become(const int in[2], const int out[2])
{
    (void)dup2(in[0], STDIN_FILENO);
    (void)dup2(out[1], STDOUT_FILENO);
    for (int i = 0; i < 2; i++) {
        (void)close(in[i]);
        (void)close(out[i]);
    }
    (void)execlp("python3", "python3", "tests/support/postgres.py", (char *)NULL);
    _exit(127);
}

static inline void postgres_read(char *line, size_t size)
{
    if (fgets(line, (int)size, postgres_output) == NULL) {
        fail_msg("PostgreSQL cannot be run; deploy/install-deps.sh test installs it");
    }
    line[strcspn(line, "\n")] = '\0';
}

/* Setup and teardown of a group of tests. */
static inline int postgres_start(void **state)
{
    int in[2], out[2];

    (void)state;
    assert_int_equal(pipe(in), 0);
    assert_int_equal(pipe(out), 0);
    postgres_pid = fork();
    assert_true(postgres_pid >= 0);
    if (postgres_pid == 0) {
        postgres_become(in, out);
    }
    (void)close(in[0]);
    (void)close(out[1]);
    (void)fcntl(in[1], F_SETFD, FD_CLOEXEC);
    (void)fcntl(out[0], F_SETFD, FD_CLOEXEC);
    postgres_input = fdopen(in[1], "w");
    postgres_output = fdopen(out[0], "r");
    postgres_read(postgres_uri, sizeof postgres_uri);
    return 0;
}

static inline int postgres_end(void **state)
{
    (void)state;
    (void)fclose(postgres_input);
    (void)fclose(postgres_output);
    (void)waitpid(postgres_pid, NULL, 0);
    return 0;
}

/* "stop", "start", "freeze" or "thaw": done once this returns. */
static inline void postgres_tell(const char *what)
{
    char line[16];

    (void)fprintf(postgres_input, "%s\n", what);
    (void)fflush(postgres_input);
    postgres_read(line, sizeof line);
    assert_string_equal(line, "ok");
}

static inline void postgres_sql(const char *sql)
{
    PGconn *connection = PQconnectdb(postgres_uri);
    PGresult *result = PQexec(connection, sql);

    if (PQresultStatus(result) != PGRES_COMMAND_OK && PQresultStatus(result) != PGRES_TUPLES_OK) {
        fail_msg("%s: %s", sql, PQerrorMessage(connection));
    }
    PQclear(result);
    PQfinish(connection);
}

#endif

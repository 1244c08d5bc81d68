/* The job store in SQLite, as its own files know it. */
#ifndef DGLD_SERVER_JOB_STORE_SQLITE_H
#define DGLD_SERVER_JOB_STORE_SQLITE_H

#include <pthread.h>
#include <stdbool.h>

#include "server/job_owner.h"
#include "server/job_store_kind.h"
#include "server/sqlite.h"

/* A struct job's columns, in the order in which job_row_read() takes them. */
#define JOB_COLUMNS                                                                         \
    "seq, id, kind, space, state, priority, attempt, n_failures, is_cancel_requested, "     \
    "submitted_ms, started_ms, ended_ms, deadline_ms, revision, params, progress, result, " \
    "error"

enum { JOB_N_READERS = 4 }; /* connections: so many threads read at a time, others wait */

struct sqlite_job_store {
    struct job_store base;
    char *path; /* owned */
    struct job_owner owner;
    bool has_owner;
    struct sqlite_db writer;
    struct sqlite_db readers[JOB_N_READERS];
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_reader;
    bool is_lent[JOB_N_READERS];
};

extern const struct sqlite_schema job_store_sqlite_schema;
extern const char *const job_store_sqlite_read_sql[];
extern const size_t job_store_sqlite_n_read_sql;

/* The job of the row that a query is at, which begins with JOB_COLUMNS. The caller ends it. */
enum err job_row_read(const struct query *query, struct job *out, struct error *err);

enum err job_store_sqlite_get(struct job_store *base, const char *id, struct job *out,
                              struct error *err);
enum err job_store_sqlite_history(struct job_store *base, const char *id, char **out,
                                  struct error *err);
enum err job_store_sqlite_list(struct job_store *base, const struct job_filter *filter,
                               struct job_list *out, struct error *err);
enum err job_store_sqlite_list_expired(struct job_store *base, int64_t ended_before_ms,
                                       size_t keep_max, size_t limit, struct job_list *out,
                                       struct error *err);
enum err job_store_sqlite_list_removed(struct job_store *base, size_t limit, struct job_trace *out,
                                       size_t *n, struct error *err);
enum err job_store_sqlite_count(struct job_store *base, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                                struct error *err);

#endif

/* A statement of a job store's while it runs, in SQLite or in PostgreSQL, so that what both do alike
 * is said once. A statement has the same number, parameters and columns in either; its SQL is each
 * one's own (server/job_store_sqlite_sql.c, server/job_store_postgres_sql.c).
 *
 * A connection runs one statement at a time, which lives in it until job_query_close(). A query
 * belongs to one thread. Errors are those of server/job_store.h. */
#ifndef DGLD_SERVER_JOB_QUERY_H
#define DGLD_SERVER_JOB_QUERY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "server/job_store.h"

/* ---- statements ------------------------------------------------------------------------------ */

/* Of who writes: the parameters, and the columns of the rows. "Report" is six parameters: id, owner,
 * attempt, revision, progress, history. */
enum {
    JOB_WRITE_CLAIM,       /* kind, now, owner, end of the lease: the job */
    JOB_WRITE_RENEW,       /* report, end of the lease: whether its end was asked for */
    JOB_WRITE_END,         /* report, state, result, error, now: any number */
    JOB_WRITE_REQUEUE,     /* report, not before, error, how many failures: any number */
    JOB_WRITE_GET,         /* id: the job */
    JOB_WRITE_CANCEL,      /* id, now: the job, unless it has ended */
    JOB_WRITE_REMOVE,      /* id: any number, where it was removed */
    JOB_WRITE_FORGET,      /* id: of no consequence */
    JOB_WRITE_END_OVERDUE, /* now, limit: ids */
    JOB_WRITE_PROBE,       /* none: of no consequence */
    JOB_N_WRITES           /* a store's own are numbered on from here */
};

/* Of who reads. Lists are numbered by what they are filtered by; the filters' values are the first
 * parameters, in this order. */
enum { JOB_BY_STATE = 1, JOB_BY_KIND = 2, JOB_BY_SPACE = 4, JOB_N_LISTS = 8 };
enum {
    JOB_READ_LIST,                              /* filters, seq to begin before, limit: jobs */
    JOB_READ_GET = JOB_READ_LIST + JOB_N_LISTS, /* id: the job */
    JOB_READ_HISTORY,                           /* id: history */
    JOB_READ_EXPIRED,                           /* limit, ended before, ended ones to keep: jobs */
    JOB_READ_REMOVED,                           /* limit: id, space */
    JOB_READ_COUNTS,                            /* none: state, kind, how many */
    JOB_N_READS
};

/* The columns of a job, with which a row of it begins. `flag` is how a truth is had as a number. */
#define JOB_COLUMNS(flag)                                                                  \
    "seq, id, kind, space, state, priority, attempt, n_failures, is_cancel_requested" flag \
    ", submitted_ms, started_ms, ended_ms, deadline_ms, revision, params, progress, result, error"
enum {
    JOB_AT_SEQ,
    JOB_AT_ID,
    JOB_AT_KIND,
    JOB_AT_SPACE,
    JOB_AT_STATE,
    JOB_AT_PRIORITY,
    JOB_AT_ATTEMPT,
    JOB_AT_N_FAILURES,
    JOB_AT_IS_CANCEL_REQUESTED,
    JOB_AT_SUBMITTED_MS,
    JOB_AT_STARTED_MS,
    JOB_AT_ENDED_MS,
    JOB_AT_DEADLINE_MS,
    JOB_AT_REVISION,
    JOB_AT_PARAMS,
    JOB_AT_PROGRESS,
    JOB_AT_RESULT,
    JOB_AT_ERROR,
    JOB_N_COLUMNS,
    JOB_AT_DIGEST = JOB_N_COLUMNS, /* of a submission, where it is asked for */
};

/* What both say in the same words. */
#define JOB_HAS_ENDED "state IN ('succeeded', 'failed', 'cancelled')"
/* `now` is a parameter. Nothing is put off for a minute (job_store_requeue()): what seems to be is of
 * a clock that was set back since. */
#define JOB_MAY_BEGIN(now)                                          \
    "(not_before_ms <= " now " OR not_before_ms > " now " + 60000)" \
    " AND (deadline_ms = 0 OR deadline_ms > " now ")"
#define JOB_OVERDUE_ERROR \
    "'its deadline passed while it waited' || coalesce('; its last attempt: ' || error, '')"

/* ---- running one ----------------------------------------------------------------------------- */

struct job_query;

/* What a kind of database provides. */
struct job_query_kind {
    /* Values of the parameters, one after the other. Texts are borrowed until the query is closed;
     * NULL is a value, too. */
    void (*put_int)(struct job_query *query, int64_t value);
    void (*put_text)(struct job_query *query, const char *text);
    /* The next row. After an error the query can but be closed. */
    enum err (*step)(struct job_query *query, bool *has_row, struct error *err);
    /* Columns of the row, from 0: 0 and NULL where there is none. A text lives until the next step,
     * a copy until mem_free(). */
    int64_t (*get_int)(const struct job_query *query, int column);
    const char *(*get_text)(const struct job_query *query, int column);
    enum err (*copy_text)(const struct job_query *query, int column, char **out, struct error *err);
    /* The error that tells that the database holds what cannot be. */
    enum err (*damaged)(const struct job_query *query, struct error *err, const char *how);
    void (*close)(struct job_query *query);
};

/* The first member of each kind's own struct. */
struct job_query {
    const struct job_query_kind *kind;
};

void job_query_put_int(struct job_query *query, int64_t value);
void job_query_put_text(struct job_query *query, const char *text);
/* What is written of a submission: id, kind, space, priority, submitted_ms, deadline_ms, params,
 * client, key, digest. */
void job_query_put_draft(struct job_query *query, const struct job_draft *draft);

enum err job_query_step(struct job_query *query, bool *has_row, struct error *err);
int64_t job_query_int(const struct job_query *query, int column);
const char *job_query_text(const struct job_query *query, int column);
enum err job_query_copy_text(const struct job_query *query, int column, char **out,
                             struct error *err);
/* Copies a text that fits, as everything that we wrote does; false for another. */
bool job_query_copy_name(const struct job_query *query, int column, char *out, size_t size);

/* The job of the row. The caller ends it. */
enum err job_query_read_job(const struct job_query *query, struct job *out, struct error *err);
/* What the row of a key's job says of a submission under that key: `out` receives the job where it
 * is SUBMIT_REPEATED, and not where it is SUBMIT_KEY_TAKEN. */
enum err job_query_read_known(const struct job_query *query, const struct job_draft *draft,
                              enum submit_result *result, struct job *out, struct error *err);

void job_query_close(struct job_query *query);

/* These run a statement whose parameters are there, and close it in any case. One gives at most one
 * row, of which one number may be wanted (`out`, or NULL); one gives a job, or none. */
enum err job_query_run(struct job_query *query, bool *has_row, int64_t *out, struct error *err);
enum err job_query_run_job(struct job_query *query, bool *is_found, struct job *out,
                           struct error *err);

#endif

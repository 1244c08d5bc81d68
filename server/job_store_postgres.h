/* The job store in PostgreSQL, as its own files know it.
 *
 *   job_store_postgres         opening, and what is written: on one connection
 *   job_store_postgres_read    what is read: on some more, lent to threads in turn
 *   job_store_postgres_tender  a thread that connects anew what was lost, and hears of news
 *
 * Where the database is away, all that is asked fails at once, until the tender has reached it
 * again: nobody who asks waits for a connection, but for the writer when one has just been lost. */
#ifndef DGLD_SERVER_JOB_STORE_POSTGRES_H
#define DGLD_SERVER_JOB_STORE_POSTGRES_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "server/job_store_kind.h"
#include "server/postgres.h"

/* A struct job's columns, in the order in which pg_job_read() takes them. */
#define PG_JOB_COLUMNS                                                                       \
    "seq, id, kind, space, state, priority, attempt, n_failures, is_cancel_requested::int, " \
    "submitted_ms, started_ms, ended_ms, deadline_ms, revision, params, progress, result, error"
enum { PG_JOB_N_COLUMNS = 18 };

/* What is notified of, on the schema's channel:
 *     q                            a job waits
 *     x <id>                       a running job's end was asked for
 *     c <id> <revision> <0 or 1>   a job has changed, and has ended or not */
#define PG_NOTIFY_QUEUED        "pg_notify('dgld', 'q')"
#define PG_NOTIFY_CANCEL        "pg_notify('dgld', 'x ' || id)"
#define PG_NOTIFY_CHANGED(ends) "pg_notify('dgld', 'c ' || id || ' ' || revision || ' " ends "')"

enum {
    PG_N_READERS = 4,     /* connections: so many threads read at a time, others wait ... */
    PG_WRITE_MS = 5000,   /* longest wait for an answer */
    PG_READ_MS = 3000,    /* ... also for a connection that others use */
    PG_CONNECT_MS = 3000, /* of the tender's */
};

enum pg_reader_state { PG_READER_AWAY, PG_READER_IDLE, PG_READER_LENT };

struct pg_job_store {
    struct job_store base;
    char *uri; /* owned */
    char owner[JOB_OWNER_BYTES];
    struct pg_db writer;            /* of who writes */
    bool has_connected;             /* likewise: the writer, before */
    int64_t reconnected_ms;         /* likewise: when it did so again, by the monotonic clock */
    atomic_int_least64_t offset_ms; /* from the monotonic clock to the server's */
    atomic_int writer_session;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_reader;
    struct pg_db readers[PG_N_READERS]; /* one that is lent is who has it's, one that is away the
                                           tender's */
    enum pg_reader_state states[PG_N_READERS];
    bool is_away;         /* the database, for ... */
    struct error failure; /* ... this reason */

    pthread_t tender;
    bool has_tender;
    struct pg_db listener; /* the tender's */
    int wake_fd;           /* it looks when this is written to */
    atomic_bool is_stopping;
    pthread_mutex_t news_lock; /* of the two below; held while news are told */
    job_news_fn *tell;
    void *context;
};

extern const struct postgres_schema pg_job_schema;
extern const char *const pg_job_read_sql[];
extern const size_t pg_job_n_read_sql;

/* The job of a row, whose columns begin with PG_JOB_COLUMNS at `column`. The caller ends it. */
enum err pg_job_read(const struct pg_query *query, int row, int column, struct job *out,
                     struct error *err);

/* ---- whether it is there ---------------------------------------------------------------------- */

/* False where the database is known to be away; then `err` says why. */
bool pg_job_is_there(struct pg_job_store *store, struct error *err);

/* A connection was lost: nobody asks any more before the tender has looked. */
void pg_job_set_away(struct pg_job_store *store, const struct error *why);

/* Starts and ends the thread. */
enum err pg_job_tender_start(struct pg_job_store *store, struct error *err);
void pg_job_tender_stop(struct pg_job_store *store);

/* ---- what is read ----------------------------------------------------------------------------- */

enum err pg_job_get(struct job_store *base, const char *id, struct job *out, struct error *err);
enum err pg_job_history(struct job_store *base, const char *id, char **out, struct error *err);
enum err pg_job_list(struct job_store *base, const struct job_filter *filter, struct job_list *out,
                     struct error *err);
enum err pg_job_list_expired(struct job_store *base, int64_t ended_before_ms, size_t keep_max,
                             size_t limit, struct job_list *out, struct error *err);
enum err pg_job_list_removed(struct job_store *base, size_t limit, struct job_trace *out, size_t *n,
                             struct error *err);
enum err pg_job_count(struct job_store *base, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                      struct error *err);

#endif

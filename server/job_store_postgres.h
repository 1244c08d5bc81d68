/* The job store in PostgreSQL, as its own files know it.
 *
 *   job_store_postgres         opening, and what this store does in a way of its own
 *   job_store_postgres_query   running statements, on the writer's connection or on a reader's
 *   job_store_postgres_sql     the statements
 *   job_store_postgres_schema  the tables
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

/* Besides those of server/job_query.h. */
enum {
    PG_JOB_SUBMIT = JOB_N_WRITES, /* a draft, how many may wait: the job and the columns below */
    PG_JOB_FIND_KEY,              /* client, key: the job, digest */
    PG_JOB_ADOPT,                 /* now, owner, end of the lease: the job */
    PG_JOB_N_WRITES
};
/* Columns of PG_JOB_SUBMIT's row, all but the last NULL where there is no job: whether it was made
 * now, what was notified of, and how many waited before. */
enum { PG_AT_IS_NEW = JOB_AT_DIGEST + 1, PG_AT_TOLD, PG_AT_N_QUEUED };

enum {
    PG_WRITE_MS = 5000,   /* longest wait for an answer */
    PG_READ_MS = 3000,    /* ... of who reads, and for a connection that others use */
    PG_CONNECT_MS = 3000, /* of the tender's */
};

enum pg_reader_state { PG_READER_AWAY, PG_READER_IDLE, PG_READER_LENT };

struct pg_job_store;

struct pg_job_query {
    struct job_query base;
    struct pg_job_store *store;
    struct pg_query query;
    int row;          /* the row that it is at, from 0; -1 before the first step */
    struct error why; /* why it failed, where it did */
};

struct pg_job_store {
    struct job_store base;
    char *uri; /* owned */
    char owner[JOB_OWNER_BYTES];
    struct pg_db writer;            /* of who writes */
    struct pg_job_query writing;    /* likewise */
    bool has_connected;             /* likewise: the writer, before */
    int64_t reconnected_ms;         /* likewise: when it did so again, by the monotonic clock */
    atomic_int_least64_t offset_ms; /* from the monotonic clock to the server's */
    atomic_int writer_session;

    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_reader;
    struct pg_db readers[JOB_N_READERS]; /* one that is lent is who has it's, one that is away the
                                           tender's */
    struct pg_job_query reading[JOB_N_READERS]; /* [i]: on readers[i], of who has that */
    enum pg_reader_state states[JOB_N_READERS];
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
extern const char *const pg_job_write_sql[PG_JOB_N_WRITES];
extern const char *const pg_job_read_sql[JOB_N_READS];

/* open_write() and open_read() of the kind. */
struct job_query *pg_job_open_write(struct job_store *base, size_t number);
enum err pg_job_open_read(struct job_store *base, size_t number, struct job_query **out,
                          struct error *err);

/* ---- whether it is there ---------------------------------------------------------------------- */

/* False where the database is known to be away; then `err` says why. */
bool pg_job_is_there(struct pg_job_store *store, struct error *err);

/* A connection was lost: nobody asks any more before the tender has looked. */
void pg_job_set_away(struct pg_job_store *store, const struct error *why);

/* Starts and ends the thread. */
enum err pg_job_tender_start(struct pg_job_store *store, struct error *err);
void pg_job_tender_stop(struct pg_job_store *store);

#endif

/* The job store in SQLite, as its own files know it.
 *
 *   job_store_sqlite         opening, and what this store does in a way of its own
 *   job_store_sqlite_query   running statements, on the writer's connection or on a reader's
 *   job_store_sqlite_sql     the statements
 *   job_store_sqlite_schema  the tables */
#ifndef DGLD_SERVER_JOB_STORE_SQLITE_H
#define DGLD_SERVER_JOB_STORE_SQLITE_H

#include <pthread.h>
#include <stdbool.h>

#include "server/job_owner.h"
#include "server/job_store_kind.h"
#include "server/sqlite.h"

/* Besides those of server/job_query.h. */
enum {
    JOB_SQLITE_FIND_KEY = JOB_N_WRITES, /* client, key: the job, digest */
    JOB_SQLITE_COUNT_QUEUED,            /* none: how many */
    JOB_SQLITE_INSERT,                  /* a draft: the job */
    JOB_SQLITE_LIST_RUNNING,            /* none: seq, owner, end of the lease */
    JOB_SQLITE_ADOPT,                   /* seq, owner, end of the lease: the job */
    JOB_SQLITE_N_WRITES
};

struct sqlite_job_store;

struct sqlite_job_query {
    struct job_query base;
    struct sqlite_job_store *store;
    struct sqlite_query query;
};

struct sqlite_job_store {
    struct job_store base;
    char *path; /* owned */
    struct job_owner owner;
    bool has_owner;
    struct sqlite_db writer;
    struct sqlite_job_query writing;
    struct sqlite_db readers[JOB_N_READERS];
    struct sqlite_job_query reading[JOB_N_READERS]; /* [i]: on readers[i], of who has that */
    pthread_mutex_t lock;                           /* of all below */
    pthread_cond_t has_reader;
    bool is_lent[JOB_N_READERS];
};

extern const struct sqlite_schema job_store_sqlite_schema;
extern const char *const job_sqlite_write_sql[JOB_SQLITE_N_WRITES];
extern const char *const job_sqlite_read_sql[JOB_N_READS];

/* open_write() and open_read() of the kind. */
struct job_query *job_sqlite_open_write(struct job_store *base, size_t number);
enum err job_sqlite_open_read(struct job_store *base, size_t number, struct job_query **out,
                              struct error *err);

#endif

/* What a kind of job store provides: how its database is used, and what it does in a way of its own.
 * The rest of server/job_store.h is the same for both, and made of statements (server/job_query.h).
 * A store's struct begins with a struct job_store. */
#ifndef DGLD_SERVER_JOB_STORE_KIND_H
#define DGLD_SERVER_JOB_STORE_KIND_H

#include "server/job_query.h"
#include "server/job_store.h"

enum { JOB_N_READERS = 4 }; /* connections: so many threads read at a time, others wait */

struct job_store_kind {
    bool is_server;
    int64_t (*now_ms)(struct job_store *store);
    /* NULL: there are no news */
    void (*follow)(struct job_store *store, job_news_fn *tell, void *context);
    void (*close)(struct job_store *store);
    enum err (*begin)(struct job_store *store, struct error *err);
    enum err (*commit)(struct job_store *store, struct error *err);
    void (*rollback)(struct job_store *store);
    enum err (*submit)(struct job_store *store, const struct job_draft *draft,
                       enum submit_result *result, struct job *out, struct error *err);
    enum err (*adopt)(struct job_store *store, const struct job_lease *lease, bool *is_found,
                      struct job *out, struct error *err);
    /* Begins a statement of who writes, by its number. */
    struct job_query *(*open_write)(struct job_store *store, size_t number);
    /* Begins one of who reads, on a connection that is the query's until it is closed; waits for
     * one. On success alone the query is to be closed. */
    enum err (*open_read)(struct job_store *store, size_t number, struct job_query **out,
                          struct error *err);
};

struct job_store {
    const struct job_store_kind *kind;
};

/* As job_store_open(). */
enum err job_store_sqlite_open(const char *path, struct job_store **out, char *owner,
                               struct error *err);
enum err job_store_postgres_open(const char *uri, struct job_store **out, char *owner,
                                 struct error *err);

#endif

/* Where jobs are kept: an interface, and behind it SQLite (server/job_store_sqlite.c), a file of one
 * machine, or PostgreSQL (server/job_store_postgres.c), which several replicas share.
 *
 * Functions that write are called between job_store_begin() and job_store_commit(), by one thread
 * at a time (server/job_writer.h is that thread); what they did is durable once the commit has
 * returned ERR_OK, and nothing of it happened where it did not. They report what is the case by
 * their results; an error means that the transaction has to be rolled back, and that nothing was
 * handed out. Functions that read may be called from any thread at any time, and see what was
 * committed. Errors are ERR_IO (the disk is full, say, or the server away; when it no longer is, the
 * store works again), ERR_INVALID (it is damaged), ERR_NOMEM and ERR_INTERNAL. Where a server is lost
 * during a commit nobody knows whether that came to pass: it is an ERR_IO whose message says so.
 *
 * Whoever runs a job holds a lease on it. Each write of a runner names itself (`owner`, `attempt`),
 * so that one that lost its lease, because it stalled, changes nothing any more.
 *
 * Times are milliseconds since 1970 (UTC), by the store's clock: job_store_now_ms(). */
#ifndef DGLD_SERVER_JOB_STORE_H
#define DGLD_SERVER_JOB_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "proto/job.h"

enum { JOB_OWNER_BYTES = 40 };

struct job_store;

/* Opens the store at `place`, and names this process as `owner` (JOB_OWNER_BYTES): a name that no
 * other process has, or had. A place is the URI of a PostgreSQL database, or else the path of a file,
 * which is created where it is missing. A store of an older schema is migrated in one transaction.
 * ERR_INVALID where it is of a newer schema, or damaged, or no store at all: the message says what
 * to do. ERR_IO where a file cannot be read or written. A server that is away is no error: until it
 * can be reached, the functions below fail with ERR_IO, without waiting for it. */
enum err job_store_open(const char *place, struct job_store **out, char *owner, struct error *err);
/* Accepts NULL. */
void job_store_close(struct job_store *store);

/* Whether the place names a server, not a file. */
bool job_store_is_at_server(const char *place);

/* Whether the store is at a server: then others may write there at the same time. */
bool job_store_is_shared(const struct job_store *store);

/* The clock by which leases, deadlines and retries are measured: this machine's for a file, the
 * server's for a server (as of the last transaction's begin, and the time that has passed since), so
 * that replicas need not agree about the time. Thread-safe. */
int64_t job_store_now_ms(struct job_store *store);

/* What another process has written. */
struct job_news {
    enum {
        JOB_NEWS_QUEUED,  /* jobs wait; or may, for all that is known */
        JOB_NEWS_CANCEL,  /* the end of the running job `id` was asked for */
        JOB_NEWS_CHANGED, /* the job `id` has this revision, and has ended or not */
    } what;
    char id[JOB_ID_BYTES];
    int64_t revision;
    bool has_ended;
};
typedef void job_news_fn(void *context, const struct job_news *news);

/* Has `tell` (NULL: nobody) called with news, in a thread of the store's, so for microseconds; once
 * this has returned, nobody else is called any more. News come at once and may be lost: who depends
 * on one looks for it, too. Of a file there are none. */
void job_store_follow(struct job_store *store, job_news_fn *tell, void *context);

/* Copies the store at `path`, a file, to the file `to`, which is made: all of it as it is at one
 * moment, while others write. `n_jobs` receives how many jobs the copy holds. Errors of
 * job_store_open(). */
enum err job_store_copy(const char *path, const char *to, int64_t *n_jobs, struct error *err);

/* ---- writing --------------------------------------------------------------------------------- */

enum err job_store_begin(struct job_store *store, struct error *err);
enum err job_store_commit(struct job_store *store, struct error *err);
void job_store_rollback(struct job_store *store);

/* Writes something that is of no consequence, to find out whether that works. */
enum err job_store_probe(struct job_store *store, struct error *err);

/* A submission. Everything is borrowed. */
struct job_draft {
    const char *id;
    enum job_kind kind;
    const char *space;
    int priority;
    int64_t submitted_ms, deadline_ms; /* 0: none */
    const char *params;
    const char *client; /* who submits: name of a token, "" without; keys are each client's own */
    const char *key;    /* idempotency key, or NULL */
    const char *digest; /* of what was submitted, to tell whether a key is used for another thing */
    size_t queue_max;   /* queued jobs beyond which none is taken; others may be at it just now */
};

enum submit_result {
    SUBMIT_CREATED,
    SUBMIT_REPEATED,  /* the key was used for the same thing: `out` is the job that it made */
    SUBMIT_KEY_TAKEN, /* the key was used for another thing */
    SUBMIT_QUEUE_FULL,
};

/* `out` receives the job where there is one; the caller ends it. */
enum err job_store_submit(struct job_store *store, const struct job_draft *draft,
                          enum submit_result *result, struct job *out, struct error *err);

struct job_lease {
    const char *owner;
    int64_t now_ms, until_ms;
};

/* Begins a queued job of the first of these kinds that has one which may be begun (its time has
 * come, see job_store_requeue(), and its deadline has not passed): of a kind the one with the
 * highest priority, of these the oldest. Its state becomes running, attempt grows by one, revision
 * is attempt * 2^32, started_ms is now (that of the latest attempt), and it has no progress.
 * `is_found` tells whether there was any; `out` is ended by the caller. */
enum err job_store_claim(struct job_store *store, const struct job_lease *lease,
                         const enum job_kind *kinds, size_t n_kinds, bool *is_found,
                         struct job *out, struct error *err);

/* A runner's word on its job: who it is, and how far the job has come. While it runs, it alone
 * counts the revision on; where a state changes, that grows by one at least. */
struct job_report {
    const char *id, *owner;
    int attempt;
    int64_t revision;
    const char *progress; /* JSON, or NULL: as it was */
    const char *history;  /* likewise (proto/job_history.h) */
};

/* Prolongs the lease and notes the progress. `is_held` tells whether the job is still the caller's,
 * `is_cancel_requested` whether it is to end. */
enum err job_store_renew(struct job_store *store, const struct job_report *report,
                         int64_t lease_until_ms, bool *is_held, bool *is_cancel_requested,
                         struct error *err);

/* Ends the job: succeeded (with `result`, JSON), failed (with `error`) or cancelled. */
enum err job_store_end(struct job_store *store, const struct job_report *report,
                       enum job_state state, const char *result, const char *error, int64_t now_ms,
                       bool *is_held, struct error *err);

/* Puts the job back into the queue, to be begun from `not_before_ms` on, which is within a minute:
 * a clock that is set back must not put it off for longer. `error` is what went wrong, or NULL: the
 * last one is kept; `is_failure` counts it as the job's own. Where its end had been asked for, it
 * still is (`is_cancel_requested`): then `not_before_ms` does not count, and whoever claims the job
 * sees to its end. */
enum err job_store_requeue(struct job_store *store, const struct job_report *report,
                           int64_t not_before_ms, const char *error, bool is_failure, bool *is_held,
                           struct error *err);

/* Cancels: a queued job ends there and then, a running one is asked to, an ended one stays as it
 * is. `out` is the job afterwards; `is_found` whether there is any. */
enum err job_store_cancel(struct job_store *store, const char *id, int64_t now_ms, bool *is_found,
                          struct job *out, struct error *err);

/* Removes an ended job, its idempotency key too; its id and space are kept until
 * job_store_forget(). `is_removed` is false where there is none, or it
 * has not ended. */
enum err job_store_remove(struct job_store *store, const char *id, bool *is_removed,
                          struct error *err);

/* What a job was that has been removed, and whose files are to go. */
struct job_trace {
    char id[JOB_ID_BYTES];
    char space[JOB_SPACE_BYTES];
};

/* Its files are gone: nothing is left to be known of a removed job. */
enum err job_store_forget(struct job_store *store, const char *id, struct error *err);

/* Ends queued jobs whose deadline has passed as failed; `ids` receives them (at most `limit`), for
 * who waits for them. */
enum err job_store_end_overdue(struct job_store *store, int64_t now_ms, size_t limit,
                               char (*ids)[JOB_ID_BYTES], size_t *n, struct error *err);

/* Takes over one running job whose runner is gone: its lease has run out, or (where the store can
 * tell: it is a file) its process has ended. The job stays running, but is now held by
 * `lease->owner`, attempt unchanged, for the caller to requeue or end. */
enum err job_store_adopt(struct job_store *store, const struct job_lease *lease, bool *is_found,
                         struct job *out, struct error *err);

/* ---- reading --------------------------------------------------------------------------------- */

/* ERR_NOT_FOUND where there is no such job. */
enum err job_store_get(struct job_store *store, const char *id, struct job *out, struct error *err);

/* The history of a job (JSON, the caller's to mem_free(); NULL: there is none), of all attempts until
 * one reports another. Errors as of job_store_get(). */
enum err job_store_history(struct job_store *store, const char *id, char **out, struct error *err);

/* Which jobs are listed: the newest first. */
struct job_filter {
    bool has_state, has_kind;
    enum job_state state;
    enum job_kind kind;
    const char *space;  /* or NULL */
    int64_t before_seq; /* 0: from the newest on */
    size_t limit;
};

struct job_list {
    struct job *items; /* (n), owned */
    size_t n;
    int64_t next_seq; /* for before_seq of the following part; 0 at the end */
};

enum err job_store_list(struct job_store *store, const struct job_filter *filter,
                        struct job_list *out, struct error *err);
/* Accepts a zeroed struct. */
void job_list_close(struct job_list *list);

/* Jobs that ended before `ended_before_ms`, or of which `keep_max` ended ones or more are younger:
 * at most `limit`, the oldest first. */
enum err job_store_list_expired(struct job_store *store, int64_t ended_before_ms, size_t keep_max,
                                size_t limit, struct job_list *out, struct error *err);

/* Removed jobs that were not forgotten yet, at most `limit`; `n` receives how many. */
enum err job_store_list_removed(struct job_store *store, size_t limit, struct job_trace *out,
                                size_t *n, struct error *err);

/* counts[kind][state]; cheap enough for a metrics page. */
enum err job_store_count(struct job_store *store, size_t counts[JOB_N_KINDS][JOB_N_STATES],
                         struct error *err);

#endif

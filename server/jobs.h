/* The service's jobs: submitted, run by workers, watched, cancelled, expired.
 *
 *   job_store   where jobs are kept              job_writer  the one thread that writes there
 *   job_board   what runs here, and who watches  job_worker  threads that run jobs
 *
 * Thread-safe. Functions that read wait for the disk, so are for threads that may; orders come back
 * through `done`, in the writer's thread. */
#ifndef DGLD_SERVER_JOBS_H
#define DGLD_SERVER_JOBS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "proto/job.h"
#include "proto/text.h"
#include "server/job_store.h"
#include "server/job_writer.h"

struct app;
struct jobs;

/* Opens the store, and runs nothing yet. `app` is borrowed. Errors as of job_store_open(). */
enum err jobs_open(struct app *app, struct jobs **out, struct error *err);

/* Takes up what a process that died has left, and runs jobs from now on: what they ask of the app
 * shall be there. Once. Errors as of job_store_open(); then jobs_stop() is all that may follow. */
enum err jobs_begin(struct jobs *jobs, struct error *err);

/* Wakes everybody who watches, now and from now on: the service is being stopped. */
void jobs_drain(struct jobs *jobs);

/* Puts what runs back into the queue, where it goes on at the next start, and ends the threads.
 * Accepts NULL. */
void jobs_stop(struct jobs *jobs);

/* ---- orders ----------------------------------------------------------------------------------- */

/* A submission on its way; lives with its owner until `done`. */
struct job_submission {
    struct job_write write; /* rc and err: whether it could be stored */
    void (*done)(struct job_submission *submission);
    struct job_draft draft; /* id, times and queue_max are filled in by jobs_submit() */
    int64_t deadline_s;     /* from now on; 0: none */
    char id[JOB_ID_BYTES];
    enum submit_result result;
    struct job job; /* owned by the owner, who ends it */
    struct jobs *jobs;
};

void jobs_submit(struct jobs *jobs, struct job_submission *submission);

/* Cancels a job; lives with its owner until `done`. */
struct job_change {
    struct job_write write;
    void (*done)(struct job_change *change);
    char id[JOB_ID_BYTES];
    bool is_found;  /* there is such a job */
    struct job job; /* as it is now; owned by the owner, who ends it */
    struct jobs *jobs;
};

void jobs_cancel(struct jobs *jobs, struct job_change *change);

/* Removes an ended job with its files. Waits for the disk. ERR_NOT_FOUND where there is none,
 * ERR_INVALID where it has not ended. */
enum err jobs_remove(struct jobs *jobs, const char *id, struct error *err);

/* ---- looking ---------------------------------------------------------------------------------- */

/* The job with its latest progress. ERR_NOT_FOUND. */
enum err jobs_get(struct jobs *jobs, const char *id, struct job *out, struct error *err);
/* Appends the course that it took, as JSON (proto/job_history.h). ERR_NOT_FOUND. */
enum err jobs_put_history(struct jobs *jobs, const char *id, struct text *out, struct error *err);
enum err jobs_list(struct jobs *jobs, const struct job_filter *filter, struct job_list *out,
                   struct error *err);
enum err jobs_count(struct jobs *jobs, size_t counts[JOB_N_KINDS][JOB_N_STATES], struct error *err);

/* Whether jobs can be stored; else `err` (may be NULL) says why not. */
bool jobs_is_healthy(struct jobs *jobs, struct error *err);

/* ---- watching --------------------------------------------------------------------------------- */

/* Waits for a job; lives with its owner from jobs_watch() until `wake` is called, which happens
 * exactly once: when the job has a revision after `after_revision` (or, `is_for_end`, has ended), at
 * `until_ms` of the monotonic clock, or when the service stops. It is called with a lock held: it
 * hands on and returns. It may be called before jobs_watch() returns. */
struct job_watch {
    char id[JOB_ID_BYTES];
    int64_t after_revision;
    int64_t until_ms;
    bool is_for_end;
    void (*wake)(struct job_watch *watch);
    /* the board's */
    bool is_new;
    struct job_watch *next, *previous;
};

void jobs_watch(struct jobs *jobs, struct job_watch *watch);

/* Server-sent events of a job after `after_revision` (0: from the first that is still known, or the
 * job as it is): appends
 *     id: <revision>\nevent: progress\ndata: {...}\n\n      progress of a run
 *     id: <revision>\nevent: job\ndata: {the job}\n\n       a change of its state
 * `revision` receives that of the last one, `has_ended` whether none will follow. ERR_NOT_FOUND where
 * there is no such job. */
enum err jobs_put_events(struct jobs *jobs, const char *id, int64_t after_revision,
                         struct text *out, int64_t *revision, bool *has_ended, struct error *err);

#endif

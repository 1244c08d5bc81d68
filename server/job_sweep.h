/* Looks after what runs that were killed, or that lost their job to another process, have left in the
 * tree: files of attempts that are not the job's, staged files, and models that are to be served by
 * jobs that have ended. Several processes may do so at the same time. Belongs to one thread. */
#ifndef DGLD_SERVER_JOB_SWEEP_H
#define DGLD_SERVER_JOB_SWEEP_H

#include "server/job_store.h"

struct app;
struct job_sweep;

/* Removes what was staged by processes that have ended, and begins a walk. Borrows all. ERR_NOMEM. */
enum err job_sweep_create(struct app *app, struct job_store *store, struct job_sweep **out,
                          struct error *err);
/* Accepts NULL. */
void job_sweep_destroy(struct job_sweep *sweep);

/* A job was taken from a process that may not be gone: walks through the files of all jobs once more,
 * when what it may still write has been written. */
void job_sweep_ask(struct job_sweep *sweep);

/* A part of the work, of some milliseconds; to be called about once a second. */
void job_sweep_tick(struct job_sweep *sweep);

#endif

/* A request that waits for a job: until it changes or ends, or its time is over, and then until the
 * pool has read what has become of it. No thread waits meanwhile. */
#ifndef DGLD_SERVER_JOB_WAIT_H
#define DGLD_SERVER_JOB_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "server/jobs.h"
#include "server/pool.h"
#include "server/routes.h"

/* Part of what a handler keeps of its request; ended by job_wait_close(). */
struct job_wait {
    struct job_watch watch;
    struct pool_job pool_job;
    struct app *app;
    const struct request *request;
    enum err rc; /* ERR_LIMIT where the pool is full; else of jobs_get() */
    struct error err;
    struct job job; /* owned: as it is after the wait */
};

/* Waits for `limit_ms`, and calls request_resume() once. With `is_for_end` until the job has ended,
 * else until its revision is after that. What the wait before has brought is dropped. */
void job_wait_begin(struct job_wait *wait, struct app *app, const struct request *request,
                    const char *id, int64_t after_revision, bool is_for_end, int64_t limit_ms);

/* Accepts a zeroed struct. */
void job_wait_close(struct job_wait *wait);

#endif

/* Threads for what takes longer than others should wait: large batches, files.
 *
 * They run at a lower priority than the I/O threads, so that a short question is answered in
 * between. All functions may be called from any thread. */
#ifndef DGLD_SERVER_POOL_H
#define DGLD_SERVER_POOL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Something to do; lives in a struct of its owner's, until `run` returns. */
struct pool_job {
    void (*run)(struct pool_job *job);
    struct pool_job *next; /* the pool's */
};

struct pool;

enum err pool_start(unsigned n_threads, struct pool **out, struct error *err);

/* Queues a job; the first come is the first served. False where `queue_max` jobs wait already, or the
 * pool is being stopped: then nothing was done. */
bool pool_submit(struct pool *pool, struct pool_job *job, size_t queue_max);

/* Jobs that wait, and threads that work. */
size_t pool_n_queued(struct pool *pool);
size_t pool_n_busy(struct pool *pool);

/* Takes no more jobs, runs all that wait, and ends the threads. Others may go on to submit, in vain.
 * Accepts NULL. */
void pool_stop(struct pool *pool);

/* Ends a pool that is stopped, or stops it first. Accepts NULL. */
void pool_destroy(struct pool *pool);

#endif

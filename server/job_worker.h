/* Threads that run jobs: each claims one from the store, runs it, and stores how it ended.
 *
 * Kinds share the workers fairly: every kind finds a worker free for its first job, whatever else
 * waits or runs, and of those that wait the kind with the fewest runs comes first. */
#ifndef DGLD_SERVER_JOB_WORKER_H
#define DGLD_SERVER_JOB_WORKER_H

#include "core/error.h"
#include "server/job_board.h"
#include "server/job_store.h"
#include "server/job_writer.h"

struct app;
struct job_workers;

/* What the workers work with; borrowed. */
struct job_workplace {
    struct app *app;
    struct job_store *store;
    struct job_writer *writer;
    struct job_board *board;
    const char *owner;
};

/* Workers and the keeper look for themselves that often (a second; tests lengthen it): for jobs whose
 * time comes, and for what another process has written and nobody told of. */
int64_t job_poll_ms(void);

/* Starts the threads; what they run has idle priority. Fewer than there are kinds of job become as many. */
enum err job_workers_start(const struct job_workplace *place, unsigned n_threads,
                           struct job_workers **out, struct error *err);

/* There may be something to claim: for one of them, or for several. Thread-safe. */
void job_workers_wake(struct job_workers *workers);
void job_workers_wake_all(struct job_workers *workers);

/* Threads that run a job. Thread-safe. */
size_t job_workers_n_busy(struct job_workers *workers);

/* Claims no more from now on. Accepts NULL. */
void job_workers_drain(struct job_workers *workers);

/* Drains, waits until what runs has stopped (which job_board_drain() told it to), and ends
 * the threads. Accepts NULL. */
void job_workers_stop(struct job_workers *workers);

/* Ends a job that this process holds, and that does not run. Returns whether it could be stored and
 * was held. */
bool job_place_end(const struct job_workplace *place, const struct job_report *report,
                   enum job_state state, const char *result, const char *error, struct error *err);

/* Puts such a job back into the queue. */
bool job_place_requeue(const struct job_workplace *place, const struct job_report *report,
                       int64_t delay_ms, const char *error, bool is_failure, struct error *err);

#endif

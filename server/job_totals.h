/* How many jobs there are of each kind and state, for GET /metrics. Counting reads the disk, and
 * metrics are wanted most where the threads that may do that have more than they can do: then the
 * figures are those of the last count, and the next one is under way. Thread-safe. */
#ifndef DGLD_SERVER_JOB_TOTALS_H
#define DGLD_SERVER_JOB_TOTALS_H

#include <stdatomic.h>
#include <stdbool.h>

#include "proto/job.h"
#include "proto/text.h"
#include "server/pool.h"

struct app;
struct request;

/* The app's; zeroed at first. */
struct job_totals {
    struct pool_job recount;
    atomic_bool is_recounting;
    atomic_size_t counts[JOB_N_KINDS][JOB_N_STATES];
};

/* Counts, where the request runs on the pool. Else false where nobody waits for the pool, and the
 * request had better run there. */
bool job_totals_count(struct app *app, const struct request *request);

/* Writes the family dgld_jobs. */
void job_totals_encode(const struct job_totals *totals, struct text *text);

#endif

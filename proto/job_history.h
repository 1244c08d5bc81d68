/* The course of a job: its curve (of a training the loss by epoch, of the fit itself and not of those
 * that validate it; of a search the best network by generation) and the front of a search, of bounded
 * size however long it runs. What nobody watched is told by it afterwards. As JSON
 *   {"stride": 4, "points": [{"epoch": 1, "loss": 0.31}, {"epoch": 5, "loss": 0.22}, ...],
 *    "front": [{"latency_ms": 3.2, "accuracy": 68.1}, ...]}
 * with points of {"generation": 1, "accuracy": 68.1, "latency_ms": 3.2}, as far as they are known, of a
 * search. Belongs to its creator; functions are thread-safe. */
#ifndef DGLD_PROTO_JOB_HISTORY_H
#define DGLD_PROTO_JOB_HISTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "proto/job.h"
#include "proto/text.h"

enum { JOB_HISTORY_MAX = 200 }; /* points; when they are as many, every other one goes */

struct job_point {
    size_t step; /* epoch or generation, from 1 */
    double loss; /* NaN where it is not known, as the next two */
    double accuracy, latency_ms;
};

struct job_history { /* starts as zeroes */
    bool is_of_epochs;
    size_t stride; /* steps from one point to the next; 0 where there is none */
    size_t n;
    struct job_point points[JOB_HISTORY_MAX]; /* (n), by step */
    struct job_front front;
};

/* Whether it tells of an epoch or generation, and of something in it to draw. */
bool job_progress_has_step(const struct job_progress *progress);

/* Whether the curve, or the front, gains something by this progress. Costs some nanoseconds. */
bool job_history_is_due(const struct job_history *history, const struct job_progress *progress);

/* Takes the progress in, where it is due. A run that begins anew, or goes on from an earlier step than
 * the last, takes back what came after. */
void job_history_add(struct job_history *history, const struct job_progress *progress);

/* Whether there is anything to tell. */
bool job_history_is_empty(const struct job_history *history);

/* Appends the object. Its curve ends with `last`, where that has a step that is later than what it
 * holds; NULL: with that. */
void msg_job_put_history(const struct job_history *history, const struct job_progress *last,
                         struct text *out);

/* Reads the curve, to go on with it, not the front, as msg_job_put_history() wrote it. ERR_SYNTAX,
 * ERR_INVALID where it did not; `out` is empty then. */
enum err msg_job_read_history(const char *json, size_t size, struct job_history *out,
                              struct error *err);

#endif

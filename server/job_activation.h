/* Models that jobs have asked to be served, and that are not yet: an activation belongs to a job that
 * has ended well, so it is done when the store has accepted that end, by whoever lives then.
 *
 *   result/<space>/.activations/<id>.<attempt>   holds the name of the model
 *
 * A run writes it before its end is stored, and it is removed by whoever activates the model. All
 * functions may be called from any thread that may wait for a file. */
#ifndef DGLD_SERVER_JOB_ACTIVATION_H
#define DGLD_SERVER_JOB_ACTIVATION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/job.h"
#include "proto/model_file.h"

struct app;

struct job_activation {
    char id[JOB_ID_BYTES];
    int attempt;
    struct timespec asked; /* by the file system's clock */
};

/* Writes it down, for good. */
enum err job_activation_ask(const char *root, const struct space *space, const char *id,
                            int attempt, const char *model, struct error *err);

/* It is not wanted any more, or there never was one. */
void job_activation_drop(const char *root, const struct space *space, const char *id, int attempt);

/* None of any attempt of the job is wanted any more: what it made is gone. */
void job_activation_drop_all(const char *root, const struct space *space, const char *id);

/* Those of a space that are there, at most `max`; returns how many. */
size_t job_activation_list(const char *root, const struct space *space,
                           struct job_activation *items, size_t max);

/* Serves the model that a job which has ended well has asked for, unless somebody did so meanwhile.
 * After `fresh_until_ms` (boottime_ms()) it is served late, which must not undo what was decided
 * since: then a served file that is younger than the asking stays. It is settled, and forgotten, with
 * ERR_OK; `is_done` tells whether the model was activated by this call. ERR_IO and ERR_NOMEM where it
 * has to be tried again, everything else where it never will work (there is no such model any more):
 * that is forgotten, too. */
enum err job_activation_settle(struct app *app, const struct space *space, const char *id,
                               int attempt, int64_t fresh_until_ms, bool *is_done,
                               struct error *err);

#endif

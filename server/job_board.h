/* What runs in this process and how far it is, and who waits for which job.
 *
 * A run is added when its worker begins, and taken off after its end was stored. Its progress lives
 * here alone, newer than what the store has. Thread-safe. */
#ifndef DGLD_SERVER_JOB_BOARD_H
#define DGLD_SERVER_JOB_BOARD_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "proto/job.h"
#include "proto/job_history.h"
#include "server/jobs.h"

/* Progress is published no more often than that; what is published is kept for who comes late, so
 * many times. */
enum { BOARD_PUBLISH_MS = 100, BOARD_EVENTS = 256 };

enum { JOB_WORKERS_MAX = 256 }; /* runs at a time */

/* Why a run is to stop. The first reason stays. */
enum stop_reason {
    STOP_NONE,
    STOP_CANCEL,   /* somebody asked for it */
    STOP_DEADLINE, /* its time is over */
    STOP_SERVICE,  /* the service ends; the job goes on at the next start */
    STOP_LOST,     /* the lease is another's */
};

struct job_board;
struct job_run;

enum err job_board_create(struct job_board **out, struct error *err);
/* Accepts NULL. No run and no watch is left by then. */
void job_board_destroy(struct job_board *board);

/* ---- runs ------------------------------------------------------------------------------------- */

/* Adds a job that was claimed; a run that begins after job_board_drain() is to stop at once. */
enum err job_board_begin(struct job_board *board, const struct job *job, struct job_run **out,
                         struct error *err);

/* By so many milliseconds is the clock of the job's deadline ahead of this machine's. */
void job_run_set_clock(struct job_run *run, int64_t ahead_ms);

/* The calling thread, which is of idle priority, runs it from now to job_run_end_runner(): when the run
 * is to stop, or was told to already, the thread gets plain priority, so that it notices. */
void job_run_begin_runner(struct job_run *run);
void job_run_end_runner(struct job_run *run);

/* Takes the run off and ends it; who waits for its job is woken, who waits for its end where it
 * `has_ended` by what is in the store. */
void job_board_end(struct job_board *board, struct job_run *run, bool has_ended);

/* What attempts before this one have left of the job's course (proto/job_history.h). Of the thread
 * that runs it, before it reports. */
void job_run_resume_history(struct job_run *run, const struct job_history *history);

/* Notes the progress, and publishes it now and then. False where the run is to stop. Of the thread
 * that runs it. */
bool job_run_report(struct job_run *run, const struct job_progress *progress);

/* The lease of the run is known to last until then (boottime_ms()); 0 at first. False where no run of
 * that id and attempt is here (any more). */
bool job_board_hold(struct job_board *board, const char *id, int attempt, int64_t until_ms);

/* The lease of the run is another's: it is to stop. The other may be a later attempt that runs here as
 * well, and goes on. No such run, or one that commits already, is left alone. */
void job_board_lose(struct job_board *board, const char *id, int attempt);

int64_t job_run_held_until(struct job_run *run);

/* Whether the run may put its results in place; from a true on nothing stops it. */
bool job_run_may_commit(struct job_run *run);

enum stop_reason job_run_stop_reason(struct job_run *run);

/* The job as it was claimed; constant. */
const struct job *job_run_job(const struct job_run *run);

/* A revision after all that were published, for the next change in the store. */
int64_t job_run_next_revision(struct job_run *run);

/* Appends how far the run got, as JSON: all the way where it `has_succeeded`. Of the thread that ran
 * it. */
void job_run_put_progress(const struct job_run *run, bool has_succeeded, struct text *out);

/* Appends its course up to where it is now, nothing where there is none. Likewise. */
void job_run_put_history(const struct job_run *run, struct text *out);

/* Tells what runs of a job to stop, for somebody asked for it; what commits already is left alone. */
void job_board_cancel(struct job_board *board, const char *id);

/* For the leases: the reports of at most `max` runs, with their progress and course as owned texts
 * that the caller frees. Returns how many there are. `owner` of the reports is left alone. */
struct board_report {
    char id[JOB_ID_BYTES];
    int attempt;
    int64_t revision;
    char *progress; /* owned, or NULL; with the front */
    char *history;  /* likewise: the course so far */
};
size_t job_board_reports(struct job_board *board, struct board_report *reports, size_t max);

/* Puts what the board knows of a running job over what the store said: its latest progress, and that
 * it runs still where its end is stored while something of it (the model that it activates) is not
 * in place. ERR_NOMEM. */
enum err job_board_overlay(struct job_board *board, struct job *job, struct error *err);

/* Appends the course of a job, up to where it is. False where none is known of it here. */
bool job_board_put_history(struct job_board *board, const char *id, struct text *out);

/* Appends the events of a run after a revision as jobs_put_events() does. False where no such job
 * runs here. */
bool job_board_put_events(struct job_board *board, const char *id, int64_t after_revision,
                          struct text *out, int64_t *revision);

/* One event, as server-sent events are written; `data` has no line ends. */
void job_put_event(struct text *out, int64_t revision, const char *name, const char *data);

/* ---- watches ---------------------------------------------------------------------------------- */

/* Adds a watch, or wakes it at once where what it waits for is known to have come. True where it
 * was added: then somebody has to look what the store knows, and to call job_board_tick(). */
bool job_board_watch(struct job_board *board, struct job_watch *watch);

/* The job has changed in the store: wakes who waits for that. */
void job_board_changed(struct job_board *board, const char *id, int64_t revision, bool has_ended);

/* Wakes those whose time is over at `now_ms` (monotonic). Returns when the next one's will be, or
 * INT64_MAX. */
int64_t job_board_tick(struct job_board *board, int64_t now_ms);

/* Ids of jobs that somebody waits for and that do not run here, at most `max`, each once:
 * `is_new_only` those for which job_board_watch() said true since the last call. */
size_t job_board_watched(struct job_board *board, bool is_new_only, char (*ids)[JOB_ID_BYTES],
                         size_t max);

/* Wakes all, now and from now on, and tells every run to stop for the service's end. */
void job_board_drain(struct job_board *board);

#endif

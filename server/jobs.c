#include "server/jobs.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/clock.h"
#include "server/job_activation.h"
#include "server/job_board.h"
#include "server/job_kinds.h"
#include "server/job_sweep.h"
#include "server/job_worker.h"
#include "server/log.h"
#include "server/path.h"
#include "server/result_tree.h"

/* Jobs that the keeper takes on at a time, when every job_poll_ms() it looks after leases of other
 * processes, deadlines and retention. */
enum { KEEP_MAX = 256 };

/* Leases are prolonged that many times while they last. */
enum { RENEWALS_A_LEASE = 4 };

struct jobs {
    struct app *app;
    char owner[JOB_OWNER_BYTES];
    struct job_store *store;
    struct job_writer *writer;
    struct job_board *board;
    struct job_workers *workers;
    struct job_workplace place;
    struct job_sweep *sweep; /* the keeper's */
    /* the keeper: a thread that looks after what nobody calls for */
    pthread_t keeper;
    bool has_keeper;
    pthread_mutex_t lock; /* of the two below */
    pthread_cond_t has_news;
    bool has_new_watch, is_stopping;
};

/* ---- orders ---------------------------------------------------------------------------------- */

/* A UUID of version 7: 48 bits of time in ms, then chance (RFC 9562, section 5.7). */
static void make_id(int64_t now_ms, char id[JOB_ID_BYTES])
{
    uint8_t b[16];
    char *out = id;

    if (getrandom(b, sizeof b, 0) != (ssize_t)sizeof b) {
        memset(b, 0, sizeof b); /* it does not fail for so few bytes; ids are unique in the store */
    }
    for (int i = 0; i < 6; i++) {
        b[i] = (uint8_t)(now_ms >> (8 * (5 - i)));
    }
    b[6] = (uint8_t)(0x70 | (b[6] & 0x0f));
    b[8] = (uint8_t)(0x80 | (b[8] & 0x3f));
    for (int i = 0; i < 16; i++) {
        out += snprintf(out, 4, i == 4 || i == 6 || i == 8 || i == 10 ? "-%02x" : "%02x", b[i]);
    }
}

static enum err run_submit(struct job_write *write, struct job_store *store, struct error *err)
{
    struct job_submission *submission = (struct job_submission *)write;

    job_close(&submission->job); /* of a transaction that was rolled back */
    return job_store_submit(store, &submission->draft, &submission->result, &submission->job, err);
}

static void end_submit(struct job_write *write)
{
    struct job_submission *submission = (struct job_submission *)write;

    if (write->rc == ERR_OK && submission->result == SUBMIT_CREATED) {
        job_workers_wake(submission->jobs->workers);
    }
    submission->done(submission);
}

void jobs_submit(struct jobs *jobs, struct job_submission *submission)
{
    int64_t now_ms = job_store_now_ms(jobs->store);
    int64_t deadline_s = submission->deadline_s;

    make_id(now_ms, submission->id);
    submission->jobs = jobs;
    submission->draft.id = submission->id;
    submission->draft.submitted_ms = now_ms;
    submission->draft.deadline_ms = deadline_s > 0 ? now_ms + deadline_s * 1000 : 0;
    submission->draft.queue_max = (size_t)jobs->app->config.job_queue_max;
    submission->write.run = run_submit;
    submission->write.done = end_submit;
    job_writer_submit(jobs->writer, &submission->write);
}

static enum err run_cancel(struct job_write *write, struct job_store *store, struct error *err)
{
    struct job_change *change = (struct job_change *)write;

    job_close(&change->job);
    return job_store_cancel(store, change->id, job_store_now_ms(store), &change->is_found,
                            &change->job, err);
}

/* What attempts that were interrupted have left of a job that was cancelled while it waited to be
 * begun again; one that runs sees to that itself. */
static void drop_remains(const struct jobs *jobs, const struct job *job)
{
    const struct space named = {.name = job->space}; /* a name is all that its files need */
    struct error err;

    if (job->state == JOB_CANCELLED && job->attempt > 0 &&
        job_files_remove_attempts(jobs->app->tree.root, &named, job->id, 1, job->attempt, &err) !=
            ERR_OK) {
        log_write(LOG_WARNING, "job %s: %s", job->id, err.text);
    }
}

static void end_cancel(struct job_write *write)
{
    struct job_change *change = (struct job_change *)write;
    struct jobs *jobs = change->jobs;

    if (write->rc == ERR_OK && change->is_found) {
        drop_remains(jobs, &change->job);
        job_board_cancel(jobs->board, change->id);
        job_board_changed(jobs->board, change->id, change->job.revision,
                          job_has_ended(change->job.state));
    }
    change->done(change);
}

void jobs_cancel(struct jobs *jobs, struct job_change *change)
{
    change->jobs = jobs;
    change->write.run = run_cancel;
    change->write.done = end_cancel;
    job_writer_submit(jobs->writer, &change->write);
}

struct remove_write {
    struct job_write write;
    const char *id;
    bool is_removed;
};

static enum err run_remove(struct job_write *write, struct job_store *store, struct error *err)
{
    struct remove_write *w = (struct remove_write *)write;

    return job_store_remove(store, w->id, &w->is_removed, err);
}

static enum err run_forget(struct job_write *write, struct job_store *store, struct error *err)
{
    struct remove_write *w = (struct remove_write *)write;

    return job_store_forget(store, w->id, err);
}

/* Removes the files of a job that is no more. Where that fails, or the service is killed before it
 * is done, the keeper does it later: the store knows of them until then. */
static enum err clear_away(struct jobs *jobs, const char *id, const char *space_name,
                           struct error *err)
{
    struct remove_write w = {.write = {.run = run_forget}, .id = id};
    const struct space gone = {.name = space_name}; /* a name is all that its files need */
    const struct space *space = space_find(space_name);
    const struct space *named = space != NULL ? space : &gone;
    const char *root = jobs->app->tree.root;
    enum err rc;

    job_activation_drop_all(root, named, id);
    rc = job_files_remove(root, named, id, err);
    return rc != ERR_OK ? rc : job_writer_run(jobs->writer, &w.write, err);
}

/* ERR_NOT_FOUND where somebody else removed it meanwhile. */
static enum err remove_ended(struct jobs *jobs, const struct job *job, struct error *err)
{
    struct remove_write w = {.write = {.run = run_remove}, .id = job->id};
    enum err rc = job_writer_run(jobs->writer, &w.write, err);

    if (rc == ERR_OK && !w.is_removed) {
        rc = error_set(err, ERR_NOT_FOUND, "there is no job %s", job->id);
    }
    return rc != ERR_OK ? rc : clear_away(jobs, job->id, job->space, err);
}

enum err jobs_remove(struct jobs *jobs, const char *id, struct error *err)
{
    struct job job = {0};
    enum err rc = job_store_get(jobs->store, id, &job, err);

    if (rc == ERR_OK && !job_has_ended(job.state)) {
        rc = error_set(err, ERR_INVALID, "the job %s is %s; cancel it first", id,
                       job_state_name(job.state));
    }
    rc = rc != ERR_OK ? rc : remove_ended(jobs, &job, err);
    job_close(&job);
    return rc;
}

/* ---- looking --------------------------------------------------------------------------------- */

enum err jobs_get(struct jobs *jobs, const char *id, struct job *out, struct error *err)
{
    enum err rc = job_store_get(jobs->store, id, out, err);

    return rc != ERR_OK ? rc : job_board_overlay(jobs->board, out, err);
}

enum err jobs_list(struct jobs *jobs, const struct job_filter *filter, struct job_list *out,
                   struct error *err)
{
    enum err rc = job_store_list(jobs->store, filter, out, err);

    for (size_t i = 0; rc == ERR_OK && i < out->n; i++) {
        rc = job_board_overlay(jobs->board, &out->items[i], err);
    }
    if (rc != ERR_OK) {
        job_list_close(out);
    }
    return rc;
}

/* The run's own, where it is here; else what it has left. */
enum err jobs_put_history(struct jobs *jobs, const char *id, struct text *out, struct error *err)
{
    const struct job_history none = {0};
    char *stored = NULL;
    enum err rc = ERR_OK;

    if (!job_board_put_history(jobs->board, id, out)) {
        rc = job_store_history(jobs->store, id, &stored, err);
        if (rc == ERR_OK && stored != NULL) {
            text_puts(out, stored);
        } else if (rc == ERR_OK) {
            msg_job_put_history(&none, NULL, out);
        }
    }
    if (rc == ERR_OK && out->has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for the history of a job");
    }
    mem_free(stored);
    return rc;
}

enum err jobs_count(struct jobs *jobs, size_t counts[JOB_N_KINDS][JOB_N_STATES], struct error *err)
{
    return job_store_count(jobs->store, counts, err);
}

bool jobs_is_healthy(struct jobs *jobs, struct error *err)
{
    return !job_writer_has_failed(jobs->writer, err);
}

/* ---- watching -------------------------------------------------------------------------------- */

void jobs_watch(struct jobs *jobs, struct job_watch *watch)
{
    if (job_board_watch(jobs->board, watch)) {
        /* the keeper looks it up, and when its time will be over */
        (void)pthread_mutex_lock(&jobs->lock);
        jobs->has_new_watch = true;
        (void)pthread_cond_signal(&jobs->has_news);
        (void)pthread_mutex_unlock(&jobs->lock);
    }
}

enum err jobs_put_events(struct jobs *jobs, const char *id, int64_t after_revision,
                         struct text *out, int64_t *revision, bool *has_ended, struct error *err)
{
    struct job job = {0};
    struct text text = {0};
    enum err rc;

    *revision = after_revision;
    *has_ended = false;
    if (job_board_put_events(jobs->board, id, after_revision, out, revision)) {
        return ERR_OK;
    }
    rc = job_store_get(jobs->store, id, &job, err);
    if (rc != ERR_OK) {
        return rc;
    }
    *has_ended = job_has_ended(job.state);
    if (job.revision > after_revision) {
        msg_job_put(&job, &text);
        if (text.has_failed) {
            rc = error_set(err, ERR_NOMEM, "no memory for a job");
        } else {
            job_put_event(out, job.revision, "job", text.bytes);
            *revision = job.revision;
        }
    }
    text_close(&text);
    job_close(&job);
    return rc;
}

/* Looks those jobs up in the store that somebody waits for and that do not run here: they may have
 * changed before the watch was there, or by another process. */
static void check_watches(struct jobs *jobs, bool is_new_only)
{
    char(*ids)[JOB_ID_BYTES] = mem_calloc(KEEP_MAX, sizeof *ids);
    size_t n = ids != NULL ? job_board_watched(jobs->board, is_new_only, ids, KEEP_MAX) : 0;

    for (size_t i = 0; i < n; i++) {
        struct job job = {0};
        enum err rc = job_store_get(jobs->store, ids[i], &job, NULL);
        if (rc == ERR_OK) {
            job_board_changed(jobs->board, ids[i], job.revision, job_has_ended(job.state));
        } else if (rc == ERR_NOT_FOUND) { /* it was removed */
            job_board_changed(jobs->board, ids[i], INT64_MAX, true);
        }
        job_close(&job);
    }
    mem_free(ids);
}

/* What another process has written; in a thread of the store's. */
static void on_news(void *context, const struct job_news *news)
{
    struct jobs *jobs = context;

    switch (news->what) {
    case JOB_NEWS_QUEUED:
        job_workers_wake_all(jobs->workers);
        break;
    case JOB_NEWS_CANCEL:
        job_board_cancel(jobs->board, news->id);
        break;
    default:
        job_board_changed(jobs->board, news->id, news->revision, news->has_ended);
        break;
    }
}

/* ---- keeping --------------------------------------------------------------------------------- */

struct renewal {
    struct job_write write;
    struct job_report report;
    int64_t lease_ms;
    bool is_held, is_cancel_requested;
};

static enum err run_renewal(struct job_write *write, struct job_store *store, struct error *err)
{
    struct renewal *r = (struct renewal *)write;

    return job_store_renew(store, &r->report, job_store_now_ms(store) + r->lease_ms, &r->is_held,
                           &r->is_cancel_requested, err);
}

/* Prolongs the leases of what runs here. False where the store cannot be written. */
static bool renew_leases(struct jobs *jobs)
{
    struct board_report reports[JOB_WORKERS_MAX];
    size_t n = job_board_reports(jobs->board, reports, JOB_WORKERS_MAX);
    bool is_stored = true;

    for (size_t i = 0; i < n; i++) {
        struct renewal r = {
            .write = {.run = run_renewal },
            .report = { reports[i].id, jobs->owner, reports[i].attempt, reports[i].revision,
                      reports[i].progress, reports[i].history},
            .lease_ms = jobs->app->config.job_lease_ms,
        };
        const int64_t held_until_ms = boottime_ms() + jobs->app->config.job_lease_ms;
        struct error err;
        if (job_writer_run(jobs->writer, &r.write, &err) != ERR_OK) {
            is_stored = false;
        } else if (!r.is_held) {
            job_board_lose(jobs->board, reports[i].id, reports[i].attempt);
        } else {
            (void)job_board_hold(jobs->board, reports[i].id, reports[i].attempt, held_until_ms);
            if (r.is_cancel_requested) {
                job_board_cancel(jobs->board, reports[i].id);
            }
        }
        mem_free(reports[i].progress);
        mem_free(reports[i].history);
    }
    return is_stored;
}

struct adoption {
    struct job_write write;
    const char *owner;
    int64_t lease_ms;
    int64_t held_until_ms; /* boottime_ms() */
    bool is_found;
    struct job job;
};

static enum err run_adoption(struct job_write *write, struct job_store *store, struct error *err)
{
    struct adoption *a = (struct adoption *)write;
    int64_t now_ms = job_store_now_ms(store);
    const struct job_lease lease = {a->owner, now_ms, now_ms + a->lease_ms};

    job_close(&a->job);
    return job_store_adopt(store, &lease, &a->is_found, &a->job, err);
}

/* Decides what becomes of a job whose runner is gone. */
static enum err settle(struct jobs *jobs, const struct job *job, struct error *err)
{
    const struct space gone = {.name = job->space};
    const struct space *space = space_find(job->space);
    const struct job_report report = {job->id,           jobs->owner, job->attempt,
                                      job->revision + 1, NULL,        NULL};
    const char *root = jobs->app->tree.root;
    char text[ERROR_TEXT_BYTES];
    enum err rc;

    if (!job->is_cancel_requested && job->attempt < jobs->app->config.job_attempts_max) {
        log_write(LOG_INFO, "job %s: attempt %d was interrupted; it is queued again", job->id,
                  job->attempt);
        (void)job_place_requeue(&jobs->place, &report, 0, job->error, false, err);
        return err->code;
    }
    rc = job_files_remove_attempts(root, space != NULL ? space : &gone, job->id, 1, job->attempt,
                                   err);
    if (rc != ERR_OK) {
        return rc;
    }
    (void)snprintf(text, sizeof text,
                   "the job was begun %d times, and the service ended each time before it did%s%s",
                   job->attempt, job->error != NULL ? "; its last error: " : "",
                   job->error != NULL ? job->error : "");
    log_write(LOG_INFO, "job %s: attempt %d was interrupted; it is %s", job->id, job->attempt,
              job->is_cancel_requested ? "cancelled, as was asked" : "given up");
    (void)job_place_end(&jobs->place, &report,
                        job->is_cancel_requested ? JOB_CANCELLED : JOB_FAILED, NULL,
                        job->is_cancel_requested ? NULL : text, err);
    return err->code;
}

/* Whether what was taken over runs here: it was this process that stalled, or the store, and adopting the
 * job has prolonged its lease. */
static bool is_own(const struct jobs *jobs, const struct adoption *adoption)
{
    const struct job *job = &adoption->job;
    const bool runs_here =
        job_board_hold(jobs->board, job->id, job->attempt, adoption->held_until_ms);

    if (runs_here && job->is_cancel_requested) {
        job_board_cancel(jobs->board, job->id);
    }
    return runs_here;
}

/* Takes over what processes that are gone, or stalled, have left. */
static enum err adopt_orphans(struct jobs *jobs, struct error *err)
{
    enum err rc = ERR_OK;
    bool is_found = true;

    while (rc == ERR_OK && is_found) {
        struct adoption a = {
            .write = {.run = run_adoption},
            .owner = jobs->owner,
            .lease_ms = jobs->app->config.job_lease_ms,
            .held_until_ms = boottime_ms() + jobs->app->config.job_lease_ms,
        };
        bool is_orphan;
        err->code = ERR_OK;
        rc = job_writer_run(jobs->writer, &a.write, err);
        is_found = a.is_found;
        is_orphan = rc == ERR_OK && is_found && !is_own(jobs, &a);
        if (is_orphan) {
            rc = settle(jobs, &a.job, err);
        }
        if (rc == ERR_OK && is_orphan) {
            job_sweep_ask(jobs->sweep);
            job_board_changed(jobs->board, a.job.id, INT64_MAX, false);
            job_workers_wake(jobs->workers);
        }
        job_close(&a.job);
    }
    return rc;
}

struct overdue_write {
    struct job_write write;
    char (*ids)[JOB_ID_BYTES];
    size_t n;
};

static enum err run_overdue(struct job_write *write, struct job_store *store, struct error *err)
{
    struct overdue_write *w = (struct overdue_write *)write;

    return job_store_end_overdue(store, job_store_now_ms(store), KEEP_MAX, w->ids, &w->n, err);
}

/* Fails what waited beyond its deadline. */
static void end_overdue(struct jobs *jobs)
{
    struct overdue_write w = {
        .write = {.run = run_overdue},
        .ids = mem_calloc(KEEP_MAX, sizeof *w.ids),
    };
    struct error err;

    if (w.ids != NULL && job_writer_run(jobs->writer, &w.write, &err) == ERR_OK) {
        for (size_t i = 0; i < w.n; i++) {
            job_board_changed(jobs->board, w.ids[i], INT64_MAX, true);
            log_write(LOG_WARNING, "job %s: its deadline passed before it was begun", w.ids[i]);
        }
    }
    mem_free(w.ids);
}

/* Removes ended jobs that were kept long enough, with their files. */
static void expire(struct jobs *jobs)
{
    const struct config *config = &jobs->app->config;
    int64_t before_ms = job_store_now_ms(jobs->store) - config->job_retention_s * 1000;
    struct job_list list = {0};
    struct error err;
    enum err rc = job_store_list_expired(jobs->store, before_ms, (size_t)config->job_ended_max,
                                         KEEP_MAX, &list, &err);

    for (size_t i = 0; rc == ERR_OK && i < list.n; i++) {
        rc = remove_ended(jobs, &list.items[i], &err);
        rc = rc == ERR_NOT_FOUND ? ERR_OK : rc; /* somebody else did */
    }
    if (rc != ERR_OK) {
        log_write(LOG_WARNING, "ended jobs cannot be removed: %s", err.text);
    }
    job_list_close(&list);
}

/* Finishes removals that were begun and not ended. */
static void clear_removed(struct jobs *jobs)
{
    struct job_trace *removed = mem_calloc(KEEP_MAX, sizeof *removed);
    struct error err;
    size_t n = 0;
    enum err rc = removed != NULL ? job_store_list_removed(jobs->store, KEEP_MAX, removed, &n, &err)
                                  : error_set(&err, ERR_NOMEM, "no memory");

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rc = clear_away(jobs, removed[i].id, removed[i].space, &err);
    }
    if (rc != ERR_OK) {
        log_write(LOG_WARNING, "files of removed jobs cannot be removed: %s", err.text);
    }
    mem_free(removed);
}

/* `is_stored` tells whether what runs here has its leases: else nobody's is judged. */
static void keep(struct jobs *jobs, bool is_stored)
{
    struct error err;

    if (is_stored && adopt_orphans(jobs, &err) == ERR_OK) {
        end_overdue(jobs);
        expire(jobs);
        clear_removed(jobs);
        job_sweep_tick(jobs->sweep);
    }
    check_watches(jobs, false);
}

/* Sleeps until there is something to do. False where the keeper is to end. */
static bool wait_for_news(struct jobs *jobs, int64_t until_ms, bool *has_new_watch)
{
    const struct timespec until = {until_ms / 1000, until_ms % 1000 * 1000000};
    bool goes_on;

    (void)pthread_mutex_lock(&jobs->lock);
    while (!jobs->is_stopping && !jobs->has_new_watch &&
           pthread_cond_timedwait(&jobs->has_news, &jobs->lock, &until) == 0) {
    }
    *has_new_watch = jobs->has_new_watch;
    jobs->has_new_watch = false;
    goes_on = !jobs->is_stopping;
    (void)pthread_mutex_unlock(&jobs->lock);
    return goes_on;
}

/* When the leases are to be prolonged that were at `renewed_ms`. */
static int64_t next_renewal_ms(const struct jobs *jobs, int64_t renewed_ms)
{
    return renewed_ms + jobs->app->config.job_lease_ms / RENEWALS_A_LEASE;
}

/* How far the wall clock, by which leases run out, is ahead of the one that nobody sets. */
static int64_t wall_ahead_ms(void)
{
    return realtime_ms() - monotonic_ms();
}

/* Whether the wall clock was set forward since, or the machine slept: leases of what runs here may seem
 * to have run out, and have to be prolonged before they are judged. */
static bool was_set_forward(const struct jobs *jobs, int64_t *ahead_ms)
{
    const int64_t now_ahead_ms = wall_ahead_ms();
    const bool was_set =
        now_ahead_ms > *ahead_ms + jobs->app->config.job_lease_ms / RENEWALS_A_LEASE;

    *ahead_ms = now_ahead_ms;
    return was_set;
}

static int64_t earlier(int64_t a_ms, int64_t b_ms)
{
    return a_ms < b_ms ? a_ms : b_ms;
}

static void *run_keeper(void *argument)
{
    struct jobs *jobs = argument;
    const int64_t period_ms = job_poll_ms();
    int64_t kept_ms = monotonic_ms();
    int64_t renewed_ms = kept_ms;
    int64_t next_ms = kept_ms;
    int64_t ahead_ms = wall_ahead_ms();
    bool is_stored = true;
    bool has_new_watch;

    while (wait_for_news(jobs, next_ms, &has_new_watch)) {
        if (has_new_watch) {
            check_watches(jobs, true);
        }
        if (was_set_forward(jobs, &ahead_ms) ||
            monotonic_ms() >= next_renewal_ms(jobs, renewed_ms)) {
            renewed_ms = monotonic_ms();
            is_stored = renew_leases(jobs);
        }
        if (monotonic_ms() >= kept_ms + period_ms) {
            keep(jobs, is_stored);
            kept_ms = monotonic_ms();
        }
        next_ms = job_board_tick(jobs->board, monotonic_ms());
        next_ms = earlier(next_ms, kept_ms + period_ms);
        next_ms = earlier(next_ms, next_renewal_ms(jobs, renewed_ms));
    }
    return NULL;
}

/* ---- start and stop -------------------------------------------------------------------------- */

/* An empty root has no result tree yet, where the store and what jobs make go. Where it cannot be made
 * the store says so. */
static void make_result_tree(const struct app *app)
{
    char path[PATH_BYTES];

    if (path_format(path, NULL, "%s/result", app->tree.root) == ERR_OK) {
        (void)result_make_directory(path, NULL);
    }
}

/* Where none are asked for, as many as keep every core busy with jobs of one kind, while a worker is
 * left to each of the others. */
static unsigned n_workers(const struct config *config)
{
    long n = config->job_workers;

    n = n > 0 ? n : sysconf(_SC_NPROCESSORS_ONLN) + JOB_N_KINDS - 1;
    return n < 1 ? 1 : n > JOB_WORKERS_MAX ? JOB_WORKERS_MAX : (unsigned)n;
}

/* A server that is away comes back; the keeper does it then. */
static enum err adopt_first_orphans(struct jobs *jobs, struct error *err)
{
    enum err rc = adopt_orphans(jobs, err);

    return rc == ERR_IO && job_store_is_shared(jobs->store) ? ERR_OK : rc;
}

enum err jobs_begin(struct jobs *jobs, struct error *err)
{
    enum err rc = job_writer_start(jobs->store, &jobs->writer, err);
    int failed;

    jobs->place =
        (struct job_workplace){jobs->app, jobs->store, jobs->writer, jobs->board, jobs->owner};
    rc = rc != ERR_OK
             ? rc
             : job_workers_start(&jobs->place, n_workers(&jobs->app->config), &jobs->workers, err);
    rc = rc != ERR_OK ? rc : adopt_first_orphans(jobs, err);
    if (rc == ERR_OK) {
        job_store_follow(jobs->store, on_news, jobs);
        clear_removed(jobs);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    failed = pthread_create(&jobs->keeper, NULL, run_keeper, jobs);
    jobs->has_keeper = failed == 0;
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot start a thread");
}

/* The setting job_store: a path is relative to the root, an address stays as it is. */
static enum err find_place(const struct app *app, char place[PATH_BYTES], struct error *err)
{
    const char *told = app->config.job_store;

    return job_store_is_at_server(told) ? path_format(place, err, "%s", told)
                                        : path_below(place, app->tree.root, told, err);
}

enum err jobs_open(struct app *app, struct jobs **out, struct error *err)
{
    struct jobs *jobs = mem_calloc(1, sizeof *jobs);
    pthread_condattr_t attributes;
    char place[PATH_BYTES];
    enum err rc;

    if (jobs == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for jobs");
    }
    jobs->app = app;
    (void)pthread_mutex_init(&jobs->lock, NULL); /* these cannot fail on Linux */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&jobs->has_news, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    make_result_tree(app);
    rc = find_place(app, place, err);
    rc = rc != ERR_OK ? rc : job_board_create(&jobs->board, err);
    rc = rc != ERR_OK ? rc : job_store_open(place, &jobs->store, jobs->owner, err);
    if (rc == ERR_OK) {
        rc = job_sweep_create(app, jobs->store, &jobs->sweep, err);
    }
    if (rc != ERR_OK) {
        jobs_stop(jobs);
        return rc;
    }
    *out = jobs;
    return ERR_OK;
}

void jobs_drain(struct jobs *jobs)
{
    /* nothing is begun any more: what is put back would be claimed again, an attempt each time */
    job_workers_drain(jobs->workers);
    job_board_drain(jobs->board);
}

void jobs_stop(struct jobs *jobs)
{
    if (jobs == NULL) {
        return;
    }
    if (jobs->store != NULL) {
        job_store_follow(jobs->store, NULL, NULL);
    }
    job_workers_drain(jobs->workers);
    if (jobs->board != NULL) {
        job_board_drain(jobs->board);
    }
    job_workers_stop(jobs->workers);
    if (jobs->has_keeper) {
        (void)pthread_mutex_lock(&jobs->lock);
        jobs->is_stopping = true;
        (void)pthread_cond_signal(&jobs->has_news);
        (void)pthread_mutex_unlock(&jobs->lock);
        (void)pthread_join(jobs->keeper, NULL);
    }
    job_writer_stop(jobs->writer);
    job_sweep_destroy(jobs->sweep);
    job_store_close(jobs->store);
    job_board_destroy(jobs->board);
    (void)pthread_cond_destroy(&jobs->has_news);
    (void)pthread_mutex_destroy(&jobs->lock);
    mem_free(jobs);
}

#define _GNU_SOURCE /* SCHED_IDLE */ // NOLINT(bugprone-reserved-identifier)
#include "server/job_worker.h"

#include <errno.h>
#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/clock.h"
#include "server/job_activation.h"
#include "server/job_kinds.h"
#include "server/log.h"

enum { POLL_MS = 1000 };

/* A job's own failures (a disk that is full, say) after which it is given up, and the time that is
 * given to such a fault to go away, twice as long each time. */
enum { FAILURES_MAX = 3, BACKOFF_MS = 500 };

/* While the store cannot be written, an end is tried again that often. */
enum { RETRY_MS = 500 };

struct job_workers {
    struct job_workplace place;
    pthread_mutex_t claim_lock; /* held while a job is claimed, so that one after the other is */
    pthread_mutex_t lock;       /* of all below */
    pthread_cond_t has_work;
    bool is_stopping;
    uint64_t n_wakes; /* so that a call that comes while a worker claims is not missed */
    size_t n_busy;
    size_t n_running[JOB_N_KINDS];
    uint64_t last_begun[JOB_N_KINDS]; /* by n_begun */
    uint64_t n_begun;
    pthread_t *threads; /* (n_threads), owned */
    unsigned n_threads;
};

int64_t job_poll_ms(void)
{
    const char *text = getenv("DGLD_TEST_JOB_POLL_MS");
    int64_t ms = text != NULL ? strtoll(text, NULL, 10) : 0;

    return ms > 0 ? ms : POLL_MS;
}

/* ---- writing into the store ------------------------------------------------------------------ */

/* Any of a runner's writes, and what comes back. */
struct runner_write {
    struct job_write write;
    const struct job_report *report;
    enum job_state state;
    const char *result, *error;
    int64_t delay_ms;
    bool is_failure, is_held;
};

static enum err write_end(struct job_write *write, struct job_store *store, struct error *err)
{
    struct runner_write *w = (struct runner_write *)write;

    return job_store_end(store, w->report, w->state, w->result, w->error, job_store_now_ms(store),
                         &w->is_held, err);
}

static enum err write_requeue(struct job_write *write, struct job_store *store, struct error *err)
{
    struct runner_write *w = (struct runner_write *)write;
    int64_t not_before_ms = w->delay_ms > 0 ? job_store_now_ms(store) + w->delay_ms : 0;

    return job_store_requeue(store, w->report, not_before_ms, w->error, w->is_failure, &w->is_held,
                             err);
}

bool job_place_end(const struct job_workplace *place, const struct job_report *report,
                   enum job_state state, const char *result, const char *error, struct error *err)
{
    struct runner_write w = {
        .write = {.run = write_end},
        .report = report,
        .state = state,
        .result = result,
        .error = error,
    };

    err->code = ERR_OK;
    return job_writer_run(place->writer, &w.write, err) == ERR_OK && w.is_held;
}

bool job_place_requeue(const struct job_workplace *place, const struct job_report *report,
                       int64_t delay_ms, const char *error, bool is_failure, struct error *err)
{
    struct runner_write w = {
        .write = {.run = write_requeue},
        .report = report,
        .error = error,
        .delay_ms = delay_ms,
        .is_failure = is_failure,
    };

    err->code = ERR_OK;
    return job_writer_run(place->writer, &w.write, err) == ERR_OK && w.is_held;
}

/* ---- one job --------------------------------------------------------------------------------- */

/* A claimed job on its way through a worker. */
struct work {
    struct job_workers *workers;
    const struct job_workplace *place;
    struct job job; /* owned */
    const struct space *space;
    struct job_run *run;
    struct text result;
    struct error err;
    enum err rc; /* of the run */
    double begun_s, yielded_s;
    bool asks_for_activation;
};

/* A kernel that preempts lazily lets a thread of idle priority go on until it enters the kernel or the
 * clock ticks, and an I/O thread that wakes meanwhile waits: up to 4 ms. So runs enter it now and then. */
#define YIELD_S 25e-6

static void env_breathe(void *context)
{
    struct work *work = context;
    const double now_s = monotonic_seconds();

    if (now_s >= work->yielded_s + YIELD_S) {
        work->yielded_s = now_s;
        (void)sched_yield();
    }
}

static bool env_report(void *context, const struct job_progress *progress)
{
    struct work *work = context;

    env_breathe(work);
    return job_run_report(work->run, progress);
}

/* False where there is no time left: the workers are being stopped. */
static bool pause_until_retry(struct job_workers *workers)
{
    bool is_stopping;

    (void)pthread_mutex_lock(&workers->lock);
    is_stopping = workers->is_stopping;
    (void)pthread_mutex_unlock(&workers->lock);
    if (!is_stopping) {
        pause_ms(RETRY_MS);
    }
    return !is_stopping;
}

static struct job_report report_of(const struct work *work, int64_t revision)
{
    return (struct job_report){
        .id = work->job.id,
        .owner = work->place->owner,
        .attempt = work->job.attempt,
        .revision = revision,
    };
}

struct hold_write {
    struct job_write write;
    struct job_report report;
    int64_t lease_ms;
    bool is_held, is_cancel_requested;
};

static enum err write_hold(struct job_write *write, struct job_store *store, struct error *err)
{
    struct hold_write *w = (struct hold_write *)write;

    return job_store_renew(store, &w->report, job_store_now_ms(store) + w->lease_ms, &w->is_held,
                           &w->is_cancel_requested, err);
}

/* Whether the job is this run's still. Where its lease may have run out, for the process was stopped
 * or the store could not be written, the store has to say so, however long that takes. False also
 * where the service ends meanwhile. */
static bool is_held(struct work *work)
{
    const int64_t lease_ms = work->place->app->config.job_lease_ms;
    struct error err;

    while (boottime_ms() >= job_run_held_until(work->run)) {
        const int64_t asked_ms = boottime_ms();
        struct hold_write w = {
            .write = {.run = write_hold},
            .report = report_of(work, work->job.revision),
            .lease_ms = lease_ms,
        };
        if (job_writer_run(work->place->writer, &w.write, &err) != ERR_OK) {
            if (!pause_until_retry(work->workers)) {
                return false;
            }
        } else if (w.is_held) {
            (void)job_board_hold(work->place->board, work->job.id, work->job.attempt,
                                 asked_ms + lease_ms);
        } else {
            job_board_lose(work->place->board, work->job.id, work->job.attempt);
            return false;
        }
    }
    return true;
}

static bool env_may_commit(void *context)
{
    struct work *work = context;

    return is_held(work) && job_run_may_commit(work->run);
}

/* As it is served by now, whichever process activated it. */
static const struct model *env_acquire_served(void *context, const struct space *space)
{
    struct work *work = context;

    serving_refresh(work->place->app);
    return model_registry_acquire(&work->place->app->models, space);
}

static void env_release_served(void *context, const struct model *model)
{
    struct work *work = context;

    model_registry_release(&work->place->app->models, model);
}

/* Done by activate(), when the job has ended. */
static enum err env_activate(void *context, const struct space *space, const char *name,
                             struct error *err)
{
    struct work *work = context;
    enum err rc = job_activation_ask(work->place->app->tree.root, space, work->job.id,
                                     work->job.attempt, name, err);

    work->asks_for_activation = rc == ERR_OK;
    return rc;
}

static enum err run_kind(struct work *work)
{
    const struct job_env env = {
        .tree = &work->place->app->tree,
        .id = work->job.id,
        .attempt = work->job.attempt,
        .context = work,
        .report = env_report,
        .breathe = env_breathe,
        .may_commit = env_may_commit,
        .acquire_served = env_acquire_served,
        .release_served = env_release_served,
        .activate = env_activate,
        .accuracies = &work->place->app->accuracies,
    };
    struct job_order order = {0};
    enum err rc =
        msg_job_decode_params(work->job.kind, work->space, work->job.params, &order, &work->err);

    if (rc == ERR_OK) {
        rc = job_kinds[work->job.kind].run(&env, &order, &work->result, &work->err);
    }
    if (rc == ERR_OK && work->result.has_failed) {
        rc = error_set(&work->err, ERR_NOMEM, "no memory for the job's result");
    }
    job_order_close(&order);
    return rc;
}

/* Only what nobody else wants to have of the processor. Of this thread alone, as Linux has it. */
static void become_idle(void)
{
    const struct sched_param none = {0};

    if (pthread_setschedparam(pthread_self(), SCHED_IDLE, &none) != 0) {
        (void)setpriority(PRIO_PROCESS, 0, 19);
    }
}

static void *run_idly(void *argument)
{
    struct work *work = argument;

    become_idle();
    job_run_begin_runner(work->run);
    work->rc = run_kind(work);
    job_run_end_runner(work->run);
    return NULL;
}

/* Runs the job's kind on a thread of its own, which is of idle priority; the worker is not, and can be no
 * more once it was: it claims, stores ends and activates models, with locks that requests wait for. */
static enum err run_apart(struct work *work)
{
    pthread_t runner;
    int failed = pthread_create(&runner, NULL, run_idly, work);

    if (failed != 0) {
        return error_sys(&work->err, failed, "cannot start a thread");
    }
    (void)pthread_join(runner, NULL);
    return work->rc;
}

/* How a run came out, and what becomes of its job. */
struct verdict {
    enum job_state state; /* JOB_QUEUED: it is put back */
    bool is_failure;
    int64_t delay_ms;
    char error[ERROR_TEXT_BYTES]; /* "" for none */
};

/* A run that was stopped. */
static void judge_stopped(enum stop_reason reason, struct verdict *verdict)
{
    switch (reason) {
    case STOP_DEADLINE:
        verdict->state = JOB_FAILED;
        (void)snprintf(verdict->error, sizeof verdict->error,
                       "the job's deadline passed while it ran");
        break;
    case STOP_CANCEL:
        verdict->state = JOB_CANCELLED;
        break;
    case STOP_NONE:
        verdict->state = JOB_FAILED;
        (void)snprintf(verdict->error, sizeof verdict->error,
                       "the job stopped though nobody told it to; this is a fault of dgld");
        break;
    default:
        verdict->state = JOB_QUEUED;
        break;
    }
}

static void judge(const struct work *work, enum err rc, struct verdict *verdict)
{
    struct error told = work->err;

    memset(verdict, 0, sizeof *verdict);
    if (rc == ERR_OK) {
        verdict->state = JOB_SUCCEEDED;
        return;
    }
    if (rc == ERR_CANCELED) {
        judge_stopped(job_run_stop_reason(work->run), verdict);
        return;
    }
    data_localize(&work->place->app->tree, &told);
    (void)snprintf(verdict->error, sizeof verdict->error, "%s", told.text);
    verdict->is_failure = true;
    verdict->state = JOB_FAILED;
    if ((rc == ERR_IO || rc == ERR_NOMEM) && work->job.n_failures + 1 < FAILURES_MAX) {
        verdict->state = JOB_QUEUED; /* such faults pass */
        verdict->delay_ms = (int64_t)BACKOFF_MS << work->job.n_failures;
    }
}

static void drop_activation(struct work *work)
{
    if (work->asks_for_activation) {
        job_activation_drop(work->place->app->tree.root, work->space, work->job.id,
                            work->job.attempt);
        work->asks_for_activation = false;
    }
}

/* Removes the files of the attempts `first` up to this one. */
static void drop_files(const struct work *work, int first)
{
    const struct space gone = {.name = work->job.space}; /* a name is all that its files need */
    const struct space *space = work->space != NULL ? work->space : &gone;
    const char *root = work->place->app->tree.root;
    struct error err;

    if (job_files_remove_attempts(root, space, work->job.id, first, work->job.attempt, &err) !=
        ERR_OK) {
        log_write(LOG_WARNING, "job %s: %s", work->job.id, err.text);
    }
}

static void drop_models(const struct work *work)
{
    const struct space gone = {.name = work->job.space};
    struct error err;

    if (job_models_remove_attempts(work->place->app->tree.root, &gone, work->job.id,
                                   work->job.attempt, work->job.attempt, &err) != ERR_OK) {
        log_write(LOG_WARNING, "job %s: %s", work->job.id, err.text);
    }
}

/* The lease was another's by the end, or so it seems: a success that the store has of this very
 * attempt is our own, of whose storing we were not told. Else this attempt's files are nobody's.
 * Returns whether it was the former. */
static bool look_what_became(struct work *work, const struct verdict *verdict)
{
    struct job now = {0};
    struct error err;
    enum err rc;
    bool is_own;
    bool is_wanted;

    do {
        rc = job_store_get(work->place->store, work->job.id, &now, &err);
    } while (rc != ERR_OK && rc != ERR_NOT_FOUND && pause_until_retry(work->workers));
    is_own = rc == ERR_OK && verdict->state == JOB_SUCCEEDED && now.state == JOB_SUCCEEDED &&
             now.attempt == work->job.attempt;
    is_wanted = rc == ERR_OK && !job_has_ended(now.state);
    job_close(&now);
    if (is_own || (rc != ERR_OK && rc != ERR_NOT_FOUND)) {
        return is_own; /* what nobody could tell us the keeper finds out later */
    }
    log_write(LOG_WARNING, "job %s: attempt %d had lost its lease; what it made is removed",
              work->job.id, work->job.attempt);
    drop_activation(work);
    if (is_wanted && work->job.kind == JOB_TRAIN) {
        drop_models(work); /* the one that has the job now goes on from checkpoints */
    } else {
        drop_files(work, work->job.attempt);
    }
    return false;
}

/* Serves the model that the job has asked for. Where that fails for now the keeper goes on trying. */
static void activate(const struct work *work, int64_t fresh_until_ms)
{
    struct app *app = work->place->app;
    struct error err;
    bool is_done;
    enum err rc = job_activation_settle(app, work->space, work->job.id, work->job.attempt,
                                        fresh_until_ms, &is_done, &err);

    if (rc != ERR_OK) {
        log_write(LOG_WARNING, "job %s: its model is not served yet: %s", work->job.id, err.text);
    } else if (is_done) {
        log_write(LOG_INFO, "job %s: its model is served now", work->job.id);
    } else {
        serving_refresh(app); /* somebody else did it */
    }
}

static void log_end(const struct work *work, const struct verdict *verdict)
{
    log_write(verdict->state == JOB_FAILED ? LOG_WARNING : LOG_INFO,
              "job %s: attempt %d (%s, %s) %s after %.3f s%s%s", work->job.id, work->job.attempt,
              job_kind_name(work->job.kind), work->job.space, job_state_name(verdict->state),
              monotonic_seconds() - work->begun_s, verdict->error[0] != '\0' ? ": " : "",
              verdict->error);
}

static void count_end(const struct work *work, enum job_state state)
{
    static const enum run_outcome outcomes[JOB_N_STATES] = {
        [JOB_QUEUED] = RUN_PUT_BACK,
        [JOB_SUCCEEDED] = RUN_SUCCEEDED,
        [JOB_FAILED] = RUN_FAILED,
        [JOB_CANCELLED] = RUN_CANCELLED,
    };

    counters_job_run(work->place->app->counters, work->job.kind, outcomes[state]);
}

/* Stores the verdict, however long the store cannot be written, unless the service ends: then the
 * job is found running at its next start. */
static void store_verdict(struct work *work, const struct verdict *verdict)
{
    const bool has_succeeded = verdict->state == JOB_SUCCEEDED;
    const char *error = verdict->error[0] != '\0' ? verdict->error : NULL;
    const char *result = has_succeeded ? work->result.bytes : NULL;
    struct text progress = {0};
    struct text history = {0};
    struct job_report report = report_of(work, job_run_next_revision(work->run));
    int64_t fresh_until_ms;
    struct error err;
    bool is_stored;

    job_run_put_progress(work->run, has_succeeded, &progress);
    report.progress = progress.has_failed ? NULL : progress.bytes;
    job_run_put_history(work->run, &history);
    report.history = history.has_failed ? NULL : history.bytes;
    do {
        fresh_until_ms = boottime_ms() + work->place->app->config.job_lease_ms;
        is_stored = verdict->state == JOB_QUEUED
                        ? job_place_requeue(work->place, &report, verdict->delay_ms, error,
                                            verdict->is_failure, &err)
                        : job_place_end(work->place, &report, verdict->state, result, error, &err);
    } while (!is_stored && err.code != ERR_OK && pause_until_retry(work->workers));
    text_close(&progress);
    text_close(&history);
    if (!is_stored && err.code == ERR_OK) {
        is_stored = look_what_became(work, verdict);
    }
    if (is_stored) {
        log_end(work, verdict);
        count_end(work, verdict->state);
    } else if (err.code == ERR_OK) {
        counters_job_run(work->place->app->counters, work->job.kind, RUN_LOST);
    }
    if (is_stored && work->asks_for_activation) {
        activate(work, fresh_until_ms);
    }
    job_board_end(work->place->board, work->run, is_stored && job_has_ended(verdict->state));
}

/* The job's space, which another process may have declared just now. */
static const struct space *find_space(const struct work *work)
{
    const struct space *space = space_find(work->job.space);
    struct error err;

    if (space == NULL) {
        (void)space_tree_refresh(&work->place->app->spaces, &err);
        space = space_find(work->job.space);
    }
    return space;
}

/* Goes on with the course that attempts before this one have left; where that cannot be read, it
 * begins anew: it is no reason not to run. */
static void resume_history(const struct work *work)
{
    struct job_history history;
    char *stored = NULL;

    if (work->job.attempt > 1 &&
        job_store_history(work->place->store, work->job.id, &stored, NULL) == ERR_OK &&
        stored != NULL && msg_job_read_history(stored, strlen(stored), &history, NULL) == ERR_OK) {
        job_run_resume_history(work->run, &history);
    }
    mem_free(stored);
}

/* Runs a job from its claim to its end. */
static void work_on(struct work *work)
{
    struct verdict verdict = {0};
    enum err rc;

    work->begun_s = monotonic_seconds();
    log_write(LOG_DEBUG, "job %s: attempt %d (%s, %s) begun", work->job.id, work->job.attempt,
              job_kind_name(work->job.kind), work->job.space);
    work->space = find_space(work);
    resume_history(work);
    if (work->space == NULL) {
        rc = error_set(&work->err, ERR_INVALID, "there is no search space \"%s\" any more",
                       work->job.space);
    } else {
        rc = run_apart(work);
    }
    judge(work, rc, &verdict);
    if (verdict.state != JOB_SUCCEEDED) {
        drop_activation(work);
    }
    if (verdict.state == JOB_FAILED || verdict.state == JOB_CANCELLED) {
        drop_files(work, 1);
    }
    store_verdict(work, &verdict);
}

/* ---- claiming -------------------------------------------------------------------------------- */

/* The kinds of which one more job may run, the one whose turn it is first. A kind of which some run
 * already leaves a worker to each that has none. The lock is held. */
static size_t list_kinds(const struct job_workers *workers, enum job_kind *kinds)
{
    size_t n_free = workers->n_threads - workers->n_busy; /* this one too */
    size_t n_absent = 0;
    size_t n = 0;

    for (int k = 0; k < JOB_N_KINDS; k++) {
        n_absent += workers->n_running[k] == 0;
    }
    for (int k = 0; k < JOB_N_KINDS; k++) {
        size_t at = n;
        if (workers->n_running[k] > 0 && n_free <= n_absent) {
            continue;
        }
        while (at > 0 && (workers->n_running[k] < workers->n_running[kinds[at - 1]] ||
                          (workers->n_running[k] == workers->n_running[kinds[at - 1]] &&
                           workers->last_begun[k] < workers->last_begun[kinds[at - 1]]))) {
            kinds[at] = kinds[at - 1];
            at--;
        }
        kinds[at] = (enum job_kind)k;
        n++;
    }
    return n;
}

struct claim_write {
    struct job_write write;
    const char *owner;
    int64_t lease_ms;
    int64_t held_until_ms; /* boottime_ms() */
    int64_t ahead_ms;      /* the store's clock, of this machine's */
    enum job_kind kinds[JOB_N_KINDS];
    size_t n_kinds;
    bool is_found;
    struct job *job;
    struct job_board *board;
    struct job_run *run; /* NULL: there was no memory for it */
};

static enum err write_claim(struct job_write *write, struct job_store *store, struct error *err)
{
    struct claim_write *w = (struct claim_write *)write;
    int64_t now_ms = job_store_now_ms(store);
    const struct job_lease lease = {w->owner, now_ms, now_ms + w->lease_ms};

    job_close(w->job); /* of a transaction that was rolled back */
    w->ahead_ms = now_ms - realtime_ms();
    return job_store_claim(store, &lease, w->kinds, w->n_kinds, &w->is_found, w->job, err);
}

static void put_on_board(struct claim_write *w)
{
    if (job_board_begin(w->board, w->job, &w->run, NULL) == ERR_OK) {
        job_run_set_clock(w->run, w->ahead_ms);
        (void)job_board_hold(w->board, w->job->id, w->job->attempt, w->held_until_ms);
    }
}

/* Puts the job on the board before anything else is written, in the writer's thread: a cancellation
 * that comes next finds it there. */
static void end_claim(struct job_write *write)
{
    struct claim_write *w = (struct claim_write *)write;

    if (write->rc == ERR_OK && w->is_found) {
        put_on_board(w);
    }
}

/* Claims a job, and puts it on the board. False where there is none. */
static bool claim(struct job_workers *workers, struct work *work)
{
    struct claim_write w = {
        .write = {.run = write_claim, .done = end_claim},
        .owner = workers->place.owner,
        .lease_ms = workers->place.app->config.job_lease_ms,
        .held_until_ms = boottime_ms() + workers->place.app->config.job_lease_ms,
        .job = &work->job,
        .board = workers->place.board,
    };
    struct error err;
    bool is_found;

    (void)pthread_mutex_lock(&workers->claim_lock);
    (void)pthread_mutex_lock(&workers->lock);
    w.n_kinds = workers->is_stopping ? 0 : list_kinds(workers, w.kinds);
    (void)pthread_mutex_unlock(&workers->lock);
    is_found = w.n_kinds > 0 && job_writer_run(workers->place.writer, &w.write, &err) == ERR_OK &&
               w.is_found;
    while (is_found && w.run == NULL) {
        pause_ms(RETRY_MS); /* no memory: there may be some again */
        put_on_board(&w);
    }
    work->run = w.run;
    if (is_found) {
        (void)pthread_mutex_lock(&workers->lock);
        workers->n_busy++;
        workers->n_running[work->job.kind]++;
        workers->last_begun[work->job.kind] = ++workers->n_begun;
        (void)pthread_mutex_unlock(&workers->lock);
    }
    (void)pthread_mutex_unlock(&workers->claim_lock);
    return is_found;
}

static void give_back(struct job_workers *workers, enum job_kind kind)
{
    (void)pthread_mutex_lock(&workers->lock);
    workers->n_busy--;
    workers->n_running[kind]--;
    workers->n_wakes++;
    (void)pthread_cond_broadcast(&workers->has_work); /* another kind may be free to run now */
    (void)pthread_mutex_unlock(&workers->lock);
}

/* ---- threads --------------------------------------------------------------------------------- */

/* Until there may be something to claim; false where the workers are stopped. */
static bool wait_for_work(struct job_workers *workers, uint64_t n_wakes_seen)
{
    struct timespec until;
    bool goes_on;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += job_poll_ms() / 1000;
    (void)pthread_mutex_lock(&workers->lock);
    while (!workers->is_stopping && workers->n_wakes == n_wakes_seen &&
           pthread_cond_timedwait(&workers->has_work, &workers->lock, &until) == 0) {
    }
    goes_on = !workers->is_stopping;
    (void)pthread_mutex_unlock(&workers->lock);
    return goes_on;
}

static void *work(void *argument)
{
    struct job_workers *workers = argument;
    uint64_t n_wakes;

    do {
        struct work work = {.workers = workers, .place = &workers->place};
        (void)pthread_mutex_lock(&workers->lock);
        n_wakes = workers->n_wakes;
        (void)pthread_mutex_unlock(&workers->lock);
        while (claim(workers, &work)) {
            enum job_kind kind = work.job.kind;
            work_on(&work);
            text_close(&work.result);
            job_close(&work.job);
            give_back(workers, kind);
            work = (struct work){.workers = workers, .place = &workers->place};
        }
        job_close(&work.job); /* of a claim that was rolled back */
    } while (wait_for_work(workers, n_wakes));
    return NULL;
}

enum err job_workers_start(const struct job_workplace *place, unsigned n_threads,
                           struct job_workers **out, struct error *err)
{
    unsigned n = n_threads < JOB_N_KINDS ? JOB_N_KINDS : n_threads;
    struct job_workers *workers = mem_calloc(1, sizeof *workers);
    pthread_condattr_t attributes;
    int failed = 0;

    if (workers != NULL) {
        workers->threads = mem_calloc(n, sizeof *workers->threads);
    }
    if (workers == NULL || workers->threads == NULL) {
        mem_free(workers);
        return error_set(err, ERR_NOMEM, "no memory for %u threads", n);
    }
    workers->place = *place;
    (void)pthread_mutex_init(&workers->lock, NULL); /* these cannot fail on Linux */
    (void)pthread_mutex_init(&workers->claim_lock, NULL);
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&workers->has_work, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    (void)pthread_mutex_lock(&workers->lock); /* nobody claims before all are counted */
    while (failed == 0 && workers->n_threads < n) {
        failed = pthread_create(&workers->threads[workers->n_threads], NULL, work, workers);
        workers->n_threads += failed == 0;
    }
    (void)pthread_mutex_unlock(&workers->lock);
    if (failed != 0) {
        job_workers_stop(workers);
        return error_sys(err, failed, "cannot start a thread");
    }
    *out = workers;
    return ERR_OK;
}

void job_workers_wake(struct job_workers *workers)
{
    (void)pthread_mutex_lock(&workers->lock);
    workers->n_wakes++;
    (void)pthread_cond_signal(&workers->has_work);
    (void)pthread_mutex_unlock(&workers->lock);
}

void job_workers_wake_all(struct job_workers *workers)
{
    (void)pthread_mutex_lock(&workers->lock);
    workers->n_wakes++;
    (void)pthread_cond_broadcast(&workers->has_work);
    (void)pthread_mutex_unlock(&workers->lock);
}

size_t job_workers_n_busy(struct job_workers *workers)
{
    size_t n;

    (void)pthread_mutex_lock(&workers->lock);
    n = workers->n_busy;
    (void)pthread_mutex_unlock(&workers->lock);
    return n;
}

void job_workers_drain(struct job_workers *workers)
{
    if (workers == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&workers->lock);
    workers->is_stopping = true;
    (void)pthread_cond_broadcast(&workers->has_work);
    (void)pthread_mutex_unlock(&workers->lock);
}

void job_workers_stop(struct job_workers *workers)
{
    if (workers == NULL) {
        return;
    }
    job_workers_drain(workers);
    for (unsigned i = 0; i < workers->n_threads; i++) {
        (void)pthread_join(workers->threads[i], NULL);
    }
    (void)pthread_cond_destroy(&workers->has_work);
    (void)pthread_mutex_destroy(&workers->claim_lock);
    (void)pthread_mutex_destroy(&workers->lock);
    mem_free(workers->threads);
    mem_free(workers);
}

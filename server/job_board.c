#include "server/job_board.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <string.h>

#include "core/mem.h"
#include "server/clock.h"

/* Progress as JSON is short; one that does not fit is not published. */
enum { EVENT_BYTES = 240 };

/* How often a run looks whether it is to stop. */
#define LOOK_S 1e-3

struct event {
    int64_t revision;
    char data[EVENT_BYTES];
};

struct job_run {
    struct job_board *board;
    struct job_run *next;
    struct job job; /* owned; as it was claimed */
    enum stop_reason stop;
    bool is_committing;
    bool has_runner;
    pthread_t runner; /* the thread that runs it, where it has one */
    int64_t ahead_ms; /* the clock of its deadline */
    int64_t revision; /* the last that was published */
    int64_t held_until_ms;
    struct event events[BOARD_EVENTS];
    size_t n_events; /* ever published; event i is at i % BOARD_EVENTS */
    struct job_history history;
    struct job_progress published_step; /* up to which the history's curve is told */
    struct job_front front;             /* that was published last ... */
    int64_t front_revision;             /* ... and the first revision that has it; 0: none was */
    /* of the thread that runs it */
    struct job_progress last;      /* that was reported; without its front */
    struct job_progress last_step; /* that tells of one (job_progress_has_step()) */
    double begun_s, published_s, looked_s;
    bool is_told_to_stop;
    double first_percent; /* what was done when it began */
};

struct job_board {
    pthread_mutex_t lock; /* of all below, and of the runs */
    struct job_run *runs;
    struct job_watch *watches;
    bool is_draining;
};

/* On a machine that is busy with other things a thread at idle priority might not get to notice for
 * seconds that it is to stop, so from now on it is one like others, where the process may do that: it
 * takes root, CAP_SYS_NICE or RLIMIT_NICE. The lock is held. */
static void hurry(const struct job_run *run)
{
    const struct sched_param plain = {0};

    if (run->has_runner) {
        (void)pthread_setschedparam(run->runner, SCHED_OTHER, &plain);
    }
}

/* The lock is held. */
static void tell_to_stop(struct job_run *run, enum stop_reason reason)
{
    if (run->stop == STOP_NONE && !run->is_committing) {
        run->stop = reason;
        hurry(run);
    }
}

enum err job_board_create(struct job_board **out, struct error *err)
{
    struct job_board *board = mem_calloc(1, sizeof *board);

    if (board == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for jobs");
    }
    (void)pthread_mutex_init(&board->lock, NULL); /* cannot fail on Linux with no attributes */
    *out = board;
    return ERR_OK;
}

void job_board_destroy(struct job_board *board)
{
    if (board != NULL) {
        (void)pthread_mutex_destroy(&board->lock);
        mem_free(board);
    }
}

static void lock(struct job_board *board)
{
    (void)pthread_mutex_lock(&board->lock);
}

static void unlock(struct job_board *board)
{
    (void)pthread_mutex_unlock(&board->lock);
}

/* The latest one: where a lease was lost, an attempt that does not know yet runs beside its successor. */
static struct job_run *find_run(const struct job_board *board, const char *id)
{
    struct job_run *run = board->runs;

    while (run != NULL && strcmp(run->job.id, id) != 0) {
        run = run->next;
    }
    return run;
}

static struct job_run *find_attempt(const struct job_board *board, const char *id, int attempt)
{
    struct job_run *run = board->runs;

    while (run != NULL && (run->job.attempt != attempt || strcmp(run->job.id, id) != 0)) {
        run = run->next;
    }
    return run;
}

/* ---- watches --------------------------------------------------------------------------------- */

/* A watch that waits is in the list, one that was woken is its owner's. */
static void take_off(struct job_board *board, struct job_watch *watch)
{
    if (watch->next != NULL) {
        watch->next->previous = watch->previous;
    }
    if (watch->previous != NULL) {
        watch->previous->next = watch->next;
    } else {
        board->watches = watch->next;
    }
}

static void wake(struct job_board *board, struct job_watch *watch)
{
    take_off(board, watch);
    watch->wake(watch);
}

static bool is_fulfilled(const struct job_watch *watch, int64_t revision, bool has_ended)
{
    return has_ended || (!watch->is_for_end && revision > watch->after_revision);
}

/* The lock is held. */
static void tell(struct job_board *board, const char *id, int64_t revision, bool has_ended)
{
    struct job_watch *next;

    for (struct job_watch *watch = board->watches; watch != NULL; watch = next) {
        next = watch->next;
        if (strcmp(watch->id, id) == 0 && is_fulfilled(watch, revision, has_ended)) {
            wake(board, watch);
        }
    }
}

bool job_board_watch(struct job_board *board, struct job_watch *watch)
{
    const struct job_run *run;
    bool is_here;

    lock(board);
    run = find_run(board, watch->id);
    is_here = run != NULL;
    if (board->is_draining || (is_here && is_fulfilled(watch, run->revision, false))) {
        watch->wake(watch);
        unlock(board);
        return false;
    }
    watch->previous = NULL;
    watch->next = board->watches;
    if (watch->next != NULL) {
        watch->next->previous = watch;
    }
    board->watches = watch;
    watch->is_new = !is_here;
    unlock(board);
    return true;
}

void job_board_changed(struct job_board *board, const char *id, int64_t revision, bool has_ended)
{
    lock(board);
    tell(board, id, revision, has_ended);
    unlock(board);
}

int64_t job_board_tick(struct job_board *board, int64_t now_ms)
{
    int64_t earliest_ms = INT64_MAX;
    struct job_watch *next;

    lock(board);
    for (struct job_watch *watch = board->watches; watch != NULL; watch = next) {
        next = watch->next;
        if (watch->until_ms <= now_ms) {
            wake(board, watch);
        } else if (watch->until_ms < earliest_ms) {
            earliest_ms = watch->until_ms;
        }
    }
    unlock(board);
    return earliest_ms;
}

static bool is_listed(char (*ids)[JOB_ID_BYTES], size_t n, const char *id)
{
    size_t i = 0;

    while (i < n && strcmp(ids[i], id) != 0) {
        i++;
    }
    return i < n;
}

size_t job_board_watched(struct job_board *board, bool is_new_only, char (*ids)[JOB_ID_BYTES],
                         size_t max)
{
    size_t n = 0;

    lock(board);
    for (struct job_watch *watch = board->watches; watch != NULL && n < max; watch = watch->next) {
        if ((watch->is_new || !is_new_only) && !is_listed(ids, n, watch->id) &&
            find_run(board, watch->id) == NULL) {
            memcpy(ids[n++], watch->id, JOB_ID_BYTES);
        }
        watch->is_new = false;
    }
    unlock(board);
    return n;
}

void job_board_drain(struct job_board *board)
{
    lock(board);
    board->is_draining = true;
    while (board->watches != NULL) {
        wake(board, board->watches);
    }
    for (struct job_run *run = board->runs; run != NULL; run = run->next) {
        tell_to_stop(run, STOP_SERVICE);
    }
    unlock(board);
}

/* ---- runs ------------------------------------------------------------------------------------ */

enum err job_board_begin(struct job_board *board, const struct job *job, struct job_run **out,
                         struct error *err)
{
    struct job_run *run = mem_calloc(1, sizeof *run);
    enum err rc;

    if (run == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to run a job");
    }
    rc = job_copy(job, &run->job, err);
    if (rc != ERR_OK) {
        mem_free(run);
        return rc;
    }
    run->board = board;
    run->revision = job->revision;
    run->begun_s = monotonic_seconds();
    run->first_percent = NAN;
    run->last = (struct job_progress){.percent = 0.0, .loss = NAN, .seconds_left = NAN};
    run->stop = job->is_cancel_requested ? STOP_CANCEL : STOP_NONE;
    lock(board);
    run->next = board->runs;
    board->runs = run;
    if (board->is_draining) {
        run->stop = STOP_SERVICE;
    }
    tell(board, run->job.id, run->revision, false);
    unlock(board);
    *out = run;
    return ERR_OK;
}

void job_run_set_clock(struct job_run *run, int64_t ahead_ms)
{
    lock(run->board);
    run->ahead_ms = ahead_ms;
    unlock(run->board);
}

void job_run_begin_runner(struct job_run *run)
{
    lock(run->board);
    run->runner = pthread_self();
    run->has_runner = true;
    if (run->stop != STOP_NONE) {
        hurry(run);
    }
    unlock(run->board);
}

void job_run_end_runner(struct job_run *run)
{
    lock(run->board);
    run->has_runner = false;
    unlock(run->board);
}

void job_board_end(struct job_board *board, struct job_run *run, bool has_ended)
{
    struct job_run **at = &board->runs;

    lock(board);
    while (*at != run) {
        at = &(*at)->next;
    }
    *at = run->next;
    tell(board, run->job.id, INT64_MAX, has_ended);
    unlock(board);
    job_close(&run->job);
    mem_free(run);
}

/* Fills in the time that is left, by the share that was done since the run began. */
static double estimate_seconds_left(struct job_run *run, double percent, double now_s)
{
    double done;

    if (isnan(run->first_percent)) {
        run->first_percent = percent;
    }
    done = percent - run->first_percent;
    return done > 0.0 ? (now_s - run->begun_s) * (100.0 - percent) / done : NAN;
}

/* As it is told: what is thinned may have changed and look the same. */
static bool is_same_front(const struct job_front *a, const struct job_front *b)
{
    return a->n_changes == b->n_changes ||
           (a->n == b->n && memcmp(a->accuracy, b->accuracy, a->n * sizeof *a->accuracy) == 0 &&
            memcmp(a->latency_ms, b->latency_ms, a->n * sizeof *a->latency_ms) == 0);
}

static void publish(struct job_run *run, const struct job_progress *progress, double now_s)
{
    struct job_progress known = *progress;
    struct text text = {0};
    struct event *event;

    known.seconds_left = estimate_seconds_left(run, progress->percent, now_s);
    msg_job_put_progress(&known, &text);
    lock(run->board);
    if (!text.has_failed && text.size < EVENT_BYTES) {
        event = &run->events[run->n_events++ % BOARD_EVENTS];
        event->revision = ++run->revision;
        memcpy(event->data, text.bytes, text.size + 1);
        run->published_step = run->last_step;
        if (!is_same_front(&run->front, &run->history.front)) {
            run->front = run->history.front;
            run->front_revision = run->revision;
        }
        tell(run->board, run->job.id, run->revision, false);
    }
    unlock(run->board);
    text_close(&text);
}

enum stop_reason job_run_stop_reason(struct job_run *run)
{
    enum stop_reason stop;

    lock(run->board);
    stop = run->stop;
    unlock(run->board);
    return stop;
}

void job_run_resume_history(struct job_run *run, const struct job_history *history)
{
    lock(run->board);
    run->history = *history;
    unlock(run->board);
}

/* Nobody else writes the history, so it may be looked at here without the lock. */
static void note_history(struct job_run *run, const struct job_progress *progress)
{
    if (job_history_is_due(&run->history, progress)) {
        lock(run->board);
        job_history_add(&run->history, progress);
        unlock(run->board);
    }
}

static void stop_run(struct job_run *run, enum stop_reason reason)
{
    lock(run->board);
    tell_to_stop(run, reason);
    unlock(run->board);
}

/* The lock is taken and the clock asked every millisecond at most, and for what the history gains:
 * runs report far more often. */
bool job_run_report(struct job_run *run, const struct job_progress *progress)
{
    double now_s = monotonic_seconds();

    run->last = *progress;
    run->last.front = NULL; /* is lent for the call */
    if (job_progress_has_step(progress)) {
        run->last_step = run->last;
    }
    note_history(run, progress);
    if (now_s < run->looked_s + LOOK_S) {
        return !run->is_told_to_stop;
    }
    run->looked_s = now_s;
    if (now_s >= run->published_s + BOARD_PUBLISH_MS / 1e3) {
        run->published_s = now_s;
        publish(run, progress, now_s);
    }
    if (run->job.deadline_ms > 0 && realtime_ms() + run->ahead_ms >= run->job.deadline_ms) {
        stop_run(run, STOP_DEADLINE);
    }
    run->is_told_to_stop = job_run_stop_reason(run) != STOP_NONE;
    return !run->is_told_to_stop;
}

bool job_board_hold(struct job_board *board, const char *id, int attempt, int64_t until_ms)
{
    struct job_run *run;

    lock(board);
    run = find_attempt(board, id, attempt);
    if (run != NULL && until_ms > run->held_until_ms) {
        run->held_until_ms = until_ms;
    }
    unlock(board);
    return run != NULL;
}

void job_board_lose(struct job_board *board, const char *id, int attempt)
{
    struct job_run *run;

    lock(board);
    run = find_attempt(board, id, attempt);
    if (run != NULL) {
        tell_to_stop(run, STOP_LOST);
    }
    unlock(board);
}

int64_t job_run_held_until(struct job_run *run)
{
    int64_t until_ms;

    lock(run->board);
    until_ms = run->held_until_ms;
    unlock(run->board);
    return until_ms;
}

bool job_run_may_commit(struct job_run *run)
{
    lock(run->board);
    run->is_committing = run->stop == STOP_NONE;
    unlock(run->board);
    return run->is_committing;
}

const struct job *job_run_job(const struct job_run *run)
{
    return &run->job;
}

int64_t job_run_next_revision(struct job_run *run)
{
    int64_t revision;

    lock(run->board);
    revision = ++run->revision;
    unlock(run->board);
    return revision;
}

void job_run_put_progress(const struct job_run *run, bool has_succeeded, struct text *out)
{
    struct job_progress last = run->last;

    last.seconds_left = has_succeeded ? 0.0 : NAN;
    if (has_succeeded) {
        last.percent = 100.0;
        last.stage = "done";
        last.n_epochs = 0; /* what it came to is in the result */
    }
    msg_job_put_progress(&last, out);
}

void job_run_put_history(const struct job_run *run, struct text *out)
{
    if (!job_history_is_empty(&run->history)) {
        msg_job_put_history(&run->history, &run->last_step, out);
    }
}

void job_board_cancel(struct job_board *board, const char *id)
{
    lock(board);
    for (struct job_run *run = board->runs; run != NULL; run = run->next) {
        if (strcmp(run->job.id, id) == 0) {
            tell_to_stop(run, STOP_CANCEL);
        }
    }
    unlock(board);
}

/* Appends progress that was published, and the front with it. The lock is held. */
static void put_with_front(const struct job_run *run, const char *progress, struct text *out)
{
    text_puts(out, progress);
    if (run->front_revision > 0 && out->size > 1) {
        text_cut(out, 1);
        text_puts(out, out->bytes[out->size - 1] == '{' ? "\"front\":" : ",\"front\":");
        msg_job_put_front(&run->front, out);
        text_puts(out, "}");
    }
}

/* The latest progress as JSON, owned; NULL where none was published, or memory is out. The lock is
 * held. */
static char *copy_latest(const struct job_run *run)
{
    struct text text = {0};
    size_t size;

    if (run->n_events > 0) {
        put_with_front(run, run->events[(run->n_events - 1) % BOARD_EVENTS].data, &text);
    }
    return text_take(&text, &size);
}

/* The course up to what was published last, owned; NULL likewise. The lock is held. */
static char *copy_history(const struct job_run *run)
{
    struct text text = {0};
    size_t size;

    if (!job_history_is_empty(&run->history)) {
        msg_job_put_history(&run->history, &run->published_step, &text);
    }
    return text_take(&text, &size);
}

size_t job_board_reports(struct job_board *board, struct board_report *reports, size_t max)
{
    size_t n = 0;

    lock(board);
    for (struct job_run *run = board->runs; run != NULL && n < max; run = run->next, n++) {
        memcpy(reports[n].id, run->job.id, JOB_ID_BYTES);
        reports[n].attempt = run->job.attempt;
        reports[n].revision = run->revision;
        reports[n].progress = copy_latest(run);
        reports[n].history = copy_history(run);
    }
    unlock(board);
    return n;
}

/* An end that is not all in place yet. */
static void take_back_end(const struct job_run *run, struct job *job)
{
    mem_free(job->result);
    mem_free(job->error);
    job->result = job->error = NULL;
    job->state = JOB_RUNNING;
    job->ended_ms = 0;
    job->revision = run->revision < job->revision ? run->revision : job->revision - 1;
}

/* The latest progress, where it is newer than what the store has. */
static enum err overlay_progress(const struct job_run *run, struct job *job, struct error *err)
{
    char *progress;

    if (run->revision <= job->revision || run->n_events == 0) {
        return ERR_OK;
    }
    progress = copy_latest(run);
    if (progress == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the progress of a job");
    }
    mem_free(job->progress);
    job->progress = progress;
    job->revision = run->revision;
    return ERR_OK;
}

enum err job_board_overlay(struct job_board *board, struct job *job, struct error *err)
{
    const struct job_run *run;
    enum err rc = ERR_OK;

    if (job->state == JOB_QUEUED) {
        return ERR_OK;
    }
    lock(board);
    run = find_run(board, job->id);
    if (run != NULL && run->job.attempt == job->attempt && job_has_ended(job->state)) {
        take_back_end(run, job);
    } else if (run != NULL && run->job.attempt == job->attempt) {
        rc = overlay_progress(run, job, err);
    }
    unlock(board);
    return rc;
}

bool job_board_put_history(struct job_board *board, const char *id, struct text *out)
{
    const struct job_run *run;
    bool is_known;

    lock(board);
    run = find_run(board, id);
    is_known = run != NULL && !job_history_is_empty(&run->history);
    if (is_known) {
        msg_job_put_history(&run->history, &run->published_step, out);
    }
    unlock(board);
    return is_known;
}

/* ---- events ---------------------------------------------------------------------------------- */

void job_put_event(struct text *out, int64_t revision, const char *name, const char *data)
{
    text_printf(out, "id: %" PRId64 "\nevent: %s\ndata: ", revision, name);
    text_puts(out, data);
    text_puts(out, "\n\n");
}

static void put_begin(const struct job_run *run, struct text *out)
{
    struct text job = {0};

    msg_job_put(&run->job, &job);
    if (job.has_failed) {
        out->has_failed = true;
    } else {
        job_put_event(out, run->job.revision, "job", job.bytes);
    }
    text_close(&job);
}

/* The last event alone has the front, and that where the client does not know it: it is long, and
 * grows. */
static void put_progress_events(const struct job_run *run, int64_t after_revision, struct text *out,
                                int64_t *revision)
{
    size_t first = run->n_events > BOARD_EVENTS ? run->n_events - BOARD_EVENTS : 0;
    const bool is_front_new = run->front_revision > after_revision;

    for (size_t i = first; i < run->n_events; i++) {
        const struct event *event = &run->events[i % BOARD_EVENTS];
        struct text whole = {0};
        if (event->revision <= after_revision) {
            continue;
        }
        if (i + 1 == run->n_events && is_front_new) {
            put_with_front(run, event->data, &whole);
        }
        job_put_event(out, event->revision, "progress",
                      whole.bytes != NULL ? whole.bytes : event->data);
        out->has_failed = out->has_failed || whole.has_failed;
        text_close(&whole);
        *revision = event->revision;
    }
}

bool job_board_put_events(struct job_board *board, const char *id, int64_t after_revision,
                          struct text *out, int64_t *revision)
{
    const struct job_run *run;

    lock(board);
    run = find_run(board, id);
    if (run != NULL) {
        *revision = after_revision;
        if (after_revision < run->job.revision) {
            put_begin(run, out);
            *revision = run->job.revision;
        }
        put_progress_events(run, after_revision, out, revision);
    }
    unlock(board);
    return run != NULL;
}

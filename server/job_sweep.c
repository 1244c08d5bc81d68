#include "server/job_sweep.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/clock.h"
#include "server/job_activation.h"
#include "server/job_files.h"
#include "server/log.h"
#include "server/path.h"
#include "server/result_tree.h"

/* Entries of directories that are looked at in one part of a walk, each a question to the store. */
enum { PART_ENTRIES = 64 };

/* After an adoption a walk begins when the process that lost the job, and goes on, has had time to
 * see that; else one begins that often. */
enum { LEASES_LATER = 3, PERIOD_MS = 6 * 3600 * 1000 };

/* Activations of a space that are looked at in one part. */
enum { ACTIVATIONS_MAX = 64 };

/* What nobody knows the job of belongs to another store, or is that old. */
enum { UNKNOWN_MS = 24 * 3600 * 1000 };

enum stage { STAGE_JOBS, STAGE_MODELS, N_STAGES };

struct job_sweep {
    struct app *app;
    struct job_store *store;
    int64_t next_ms; /* monotonic clock, when the next walk begins */
    /* the walk that goes on */
    bool is_walking;
    char spaces[SPACES_MAX][SPACE_NAME_BYTES];
    size_t n_spaces, space; /* the one that is walked through */
    enum stage stage;
    DIR *dir; /* that is being read; NULL: the next one is to be opened */
    int64_t n_removed;
};

/* ---- staged files ---------------------------------------------------------------------------- */

static void sweep_directory(const struct app *app, const char *format, const char *space)
{
    char below[PATH_BYTES];
    char path[PATH_BYTES];

    (void)snprintf(below, sizeof below, format, space);
    if (path_format(path, NULL, "%s/%s", app->tree.root, below) == ERR_OK) {
        result_sweep(path);
    }
}

/* What was begun to be written. */
static void sweep_staged(const struct app *app)
{
    struct space_list list;

    space_list_get(&list);
    for (size_t i = 0; i < list.n; i++) {
        const char *name = list.items[i]->name;
        sweep_directory(app, "result/%s", name);
        sweep_directory(app, "result/%s/models", name);
        sweep_directory(app, "data/%s/measurements", name);
    }
    sweep_directory(app, "data/%s", "devices");
    sweep_directory(app, "config/%s", "spaces");
}

/* ---- the walk -------------------------------------------------------------------------------- */

static void begin_walk(struct job_sweep *sweep)
{
    struct space_list list;

    space_list_get(&list);
    sweep->n_spaces = list.n < SPACES_MAX ? list.n : SPACES_MAX;
    for (size_t i = 0; i < sweep->n_spaces; i++) {
        (void)snprintf(sweep->spaces[i], sizeof sweep->spaces[i], "%s", list.items[i]->name);
    }
    sweep->space = 0;
    sweep->stage = STAGE_JOBS;
    sweep->is_walking = true;
    sweep->n_removed = 0;
    sweep_staged(sweep->app);
}

static void end_walk(struct job_sweep *sweep)
{
    sweep->is_walking = false;
    if (sweep->n_removed > 0) {
        log_write(LOG_INFO, "what %" PRId64 " interrupted attempts had left was removed",
                  sweep->n_removed);
    }
}

/* The attempts whose files are to go, 1 to the result: of a job that ended well all before the one
 * that did, of another all; 0 where the job is wanted still, or unknown. */
static int attempts_to_drop(const struct job_sweep *sweep, const char *id, const char *space)
{
    struct job job = {0};
    int last = 0;

    if (job_store_get(sweep->store, id, &job, NULL) == ERR_OK && strcmp(job.space, space) == 0) {
        last = job.state == JOB_SUCCEEDED ? job.attempt - 1
               : job_has_ended(job.state) ? JOB_ATTEMPT_ANY
                                          : 0;
    }
    job_close(&job);
    return last;
}

/* A directory of jobs/, which is of a job. */
static void look_at_job(struct job_sweep *sweep, const struct space *space, const char *name)
{
    struct error err;
    int last;

    if (!job_id_is_valid(name)) {
        return;
    }
    last = attempts_to_drop(sweep, name, space->name);
    if (last == 0) {
        return;
    }
    if (job_results_remove_attempts(sweep->app->tree.root, space, name, 1, last, &err) == ERR_OK) {
        sweep->n_removed++;
    } else {
        log_write(LOG_WARNING, "job %s: %s", name, err.text);
    }
}

/* A file of models/, which may be of a job. */
static void look_at_model(struct job_sweep *sweep, const struct space *space, const char *name)
{
    char id[JOB_ID_BYTES];
    int attempt = job_model_attempt(name, id);

    if (attempt > 0 && attempt <= attempts_to_drop(sweep, id, space->name) &&
        unlinkat(dirfd(sweep->dir), name, 0) == 0) {
        sweep->n_removed++;
    }
}

/* The next directory of the walk; false at its end. */
static bool open_next(struct job_sweep *sweep)
{
    static const char *const directories[N_STAGES] = {"jobs", "models"};
    char path[PATH_BYTES];

    while (sweep->dir == NULL && sweep->space < sweep->n_spaces) {
        if (path_format(path, NULL, "%s/result/%s/%s", sweep->app->tree.root,
                        sweep->spaces[sweep->space], directories[sweep->stage]) == ERR_OK) {
            sweep->dir = opendir(path);
        }
        if (sweep->dir == NULL) {
            sweep->space += sweep->stage == N_STAGES - 1;
            sweep->stage = (sweep->stage + 1) % N_STAGES;
        }
    }
    return sweep->dir != NULL;
}

static void close_directory(struct job_sweep *sweep)
{
    (void)closedir(sweep->dir);
    sweep->dir = NULL;
    sweep->space += sweep->stage == N_STAGES - 1;
    sweep->stage = (sweep->stage + 1) % N_STAGES;
}

static void walk(struct job_sweep *sweep)
{
    int n = 0;

    while (n < PART_ENTRIES && open_next(sweep)) {
        const struct space named = {.name = sweep->spaces[sweep->space]}; /* all that files need */
        const struct dirent *entry = readdir(sweep->dir);
        if (entry == NULL) {
            close_directory(sweep);
        } else if (sweep->stage == STAGE_JOBS) {
            look_at_job(sweep, &named, entry->d_name);
            n++;
        } else {
            look_at_model(sweep, &named, entry->d_name);
            n++;
        }
    }
    if (sweep->dir == NULL && sweep->space == sweep->n_spaces) {
        end_walk(sweep);
    }
}

/* ---- activations ----------------------------------------------------------------------------- */

/* One whose run did not come to do it in time. */
static void look_at_activation(const struct job_sweep *sweep, const struct space *space,
                               const struct job_activation *asked)
{
    const char *root = sweep->app->tree.root;
    const int64_t age_ms =
        realtime_ms() - ((int64_t)asked->asked.tv_sec * 1000 + asked->asked.tv_nsec / 1000000);
    struct job job = {0};
    struct error err;
    bool is_done = false;
    enum err rc;

    if (age_ms < sweep->app->config.job_lease_ms) {
        return; /* whoever has asked sees to it */
    }
    rc = job_store_get(sweep->store, asked->id, &job, &err);
    if (rc == ERR_OK && job.attempt == asked->attempt && job.state == JOB_SUCCEEDED) {
        rc = job_activation_settle(sweep->app, space, asked->id, asked->attempt, 0, &is_done, &err);
        if (rc != ERR_OK) {
            log_write(LOG_WARNING, "job %s: its model is not served: %s", asked->id, err.text);
        } else if (is_done) {
            log_write(LOG_INFO, "job %s: its model is served now", asked->id);
        }
    } else if ((rc == ERR_OK && (job.attempt != asked->attempt || job.state != JOB_RUNNING)) ||
               (rc == ERR_NOT_FOUND && age_ms > UNKNOWN_MS)) {
        job_activation_drop(root, space, asked->id, asked->attempt);
    }
    job_close(&job);
}

static void look_at_activations(const struct job_sweep *sweep)
{
    struct job_activation asked[ACTIVATIONS_MAX];
    struct space_list list;

    space_list_get(&list);
    for (size_t i = 0; i < list.n; i++) {
        size_t n =
            job_activation_list(sweep->app->tree.root, list.items[i], asked, ACTIVATIONS_MAX);
        for (size_t k = 0; k < n; k++) {
            look_at_activation(sweep, list.items[i], &asked[k]);
        }
    }
}

/* ---- from outside ---------------------------------------------------------------------------- */

enum err job_sweep_create(struct app *app, struct job_store *store, struct job_sweep **out,
                          struct error *err)
{
    struct job_sweep *sweep = mem_calloc(1, sizeof *sweep);

    if (sweep == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for jobs");
    }
    sweep->app = app;
    sweep->store = store;
    sweep_staged(app);
    *out = sweep;
    return ERR_OK;
}

void job_sweep_destroy(struct job_sweep *sweep)
{
    if (sweep != NULL && sweep->dir != NULL) {
        (void)closedir(sweep->dir);
    }
    mem_free(sweep);
}

void job_sweep_ask(struct job_sweep *sweep)
{
    int64_t at_ms = monotonic_ms() + LEASES_LATER * (int64_t)sweep->app->config.job_lease_ms;

    sweep->next_ms = sweep->next_ms < at_ms ? sweep->next_ms : at_ms;
}

void job_sweep_tick(struct job_sweep *sweep)
{
    look_at_activations(sweep);
    if (!sweep->is_walking && monotonic_ms() >= sweep->next_ms) {
        begin_walk(sweep);
        sweep->next_ms = monotonic_ms() + PERIOD_MS;
    }
    if (sweep->is_walking) {
        walk(sweep);
    }
}

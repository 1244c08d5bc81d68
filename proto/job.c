#include "proto/job.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "proto/timestamp.h"

/* ---- names ----------------------------------------------------------------------------------- */

static const char *const kind_names[] = {
    [JOB_TRAIN] = "train", [JOB_TEST] = "test", [JOB_NAS] = "nas"};
static const char *const state_names[] = {
    [JOB_QUEUED] = "queued", [JOB_RUNNING] = "running",     [JOB_SUCCEEDED] = "succeeded",
    [JOB_FAILED] = "failed", [JOB_CANCELLED] = "cancelled",
};

_Static_assert(sizeof kind_names / sizeof *kind_names == JOB_N_KINDS, "a name for every kind");
_Static_assert(sizeof state_names / sizeof *state_names == JOB_N_STATES, "a name for every state");

const char *job_kind_name(enum job_kind kind)
{
    return kind_names[kind];
}

const char *job_state_name(enum job_state state)
{
    return state_names[state];
}

/* Where the name stands, or n. */
static int find_name(const char *const *names, int n, const char *name)
{
    int i = 0;

    while (i < n && strcmp(names[i], name) != 0) {
        i++;
    }
    return i;
}

bool job_kind_find(const char *name, enum job_kind *out)
{
    int i = find_name(kind_names, JOB_N_KINDS, name);

    *out = (enum job_kind)i;
    return i < JOB_N_KINDS;
}

bool job_state_find(const char *name, enum job_state *out)
{
    int i = find_name(state_names, JOB_N_STATES, name);

    *out = (enum job_state)i;
    return i < JOB_N_STATES;
}

bool job_has_ended(enum job_state state)
{
    return state >= JOB_SUCCEEDED;
}

bool job_id_is_valid(const char *id)
{
    static const char form[] = "xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx";

    for (size_t i = 0; i < sizeof form - 1; i++) {
        if (id[i] == '\0' ||
            (form[i] == '-' ? id[i] != '-' : strchr("0123456789abcdef", id[i]) == NULL)) {
            return false;
        }
    }
    return id[sizeof form - 1] == '\0';
}

/* ---- JSON ------------------------------------------------------------------------------------ */

/* Begins a member of an object; "," before all but the first. */
static void put_name(struct text *out, const char *name)
{
    text_printf(out, "%s\"%s\":", out->bytes[out->size - 1] == '{' ? "" : ",", name);
}

/* Appends a number with so many decimals where it is known. */
static void put_known(struct text *out, const char *name, const char *format, double value)
{
    if (isfinite(value)) {
        put_name(out, name);
        /* a literal of the caller's; NOLINTNEXTLINE(clang-diagnostic-format-nonliteral) */
        text_printf(out, format, value);
    }
}

void msg_job_put_progress(const struct job_progress *progress, struct text *out)
{
    text_puts(out, "{");
    if (out->has_failed) {
        return;
    }
    put_known(out, "percent", "%.1f", progress->percent);
    if (progress->stage != NULL) {
        put_name(out, "stage");
        text_put_json_string(out, progress->stage);
    }
    if (progress->n_epochs > 0) {
        put_name(out, "epoch");
        text_printf(out, "%zu,\"n_epochs\":%zu", progress->epoch, progress->n_epochs);
        put_known(out, "loss", "%.7g", progress->loss);
    }
    if (progress->n_generations > 0) {
        put_name(out, "generation");
        text_printf(out, "%zu,\"n_generations\":%zu", progress->generation,
                    progress->n_generations);
    }
    if (progress->accuracy > 0.0) {
        put_known(out, "accuracy", "%.6g", progress->accuracy);
        put_known(out, "latency_ms", "%.6g", progress->latency_ms);
    }
    put_known(out, "seconds_left", "%.1f", progress->seconds_left);
    text_puts(out, "}");
}

void msg_job_put_front(const struct job_front *front, struct text *out)
{
    text_puts(out, "[");
    for (size_t i = 0; i < front->n; i++) {
        text_puts(out, i > 0 ? ",{\"latency_ms\":" : "{\"latency_ms\":");
        text_put_json_number(out, front->latency_ms[i]);
        text_puts(out, ",\"accuracy\":");
        text_put_json_number(out, front->accuracy[i]);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

static void put_string(struct text *out, const char *name, const char *value)
{
    text_printf(out, ",\"%s\":", name);
    if (value != NULL) {
        text_put_json_string(out, value);
    } else {
        text_puts(out, "null");
    }
}

static void put_time(struct text *out, const char *name, int64_t ms)
{
    const struct timespec at = {ms / 1000, ms % 1000 * 1000000};
    char stamp[TIMESTAMP_BYTES];

    timestamp_format(at, stamp);
    put_string(out, name, ms > 0 ? stamp : NULL);
}

/* What is JSON already. */
static void put_raw(struct text *out, const char *name, const char *json)
{
    text_printf(out, ",\"%s\":", name);
    text_puts(out, json != NULL ? json : "null");
}

void msg_job_put(const struct job *job, struct text *out)
{
    text_printf(out, "{\"id\":\"%s\",\"kind\":\"%s\"", job->id, job_kind_name(job->kind));
    put_string(out, "search_space", job->space);
    text_printf(out, ",\"state\":\"%s\",\"attempt\":%d,\"priority\":%d,\"cancel_requested\":%s",
                job_state_name(job->state), job->attempt, job->priority,
                job->is_cancel_requested ? "true" : "false");
    put_raw(out, "progress", job->progress);
    put_time(out, "submitted_at", job->submitted_ms);
    put_time(out, "started_at", job->started_ms);
    put_time(out, "ended_at", job->ended_ms);
    put_time(out, "deadline_at", job->deadline_ms);
    put_raw(out, "params", job->params);
    put_raw(out, "result", job->result);
    put_string(out, "error", job->error);
    text_puts(out, "}");
}

/* ---- ownership ------------------------------------------------------------------------------- */

enum err job_copy(const struct job *from, struct job *to, struct error *err)
{
    const char *const texts[] = {from->params, from->progress, from->result, from->error};
    char **const places[] = {&to->params, &to->progress, &to->result, &to->error};
    bool is_whole = true;

    *to = *from;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        *places[i] = texts[i] != NULL ? mem_strdup(texts[i]) : NULL;
        is_whole &= texts[i] == NULL || *places[i] != NULL;
    }
    if (!is_whole) {
        job_close(to);
        return error_set(err, ERR_NOMEM, "no memory to copy a job");
    }
    return ERR_OK;
}

void job_close(struct job *job)
{
    mem_free(job->params);
    mem_free(job->progress);
    mem_free(job->result);
    mem_free(job->error);
    memset(job, 0, sizeof *job);
}

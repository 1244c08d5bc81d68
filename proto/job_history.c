#include "proto/job_history.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "proto/json_view.h"

/* ---- what is kept ---------------------------------------------------------------------------- */

/* The epoch or generation; 0 where there is nothing of it to draw. Fits that validate another one have
 * epochs, too. */
static size_t step_of(const struct job_progress *progress)
{
    if (progress->n_epochs > 0) {
        const bool is_training =
            progress->stage != NULL && strcmp(progress->stage, "training") == 0;
        return is_training && isfinite(progress->loss) ? progress->epoch : 0;
    }
    return progress->n_generations > 0 && progress->accuracy > 0.0 ? progress->generation : 0;
}

bool job_progress_has_step(const struct job_progress *progress)
{
    return step_of(progress) > 0;
}

static struct job_point point_of(const struct job_progress *progress)
{
    if (progress->n_epochs > 0) {
        return (struct job_point){progress->epoch, progress->loss, NAN, NAN};
    }
    return (struct job_point){progress->generation, NAN, progress->accuracy, progress->latency_ms};
}

static bool is_of_another_curve(const struct job_history *history,
                                const struct job_progress *progress)
{
    return history->n > 0 && history->is_of_epochs != (progress->n_epochs > 0);
}

static bool is_point_due(const struct job_history *history, const struct job_progress *progress)
{
    const size_t step = step_of(progress);
    size_t last;

    if (step == 0 || history->n == 0) {
        return step > 0;
    }
    last = history->points[history->n - 1].step;
    return step >= last + history->stride || step < last || is_of_another_curve(history, progress);
}

static bool is_front_due(const struct job_history *history, const struct job_progress *progress)
{
    return progress->front != NULL && progress->front->n_changes != history->front.n_changes;
}

bool job_history_is_due(const struct job_history *history, const struct job_progress *progress)
{
    return is_point_due(history, progress) || is_front_due(history, progress);
}

/* Every other point goes, the first one stays. */
static void thin(struct job_history *history)
{
    for (size_t i = 1; 2 * i < history->n; i++) {
        history->points[i] = history->points[2 * i];
    }
    history->n = (history->n + 1) / 2;
    history->stride *= 2;
}

static void add_point(struct job_history *history, const struct job_progress *progress)
{
    const struct job_point point = point_of(progress);

    if (is_of_another_curve(history, progress)) {
        history->n = 0;
    }
    while (history->n > 0 && history->points[history->n - 1].step >= point.step) {
        history->n--;
    }
    if (history->n == 0) {
        history->stride = 1;
        history->is_of_epochs = progress->n_epochs > 0;
    } else if (history->n == JOB_HISTORY_MAX - 1) { /* the last place is for where it is now */
        thin(history);
    }
    if (is_point_due(history, progress)) { /* what was taken back, or thinned, may have sufficed */
        history->points[history->n++] = point;
    }
}

void job_history_add(struct job_history *history, const struct job_progress *progress)
{
    if (is_point_due(history, progress)) {
        add_point(history, progress);
    }
    if (is_front_due(history, progress)) {
        history->front = *progress->front;
    }
}

bool job_history_is_empty(const struct job_history *history)
{
    return history->n == 0 && history->front.n == 0;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_known(struct text *out, const char *name, const char *format, double value)
{
    if (isfinite(value)) {
        text_printf(out, ",\"%s\":", name);
        text_printf(out, format,
                    value); // NOLINT(clang-diagnostic-format-nonliteral): callers give literals
    }
}

static void put_point(const struct job_history *history, const struct job_point *point,
                      bool is_first, struct text *out)
{
    text_printf(out, "%s{\"%s\":%zu", is_first ? "" : ",",
                history->is_of_epochs ? "epoch" : "generation", point->step);
    put_known(out, "loss", "%.7g", point->loss);
    put_known(out, "accuracy", "%.6g", point->accuracy);
    put_known(out, "latency_ms", "%.6g", point->latency_ms);
    text_puts(out, "}");
}

void msg_job_put_history(const struct job_history *history, const struct job_progress *last,
                         struct text *out)
{
    text_printf(out, "{\"stride\":%zu,\"points\":[", history->n > 0 ? history->stride : 1);
    for (size_t i = 0; i < history->n; i++) {
        put_point(history, &history->points[i], i == 0, out);
    }
    if (last != NULL && history->n > 0 && !is_of_another_curve(history, last) &&
        step_of(last) > history->points[history->n - 1].step) {
        const struct job_point point = point_of(last);
        put_point(history, &point, false, out);
    }
    text_puts(out, "],\"front\":");
    msg_job_put_front(&history->front, out);
    text_puts(out, "}");
}

/* ---- reading --------------------------------------------------------------------------------- */

static double read_number(struct json_view object, const char *name)
{
    struct json_view value;
    const bool is_there =
        json_view_find(object, name, &value) && json_view_kind(value) == JSON_KIND_NUMBER;

    return is_there ? json_view_number(value) : (double)NAN;
}

static bool read_whole(struct json_view object, const char *name, size_t *out)
{
    struct json_view value;
    int64_t whole;
    const bool is_read = json_view_find(object, name, &value) &&
                         json_view_kind(value) == JSON_KIND_NUMBER &&
                         json_view_whole(value, &whole) && whole > 0;

    if (is_read) {
        *out = (size_t)whole;
    }
    return is_read;
}

/* Reads a point, which is later than those before it. */
static bool read_point(struct json_view value, struct job_history *history)
{
    struct job_point point = {0};
    const bool is_of_epochs = read_whole(value, "epoch", &point.step);

    if (!is_of_epochs && !read_whole(value, "generation", &point.step)) {
        return false;
    }
    if (history->n == JOB_HISTORY_MAX ||
        (history->n > 0 && (is_of_epochs != history->is_of_epochs ||
                            point.step <= history->points[history->n - 1].step))) {
        return false;
    }
    point.loss = read_number(value, "loss");
    point.accuracy = read_number(value, "accuracy");
    point.latency_ms = read_number(value, "latency_ms");
    history->is_of_epochs = is_of_epochs;
    history->points[history->n++] = point;
    return true;
}

static bool read_points(struct json_view points, struct job_history *history)
{
    struct json_view item;
    bool is_read = json_view_kind(points) == JSON_KIND_ARRAY;

    for (bool more = is_read && json_view_first(points, &item); is_read && more;
         more = json_view_next(&item)) {
        is_read = read_point(item, history);
    }
    return is_read;
}

/* Where it was by then is no point of the curve, but where it was told of. */
static void drop_last(struct job_history *history)
{
    const struct job_point *last = &history->points[history->n - 1];

    if (history->n == JOB_HISTORY_MAX ||
        (history->n > 1 && last->step - last[-1].step < history->stride)) {
        history->n--;
    }
}

enum err msg_job_read_history(const char *json, size_t size, struct job_history *out,
                              struct error *err)
{
    struct json_view history;
    struct json_view points;
    enum err rc = json_view_check(json, size, &history, err);

    memset(out, 0, sizeof *out);
    if (rc != ERR_OK) {
        return rc;
    }
    if (!read_whole(history, "stride", &out->stride) ||
        !json_view_find(history, "points", &points) || !read_points(points, out)) {
        memset(out, 0, sizeof *out);
        return error_set(err, ERR_INVALID, "the history of a job is not as it was written");
    }
    if (out->n > 0) {
        drop_last(out);
    }
    return ERR_OK;
}

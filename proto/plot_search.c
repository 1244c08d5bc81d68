#include "proto/plot_search.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/mem.h"
#include "core/search_pareto.h"
#include "proto/svg.h"

enum { POINTS_MAX = 65536 }; /* of all panels together */

#define PAD_SHARE 0.03

/* How much wider a limit may make an axis: one that is far off would leave no room for what is near. */
#define LIMIT_REACH 1.5

/* Where the least accurate networks take more than half of the axis, though they are no more than a
 * tenth of all, they are left out: what is of interest is at the other end. */
#define LOW_SHARE    0.1
#define LOW_PART_MAX 0.5

/* A search, and from which accuracy on it is drawn. */
struct picture {
    const struct search_report *report;
    double least_accuracy; /* -inf: all */
    size_t n_below;        /* networks of the sample that are left out for that */
};

/* What is drawn of a target. */
struct cloud {
    double *accuracy, *latency_ms; /* (n) each, one block, owned by `accuracy`: looked at */
    size_t n;
    double *front_accuracy, *front_ms; /* (n_front) each, one block likewise */
    size_t n_front;
};

static void cloud_close(struct cloud *cloud)
{
    mem_free(cloud->accuracy);
    mem_free(cloud->front_accuracy);
}

static enum err no_memory(struct error *err)
{
    return error_set(err, ERR_NOMEM, "no memory for a picture");
}

/* ---- what there is to draw ------------------------------------------------------------------- */

/* What was found, or what came nearest; NULL where there is neither. */
static const struct search_network *chosen_of(const struct search_report *report)
{
    return report->is_feasible ? &report->found : report->has_fastest ? &report->fastest : NULL;
}

static int compare_numbers(const void *x, const void *y)
{
    const double a = *(const double *)x;
    const double b = *(const double *)y;

    return (a > b) - (a < b);
}

/* Chooses the accuracy that is drawn from. */
static enum err choose_least(struct picture *picture, struct error *err)
{
    const struct search_sample *sample = &picture->report->looked_at;
    const struct search_network *chosen = chosen_of(picture->report);
    const size_t n = sample->n;
    const size_t n_low = (size_t)(LOW_SHARE * (double)n);
    double *sorted = mem_calloc(n, sizeof *sorted);

    if (sorted == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        sorted[i] = sample->accuracy[i];
    }
    qsort(sorted, n, sizeof *sorted, compare_numbers);
    picture->least_accuracy = -INFINITY;
    if (n > 0 && sorted[n_low] - sorted[0] > LOW_PART_MAX * (sorted[n - 1] - sorted[0])) {
        picture->least_accuracy =
            chosen != NULL ? fmin(sorted[n_low], chosen->accuracy) : sorted[n_low];
    }
    while (picture->n_below < n && sorted[picture->n_below] < picture->least_accuracy) {
        picture->n_below++;
    }
    mem_free(sorted);
    return ERR_OK;
}

/* Evenly chosen where there are more than all panels together may have. */
static enum err take_cloud(const struct picture *picture, size_t target, struct cloud *out,
                           struct error *err)
{
    const struct search_sample *sample = &picture->report->looked_at;
    const size_t most = POINTS_MAX / sample->n_targets;
    const size_t n = sample->n < most ? sample->n : most;

    out->accuracy = mem_calloc(n, 2 * sizeof *out->accuracy);
    if (out->accuracy == NULL) {
        return no_memory(err);
    }
    out->latency_ms = out->accuracy + n;
    for (size_t i = 0; i < n; i++) {
        const size_t from = i * sample->n / n;
        if (sample->accuracy[from] >= picture->least_accuracy) {
            out->accuracy[out->n] = sample->accuracy[from];
            out->latency_ms[out->n++] = sample->latency_ms[from * sample->n_targets + target];
        }
    }
    return ERR_OK;
}

static enum err alloc_front(size_t n, struct cloud *out, struct error *err)
{
    out->front_accuracy = mem_calloc(n, 2 * sizeof *out->front_accuracy);
    if (out->front_accuracy == NULL) {
        return no_memory(err);
    }
    out->front_ms = out->front_accuracy + n;
    out->n_front = n;
    return ERR_OK;
}

/* The front of all that was looked at, which takes that all are there. */
static enum err find_front(const struct search_report *report, size_t target, struct cloud *out,
                           struct error *err)
{
    const struct search_sample *sample = &report->looked_at;
    const size_t n = sample->n;
    double *latency_ms = mem_calloc(n, sizeof *latency_ms);
    size_t *front = mem_calloc(n, sizeof *front);
    size_t n_front = 0;
    enum err rc = latency_ms != NULL && front != NULL ? ERR_OK : no_memory(err);

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        latency_ms[i] = sample->latency_ms[i * sample->n_targets + target];
    }
    rc = rc != ERR_OK ? rc : search_pareto(sample->accuracy, latency_ms, n, front, &n_front, err);
    rc = rc != ERR_OK ? rc : alloc_front(n_front, out, err);
    for (size_t i = 0; rc == ERR_OK && i < n_front; i++) {
        out->front_accuracy[i] = sample->accuracy[front[i]];
        out->front_ms[i] = latency_ms[front[i]];
    }
    mem_free(latency_ms);
    mem_free(front);
    return rc;
}

/* That of the report, which is of the first target, where it was asked for. */
static enum err take_front(const struct search_report *report, size_t target, struct cloud *out,
                           struct error *err)
{
    enum err rc;

    if (report->params->objective != SEARCH_PARETO || target > 0) {
        return search_sample_is_whole(&report->looked_at) ? find_front(report, target, out, err)
                                                          : ERR_OK;
    }
    rc = alloc_front(report->n_front, out, err);
    for (size_t i = 0; rc == ERR_OK && i < report->n_front; i++) {
        out->front_accuracy[i] = report->front[i].accuracy;
        out->front_ms[i] = report->front[i].latency_ms;
    }
    return rc;
}

/* Its accuracy ascends. */
static void cut_front(const struct picture *picture, struct cloud *cloud)
{
    size_t n_below = 0;

    while (n_below < cloud->n_front && cloud->front_accuracy[n_below] < picture->least_accuracy) {
        n_below++;
    }
    cloud->n_front -= n_below;
    for (size_t i = 0; i < cloud->n_front; i++) {
        cloud->front_accuracy[i] = cloud->front_accuracy[n_below + i];
        cloud->front_ms[i] = cloud->front_ms[n_below + i];
    }
}

/* ---- a target -------------------------------------------------------------------------------- */

static void fit_axes(const struct search_report *report, size_t target, const struct cloud *cloud,
                     struct svg_panel *panel)
{
    const struct search_network *chosen = chosen_of(report);
    const double limit_ms = report->params->targets[target].latency_constraint_ms;
    struct svg_range latency = SVG_NO_RANGE;
    struct svg_range accuracy = SVG_NO_RANGE;

    svg_range_add(&latency, cloud->latency_ms, cloud->n);
    svg_range_add(&accuracy, cloud->accuracy, cloud->n);
    svg_range_add(&latency, cloud->front_ms, cloud->n_front);
    svg_range_add(&accuracy, cloud->front_accuracy, cloud->n_front);
    if (chosen != NULL) {
        svg_range_add(&latency, &chosen->latency_ms[target], 1);
        svg_range_add(&accuracy, &chosen->accuracy, 1);
    }
    if (limit_ms > 0.0 && limit_ms <= latency.max * LIMIT_REACH) {
        svg_range_add(&latency, &limit_ms, 1);
    }
    panel->x = svg_axis_fit("latency, ms", latency, PAD_SHARE, panel->width, false);
    panel->y = svg_axis_fit("accuracy, %", accuracy, PAD_SHARE, panel->height, true);
}

/* As steps: until the next network is fast enough, the last one is the best. */
static enum err put_front(const struct svg_panel *panel, const char *series,
                          const struct cloud *cloud, struct text *out, struct error *err)
{
    const size_t n = cloud->n_front;
    double *steps = mem_calloc(2 * n, 2 * sizeof *steps);
    char class[32];

    if (steps == NULL) {
        return no_memory(err);
    }
    for (size_t i = 0; i < n; i++) {
        const double next_ms = i + 1 < n ? cloud->front_ms[i + 1] : panel->x.max;
        steps[2 * i] = cloud->front_ms[i];
        steps[2 * i + 1] = next_ms;
        steps[2 * n + 2 * i] = steps[2 * n + 2 * i + 1] = cloud->front_accuracy[i];
    }
    (void)snprintf(class, sizeof class, SVG_LINE " %s", series);
    svg_put_line(panel, class, steps, steps + 2 * n, 2 * n, out);
    mem_free(steps);
    return ERR_OK;
}

static enum err put_cloud(const struct search_report *report, size_t target,
                          const struct svg_panel *panel, const struct cloud *cloud,
                          struct text *out, struct error *err)
{
    const struct search_network *chosen = chosen_of(report);
    const double limit_ms = report->params->targets[target].latency_constraint_ms;
    enum err rc;

    if (limit_ms > 0.0) {
        svg_put_limit(panel, limit_ms, out); /* its shade is not to colour the points */
    }
    rc = svg_put_points(panel, svg_series(0), cloud->latency_ms, cloud->accuracy, cloud->n, out,
                        err);
    if (rc == ERR_OK && cloud->n_front > 0) {
        rc = put_front(panel, svg_series(2), cloud, out, err);
    }
    if (rc == ERR_OK && chosen != NULL) {
        svg_put_level_bar(panel, svg_series(1), chosen->accuracy, chosen->low_ms[target],
                          chosen->high_ms[target], out);
        svg_put_mark(panel, svg_series(1), chosen->latency_ms[target], chosen->accuracy,
                     !report->is_feasible, out);
    }
    return rc;
}

static void put_name(const struct device_sheet *sheet, char *name, size_t size)
{
    const struct hardware *hw = &sheet->hardware;

    if (sheet->name[0] != '\0') {
        (void)snprintf(name, size, "%s", sheet->name);
    } else if (hw->frequency_ghz > 0.0) {
        (void)snprintf(name, size, "%g GHz, width %g, %g MB, %g GB/s", hw->frequency_ghz,
                       hw->dispatch_width, hw->cache_mb, hw->memory_bandwidth_gbs);
    } else {
        (void)snprintf(name, size, "a measured device");
    }
}

/* The network's latency, and the limit. */
static void put_notes(const struct search_report *report, size_t target, char *latency, char *limit,
                      size_t size)
{
    const struct search_network *chosen = chosen_of(report);
    const double limit_ms = report->params->targets[target].latency_constraint_ms;

    latency[0] = limit[0] = '\0';
    if (chosen != NULL) {
        (void)snprintf(latency, size, "%s: %.4g ms, %g %% interval %.4g to %.4g",
                       report->is_feasible ? "found" : "nearest", chosen->latency_ms[target],
                       100.0 * report->level, chosen->low_ms[target], chosen->high_ms[target]);
    }
    if (limit_ms > 0.0) {
        (void)snprintf(limit, size, "limit: %.6g ms%s", limit_ms,
                       report->params->confidence > 0.0 ? ", for the interval's upper end" : "");
    }
}

static enum err put_target(const struct picture *picture, size_t target, struct svg_panel panel,
                           struct text *out, struct error *err)
{
    const struct search_report *report = picture->report;
    char name[DEVICE_NAME_BYTES];
    char latency[160];
    char limit[160];
    struct cloud cloud = {0};
    enum err rc = take_cloud(picture, target, &cloud, err);

    rc = rc != ERR_OK ? rc : take_front(report, target, &cloud, err);
    if (rc == ERR_OK) {
        cut_front(picture, &cloud);
        put_name(&report->sheets[target], name, sizeof name);
        put_notes(report, target, latency, limit, sizeof latency);
        panel.title = name;
        panel.notes[0] = latency;
        panel.notes[1] = limit;
        fit_axes(report, target, &cloud, &panel);
        svg_panel_begin(&panel, out);
        rc = put_cloud(report, target, &panel, &cloud, out, err);
        svg_panel_end(out);
    }
    cloud_close(&cloud);
    return rc;
}

/* ---- the page -------------------------------------------------------------------------------- */

static void put_subtitle(const struct search_report *report, struct text *out)
{
    const struct search_network *chosen = chosen_of(report);
    char notation[SPACE_TEXT_BYTES];

    if (chosen == NULL) {
        text_puts(out, "nothing was found");
        return;
    }
    space_print(report->space, chosen->genes, notation);
    text_printf(out, "%s %.4g %%: %s",
                report->is_feasible ? "found" : "nothing keeps the limits; nearest",
                chosen->accuracy, notation);
}

/* For those who do not see the picture. */
static void put_description(const struct search_report *report, const char *subtitle,
                            struct text *out)
{
    const struct search_network *chosen = chosen_of(report);

    text_printf(out, "Latency against accuracy of %zu architectures, one panel a target; %s.",
                report->n_evaluated, subtitle);
    for (size_t t = 0; chosen != NULL && t < report->params->n_targets; t++) {
        char name[DEVICE_NAME_BYTES];
        const double limit_ms = report->params->targets[t].latency_constraint_ms;
        put_name(&report->sheets[t], name, sizeof name);
        text_printf(out, " On %s: %.4g ms", name, chosen->latency_ms[t]);
        if (limit_ms > 0.0) {
            text_printf(out, ", limit %.6g ms", limit_ms);
        }
        text_puts(out, ".");
    }
}

/* A single panel is large; more stand in two columns, many in three. */
static void lay_out(struct svg_page *page)
{
    static const struct {
        size_t n_panels_max, n_columns;
        double width_px, height_px;
    } layouts[] = {
        {1,        1, 720, 420},
        {4,        2, 400, 300},
        {SIZE_MAX, 3, 320, 250},
    };
    size_t i = 0;

    while (page->n_panels > layouts[i].n_panels_max) {
        i++;
    }
    page->n_columns = layouts[i].n_columns;
    page->plot_width = layouts[i].width_px;
    page->plot_height = layouts[i].height_px;
}

static bool has_limit(const struct search_report *report)
{
    for (size_t t = 0; t < report->params->n_targets; t++) {
        if (report->params->targets[t].latency_constraint_ms > 0.0) {
            return true;
        }
    }
    return false;
}

static bool has_front(const struct search_report *report)
{
    return report->params->objective == SEARCH_PARETO ? report->n_front > 0
                                                      : search_sample_is_whole(&report->looked_at);
}

/* The keys of what is drawn; returns how many. `cloud` is the text for that. */
static size_t put_keys(const struct search_report *report, const char *cloud,
                       struct svg_key keys[4])
{
    const struct {
        bool is_there;
        struct svg_key key;
    } all[] = {
        {true,                      {SVG_POINTS " s1", cloud}                             },
        {has_front(report),         {SVG_LINE " s3", "front"}                             },
        {has_limit(report),         {SVG_LIMIT, "limit"}                                  },
        {chosen_of(report) != NULL,
         {report->is_feasible ? SVG_MARK " s2" : SVG_MARK " s2 hollow",
          report->is_feasible ? "found, with its interval" : "nearest, with its interval"}},
    };
    size_t n = 0;

    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (all[i].is_there) {
            keys[n++] = all[i].key;
        }
    }
    return n;
}

static void put_cloud_key(const struct picture *picture, struct text *out)
{
    text_puts(out, "looked at");
    if (picture->n_below > 0) {
        text_printf(out, " (%zu of less accuracy lie below)", picture->n_below);
    }
}

/* The texts of a page; ended by texts_close(). */
struct texts {
    struct text title, subtitle, description, cloud;
};

static void texts_close(struct texts *texts)
{
    text_close(&texts->title);
    text_close(&texts->subtitle);
    text_close(&texts->description);
    text_close(&texts->cloud);
}

static enum err texts_init(const struct picture *picture, struct texts *texts, struct error *err)
{
    const struct search_report *report = picture->report;

    text_printf(&texts->title, "%s: %zu architectures looked at, %s", report->space->name,
                report->n_evaluated, search_method_name(report->method));
    put_subtitle(report, &texts->subtitle);
    put_description(report, texts->subtitle.has_failed ? "" : texts->subtitle.bytes,
                    &texts->description);
    put_cloud_key(picture, &texts->cloud);
    return texts->title.has_failed || texts->subtitle.has_failed || texts->description.has_failed ||
                   texts->cloud.has_failed
               ? no_memory(err)
               : ERR_OK;
}

static enum err put_page(const struct picture *picture, const struct texts *texts, struct text *out,
                         struct error *err)
{
    const struct search_report *report = picture->report;
    struct svg_key keys[4];
    struct svg_page page = {
        .title = texts->title.bytes,
        .subtitle = texts->subtitle.bytes,
        .description = texts->description.bytes,
        .keys = keys,
        .n_keys = put_keys(report, texts->cloud.bytes, keys),
        .n_panels = report->params->n_targets,
    };
    enum err rc = ERR_OK;

    lay_out(&page);
    svg_begin(&page, out);
    for (size_t t = 0; rc == ERR_OK && t < page.n_panels; t++) {
        rc = put_target(picture, t, svg_page_panel(&page, t), out, err);
    }
    svg_end(out);
    return rc == ERR_OK && out->has_failed ? no_memory(err) : rc;
}

enum err plot_search(const struct search_report *report, struct text *out, struct error *err)
{
    struct picture picture = {.report = report};
    struct texts texts = {0};
    enum err rc = choose_least(&picture, err);

    rc = rc != ERR_OK ? rc : texts_init(&picture, &texts, err);
    rc = rc != ERR_OK ? rc : put_page(&picture, &texts, out, err);
    texts_close(&texts);
    return rc;
}

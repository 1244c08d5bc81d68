#include "proto/plot_test.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/svg.h"

/* Intervals of a panel, evenly chosen: more would hide everything else. */
enum { BARS_MAX = 200 };

#define PAD_SHARE 0.03

enum { SERIES_SCORED, SERIES_CALIBRATING };

/* Points of a device as columns. */
struct columns {
    double *x, *y, *low, *high; /* (n_points) each, one block, owned by `x` */
    size_t n;
};

static enum err columns_alloc(size_t n_points, struct columns *out, struct error *err)
{
    double *block = mem_calloc(n_points, 4 * sizeof *block);

    if (block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a picture");
    }
    *out = (struct columns){block, block + n_points, block + 2 * n_points, block + 3 * n_points, 0};
    return ERR_OK;
}

/* Those that are scored, or those that are not. */
static void fill_columns(const struct test_report *report, const struct device_report *device,
                         bool is_scored, struct columns *out)
{
    out->n = 0;
    for (size_t i = 0; i < report->n_points; i++) {
        const struct test_point *point = &device->points[i];
        if (point->is_scored == is_scored) {
            out->x[out->n] = point->measured_ms;
            out->y[out->n] = point->predicted_ms;
            out->low[out->n] = point->low_ms;
            out->high[out->n++] = point->high_ms;
        }
    }
}

/* Evenly `most` of them. */
static void thin_columns(struct columns *columns, size_t most)
{
    const size_t n = columns->n;

    for (size_t i = 0; n > most && i < most; i++) {
        const size_t from = i * n / most;
        columns->x[i] = columns->x[from];
        columns->low[i] = columns->low[from];
        columns->high[i] = columns->high[from];
    }
    columns->n = n < most ? n : most;
}

/* From zero to the largest latency, the same on both axes. */
static void fit_axes(const struct test_report *report, const struct device_report *device,
                     struct svg_panel *panel)
{
    struct svg_range range = {0.0, 0.0};

    for (size_t i = 0; i < report->n_points; i++) {
        svg_range_add(&range, &device->points[i].measured_ms, 1);
        svg_range_add(&range, &device->points[i].predicted_ms, 1);
    }
    panel->x = svg_axis_fit("measured, ms", range, PAD_SHARE, panel->width, false);
    panel->y = svg_axis_fit("predicted, ms", range, PAD_SHARE, panel->height, true);
}

static enum err put_series(const struct test_report *report, const struct device_report *device,
                           const struct svg_panel *panel, struct text *out, struct error *err)
{
    const double ends[] = {panel->x.min, panel->x.max};
    struct columns columns;
    enum err rc = columns_alloc(report->n_points, &columns, err);

    if (rc != ERR_OK) {
        return rc;
    }
    fill_columns(report, device, true, &columns);
    thin_columns(&columns, BARS_MAX);
    svg_put_bars(panel, svg_series(SERIES_SCORED), columns.x, columns.low, columns.high, columns.n,
                 out);
    fill_columns(report, device, true, &columns);
    rc =
        svg_put_points(panel, svg_series(SERIES_SCORED), columns.x, columns.y, columns.n, out, err);
    svg_put_line(panel, SVG_IDEAL, ends, ends, 2, out);
    if (rc == ERR_OK && report->n_calibrate > 0) {
        fill_columns(report, device, false, &columns);
        rc = svg_put_points(panel, svg_series(SERIES_CALIBRATING), columns.x, columns.y, columns.n,
                            out, err);
    }
    mem_free(columns.x);
    return rc;
}

/* "R 0.9876, RMSE 12.3 ms, MAE 10.1 ms"; R is not always defined. */
static void put_figures(const struct metrics *m, char *out, size_t size)
{
    char r[32] = "none";

    if (!isnan(m->r)) {
        (void)snprintf(r, sizeof r, "%.4f", m->r);
    }
    (void)snprintf(out, size, "R %s, RMSE %.4g ms, MAE %.4g ms", r, m->rmse, m->mae);
}

static enum err put_device(const struct test_report *report, const struct device_report *device,
                           struct svg_panel panel, struct text *out, struct error *err)
{
    const struct metrics *m = &device->metrics;
    char figures[128];
    char counts[128];
    enum err rc;

    put_figures(m, figures, sizeof figures);
    (void)snprintf(counts, sizeof counts, "%zu rows, %.1f %% in their %g %% interval", m->n,
                   100.0 * device->covered, 100.0 * report->level);
    panel.title = device->name;
    panel.notes[0] = figures;
    panel.notes[1] = counts;
    fit_axes(report, device, &panel);
    svg_panel_begin(&panel, out);
    rc = put_series(report, device, &panel, out, err);
    svg_panel_end(out);
    return rc;
}

/* What the whole test was. */
static void describe(const struct test_report *report, size_t n_drawn, struct text *subtitle)
{
    text_printf(subtitle, "predictor %s, %s architectures, unseen devices, ", report->predictor,
                report->is_holdout ? "held-out" : "seen and unseen");
    if (report->n_calibrate > 0) {
        text_printf(subtitle, "%zu measurements each", report->n_calibrate);
    } else {
        text_puts(subtitle, "no measurement");
    }
    if (n_drawn < report->n_devices) {
        text_printf(subtitle, "; %zu of %zu devices", n_drawn, report->n_devices);
    }
    if (report->n_points < report->n_rows) {
        text_printf(subtitle, "; %zu of %zu rows drawn", report->n_points, report->n_rows);
    }
}

/* The same for those who do not see the picture, with the figures of each device. */
static void describe_devices(const struct test_report *report, size_t n_drawn, struct text *out)
{
    text_puts(out, "Predicted against measured latency, one panel a device.");
    for (size_t i = 0; i < n_drawn; i++) {
        const struct device_report *device = &report->devices[i];
        char figures[128];
        put_figures(&device->metrics, figures, sizeof figures);
        text_printf(out, " %s: %s over %zu rows.", device->name, figures, device->metrics.n);
    }
}

/* A single panel is large; more stand in two columns, many in three. */
static void lay_out(struct svg_page *page)
{
    static const struct {
        size_t n_panels_max, n_columns;
        double side_px;
    } layouts[] = {
        {1,        1, 530},
        {4,        2, 360},
        {SIZE_MAX, 3, 300},
    };
    size_t i = 0;

    while (page->n_panels > layouts[i].n_panels_max) {
        i++;
    }
    page->n_columns = layouts[i].n_columns;
    page->plot_width = page->plot_height = layouts[i].side_px;
}

enum err plot_test(const struct test_report *report, struct text *out, struct error *err)
{
    static const struct svg_key keys[] = {
        {SVG_POINTS " s1", "an architecture"       },
        {SVG_BARS " s1",   "its interval"          },
        {SVG_IDEAL,        "predicted is measured" },
        {SVG_POINTS " s2", "calibrates, not scored"},
    };
    const size_t n_drawn =
        report->n_devices < TEST_DRAWN_DEVICES ? report->n_devices : TEST_DRAWN_DEVICES;
    struct text title = {0};
    struct text subtitle = {0};
    struct text description = {0};
    struct svg_page page = {
        .keys = keys,
        .n_keys = sizeof keys / sizeof *keys - (report->n_calibrate > 0 ? 0 : 1),
        .n_panels = n_drawn,
    };
    enum err rc = ERR_OK;

    text_printf(&title, "%s: predicted against measured", report->space->name);
    describe(report, n_drawn, &subtitle);
    describe_devices(report, n_drawn, &description);
    if (title.has_failed || subtitle.has_failed || description.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for a picture");
    } else {
        page.title = title.bytes;
        page.subtitle = subtitle.bytes;
        page.description = description.bytes;
        lay_out(&page);
        svg_begin(&page, out);
    }
    for (size_t i = 0; rc == ERR_OK && i < n_drawn; i++) {
        rc = put_device(report, &report->devices[i], svg_page_panel(&page, i), out, err);
    }
    svg_end(out);
    text_close(&title);
    text_close(&subtitle);
    text_close(&description);
    return rc == ERR_OK && out->has_failed ? error_set(err, ERR_NOMEM, "no memory for a picture")
                                           : rc;
}

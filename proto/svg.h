/* Charts as SVG (1.1 with CSS): a page with a title, a legend and panels in a grid, each of them two
 * linear axes and what is drawn between them.
 *
 * The document stands alone: it names no other file, runs nothing, and is the same for the same
 * values. Colours are those of the dashboard, for a light or a dark ground as the reader has it. Text
 * from outside is escaped, and what XML cannot hold is replaced; what is no finite number is not
 * drawn; nothing is drawn outside of its panel. Coordinates have tenths of pixels. Sizes are bounded
 * by the panel: two points of the same pixel are drawn once.
 *
 * Pure functions, thread-safe; everything is borrowed for the call. */
#ifndef DGLD_PROTO_SVG_H
#define DGLD_PROTO_SVG_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "proto/svg_axis.h"
#include "proto/text.h"

enum { SVG_N_NOTES = 2, SVG_N_SERIES = 4 };

/* How something is drawn: the names of its classes of the style sheet, "points s1" say. s1 to s4 are
 * the colours of series, and what follows has colours of its own. */
#define SVG_POINTS "points" /* a dot; beside a series */
#define SVG_BARS   "bars"   /* a thin upright or level line; likewise */
#define SVG_LINE   "line"   /* likewise */
#define SVG_IDEAL  "ideal"  /* dashed, of text's colour */
#define SVG_LIMIT  "limit"  /* dashed, red */
#define SVG_BEYOND "beyond" /* shade over what a limit leaves out */
#define SVG_MARK   "mark"   /* a ring */

struct svg_key {
    const char *class, *text;
};

struct svg_page {
    const char *title, *subtitle;
    const char *description; /* for those who do not see the picture */
    const struct svg_key *keys;
    size_t n_keys;
    size_t n_panels, n_columns;     /* at least 1 each */
    double plot_width, plot_height; /* of a panel, between its axes, in pixels */
};

struct svg_panel {
    double left, top, width, height; /* between the axes, in pixels: svg_page_panel() */
    const char *title;
    const char *notes[SVG_N_NOTES]; /* lines below the title */
    struct svg_axis x, y;
};

/* "s1" to "s4", then from the beginning; static. */
const char *svg_series(size_t i);

/* What the document begins and ends with. */
void svg_begin(const struct svg_page *page, struct text *out);
void svg_end(struct text *out);

/* Where the i-th panel is; the rest of it is zeroed. */
struct svg_panel svg_page_panel(const struct svg_page *page, size_t i);

/* The panel's axes, to be followed by what is drawn in it and svg_panel_end(). */
void svg_panel_begin(const struct svg_panel *panel, struct text *out);
void svg_panel_end(struct text *out);

/* Dots, the finer the more they are. ERR_NOMEM. */
enum err svg_put_points(const struct svg_panel *panel, const char *series, const double *x,
                        const double *y, size_t n, struct text *out, struct error *err);

/* A line from point to point, which leaves out what cannot be drawn; beyond the axes it keeps to their
 * ends. */
void svg_put_line(const struct svg_panel *panel, const char *class, const double *x,
                  const double *y, size_t n, struct text *out);

/* Lines at x from low to high, cut at the axes. */
void svg_put_bars(const struct svg_panel *panel, const char *series, const double *x,
                  const double *low, const double *high, size_t n, struct text *out);

/* A line at y from low to high, likewise. */
void svg_put_level_bar(const struct svg_panel *panel, const char *series, double y, double low,
                       double high, struct text *out);

/* A limit on the x axis: a line, and a shade over what is beyond. */
void svg_put_limit(const struct svg_panel *panel, double x, struct text *out);

/* A ring about a point; with `is_hollow` nothing in it. */
void svg_put_mark(const struct svg_panel *panel, const char *series, double x, double y,
                  bool is_hollow, struct text *out);

#endif

#include "proto/svg.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"

/* ---- layout, in pixels ----------------------------------------------------------------------- */

#define MARGIN_PX      16.0
#define TITLE_PX       20.0 /* height of the page's title, and of the lines below it */
#define LINE_PX        18.0
#define PANEL_LEFT_PX  66.0 /* what stands about a plot: labels, titles */
#define PANEL_RIGHT_PX 20.0
#define PANEL_TOP_PX   68.0
#define PANEL_FOOT_PX  46.0
#define NOTE_PX        16.0
#define TICK_PX        4.0
#define KEY_MARK_PX    24.0 /* what stands for something in a legend, and the gap after its text */
#define KEY_GAP_PX     18.0

/* Widths of characters, a share of the size of the font: fonts differ, so these are wide ones. */
#define NARROW_SHARE 0.58
#define WIDE_SHARE   1.0
#define BOLD_SHARE   1.08
#define TEXT_SIZE_PX 12.0
#define HEAD_SIZE_PX 16.0
#define NAME_SIZE_PX 14.0

enum { MANY_POINTS = 400, VERY_MANY_POINTS = 3000 };

/* ---- numbers and text ------------------------------------------------------------------------ */

/* Tenths of a pixel as pixels. */
static void put_tenths(struct text *out, int tenths)
{
    const int size = tenths < 0 ? -tenths : tenths;

    if (size % 10 == 0) {
        text_printf(out, "%s%d", tenths < 0 ? "-" : "", size / 10);
    } else if (size < 10) {
        text_printf(out, "%s.%d", tenths < 0 ? "-" : "", size);
    } else {
        text_printf(out, "%s%d.%d", tenths < 0 ? "-" : "", size / 10, size % 10);
    }
}

/* Two of them, parted by what their signs leave to be parted. */
static void put_pair(struct text *out, int x, int y)
{
    put_tenths(out, x);
    text_puts(out, y < 0 ? "" : " ");
    put_tenths(out, y);
}

static int to_tenths(double px)
{
    return (int)lround(px * 10.0);
}

/* Whether XML can hold the character. */
static bool is_xml(const char *at, size_t length)
{
    const unsigned char c = (unsigned char)at[0];

    if (length == 1) {
        return c >= 0x20 && c != 0x7f;
    }
    return length > 0 && !(length == 3 && memcmp(at, "\xef\xbf", 2) == 0 &&
                           (unsigned char)at[2] >= 0xbe); /* U+FFFE and U+FFFF are none */
}

static void put_character(struct text *out, const char *at, size_t length)
{
    static const struct {
        char c;
        const char *name;
    } names[] = {
        {'&',  "&amp;" },
        {'<',  "&lt;"  },
        {'>',  "&gt;"  },
        {'"',  "&quot;"},
        {'\'', "&#39;" },
    };

    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        if (at[0] == names[i].c) {
            text_puts(out, names[i].name);
            return;
        }
    }
    text_put(out, at, length);
}

static void put_circle(struct text *out, const char *class, double x, double y)
{
    text_printf(out, "<circle class=\"%s\" cx=\"", class);
    put_tenths(out, to_tenths(x));
    text_puts(out, "\" cy=\"");
    put_tenths(out, to_tenths(y));
    text_puts(out, "\" r=\"5\"/>\n");
}

static double width_of(size_t length, double size_px)
{
    return size_px * (length == 1 ? NARROW_SHARE : WIDE_SHARE);
}

static double text_width(const char *text, double size_px)
{
    double width = 0.0;

    while (*text != '\0') {
        const size_t length = utf8_length(text);
        width += width_of(length, size_px);
        text += length > 0 ? length : 1;
    }
    return width;
}

/* Text, cut where it would be wider; unbounded where that is infinite. */
static void put_text(struct text *out, const char *text, double size_px, double width_px)
{
    const bool is_cut = text_width(text, size_px) > width_px;
    double left = width_px - (is_cut ? size_px * WIDE_SHARE : 0.0);

    while (*text != '\0') {
        const size_t length = utf8_length(text);
        left -= width_of(length, size_px);
        if (left < 0.0) {
            break;
        }
        if (is_xml(text, length)) {
            put_character(out, text, length);
        } else {
            text_puts(out, "\xef\xbf\xbd"); /* U+FFFD: something was here */
        }
        text += length > 0 ? length : 1;
    }
    text_puts(out, is_cut ? "\xe2\x80\xa6" : "");
}

static void put_label(struct text *out, const char *class, double x, double y, const char *text,
                      double size_px, double width_px)
{
    text_printf(out, "<text class=\"%s\" x=\"", class);
    put_tenths(out, to_tenths(x));
    text_puts(out, "\" y=\"");
    put_tenths(out, to_tenths(y));
    text_puts(out, "\">");
    put_text(out, text, size_px, width_px);
    text_puts(out, "</text>\n");
}

/* ---- the page -------------------------------------------------------------------------------- */

/* The dashboard's colours (server/web/dashboard/src/style.css); each pair of text and ground has a
 * contrast of 4.5 at least. Custom properties would be shorter, but not every program knows them. */
static const char style[] =
    "<style>\n"
    "text{font:12px system-ui,sans-serif;fill:#566074}\n"
    ".title{font-size:16px;font-weight:700;fill:#1a2130}\n"
    ".name{font-size:14px;font-weight:600;fill:#1a2130}\n"
    ".tick-x,.label-x{text-anchor:middle}.tick-y{text-anchor:end}.label-y{text-anchor:middle}\n"
    ".ground{fill:#fff}.grid{stroke:#d5dae2;fill:none}.frame{stroke:#566074;fill:none}\n"
    ".s1{stroke:#1d4ed8;fill:#1d4ed8}.s2{stroke:#b45309;fill:#b45309}\n"
    ".s3{stroke:#047857;fill:#047857}.s4{stroke:#a21caf;fill:#a21caf}\n"
    ".points{fill:none;stroke-linecap:round;stroke-width:5;opacity:.8}\n"
    ".points.many{stroke-width:3.5;opacity:.7}.points.most{stroke-width:2;opacity:.55}\n"
    ".bars{fill:none;opacity:.25}.bars.level{stroke-width:2;opacity:1}\n"
    ".line{fill:none;stroke-width:2}\n"
    ".ideal{fill:none;stroke:#1a2130;stroke-dasharray:6 4}\n"
    ".limit{fill:none;stroke:#b91c1c;stroke-width:1.5;stroke-dasharray:6 4}\n"
    ".beyond{fill:#b91c1c;opacity:.07}\n"
    ".mark{stroke:#1a2130;stroke-width:2}.mark.hollow{fill:none}\n"
    "@media(prefers-color-scheme:dark){\n"
    "text{fill:#a3adbf}.title,.name{fill:#e6eaf2}\n"
    ".ground{fill:#181e28}.grid{stroke:#313a49}.frame{stroke:#a3adbf}\n"
    ".s1{stroke:#8fb3ff;fill:#8fb3ff}.s2{stroke:#f5b041;fill:#f5b041}\n"
    ".s3{stroke:#5bd6a5;fill:#5bd6a5}.s4{stroke:#e58fee;fill:#e58fee}\n"
    ".ideal{stroke:#e6eaf2}.limit{stroke:#ff9a9a}.beyond{fill:#ff9a9a}.mark{stroke:#e6eaf2}\n"
    ".points,.bars,.line,.ideal,.limit,.mark.hollow{fill:none}\n"
    "}\n"
    "</style>\n";

const char *svg_series(size_t i)
{
    static const char *const names[SVG_N_SERIES] = {"s1", "s2", "s3", "s4"};

    return names[i % SVG_N_SERIES];
}

static double cell_width(const struct svg_page *page)
{
    return PANEL_LEFT_PX + page->plot_width + PANEL_RIGHT_PX;
}

static double cell_height(const struct svg_page *page)
{
    return PANEL_TOP_PX + page->plot_height + PANEL_FOOT_PX;
}

static double page_width(const struct svg_page *page)
{
    return cell_width(page) * (double)page->n_columns;
}

/* Where a key of the legend stands; keys fill lines. Returns the lines that it takes up to there. */
static size_t place_key(const struct svg_page *page, size_t key, double *x)
{
    size_t n_lines = 1;
    double end = MARGIN_PX;

    *x = MARGIN_PX;
    for (size_t i = 0; i <= key; i++) {
        const double width = KEY_MARK_PX + text_width(page->keys[i].text, TEXT_SIZE_PX);
        if (end > MARGIN_PX && end + width > page_width(page) - MARGIN_PX) {
            n_lines++;
            end = MARGIN_PX;
        }
        *x = end;
        end += width + KEY_GAP_PX;
    }
    return n_lines;
}

/* Height of title, subtitle and legend. */
static double head_height(const struct svg_page *page)
{
    double x;
    const size_t n_lines = page->n_keys > 0 ? place_key(page, page->n_keys - 1, &x) : 0;

    return MARGIN_PX + TITLE_PX + LINE_PX * (double)(n_lines + 1);
}

static double page_height(const struct svg_page *page)
{
    const size_t n_rows = (page->n_panels + page->n_columns - 1) / page->n_columns;

    return head_height(page) + cell_height(page) * (double)n_rows;
}

static bool has_class(const char *classes, const char *class)
{
    const size_t length = strlen(class);

    return strncmp(classes, class, length) == 0 &&
           (classes[length] == ' ' || classes[length] == '\0');
}

/* What stands for a class in the legend, with its middle at (x, y). */
static void put_sample(struct text *out, const char *class, double x, double y)
{
    const int left = to_tenths(x);
    const int middle = to_tenths(y);

    if (has_class(class, SVG_MARK)) {
        put_circle(out, class, x, y);
        return;
    }
    text_printf(out, "<path class=\"%s\" d=\"M", class);
    if (has_class(class, SVG_POINTS)) {
        put_pair(out, left, middle);
        text_puts(out, "h0");
    } else if (has_class(class, SVG_BARS)) {
        put_pair(out, left, middle - 60);
        text_puts(out, "v12");
    } else {
        put_pair(out, left - 80, middle);
        text_puts(out, "h16");
    }
    text_puts(out, "\"/>\n");
}

static void put_legend(const struct svg_page *page, struct text *out)
{
    text_puts(out, "<g class=\"legend\">\n");
    for (size_t i = 0; i < page->n_keys; i++) {
        double x;
        const size_t line = place_key(page, i, &x);
        const double y = MARGIN_PX + TITLE_PX + LINE_PX * (double)(line + 1) - 6.0;
        put_sample(out, page->keys[i].class, x + 8.0, y - 4.0);
        put_label(out, "key", x + KEY_MARK_PX, y, page->keys[i].text, TEXT_SIZE_PX, INFINITY);
    }
    text_puts(out, "</g>\n");
}

void svg_begin(const struct svg_page *page, struct text *out)
{
    const double width = page_width(page);

    text_printf(out,
                "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%.0f\" height=\"%.0f\" "
                "viewBox=\"0 0 %.0f %.0f\" role=\"img\" aria-labelledby=\"title description\">\n"
                "<title id=\"title\">",
                width, page_height(page), width, page_height(page));
    put_text(out, page->title, HEAD_SIZE_PX, INFINITY);
    text_puts(out, "</title>\n<desc id=\"description\">");
    put_text(out, page->description, TEXT_SIZE_PX, INFINITY);
    text_puts(out, "</desc>\n");
    text_puts(out, style);
    text_puts(out, "<rect class=\"ground\" width=\"100%\" height=\"100%\"/>\n");
    put_label(out, "title", MARGIN_PX, MARGIN_PX + TITLE_PX - 6.0, page->title,
              HEAD_SIZE_PX * BOLD_SHARE, width - 2.0 * MARGIN_PX);
    put_label(out, "subtitle", MARGIN_PX, MARGIN_PX + TITLE_PX + LINE_PX - 6.0, page->subtitle,
              TEXT_SIZE_PX, width - 2.0 * MARGIN_PX);
    put_legend(page, out);
}

void svg_end(struct text *out)
{
    text_puts(out, "</svg>\n");
}

struct svg_panel svg_page_panel(const struct svg_page *page, size_t i)
{
    const size_t column = i % page->n_columns;
    const size_t row = i / page->n_columns;

    return (struct svg_panel){
        .left = (double)column * cell_width(page) + PANEL_LEFT_PX,
        .top = head_height(page) + (double)row * cell_height(page) + PANEL_TOP_PX,
        .width = page->plot_width,
        .height = page->plot_height,
        .title = "",
        .notes = {"", ""},
    };
}

/* ---- axes ------------------------------------------------------------------------------------ */

static double share_of(const struct svg_axis *axis, double value)
{
    return (value - axis->min) / (axis->max - axis->min);
}

static double place_x(const struct svg_panel *panel, double value)
{
    return panel->left + panel->width * share_of(&panel->x, value);
}

static double place_y(const struct svg_panel *panel, double value)
{
    return panel->top + panel->height * (1.0 - share_of(&panel->y, value));
}

static double clamp(const struct svg_axis *axis, double value)
{
    return fmin(fmax(value, axis->min), axis->max);
}

static bool is_on(const struct svg_axis *axis, double value)
{
    return value >= axis->min && value <= axis->max;
}

static void put_ticks(const struct svg_panel *panel, bool is_upright, struct text *out)
{
    const struct svg_axis *axis = is_upright ? &panel->y : &panel->x;
    size_t n;
    const double first = svg_axis_first_tick(axis, &n);

    for (size_t i = 0; i < n; i++) {
        const double value = clamp(axis, first + (double)i * axis->step);
        char label[SVG_TICK_BYTES];
        svg_tick_label(axis, value, label);
        text_puts(out, "<path class=\"grid\" d=\"M");
        if (is_upright) {
            put_pair(out, to_tenths(panel->left), to_tenths(place_y(panel, value)));
            text_printf(out, "h%g\"/>", panel->width);
            put_label(out, "tick-y", panel->left - TICK_PX - 2.0, place_y(panel, value) + 4.0,
                      label, TEXT_SIZE_PX, INFINITY);
        } else {
            put_pair(out, to_tenths(place_x(panel, value)), to_tenths(panel->top));
            text_printf(out, "v%g\"/>", panel->height);
            put_label(out, "tick-x", place_x(panel, value), panel->top + panel->height + 16.0,
                      label, TEXT_SIZE_PX, INFINITY);
        }
    }
}

static void put_axis_labels(const struct svg_panel *panel, struct text *out)
{
    const double x = panel->left + panel->width / 2.0;
    const double y = panel->top + panel->height / 2.0;

    put_label(out, "label-x", x, panel->top + panel->height + 34.0, panel->x.label, TEXT_SIZE_PX,
              panel->width);
    text_printf(out, "<g transform=\"translate(%g %g) rotate(-90)\">", panel->left - 52.0, y);
    put_label(out, "label-y", 0.0, 0.0, panel->y.label, TEXT_SIZE_PX, panel->height);
    text_puts(out, "</g>\n");
}

void svg_panel_begin(const struct svg_panel *panel, struct text *out)
{
    const double room = panel->width + PANEL_RIGHT_PX / 2.0;
    double y = panel->top - PANEL_TOP_PX + 28.0;

    text_puts(out, "<g class=\"panel\">\n");
    put_label(out, "name", panel->left, y, panel->title, NAME_SIZE_PX * BOLD_SHARE, room);
    for (size_t i = 0; i < SVG_N_NOTES; i++) {
        y += NOTE_PX;
        put_label(out, "note", panel->left, y, panel->notes[i], TEXT_SIZE_PX, room);
    }
    put_ticks(panel, false, out);
    put_ticks(panel, true, out);
    put_axis_labels(panel, out);
    text_puts(out, "<path class=\"frame\" d=\"M");
    put_pair(out, to_tenths(panel->left), to_tenths(panel->top));
    text_printf(out, "v%gh%g\"/>\n", panel->height, panel->width);
}

void svg_panel_end(struct text *out)
{
    text_puts(out, "</g>\n");
}

/* ---- what is drawn --------------------------------------------------------------------------- */

/* The pixels of a panel: of each, where in it its first point lies, in tenths: 10 x + y + 1; 0 where
 * there is none. */
struct pixels {
    uint8_t *at; /* (n_columns, n_rows), owned */
    size_t n_columns, n_rows;
    size_t n_points; /* pixels that have one */
};

static void mark_pixels(const struct svg_panel *panel, const double *x, const double *y, size_t n,
                        struct pixels *pixels)
{
    for (size_t i = 0; i < n; i++) {
        uint8_t *pixel;
        size_t tenths_x;
        size_t tenths_y;
        if (!is_on(&panel->x, x[i]) || !is_on(&panel->y, y[i])) { /* NaN neither */
            continue;
        }
        tenths_x = (size_t)to_tenths(place_x(panel, x[i]) - panel->left);
        tenths_y = (size_t)to_tenths(place_y(panel, y[i]) - panel->top);
        pixel = &pixels->at[tenths_x / 10 * pixels->n_rows + tenths_y / 10];
        if (*pixel == 0) {
            *pixel = (uint8_t)(tenths_x % 10 * 10 + tenths_y % 10 + 1);
            pixels->n_points++;
        }
    }
}

/* From column to column, each point by how far it is from the last one: that is the shortest. */
static void put_pixels(const struct svg_panel *panel, const struct pixels *pixels, struct text *out)
{
    int last_x = 0;
    int last_y = 0;
    const char *command = "M";

    for (size_t i = 0; i < pixels->n_columns * pixels->n_rows; i++) {
        if (pixels->at[i] != 0) {
            const int place = pixels->at[i] - 1;
            const int x = to_tenths(panel->left) + (int)(i / pixels->n_rows) * 10 + place / 10;
            const int y = to_tenths(panel->top) + (int)(i % pixels->n_rows) * 10 + place % 10;
            text_puts(out, command);
            put_pair(out, x - last_x, y - last_y);
            text_puts(out, "h0");
            last_x = x;
            last_y = y;
            command = "m";
        }
    }
}

enum err svg_put_points(const struct svg_panel *panel, const char *series, const double *x,
                        const double *y, size_t n, struct text *out, struct error *err)
{
    struct pixels pixels = {
        .n_columns = (size_t)panel->width + 2,
        .n_rows = (size_t)panel->height + 2,
    };
    const char *size;

    pixels.at = mem_calloc(pixels.n_columns, pixels.n_rows);
    if (pixels.at == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a picture");
    }
    mark_pixels(panel, x, y, n, &pixels);
    size = pixels.n_points > VERY_MANY_POINTS ? " most"
           : pixels.n_points > MANY_POINTS    ? " many"
                                              : "";
    if (pixels.n_points > 0) {
        text_printf(out, "<path class=\"" SVG_POINTS " %s%s\" d=\"", series, size);
        put_pixels(panel, &pixels, out);
        text_puts(out, "\"/>\n");
    }
    mem_free(pixels.at);
    return ERR_OK;
}

void svg_put_line(const struct svg_panel *panel, const char *class, const double *x,
                  const double *y, size_t n, struct text *out)
{
    const char *command = "M";

    text_printf(out, "<path class=\"%s\" d=\"", class);
    for (size_t i = 0; i < n; i++) {
        if (svg_is_drawable(x[i]) && svg_is_drawable(y[i])) {
            text_puts(out, command);
            put_pair(out, to_tenths(place_x(panel, clamp(&panel->x, x[i]))),
                     to_tenths(place_y(panel, clamp(&panel->y, y[i]))));
            command = "L";
        }
    }
    text_puts(out, "\"/>\n");
}

void svg_put_bars(const struct svg_panel *panel, const char *series, const double *x,
                  const double *low, const double *high, size_t n, struct text *out)
{
    text_printf(out, "<path class=\"" SVG_BARS " %s\" d=\"", series);
    for (size_t i = 0; i < n; i++) {
        int from;
        int to;
        if (!is_on(&panel->x, x[i]) || !svg_is_drawable(low[i]) || !svg_is_drawable(high[i])) {
            continue;
        }
        from = to_tenths(place_y(panel, clamp(&panel->y, low[i])));
        to = to_tenths(place_y(panel, clamp(&panel->y, high[i])));
        text_puts(out, "M");
        put_pair(out, to_tenths(place_x(panel, x[i])), from);
        text_puts(out, "v");
        put_tenths(out, to - from);
    }
    text_puts(out, "\"/>\n");
}

void svg_put_level_bar(const struct svg_panel *panel, const char *series, double y, double low,
                       double high, struct text *out)
{
    const double x[] = {low, high};
    const double level[] = {y, y};
    char class[64];

    if (is_on(&panel->y, y) && svg_is_drawable(low) && svg_is_drawable(high)) {
        (void)snprintf(class, sizeof class, SVG_BARS " level %.8s", series);
        svg_put_line(panel, class, x, level, 2, out);
    }
}

void svg_put_limit(const struct svg_panel *panel, double x, struct text *out)
{
    int left;
    int right;

    if (!(x < panel->x.max)) {
        return; /* it leaves nothing out of what is seen */
    }
    left = to_tenths(place_x(panel, clamp(&panel->x, x)));
    right = to_tenths(panel->left + panel->width);
    text_puts(out, "<rect class=\"" SVG_BEYOND "\" x=\"");
    put_tenths(out, left);
    text_printf(out, "\" y=\"%g\" width=\"", panel->top);
    put_tenths(out, right - left);
    text_printf(out, "\" height=\"%g\"/>\n", panel->height);
    if (is_on(&panel->x, x)) {
        text_puts(out, "<path class=\"" SVG_LIMIT "\" d=\"M");
        put_pair(out, left, to_tenths(panel->top));
        text_printf(out, "v%g\"/>\n", panel->height);
    }
}

void svg_put_mark(const struct svg_panel *panel, const char *series, double x, double y,
                  bool is_hollow, struct text *out)
{
    char class[64];

    if (is_on(&panel->x, x) && is_on(&panel->y, y)) {
        (void)snprintf(class, sizeof class, SVG_MARK " %.8s%s", series, is_hollow ? " hollow" : "");
        put_circle(out, class, place_x(panel, x), place_y(panel, y));
    }
}

/* Linear axes of charts: what range they show, and where its ticks are. Pure functions,
 * thread-safe. */
#ifndef DGLD_PROTO_SVG_AXIS_H
#define DGLD_PROTO_SVG_AXIS_H

#include <stdbool.h>
#include <stddef.h>

/* Values beyond are drawn no more than those that are not finite: their differences would not be. */
#define SVG_MAX_VALUE 1e300

enum { SVG_TICK_BYTES = 32 };

/* Of values; empty (SVG_NO_RANGE) until some are added. */
struct svg_range {
    double min, max;
};

#define SVG_NO_RANGE ((struct svg_range){1.0, -1.0})

/* Whether a value can be drawn. */
bool svg_is_drawable(double value);

/* Widens the range so that it holds n values; what cannot be drawn is passed over. */
void svg_range_add(struct svg_range *range, const double *values, size_t n);

/* An axis: what it shows is more than nothing, whatever the range was. */
struct svg_axis {
    const char *label; /* borrowed */
    double min, max;
    double step;    /* between ticks, which are its multiples: 1, 2 or 5 times a power of ten */
    int n_decimals; /* of their labels, or -1: they are written with an exponent */
};

/* Makes an axis that shows the range, widened by the share `pad` of it at both ends; where it begins
 * at zero, at the upper end alone. A range of one value, or an empty one, is made one around it.
 * Labels of ticks fit beside each other on `length_px`, or on an upright axis above each other. */
struct svg_axis svg_axis_fit(const char *label, struct svg_range range, double pad,
                             double length_px, bool is_upright);

/* The first multiple of the step on the axis, and how many ticks there are. */
double svg_axis_first_tick(const struct svg_axis *axis, size_t *n_ticks);

/* The label of a tick. */
void svg_tick_label(const struct svg_axis *axis, double value, char out[SVG_TICK_BYTES]);

#endif

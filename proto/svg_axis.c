#include "proto/svg_axis.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#define DIGIT_PX       7.0  /* width of a digit of a label */
#define TICK_GAP_PX    16.0 /* between labels */
#define TICK_HEIGHT_PX 34.0 /* from one label to the next above it */
#define MIN_SHARE      1e-9 /* of the larger end that a range is, so that ticks can be told apart */
#define MIN_RANGE      1e-290
#define POINT_SHARE    0.03 /* of a value on either side of it, where it is all there is */

enum { MAX_DECIMALS = 6, MAX_DIGITS = 15, MAX_WHOLE_DIGITS = 6 };

bool svg_is_drawable(double value)
{
    return fabs(value) <= SVG_MAX_VALUE; /* no NaN is */
}

void svg_range_add(struct svg_range *range, const double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (!svg_is_drawable(values[i])) {
            continue;
        }
        if (!(range->min <= range->max)) {
            *range = (struct svg_range){values[i], values[i]};
        }
        range->min = fmin(range->min, values[i]);
        range->max = fmax(range->max, values[i]);
    }
}

/* What is shown: more than a point, with the pad. */
static struct svg_range widen(struct svg_range range, double pad)
{
    const bool is_from_zero = range.min == 0.0;
    double size;
    double more;

    if (!(range.min <= range.max)) {
        return (struct svg_range){0.0, 1.0};
    }
    size = fmax(fabs(range.min), fabs(range.max));
    more = (range.max - range.min) * pad;
    if (range.max - range.min <= fmax(size * MIN_SHARE, MIN_RANGE)) {
        more = size > MIN_RANGE ? size * POINT_SHARE : 1.0;
    }
    return (struct svg_range){is_from_zero && more < size ? 0.0 : range.min - more,
                              range.max + more};
}

/* How many digits stand before the point of the larger end. */
static int whole_digits(const struct svg_axis *axis)
{
    const double size = fmax(fabs(axis->min), fabs(axis->max));

    return size >= 1.0 ? (int)floor(log10(size)) + 1 : 1;
}

/* Chooses the step 1, 2 or 5 (by `rank` % 3) times the power of ten of rank / 3. */
static void set_step(struct svg_axis *axis, int rank)
{
    static const double mantissas[] = {1.0, 2.0, 5.0};
    const int place = rank >= 0 ? rank / 3 : -((2 - rank) / 3);

    axis->step = mantissas[rank - 3 * place] * pow(10.0, place);
    axis->n_decimals = place < 0 ? -place : 0;
    if (axis->n_decimals > MAX_DECIMALS || whole_digits(axis) > MAX_WHOLE_DIGITS) {
        axis->n_decimals = -1;
    }
}

/* Between ticks, in pixels, that their labels do not touch. */
static double tick_px(const struct svg_axis *axis, bool is_upright)
{
    char low[SVG_TICK_BYTES];
    char high[SVG_TICK_BYTES];
    size_t n_digits;

    if (is_upright) {
        return TICK_HEIGHT_PX;
    }
    svg_tick_label(axis, axis->min, low);
    svg_tick_label(axis, axis->max, high);
    n_digits = strlen(low) > strlen(high) ? strlen(low) : strlen(high);
    return (double)n_digits * DIGIT_PX + TICK_GAP_PX;
}

struct svg_axis svg_axis_fit(const char *label, struct svg_range range, double pad,
                             double length_px, bool is_upright)
{
    const struct svg_range shown = widen(range, pad);
    const double size = shown.max - shown.min;
    struct svg_axis axis = {.label = label, .min = shown.min, .max = shown.max};
    int rank = 3 * ((int)floor(log10(size)) - 2); /* surely too fine, or nearly so */

    do {
        set_step(&axis, rank++);
    } while (length_px * axis.step < tick_px(&axis, is_upright) * size && axis.step < size);
    return axis;
}

double svg_axis_first_tick(const struct svg_axis *axis, size_t *n_ticks)
{
    const double first = ceil(axis->min / axis->step - 1e-6);
    const double last = floor(axis->max / axis->step + 1e-6);

    *n_ticks = last >= first ? (size_t)(last - first) + 1 : 0;
    return first * axis->step;
}

void svg_tick_label(const struct svg_axis *axis, double value, char out[SVG_TICK_BYTES])
{
    const double size = fmax(fabs(axis->min), fabs(axis->max));
    const double shown = fabs(value) < axis->step * 1e-3 ? 0.0 : value; /* no "-0" */

    if (axis->n_decimals >= 0) {
        (void)snprintf(out, SVG_TICK_BYTES, "%.*f", axis->n_decimals, shown);
    } else {
        const int n_digits = (int)ceil(log10(size) - log10(axis->step) + 1e-9) + 1;
        (void)snprintf(out, SVG_TICK_BYTES, "%.*g",
                       n_digits < 1            ? 1
                       : n_digits > MAX_DIGITS ? MAX_DIGITS
                                               : n_digits,
                       shown);
    }
}

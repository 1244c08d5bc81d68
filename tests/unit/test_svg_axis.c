/* proto/svg_axis.h: what axes show, and their ticks. */
#include <float.h>

#include "proto/svg_axis.h"
#include "tests/support/check.h"

static struct svg_axis fit(double min, double max, double pad, double length_px, bool is_upright)
{
    return svg_axis_fit("x", (struct svg_range){min, max}, pad, length_px, is_upright);
}

/* All labels, parted by blanks. */
static const char *labels(const struct svg_axis *axis)
{
    static char text[2048];
    size_t n;
    const double first = svg_axis_first_tick(axis, &n);
    size_t length = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        char label[SVG_TICK_BYTES];
        svg_tick_label(axis, first + (double)i * axis->step, label);
        length +=
            (size_t)snprintf(text + length, sizeof text - length, "%s%s", i > 0 ? " " : "", label);
        assert_true(length < sizeof text);
    }
    return text;
}

static void ticks_are_round_and_have_room(void **state)
{
    static const struct {
        double min, max, length_px;
        bool is_upright;
        const char *expected;
    } rows[] = {
        {0,       10,      400, false, "0 1 2 3 4 5 6 7 8 9 10"                   },
        {0,       10,      200, false, "0 2 4 6 8 10"                             },
        {0,       10,      400, true,  "0 1 2 3 4 5 6 7 8 9 10"                   },
        {0,       10,      100, true,  "0 5 10"                                   },
        {-1,      1,       300, false, "-1.0 -0.5 0.0 0.5 1.0"                    },
        {93.2,    94.4,    300, true,  "93.2 93.4 93.6 93.8 94.0 94.2 94.4"       },
        {0.0012,  0.0034,  300, false, "0.0015 0.0020 0.0025 0.0030"              },
        {120,     4810,    280, false, "1000 2000 3000 4000"                      },
        {1e6,     5e6,     400, false, "1e+06 2e+06 3e+06 4e+06 5e+06"            },
        {0,       3e-9,    400, false, "0 5e-10 1e-09 1.5e-09 2e-09 2.5e-09 3e-09"},
        {1000000, 1000004, 400, false, "1000000 1000001 1000002 1000003 1000004"  },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct svg_axis axis =
            fit(rows[i].min, rows[i].max, 0, rows[i].length_px, rows[i].is_upright);
        assert_near(axis.min, rows[i].min, 0);
        assert_near(axis.max, rows[i].max, 0);
        assert_string_equal(labels(&axis), rows[i].expected);
    }
}

static void a_pad_widens_but_never_below_zero_where_it_begins(void **state)
{
    struct svg_axis axis = fit(10, 20, 0.1, 400, false);
    (void)state;
    assert_near(axis.min, 9, 1e-12);
    assert_near(axis.max, 21, 1e-12);
    axis = fit(0, 20, 0.1, 400, false);
    assert_near(axis.min, 0, 0);
    assert_near(axis.max, 22, 1e-12);
}

/* Whatever the range: the axis shows it and more than nothing, with ticks that can be told apart. */
static void there_is_an_axis_for_every_range(void **state)
{
    static const double ends[][2] = {
        {0,       0       },
        {5,       5       },
        {-5,      -5      },
        {1,       -1      }, /* none */
        {1e300,   1e300   },
        {-1e300,  1e300   },
        {1e300,   1.1e300 },
        {0,       1e-300  },
        {4e-324,  4e-324  },
        {0,       DBL_MIN },
        {1e9,     1e9 + 1 },
        {1e15,    1e15    },
        {1e15,    1e15 + 2},
        {-1e-200, 1e200   },
        {0.1,     0.1     },
        {99.9999, 100     },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(ends); i++) {
        for (int upright = 0; upright < 2; upright++) {
            const struct svg_axis axis = fit(ends[i][0], ends[i][1], 0.03, 300, upright);
            char last[SVG_TICK_BYTES] = "";
            size_t n;
            const double first = svg_axis_first_tick(&axis, &n);
            assert_true(isfinite(axis.min) && isfinite(axis.max) && axis.min < axis.max);
            assert_true(isfinite(axis.max - axis.min) && axis.step > 0);
            if (ends[i][0] <= ends[i][1]) {
                assert_true(axis.min <= ends[i][0] && axis.max >= ends[i][1]);
            }
            assert_in_range(n, 1, 50);
            for (size_t k = 0; k < n; k++) {
                char label[SVG_TICK_BYTES];
                svg_tick_label(&axis, first + (double)k * axis.step, label);
                assert_string_not_equal(label, last);
                (void)snprintf(last, sizeof last, "%s", label);
            }
        }
    }
}

static void what_cannot_be_drawn_widens_nothing(void **state)
{
    static const double values[] = {3, NAN, INFINITY, -INFINITY, 2e300, -2e300, -1, DBL_MAX};
    struct svg_range range = SVG_NO_RANGE;
    (void)state;
    svg_range_add(&range, values + 1, 5);
    assert_true(range.min > range.max);
    svg_range_add(&range, values, COUNT_OF(values));
    assert_near(range.min, -1, 0);
    assert_near(range.max, 3, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(ticks_are_round_and_have_room),
        counted_test(a_pad_widens_but_never_below_zero_where_it_begins),
        counted_test(there_is_an_axis_for_every_range),
        counted_test(what_cannot_be_drawn_widens_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

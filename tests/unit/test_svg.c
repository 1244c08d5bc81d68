/* proto/svg.h: that documents are well-formed whatever they are about, and that everything is where its
 * values say, once, and inside of its panel. */
#include "core/rng.h"
#include "proto/svg.h"
#include "tests/support/xml.h"

enum { N_MOST = 20000 };

static double x[N_MOST];
static double y[N_MOST];

static const struct svg_key keys[] = {
    {SVG_POINTS " s1", "points"},
    {SVG_BARS " s2",   "bars"  },
    {SVG_LIMIT,        "limit" },
    {SVG_MARK " s3",   "mark"  },
};

static struct svg_page make_page(const char *text)
{
    return (struct svg_page){
        .title = text,
        .subtitle = text,
        .description = text,
        .keys = keys,
        .n_keys = COUNT_OF(keys),
        .n_panels = 1,
        .n_columns = 1,
        .plot_width = 400,
        .plot_height = 200,
    };
}

/* Of a page that holds one, with axes from 0 to 100 and 0 to 10. */
static struct svg_panel make_panel(void)
{
    const struct svg_page page = make_page("t");
    struct svg_panel panel = svg_page_panel(&page, 0);

    panel.x = svg_axis_fit("x", (struct svg_range){0, 100}, 0, panel.width, false);
    panel.y = svg_axis_fit("y", (struct svg_range){0, 10}, 0, panel.height, true);
    return panel;
}

/* What stands in the attribute d of the first path of that class. */
static const char *path_of(const struct text *text, const char *class)
{
    char start[64];
    const char *at;

    (void)snprintf(start, sizeof start, "<path class=\"%s\" d=\"", class);
    at = strstr(text->bytes, start);
    assert_non_null(at);
    return at + strlen(start);
}

static void put_points(const struct svg_panel *panel, size_t n, struct text *out)
{
    struct error err = {0};

    assert_ok(svg_put_points(panel, "s1", x, y, n, out, &err), &err);
}

/* ---- documents ------------------------------------------------------------------------------- */

static void put_document(const char *text, struct text *out)
{
    const struct svg_page page = make_page(text);
    struct svg_panel panel = make_panel();
    const double low = 1;
    const double high = 9;

    panel.title = panel.notes[0] = panel.notes[1] = text;
    panel.x.label = panel.y.label = text;
    x[0] = y[0] = 5;
    svg_begin(&page, out);
    svg_panel_begin(&panel, out);
    put_points(&panel, 1, out);
    svg_put_line(&panel, SVG_IDEAL, x, y, 1, out);
    svg_put_bars(&panel, "s1", x, &low, &high, 1, out);
    svg_put_level_bar(&panel, "s1", 5, 20, 90, out);
    svg_put_limit(&panel, 50, out);
    svg_put_mark(&panel, "s2", 50, 5, true, out);
    svg_panel_end(out);
    svg_end(out);
}

static void text_is_escaped_and_what_xml_cannot_hold_replaced(void **state)
{
    static const struct {
        const char *text, *held;
    } rows[] = {
        {"plain",                      ">plain<"                                      },
        {"",                           "<title id=\"title\"></title>"                 },
        {"a<b & \"c\" 'd' >",          ">a&lt;b &amp; &quot;c&quot; &#39;d&#39; &gt;<"},
        {"</title><script>x</script>", "&lt;/title&gt;&lt;script&gt;x&lt;/script&gt;" },
        {"]]>",                        ">]]&gt;<"                                     },
        {"Ä 日本 \xf0\x9f\x93\xb1", ">Ä 日本 \xf0\x9f\x93\xb1<"                 },
        {"a\x01\x1f\x7f\tb",           ">a\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"
                             "b<"                         },
        {"a\xff\xc3"
         "b",                 ">a\xef\xbf\xbd\xef\xbf\xbd"
         "b<"                                                   },
        {"a\xef\xbf\xbe\xef\xbf\xbf",  ">a\xef\xbf\xbd\xef\xbf\xbd<"                  },
        {"\xed\xa0\x80",               ">\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd<"       },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text text = {0};
        put_document(rows[i].text, &text);
        assert_false(text.has_failed);
        assert_well_formed(text.bytes);
        assert_contains(text.bytes, rows[i].held);
        assert_null(strstr(text.bytes, "<script"));
        text_close(&text);
    }
}

static void a_document_tells_what_it_is_and_names_nothing_outside(void **state)
{
    struct text text = {0};
    (void)state;
    put_document("T", &text);
    assert_contains(text.bytes, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"486\" ");
    assert_contains(text.bytes, "role=\"img\" aria-labelledby=\"title description\"");
    assert_contains(text.bytes, "<desc id=\"description\">T</desc>");
    assert_contains(text.bytes, "@media(prefers-color-scheme:dark)");
    assert_int_equal(count_phrase(text.bytes, "http"), 1);
    assert_null(strstr(text.bytes, "href"));
    assert_null(strstr(text.bytes, "url("));
    assert_null(strstr(text.bytes, "@import"));
    text_close(&text);
}

static void long_text_is_cut_between_characters(void **state)
{
    char words[2000] = "";
    struct text text = {0};
    (void)state;
    for (size_t i = 0; i < 300; i++) {
        (void)snprintf(words + strlen(words), sizeof words - strlen(words), "%s", "ä€");
    }
    put_document(words, &text);
    assert_well_formed(text.bytes);
    /* whole as title and description of the document alone */
    assert_int_equal(count_phrase(text.bytes, words), 2);
    assert_true(count_phrase(text.bytes, "\xe2\x80\xa6</text>") >= 6);
    assert_in_range(text.size, 1, 12000);
    text_close(&text);
}

static void keys_fill_lines_and_panels_rows(void **state)
{
    struct svg_page page = make_page("t");
    struct svg_key many[12];
    struct svg_panel panels[5];
    struct text text = {0};
    double width = 0;
    double height = 0;
    (void)state;
    for (size_t i = 0; i < COUNT_OF(many); i++) {
        many[i] = (struct svg_key){SVG_LINE " s1", "what this line stands for"};
    }
    page.keys = many;
    page.n_keys = COUNT_OF(many);
    page.n_panels = COUNT_OF(panels);
    page.n_columns = 2;
    svg_begin(&page, &text);
    assert_int_equal(
        sscanf(strstr(text.bytes, " width="), " width=\"%lf\" height=\"%lf\"", &width, &height), 2);
    for (const char *at = text.bytes; (at = strstr(at, "class=\"key\" x=\"")) != NULL; at++) {
        const double left = strtod(at + strlen("class=\"key\" x=\""), NULL);
        assert_true(left > 0 && left + 25 * 6.5 < width);
    }
    for (size_t i = 0; i < COUNT_OF(panels); i++) {
        panels[i] = svg_page_panel(&page, i);
        assert_true(panels[i].left > 0 && panels[i].left + panels[i].width < width);
        assert_true(panels[i].top > 0 && panels[i].top + panels[i].height < height);
        assert_true(i < 2 || panels[i].top > panels[i - 2].top + panels[i - 2].height);
        assert_true(i % 2 == 0 || panels[i].left > panels[i - 1].left + panels[i - 1].width);
    }
    text_close(&text);
}

/* ---- places ---------------------------------------------------------------------------------- */

static void points_are_where_their_values_say(void **state)
{
    static double dots[2 * 101];
    const struct svg_panel panel = make_panel();
    struct text text = {0};
    (void)state;
    for (size_t i = 0; i <= 100; i++) { /* from the left bottom to the right top */
        x[i] = (double)i;
        y[i] = (double)i / 10;
    }
    put_points(&panel, 101, &text);
    assert_int_equal(read_dots(path_of(&text, "points s1"), dots, 101), 101);
    for (size_t i = 0; i <= 100; i++) {
        assert_near(dots[2 * i], panel.left + 4.0 * (double)i, 0.051);
        assert_near(dots[2 * i + 1], panel.top + 200.0 - 2.0 * (double)i, 0.051);
    }
    text_close(&text);
}

static void a_pixel_is_drawn_once_and_what_is_no_number_not_at_all(void **state)
{
    static const double values[][2] = {
        {50,    5       },
        {50,    5.001   }, /* the same pixel */
        {50.1,  5       }, /* likewise */
        {50,    7       },
        {NAN,   5       },
        {50,    INFINITY},
        {1e300, 1e300   },
        {101,   5       }, /* beyond the axes */
        {50,    -0.1    },
        {0,     0       }, /* their ends are on them */
        {100,   10      },
    };
    double dots[2 * 8];
    const struct svg_panel panel = make_panel();
    struct text text = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        x[i] = values[i][0];
        y[i] = values[i][1];
    }
    put_points(&panel, COUNT_OF(values), &text);
    assert_int_equal(read_dots(path_of(&text, "points s1"), dots, 8), 4);
    assert_near(dots[0], panel.left, 0.051);
    assert_near(dots[6], panel.left + panel.width, 0.051);
    text_close(&text);
    x[0] = NAN;
    put_points(&panel, 1, &text);
    assert_int_equal(text.size, 0);
}

static void dots_are_the_finer_the_more_they_are(void **state)
{
    static const struct {
        size_t n;
        const char *class;
    } rows[] = {
        {1,    "points s1\""     },
        {400,  "points s1\""     },
        {401,  "points s1 many\""},
        {3001, "points s1 most\""},
    };
    const struct svg_panel panel = make_panel();
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct text text = {0};
        for (size_t k = 0; k < rows[i].n; k++) { /* each in a pixel of its own */
            x[k] = (double)(k % 400) / 4;
            y[k] = (double)(k / 400) / 4;
        }
        put_points(&panel, rows[i].n, &text);
        assert_contains(text.bytes, rows[i].class);
        text_close(&text);
    }
}

static void lines_and_bars_end_at_the_axes(void **state)
{
    static const double at[] = {10, 20, 30, 120, 40};
    static const double low[] = {2, -5, NAN, 1, 11};
    static const double high[] = {4, 50, 5, 2, 12};
    const struct svg_panel panel = make_panel();
    char expected[128];
    struct text text = {0};
    (void)state;
    svg_put_bars(&panel, "s1", at, low, high, COUNT_OF(at), &text);
    /* 20 pixels a unit, upwards */
    (void)snprintf(expected, sizeof expected, "M%g %gv-40M%g %gv-200M%g %gv0\"", panel.left + 40,
                   panel.top + 160, panel.left + 80, panel.top + 200, panel.left + 160, panel.top);
    assert_contains(path_of(&text, "bars s1"), expected);
    text_close(&text);
    svg_put_line(&panel, SVG_IDEAL, (double[]){-50, NAN, 50, 1e300}, (double[]){5, 5, 20, -1e300},
                 4, &text);
    (void)snprintf(expected, sizeof expected, "M%g %gL%g %gL%g %g\"", panel.left, panel.top + 100,
                   panel.left + 200, panel.top, panel.left + 400, panel.top + 200);
    assert_contains(path_of(&text, SVG_IDEAL), expected);
    text_close(&text);
}

static void a_limit_shades_what_is_beyond(void **state)
{
    static const struct {
        double limit, shaded_from; /* shaded_from < 0: nothing */
        bool has_line;
    } rows[] = {
        {25,       25, true },
        {0,        0,  true },
        {-1e300,   0,  false},
        {100,      -1, false},
        {1e300,    -1, false},
        {INFINITY, -1, false},
        {NAN,      -1, false},
    };
    const struct svg_panel panel = make_panel();
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char expected[128];
        struct text text = {0};
        text_puts(&text, " ");
        svg_put_limit(&panel, rows[i].limit, &text);
        assert_int_equal(strstr(text.bytes, "class=\"limit\"") != NULL, rows[i].has_line);
        (void)snprintf(expected, sizeof expected, "class=\"beyond\" x=\"%g\" y=\"%g\" width=\"%g\"",
                       panel.left + 4 * rows[i].shaded_from, panel.top,
                       400 - 4 * rows[i].shaded_from);
        assert_int_equal(strstr(text.bytes, expected) != NULL, rows[i].shaded_from >= 0);
        text_close(&text);
    }
}

static void marks_outside_are_not_drawn(void **state)
{
    const struct svg_panel panel = make_panel();
    char expected[64];
    struct text text = {0};
    (void)state;
    text_puts(&text, "");
    svg_put_mark(&panel, "s2", 101, 5, false, &text);
    svg_put_mark(&panel, "s2", 50, NAN, false, &text);
    svg_put_level_bar(&panel, "s2", 11, 1, 2, &text);
    svg_put_level_bar(&panel, "s2", 5, NAN, 2, &text);
    assert_int_equal(text.size, 0);
    svg_put_mark(&panel, "s2", 50, 5, false, &text);
    (void)snprintf(expected, sizeof expected, "class=\"mark s2\" cx=\"%g\" cy=\"%g\"",
                   panel.left + 200, panel.top + 100);
    assert_contains(text.bytes, expected);
    text_close(&text);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void many_points_are_few_bytes_each(void **state)
{
    const struct svg_panel panel = make_panel();
    struct text text = {0};
    struct rng rng;
    (void)state;
    rng_init(&rng, 3);
    for (size_t i = 0; i < 15625; i++) {
        x[i] = 100 * rng_uniform(&rng);
        y[i] = 10 * rng_uniform(&rng);
    }
    put_points(&panel, 15625, &text);
    assert_in_range(text.size, 15625, 10 * 15625);
    text_close(&text);
}

static enum err put_some(void *context, struct error *err)
{
    const struct svg_panel panel = make_panel();
    struct text *text = context;
    enum err rc;

    x[0] = y[0] = 5;
    rc = svg_put_points(&panel, "s1", x, y, 1, text, err);
    rc = rc == ERR_OK && text->has_failed ? error_set(err, ERR_NOMEM, "no memory") : rc;
    text_close(text);
    return rc;
}

static void running_out_of_memory_is_told(void **state)
{
    struct text text = {0};
    (void)state;
    fail_each_allocation(put_some, &text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(text_is_escaped_and_what_xml_cannot_hold_replaced),
        counted_test(a_document_tells_what_it_is_and_names_nothing_outside),
        counted_test(long_text_is_cut_between_characters),
        counted_test(keys_fill_lines_and_panels_rows),
        counted_test(points_are_where_their_values_say),
        counted_test(a_pixel_is_drawn_once_and_what_is_no_number_not_at_all),
        counted_test(dots_are_the_finer_the_more_they_are),
        counted_test(lines_and_bars_end_at_the_axes),
        counted_test(a_limit_shades_what_is_beyond),
        counted_test(marks_outside_are_not_drawn),
        counted_test(many_points_are_few_bytes_each),
        counted_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

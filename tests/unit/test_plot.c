/* proto/plot_test.h, proto/plot_search.h: what is drawn of which report, and that any report gives a
 * document. */
#include "core/rng.h"
#include "proto/plot_search.h"
#include "proto/plot_test.h"
#include "tests/support/xml.h"

enum { MOST_DOTS = 40000 };

static double dots[2 * MOST_DOTS];

/* What stands in the attribute d of the first path behind `from` whose class begins so. */
static const char *path_behind(const char *from, const char *class)
{
    char start[64];
    const char *at;

    (void)snprintf(start, sizeof start, "<path class=\"%s", class);
    at = strstr(from, start);
    assert_non_null(at);
    at = strstr(at, " d=\"");
    return at + strlen(" d=\"");
}

static size_t count_dots(const char *from, const char *class)
{
    return read_dots(path_behind(from, class), dots, MOST_DOTS);
}

/* ---- tests ----------------------------------------------------------------------------------- */

enum { MOST_DEVICES = 30, MOST_ROWS = 3000 };

static struct device_report devices[MOST_DEVICES];
static struct test_point points[MOST_ROWS];

/* n rows on a line, every tenth of which calibrates where any do. */
static struct test_report make_test(size_t n_devices, size_t n, size_t n_calibrate)
{
    for (size_t i = 0; i < n; i++) {
        const double ms = 1.0 + (double)i;
        points[i] = (struct test_point){ms, ms * 1.1, ms, ms * 1.2, n_calibrate == 0 || i % 10 > 0};
    }
    for (size_t d = 0; d < n_devices; d++) {
        devices[d] = (struct device_report){
            .metrics = {.n = n, .r = 0.98765, .rmse = 12.34, .mae = 10.01},
            .covered = 0.5,
            .points = d < TEST_DRAWN_DEVICES ? points : NULL,
        };
        (void)snprintf(devices[d].name, sizeof devices[d].name, "Device <%zu>", d);
    }
    return (struct test_report){
        .space = &space_nasbench201,
        .predictor = "cost",
        .n_calibrate = n_calibrate,
        .devices = devices,
        .n_devices = n_devices,
        .n_rows = n,
        .level = 0.9,
        .n_points = n,
    };
}

static void draw_test(const struct test_report *report, struct text *out)
{
    struct error err = {0};

    assert_ok(plot_test(report, out, &err), &err);
    assert_well_formed(out->bytes);
}

static void a_test_is_drawn_device_by_device_with_its_figures(void **state)
{
    const struct test_report report = make_test(3, 200, 0);
    struct text text = {0};
    const char *panel;
    (void)state;
    draw_test(&report, &text);
    assert_int_equal(count_phrase(text.bytes, "<g class=\"panel\">"), 3);
    assert_int_equal(count_phrase(text.bytes, ">R 0.9877, RMSE 12.34 ms, MAE 10.01 ms<"), 3);
    assert_int_equal(count_phrase(text.bytes, ">200 rows, 50.0 % in their 90 % interval<"), 3);
    assert_contains(text.bytes,
                    ">predictor cost, seen and unseen architectures, unseen devices, no "
                    "measurement<");
    assert_contains(text.bytes, " Device &lt;2&gt;: R 0.9877, RMSE 12.34 ms, MAE 10.01 ms over 200 "
                                "rows.</desc>");
    panel = strstr(text.bytes, "<g class=\"panel\">");
    assert_int_equal(count_dots(panel, "points s1"), 200);
    assert_null(strstr(text.bytes, "points s2"));
    assert_null(strstr(text.bytes, "calibrates"));
    assert_non_null(path_behind(panel, "ideal"));
    text_close(&text);
}

static void rows_that_calibrate_are_told_from_those_that_are_scored(void **state)
{
    const struct test_report report = make_test(1, 200, 20);
    struct text text = {0};
    const char *panel;
    (void)state;
    draw_test(&report, &text);
    panel = strstr(text.bytes, "<g class=\"panel\">");
    assert_int_equal(count_dots(panel, "points s1"), 180);
    assert_int_equal(count_dots(panel, "points s2"), 20);
    assert_contains(text.bytes, "20 measurements each<");
    assert_contains(text.bytes, ">calibrates, not scored<");
    text_close(&text);
}

/* The diagonal is at the same place whatever is predicted: axes are the same, and begin at zero. */
static void the_ideal_is_the_diagonal(void **state)
{
    const struct test_report report = make_test(1, 50, 0);
    struct text text = {0};
    const char *frame;
    double ends[4];
    double corner[2];
    double size[2];
    (void)state;
    draw_test(&report, &text);
    frame = path_behind(text.bytes, "frame");
    assert_int_equal(sscanf(frame, "M%lf %lfv%lfh%lf", &corner[0], &corner[1], &size[1], &size[0]),
                     4);
    assert_int_equal(sscanf(path_behind(frame, "ideal"), "M%lf %lfL%lf %lf", &ends[0], &ends[1],
                            &ends[2], &ends[3]),
                     4);
    assert_near(ends[0], corner[0], 0);
    assert_near(ends[1], corner[1] + size[1], 0);
    assert_near(ends[2], corner[0] + size[0], 0);
    assert_near(ends[3], corner[1], 0);
    text_close(&text);
}

static void many_devices_and_rows_are_a_bounded_picture(void **state)
{
    struct test_report report = make_test(MOST_DEVICES, TEST_DRAWN_POINTS / TEST_DRAWN_DEVICES, 0);
    struct text text = {0};
    struct rng rng;
    (void)state;
    rng_init(&rng, 1);
    for (size_t i = 0; i < report.n_points; i++) { /* as far from each other as they can be */
        points[i].measured_ms = rng_uniform(&rng);
        points[i].predicted_ms = rng_uniform(&rng);
    }
    report.n_rows = 100000;
    draw_test(&report, &text);
    assert_int_equal(count_phrase(text.bytes, "<g class=\"panel\">"), TEST_DRAWN_DEVICES);
    assert_contains(text.bytes, "; 24 of 30 devices; 2730 of 100000 rows drawn<");
    assert_in_range(text.size, 1, 1000000);
    text_close(&text);
}

static void figures_that_are_not_defined_are_told_so(void **state)
{
    struct test_report report = make_test(1, 1, 0);
    struct text text = {0};
    (void)state;
    devices[0].metrics.r = NAN;
    points[0] = (struct test_point){NAN, INFINITY, NAN, NAN, true};
    draw_test(&report, &text);
    assert_contains(text.bytes, ">R none, RMSE");
    assert_null(strstr(text.bytes, "nan"));
    assert_null(strstr(text.bytes, "inf<"));
    text_close(&text);
}

static enum err try_test(void *context, struct error *err)
{
    struct text text = {0};
    enum err rc = plot_test(context, &text, err);

    text_close(&text);
    return rc;
}

/* ---- searches -------------------------------------------------------------------------------- */

struct fixture {
    struct job_nas_params params;
    struct search_report report;
};

/* n networks of 50 to 60 %, their latencies 100 ms and more times the target's number from 1. */
static void make_search(struct fixture *f, size_t n_targets, size_t n)
{
    struct error err = {0};

    memset(f, 0, sizeof *f);
    f->params.n_targets = n_targets;
    f->report = (struct search_report){
        .space = &space_nasbench201,
        .params = &f->params,
        .method = SEARCH_EXHAUSTIVE,
        .level = 0.9,
        .is_feasible = true,
        .found = {.genes = {4, 4, 4, 2, 4, 4}, .accuracy = 55},
        .n_evaluated = n,
    };
    search_sample_init(&f->report.looked_at, n_targets);
    for (size_t t = 0; t < n_targets; t++) {
        const double scale = (double)(t + 1);
        (void)snprintf(f->report.sheets[t].name, sizeof f->report.sheets[t].name, "Phone %zu", t);
        f->params.targets[t].latency_constraint_ms = 160 * scale;
        f->report.found.latency_ms[t] = 150 * scale;
        f->report.found.low_ms[t] = 140 * scale;
        f->report.found.high_ms[t] = 165 * scale;
    }
    for (size_t i = 0; i < n; i++) {
        double latency_ms[JOB_MAX_TARGETS];
        for (size_t t = 0; t < n_targets; t++) {
            latency_ms[t] = (double)(t + 1) * (100.0 + 100.0 * (double)i / (double)n);
        }
        assert_ok(search_sample_add(&f->report.looked_at, 50.0 + 10.0 * (double)i / (double)n,
                                    latency_ms, &err),
                  &err);
    }
}

static void draw_search(const struct fixture *f, struct text *out)
{
    struct error err = {0};

    assert_ok(plot_search(&f->report, out, &err), &err);
    assert_well_formed(out->bytes);
}

static void a_search_is_drawn_target_by_target_with_limit_front_and_network(void **state)
{
    struct fixture f;
    struct text text = {0};
    (void)state;
    make_search(&f, 3, 100);
    draw_search(&f, &text);
    assert_int_equal(count_phrase(text.bytes, "<g class=\"panel\">"), 3);
    for (const char *at = text.bytes; (at = strstr(at, "<g class=\"panel\">")) != NULL; at++) {
        assert_int_equal(count_dots(at, "points s1"), 100);
        assert_non_null(path_behind(at, "line s3"));
        assert_non_null(path_behind(at, "limit"));
        assert_non_null(strstr(at, "<circle class=\"mark s2\""));
    }
    assert_contains(text.bytes, ">nasbench201: 100 architectures looked at, exhaustive<");
    assert_contains(text.bytes, ">found 55 %: |");
    assert_contains(text.bytes, ">found: 300 ms, 90 % interval 280 to 330<");
    assert_contains(text.bytes, ">limit: 320 ms<");
    assert_contains(text.bytes, " On Phone 2: 450 ms, limit 480 ms.</desc>");
    search_report_close(&f.report);
    text_close(&text);
}

static void without_a_network_the_nearest_is_marked_or_nothing(void **state)
{
    struct fixture f;
    struct text text = {0};
    (void)state;
    make_search(&f, 1, 50);
    f.report.is_feasible = false;
    f.report.has_fastest = true;
    f.report.fastest = f.report.found;
    f.params.targets[0].latency_constraint_ms = 1;
    draw_search(&f, &text);
    assert_contains(text.bytes, "nothing keeps the limits; nearest 55 %: |");
    assert_contains(text.bytes, "<circle class=\"mark s2 hollow\"");
    text_close(&text);
    f.report.has_fastest = false;
    draw_search(&f, &text);
    assert_contains(text.bytes, ">nothing was found<");
    assert_null(strstr(text.bytes, "<circle"));
    search_report_close(&f.report);
    text_close(&text);
}

static void a_limit_that_is_far_off_leaves_the_axis_to_the_networks(void **state)
{
    struct fixture f;
    struct text text = {0};
    (void)state;
    make_search(&f, 1, 50);
    f.params.targets[0].latency_constraint_ms = 1e9;
    draw_search(&f, &text);
    assert_contains(text.bytes, ">limit: 1e+09 ms<");
    assert_contains(text.bytes, ">180</text>"); /* a tick */
    assert_null(strstr(strstr(text.bytes, "<g class=\"panel\">"), "class=\"limit\""));
    search_report_close(&f.report);
    text_close(&text);
}

static void a_front_that_was_asked_for_is_the_reports(void **state)
{
    struct fixture f;
    struct search_point *front = mem_calloc(2, sizeof *front);
    struct text text = {0};
    double x[4];
    double y[4];
    (void)state;
    make_search(&f, 1, 50);
    f.params.objective = SEARCH_PARETO;
    front[0].latency_ms = 120;
    front[0].accuracy = 52;
    front[1].latency_ms = 160;
    front[1].accuracy = 58;
    f.report.front = front;
    f.report.n_front = 2;
    draw_search(&f, &text);
    assert_int_equal(sscanf(path_behind(strstr(text.bytes, "<g class=\"panel\">"), "line s3"),
                            "M%lf %lfL%lf %lfL%lf %lfL%lf %lf\"", &x[0], &y[0], &x[1], &y[1], &x[2],
                            &y[2], &x[3], &y[3]),
                     8);
    assert_true(x[0] < x[1] && x[1] == x[2] && x[2] < x[3]); /* steps, to the right edge */
    assert_true(y[0] == y[1] && y[1] > y[2] && y[2] == y[3]);
    search_report_close(&f.report);
    text_close(&text);
}

/* Where a few are far less accurate than the others, these have the axis; how many it are is told. */
static void what_is_far_less_accurate_is_left_out_and_counted(void **state)
{
    struct fixture f;
    struct text text = {0};
    (void)state;
    make_search(&f, 1, 300);
    for (size_t i = 0; i < 15; i++) {
        f.report.looked_at.accuracy[i * 20] = 1;
    }
    draw_search(&f, &text);
    assert_contains(text.bytes, ">looked at (30 of less accuracy lie below)<");
    assert_int_equal(count_dots(strstr(text.bytes, "<g class=\"panel\">"), "points s1"), 270);
    text_close(&text);
    f.report.found.accuracy = 1; /* the network is never left out */
    draw_search(&f, &text);
    assert_contains(text.bytes, ">looked at<");
    assert_contains(text.bytes, "<circle class=\"mark s2\"");
    search_report_close(&f.report);
    text_close(&text);
}

static void any_number_of_networks_and_targets_is_a_bounded_picture(void **state)
{
    static const size_t rows[][2] = {
        {1,               0    },
        {1,               1    },
        {JOB_MAX_TARGETS, 0    },
        {JOB_MAX_TARGETS, 20000},
        {4,               15625},
        {1,               40000}, /* not all are kept: there is no front of them */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct fixture f;
        struct text text = {0};
        struct rng rng;
        make_search(&f, rows[i][0], rows[i][1]);
        rng_init(&rng, i);
        for (size_t k = 0; k < f.report.looked_at.n; k++) {
            f.report.looked_at.accuracy[k] = rng_uniform(&rng);
        }
        draw_search(&f, &text);
        assert_int_equal(count_phrase(text.bytes, "<g class=\"panel\">"), rows[i][0]);
        assert_in_range(text.size, 1, 1000000);
        assert_int_equal(strstr(text.bytes, ">front<") != NULL, rows[i][1] < 40000);
        search_report_close(&f.report);
        text_close(&text);
    }
}

static enum err try_search(void *context, struct error *err)
{
    struct text text = {0};
    enum err rc = plot_search(context, &text, err);

    text_close(&text);
    return rc;
}

static void running_out_of_memory_is_told(void **state)
{
    struct test_report report = make_test(1, 10, 2);
    struct fixture f;
    (void)state;
    fail_each_allocation(try_test, &report);
    make_search(&f, 2, 10);
    fail_each_allocation(try_search, &f.report);
    search_report_close(&f.report);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_test_is_drawn_device_by_device_with_its_figures),
        counted_test(rows_that_calibrate_are_told_from_those_that_are_scored),
        counted_test(the_ideal_is_the_diagonal),
        counted_test(many_devices_and_rows_are_a_bounded_picture),
        counted_test(figures_that_are_not_defined_are_told_so),
        counted_test(a_search_is_drawn_target_by_target_with_limit_front_and_network),
        counted_test(without_a_network_the_nearest_is_marked_or_nothing),
        counted_test(a_limit_that_is_far_off_leaves_the_axis_to_the_networks),
        counted_test(a_front_that_was_asked_for_is_the_reports),
        counted_test(what_is_far_less_accurate_is_left_out_and_counted),
        counted_test(any_number_of_networks_and_targets_is_a_bounded_picture),
        counted_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

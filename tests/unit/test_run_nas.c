/* server/run_nas.h: that what is found is what a look at every architecture finds, that limits of every
 * kind are kept, what a search tells on its way, and the report as JSON. */
#include <jansson.h>

#include "core/interval.h"
#include "core/matrix.h"
#include "core/search_pareto.h"
#include "server/run_nas.h"
#include "tests/support/cells.h"
#include "tests/support/deviations.h"
#include "tests/support/library.h"

enum { N_GENES = 6 };

#define A10S    ((struct hardware){2, 3, 1, 7.46})
#define MATE_20 ((struct hardware){2.2, 10, 4, 34.1})

/* ---- what is searched ------------------------------------------------------------------------ */

struct fixture {
    const struct space *space;
    struct data_tree tree;
    struct model model;
    struct accuracy_known *known;
    struct job_nas_params params;
    struct device_sheet sheets[JOB_MAX_TARGETS];
    /* nasbench201: of every cell, by its rank */
    double a[N_CELLS], sd[N_CELLS], accuracy[N_CELLS];
    double macs[N_CELLS], n_params[N_CELLS];
};

static struct fixture fixture;

/* The shipped predictor of latencies; accuracies of the data path, or where there are none, shipped. */
static struct fixture *begin(const struct space *space, const char *data_path)
{
    struct fixture *f = &fixture;
    struct error err = {0};
    char path[PATH_BYTES];

    memset(f, 0, sizeof *f);
    f->space = space;
    assert_ok(data_tree_init(&f->tree, ".", data_path, &err), &err);
    assert_ok(model_store_path(".", space, path, &err), &err);
    assert_ok(model_store_load(path, space, &f->model, NULL, &err), &err);
    assert_ok(accuracy_cache_acquire(NULL, &f->tree, space, &f->known, &err), &err);
    f->params.population_size = 100;
    f->params.generations = 100;
    f->params.crossover_rate = 2;
    f->params.mutation_rate = 0.05;
    return f;
}

static void end(struct fixture *f)
{
    accuracy_cache_release(NULL, f->known);
    model_close(&f->model);
}

static void add_target(struct fixture *f, const char *name, struct hardware hardware,
                       double limit_ms)
{
    const size_t i = f->params.n_targets++;

    (void)snprintf(f->sheets[i].name, sizeof f->sheets[i].name, "%s", name);
    f->sheets[i].hardware = hardware;
    f->params.targets[i].latency_constraint_ms = limit_ms;
}

static const struct job_nas_params *only_target(struct fixture *f, struct hardware hardware,
                                                double limit_ms)
{
    f->params.n_targets = 0;
    add_target(f, "A", hardware, limit_ms);
    return &f->params;
}

/* All that is known of all cells; those that cannot be searched have no accuracy. */
static void look_at_all(struct fixture *f)
{
    struct error err = {0};

    list_cells();
    assert_ok(predictor_predict(f->model.predictor, cells, N_CELLS, f->a, f->sd, &err), &err);
    assert_ok(accuracy_source_predict(&f->known->source, cells, N_CELLS, f->accuracy, &err), &err);
    for (size_t i = 0; i < N_CELLS; i++) {
        struct cost cost = {0};
        assert_ok(space_count(f->space, cells + i * N_GENES, &cost, &err), &err);
        f->macs[i] = (double)cost_total_macs(&cost);
        f->n_params[i] = (double)cost.params;
    }
}

static double latency_of(const struct fixture *f, size_t cell, size_t target)
{
    return f->a[cell] * hardware_factor(&f->sheets[target].hardware);
}

/* The bound that has to keep the limit. */
static double held_of(const struct fixture *f, size_t cell, size_t target)
{
    const double latency_ms = latency_of(f, cell, target);
    const double spread = interval_spread(f->space, f->a[cell], f->sd[cell]);
    double low_ms;
    double high_ms;

    if (f->params.confidence <= 0) {
        return latency_ms;
    }
    interval_bounds(&latency_ms, &spread, 1, f->params.confidence, &low_ms, &high_ms);
    return high_ms;
}

static bool keeps_limits(const struct fixture *f, size_t cell)
{
    for (size_t t = 0; t < f->params.n_targets; t++) {
        const double limit_ms = f->params.targets[t].latency_constraint_ms;
        if (limit_ms > 0 && held_of(f, cell, t) > limit_ms) {
            return false;
        }
    }
    return !isnan(f->accuracy[cell]) &&
           (f->params.macs_max <= 0 || f->macs[cell] <= f->params.macs_max) &&
           (f->params.params_max <= 0 || f->n_params[cell] <= f->params.params_max);
}

/* The highest accuracy within the limits; NaN where nothing keeps them. */
static double best_accuracy(const struct fixture *f)
{
    double best = NAN;

    for (size_t i = 0; i < N_CELLS; i++) {
        best = keeps_limits(f, i) && !(f->accuracy[i] <= best) ? f->accuracy[i] : best;
    }
    return best;
}

static struct nas_subject subject_of(const struct fixture *f)
{
    return (struct nas_subject){&f->params, f->sheets, &f->model, f->known, NULL};
}

static struct search_report search(struct fixture *f)
{
    const struct nas_subject subject = subject_of(f);
    struct search_report report = {0};
    struct error err = {0};
    size_t n = 0;

    assert_ok(run_nas(&subject, NULL, &report, &err), &err);
    assert_ptr_equal(report.space, f->space);
    for (size_t i = 0; i < report.n_generations; i++) {
        n += report.history[i].n_evaluated;
    }
    assert_int_equal(n, report.method == SEARCH_GENETIC ? report.n_evaluated : 0);
    return report;
}

/* Looks for the best, holds it against all cells, and gives its rank; N_CELLS where nothing keeps the
 * limits. */
static size_t find(struct fixture *f)
{
    struct search_report report = search(f);
    const double best = best_accuracy(f);
    size_t cell = N_CELLS;

    assert_int_equal(report.is_feasible, !isnan(best));
    if (report.is_feasible) {
        cell = space_rank(f->space, report.found.genes);
        assert_true(keeps_limits(f, cell));
        assert_near(report.found.accuracy, best, 1e-9);
        assert_near((double)report.found.macs, f->macs[cell], 0);
        assert_near((double)report.found.params, f->n_params[cell], 0);
        for (size_t t = 0; t < f->params.n_targets; t++) {
            assert_near_relative(report.found.latency_ms[t], latency_of(f, cell, t), 1e-12);
            assert_true(report.found.low_ms[t] < report.found.latency_ms[t]);
            assert_true(report.found.high_ms[t] > report.found.latency_ms[t]);
        }
    }
    search_report_close(&report);
    return cell;
}

/* ---- accuracy under limits ------------------------------------------------------------------- */

static const double limits_ms[] = {1000, 1500, 2000, 3000, 4000, 6000};

static void check_methods_agree(struct fixture *f)
{
    size_t n_found = 0;

    look_at_all(f);
    for (size_t i = 0; i < COUNT_OF(limits_ms); i++) {
        (void)only_target(f, A10S, limits_ms[i]);
        f->params.method = SEARCH_EXHAUSTIVE;
        n_found += find(f) < N_CELLS;
        f->params.method = SEARCH_GENETIC;
        (void)find(f); /* both are held against a look at all */
    }
    assert_in_range(n_found, 5, COUNT_OF(limits_ms));
}

static void genetic_and_exhaustive_find_the_same_of_the_oracle(void **state)
{
    struct fixture *f;

    (void)state;
    f = begin(&space_nasbench201, shared_path("data/dgl"));
    assert_true(f->known->source.is_table);
    check_methods_agree(f);
    end(f);
}

static void genetic_and_exhaustive_find_the_same_of_the_shipped_accuracies(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));

    (void)state;
    assert_false(f->known->source.is_table);
    check_methods_agree(f);
    end(f);
}

/* The table's answer for 4,000 ms is on record. */
static void the_oracle_holds_better_than_the_reference_found(void **state)
{
    struct fixture *f;
    struct search_report report;

    (void)state;
    f = begin(&space_nasbench201, shared_path("data/dgl"));
    (void)only_target(f, A10S, 4000);
    report = search(f);
    assert_true(report.is_feasible);
    assert_int_equal(report.method, SEARCH_EXHAUSTIVE);
    assert_int_equal(report.n_evaluated, f->known->all.architectures.n_rows);
    assert_at_least(report.found.accuracy, 73.26 - 1e-9); /* the reference's: 70.80 */
    assert_at_most(report.found.latency_ms[0], 4000);
    search_report_close(&report);
    end(f);
}

static void of_several_targets_all_limits_are_kept(void **state)
{
    static const double pairs[][2] = {
        {4000, 300},
        {1500, 800},
        {4000, 20 },
    };
    struct fixture *f = begin(&space_nasbench201, own_path("none"));
    size_t n_other = 0;

    (void)state;
    look_at_all(f);
    for (size_t i = 0; i < COUNT_OF(pairs); i++) {
        size_t both;
        size_t single[2];
        f->params.n_targets = 0;
        add_target(f, "A", A10S, pairs[i][0]);
        add_target(f, "B", MATE_20, pairs[i][1]);
        both = find(f);
        single[0] = (only_target(f, A10S, pairs[i][0]), find(f));
        single[1] = (only_target(f, MATE_20, pairs[i][1]), find(f));
        /* whichever is tighter decides, so the other phone alone would have had another answer */
        assert_true(both == single[0] || both == single[1]);
        n_other += both != single[0] || both != single[1];
    }
    assert_int_equal(n_other, COUNT_OF(pairs));
    end(f);
}

static void with_a_confidence_the_upper_bound_keeps_the_limit(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));
    size_t n_beyond = 0, n_kept = 0;

    (void)state;
    look_at_all(f);
    for (size_t i = 0; i < COUNT_OF(limits_ms); i++) {
        struct search_report report;
        (void)only_target(f, A10S, limits_ms[i]);
        f->params.confidence = 0;
        report = search(f);
        assert_near(report.level, SEARCH_DEFAULT_LEVEL, 0);
        n_beyond += report.found.high_ms[0] > limits_ms[i];
        search_report_close(&report);
        f->params.confidence = 0.9;
        for (int method = SEARCH_EXHAUSTIVE; method <= SEARCH_GENETIC; method++) {
            f->params.method = (enum search_method)method;
            (void)find(f);
            report = search(f);
            assert_near(report.level, 0.9, 0);
            assert_true(!report.is_feasible || report.found.high_ms[0] <= limits_ms[i] * 1.000001);
            n_kept += report.is_feasible;
            search_report_close(&report);
        }
        f->params.method = SEARCH_BY_DEFAULT;
    }
    assert_true(n_beyond > 0 && n_kept > 0); /* so the confidence means something */
    end(f);
}

static void sizes_are_kept_exactly(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));
    double *const limits[] = {&f->params.macs_max, &f->params.params_max};
    double *const sizes[] = {f->macs, f->n_params};

    (void)state;
    look_at_all(f);
    (void)only_target(f, A10S, 4000);
    for (size_t i = 0; i < 2; i++) {
        for (int method = SEARCH_EXHAUSTIVE; method <= SEARCH_GENETIC; method++) {
            size_t cell;
            f->params.method = (enum search_method)method;
            *limits[i] = 0;
            cell = find(f);
            *limits[i] = sizes[i][cell]; /* just kept */
            assert_int_equal(find(f), cell);
            *limits[i] = sizes[i][cell] - 1;
            assert_true(find(f) != cell);
            *limits[i] = 0;
        }
    }
    end(f);
}

/* ---- what cannot be -------------------------------------------------------------------------- */

static void a_space_of_too_many_is_not_looked_at_whole(void **state)
{
    struct fixture *f = begin(&space_fbnetv3, own_path("none"));
    const struct nas_subject subject = subject_of(f);
    struct search_report report = {0};
    struct error err = {0};
    const char *pointer = NULL;

    (void)state;
    (void)only_target(f, A10S, 200);
    assert_false(f->known->has_all);
    assert_int_equal(nas_check(f->space, &f->params, false, &pointer, NULL), ERR_OK);
    f->params.method = SEARCH_EXHAUSTIVE;
    assert_int_equal(nas_check(f->space, &f->params, true, &pointer, NULL), ERR_OK);
    assert_error(nas_check(f->space, &f->params, false, &pointer, &err), ERR_INVALID, &err,
                 "fbnetv3 has too many architectures to look at all");
    assert_string_equal(pointer, "method");
    err = (struct error){0};
    assert_error(run_nas(&subject, NULL, &report, &err), ERR_INVALID, &err, "too many");
    end(f);
}

/* The cell of the lowest latency of those that can be searched. */
static size_t fastest_cell(const struct fixture *f)
{
    size_t fastest = N_CELLS;

    for (size_t i = 0; i < N_CELLS; i++) {
        if (!isnan(f->accuracy[i]) && (fastest == N_CELLS || f->a[i] < f->a[fastest])) {
            fastest = i;
        }
    }
    return fastest;
}

static void check_fastest_is_told(struct fixture *f)
{
    size_t fastest;

    look_at_all(f);
    fastest = fastest_cell(f);
    for (int method = SEARCH_EXHAUSTIVE; method <= SEARCH_GENETIC; method++) {
        struct search_report report;
        f->params.method = (enum search_method)method;
        report = search(f);
        assert_false(report.is_feasible);
        assert_int_equal(report.n_front, 0);
        assert_near(f->a[space_rank(f->space, report.fastest.genes)], f->a[fastest], 0);
        assert_near(report.lowest_latency_ms, latency_of(f, fastest, 0), 0);
        for (size_t t = 0; t < f->params.n_targets; t++) {
            assert_near(report.fastest.latency_ms[t], latency_of(f, fastest, t), 0);
        }
        assert_near(report.fastest.accuracy,
                    f->accuracy[space_rank(f->space, report.fastest.genes)], 1e-9);
        search_report_close(&report);
    }
}

static void where_nothing_keeps_the_limit_the_fastest_is_told(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));

    (void)state;
    (void)only_target(f, A10S, 1);
    check_fastest_is_told(f);
    add_target(f, "B", MATE_20, 1e6);
    check_fastest_is_told(f);
    f->params.n_targets = 1;
    f->params.objective = SEARCH_PARETO;
    check_fastest_is_told(f);
    (void)only_target(f, A10S, 0); /* no limit of latency, one of size that nothing keeps */
    f->params.macs_max = 1;
    check_fastest_is_told(f);
    end(f);
}

static void of_a_table_the_fastest_is_one_of_its_rows(void **state)
{
    struct fixture *f;

    (void)state;
    f = begin(&space_nasbench201, shared_path("data/dgl"));
    (void)only_target(f, A10S, 1);
    check_fastest_is_told(f);
    end(f);
}

/* ---- fronts ---------------------------------------------------------------------------------- */

static bool is_on_front(const struct search_report *report, const int32_t *genes)
{
    for (size_t i = 0; i < report->n_front; i++) {
        if (memcmp(report->front[i].genes, genes, N_GENES * sizeof *genes) == 0) {
            return true;
        }
    }
    return false;
}

/* Nothing within the limits is better than a point of the front; all else is worse than one. */
static void check_whole_front(const struct fixture *f, const struct search_report *report)
{
    for (size_t i = 0; i < N_CELLS; i++) {
        bool is_dominated = false;
        if (!keeps_limits(f, i)) {
            assert_false(is_on_front(report, cells + i * N_GENES));
            continue;
        }
        for (size_t k = 0; k < report->n_front; k++) {
            const struct search_point *p = &report->front[k];
            const double latency_ms = latency_of(f, i, 0);
            assert_false(f->accuracy[i] > p->accuracy && latency_ms <= p->latency_ms);
            assert_false(f->accuracy[i] >= p->accuracy && latency_ms < p->latency_ms);
            is_dominated =
                is_dominated || (p->accuracy >= f->accuracy[i] && p->latency_ms <= latency_ms);
        }
        assert_true(is_dominated);
    }
}

/* Area by hand: each point is worth its accuracy until the next one. */
static double area_of(const struct search_report *report, double until_ms)
{
    double area = 0;

    for (size_t i = 0; i < report->n_front; i++) {
        const double end_ms = i + 1 < report->n_front ? report->front[i + 1].latency_ms : until_ms;
        area += report->front[i].accuracy * (end_ms - report->front[i].latency_ms);
    }
    return area;
}

static void check_front_is_told(const struct fixture *f, const struct search_report *report)
{
    const double limit_ms = f->params.targets[0].latency_constraint_ms;
    const struct search_point *last = &report->front[report->n_front - 1];

    assert_true(report->is_feasible && report->n_front > 3);
    for (size_t i = 1; i < report->n_front; i++) {
        assert_true(report->front[i - 1].latency_ms < report->front[i].latency_ms);
        assert_true(report->front[i - 1].accuracy < report->front[i].accuracy);
    }
    assert_memory_equal(report->found.genes, last->genes, N_GENES * sizeof *last->genes);
    assert_near(report->found.accuracy, last->accuracy, 0);
    assert_near_relative(report->found.latency_ms[0], last->latency_ms, 1e-12);
    assert_near(report->reference_accuracy, 0, 0);
    assert_near(report->reference_latency_ms, limit_ms > 0 ? limit_ms : last->latency_ms, 0);
    assert_near_relative(report->hypervolume, area_of(report, report->reference_latency_ms), 1e-9);
}

static void a_front_of_all_is_the_front_and_a_bred_one_is_near_it(void **state)
{
    static const struct {
        double limit_ms, confidence, macs_max;
    } cases[] = {
        {0,    0,   0  },
        {3000, 0,   0  },
        {3000, 0.9, 0  },
        {0,    0,   3e9},
    };
    struct fixture *f = begin(&space_nasbench201, own_path("none"));

    (void)state;
    look_at_all(f);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct search_report all;
        struct search_report bred;
        (void)only_target(f, A10S, cases[i].limit_ms);
        f->params.objective = SEARCH_PARETO;
        f->params.confidence = cases[i].confidence;
        f->params.macs_max = cases[i].macs_max;
        f->params.method = SEARCH_EXHAUSTIVE;
        all = search(f);
        check_front_is_told(f, &all);
        check_whole_front(f, &all);
        f->params.method = SEARCH_GENETIC;
        f->params.generations = 30;
        bred = search(f);
        assert_in_range(bred.n_evaluated, 1, 3000);
        check_front_is_told(f, &bred);
        for (size_t k = 0; k < bred.n_front; k++) {
            assert_true(keeps_limits(f, space_rank(f->space, bred.front[k].genes)));
        }
        assert_at_least(area_of(&bred, all.reference_latency_ms) / all.hypervolume, 0.99);
        search_report_close(&all);
        search_report_close(&bred);
    }
    end(f);
}

/* ---- fbnetv3 --------------------------------------------------------------------------------- */

static void a_space_of_many_is_searched_within_its_limits(void **state)
{
    struct fixture *f = begin(&space_fbnetv3, own_path("none"));
    struct search_report reports[2];
    double accuracy = 0;

    (void)state;
    f->params.generations = 30;
    for (double limit_ms = 150; limit_ms < 1000; limit_ms *= 2) { /* looser ones find better */
        (void)only_target(f, A10S, limit_ms);
        f->params.macs_max = 8e8;
        reports[0] = search(f);
        assert_int_equal(reports[0].method, SEARCH_GENETIC);
        if (reports[0].is_feasible) {
            assert_at_most(reports[0].found.latency_ms[0], limit_ms);
            assert_at_most((double)reports[0].found.macs, 8e8);
            assert_at_least(reports[0].found.accuracy, accuracy);
            accuracy = reports[0].found.accuracy;
        }
        search_report_close(&reports[0]);
    }
    assert_true(accuracy > 0);
    for (size_t i = 0; i < 2; i++) { /* and the same seed the same */
        reports[i] = search(f);
    }
    assert_memory_equal(reports[0].found.genes, reports[1].found.genes, 28 * sizeof(int32_t));
    assert_int_equal(reports[0].n_evaluated, reports[1].n_evaluated);
    search_report_close(&reports[0]);
    search_report_close(&reports[1]);
    end(f);
}

/* ---- progress -------------------------------------------------------------------------------- */

struct watch {
    size_t n_told, stop_at;
    struct job_progress last;
    size_t n_generations; /* that were told */
};

static bool watch_progress(void *context, const struct job_progress *now)
{
    struct watch *w = context;

    assert_true(now->percent >= w->last.percent && now->percent <= 100);
    assert_true(now->generation >= w->last.generation);
    assert_true(now->generation <= now->n_generations);
    assert_true(now->accuracy >= w->last.accuracy && now->accuracy <= 100);
    assert_non_null(now->stage);
    w->n_generations += now->generation > w->last.generation;
    w->last = *now;
    return ++w->n_told != w->stop_at;
}

/* Progress never falls, and any of its reports may end the search. */
static void check_progress(struct fixture *f)
{
    const struct nas_subject subject = subject_of(f);
    size_t n_told = SIZE_MAX;

    for (size_t stop_at = 0; stop_at <= n_told; stop_at++) { /* 0: not at all */
        struct watch watch = {.stop_at = stop_at};
        const struct nas_hooks hooks = {&watch, watch_progress};
        const long before = mem_live_blocks();
        struct search_report report = {0};
        struct error err = {0};
        enum err rc = run_nas(&subject, &hooks, &report, &err);
        if (stop_at == 0) {
            assert_ok(rc, &err);
            n_told = watch.n_told;
            assert_true(n_told > 5);
            assert_true(report.method == SEARCH_EXHAUSTIVE ||
                        watch.n_generations == (size_t)f->params.generations);
            if (report.method == SEARCH_GENETIC && f->params.objective == SEARCH_ACCURACY) {
                assert_near(watch.last.accuracy, report.found.accuracy, 0);
                assert_near_relative(watch.last.latency_ms, report.found.latency_ms[0], 1e-9);
            }
            search_report_close(&report);
            continue;
        }
        assert_error(rc, ERR_CANCELED, &err, "stopped");
        assert_int_equal(watch.n_told, stop_at);
        assert_int_equal(mem_live_blocks(), before);
    }
}

static void progress_never_falls_and_ends_the_search_at_any_report(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));

    (void)state;
    (void)only_target(f, A10S, 3000);
    check_progress(f);
    f->params.population_size = 10;
    f->params.generations = 24;
    f->params.method = SEARCH_GENETIC;
    check_progress(f);
    f->params.objective = SEARCH_PARETO;
    check_progress(f);
    f->params.method = SEARCH_EXHAUSTIVE;
    check_progress(f);
    end(f);
}

/* Whether a point of the front is as accurate and as fast. */
static bool has_as_good(const struct job_front *front, double accuracy, double latency_ms)
{
    for (size_t i = 0; i < front->n; i++) {
        if (front->accuracy[i] >= accuracy && front->latency_ms[i] <= latency_ms) {
            return true;
        }
    }
    return false;
}

struct front_watch {
    size_t n_told; /* that had changed */
    struct job_front last;
};

static bool watch_front(void *context, const struct job_progress *now)
{
    struct front_watch *w = context;
    const struct job_front *front = now->front;

    if (front == NULL || front->n_changes == w->last.n_changes) {
        return true;
    }
    assert_true(front->n_changes > w->last.n_changes);
    assert_in_range(front->n, 1, JOB_FRONT_MAX);
    for (size_t i = 1; i < front->n; i++) {
        assert_true(front->latency_ms[i] > front->latency_ms[i - 1]);
        assert_true(front->accuracy[i] > front->accuracy[i - 1]);
    }
    for (size_t i = 0; front->n < JOB_FRONT_MAX && i < w->last.n; i++) { /* none is given up */
        assert_true(has_as_good(front, w->last.accuracy[i], w->last.latency_ms[i]));
    }
    w->last = *front;
    w->n_told++;
    return true;
}

/* What is told last is the front of the report, where that has one, thinned. */
static void check_last_front(const struct job_front *told, const struct search_report *report)
{
    if (report->params->objective != SEARCH_PARETO) {
        assert_near(told->accuracy[told->n - 1], report->found.accuracy, 0);
        return;
    }
    assert_int_equal(told->n, report->n_front < JOB_FRONT_MAX ? report->n_front : JOB_FRONT_MAX);
    for (size_t i = 0, k = 0; i < told->n; i++, k++) {
        while (k < report->n_front && report->front[k].latency_ms != told->latency_ms[i]) {
            k++;
        }
        assert_true(k < report->n_front);
        assert_near(told->accuracy[i], report->front[k].accuracy, 0);
    }
    assert_near(told->latency_ms[0], report->front[0].latency_ms, 0);
    assert_near(told->accuracy[told->n - 1], report->front[report->n_front - 1].accuracy, 0);
}

static void the_front_is_told_as_it_grows(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));

    (void)state;
    f->params.generations = 40;
    for (int i = 0; i < 8; i++) {
        const struct nas_subject subject = subject_of(f);
        struct front_watch watch = {0};
        const struct nas_hooks hooks = {&watch, watch_front};
        struct search_report report = {0};
        struct error err = {0};
        (void)only_target(f, A10S, 3000);
        f->params.method = i % 2 == 0 ? SEARCH_EXHAUSTIVE : SEARCH_GENETIC;
        f->params.objective = i / 2 % 2 == 0 ? SEARCH_PARETO : SEARCH_ACCURACY;
        f->params.confidence = i / 4 == 0 ? 0 : 0.9;
        assert_ok(run_nas(&subject, &hooks, &report, &err), &err);
        assert_at_least((double)watch.n_told, 5);
        check_last_front(&watch.last, &report);
        search_report_close(&report);
    }
    end(f);
}

static void what_keeps_no_limit_is_on_no_front(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));
    const struct nas_subject subject = subject_of(f);
    struct front_watch watch = {0};
    const struct nas_hooks hooks = {&watch, watch_front};
    struct search_report report = {0};
    struct error err = {0};

    (void)state;
    (void)only_target(f, A10S, 1e-3);
    assert_ok(run_nas(&subject, &hooks, &report, &err), &err);
    assert_false(report.is_feasible);
    assert_int_equal(watch.n_told, 0);
    search_report_close(&report);
    end(f);
}

/* ---- the report as JSON ---------------------------------------------------------------------- */

static json_t *put_and_parse(const struct search_report *report, bool is_whole)
{
    struct text text = {0};
    json_error_t error;
    json_t *json;

    msg_search_put(report, is_whole, &text);
    text_puts(&text, "}");
    assert_false(text.has_failed);
    assert_null(strchr(text.bytes, '\n'));
    json = json_loads(text.bytes, JSON_REJECT_DUPLICATES, &error);
    if (json == NULL) {
        fail_msg("%s: %s", error.text, text.bytes);
    }
    text_close(&text);
    return json;
}

static const json_t *member(const json_t *json, const char *name)
{
    const json_t *value = json_object_get(json, name);

    if (value == NULL) {
        fail_msg("there is no member \"%s\"", name);
    }
    return value;
}

static void check_null(const json_t *json, const char *const *names, size_t n, bool is_null)
{
    for (size_t i = 0; i < n; i++) {
        if (json_is_null(member(json, names[i])) != is_null) {
            fail_msg("\"%s\" is %snull", names[i], is_null ? "not " : "");
        }
    }
}

static void check_network(const json_t *json, size_t n_genes, bool has_latency)
{
    const json_t *interval = json_object_get(json, "interval_ms");

    assert_int_equal(json_array_size(member(json, "architecture")), n_genes);
    assert_true(json_is_string(member(json, "notation")));
    assert_true(json_number_value(member(json, "accuracy")) > 0);
    assert_true(json_integer_value(member(json, "macs")) > 0);
    assert_true(json_integer_value(member(json, "params")) > 0);
    if (has_latency) {
        const double latency_ms = json_number_value(member(json, "latency_ms"));
        assert_true(json_number_value(json_array_get(interval, 0)) < latency_ms);
        assert_true(json_number_value(json_array_get(interval, 1)) > latency_ms);
    } else {
        assert_true(interval == NULL || json_is_null(interval));
    }
}

static void check_targets(const struct fixture *f, const json_t *targets)
{
    static const char *const names[] = {"estimated",  "device",     "hardware",
                                        "chip",       "source",     "latency_constraint_ms",
                                        "latency_ms", "interval_ms"};

    assert_int_equal(json_array_size(targets), f->params.n_targets);
    for (size_t i = 0; i < f->params.n_targets; i++) {
        const json_t *target = json_array_get(targets, i);
        const double limit_ms = f->params.targets[i].latency_constraint_ms;
        assert_int_equal(json_object_size(target), COUNT_OF(names));
        for (size_t k = 0; k < COUNT_OF(names); k++) {
            (void)member(target, names[k]);
        }
        assert_true(json_number_value(member(target, "latency_ms")) > 0);
        assert_int_equal(json_array_size(member(target, "interval_ms")), 2);
        assert_int_equal(json_is_null(member(target, "latency_constraint_ms")), limit_ms <= 0);
        assert_int_equal(json_is_null(member(target, "device")), f->sheets[i].name[0] == '\0');
        assert_true(json_is_null(member(target, "chip")));
    }
}

/* All that a report tells, of any search. */
static void check_json(struct fixture *f)
{
    static const char *const of_single[] = {"hardware"};
    static const char *const of_found[] = {"architecture", "notation", "accuracy", "macs",
                                           "params"};
    static const char *const of_latency[] = {"latency_ms", "interval_ms"};
    static const char *const always[] = {
        "search_space", "objective",       "method",     "seed",
        "feasible",     "interval",        "targets",    "predictor",
        "version",      "accuracy_source", "n_evaluated"};
    static const char *const genetic[] = {"population_size", "generations", "crossover_rate",
                                          "mutation_rate"};
    struct search_report report = search(f);
    const bool is_single = f->params.n_targets == 1;

    for (int is_whole = 0; is_whole <= 1; is_whole++) {
        json_t *json = put_and_parse(&report, is_whole);
        check_null(json, always, COUNT_OF(always), false);
        check_null(json, of_single, 1, !is_single);
        check_null(json, of_found, COUNT_OF(of_found), !report.is_feasible);
        check_null(json, of_latency, COUNT_OF(of_latency), !report.is_feasible || !is_single);
        assert_int_equal(json_is_null(member(json, "device")),
                         !is_single || f->sheets[0].name[0] == '\0');
        assert_int_equal(json_is_null(member(json, "latency_constraint_ms")),
                         !is_single || f->params.targets[0].latency_constraint_ms <= 0);
        assert_int_equal(json_is_null(member(json, "confidence")), f->params.confidence <= 0);
        assert_int_equal(json_is_null(member(json, "macs_max")), f->params.macs_max <= 0);
        assert_int_equal(json_is_null(member(json, "params_max")), f->params.params_max <= 0);
        assert_int_equal(json_is_true(member(json, "feasible")), report.is_feasible);
        assert_int_equal(json_is_null(member(json, "fastest")), report.is_feasible);
        check_network(report.is_feasible ? json : member(json, "fastest"), N_GENES, is_single);
        assert_true(json_number_value(member(json, "lowest_latency_ms")) > 0);
        check_targets(f, member(json, "targets"));
        for (size_t i = 0; i < COUNT_OF(genetic); i++) {
            assert_int_equal(json_object_get(json, genetic[i]) != NULL,
                             report.method == SEARCH_GENETIC);
        }
        assert_int_equal(json_object_get(json, "front") != NULL,
                         f->params.objective == SEARCH_PARETO);
        assert_int_equal(json_object_get(json, "history") != NULL, is_whole);
        assert_int_equal(json_array_size(json_object_get(json, "history")),
                         is_whole ? report.n_generations : 0);
        if (f->params.objective == SEARCH_PARETO) {
            assert_int_equal(json_array_size(member(json, "front")), report.n_front);
            assert_int_equal(json_integer_value(member(json, "n_front")), report.n_front);
            assert_near_relative(json_number_value(member(json, "hypervolume")), report.hypervolume,
                                 1e-8);
            (void)member(json, "reference_accuracy");
            (void)member(json, "reference_latency_ms");
        }
        json_decref(json);
    }
    search_report_close(&report);
}

static void a_report_is_json_with_all_members_whatever_was_found(void **state)
{
    static const double limits[] = {3000, 1}; /* something keeps the one, nothing the other */
    struct fixture *f = begin(&space_nasbench201, own_path("none"));

    (void)state;
    f->params.population_size = 20;
    f->params.generations = 20;
    for (size_t i = 0; i < 2 * COUNT_OF(limits); i++) {
        f->params.method = i < COUNT_OF(limits) ? SEARCH_EXHAUSTIVE : SEARCH_GENETIC;
        (void)only_target(f, A10S, limits[i % COUNT_OF(limits)]);
        f->params.objective = SEARCH_PARETO;
        check_json(f);
        f->params.objective = SEARCH_ACCURACY;
        check_json(f);
        f->sheets[0].name[0] = '\0'; /* hardware alone */
        f->params.confidence = 0.5;
        f->params.macs_max = f->params.params_max = 1e10;
        check_json(f);
        f->params.confidence = f->params.macs_max = f->params.params_max = 0;
        add_target(f, "B \"quoted\"", MATE_20, 1000);
        check_json(f);
    }
    (void)only_target(f, A10S, 0);
    f->params.objective = SEARCH_PARETO;
    check_json(f);
    f->params.macs_max = 1; /* an empty front without a limit of latency */
    check_json(f);
    end(f);
}

/* A report of a search that can tell nothing of any network. */
static void what_is_not_known_is_null(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));
    struct search_report report;
    json_t *json;

    (void)state;
    (void)only_target(f, A10S, 1e6);
    report = search(f);
    report.is_feasible = report.has_fastest = false;
    report.lowest_latency_ms = INFINITY;
    json = put_and_parse(&report, true);
    assert_true(json_is_null(member(json, "fastest")));
    assert_true(json_is_null(member(json, "lowest_latency_ms")));
    assert_true(json_is_null(member(json_array_get(member(json, "targets"), 0), "latency_ms")));
    assert_true(json_is_null(member(json_array_get(member(json, "targets"), 0), "interval_ms")));
    json_decref(json);
    search_report_close(&report);
    end(f);
}

/* ---- accuracies of a table alone --------------------------------------------------------------- */

enum { N_TABLE = 12 };

/* Rows that hardly any other search would meet, the first the most accurate. */
static struct fixture *begin_table(void)
{
    struct fixture *f;
    char net[16 * N_TABLE] = "";
    char acc[16 * N_TABLE] = "";

    for (size_t i = 0; i < N_TABLE; i++) {
        (void)snprintf(net + strlen(net), 16, "%zu %zu 4 2 4 4\n", 1 + i % 5, 1 + i / 5);
        (void)snprintf(acc + strlen(acc), 16, "%zu.5\n", 80 - 3 * i);
    }
    (void)write_text("nasbench201/NAS/net.txt", net);
    (void)write_text("nasbench201/NAS/acc.txt", acc);
    (void)write_text("nasbench201/net.txt", net);
    f = begin(&space_nasbench201, check_directory);
    assert_true(f->known->source.is_table);
    return f;
}

static bool is_row(const struct fixture *f, const int32_t *genes)
{
    const struct dataset *rows = &f->known->all.architectures;

    return space_is_among(f->space, rows->genes, rows->n_rows, genes);
}

/* However small the search, and whatever cannot be had within the limit. */
static void a_table_is_bred_among_its_rows(void **state)
{
    struct fixture *f = begin_table();
    struct search_report looked_at_all;

    (void)state;
    for (int i = 0; i < 4; i++) {
        struct search_report report;
        (void)only_target(f, A10S, i % 2 == 0 ? 1e6 : 2500);
        f->params.objective = i < 2 ? SEARCH_ACCURACY : SEARCH_PARETO;
        f->params.method = SEARCH_EXHAUSTIVE;
        looked_at_all = search(f);
        f->params.method = SEARCH_GENETIC;
        f->params.population_size = 4;
        f->params.generations = 10; /* more evaluations than there are rows */
        report = search(f);
        assert_int_equal(report.n_evaluated, N_TABLE);
        assert_int_equal(report.is_feasible, looked_at_all.is_feasible);
        assert_near(report.found.accuracy, looked_at_all.found.accuracy, 0);
        assert_memory_equal(report.found.genes, looked_at_all.found.genes, N_GENES * 4);
        assert_int_equal(report.n_front, looked_at_all.n_front);
        search_report_close(&report);
        f->params.generations = 1; /* fewer: still rows of the table */
        report = search(f);
        assert_int_equal(report.n_evaluated, 4);
        assert_true(report.has_fastest);
        assert_true(is_row(f, report.is_feasible ? report.found.genes : report.fastest.genes));
        search_report_close(&report);
        search_report_close(&looked_at_all);
    }
    end(f);
}

/* ---- memory ---------------------------------------------------------------------------------- */

static enum err run_once(void *context, struct error *err)
{
    const struct nas_subject subject = subject_of(context);
    struct search_report report = {0};
    enum err rc = run_nas(&subject, NULL, &report, err);

    search_report_close(&report);
    return rc;
}

static void memory_that_is_out_is_told(void **state)
{
    struct fixture *f = begin(&space_nasbench201, own_path("none"));

    (void)state;
    make_deviations(f->model.predictor);
    (void)only_target(f, A10S, 3000);
    f->params.population_size = f->params.generations = 10;
    for (int objective = SEARCH_ACCURACY; objective <= SEARCH_PARETO; objective++) {
        for (int method = SEARCH_EXHAUSTIVE; method <= SEARCH_GENETIC; method++) {
            f->params.objective = (enum search_objective)objective;
            f->params.method = (enum search_method)method;
            fail_each_allocation(run_once, f);
        }
    }
    end(f);
}

/* With measurements of one target and a library that speaks of the other. */
static enum err run_calibrated_once(void *context, struct error *err)
{
    struct fixture *f = context;
    struct nas_subject subject = subject_of(f);
    struct nas_calibration calibration = {0};
    struct search_report report = {0};
    enum err rc =
        fitted_create(&f->model, &f->sheets[0].hardware, f->params.measured_genes,
                      f->params.measured_ms, f->params.n_measured, &calibration.of[0], err);

    subject.calibration = &calibration;
    rc = rc != ERR_OK ? rc : run_nas(&subject, NULL, &report, err);
    if (rc == ERR_OK) {
        assert_int_equal(report.n_measurements[0], f->params.n_measured);
        assert_int_equal(report.n_measurements[1], 0);
    }
    search_report_close(&report);
    nas_calibration_close(&calibration);
    return rc;
}

static void memory_that_is_out_of_a_calibrated_search_is_told(void **state)
{
    static struct small_library library;
    struct fixture *f = begin_table();
    struct error err = {0};

    (void)state;
    make_deviations(f->model.predictor);
    library_make(f->space, &library);
    assert_ok(calibration_prior_fit(f->space, library.devices, LIBRARY_N_DEVICES, NULL,
                                    &f->model.prior, &err),
              &err);
    (void)only_target(f, A10S, 3000);
    add_target(f, "Other", MATE_20, 1000);
    f->params.measured_genes = library.genes;
    f->params.measured_ms = library.latency_ms[0];
    f->params.n_measured = 10;
    f->params.population_size = f->params.generations = 3;
    for (int method = SEARCH_EXHAUSTIVE; method <= SEARCH_GENETIC; method++) {
        f->params.method = (enum search_method)method;
        fail_each_allocation(run_calibrated_once, f);
    }
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(genetic_and_exhaustive_find_the_same_of_the_oracle),
        directory_test(genetic_and_exhaustive_find_the_same_of_the_shipped_accuracies),
        directory_test(the_oracle_holds_better_than_the_reference_found),
        directory_test(of_several_targets_all_limits_are_kept),
        directory_test(with_a_confidence_the_upper_bound_keeps_the_limit),
        directory_test(sizes_are_kept_exactly),
        directory_test(a_space_of_too_many_is_not_looked_at_whole),
        directory_test(where_nothing_keeps_the_limit_the_fastest_is_told),
        directory_test(of_a_table_the_fastest_is_one_of_its_rows),
        directory_test(a_front_of_all_is_the_front_and_a_bred_one_is_near_it),
        directory_test(a_space_of_many_is_searched_within_its_limits),
        directory_test(progress_never_falls_and_ends_the_search_at_any_report),
        directory_test(the_front_is_told_as_it_grows),
        directory_test(what_keeps_no_limit_is_on_no_front),
        directory_test(a_report_is_json_with_all_members_whatever_was_found),
        directory_test(what_is_not_known_is_null),
        directory_test(a_table_is_bred_among_its_rows),
        directory_test(memory_that_is_out_is_told),
        directory_test(memory_that_is_out_of_a_calibrated_search_is_told),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

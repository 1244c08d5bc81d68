/* core/search_front.h: that its front comes near the whole one, that it keeps its limits and its
 * promises, and that it ends when it is told to. */
#include "core/matrix.h"
#include "core/search_front.h"
#include "core/search_pareto.h"
#include "tests/support/cells.h"

enum { MOST_ROWS = 20000, N_SEEDS = IS_SANITIZED ? 2 : 8 };

/* ---- a caller that watches ------------------------------------------------------------------- */

/* What the search is told, and what it did. */
struct watch {
    const struct space *space;
    double (*accuracy)(const int32_t *genes);
    double (*latency_ms)(const int32_t *genes);
    double (*other)(const int32_t *genes); /* NULL: there is no limit besides */
    double limit_ms;

    size_t n_calls, n;
    int32_t genes[MOST_ROWS * 28]; /* (n, n_genes): what was evaluated, in order ... */
    double its_accuracy[MOST_ROWS], its_latency_ms[MOST_ROWS], its_cost[MOST_ROWS];
    uint32_t slots[1 << 16]; /* ... and a table of row + 1 */

    size_t n_told, stop_at; /* progress calls; the one that stops, from 1 */
    size_t generation;      /* told last */
    size_t fail_at;         /* call of evaluate that fails, from 1 ... */
    double *fail_with;      /* ... or, where there is one, tells that in ... */
    int fail_in;            /* accuracy, latency or cost */
};

static struct watch watch;

static void watch_begin(const struct space *space, double (*accuracy)(const int32_t *genes),
                        double (*latency_ms)(const int32_t *genes), double limit_ms)
{
    memset(&watch, 0, sizeof watch);
    watch.space = space;
    watch.accuracy = accuracy;
    watch.latency_ms = latency_ms;
    watch.limit_ms = limit_ms;
}

/* Notes an architecture, which must be a valid one and new. */
static void watch_row(struct watch *w, const int32_t *genes)
{
    const size_t size = w->space->n_genes * sizeof *genes;
    const size_t mask = COUNT_OF(w->slots) - 1;
    struct error err = {0};
    uint64_t digest = 1;
    size_t slot;

    assert_ok(space_validate(w->space, genes, NULL, &err), &err);
    for (size_t g = 0; g < w->space->n_genes; g++) {
        digest = (digest ^ (uint64_t)genes[g]) * UINT64_C(0x9e3779b97f4a7c15);
    }
    for (slot = digest >> 40 & mask; w->slots[slot] != 0; slot = (slot + 1) & mask) {
        const int32_t *there = w->genes + (w->slots[slot] - 1) * w->space->n_genes;
        assert_true(memcmp(there, genes, size) != 0);
    }
    assert_true(w->n < MOST_ROWS);
    memcpy(w->genes + w->n * w->space->n_genes, genes, size);
    w->slots[slot] = (uint32_t)++w->n;
}

static enum err evaluate(void *context, const int32_t *genes, size_t n, double *accuracy,
                         double *latency_ms, double *cost, struct error *err)
{
    struct watch *w = context;
    double *const told[] = {accuracy, latency_ms, cost};

    assert_true(n > 0);
    if (++w->n_calls == w->fail_at && w->fail_with == NULL) {
        return error_set(err, ERR_IO, "no answer");
    }
    for (size_t i = 0; i < n; i++) {
        const int32_t *row = genes + i * w->space->n_genes;
        watch_row(w, row);
        w->its_accuracy[w->n - 1] = accuracy[i] = w->accuracy(row);
        w->its_latency_ms[w->n - 1] = latency_ms[i] = w->latency_ms(row);
        w->its_cost[w->n - 1] = cost[i] = w->other != NULL ? w->other(row) : 0.0;
    }
    if (w->n_calls == w->fail_at) {
        told[w->fail_in][n - 1] = *w->fail_with;
    }
    return ERR_OK;
}

/* The highest accuracy of what keeps the limits, of the first n rows; false where nothing does. */
static bool find_best(size_t n, double *best)
{
    bool is_found = false;

    for (size_t i = 0; i < n; i++) {
        if (!isnan(watch.its_accuracy[i]) && watch.its_latency_ms[i] <= watch.limit_ms &&
            watch.its_cost[i] <= 1 && (!is_found || watch.its_accuracy[i] > *best)) {
            *best = watch.its_accuracy[i];
            is_found = true;
        }
    }
    return is_found;
}

static bool progress(void *context, const struct genetic_progress *told)
{
    struct watch *w = context;
    double best = 0;

    w->n_told++;
    assert_int_equal(told->n_evaluated, w->n);
    assert_in_range(told->generation, w->generation, told->n_generations);
    w->generation = told->generation;
    assert_int_equal(told->is_feasible, find_best(w->n, &best));
    if (told->is_feasible) {
        assert_near(told->accuracy, best, 0);
    }
    return w->n_told != w->stop_at;
}

static const struct genetic_options plain = {
    .population_size = 50,
    .n_generations = 60,
    .crossover_rate = 2,
    .mutation_rate = 0.05,
    .n_elite = 1,
    .accuracy_base = GENETIC_DEFAULT_ACCURACY_BASE,
    .seed = 1,
};

static const struct front_hooks hooks = {&watch, evaluate, progress};

/* ---- what holds of any front ----------------------------------------------------------------- */

static size_t seen_rows[MOST_ROWS];
static double seen_accuracy[MOST_ROWS], seen_latency_ms[MOST_ROWS];

/* It is the front of all that was evaluated and keeps the limits. */
static void check_front(const struct front_result *result)
{
    struct error err = {0};
    size_t n = 0;
    size_t n_front = 0;

    for (size_t i = 0; i < watch.n; i++) {
        if (!isnan(watch.its_accuracy[i]) && watch.its_latency_ms[i] <= watch.limit_ms &&
            watch.its_cost[i] <= 1) {
            seen_accuracy[n] = watch.its_accuracy[i];
            seen_latency_ms[n++] = watch.its_latency_ms[i];
        }
    }
    assert_ok(search_pareto(seen_accuracy, seen_latency_ms, n, seen_rows, &n_front, &err), &err);
    assert_int_equal(result->n_front, n_front);
    for (size_t i = 0; i < n_front; i++) {
        const int32_t *genes = result->genes + i * watch.space->n_genes;
        assert_near(result->accuracy[i], seen_accuracy[seen_rows[i]], 0);
        assert_near(result->latency_ms[i], seen_latency_ms[seen_rows[i]], 0);
        assert_near(result->accuracy[i], watch.accuracy(genes), 0);
        assert_near(result->latency_ms[i], watch.latency_ms(genes), 0);
    }
}

/* Generations add up, and the best never gets worse. */
static void check_history(const struct front_result *result)
{
    size_t n = 0;

    assert_in_range(result->n_generations, 1, watch.n_told);
    for (size_t i = 0; i < result->n_generations; i++) {
        const struct genetic_generation *now = &result->history[i];
        double best = 0;
        assert_true(now->n_evaluated > 0);
        n += now->n_evaluated;
        assert_true(now->feasible_share >= 0 && now->feasible_share <= 1);
        assert_int_equal(now->is_feasible, find_best(n, &best));
        if (now->is_feasible) {
            assert_near(now->accuracy, best, 0);
        }
    }
    assert_int_equal(n, result->n_evaluated);
}

static struct front_result found(const struct genetic_options *options)
{
    struct front_result result = {0};
    struct error err = {0};
    double lowest_ms = INFINITY;

    assert_ok(search_front(watch.space, options, &hooks, watch.limit_ms, &result, &err), &err);
    assert_int_equal(result.n_evaluated, watch.n);
    assert_in_range(watch.n, 1, options->population_size * options->n_generations);
    for (size_t i = 0; i < watch.n; i++) {
        lowest_ms =
            isnan(watch.its_accuracy[i]) ? lowest_ms : fmin(lowest_ms, watch.its_latency_ms[i]);
    }
    assert_true(result.lowest_latency_ms == lowest_ms); /* infinite where no accuracy is known */
    check_front(&result);
    check_history(&result);
    return result;
}

static double area_of(const struct front_result *result, double accuracy, double latency_ms)
{
    for (size_t i = 0; i < result->n_front; i++) {
        seen_rows[i] = i;
    }
    return search_hypervolume(result->accuracy, result->latency_ms, seen_rows, result->n_front,
                              accuracy, latency_ms);
}

/* ---- nasbench201 ----------------------------------------------------------------------------- */

/* The exact front of the cells: of area that much, above its own lowest accuracy, up to `until_ms`. */
static double exact_area(double until_ms, double *lowest_accuracy)
{
    static size_t front[N_CELLS];
    struct error err = {0};
    size_t n_front;

    assert_ok(search_pareto(cell_accuracy, cell_cost, N_CELLS, front, &n_front, &err), &err);
    *lowest_accuracy = cell_accuracy[front[0]];
    return search_hypervolume(cell_accuracy, cell_cost, front, n_front, *lowest_accuracy, until_ms);
}

/* In 3,000 evaluations the front has 99 % of the area that the exact one has: above the accuracy of
 * the fastest of it, which is harder than above 0. */
static void assert_front_is_near(double until_ms, const char *what)
{
    static const size_t sizes[] = {50, 100};
    double lowest_accuracy;
    const double exact = exact_area(until_ms, &lowest_accuracy);
    double worst = 1;

    for (size_t i = 0; i < COUNT_OF(sizes) * N_SEEDS; i++) {
        struct genetic_options options = plain;
        struct front_result result;
        options.population_size = sizes[i / N_SEEDS];
        options.n_generations = 3000 / options.population_size;
        options.seed = i;
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, INFINITY);
        result = found(&options);
        assert_in_range(watch.n, 2000, 3000); /* most of what is given is used */
        worst = fmin(worst, area_of(&result, lowest_accuracy, until_ms) / exact);
        front_result_close(&result);
    }
    print_message("%s: at least %.5f of the area\n", what, worst);
    assert_at_least(worst, 0.99);
}

static void the_front_of_many_peaks_is_nearly_the_whole_one(void **state)
{
    (void)state;
    make_cells(60);
    assert_front_is_near(250, "made up");
}

static void accuracies_may_be_of_any_scale(void **state)
{
    (void)state;
    make_cells(-1000);
    assert_front_is_near(250, "below zero");
}

static void the_front_of_the_true_accuracies_is_nearly_the_whole_one(void **state)
{
    (void)state;
    read_true_accuracies();
    predict_cells();
    assert_front_is_near(6000, "true");
}

static void limits_are_kept(void **state)
{
    static const double limits_ms[] = {25, 60, 120};

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < COUNT_OF(limits_ms); i++) {
        struct front_result result;
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, limits_ms[i]);
        result = found(&plain);
        assert_true(result.n_front > 1);
        assert_at_most(result.latency_ms[result.n_front - 1], limits_ms[i]);
        front_result_close(&result);
    }
}

/* As MACs would be: convolutions of 3x3 are dear. */
static double share_of_convolutions(const int32_t *genes)
{
    double sum = 0;

    for (size_t g = 0; g < 6; g++) {
        sum += genes[g] == 4 ? 9 : genes[g] == 3 ? 1 : 0;
    }
    return sum / 19;
}

static void other_limits_are_kept_too(void **state)
{
    struct front_result free_one;
    struct front_result result;
    double best_beyond = 0;

    (void)state;
    make_cells(60);
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, INFINITY);
    free_one = found(&plain);
    for (size_t i = 0; i < free_one.n_front; i++) {
        best_beyond = fmax(best_beyond, share_of_convolutions(free_one.genes + i * 6));
    }
    assert_true(best_beyond > 1); /* so the limit means something */
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, INFINITY);
    watch.other = share_of_convolutions;
    result = found(&plain);
    assert_true(result.n_front > 1);
    for (size_t i = 0; i < result.n_front; i++) {
        assert_at_most(share_of_convolutions(result.genes + i * 6), 1);
    }
    front_result_close(&free_one);
    front_result_close(&result);
}

static double always_beyond(const int32_t *genes)
{
    return 1.5 + (double)genes[0];
}

static void limits_that_nothing_keeps_give_an_empty_front(void **state)
{
    struct front_result result;

    (void)state;
    make_cells(60);
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 1);
    result = found(&plain);
    assert_int_equal(result.n_front, 0);
    assert_true(result.lowest_latency_ms > 1);
    assert_false(result.history[result.n_generations - 1].is_feasible);
    front_result_close(&result);
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, INFINITY);
    watch.other = always_beyond;
    result = found(&plain);
    assert_int_equal(result.n_front, 0);
    front_result_close(&result);
}

/* As a table with gaps: one cell of fifty is known. */
static double accuracy_of_few(const int32_t *genes)
{
    return space_rank(&space_nasbench201, genes) % 50 != 7 ? NAN : accuracy_of_cell(genes);
}

static double accuracy_of_none(const int32_t *genes)
{
    (void)genes;
    return NAN;
}

static void what_has_no_accuracy_is_not_on_the_front(void **state)
{
    struct front_result result;

    (void)state;
    make_cells(60);
    watch_begin(&space_nasbench201, accuracy_of_few, cost_of_cell, 150);
    result = found(&plain);
    assert_true(result.n_front > 1);
    for (size_t i = 0; i < result.n_front; i++) {
        assert_at_least(result.accuracy[i], 60);
    }
    front_result_close(&result);
    watch_begin(&space_nasbench201, accuracy_of_none, cost_of_cell, INFINITY);
    result = found(&plain);
    assert_int_equal(result.n_front, 0);
    assert_false(result.history[result.n_generations - 1].is_feasible);
    front_result_close(&result);
}

static void a_space_that_is_small_is_looked_at_whole(void **state)
{
    double lowest_accuracy;
    double exact;
    struct genetic_options options = plain;
    struct front_result result;

    (void)state;
    make_cells(60);
    exact = exact_area(250, &lowest_accuracy);
    options.population_size = 1000;
    options.n_generations = 200;
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, INFINITY);
    result = found(&options);
    assert_int_equal(result.n_evaluated, N_CELLS);
    assert_near(area_of(&result, lowest_accuracy, 250), exact, 1e-9);
    front_result_close(&result);
}

/* ---- fbnetv3 --------------------------------------------------------------------------------- */

/* Each value of a gene has a worth and takes whole ms, in no order, so that the exact front can be
 * computed gene by gene. */
enum { MOST_VALUES = 16, MOST_MS = 28 * 20 };

static double worths[28][MOST_VALUES];
static int times_ms[28][MOST_VALUES];

static void make_genes(uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t g = 0; g < 28; g++) {
        assert_in_range(space_fbnetv3.genes[g].n_values, 1, MOST_VALUES);
        for (size_t v = 0; v < MOST_VALUES; v++) {
            worths[g][v] = rng_uniform(&rng);
            times_ms[g][v] = 1 + (int)rng_below(&rng, 19);
        }
    }
}

static double worth_of_genes(const int32_t *genes)
{
    double sum = 60;

    for (size_t g = 0; g < 28; g++) {
        sum += worths[g][gene_index(&space_fbnetv3.genes[g], genes[g])];
    }
    return sum;
}

static double time_of_genes(const int32_t *genes)
{
    int sum = 0;

    for (size_t g = 0; g < 28; g++) {
        sum += times_ms[g][gene_index(&space_fbnetv3.genes[g], genes[g])];
    }
    return sum;
}

/* best[t]: the highest accuracy of what takes t ms in all; -inf where nothing does. */
static void list_best(double best[MOST_MS])
{
    for (size_t t = 0; t < MOST_MS; t++) {
        best[t] = t == 0 ? 60 : -INFINITY;
    }
    for (size_t g = 0; g < 28; g++) {
        for (int t = MOST_MS - 1; t >= 0; t--) {
            double with = -INFINITY;
            for (int32_t v = 0; v < space_fbnetv3.genes[g].n_values; v++) {
                with = t >= times_ms[g][v] ? fmax(with, best[t - times_ms[g][v]] + worths[g][v])
                                           : with;
            }
            best[t] = with;
        }
    }
}

static void the_front_of_a_space_of_many_is_nearly_the_one_that_is_known(void **state)
{
    static double best[MOST_MS];
    static double every_ms[MOST_MS];
    static size_t front[MOST_MS];
    double worst = 1;
    double worst_above_fastest = 1;

    (void)state;
    for (uint64_t seed = 0; seed < (IS_SANITIZED ? 1 : 4); seed++) {
        struct genetic_options options = plain;
        struct front_result result;
        struct error err = {0};
        size_t n = 0;
        size_t n_front;
        make_genes(seed);
        list_best(best);
        for (size_t t = 0; t < MOST_MS; t++) {
            if (best[t] > 0) {
                every_ms[n] = (double)t;
                best[n++] = best[t];
            }
        }
        assert_ok(search_pareto(best, every_ms, n, front, &n_front, &err), &err);
        options.population_size = options.n_generations = 100;
        options.seed = seed;
        watch_begin(&space_fbnetv3, worth_of_genes, time_of_genes, INFINITY);
        result = found(&options);
        assert_in_range(result.n_evaluated, 9000, 10000);
        for (size_t i = 0; i < result.n_front; i++) { /* nothing is better than what is known */
            const size_t t = (size_t)result.latency_ms[i];
            double most = 0;
            for (size_t k = 0; k < n && every_ms[k] <= (double)t; k++) {
                most = fmax(most, best[k]);
            }
            assert_at_most(result.accuracy[i], most + 1e-9);
        }
        worst = fmin(worst, area_of(&result, 0, 350) /
                                search_hypervolume(best, every_ms, front, n_front, 0, 350));
        worst_above_fastest =
            fmin(worst_above_fastest,
                 area_of(&result, best[front[0]], 350) /
                     search_hypervolume(best, every_ms, front, n_front, best[front[0]], 350));
        front_result_close(&result);
    }
    print_message("fbnetv3: at least %.5f of the area, %.5f above the fastest's accuracy\n", worst,
                  worst_above_fastest);
    assert_at_least(worst, 0.96);
    assert_at_least(worst_above_fastest, 0.96);
}

/* ---- bounds ---------------------------------------------------------------------------------- */

static void the_same_seed_gives_the_same_front(void **state)
{
    struct genetic_options options = plain;
    static int32_t genes[3][3000 * 6];
    struct front_result results[3];

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < 3; i++) {
        options.seed = i < 2 ? 5 : 6;
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 100);
        results[i] = found(&options);
        memcpy(genes[i], watch.genes, sizeof genes[i]); /* all that was evaluated, in order */
    }
    assert_memory_equal(genes[0], genes[1], sizeof genes[0]);
    assert_true(memcmp(genes[0], genes[2], sizeof genes[0]) != 0);
    assert_int_equal(results[0].n_front, results[1].n_front);
    assert_memory_equal(results[0].genes, results[1].genes,
                        results[0].n_front * 6 * sizeof(int32_t));
    assert_int_equal(results[0].n_generations, results[1].n_generations);
    for (size_t i = 0; i < results[0].n_generations; i++) {
        assert_int_equal(results[0].history[i].n_evaluated, results[1].history[i].n_evaluated);
        assert_near(results[0].history[i].accuracy, results[1].history[i].accuracy, 0);
        assert_near(results[0].history[i].cost, results[1].history[i].cost, 0);
    }
    for (size_t i = 0; i < 3; i++) {
        front_result_close(&results[i]);
    }
}

static void populations_and_generations_may_be_of_any_size(void **state)
{
    static const size_t sizes[][2] = {
        {1,    1   },
        {1,    2   },
        {1,    50  },
        {2,    3   },
        {3,    1000},
        {5000, 1   },
        {2500, 2   },
    };

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        struct genetic_options options = plain;
        struct front_result result;
        options.population_size = sizes[i][0];
        options.n_generations = sizes[i][1];
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, INFINITY);
        result = found(&options);
        assert_true(result.n_front > 0);
        front_result_close(&result);
    }
}

static void a_search_stops_at_any_report(void **state)
{
    struct genetic_options options = plain;
    struct error err = {0};

    (void)state;
    make_cells(60);
    options.population_size = 20;
    options.n_generations = 30;
    for (size_t stop_at = 1;; stop_at++) {
        struct front_result result = {0};
        enum err rc;
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
        watch.stop_at = stop_at;
        rc = search_front(&space_nasbench201, &options, &hooks, 90, &result, &err);
        if (rc == ERR_OK) {
            assert_int_equal(watch.n_told, stop_at - 1);
            assert_true(stop_at > 30);
            front_result_close(&result);
            return;
        }
        assert_error(rc, ERR_CANCELED, &err, "stopped");
        assert_int_equal(watch.n_told, stop_at);
        assert_null(result.genes);
        assert_null(result.history);
    }
}

static void progress_need_not_be_told(void **state)
{
    const struct front_hooks silent = {&watch, evaluate, NULL};
    struct front_result result = {0};
    struct error err = {0};

    (void)state;
    make_cells(60);
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    assert_ok(search_front(&space_nasbench201, &plain, &silent, 90, &result, &err), &err);
    check_front(&result);
    front_result_close(&result);
}

static void an_error_of_the_evaluation_ends_the_search(void **state)
{
    enum { ACCURACY, LATENCY, COST };
    static const struct {
        int in;
        double value;
    } bad[] = {
        {ACCURACY, INFINITY },
        {LATENCY,  NAN      },
        {LATENCY,  INFINITY },
        {LATENCY,  0        },
        {LATENCY,  -1       },
        {COST,     NAN      },
        {COST,     INFINITY },
        {COST,     -INFINITY},
    };

    (void)state;
    make_cells(60);
    for (size_t fail_at = 1; fail_at <= 61;
         fail_at += 12) { /* in the first search and later ones */
        struct front_result result = {0};
        struct error err = {0};
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
        watch.fail_at = fail_at;
        assert_error(search_front(&space_nasbench201, &plain, &hooks, 90, &result, &err), ERR_IO,
                     &err, "no answer");
        assert_int_equal(watch.n_calls, fail_at);
        assert_null(result.genes);
        for (size_t i = 0; i < COUNT_OF(bad); i++) {
            double value = bad[i].value;
            watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
            watch.fail_at = fail_at;
            watch.fail_with = &value;
            watch.fail_in = bad[i].in;
            err = (struct error){0};
            assert_error(search_front(&space_nasbench201, &plain, &hooks, 90, &result, &err),
                         ERR_NUMERIC, &err, "an architecture has");
            assert_int_equal(watch.n_calls, fail_at);
        }
    }
}

static void options_out_of_range_are_named(void **state)
{
    struct genetic_options bad[6];
    static const char *const names[] = {"population_size", "population_size", "n_generations",
                                        "crossover_rate",  "mutation_rate",   "n_elite"};

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        bad[i] = plain;
    }
    bad[0].population_size = 0;
    bad[0].n_elite = 0;
    bad[1].population_size = GENETIC_MAX_POPULATION + 1;
    bad[2].n_generations = 0;
    bad[3].crossover_rate = NAN;
    bad[4].mutation_rate = 1.01;
    bad[5].n_elite = plain.population_size + 1;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct front_result result = {0};
        struct error err = {0};
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
        assert_error(search_front(&space_nasbench201, &bad[i], &hooks, 90, &result, &err),
                     ERR_INVALID, &err, names[i]);
        assert_int_equal(watch.n_calls, 0);
    }
}

/* More than a search may have at the most are as many as it may have. */
static void more_evaluations_than_there_may_be_are_the_most(void **state)
{
    struct genetic_options options = plain;
    struct front_result result;

    (void)state;
    make_cells(60);
    options.population_size = GENETIC_MAX_POPULATION;
    options.n_generations = 2000;
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, INFINITY);
    result = found(&options);
    assert_int_equal(result.n_evaluated, N_CELLS);
    front_result_close(&result);
}

static enum err search_once(void *context, struct error *err)
{
    struct genetic_options options = plain;
    struct front_result result = {0};
    enum err rc;

    (void)context;
    options.population_size = 10;
    options.n_generations = 12;
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    rc = search_front(&space_nasbench201, &options, &hooks, 90, &result, err);
    front_result_close(&result);
    return rc;
}

static void memory_that_is_out_is_told(void **state)
{
    (void)state;
    make_cells(60);
    fail_each_allocation(search_once, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_front_of_many_peaks_is_nearly_the_whole_one),
        counted_test(accuracies_may_be_of_any_scale),
        counted_test(the_front_of_the_true_accuracies_is_nearly_the_whole_one),
        counted_test(limits_are_kept),
        counted_test(other_limits_are_kept_too),
        counted_test(limits_that_nothing_keeps_give_an_empty_front),
        counted_test(what_has_no_accuracy_is_not_on_the_front),
        counted_test(a_space_that_is_small_is_looked_at_whole),
        counted_test(the_front_of_a_space_of_many_is_nearly_the_one_that_is_known),
        counted_test(the_same_seed_gives_the_same_front),
        counted_test(populations_and_generations_may_be_of_any_size),
        counted_test(a_search_stops_at_any_report),
        counted_test(progress_need_not_be_told),
        counted_test(an_error_of_the_evaluation_ends_the_search),
        counted_test(options_out_of_range_are_named),
        counted_test(more_evaluations_than_there_may_be_are_the_most),
        counted_test(memory_that_is_out_is_told),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

/* core/search_genetic.h: that it finds what is best, evaluates nothing twice, keeps its bounds, and
 * ends when it is told to. */
#include "core/matrix.h"
#include "core/search.h"
#include "core/search_genetic.h"
#include "tests/support/cells.h"

enum { N_EVALUATIONS = 2000, N_LIMITS = 5, N_SEEDS = IS_SANITIZED ? 10 : 100 };

/* ---- a caller that watches ------------------------------------------------------------------- */

/* What the search is told, and what it did. */
struct watch {
    const struct space *space;
    double (*accuracy)(const int32_t *genes);
    double (*cost)(const int32_t *genes);
    double limit;
    size_t population_size;

    bool is_seen[N_CELLS]; /* nasbench201 only */
    size_t first[N_CELLS]; /* those of the first call, in order; likewise */
    size_t n_first;
    size_t n_calls, n_evaluated;
    uint64_t digest; /* of all genes, in order */
    double best;     /* accuracy of the best feasible one */
    double lowest;   /* cost */

    size_t n_told, stop_at; /* progress calls; the one that stops, from 1 */
    size_t fail_at;         /* call of evaluate that fails, from 1 ... */
    double bad_value;       /* ... or, where this is not 0, tells such a value */
};

static struct watch watch;

static void watch_begin(const struct space *space, double (*accuracy)(const int32_t *genes),
                        double (*cost)(const int32_t *genes), double limit)
{
    watch = (struct watch){.space = space,
                           .accuracy = accuracy,
                           .cost = cost,
                           .limit = limit,
                           .digest = 1,
                           .best = -INFINITY,
                           .lowest = INFINITY};
}

static void watch_row(struct watch *w, const int32_t *genes)
{
    struct error err = {0};

    assert_ok(space_validate(w->space, genes, NULL, &err), &err);
    if (w->space == &space_nasbench201) {
        const size_t rank = space_rank(w->space, genes);
        assert_false(w->is_seen[rank]);
        w->is_seen[rank] = true;
        if (w->n_calls == 1) {
            w->first[w->n_first++] = rank;
        }
    }
    for (size_t g = 0; g < w->space->n_genes; g++) {
        w->digest = (w->digest ^ (uint64_t)genes[g]) * UINT64_C(0x100000001b3);
    }
}

static enum err evaluate(void *context, const int32_t *genes, size_t n, double *accuracy,
                         double *cost, struct error *err)
{
    struct watch *w = context;

    assert_in_range(n, 1, w->population_size);
    if (++w->n_calls == w->fail_at && w->bad_value == 0) {
        return error_set(err, ERR_IO, "no answer");
    }
    for (size_t i = 0; i < n; i++) {
        const int32_t *row = genes + i * w->space->n_genes;
        watch_row(w, row);
        accuracy[i] = w->accuracy(row);
        cost[i] = w->cost(row) / w->limit;
        w->best = cost[i] <= 1 ? fmax(w->best, accuracy[i]) : w->best;
        w->lowest = isnan(accuracy[i]) ? w->lowest : fmin(w->lowest, cost[i]);
    }
    if (w->n_calls == w->fail_at) {
        cost[n - 1] = w->bad_value;
    }
    w->n_evaluated += n;
    return ERR_OK;
}

static bool progress(void *context, const struct genetic_progress *told)
{
    struct watch *w = context;
    struct error err = {0};

    assert_int_equal(told->generation, ++w->n_told);
    assert_int_equal(told->n_evaluated, w->n_evaluated);
    assert_in_range(told->generation, 1, told->n_generations);
    assert_ok(space_validate(w->space, told->genes, NULL, &err), &err);
    assert_near(told->cost, w->cost(told->genes) / w->limit, 0);
    assert_int_equal(told->is_feasible, w->lowest <= 1);
    assert_near(told->is_feasible ? told->accuracy : told->cost,
                told->is_feasible ? w->best : w->lowest, 0);
    return w->n_told != w->stop_at;
}

static const struct genetic_options plain = {
    .population_size = 50,
    .n_generations = 40,
    .crossover_rate = 2,
    .mutation_rate = 0.1,
    .n_elite = 10,
    .accuracy_base = GENETIC_DEFAULT_ACCURACY_BASE,
    .seed = 1,
};

static enum err search(const struct genetic_options *options, struct genetic_result *result,
                       struct error *err)
{
    const struct genetic_hooks hooks = {&watch, evaluate, progress};

    watch.population_size = options->population_size;
    return search_genetic(watch.space, options, &hooks, result, err);
}

/* Searches, and holds the result against what was watched. */
static struct genetic_result found(const struct genetic_options *options)
{
    struct genetic_result result = {0};
    struct error err = {0};
    size_t n_evaluated = 0;

    assert_ok(search(options, &result, &err), &err);
    assert_int_equal(result.n_evaluated, watch.n_evaluated);
    assert_int_equal(result.n_generations, watch.n_told);
    assert_in_range(result.n_generations, 1, options->n_generations);
    for (size_t i = 0; i < result.n_generations; i++) {
        const struct genetic_generation *h = &result.history[i];
        n_evaluated += h->n_evaluated;
        assert_true(h->feasible_share >= 0 && h->feasible_share <= 1);
        assert_true(i == 0 || !genetic_is_better(h[-1].accuracy, h[-1].cost, h->accuracy, h->cost));
    }
    assert_int_equal(n_evaluated, result.n_evaluated);
    assert_int_equal(result.is_feasible, watch.lowest <= 1);
    assert_near(result.accuracy, watch.accuracy(result.genes), 0);
    assert_near(result.cost, watch.cost(result.genes) / watch.limit, 0);
    assert_near(result.is_feasible ? result.accuracy : result.cost,
                result.is_feasible ? watch.best : watch.lowest, 0);
    return result;
}

/* ---- nasbench201, made and true -------------------------------------------------------------- */

/* The exhaustive optimum is found in at least 95 of 100 seeds. */
static void assert_found_at_most_limits(const double limits[N_LIMITS])
{
    static double cost[N_CELLS];
    const struct search_candidates all = {&space_nasbench201, N_CELLS, cells, cell_accuracy, cost};

    for (size_t l = 0; l < N_LIMITS; l++) {
        size_t best;
        size_t n_found = 0;
        for (size_t i = 0; i < N_CELLS; i++) {
            cost[i] = cell_cost[i] / limits[l];
        }
        best = search_exhaustive(&all).best;
        for (uint64_t seed = 0; seed < N_SEEDS; seed++) {
            struct genetic_options options = plain;
            struct genetic_result result;
            options.seed = seed;
            options.n_generations = 1000;
            options.evaluations_max = N_EVALUATIONS;
            watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, limits[l]);
            result = found(&options);
            assert_int_equal(result.n_evaluated, N_EVALUATIONS);
            n_found += space_rank(&space_nasbench201, result.genes) == best;
            genetic_result_close(&result);
        }
        print_message("limit %g: found with %zu of %d seeds\n", limits[l], n_found, N_SEEDS);
        assert_at_least((double)n_found, 0.95 * N_SEEDS - (IS_SANITIZED ? 1 : 0));
    }
}

static void the_best_of_many_peaks_is_found(void **state)
{
    static const double limits[N_LIMITS] = {30, 60, 90, 130, 200};

    (void)state;
    make_cells(60); /* on both sides of the base */
    assert_found_at_most_limits(limits);
}

static void accuracies_may_be_of_any_scale(void **state)
{
    static const double limits[N_LIMITS] = {30, 60, 90, 130, 200};

    (void)state;
    make_cells(-1000);
    assert_found_at_most_limits(limits);
}

static void the_exhaustive_optimum_of_the_true_accuracies_is_found(void **state)
{
    static const double limits_ms[N_LIMITS] = {1000, 2000, 3000, 4000, 6000};

    (void)state;
    read_true_accuracies();
    predict_cells();
    assert_found_at_most_limits(limits_ms);
}

/* ---- fbnetv3 --------------------------------------------------------------------------------- */

/* The optimum: in the middle of the domains, or so, where nothing is at its most. */
static int32_t optimum[28];

static double closeness(const int32_t *genes)
{
    double sum = 90;

    for (size_t g = 0; g < 28; g++) {
        const struct gene *gene = &space_fbnetv3.genes[g];
        const double apart = (double)((genes[g] - optimum[g]) / gene->step) / gene->n_values;
        sum -= (double)(1 + g % 4) * apart * apart;
    }
    return sum;
}

static double mega_macs(const int32_t *genes)
{
    struct cost cost = {0};

    assert_int_equal(space_count(&space_fbnetv3, genes, &cost, NULL), ERR_OK);
    return (double)cost_total_macs(&cost) / 1e6;
}

static void set_optimum(uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t g = 0; g < 28; g++) {
        const struct gene *gene = &space_fbnetv3.genes[g];
        const size_t n_lower = (size_t)gene->n_values - 1;
        optimum[g] = gene->first + gene->step * (int32_t)rng_below(&rng, n_lower);
    }
}

static const struct genetic_options reference_options = {
    .population_size = 100,
    .n_generations = 100,
    .crossover_rate = 2,
    .mutation_rate = 0.05,
    .n_elite = 50,
    .accuracy_base = GENETIC_DEFAULT_ACCURACY_BASE,
};

/* Far from the most MACs; the limit is loose, and then just what the optimum needs. */
static void an_optimum_that_is_known_and_elsewhere_is_found(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < (IS_SANITIZED ? 4 : 20); seed++) {
        struct genetic_options options = reference_options;
        struct genetic_result result;
        options.seed = seed;
        set_optimum(seed);
        for (int is_tight = 0; is_tight <= 1; is_tight++) {
            watch_begin(&space_fbnetv3, closeness, mega_macs, is_tight ? mega_macs(optimum) : 1e5);
            result = found(&options);
            assert_true(result.is_feasible);
            assert_memory_equal(result.genes, optimum, sizeof optimum);
            genetic_result_close(&result);
        }
    }
}

static const uint64_t RECORDED_DIGEST = UINT64_C(0xa98467fd721eeae5);

/* ---- bounds ---------------------------------------------------------------------------------- */

static void the_same_seed_gives_the_same_search(void **state)
{
    struct genetic_options options = reference_options;
    uint64_t digests[3];
    struct genetic_result results[3];

    (void)state;
    set_optimum(1);
    for (size_t i = 0; i < 3; i++) {
        options.seed = i < 2 ? 5 : 6;
        watch_begin(&space_fbnetv3, closeness, mega_macs, 500);
        results[i] = found(&options);
        digests[i] = watch.digest;
    }
    assert_true(digests[0] == digests[1] && digests[0] != digests[2]);
    assert_memory_equal(results[0].genes, results[1].genes, sizeof optimum);
    assert_int_equal(results[0].n_generations, results[1].n_generations);
    for (size_t i = 0; i < results[0].n_generations; i++) {
        const struct genetic_generation *h = &results[0].history[i];
        const struct genetic_generation *same = &results[1].history[i];
        assert_near(h->accuracy, same->accuracy, 0);
        assert_near(h->cost, same->cost, 0);
        assert_near(h->feasible_share, same->feasible_share, 0);
    }
    for (size_t i = 0; i < 3; i++) {
        genetic_result_close(&results[i]);
    }
}

/* On every machine: what was evaluated, in order, is on record. It changes with the method
 * alone. */
static void the_search_is_the_same_on_every_machine(void **state)
{
    struct genetic_result result;

    (void)state;
    set_optimum(1);
    watch_begin(&space_fbnetv3, closeness, mega_macs, 500);
    result = found(&reference_options);
    genetic_result_close(&result);
    assert_int_equal(result.n_evaluated, 10000);
    if (watch.digest != RECORDED_DIGEST) {
        fail_msg("the digest of what was evaluated is %#llx", (unsigned long long)watch.digest);
    }
}

static void a_search_stops_at_any_report(void **state)
{
    (void)state;
    make_cells(60);
    for (size_t stop_at = 1; stop_at <= plain.n_generations; stop_at++) {
        struct genetic_result result = {0};
        struct error err = {0};
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
        watch.stop_at = stop_at;
        assert_error(search(&plain, &result, &err), ERR_CANCELED, &err, "stopped");
        assert_int_equal(watch.n_told, stop_at);
        assert_null(result.history);
    }
}

static void an_error_of_the_evaluation_ends_the_search(void **state)
{
    static const struct {
        double value;
        enum err expected;
        const char *phrase;
    } cases[] = {
        {0,         ERR_IO,      "no answer"},
        {NAN,       ERR_NUMERIC, "cost nan" },
        {-INFINITY, ERR_NUMERIC, "cost -inf"},
        {1e16,      ERR_NUMERIC, "1e+16"    },
    };

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < 2 * COUNT_OF(cases); i++) {
        struct genetic_result result = {0};
        struct error err = {0};
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
        watch.fail_at = 1 + i % 2 * 7;
        watch.bad_value = cases[i / 2].value;
        assert_error(search(&plain, &result, &err), cases[i / 2].expected, &err,
                     cases[i / 2].phrase);
        assert_int_equal(watch.n_calls, watch.fail_at);
        assert_null(result.history);
    }
}

static void a_limit_that_none_keeps_gives_the_lowest_cost(void **state)
{
    double lowest = INFINITY;

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < N_CELLS; i++) {
        lowest = fmin(lowest, cell_cost[i]);
    }
    for (uint64_t seed = 0; seed < 10; seed++) {
        struct genetic_options options = plain;
        struct genetic_result result;
        options.seed = seed;
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, lowest * 0.999);
        result = found(&options);
        assert_false(result.is_feasible);
        assert_near(cost_of_cell(result.genes), lowest, 0);
        assert_near(result.history[0].feasible_share, 0, 0);
        genetic_result_close(&result);
    }
}

/* Most of what is fast, and most of what is accurate, has no accuracy. */
static void what_nobody_knows_the_accuracy_of_is_never_the_answer(void **state)
{
    static const double limits[] = {1, 30, 60, 200}; /* from one that none keeps */

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < N_CELLS; i++) {
        cell_accuracy[i] = i % 3 == 0 && cells[i * 6] != 4 ? cell_accuracy[i] : NAN;
    }
    for (size_t l = 0; l < COUNT_OF(limits); l++) {
        struct genetic_result result;
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, limits[l]);
        result = found(&plain);
        assert_true(cell_accuracy[space_rank(&space_nasbench201, result.genes)] > 0);
        assert_int_equal(result.is_feasible, l > 0);
        genetic_result_close(&result);
    }
}

static double unknown(const int32_t *genes)
{
    (void)genes;
    return NAN;
}

static void where_no_accuracy_is_known_nothing_is_feasible(void **state)
{
    const struct genetic_hooks hooks = {&watch, evaluate, NULL};
    struct genetic_result result = {0};
    struct error err = {0};

    (void)state;
    make_cells(60);
    watch_begin(&space_nasbench201, unknown, cost_of_cell, 90);
    watch.population_size = plain.population_size;
    assert_ok(search_genetic(&space_nasbench201, &plain, &hooks, &result, &err), &err);
    assert_int_equal(result.n_evaluated, 2000);
    assert_false(result.is_feasible);
    assert_true(result.accuracy == -INFINITY);
    assert_near(result.history[0].feasible_share, 0, 0);
    genetic_result_close(&result);
}

static void populations_of_any_size_use_their_evaluations(void **state)
{
    static const size_t sizes[] = {1, 2, 3, 7, 10000};

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        for (size_t n_elite = 0; n_elite <= sizes[i]; n_elite += n_elite * 10 + 1) {
            struct genetic_options options = plain;
            struct genetic_result result;
            options.population_size = sizes[i];
            options.n_elite = n_elite;
            options.n_generations = 600;
            watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
            result = found(&options);
            assert_int_equal(result.n_evaluated, sizes[i] < 10000 ? sizes[i] * 600 : N_CELLS);
            assert_true(sizes[i] < 10000 || result.n_generations == 2);
            genetic_result_close(&result);
        }
    }
}

static void the_most_evaluations_are_kept(void **state)
{
    static const size_t most[] = {1, 49, 50, 51, 1999};

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < COUNT_OF(most); i++) {
        struct genetic_options options = plain;
        struct genetic_result result;
        options.evaluations_max = most[i];
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
        result = found(&options);
        assert_int_equal(result.n_evaluated, most[i]);
        genetic_result_close(&result);
    }
}

/* ---- what it begins with --------------------------------------------------------------------- */

/* Writes rows of the archive of cells, by their rank, as seeds. */
static void set_seeds(int32_t *seeds, const size_t *ranks, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        space_unrank(&space_nasbench201, ranks[i], seeds + i * 6);
    }
}

/* Whether the first call of a search is for these cells, in this order, before others. */
static void assert_begins_with(const size_t *ranks, size_t n)
{
    assert_true(watch.n_first >= n);
    for (size_t i = 0; i < n; i++) {
        assert_int_equal(watch.first[i], ranks[i]);
    }
}

static void a_search_begins_with_its_seeds(void **state)
{
    static const size_t ranks[] = {15624, 0, 4711};
    int32_t seeds[3 * 6];
    struct genetic_options options = plain;
    struct genetic_result result;

    (void)state;
    make_cells(60);
    set_seeds(seeds, ranks, 3);
    options.seeds = seeds;
    options.n_seeds = 3;
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    result = found(&options);
    assert_begins_with(ranks, 3);
    assert_int_equal(watch.n_first, plain.population_size); /* the others are random */
    assert_int_equal(result.n_evaluated, plain.population_size * plain.n_generations);
    genetic_result_close(&result);
}

static void of_equal_seeds_the_first_counts(void **state)
{
    static const size_t given[] = {7, 7, 9, 7, 9, 11};
    static const size_t once[] = {7, 9, 11};
    int32_t seeds[COUNT_OF(given) * 6];
    struct genetic_options options = plain;
    struct genetic_result result;

    (void)state;
    make_cells(60);
    set_seeds(seeds, given, COUNT_OF(given));
    options.seeds = seeds;
    options.n_seeds = COUNT_OF(given);
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    result = found(&options); /* which sees that nothing is evaluated twice */
    assert_begins_with(once, 3);
    assert_int_equal(watch.n_first, plain.population_size);
    genetic_result_close(&result);
}

static void more_seeds_than_a_population_fill_the_first_generation_alone(void **state)
{
    enum { N_GIVEN = 80 };
    size_t ranks[N_GIVEN];
    static int32_t seeds[N_GIVEN * 6];
    struct genetic_options options = plain;
    struct genetic_result result;

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < N_GIVEN; i++) {
        ranks[i] = 15624 - 3 * i;
    }
    set_seeds(seeds, ranks, N_GIVEN);
    options.seeds = seeds;
    options.n_seeds = N_GIVEN;
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    result = found(&options);
    assert_begins_with(ranks, plain.population_size);
    assert_int_equal(watch.n_first, plain.population_size);
    genetic_result_close(&result);
    options.evaluations_max = 5; /* fewer than those, too */
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    result = found(&options);
    assert_begins_with(ranks, 5);
    assert_int_equal(result.n_evaluated, 5);
    genetic_result_close(&result);
}

static void a_search_that_begins_with_the_best_keeps_it(void **state)
{
    static double cost[N_CELLS];
    const struct search_candidates all = {&space_nasbench201, N_CELLS, cells, cell_accuracy, cost};
    size_t best;
    int32_t seed[6];
    struct genetic_options options = plain;
    struct genetic_result result;

    (void)state;
    make_cells(60);
    for (size_t i = 0; i < N_CELLS; i++) {
        cost[i] = cell_cost[i] / 90;
    }
    best = search_exhaustive(&all).best;
    set_seeds(seed, &best, 1);
    options.seeds = seed;
    options.n_seeds = 1;
    options.n_generations = 3;
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    result = found(&options);
    assert_int_equal(space_rank(&space_nasbench201, result.genes), best);
    assert_near(result.history[0].accuracy, cell_accuracy[best], 0);
    genetic_result_close(&result);
}

static void a_search_that_begins_with_nothing_given_is_the_plain_one(void **state)
{
    struct genetic_options options = reference_options;
    struct genetic_result result;

    (void)state;
    set_optimum(1);
    options.seeds = optimum;
    options.n_seeds = 0;
    watch_begin(&space_fbnetv3, closeness, mega_macs, 500);
    result = found(&options);
    assert_true(watch.digest == RECORDED_DIGEST);
    genetic_result_close(&result);
}

/* ---- some architectures alone ---------------------------------------------------------------- */

enum { N_AMONG = 3000, N_DOUBLE = 7 };

static int32_t among[(N_AMONG + N_DOUBLE) * 28];

/* Random networks, the first of which stand there again. */
static void make_among(uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t i = 0; i < N_AMONG * 28; i++) {
        const struct gene *gene = &space_fbnetv3.genes[i % 28];
        among[i] = gene_value(gene, (int32_t)rng_below(&rng, (size_t)gene->n_values));
    }
    memcpy(among + N_AMONG * 28, among, N_DOUBLE * 28 * sizeof *among);
}

/* How many looks at architectures, each a row and none twice, it takes a search to find the best. */
static size_t rows_until_best(uint64_t seed)
{
    struct genetic_options options = reference_options;
    struct genetic_result result;
    size_t n_looks;

    options.seed = seed;
    options.among = among;
    options.n_among = N_AMONG + N_DOUBLE;
    watch_begin(&space_fbnetv3, closeness, mega_macs, 1e5);
    result = found(&options);
    n_looks = result.n_evaluated;
    assert_int_equal(n_looks, N_AMONG); /* of 10,000 that were allowed */
    assert_true(space_is_among(&space_fbnetv3, among, N_AMONG, result.genes));
    for (size_t i = 0; i < result.n_generations; i++) {
        if (result.history[i].accuracy == result.accuracy) {
            n_looks = (i + 1) * options.population_size;
            break;
        }
    }
    genetic_result_close(&result);
    return n_looks;
}

/* Where chance would take half of them in the mean. */
static void of_some_architectures_the_best_is_found_early(void **state)
{
    enum { N_TRIALS = IS_SANITIZED ? 2 : 10 };
    double mean = 0.0;

    (void)state;
    for (uint64_t seed = 0; seed < N_TRIALS; seed++) {
        set_optimum(seed);
        make_among(seed);
        mean += (double)rows_until_best(seed) / N_TRIALS;
    }
    print_message("the best of %d found after %.0f in the mean\n", N_AMONG, mean);
    assert_at_most(mean, 0.2 * N_AMONG);
}

static void nothing_else_is_looked_at(void **state)
{
    struct genetic_options options = plain;
    struct genetic_result result;

    (void)state;
    make_cells(60);
    options.population_size = 7;
    options.n_elite = 1;
    options.n_generations = 3;
    options.seeds = cells + 3 * 6; /* of which the second may not be looked at */
    options.n_seeds = 2;
    options.among = cells;
    options.n_among = 4;
    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    result = found(&options);
    assert_int_equal(result.n_evaluated, 4);
    assert_int_equal(result.n_generations, 1);
    for (size_t rank = 0; rank < N_CELLS; rank++) {
        assert_int_equal(watch.is_seen[rank], rank < 4);
    }
    assert_int_equal(watch.first[0], 3);
    genetic_result_close(&result);
}

/* ---- spaces of another size ------------------------------------------------------------------ */

/* Three genes of which one has nothing to choose, six architectures. */
static const struct gene few_genes[] = {
    {"a", 0, 5,  2, NULL},
    {"b", 7, 1,  1, NULL},
    {"c", 0, 10, 3, NULL},
};
static const struct space few = {.name = "few", .genes = few_genes, .n_genes = 3};

static double sum_of_genes(const int32_t *genes)
{
    return genes[0] + genes[1] + genes[2];
}

static void a_space_smaller_than_the_population_is_evaluated_whole(void **state)
{
    static const size_t sizes[] = {1, 4, 6, 100};
    static const double rates[] = {0, 0.5, 1};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(sizes) * COUNT_OF(rates); i++) {
        struct genetic_options options = plain;
        struct genetic_result result;
        options.population_size = sizes[i / COUNT_OF(rates)];
        options.n_elite = 1;
        options.mutation_rate = options.crossover_rate = rates[i % COUNT_OF(rates)];
        watch_begin(&few, sum_of_genes, sum_of_genes, 22);
        result = found(&options);
        assert_int_equal(result.n_evaluated, 6);
        assert_near(result.accuracy, 22, 0);
        genetic_result_close(&result);
    }
}

static void options_out_of_range_are_named(void **state)
{
    struct genetic_options bad[11];
    static const char *const names[] = {"population_size", "population_size", "n_generations",
                                        "n_generations",   "crossover_rate",  "crossover_rate",
                                        "mutation_rate",   "mutation_rate",   "n_elite",
                                        "accuracy_base",   "evaluations_max"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        bad[i] = plain;
    }
    bad[0].population_size = 0;
    bad[0].n_elite = 0;
    bad[1].population_size = GENETIC_MAX_POPULATION + 1;
    bad[2].n_generations = 0;
    bad[3].n_generations = GENETIC_MAX_GENERATIONS + 1;
    bad[4].crossover_rate = -0.1;
    bad[5].crossover_rate = NAN;
    bad[6].mutation_rate = 1.01;
    bad[7].mutation_rate = NAN;
    bad[8].n_elite = plain.population_size + 1;
    bad[9].accuracy_base = -INFINITY;
    bad[10].evaluations_max = GENETIC_MAX_EVALUATIONS + 1;
    for (size_t i = 0; i < COUNT_OF(bad); i++) {
        struct genetic_result result = {0};
        struct error err = {0};
        watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
        assert_error(search(&bad[i], &result, &err), ERR_INVALID, &err, names[i]);
        assert_int_equal(watch.n_calls, 0);
    }
}

static void the_feasible_go_first_and_the_infeasible_by_their_cost(void **state)
{
    (void)state;
    assert_true(genetic_is_better(1, 1.0, 90, 1.001));
    assert_true(genetic_is_better(2, 1.0, 1, 0.5));
    assert_true(genetic_is_better(1, 0.5, 1, 0.6));
    assert_true(genetic_is_better(1, 1.5, 90, 1.6));
    assert_true(genetic_is_better(2, 1.5, 1, 1.5));
    assert_false(genetic_is_better(1, 0.5, 1, 0.5));
    assert_false(genetic_is_better(1, 1.5, 1, 1.5));
    assert_true(genetic_is_better(1, 1.5, -INFINITY, 0.5));
    assert_false(genetic_is_better(-INFINITY, 0.5, 1, 1.5));
    assert_true(genetic_is_better(-INFINITY, 0.5, -INFINITY, 1.5));
    assert_false(genetic_is_better(-INFINITY, 1.5, -INFINITY, 1.5));
}

static enum err search_once(void *context, struct error *err)
{
    struct genetic_result result = {0};
    enum err rc;

    watch_begin(&space_nasbench201, accuracy_of_cell, cost_of_cell, 90);
    rc = search(context, &result, err);
    genetic_result_close(&result);
    return rc;
}

static void memory_that_is_out_is_told(void **state)
{
    struct genetic_options options = plain;

    (void)state;
    make_cells(60);
    fail_each_allocation(search_once, &options);
    options.among = cells;
    options.n_among = 100;
    fail_each_allocation(search_once, &options);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_best_of_many_peaks_is_found),
        counted_test(accuracies_may_be_of_any_scale),
        counted_test(the_exhaustive_optimum_of_the_true_accuracies_is_found),
        counted_test(an_optimum_that_is_known_and_elsewhere_is_found),
        counted_test(the_same_seed_gives_the_same_search),
        counted_test(the_search_is_the_same_on_every_machine),
        counted_test(a_search_stops_at_any_report),
        counted_test(an_error_of_the_evaluation_ends_the_search),
        counted_test(a_limit_that_none_keeps_gives_the_lowest_cost),
        counted_test(what_nobody_knows_the_accuracy_of_is_never_the_answer),
        counted_test(where_no_accuracy_is_known_nothing_is_feasible),
        counted_test(populations_of_any_size_use_their_evaluations),
        counted_test(the_most_evaluations_are_kept),
        counted_test(a_search_begins_with_its_seeds),
        counted_test(of_equal_seeds_the_first_counts),
        counted_test(more_seeds_than_a_population_fill_the_first_generation_alone),
        counted_test(a_search_that_begins_with_the_best_keeps_it),
        counted_test(a_search_that_begins_with_nothing_given_is_the_plain_one),
        counted_test(a_space_smaller_than_the_population_is_evaluated_whole),
        counted_test(options_out_of_range_are_named),
        counted_test(of_some_architectures_the_best_is_found_early),
        counted_test(nothing_else_is_looked_at),
        counted_test(the_feasible_go_first_and_the_infeasible_by_their_cost),
        counted_test(memory_that_is_out_is_told),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

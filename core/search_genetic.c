#include "core/search_genetic.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/search_genetic_state.h"

enum { STALE_GENERATIONS = 8 }; /* without a better one, until the neighbourhood is searched */

struct genetic_options genetic_defaults(const struct space *space, size_t evaluations)
{
    size_t n = GENETIC_DEFAULT_EVALUATIONS;
    size_t population_size = 10;

    if (evaluations > 0) {
        n = evaluations;
    } else if (space->n_architectures > 0) {
        n = (space->n_architectures / GENETIC_NUMBERED_SHARE + 99) / 100 * 100;
    }
    while (population_size * population_size < n) {
        population_size += 10;
    }
    return (struct genetic_options){
        .population_size = population_size,
        .n_generations = (n + population_size - 1) / population_size,
        .crossover_rate = 2,
        .mutation_rate = 0.05,
        .n_elite = population_size / 2,
        .accuracy_base = GENETIC_DEFAULT_ACCURACY_BASE,
        .evaluations_max = n,
    };
}

bool genetic_is_better(double accuracy, double cost, double than_accuracy, double than_cost)
{
    const bool is_known = accuracy > -INFINITY;
    const bool than_is_known = than_accuracy > -INFINITY;
    const bool is_feasible = is_known && cost <= 1;

    if (is_known != than_is_known) {
        return is_known;
    }
    if (is_feasible != (than_is_known && than_cost <= 1)) {
        return is_feasible;
    }
    if (is_feasible && accuracy != than_accuracy) {
        return accuracy > than_accuracy;
    }
    if (cost != than_cost) {
        return cost < than_cost;
    }
    return accuracy > than_accuracy;
}

bool genetic_row_is_better(const struct genetic *s, size_t i, size_t j)
{
    const struct search_archive *a = &s->archive;

    if (a->accuracy[i] != a->accuracy[j] || a->cost[i] != a->cost[j]) {
        return genetic_is_better(a->accuracy[i], a->cost[i], a->accuracy[j], a->cost[j]);
    }
    return memcmp(search_archive_row(a, i), search_archive_row(a, j), a->n_genes) < 0;
}

/* ---- begin and end --------------------------------------------------------------------------- */

static enum err check_options(const struct genetic_options *o, struct error *err)
{
    const struct {
        const char *name;
        double value, min, max;
    } ranges[] = {
        {"population_size", (double)o->population_size, 1,                  (double)GENETIC_MAX_POPULATION },
        {"n_generations",   (double)o->n_generations,   1,                  (double)GENETIC_MAX_GENERATIONS},
        {"crossover_rate",  o->crossover_rate,          0,                  GENETIC_MAX_VALUE              },
        {"mutation_rate",   o->mutation_rate,           0,                  1                              },
        {"n_elite",         (double)o->n_elite,         0,                  (double)o->population_size     },
        {"accuracy_base",   o->accuracy_base,           -GENETIC_MAX_VALUE, GENETIC_MAX_VALUE              },
        {"evaluations_max", (double)o->evaluations_max, 0,                  (double)GENETIC_MAX_EVALUATIONS},
    };

    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        if (!(ranges[i].value >= ranges[i].min && ranges[i].value <= ranges[i].max)) {
            return error_set(err, ERR_INVALID,
                             "%s of the genetic search is %.10g; allowed is %.10g to %.10g",
                             ranges[i].name, ranges[i].value, ranges[i].min, ranges[i].max);
        }
    }
    return ERR_OK;
}

static size_t count_architectures(const struct space *space)
{
    size_t n = 1;

    for (size_t g = 0; g < space->n_genes; g++) {
        const size_t n_values = (size_t)space->genes[g].n_values;
        assert(n_values >= 1 && n_values <= UINT8_MAX + 1); /* a code is a byte */
        if (n > SIZE_MAX / n_values) {
            return SIZE_MAX;
        }
        n *= n_values;
    }
    return n;
}

/* Changes of two genes to other values: half of (sum)^2 - sum of squares. */
static size_t count_moves(const struct space *space)
{
    size_t sum = 0;
    size_t sum_squares = 0;

    for (size_t g = 0; g < space->n_genes; g++) {
        const size_t n_others = (size_t)space->genes[g].n_values - 1;
        sum += n_others;
        sum_squares += n_others * n_others;
    }
    return (sum * sum - sum_squares) / 2;
}

static void genetic_close(struct genetic *s)
{
    search_archive_close(&s->archive);
    search_additive_close(&s->model);
    mem_free(s->population);
    mem_free(s->spare);
    mem_free(s->chances);
    mem_free(s->genes);
    mem_free(s->moves);
    genetic_among_close(s);
}

static enum err genetic_init(struct genetic *s, struct error *err)
{
    const size_t population_size = s->options->population_size;
    enum err rc;

    rng_init(&s->rng, s->options->seed);
    s->archive.n_genes = s->space->n_genes;
    s->n_architectures = count_architectures(s->space);
    s->population = mem_calloc(2 * population_size, sizeof *s->population);
    s->spare = mem_calloc(2 * population_size, sizeof *s->spare);
    s->chances = mem_calloc(population_size, sizeof *s->chances);
    s->genes = mem_calloc(population_size * s->space->n_genes, sizeof *s->genes);
    s->moves = mem_calloc(count_moves(s->space), sizeof *s->moves);
    if (s->population == NULL || s->spare == NULL || s->chances == NULL || s->genes == NULL ||
        s->moves == NULL) {
        return error_set(err, ERR_NOMEM, "memory is out for a population of %zu", population_size);
    }
    rc = genetic_among_init(s, err);
    return rc != ERR_OK ? rc : search_additive_init(&s->model, s->space, err);
}

void genetic_result_close(struct genetic_result *result)
{
    mem_free(result->history);
    result->history = NULL;
}

/* ---- a generation ---------------------------------------------------------------------------- */

static void read_genes(const struct genetic *s, size_t row, int32_t *genes)
{
    const uint8_t *codes = search_archive_row(&s->archive, row);

    for (size_t g = 0; g < s->space->n_genes; g++) {
        genes[g] = gene_value(&s->space->genes[g], codes[g]);
    }
}

/* Adds what the search was told to begin with; at most `n`. */
static void add_seeds(struct genetic *s, size_t n)
{
    const size_t n_genes = s->space->n_genes;

    for (size_t i = 0; i < s->options->n_seeds && s->archive.n < n; i++) {
        const int32_t *genes = s->options->seeds + i * n_genes;
        uint8_t codes[SPACE_MAX_GENES];
        for (size_t g = 0; g < n_genes; g++) {
            codes[g] = (uint8_t)gene_index(&s->space->genes[g], genes[g]);
        }
        (void)genetic_add_exactly(s, codes);
    }
}

/* Adds the generation's architectures to the archive, at most `n`. */
static void propose(struct genetic *s, size_t n)
{
    const size_t before = s->archive.n;

    if (s->n_population > 0 && s->n_stale >= STALE_GENERATIONS) {
        s->is_nearby = true;
    }
    if (s->is_nearby) {
        genetic_add_nearby(s, n);
        if (s->archive.n == before) { /* nothing more is to be found there */
            s->n_population = 0;
        }
    }
    if (s->n_population == 0) {
        s->is_nearby = false;
        if (before == 0) {
            add_seeds(s, n);
        }
        genetic_add_random(s, n - (s->archive.n - before));
    } else if (s->archive.n - before < n) {
        genetic_add_children(s, n - (s->archive.n - before));
    }
}

/* Takes in what the caller said of a row. The model learns that what has no accuracy is as bad as
 * the worst, since it is no use. */
static enum err learn(struct genetic *s, size_t row, struct error *err)
{
    struct search_archive *a = &s->archive;
    const bool is_known = !isnan(a->accuracy[row]);

    if ((is_known && !(fabs(a->accuracy[row]) <= GENETIC_MAX_VALUE)) ||
        !(fabs(a->cost[row]) <= GENETIC_MAX_VALUE)) {
        return error_set(err, ERR_NUMERIC,
                         "an architecture has accuracy %g and cost %g; at most %g is allowed",
                         a->accuracy[row], a->cost[row], GENETIC_MAX_VALUE);
    }
    if (is_known) {
        s->worst = fmin(s->worst, a->accuracy[row]);
    } else {
        a->accuracy[row] = -INFINITY;
    }
    if (s->worst < INFINITY) {
        search_additive_learn(&s->model, search_archive_row(a, row),
                              is_known ? a->accuracy[row] : s->worst, a->cost[row]);
    }
    return ERR_OK;
}

/* Evaluates the rows from `from` on. */
static enum err evaluate(struct genetic *s, size_t from, struct error *err)
{
    struct search_archive *a = &s->archive;
    enum err rc;

    for (size_t row = from; row < a->n; row++) {
        read_genes(s, row, s->genes + (row - from) * s->space->n_genes);
        a->accuracy[row] = a->cost[row] = NAN; /* so that what is left unsaid is noticed */
    }
    rc = s->hooks->evaluate(s->hooks->context, s->genes, a->n - from, a->accuracy + from,
                            a->cost + from, err);
    if (rc != ERR_OK) {
        return rc;
    }
    for (size_t row = from; row < a->n; row++) {
        rc = learn(s, row, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

/* Sorts `rows` (n), the best first: by merging, since qsort(3) would not know the archive. `spare`
 * has room for n. */
static void sort_rows(const struct genetic *s, size_t *rows, size_t n, size_t *spare)
{
    for (size_t width = 1; width < n; width *= 2) {
        for (size_t from = 0; from < n; from += 2 * width) {
            const size_t middle = from + width < n ? from + width : n;
            const size_t end = middle + width < n ? middle + width : n;
            size_t i = from;
            size_t j = middle;
            for (size_t k = from; k < end; k++) {
                const bool is_second =
                    i == middle || (j < end && genetic_row_is_better(s, rows[j], rows[i]));
                spare[k] = is_second ? rows[j++] : rows[i++];
            }
        }
        memcpy(rows, spare, n * sizeof *rows);
    }
}

/* The next population: the elite and the rows from `from` on, and where they are too few, more of
 * the old one. */
static void select_survivors(struct genetic *s, size_t from)
{
    const size_t population_size = s->options->population_size;
    const size_t n_new = s->archive.n - from;
    size_t n_kept = s->options->n_elite > 0 ? s->options->n_elite : 1;

    n_kept = n_kept + n_new < population_size ? population_size - n_new : n_kept;
    n_kept = n_kept < s->n_population ? n_kept : s->n_population;
    for (size_t i = 0; i < n_new; i++) {
        s->population[n_kept + i] = from + i;
    }
    s->n_population = n_kept + n_new;
    sort_rows(s, s->population, s->n_population, s->spare);
    if (s->n_population > population_size) {
        s->n_population = population_size;
    }
}

/* Finds what is best now, the rows from `from` on being new. `is_new_run` where the population has
 * begun anew with them. */
static void note_best(struct genetic *s, size_t from, bool is_new_run)
{
    bool is_improved = is_new_run;

    s->run_best = is_new_run ? from : s->run_best;
    for (size_t row = from; row < s->archive.n; row++) {
        if (genetic_row_is_better(s, row, s->run_best)) {
            s->run_best = row;
            is_improved = true;
        }
    }
    if (from == 0 || genetic_row_is_better(s, s->run_best, s->best)) {
        s->best = s->run_best;
    }
    s->n_stale = is_improved ? 0 : s->n_stale + 1;
    s->n_pair_rounds = is_improved ? 0 : s->n_pair_rounds;
}

static struct genetic_generation describe(const struct genetic *s, size_t from)
{
    const struct search_archive *a = &s->archive;
    size_t n_feasible = 0;

    for (size_t row = from; row < a->n; row++) {
        n_feasible += genetic_row_is_feasible(s, row);
    }
    return (struct genetic_generation){
        .n_evaluated = a->n - from,
        .feasible_share = (double)n_feasible / (double)(a->n - from),
        .is_feasible = genetic_row_is_feasible(s, s->best),
        .accuracy = a->accuracy[s->best],
        .cost = a->cost[s->best],
    };
}

static enum err tell(const struct genetic *s, const struct genetic_result *result,
                     struct error *err)
{
    int32_t genes[SPACE_MAX_GENES];
    const struct genetic_progress progress = {
        .generation = result->n_generations,
        .n_generations = s->options->n_generations,
        .n_evaluated = s->archive.n,
        .is_feasible = genetic_row_is_feasible(s, s->best),
        .genes = genes,
        .accuracy = s->archive.accuracy[s->best],
        .cost = s->archive.cost[s->best],
    };

    read_genes(s, s->best, genes);
    if (s->hooks->progress != NULL && !s->hooks->progress(s->hooks->context, &progress)) {
        return error_set(err, ERR_CANCELED, "the search was stopped in generation %zu of %zu",
                         result->n_generations, s->options->n_generations);
    }
    return ERR_OK;
}

/* One generation of at most `n_max` new architectures. */
static enum err run_generation(struct genetic *s, size_t n_max, struct genetic_result *result,
                               struct error *err)
{
    const size_t from = s->archive.n;
    enum err rc = search_archive_reserve(&s->archive, n_max, err);

    if (rc != ERR_OK) {
        return rc;
    }
    propose(s, n_max);
    rc = evaluate(s, from, err);
    if (rc != ERR_OK) {
        return rc;
    }
    note_best(s, from, s->n_population == 0);
    select_survivors(s, from);
    result->history[result->n_generations++] = describe(s, from);
    return tell(s, result, err);
}

static enum err run(struct genetic *s, struct genetic_result *result, struct error *err)
{
    const struct genetic_options *o = s->options;
    size_t n_most = o->evaluations_max > 0 ? o->evaluations_max : GENETIC_MAX_EVALUATIONS;

    n_most = n_most < s->n_architectures ? n_most : s->n_architectures;
    while (result->n_generations < o->n_generations && s->archive.n < n_most) {
        const size_t n_left = n_most - s->archive.n;
        const size_t n = n_left < o->population_size ? n_left : o->population_size;
        enum err rc = run_generation(s, n, result, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    read_genes(s, s->best, result->genes);
    result->n_evaluated = s->archive.n;
    result->accuracy = s->archive.accuracy[s->best];
    result->cost = s->archive.cost[s->best];
    result->is_feasible = genetic_row_is_feasible(s, s->best);
    return ERR_OK;
}

enum err search_genetic(const struct space *space, const struct genetic_options *options,
                        const struct genetic_hooks *hooks, struct genetic_result *out,
                        struct error *err)
{
    struct genetic search = {.space = space, .options = options, .hooks = hooks, .worst = INFINITY};
    struct genetic_result result = {0};
    enum err rc = check_options(options, err);

    if (rc != ERR_OK) {
        return rc;
    }
    result.history = mem_calloc(options->n_generations, sizeof *result.history);
    if (result.history == NULL) {
        return error_set(err, ERR_NOMEM, "memory is out for %zu generations",
                         options->n_generations);
    }
    rc = genetic_init(&search, err);
    if (rc == ERR_OK) {
        rc = run(&search, &result, err);
    }
    genetic_close(&search);
    if (rc != ERR_OK) {
        genetic_result_close(&result);
        return rc;
    }
    *out = result;
    return ERR_OK;
}

#include "core/search_front.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/search_archive.h"
#include "core/search_pareto.h"

enum {
    SEARCHES_MAX = 12,         /* pieces of a front */
    SEARCH_GENERATIONS_MIN = 2 /* fewer a search are not worth one */
};

/* A row that a search may begin with. */
struct candidate {
    double accuracy, cost;
    uint32_t row;
};

/* All searches of a front. */
struct front {
    const struct space *space;
    const struct genetic_options *options;
    const struct front_hooks *hooks;
    double latency_limit_ms;       /* of the front */
    struct search_archive archive; /* its cost is the latency in ms */
    double *others;                /* (archive.capacity), owned: cost by the other limits */
    size_t others_capacity;
    double limit_ms;              /* of the search under way */
    bool is_for_fastest;          /* it seeks low latency, whatever the accuracy */
    int32_t *seeds;               /* (population_size, n_genes), owned */
    struct candidate *candidates; /* owned; room for `candidates_capacity` */
    size_t candidates_capacity;
    size_t best; /* row of the best by the front's limits, once there are rows */
    struct genetic_generation *history; /* owned; those that looked at something new */
    size_t n_generations, history_capacity;
};

static void front_close(struct front *f)
{
    search_archive_close(&f->archive);
    mem_free(f->others);
    mem_free(f->seeds);
    mem_free(f->candidates);
    mem_free(f->history);
}

void front_result_close(struct front_result *result)
{
    mem_free(result->genes);
    mem_free(result->accuracy);
    mem_free(result->latency_ms);
    mem_free(result->history);
    memset(result, 0, sizeof *result);
}

static void to_codes(const struct space *space, const int32_t *genes, uint8_t *codes)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        codes[g] = (uint8_t)gene_index(&space->genes[g], genes[g]);
    }
}

static void to_genes(const struct front *f, size_t row, int32_t *genes)
{
    const uint8_t *codes = search_archive_row(&f->archive, row);

    for (size_t g = 0; g < f->space->n_genes; g++) {
        genes[g] = gene_value(&f->space->genes[g], codes[g]);
    }
}

/* ---- evaluations, none twice ----------------------------------------------------------------- */

static enum err reserve(struct front *f, size_t n_more, struct error *err)
{
    enum err rc = search_archive_reserve(&f->archive, n_more, err);
    double *others;

    if (rc != ERR_OK || f->others_capacity >= f->archive.capacity) {
        return rc;
    }
    others = mem_resize(f->others, f->archive.capacity, sizeof *others);
    if (others == NULL) {
        return error_set(err, ERR_NOMEM, "memory is out for %zu architectures",
                         f->archive.capacity);
    }
    f->others = others;
    f->others_capacity = f->archive.capacity;
    return ERR_OK;
}

static double cost_of(const struct front *f, size_t row, double limit_ms)
{
    return fmax(f->archive.cost[row] / limit_ms, f->others[row]);
}

/* By the front's limits; one of unknown accuracy is not. */
static bool is_feasible(const struct front *f, size_t row)
{
    return !isnan(f->archive.accuracy[row]) && cost_of(f, row, f->latency_limit_ms) <= 1.0;
}

/* What the search under way is to make of a row: one of unknown accuracy is of no use to any. */
static void tell_worth(const struct front *f, size_t row, double *accuracy, double *cost)
{
    const bool is_latency = f->is_for_fastest && !isnan(f->archive.accuracy[row]);

    *accuracy = is_latency ? -f->archive.cost[row] : f->archive.accuracy[row];
    *cost = f->is_for_fastest ? f->others[row] : cost_of(f, row, f->limit_ms);
}

static enum err check_worth(const struct front *f, size_t from, struct error *err)
{
    for (size_t row = from; row < f->archive.n; row++) {
        const double accuracy = f->archive.accuracy[row];
        const double latency_ms = f->archive.cost[row];
        if (!(latency_ms > 0.0 && latency_ms <= GENETIC_MAX_VALUE &&
              !(fabs(accuracy) > GENETIC_MAX_VALUE) && fabs(f->others[row]) <= GENETIC_MAX_VALUE)) {
            return error_set(err, ERR_NUMERIC,
                             "an architecture has accuracy %g, latency %g ms and cost %g", accuracy,
                             latency_ms, f->others[row]);
        }
    }
    return ERR_OK;
}

/* Notes the best of all, and a generation whose rows are those from `from` on. */
static enum err keep_generation(struct front *f, size_t from, struct error *err)
{
    struct search_archive *a = &f->archive;
    size_t n_feasible = 0;
    double best_cost;

    if (f->n_generations == f->history_capacity) {
        const size_t capacity = 2 * f->history_capacity + 64;
        struct genetic_generation *history = mem_resize(f->history, capacity, sizeof *history);
        if (history == NULL) {
            return error_set(err, ERR_NOMEM, "memory is out for %zu generations", capacity);
        }
        f->history = history;
        f->history_capacity = capacity;
    }
    best_cost = cost_of(f, f->best, f->latency_limit_ms);
    for (size_t row = from; row < a->n; row++) {
        const double cost = cost_of(f, row, f->latency_limit_ms);
        n_feasible += is_feasible(f, row);
        if (genetic_is_better(a->accuracy[row], cost, a->accuracy[f->best], best_cost)) {
            f->best = row;
            best_cost = cost;
        }
    }
    f->history[f->n_generations++] = (struct genetic_generation){
        .n_evaluated = a->n - from,
        .feasible_share = (double)n_feasible / (double)(a->n - from),
        .is_feasible = is_feasible(f, f->best),
        .accuracy = a->accuracy[f->best],
        .cost = best_cost,
    };
    return ERR_OK;
}

static enum err evaluate(void *context, const int32_t *genes, size_t n, double *accuracy,
                         double *cost, struct error *err)
{
    struct front *f = context;
    const size_t n_genes = f->space->n_genes;
    const size_t from = f->archive.n;
    int32_t *new_genes = mem_calloc(n, n_genes * sizeof *new_genes);
    enum err rc = new_genes != NULL ? reserve(f, n, err)
                                    : error_set(err, ERR_NOMEM, "memory is out for a generation");

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        uint8_t codes[SPACE_MAX_GENES];
        to_codes(f->space, genes + i * n_genes, codes);
        if (search_archive_add(&f->archive, codes)) {
            memcpy(new_genes + (f->archive.n - 1 - from) * n_genes, genes + i * n_genes,
                   n_genes * sizeof *genes);
        }
    }
    for (size_t row = from; rc == ERR_OK && row < f->archive.n; row++) {
        /* so that what is left unsaid is noticed */
        f->archive.accuracy[row] = f->archive.cost[row] = f->others[row] = NAN;
    }
    if (rc == ERR_OK && f->archive.n > from) {
        rc = f->hooks->evaluate(f->hooks->context, new_genes, f->archive.n - from,
                                f->archive.accuracy + from, f->archive.cost + from,
                                f->others + from, err);
        rc = rc != ERR_OK ? rc : check_worth(f, from, err);
        rc = rc != ERR_OK ? rc : keep_generation(f, from, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        uint8_t codes[SPACE_MAX_GENES];
        to_codes(f->space, genes + i * n_genes, codes);
        tell_worth(f, search_archive_find(&f->archive, codes), &accuracy[i], &cost[i]);
    }
    mem_free(new_genes);
    return rc;
}

/* Tells of all searches, after a generation of the one under way. */
static bool tell_progress(void *context, const struct genetic_progress *progress)
{
    const struct front *f = context;
    const size_t n_most = f->options->n_generations;
    const double cost = cost_of(f, f->best, f->latency_limit_ms);
    int32_t genes[SPACE_MAX_GENES];
    const struct genetic_progress whole = {
        .generation = f->n_generations < n_most ? f->n_generations : n_most,
        .n_generations = n_most,
        .n_evaluated = f->archive.n,
        .is_feasible = is_feasible(f, f->best),
        .genes = genes,
        .accuracy = f->archive.accuracy[f->best],
        .cost = cost,
    };

    (void)progress;
    to_genes(f, f->best, genes);
    return f->hooks->progress == NULL || f->hooks->progress(f->hooks->context, &whole);
}

/* ---- what a search begins with --------------------------------------------------------------- */

static int compare_candidates(const void *x, const void *y)
{
    const struct candidate *p = x;
    const struct candidate *q = y;

    if (genetic_is_better(p->accuracy, p->cost, q->accuracy, q->cost)) {
        return -1;
    }
    if (genetic_is_better(q->accuracy, q->cost, p->accuracy, p->cost)) {
        return 1;
    }
    return (p->row > q->row) - (p->row < q->row);
}

/* Fills f->seeds with the best that were seen, by the search under way; returns how many. */
static enum err choose_seeds(struct front *f, size_t *n_seeds, struct error *err)
{
    const size_t n = f->archive.n;
    const size_t most = (f->options->population_size + 1) / 2;

    if (n == 0) {
        *n_seeds = 0;
        return ERR_OK;
    }
    if (f->candidates == NULL || f->candidates_capacity < n) {
        mem_free(f->candidates);
        f->candidates = mem_calloc(f->archive.capacity, sizeof *f->candidates);
        f->candidates_capacity = f->candidates != NULL ? f->archive.capacity : 0;
        if (f->candidates == NULL) {
            return error_set(err, ERR_NOMEM, "memory is out for %zu architectures", n);
        }
    }
    for (size_t row = 0; row < n; row++) {
        struct candidate *c = &f->candidates[row];
        tell_worth(f, row, &c->accuracy, &c->cost);
        c->row = (uint32_t)row;
    }
    qsort(f->candidates, n, sizeof *f->candidates, compare_candidates);
    *n_seeds = n < most ? n : most;
    for (size_t i = 0; i < *n_seeds; i++) {
        to_genes(f, f->candidates[i].row, f->seeds + i * f->space->n_genes);
    }
    return ERR_OK;
}

/* ---- searches -------------------------------------------------------------------------------- */

/* One search, with about `n_evaluations` new ones. */
static enum err run(struct front *f, size_t n_evaluations, struct error *err)
{
    struct genetic_options options = *f->options;
    const struct genetic_hooks hooks = {f, evaluate, tell_progress};
    struct genetic_result result = {0};
    size_t n_seeds = 0;
    enum err rc = choose_seeds(f, &n_seeds, err);

    if (rc != ERR_OK) {
        return rc;
    }
    options.seeds = f->seeds;
    options.n_seeds = n_seeds;
    options.seed = f->options->seed + f->n_generations; /* another one each time */
    options.evaluations_max = n_evaluations + n_seeds;
    options.n_generations = GENETIC_MAX_GENERATIONS < options.evaluations_max
                                ? GENETIC_MAX_GENERATIONS
                                : options.evaluations_max;
    rc = search_genetic(f->space, &options, &hooks, &result, err);
    genetic_result_close(&result);
    return rc;
}

/* Latency of the fastest row, and of the most accurate one under the front's limits; false where
 * none keeps them. */
static bool find_range(const struct front *f, double *lowest_ms, double *highest_ms)
{
    double best = -INFINITY;

    *lowest_ms = INFINITY;
    *highest_ms = 0.0;
    for (size_t row = 0; row < f->archive.n; row++) {
        const double latency_ms = f->archive.cost[row];
        if (isnan(f->archive.accuracy[row])) {
            continue;
        }
        *lowest_ms = fmin(*lowest_ms, latency_ms);
        if (f->others[row] <= 1.0 && latency_ms <= f->latency_limit_ms &&
            (f->archive.accuracy[row] > best ||
             (f->archive.accuracy[row] == best && latency_ms < *highest_ms))) {
            best = f->archive.accuracy[row];
            *highest_ms = latency_ms;
        }
    }
    return *highest_ms > 0.0;
}

/* Whether nothing is left to look at. */
static bool is_all(const struct front *f)
{
    const size_t n_among = f->options->n_among;
    const size_t n = n_among > 0 ? n_among : f->space->n_architectures;

    return n > 0 && f->archive.n == n;
}

static enum err run_all(struct front *f, struct error *err)
{
    const size_t n_asked = f->options->population_size * f->options->n_generations;
    const size_t n_most = n_asked < GENETIC_MAX_EVALUATIONS ? n_asked : GENETIC_MAX_EVALUATIONS;
    size_t n_searches = f->options->n_generations / SEARCH_GENERATIONS_MIN;
    double lowest_ms = 0.0;
    double highest_ms = 0.0;
    enum err rc = ERR_OK;

    n_searches = n_searches < 1 ? 1 : n_searches > SEARCHES_MAX ? SEARCHES_MAX : n_searches;
    for (size_t i = 0; rc == ERR_OK && i < n_searches; i++) {
        if (i > 0 && (f->archive.n >= n_most || is_all(f))) {
            break; /* options out of range are for the first to refuse */
        }
        f->is_for_fastest = i == 1;
        f->limit_ms = f->latency_limit_ms;
        if (i > 1 && find_range(f, &lowest_ms, &highest_ms)) {
            /* evenly on a logarithmic scale, the range's ends left out */
            const double share = (double)(i - 1) / (double)(n_searches - 1);
            f->limit_ms = highest_ms * pow(lowest_ms / highest_ms, share);
        }
        rc = run(f, (n_most - f->archive.n + n_searches - i - 1) / (n_searches - i), err);
    }
    return rc;
}

/* ---- the front of all ------------------------------------------------------------------------ */

/* Rows that keep the front's limits: of rows numbered anew, the old numbers. */
static size_t list_feasible(const struct front *f, size_t *rows, double *accuracy,
                            double *latency_ms)
{
    size_t n = 0;

    for (size_t row = 0; row < f->archive.n; row++) {
        if (!isnan(f->archive.accuracy[row]) && f->others[row] <= 1.0 &&
            f->archive.cost[row] <= f->latency_limit_ms) {
            rows[n] = row;
            accuracy[n] = f->archive.accuracy[row];
            latency_ms[n++] = f->archive.cost[row];
        }
    }
    return n;
}

static enum err fill_result(const struct front *f, const size_t *rows, const double *accuracy,
                            const double *latency_ms, const size_t *front, struct front_result *out,
                            struct error *err)
{
    const size_t n = out->n_front;

    out->genes = mem_calloc(n, f->space->n_genes * sizeof *out->genes);
    out->accuracy = mem_calloc(n, sizeof *out->accuracy);
    out->latency_ms = mem_calloc(n, sizeof *out->latency_ms);
    if (out->genes == NULL || out->accuracy == NULL || out->latency_ms == NULL) {
        return error_set(err, ERR_NOMEM, "memory is out for a front of %zu architectures", n);
    }
    for (size_t i = 0; i < n; i++) {
        to_genes(f, rows[front[i]], out->genes + i * f->space->n_genes);
        out->accuracy[i] = accuracy[front[i]];
        out->latency_ms[i] = latency_ms[front[i]];
    }
    return ERR_OK;
}

static enum err conclude(struct front *f, struct front_result *out, struct error *err)
{
    const size_t n = f->archive.n;
    size_t *rows = mem_calloc(2 * n, sizeof *rows);
    double *values = mem_calloc(2 * n, sizeof *values);
    double highest_ms;
    size_t n_feasible;
    enum err rc = ERR_OK;

    if (rows == NULL || values == NULL) {
        rc = error_set(err, ERR_NOMEM, "memory is out for a front");
    } else {
        n_feasible = list_feasible(f, rows, values, values + n);
        rc = search_pareto(values, values + n, n_feasible, rows + n, &out->n_front, err);
        rc = rc != ERR_OK ? rc : fill_result(f, rows, values, values + n, rows + n, out, err);
    }
    mem_free(rows);
    mem_free(values);
    if (rc == ERR_OK) {
        (void)find_range(f, &out->lowest_latency_ms, &highest_ms);
        out->n_evaluated = n;
        out->history = f->history;
        out->n_generations = f->n_generations;
        f->history = NULL;
    }
    return rc;
}

enum err search_front(const struct space *space, const struct genetic_options *options,
                      const struct front_hooks *hooks, double latency_limit_ms,
                      struct front_result *out, struct error *err)
{
    struct front front = {
        .space = space,
        .options = options,
        .hooks = hooks,
        .latency_limit_ms = latency_limit_ms,
        .archive = {.n_genes = space->n_genes},
    };
    struct front_result result = {0};
    enum err rc;

    front.seeds = mem_calloc(options->population_size, space->n_genes * sizeof *front.seeds);
    rc = front.seeds != NULL ? run_all(&front, err)
                             : error_set(err, ERR_NOMEM, "memory is out for a population");
    rc = rc != ERR_OK ? rc : conclude(&front, &result, err);
    front_close(&front);
    if (rc != ERR_OK) {
        front_result_close(&result);
        return rc;
    }
    *out = result;
    return ERR_OK;
}

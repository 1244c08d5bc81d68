#include "server/run_nas.h"

#include <math.h>
#include <string.h>

#include "core/calibration.h"
#include "core/interval.h"
#include "core/mem.h"
#include "core/pareto_front.h"
#include "core/search.h"
#include "core/search_front.h"
#include "core/search_genetic.h"
#include "core/search_pareto.h"
#include "proto/plot_search.h"
#include "server/network_file.h"
#include "server/unmeasured.h"

/* Architectures that are predicted between two looks whether to stop: some milliseconds' worth, of a
 * predictor that looks them up and of one that computes. */
enum { CHUNK_ROWS = 512, COMPUTED_ROWS = 8 };

/* A search under way. */
struct search {
    const struct nas_subject *subject;
    const struct job_nas_params *params;
    const struct nas_hooks *hooks;
    const struct space *space;
    double factors[JOB_MAX_TARGETS]; /* of each device that is not measured */
    bool is_any_unmeasured;
    double level, quantile;   /* of intervals */
    struct job_progress told; /* last */
    /* for architectures that are evaluated now: (capacity) each, owned */
    size_t capacity;
    double *rate, *spread; /* of what is not measured (server/unmeasured.h) */
    /* where measurements have a part, else NULL: of the predictor, and (n_targets) an architecture */
    double *a, *sd;
    double *latency_ms, *spread_of;
    struct search_network fastest; /* of all that were evaluated: the least beyond its limits */
    double fastest_cost;           /* infinite as long as there is none */
    double lowest_latency_ms;
    struct search_sample looked_at;
    struct pareto_front front; /* of all that were evaluated and keep the limits, to be told */
    struct job_front front_told;
};

static void search_close(struct search *s)
{
    mem_free(s->rate);
    mem_free(s->spread);
    mem_free(s->a);
    mem_free(s->sd);
    mem_free(s->latency_ms);
    mem_free(s->spread_of);
    search_sample_close(&s->looked_at);
}

/* The calibration of a target; NULL where there is none. */
static const struct fitted *fitted_of(const struct search *s, size_t target)
{
    return s->subject->calibration != NULL ? s->subject->calibration->of[target] : NULL;
}

static void find_factors(struct search *s)
{
    for (size_t t = 0; t < s->params->n_targets; t++) {
        const bool is_measured = fitted_of(s, t) != NULL;
        s->is_any_unmeasured = s->is_any_unmeasured || !is_measured;
        s->factors[t] = is_measured
                            ? (double)NAN /* measurements tell */
                            : unmeasured_factor(s->subject->model, &s->subject->sheets[t].hardware);
    }
}

/* Room for `capacity` architectures. */
static enum err search_alloc(struct search *s, struct error *err)
{
    const size_t n = s->capacity;
    const size_t n_targets = s->params->n_targets;
    const bool is_calibrated = s->subject->calibration != NULL;
    const struct {
        double **block;
        size_t size; /* of a row */
    } blocks[] = {
        {&s->rate,       1                            },
        {&s->spread,     1                            },
        {&s->a,          is_calibrated ? 1 : 0        },
        {&s->sd,         is_calibrated ? 1 : 0        },
        {&s->latency_ms, is_calibrated ? n_targets : 0},
        {&s->spread_of,  is_calibrated ? n_targets : 0},
    };

    for (size_t i = 0; i < sizeof blocks / sizeof *blocks && blocks[i].size > 0; i++) {
        *blocks[i].block = mem_calloc(n, blocks[i].size * sizeof **blocks[i].block);
        if (*blocks[i].block == NULL) {
            return error_set(err, ERR_NOMEM, "no memory to search %zu architectures", n);
        }
    }
    return ERR_OK;
}

static enum err search_init(struct search *s, const struct nas_subject *subject,
                            const struct nas_hooks *hooks, size_t capacity, struct error *err)
{
    enum err rc;

    *s = (struct search){
        .subject = subject,
        .params = subject->params,
        .hooks = hooks,
        .space = subject->model->predictor->space,
        .level =
            subject->params->confidence > 0.0 ? subject->params->confidence : SEARCH_DEFAULT_LEVEL,
        .capacity = capacity,
        .fastest_cost = INFINITY,
        .lowest_latency_ms = INFINITY,
        .told = {.stage = "predicting", .loss = NAN, .latency_ms = NAN, .seconds_left = NAN},
    };
    s->quantile = interval_quantile(s->level);
    search_sample_init(&s->looked_at, s->params->n_targets);
    find_factors(s);
    rc = search_alloc(s, err);
    if (rc != ERR_OK) {
        search_close(s);
    }
    return rc;
}

static enum err tell(struct search *s, struct error *err)
{
    if (s->hooks == NULL) {
        return ERR_OK;
    }
    if (s->front_told.n_changes != s->front.n_changes) {
        s->front_told.n = pareto_front_thin(&s->front, JOB_FRONT_MAX, s->front_told.accuracy,
                                            s->front_told.latency_ms);
        s->front_told.n_changes = s->front.n_changes;
        s->told.front = &s->front_told;
    }
    return s->hooks->progress(s->hooks->context, &s->told)
               ? ERR_OK
               : error_set(err, ERR_CANCELED, "the search was stopped");
}

/* ---- what architectures are worth ------------------------------------------------------------ */

/* Of the row-th architecture that was predicted last, on a target. */
static double median_ms(const struct search *s, size_t row, size_t target)
{
    return s->latency_ms != NULL ? s->latency_ms[row * s->params->n_targets + target]
                                 : s->rate[row] * s->factors[target];
}

/* Its spread (core/interval.h). */
static double spread_of(const struct search *s, size_t row, size_t target)
{
    return s->spread_of != NULL ? s->spread_of[row * s->params->n_targets + target]
                                : s->spread[row];
}

/* Fills in what measurements make of a row that was predicted; without them there is nothing to do. */
static void correct(struct search *s, const int32_t *genes, size_t row)
{
    for (size_t t = 0; s->latency_ms != NULL && t < s->params->n_targets; t++) {
        const struct fitted *fitted = fitted_of(s, t);
        const size_t at = row * s->params->n_targets + t;
        if (fitted != NULL) {
            calibration_predict(fitted->calibration, genes, &s->a[row], &s->sd[row], 1,
                                &s->latency_ms[at], &s->spread_of[at]);
        } else {
            s->latency_ms[at] = s->rate[row] * s->factors[t];
            s->spread_of[at] = s->spread[row];
        }
    }
}

/* The latency that has to keep the limit: the median, or with a confidence the upper bound. */
static double held_ms(const struct search *s, size_t row, size_t target)
{
    if (s->params->confidence <= 0.0) {
        return median_ms(s, row, target);
    }
    return median_ms(s, row, target) * exp(s->quantile * spread_of(s, row, target));
}

/* How many times its latencies are beyond their limits, where there are limits. */
static double latency_cost(const struct search *s, size_t row)
{
    double cost = 0.0;

    for (size_t t = 0; t < s->params->n_targets; t++) {
        const double limit_ms = s->params->targets[t].latency_constraint_ms;
        if (limit_ms > 0.0) {
            cost = fmax(cost, held_ms(s, row, t) / limit_ms);
        }
    }
    return cost;
}

/* The same of MACs and parameters. */
static enum err size_cost(const struct search *s, const int32_t *genes, double *cost,
                          struct error *err)
{
    struct cost counted;
    enum err rc;

    *cost = 0.0;
    if (s->params->macs_max <= 0.0 && s->params->params_max <= 0.0) {
        return ERR_OK;
    }
    rc = space_count(s->space, genes, &counted, err);
    if (rc == ERR_OK && s->params->macs_max > 0.0) {
        *cost = (double)cost_total_macs(&counted) / s->params->macs_max;
    }
    if (rc == ERR_OK && s->params->params_max > 0.0) {
        *cost = fmax(*cost, (double)counted.params / s->params->params_max);
    }
    return rc;
}

/* Fills in what is told of a network besides its accuracy. */
static enum err describe(const struct search *s, const int32_t *genes, size_t row,
                         struct search_network *out, struct error *err)
{
    struct cost counted = {0};
    const bool is_counted =
        space_tells(s->space, SPACE_MACS) || space_tells(s->space, SPACE_PARAMS);
    enum err rc = is_counted ? space_count(s->space, genes, &counted, err) : ERR_OK;

    memcpy(out->genes, genes, s->space->n_genes * sizeof *genes);
    out->macs = cost_total_macs(&counted);
    out->params = counted.params;
    for (size_t t = 0; t < s->params->n_targets; t++) {
        const double spread = spread_of(s, row, t);
        out->latency_ms[t] = median_ms(s, row, t);
        interval_bounds(&out->latency_ms[t], &spread, 1, s->level, &out->low_ms[t],
                        &out->high_ms[t]);
    }
    return rc;
}

/* Notes the latency of an architecture, and whether it is the least beyond its limits of all. */
static enum err note_latency(struct search *s, const int32_t *genes, size_t row, double accuracy,
                             struct error *err)
{
    const double held = latency_cost(s, row);
    const double cost = held > 0.0 ? held : median_ms(s, row, 0); /* without limits the plain one */
    double latency_ms[JOB_MAX_TARGETS];
    enum err rc;

    for (size_t t = 0; t < s->params->n_targets; t++) {
        latency_ms[t] = median_ms(s, row, t);
    }
    rc = search_sample_add(&s->looked_at, accuracy, latency_ms, err);
    s->lowest_latency_ms = fmin(s->lowest_latency_ms, median_ms(s, row, 0));
    if (rc == ERR_OK && cost < s->fastest_cost) {
        s->fastest_cost = cost;
        s->fastest.accuracy = accuracy;
        rc = describe(s, genes, row, &s->fastest, err);
    }
    return rc;
}

/* Predicts n rows from row `first` on, by what is asked for of the model. */
static enum err predict_rows(struct search *s, const int32_t *genes, size_t first, size_t n,
                             struct error *err)
{
    const struct model *model = s->subject->model;
    const int32_t *rows = genes + first * s->space->n_genes;
    enum err rc = ERR_OK;

    if (s->is_any_unmeasured) {
        rc = unmeasured_predict(model, rows, n, s->rate + first, s->spread + first, err);
    }
    if (rc == ERR_OK && s->latency_ms != NULL) {
        rc = predictor_predict(model->predictor, rows, n, s->a + first, s->sd + first, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        correct(s, rows + i * s->space->n_genes, first + i);
    }
    return rc;
}

/* What n rows from row `first` on cost, which were predicted; notes what is told of them. */
static enum err price_rows(struct search *s, const int32_t *genes, size_t first, size_t n,
                           const double *accuracy, double *cost, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = first; rc == ERR_OK && i < first + n; i++) {
        const int32_t *row = genes + i * s->space->n_genes;
        rc = size_cost(s, row, &cost[i], err);
        if (rc == ERR_OK) {
            cost[i] = fmax(cost[i], latency_cost(s, i));
        }
        if (rc == ERR_OK && !isnan(accuracy[i])) { /* what nothing tells of is not searched */
            rc = note_latency(s, row, i, accuracy[i], err);
            if (cost[i] <= 1.0) {
                pareto_front_add(&s->front, accuracy[i], median_ms(s, i, 0));
            }
        }
    }
    return rc;
}

/* Predicts rows from the first on, and prices them where they have a `cost` (else it and `accuracy`
 * are NULL); the search's progress goes up to `percent` meanwhile. */
static enum err predict(struct search *s, const int32_t *genes, size_t n, const double *accuracy,
                        double *cost, double percent, struct error *err)
{
    const bool is_computed = s->subject->model->predictor->kind->batch_max > 0;
    const size_t n_most = is_computed ? COMPUTED_ROWS : CHUNK_ROWS;
    const double from = s->told.percent;
    enum err rc = ERR_OK;

    for (size_t done = 0; rc == ERR_OK && done < n;) {
        const size_t n_now = n - done < n_most ? n - done : n_most;
        s->told.percent = from + (percent - from) * (double)done / (double)n;
        rc = tell(s, err);
        rc = rc != ERR_OK ? rc : predict_rows(s, genes, done, n_now, err);
        if (rc == ERR_OK && cost != NULL) {
            rc = price_rows(s, genes, done, n_now, accuracy, cost, err);
        }
        done += n_now;
    }
    return rc;
}

/* ---- exhaustive ------------------------------------------------------------------------------ */

static enum err keep_found(const struct search *s, const int32_t *genes, size_t row,
                           double accuracy, struct search_report *report, struct error *err)
{
    report->is_feasible = true;
    report->found.accuracy = accuracy;
    return describe(s, genes, row, &report->found, err);
}

static void set_reference(const struct search *s, struct search_report *report)
{
    const double limit_ms = s->params->targets[0].latency_constraint_ms;

    report->reference_accuracy = 0.0;
    report->reference_latency_ms = limit_ms > 0.0 ? limit_ms
                                   : report->n_front > 0
                                       ? report->front[report->n_front - 1].latency_ms
                                       : 0.0;
}

/* The front of the rows of a cost of at most 1. */
static enum err list_front(const struct search *s, const struct accuracy_table *rows,
                           const double *cost, struct search_report *report, struct error *err)
{
    const size_t n = rows->architectures.n_rows;
    const size_t n_genes = s->space->n_genes;
    size_t *numbers = mem_calloc(2 * n, sizeof *numbers);
    double *values = mem_calloc(2 * n, sizeof *values);
    size_t *front = numbers != NULL ? numbers + n : NULL;
    size_t n_feasible = 0;
    enum err rc = numbers == NULL || values == NULL
                      ? error_set(err, ERR_NOMEM, "no memory for a front")
                      : ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (cost[i] <= 1.0) {
            numbers[n_feasible] = i;
            values[n_feasible] = rows->accuracy[i];
            values[n + n_feasible++] = median_ms(s, i, 0);
        }
    }
    rc = rc != ERR_OK ? rc
                      : search_pareto(values, values + n, n_feasible, front, &report->n_front, err);
    if (rc == ERR_OK) {
        report->front = mem_calloc(report->n_front, sizeof *report->front);
        rc = report->front != NULL ? ERR_OK : error_set(err, ERR_NOMEM, "no memory for a front");
    }
    for (size_t i = 0; rc == ERR_OK && i < report->n_front; i++) {
        struct search_point *point = &report->front[i];
        point->accuracy = values[front[i]];
        point->latency_ms = values[n + front[i]];
        memcpy(point->genes, rows->architectures.genes + numbers[front[i]] * n_genes,
               n_genes * sizeof *point->genes);
    }
    if (rc == ERR_OK) {
        set_reference(s, report);
        report->hypervolume =
            search_hypervolume(values, values + n, front, report->n_front,
                               report->reference_accuracy, report->reference_latency_ms);
    }
    mem_free(numbers);
    mem_free(values);
    return rc;
}

static enum err search_all(struct search *s, struct search_report *report, struct error *err)
{
    const struct accuracy_table *rows = &s->subject->accuracy->all;
    const size_t n = rows->architectures.n_rows;
    const int32_t *genes = rows->architectures.genes;
    double *cost = mem_calloc(n, sizeof *cost);
    const struct search_candidates candidates = {s->space, n, genes, rows->accuracy, cost};
    struct search_result found = {0};
    enum err rc = cost != NULL ? ERR_OK : error_set(err, ERR_NOMEM, "no memory for %zu costs", n);

    rc = rc != ERR_OK ? rc : predict(s, genes, n, rows->accuracy, cost, NAS_SEARCHED_PERCENT, err);
    if (rc == ERR_OK) {
        found = search_exhaustive(&candidates);
        report->n_evaluated = n;
    }
    if (rc == ERR_OK && found.is_feasible) {
        rc = keep_found(s, genes + found.best * s->space->n_genes, found.best,
                        rows->accuracy[found.best], report, err);
    }
    if (rc == ERR_OK && s->params->objective == SEARCH_PARETO) {
        rc = list_front(s, rows, cost, report, err);
    }
    mem_free(cost);
    return rc;
}

/* ---- genetic --------------------------------------------------------------------------------- */

/* Predicts and prices a generation; an accuracy that nothing tells is NaN. */
static enum err evaluate_rows(struct search *s, const int32_t *genes, size_t n, double *accuracy,
                              double *cost, struct error *err)
{
    enum err rc = accuracy_source_predict(&s->subject->accuracy->source, genes, n, accuracy, err);

    return rc != ERR_OK ? rc : predict(s, genes, n, accuracy, cost, s->told.percent, err);
}

static enum err evaluate(void *context, const int32_t *genes, size_t n, double *accuracy,
                         double *cost, struct error *err)
{
    return evaluate_rows(context, genes, n, accuracy, cost, err);
}

/* For the front, whose limit is of the median, or with a confidence of the upper bound. */
static enum err evaluate_for_front(void *context, const int32_t *genes, size_t n, double *accuracy,
                                   double *latency_ms, double *cost, struct error *err)
{
    struct search *s = context;
    enum err rc = evaluate_rows(s, genes, n, accuracy, cost, err);

    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        latency_ms[i] = median_ms(s, i, 0);
    }
    return rc;
}

static bool tell_generation(void *context, const struct genetic_progress *now)
{
    struct search *s = context;
    const struct job_nas_params *params = s->params;
    const bool is_known = now->is_feasible && now->accuracy > 0.0;
    /* the cost tells the latency where nothing else may be what it is of */
    const bool is_latency = params->n_targets == 1 && params->confidence <= 0.0 &&
                            params->macs_max <= 0.0 && params->params_max <= 0.0 &&
                            params->objective == SEARCH_ACCURACY;

    s->told.percent = NAS_SEARCHED_PERCENT * (double)now->generation / (double)now->n_generations;
    s->told.stage = "searching";
    s->told.generation = now->generation;
    s->told.n_generations = now->n_generations;
    s->told.accuracy = is_known ? now->accuracy : 0.0;
    s->told.latency_ms = is_latency ? now->cost * params->targets[0].latency_constraint_ms : NAN;
    return tell(s, NULL) == ERR_OK;
}

static enum err keep_history(const struct genetic_generation *history, size_t n,
                             struct search_report *report, struct error *err)
{
    report->history = mem_calloc(n, sizeof *report->history);
    if (report->history == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu generations", n);
    }
    report->n_generations = n;
    for (size_t i = 0; i < n; i++) {
        report->history[i] = (struct search_generation){
            .n_evaluated = history[i].n_evaluated,
            .feasible_share = history[i].feasible_share,
            .is_feasible = history[i].is_feasible,
            .accuracy = history[i].accuracy,
        };
    }
    return ERR_OK;
}

/* Predicts the network that was found once more, for what is told of it. */
static enum err keep_genes(struct search *s, const int32_t *genes, double accuracy,
                           struct search_report *report, struct error *err)
{
    enum err rc = predict(s, genes, 1, NULL, NULL, s->told.percent, err);

    return rc != ERR_OK ? rc : keep_found(s, genes, 0, accuracy, report, err);
}

/* Of accuracies that a table tells there are no others to look at. */
static struct genetic_options genetic_options_of(const struct search *s)
{
    const struct job_nas_params *params = s->params;
    const struct accuracy_known *accuracy = s->subject->accuracy;
    const struct dataset *rows = accuracy->source.is_table ? &accuracy->all.architectures : NULL;

    return (struct genetic_options){
        .population_size = (size_t)params->population_size,
        .n_generations = (size_t)params->generations,
        .crossover_rate = params->crossover_rate,
        .mutation_rate = params->mutation_rate,
        .n_elite = (size_t)params->population_size / 2, /* as genetic_defaults() has it */
        .accuracy_base = GENETIC_DEFAULT_ACCURACY_BASE,
        .seed = (uint64_t)params->seed,
        .among = rows != NULL ? rows->genes : NULL,
        .n_among = rows != NULL ? rows->n_rows : 0,
    };
}

static enum err search_bred(struct search *s, struct search_report *report, struct error *err)
{
    const struct genetic_options options = genetic_options_of(s);
    const struct genetic_hooks hooks = {s, evaluate, tell_generation};
    struct genetic_result result = {0};
    enum err rc = search_genetic(s->space, &options, &hooks, &result, err);

    if (rc != ERR_OK) {
        return rc;
    }
    report->n_evaluated = result.n_evaluated;
    rc = keep_history(result.history, result.n_generations, report, err);
    if (rc == ERR_OK && result.is_feasible) {
        rc = keep_genes(s, result.genes, result.accuracy, report, err);
    }
    genetic_result_close(&result);
    return rc;
}

static enum err keep_front(const struct search *s, const struct front_result *result,
                           struct search_report *report, struct error *err)
{
    const size_t n = result->n_front;
    const size_t n_genes = s->space->n_genes;
    size_t *order = mem_calloc(n, sizeof *order);

    report->front = mem_calloc(n, sizeof *report->front);
    if (report->front == NULL || order == NULL) {
        mem_free(order);
        return error_set(err, ERR_NOMEM, "no memory for a front");
    }
    report->n_front = n;
    for (size_t i = 0; i < n; i++) {
        memcpy(report->front[i].genes, result->genes + i * n_genes,
               n_genes * sizeof *result->genes);
        report->front[i].accuracy = result->accuracy[i];
        report->front[i].latency_ms = result->latency_ms[i];
        order[i] = i;
    }
    set_reference(s, report);
    report->hypervolume =
        search_hypervolume(result->accuracy, result->latency_ms, order, n,
                           report->reference_accuracy, report->reference_latency_ms);
    mem_free(order);
    return ERR_OK;
}

static enum err search_front_bred(struct search *s, struct search_report *report, struct error *err)
{
    const struct genetic_options options = genetic_options_of(s);
    const struct front_hooks hooks = {s, evaluate_for_front, tell_generation};
    const double limit_ms = s->params->targets[0].latency_constraint_ms;
    struct front_result result = {0};
    enum err rc = search_front(s->space, &options, &hooks, limit_ms > 0.0 ? limit_ms : INFINITY,
                               &result, err);

    if (rc != ERR_OK) {
        return rc;
    }
    report->n_evaluated = result.n_evaluated;
    rc = keep_history(result.history, result.n_generations, report, err);
    rc = rc != ERR_OK ? rc : keep_front(s, &result, report, err);
    if (rc == ERR_OK && result.n_front > 0) {
        const size_t last = result.n_front - 1; /* the most accurate */
        rc = keep_genes(s, result.genes + last * s->space->n_genes, result.accuracy[last], report,
                        err);
    }
    front_result_close(&result);
    return rc;
}

/* ---- from outside ---------------------------------------------------------------------------- */

static enum search_method method_of(const struct job_nas_params *params, bool can_list)
{
    if (params->method != SEARCH_BY_DEFAULT) {
        return params->method;
    }
    return can_list ? SEARCH_EXHAUSTIVE : SEARCH_GENETIC;
}

enum err nas_check(const struct space *space, const struct job_nas_params *params, bool can_list,
                   const char **pointer, struct error *err)
{
    if (method_of(params, can_list) == SEARCH_EXHAUSTIVE && !can_list) {
        *pointer = "method";
        return error_set(err, ERR_INVALID,
                         "%s has too many architectures to look at all; \"genetic\" searches it",
                         space->name);
    }
    return ERR_OK;
}

/* What is known before the search. */
static enum err begin_report(const struct nas_subject *subject, const struct search *search,
                             struct search_report *report, struct error *err)
{
    const size_t n_targets = subject->params->n_targets;

    memcpy(report->sheets, subject->sheets, n_targets * sizeof *report->sheets);
    report->level = search->level;
    report->is_calibrated = subject->calibration != NULL;
    for (size_t t = 0; report->is_calibrated && t < n_targets; t++) {
        const struct fitted *fitted = subject->calibration->of[t];
        report->n_measurements[t] = fitted != NULL ? fitted->told.n_measurements : 0;
    }
    accuracy_source_put_json(&subject->accuracy->source, &report->accuracy_source);
    return report->accuracy_source.has_failed ? error_set(err, ERR_NOMEM, "no memory for a report")
                                              : ERR_OK;
}

static enum err search_by_method(struct search *search, struct search_report *report,
                                 struct error *err)
{
    if (report->method == SEARCH_EXHAUSTIVE) {
        return search_all(search, report, err);
    }
    return report->params->objective == SEARCH_PARETO ? search_front_bred(search, report, err)
                                                      : search_bred(search, report, err);
}

enum err run_nas(const struct nas_subject *subject, const struct nas_hooks *hooks,
                 struct search_report *out, struct error *err)
{
    const struct job_nas_params *params = subject->params;
    const struct accuracy_known *accuracy = subject->accuracy;
    struct search_report report = {
        .space = subject->model->predictor->space,
        .params = params,
        .method = method_of(params, accuracy->has_all),
        .predictor = subject->model->predictor->kind->name,
        .version = subject->model->info.version,
    };
    const size_t capacity = report.method == SEARCH_EXHAUSTIVE ? accuracy->all.architectures.n_rows
                                                               : (size_t)params->population_size;
    struct search search;
    const char *pointer;
    enum err rc = nas_check(report.space, params, accuracy->has_all, &pointer, err);

    rc = rc != ERR_OK ? rc : search_init(&search, subject, hooks, capacity, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = begin_report(subject, &search, &report, err);
    rc = rc == ERR_OK ? search_by_method(&search, &report, err) : rc;
    if (rc == ERR_OK) { /* with the front of all */
        search.told.percent = NAS_SEARCHED_PERCENT;
        rc = tell(&search, err);
    }
    report.has_fastest = isfinite(search.fastest_cost);
    report.fastest = search.fastest;
    report.lowest_latency_ms = search.lowest_latency_ms;
    report.looked_at = search.looked_at;
    search.looked_at = (struct search_sample){0};
    search_close(&search);
    if (rc != ERR_OK) {
        search_report_close(&report);
        return rc;
    }
    *out = report;
    return ERR_OK;
}

/* Files that are being written, and how far they are. */
struct writing {
    const struct nas_hooks *hooks;
    double percent;
};

static bool go_on_writing(void *context)
{
    const struct writing *writing = context;
    const struct job_progress progress = {
        .percent = writing->percent,
        .stage = "writing",
        .loss = NAN,
        .latency_ms = NAN,
        .seconds_left = NAN,
    };

    return writing->hooks == NULL || writing->hooks->progress(writing->hooks->context, &progress);
}

enum err run_nas_stage(const struct search_report *report, const struct nas_files *files,
                       const struct nas_hooks *hooks, struct result_batch *batch, struct error *err)
{
    const char *const paths[] = {files->onnx, files->torchscript};
    const size_t n_paths = sizeof paths / sizeof *paths;
    struct writing writing = {.hooks = hooks};
    struct graph graph = {0};
    enum err rc = ERR_OK;

    if (!report->is_feasible || (files->onnx == NULL && files->torchscript == NULL)) {
        return ERR_OK;
    }
    rc = graph_build(report->space, report->found.genes, (uint64_t)report->params->seed, &graph,
                     err);
    batch->may_go_on = go_on_writing;
    batch->context = &writing;
    for (size_t i = 0; rc == ERR_OK && i < n_paths; i++) {
        uint64_t n_bytes;
        writing.percent =
            NAS_SEARCHED_PERCENT + (100.0 - NAS_SEARCHED_PERCENT) * (double)i / (double)n_paths;
        rc = result_go_on(batch, err);
        if (rc == ERR_OK && paths[i] != NULL) {
            rc = network_format_of(paths[i])->stage(&graph, batch, paths[i], &n_bytes, err);
        }
    }
    batch->may_go_on = NULL;
    batch->context = NULL;
    graph_close(&graph);
    return rc;
}

enum err run_nas_stage_plot(const char *path, const struct search_report *report,
                            struct result_batch *batch, struct error *err)
{
    struct text text = {0};
    enum err rc = plot_search(report, &text, err);

    rc = rc != ERR_OK ? rc : result_stage(batch, path, text.bytes, text.size, err);
    text_close(&text);
    return rc;
}

#include "proto/msg_search.h"

#include <inttypes.h>
#include <string.h>

#include "core/mem.h"
#include "proto/msg_architecture.h"

void search_report_close(struct search_report *report)
{
    mem_free(report->front);
    mem_free(report->history);
    search_sample_close(&report->looked_at);
    text_close(&report->accuracy_source);
    memset(report, 0, sizeof *report);
}

/* ---- members, each with a comma before it ---------------------------------------------------- */

static void put_number(struct text *out, const char *name, double value)
{
    text_printf(out, ",\"%s\":", name);
    text_put_json_number(out, value);
}

static void put_exact(struct text *out, const char *name, double value)
{
    text_printf(out, ",\"%s\":", name);
    text_put_json_number_exact(out, value);
}

/* null where there is no text. */
static void put_string(struct text *out, const char *name, const char *value)
{
    text_printf(out, ",\"%s\":", name);
    if (value != NULL && value[0] != '\0') {
        text_put_json_string(out, value);
    } else {
        text_puts(out, "null");
    }
}

static void put_nulls(struct text *out, const char *const *names, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text_printf(out, ",\"%s\":null", names[i]);
    }
}

/* A limit, null where there is none. */
static void put_limit(struct text *out, const char *name, double limit)
{
    if (limit > 0.0) {
        put_exact(out, name, limit);
    } else {
        put_nulls(out, &name, 1);
    }
}

static void put_hardware(struct text *out, const struct hardware *hardware)
{
    text_puts(out, ",\"hardware\":");
    if (hardware->frequency_ghz > 0.0) {
        msg_hardware_put(hardware, out);
    } else {
        text_puts(out, "null"); /* measurements alone tell what it is */
    }
}

static void put_interval(struct text *out, const struct search_network *network, size_t target)
{
    text_puts(out, ",\"interval_ms\":[");
    text_put_json_number(out, network->low_ms[target]);
    text_puts(out, ",");
    text_put_json_number(out, network->high_ms[target]);
    text_puts(out, "]");
}

/* ---- networks -------------------------------------------------------------------------------- */

static void put_genes(const struct space *space, const int32_t *genes, struct text *out)
{
    text_puts(out, "\"architecture\":[");
    for (size_t g = 0; g < space->n_genes; g++) {
        text_printf(out, "%s%" PRId32, g > 0 ? "," : "", genes[g]);
    }
    text_puts(out, "]");
}

/* Genes, notation, accuracy and costs. */
static void put_network(const struct search_report *report, const struct search_network *network,
                        struct text *out)
{
    char notation[SPACE_TEXT_BYTES];

    put_genes(report->space, network->genes, out);
    space_print(report->space, network->genes, notation);
    put_string(out, "notation", notation);
    put_number(out, "accuracy", network->accuracy);
    msg_architecture_put_total(report->space, SPACE_MACS, network->macs, out);
    msg_architecture_put_total(report->space, SPACE_PARAMS, network->params, out);
}

/* The network that was found, or nulls; its latency where there is one target. */
static void put_found(const struct search_report *report, struct text *out)
{
    static const char *const nulls[] = {"notation", "accuracy",   "macs",
                                        "params",   "latency_ms", "interval_ms"};

    text_printf(out, ",\"feasible\":%s,", report->is_feasible ? "true" : "false");
    if (!report->is_feasible) {
        text_puts(out, "\"architecture\":null");
        put_nulls(out, nulls, sizeof nulls / sizeof *nulls);
        return;
    }
    put_network(report, &report->found, out);
    if (report->params->n_targets == 1) {
        put_number(out, "latency_ms", report->found.latency_ms[0]);
        put_interval(out, &report->found, 0);
    } else {
        put_nulls(out, nulls + 4, 2);
    }
}

/* What came nearest where nothing was found. */
static void put_fastest(const struct search_report *report, struct text *out)
{
    if (report->is_feasible || !report->has_fastest) {
        text_puts(out, ",\"fastest\":null");
        return;
    }
    text_puts(out, ",\"fastest\":{");
    put_network(report, &report->fastest, out);
    if (report->params->n_targets == 1) {
        put_number(out, "latency_ms", report->fastest.latency_ms[0]);
        put_interval(out, &report->fastest, 0);
    }
    text_puts(out, "}");
}

/* ---- the search ------------------------------------------------------------------------------ */

/* The device where there is one; with several, `targets` tells. */
static void put_single_target(const struct search_report *report, struct text *out)
{
    static const char *const nulls[] = {"device", "hardware", "latency_constraint_ms"};
    const struct device_sheet *sheet = &report->sheets[0];

    if (report->params->n_targets > 1) {
        put_nulls(out, nulls, sizeof nulls / sizeof *nulls);
        return;
    }
    put_string(out, "device", sheet->name);
    put_hardware(out, &sheet->hardware);
    put_limit(out, "latency_constraint_ms", report->params->targets[0].latency_constraint_ms);
}

/* The targets as they were, and the network on each where there is one. */
static void put_targets(const struct search_report *report, struct text *out)
{
    static const char *const nulls[] = {"latency_ms", "interval_ms"};
    const struct search_network *network = report->is_feasible ? &report->found : &report->fastest;

    text_puts(out, ",\"targets\":[");
    for (size_t i = 0; i < report->params->n_targets; i++) {
        const struct device_sheet *sheet = &report->sheets[i];
        text_printf(out, "%s{\"estimated\":%s", i > 0 ? "," : "",
                    sheet->is_estimated ? "true" : "false");
        put_string(out, "device", sheet->name);
        put_hardware(out, &sheet->hardware);
        put_string(out, "chip", sheet->chip);
        put_string(out, "source", sheet->source);
        put_limit(out, "latency_constraint_ms", report->params->targets[i].latency_constraint_ms);
        if (report->is_feasible || report->has_fastest) {
            put_number(out, "latency_ms", network->latency_ms[i]);
            put_interval(out, network, i);
        } else {
            put_nulls(out, nulls, sizeof nulls / sizeof *nulls);
        }
        if (report->is_calibrated) {
            text_printf(out, ",\"measurements\":%zu", report->n_measurements[i]);
        }
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

static void put_front(const struct search_report *report, struct text *out)
{
    text_puts(out, ",\"front\":[");
    for (size_t i = 0; i < report->n_front; i++) {
        const struct search_point *point = &report->front[i];
        text_puts(out, i > 0 ? ",{" : "{");
        put_genes(report->space, point->genes, out);
        put_number(out, "accuracy", point->accuracy);
        put_number(out, "latency_ms", point->latency_ms);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

static void put_hypervolume(const struct search_report *report, struct text *out)
{
    if (report->params->objective != SEARCH_PARETO) {
        return;
    }
    text_printf(out, ",\"n_front\":%zu", report->n_front);
    put_number(out, "hypervolume", report->hypervolume);
    put_number(out, "reference_accuracy", report->reference_accuracy);
    put_number(out, "reference_latency_ms", report->reference_latency_ms);
}

static void put_history(const struct search_report *report, struct text *out)
{
    text_puts(out, ",\"history\":[");
    for (size_t i = 0; i < report->n_generations; i++) {
        const struct search_generation *g = &report->history[i];
        text_printf(out, "%s{\"generation\":%zu,\"n_evaluated\":%zu", i > 0 ? "," : "", i + 1,
                    g->n_evaluated);
        put_number(out, "feasible_share", g->feasible_share);
        text_puts(out, ",\"accuracy\":");
        if (g->is_feasible) {
            text_put_json_number(out, g->accuracy);
        } else {
            text_puts(out, "null");
        }
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

static void put_settings(const struct search_report *report, struct text *out)
{
    const struct job_nas_params *params = report->params;

    put_string(out, "objective", search_objective_name(params->objective));
    put_string(out, "method", search_method_name(report->method));
    put_limit(out, "confidence", params->confidence);
    put_limit(out, "macs_max", params->macs_max);
    put_limit(out, "params_max", params->params_max);
    text_printf(out, ",\"seed\":%" PRId64, params->seed);
    if (report->method == SEARCH_GENETIC) {
        text_printf(out, ",\"population_size\":%" PRId64 ",\"generations\":%" PRId64,
                    params->population_size, params->generations);
        put_exact(out, "crossover_rate", params->crossover_rate);
        put_exact(out, "mutation_rate", params->mutation_rate);
    }
}

void msg_search_put(const struct search_report *report, bool is_whole, struct text *out)
{
    text_puts(out, "{\"search_space\":");
    text_put_json_string(out, report->space->name);
    put_single_target(report, out);
    put_settings(report, out);
    put_found(report, out);
    put_exact(out, "interval", report->level);
    put_fastest(report, out);
    put_number(out, "lowest_latency_ms", report->lowest_latency_ms);
    put_targets(report, out);
    put_hypervolume(report, out);
    if (report->params->objective == SEARCH_PARETO) {
        put_front(report, out);
    }
    put_string(out, "predictor", report->predictor);
    put_string(out, "version", report->version);
    text_puts(out, ",\"accuracy_source\":");
    text_put(out, report->accuracy_source.bytes, report->accuracy_source.size);
    text_printf(out, ",\"n_evaluated\":%zu", report->n_evaluated);
    if (is_whole) {
        put_history(report, out);
    }
}

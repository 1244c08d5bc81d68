/* What bench_core.c and search_peer.c search: a space, with the latency and accuracy predictors that
 * the service would use, and a device. Header only; single-threaded. */
#ifndef DGLD_TESTS_BENCH_SEARCH_PROBLEM_H
#define DGLD_TESTS_BENCH_SEARCH_PROBLEM_H

#include <math.h>
#include <string.h>

#include "core/device.h"
#include "core/search_genetic.h"
#include "server/accuracy_source.h"
#include "server/clock.h"
#include "server/model_store.h"

struct search_problem {
    const struct space *space;
    struct model latency;
    struct accuracy_source source;
    double factor;                /* k of the device */
    double limit_ms;              /* of the search that runs */
    double latency_s, accuracy_s; /* what its predictions took */
};

/* Models are those of the root's result tree; accuracies those of the data path ("-": the root's
 * predictor, whatever data there are). */
static inline enum err search_problem_open(struct search_problem *p, const char *root,
                                           const char *data_path, const struct space *space,
                                           const struct hardware *hardware, struct error *err)
{
    struct data_tree tree;
    char path[PATH_BYTES];
    enum err rc = data_tree_init(&tree, root, strcmp(data_path, "-") == 0 ? NULL : data_path, err);

    *p = (struct search_problem){
        .space = space, .source = {.space = space}, .factor = hardware_factor(hardware)};
    rc = rc != ERR_OK ? rc : model_store_path(root, space, path, err);
    rc = rc != ERR_OK ? rc : model_store_load(path, space, &p->latency, NULL, err);
    if (rc == ERR_OK && strcmp(data_path, "-") == 0) {
        rc = accuracy_store_load(root, space, &p->source.model, err);
    } else if (rc == ERR_OK) {
        rc = accuracy_source_open(&tree, space, &p->source, err);
    }
    return rc;
}

static inline void search_problem_close(struct search_problem *p)
{
    model_close(&p->latency);
    accuracy_source_close(&p->source);
}

/* Accuracies (NaN where the source has none) and latencies of n architectures, genes (n, n_genes). */
static inline enum err search_problem_ask(struct search_problem *p, const int32_t *genes, size_t n,
                                          double *accuracy, double *latency_ms, struct error *err)
{
    const double start = monotonic_seconds();
    double middle;
    enum err rc = predictor_predict(p->latency.predictor, genes, n, latency_ms, NULL, err);

    middle = monotonic_seconds();
    rc = rc != ERR_OK ? rc : accuracy_source_predict(&p->source, genes, n, accuracy, err);
    for (size_t i = 0; i < n; i++) {
        latency_ms[i] *= p->factor; /* A so far */
    }
    p->latency_s += middle - start;
    p->accuracy_s += monotonic_seconds() - middle;
    return rc;
}

/* For struct genetic_hooks. */
static inline enum err search_problem_evaluate(void *context, const int32_t *genes, size_t n,
                                               double *accuracy, double *cost, struct error *err)
{
    struct search_problem *p = context;
    enum err rc = search_problem_ask(p, genes, n, accuracy, cost, err);

    for (size_t i = 0; i < n; i++) {
        cost[i] /= p->limit_ms;
    }
    return rc;
}

static inline enum err search_problem_search(struct search_problem *p, double limit_ms,
                                             const struct genetic_options *options,
                                             struct genetic_result *result, struct error *err)
{
    const struct genetic_hooks hooks = {p, search_problem_evaluate, NULL};

    p->limit_ms = limit_ms;
    p->latency_s = p->accuracy_s = 0.0;
    return search_genetic(p->space, options, &hooks, result, err);
}

#endif

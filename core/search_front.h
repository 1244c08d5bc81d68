/* Genetic search for the front of accuracy and latency, for spaces too large to look at whole: what
 * cannot be had more accurate without being slower (core/search_pareto.h tells it of what was looked
 * at).
 *
 * The front is sought in pieces: for one latency limit after another, from none to tight ones, the
 * most accurate architecture is searched (core/search_genetic.h), each search beginning with the best
 * that those before it have seen; and once the fastest. The result is the front of all that were
 * evaluated on the way, none of them twice. The same space, options and values give the same result
 * on every machine. Reentrant. */
#ifndef DGLD_CORE_SEARCH_FRONT_H
#define DGLD_CORE_SEARCH_FRONT_H

#include "core/search_genetic.h"

struct front_hooks {
    void *context; /* the caller's own */
    /* Says what `n` architectures, genes (n, n_genes), are worth. accuracy (n): the higher the
     * better; NaN where it is unknown: those are not part of the front. latency_ms (n): positive.
     * cost (n): at most 1 where the architecture keeps all limits but that of latency, else how many
     * times it is beyond. All else is finite. No architecture comes twice. An error ends the
     * search. */
    enum err (*evaluate)(void *context, const int32_t *genes, size_t n, double *accuracy,
                         double *latency_ms, double *cost, struct error *err);
    /* As of struct genetic_hooks, of all searches together: the generation may stay the same, and the
     * best is the most accurate so far by the front's limits, the cost being how far it is beyond. */
    bool (*progress)(void *context, const struct genetic_progress *progress);
};

struct front_result {
    size_t n_front;
    int32_t *genes;                /* (n_front, n_genes), owned; by latency, the fastest first */
    double *accuracy, *latency_ms; /* (n_front) each, owned */
    size_t n_evaluated;            /* in all */
    double lowest_latency_ms;      /* of those whose accuracy is known, else infinite */
    /* (n_generations), owned: of all searches together, those that evaluated something; the best as
     * above */
    struct genetic_generation *history;
    size_t n_generations;
};

/* Searches with at most as many evaluations as population_size times n_generations of the options, or
 * GENETIC_MAX_EVALUATIONS where that is more. Of the front is what keeps `latency_limit_ms` (infinite:
 * there is none) and has a cost of at most 1; it is empty where nothing does. Errors as of
 * search_genetic(). The caller ends `out` with front_result_close(). */
enum err search_front(const struct space *space, const struct genetic_options *options,
                      const struct front_hooks *hooks, double latency_limit_ms,
                      struct front_result *out, struct error *err);

/* Accepts a zeroed struct. */
void front_result_close(struct front_result *result);

#endif

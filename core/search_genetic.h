/* Genetic search for the most accurate architecture under limits, for spaces too large to look at
 * whole. It knows neither files nor predictors: the caller says what an architecture is worth.
 *
 * A generation is a population of parents, chosen by roulette on accuracy, and their children, by
 * crossover and mutation. What is added to the textbook's: no architecture is evaluated twice;
 * children are chosen by a rough model of what the search has seen (core/search_additive.h); when
 * the best no longer improves, its neighbourhood is searched; when that is exhausted, the
 * population starts anew and only the best of all is kept.
 *
 * The same space, options and values give the same result on every machine. Reentrant: searches in
 * several threads do not meet. */
#ifndef DGLD_CORE_SEARCH_GENETIC_H
#define DGLD_CORE_SEARCH_GENETIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"

#define GENETIC_MAX_POPULATION  ((size_t)10000)
#define GENETIC_MAX_GENERATIONS ((size_t)100000)
#define GENETIC_MAX_EVALUATIONS ((size_t)1000000)
/* Accuracies and costs are at most so far from 0. */
#define GENETIC_MAX_VALUE       1e15

struct genetic_options {
    size_t population_size; /* 1 .. GENETIC_MAX_POPULATION */
    size_t n_generations;   /* 1 .. GENETIC_MAX_GENERATIONS, the first, random one included */
    /* At least 0: probability that a child has two parents; from 1 on it always has. */
    double crossover_rate;
    double mutation_rate; /* 0 .. 1: probability that a gene of a child changes */
    /* 0 .. population_size: parents sure to stay where they are among the best. 0 keeps the best
     * alone, since a search must not lose it. */
    size_t n_elite;
    /* Chances to be a parent are as the accuracy above this, or above that of the worst feasible
     * parent where all are better than this or none is. Those below, and the infeasible, have a
     * small one. Any scale will do; the reference's is 70. */
    double accuracy_base;
    uint64_t seed;
    size_t evaluations_max; /* 0: GENETIC_MAX_EVALUATIONS */
    /* What the first generation begins with, before it takes random ones: (n_seeds, n_genes), valid,
     * borrowed; of equal ones the first counts, and what is more than a population does not. */
    const int32_t *seeds;
    size_t n_seeds;
    /* Where n_among is not 0: the search looks at these alone, (n_among, n_genes), valid, borrowed, at
     * most UINT32_MAX, as at the rows of a table. What it would have looked at otherwise stands for
     * the nearest of them that is left, by the number of genes that differ. */
    const int32_t *among;
    size_t n_among;
};

#define GENETIC_DEFAULT_ACCURACY_BASE 70.0

/* Evaluations where nobody says how many: the reference's; of a space that can be numbered a share,
 * to whole hundreds, which finds the best of nasbench201 in at least 95 of 100 searches. */
#define GENETIC_DEFAULT_EVALUATIONS ((size_t)10000)
#define GENETIC_NUMBERED_SHARE      8 /* one of so many */

/* What a user gets who says nothing but, perhaps, how many evaluations there may be, 0 to
 * GENETIC_MAX_EVALUATIONS (0: as above). Crossover 2 and mutation 0.05 are the reference's; half of
 * the population is elite. There are about as many generations as architectures in each, which are
 * tens: 10,000 evaluations are the reference's 100 generations of 100, the 2,000 of nasbench201 are
 * 40 of 50. A few large generations would leave no time to learn. The seed is 0. */
struct genetic_options genetic_defaults(const struct space *space, size_t evaluations);

/* How far a search is. */
struct genetic_progress {
    size_t generation, n_generations; /* generations done, and how many there are at most */
    size_t n_evaluated;
    bool is_feasible;
    const int32_t *genes; /* of the best so far, borrowed for the call */
    double accuracy, cost;
};

struct genetic_hooks {
    void *context; /* the caller's own */
    /* Says what `n` architectures, genes (n, n_genes), are worth: all new ones of a generation,
     * none ever a second time, at most population_size. accuracy (n): the higher the better; NaN
     * where nobody knows it, as of what a table does not hold: then the architecture is never the
     * answer, and the search takes it for as bad as the worst. cost (n): at most 1 where the
     * architecture keeps all limits, else how many times it is beyond. All else is finite. An error
     * ends the search. */
    enum err (*evaluate)(void *context, const int32_t *genes, size_t n, double *accuracy,
                         double *cost, struct error *err);
    /* Called after every generation; returns false to end the search with ERR_CANCELED. May be
     * NULL. */
    bool (*progress)(void *context, const struct genetic_progress *progress);
};

struct genetic_generation {
    size_t n_evaluated;    /* new architectures in it, at least 1 */
    double feasible_share; /* of those, 0 .. 1 */
    bool is_feasible;      /* whether anything so far is ... */
    double accuracy, cost; /* ... and the best so far */
};

/* The best of all that were evaluated and have an accuracy: of those with a cost of at most 1 the
 * most accurate; of equally accurate ones that of the lower cost, then the one whose genes come
 * first in order, as in search_exhaustive(). Where none is feasible, that of the lowest cost. Where
 * none has an accuracy, it is not feasible, and the accuracy is -INFINITY. */
struct genetic_result {
    bool is_feasible;
    int32_t genes[SPACE_MAX_GENES];
    double accuracy, cost;
    size_t n_evaluated;
    struct genetic_generation *history; /* (n_generations), owned */
    size_t n_generations;               /* that took place */
};

/* Ends when the generations or the evaluations are used up or all there is to look at is evaluated. On
 * success the caller ends `out` with genetic_result_close(). ERR_INVALID names the option that is
 * out of range; ERR_NUMERIC where a value is not finite; ERR_CANCELED; ERR_NOMEM; what evaluate
 * gave. */
enum err search_genetic(const struct space *space, const struct genetic_options *options,
                        const struct genetic_hooks *hooks, struct genetic_result *out,
                        struct error *err);

/* Whether these values are better than those, by what makes a genetic_result. Equal ones are not.
 * An accuracy that nobody knows is -INFINITY here. */
bool genetic_is_better(double accuracy, double cost, double than_accuracy, double than_cost);

/* Accepts a zeroed struct. */
void genetic_result_close(struct genetic_result *result);

#endif

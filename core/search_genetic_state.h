/* What the parts of the genetic search share: core/search_genetic.c runs the generations,
 * core/search_breed.c makes children, core/search_nearby.c looks around the best. Not for
 * others. */
#ifndef DGLD_CORE_SEARCH_GENETIC_STATE_H
#define DGLD_CORE_SEARCH_GENETIC_STATE_H

#include <math.h>

#include "core/rng.h"
#include "core/search_additive.h"
#include "core/search_archive.h"
#include "core/search_genetic.h"

/* A pair of genes changed at once, and what the model makes of it. */
struct genetic_move {
    struct search_effect estimate;
    uint8_t gene[2], code[2];
};

/* Where some architectures alone may be looked at: all of them, each once, and which are left. */
struct genetic_among {
    struct search_archive all;
    uint32_t *left;  /* (n_left), owned: rows of `all` that are not in the search's archive ... */
    uint32_t *place; /* (all.n), owned: ... and where there a row stands */
    size_t n_left;
};

struct genetic {
    const struct space *space;
    const struct genetic_options *options;
    const struct genetic_hooks *hooks;
    struct rng rng;
    struct search_archive archive;
    struct genetic_among among;
    struct search_additive model;
    size_t n_architectures; /* to look at; SIZE_MAX where they are more than can be counted */

    size_t *population; /* (2 * population_size), owned: rows, the best first */
    size_t n_population;
    size_t *spare;              /* likewise, for sorting */
    double *chances;            /* (population_size), owned: cumulative, of the population */
    int32_t *genes;             /* (population_size, n_genes), owned: a generation's */
    struct genetic_move *moves; /* owned: room for every pair of two genes' values */
    double worst;               /* accuracy that is known; infinite where none is */
    size_t best;                /* row of the best of all */
    size_t run_best;            /* of those since the population last started anew */
    size_t n_stale;             /* generations in which that did not improve */
    size_t n_pair_rounds;       /* of pairs, about that one */
    bool is_nearby;             /* the neighbourhood is being searched */
};

static inline bool genetic_row_is_feasible(const struct genetic *s, size_t row)
{
    return s->archive.cost[row] <= 1 && s->archive.accuracy[row] > -INFINITY;
}

/* Whether row i is better than row j. */
bool genetic_row_is_better(const struct genetic *s, size_t i, size_t j);

/* Reads options->among, and counts s->n_architectures by it. ERR_NOMEM; to be closed all the same. */
enum err genetic_among_init(struct genetic *s, struct error *err);
void genetic_among_close(struct genetic *s);

/* Adds the architecture `codes`, unless it is there already or may not be looked at: then false.
 * There is room. */
bool genetic_add_exactly(struct genetic *s, const uint8_t *codes);
/* Adds it, or else one that is near it; the caller knows that some are left. `codes` is scratch. */
void genetic_add(struct genetic *s, uint8_t *codes);

/* The following add up to `n` architectures to the archive, none of which was there; fewer only
 * where they know of no more. There is room. */

/* Random ones, from anywhere in the space. */
void genetic_add_random(struct genetic *s, size_t n);
/* Children of the population, which is not empty. */
void genetic_add_children(struct genetic *s, size_t n);
/* What differs from the best of this run in one gene; where all that has been seen, in two genes,
 * as far as the model promises more. */
void genetic_add_nearby(struct genetic *s, size_t n);

#endif

/* What a search learns on the way about which gene values are good and which are dear: for accuracy
 * and cost each, a model that adds an effect of every gene's value. It is rough, and cheap: it
 * chooses which of several children is worth an evaluation. Belongs to one thread. */
#ifndef DGLD_CORE_SEARCH_ADDITIVE_H
#define DGLD_CORE_SEARCH_ADDITIVE_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"

struct search_effect {
    double accuracy, cost;
};

struct search_additive {
    size_t n_genes;
    size_t first[SPACE_MAX_GENES + 1]; /* where a gene's effects begin; the last: n of them all */
    struct search_effect base;         /* of every architecture */
    struct search_effect *effects;     /* owned: one for each value of each gene, gene by gene */
    size_t n_learned;
};

/* ERR_NOMEM. The caller ends it with search_additive_close(). */
enum err search_additive_init(struct search_additive *model, const struct space *space,
                              struct error *err);

/* Takes in one architecture's values, which are finite. `codes` (n_genes) are those of
 * core/search_archive.h, here and below. */
void search_additive_learn(struct search_additive *model, const uint8_t *codes, double accuracy,
                           double cost);

/* What the model makes of an architecture; zeroes before anything was learned. */
struct search_effect search_additive_estimate(const struct search_additive *model,
                                              const uint8_t *codes);

/* What a gene's value adds to that. */
static inline const struct search_effect *
search_additive_effect(const struct search_additive *model, size_t gene, uint8_t code)
{
    return &model->effects[model->first[gene] + code];
}

/* Accepts a zeroed struct. */
void search_additive_close(struct search_additive *model);

#endif

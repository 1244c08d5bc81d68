#include "core/search_additive.h"

#include "core/mem.h"

/* Share of an error that one look at an architecture corrects (normalised least mean squares): 1
 * would fit each in turn exactly and forget the others. */
static const double LEARNING_RATE = 0.5;

enum err search_additive_init(struct search_additive *model, const struct space *space,
                              struct error *err)
{
    *model = (struct search_additive){.n_genes = space->n_genes};
    for (size_t g = 0; g < space->n_genes; g++) {
        model->first[g + 1] = model->first[g] + (size_t)space->genes[g].n_values;
    }
    model->effects = mem_calloc(model->first[space->n_genes], sizeof *model->effects);
    return model->effects != NULL
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "memory is out for what a search learns");
}

static struct search_effect plus(struct search_effect x, const struct search_effect *y)
{
    return (struct search_effect){x.accuracy + y->accuracy, x.cost + y->cost};
}

struct search_effect search_additive_estimate(const struct search_additive *model,
                                              const uint8_t *codes)
{
    struct search_effect even = model->base; /* two sums, so that one need not wait for another */
    struct search_effect odd = {0};

    for (size_t g = 0; g < model->n_genes; g++) {
        even = plus(even, search_additive_effect(model, g, codes[g]));
        if (++g < model->n_genes) {
            odd = plus(odd, search_additive_effect(model, g, codes[g]));
        }
    }
    return plus(even, &odd);
}

void search_additive_learn(struct search_additive *model, const uint8_t *codes, double accuracy,
                           double cost)
{
    struct search_effect step;

    if (model->n_learned++ == 0) {
        model->base = (struct search_effect){accuracy, cost};
    }
    step = search_additive_estimate(model, codes);
    step.accuracy = LEARNING_RATE * (accuracy - step.accuracy) / (double)(model->n_genes + 1);
    step.cost = LEARNING_RATE * (cost - step.cost) / (double)(model->n_genes + 1);
    model->base.accuracy += step.accuracy;
    model->base.cost += step.cost;
    for (size_t g = 0; g < model->n_genes; g++) {
        struct search_effect *effect = &model->effects[model->first[g] + codes[g]];
        effect->accuracy += step.accuracy;
        effect->cost += step.cost;
    }
}

void search_additive_close(struct search_additive *model)
{
    mem_free(model->effects);
    model->effects = NULL;
}

/* The neighbourhood of the best: every change of one gene, then the changes of two that the model
 * holds to be better. Where a limit binds, two genes are what it takes: one is made dearer, another
 * cheaper. */
#include <stdlib.h>
#include <string.h>

#include "core/search_genetic_state.h"

enum { PAIR_ROUNDS_MAX = 2 };

static size_t add_single_changes(struct genetic *s, size_t n)
{
    const size_t before = s->archive.n;
    uint8_t codes[SPACE_MAX_GENES];

    memcpy(codes, search_archive_row(&s->archive, s->run_best), s->space->n_genes);
    for (size_t g = 0; g < s->space->n_genes; g++) {
        const uint8_t own = codes[g];
        for (int32_t v = 0; v < s->space->genes[g].n_values; v++) {
            codes[g] = (uint8_t)v;
            if (s->archive.n - before < n) {
                (void)genetic_add_exactly(s, codes);
            }
        }
        codes[g] = own;
    }
    return s->archive.n - before;
}

static struct search_effect change(const struct genetic *s, struct search_effect from,
                                   const uint8_t *codes, size_t gene, uint8_t code)
{
    const struct search_effect *old = search_additive_effect(&s->model, gene, codes[gene]);
    const struct search_effect *new = search_additive_effect(&s->model, gene, code);

    return (struct search_effect){from.accuracy + new->accuracy - old->accuracy,
                                  from.cost + new->cost - old->cost};
}

/* The best first; of equal ones in the order of their genes. */
static int compare_moves(const void *x, const void *y)
{
    const struct genetic_move *p = x;
    const struct genetic_move *q = y;
    const struct search_effect e = p->estimate;
    const struct search_effect f = q->estimate;

    if (genetic_is_better(e.accuracy, e.cost, f.accuracy, f.cost)) {
        return -1;
    }
    if (genetic_is_better(f.accuracy, f.cost, e.accuracy, e.cost)) {
        return 1;
    }
    if (memcmp(p->gene, q->gene, sizeof p->gene) != 0) {
        return memcmp(p->gene, q->gene, sizeof p->gene);
    }
    return memcmp(p->code, q->code, sizeof p->code);
}

/* Fills s->moves with the changes of two genes that promise to be better than the best of this run;
 * returns how many. */
static size_t promising_moves(struct genetic *s, const uint8_t *codes)
{
    const struct search_effect here = {s->archive.accuracy[s->run_best],
                                       s->archive.cost[s->run_best]};
    size_t n = 0;

    for (size_t i = 0; i < s->model.first[s->space->n_genes]; i++) {
        size_t g = 0;
        struct search_effect first;
        while (s->model.first[g + 1] <= i) {
            g++;
        }
        if (i - s->model.first[g] == codes[g]) {
            continue;
        }
        first = change(s, here, codes, g, (uint8_t)(i - s->model.first[g]));
        for (size_t h = g + 1; h < s->space->n_genes; h++) {
            for (uint8_t v = 0; v < s->space->genes[h].n_values; v++) {
                const struct search_effect e = change(s, first, codes, h, v);
                if (v != codes[h] &&
                    genetic_is_better(e.accuracy, e.cost, here.accuracy, here.cost)) {
                    s->moves[n++] = (struct genetic_move){
                        e, {(uint8_t)g,                       (uint8_t)h},
                         {(uint8_t)(i - s->model.first[g]), v         }
                    };
                }
            }
        }
    }
    qsort(s->moves, n, sizeof *s->moves, compare_moves);
    return n;
}

static void add_pair_changes(struct genetic *s, size_t n)
{
    const size_t before = s->archive.n;
    uint8_t own[SPACE_MAX_GENES];
    size_t n_moves;

    memcpy(own, search_archive_row(&s->archive, s->run_best), s->space->n_genes);
    n_moves = promising_moves(s, own);
    for (size_t i = 0; i < n_moves && s->archive.n - before < n; i++) {
        uint8_t codes[SPACE_MAX_GENES];
        memcpy(codes, own, s->space->n_genes);
        codes[s->moves[i].gene[0]] = s->moves[i].code[0];
        codes[s->moves[i].gene[1]] = s->moves[i].code[1];
        (void)genetic_add_exactly(s, codes);
    }
}

void genetic_add_nearby(struct genetic *s, size_t n)
{
    const size_t n_added = add_single_changes(s, n);

    if (n_added == 0 && s->n_pair_rounds < PAIR_ROUNDS_MAX) {
        s->n_pair_rounds++;
        add_pair_changes(s, n);
    }
}

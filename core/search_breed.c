/* Children: who the parents are, what comes of them, and what takes the place of a child that was
 * seen before. */
#include <string.h>

#include "core/search_genetic_state.h"

enum {
    TRIALS = 8,       /* children of which one is evaluated */
    MUTANTS_MAX = 16, /* changes of a child that was seen before, until something fresh is taken */
};

/* Chance of those at the base or below, as a share of the best's. */
static const double SMALL_CHANCE = 0.3;

static void random_codes(struct genetic *s, uint8_t *codes)
{
    for (size_t g = 0; g < s->space->n_genes; g++) {
        codes[g] = (uint8_t)rng_below(&s->rng, (size_t)s->space->genes[g].n_values);
    }
}

void genetic_add_random(struct genetic *s, size_t n)
{
    uint8_t codes[SPACE_MAX_GENES];

    for (; n > 0 && s->archive.n < s->n_architectures; n--) {
        random_codes(s, codes);
        genetic_add(s, codes);
    }
}

/* Fills s->chances. The accuracies lie close together compared with what they are above the base,
 * so where all feasible parents are above it, the worst of them takes its place. */
static void set_chances(struct genetic *s)
{
    const struct search_archive *a = &s->archive;
    const size_t n = s->n_population;
    double base = s->options->accuracy_base;
    double worst;
    double least;
    double sum = 0;
    size_t n_feasible = 0;

    while (n_feasible < n && genetic_row_is_feasible(s, s->population[n_feasible])) {
        n_feasible++;
    }
    if (n_feasible > 0) {
        worst = a->accuracy[s->population[n_feasible - 1]];
        base = base > worst && base < a->accuracy[s->population[0]] ? base : worst;
        least = SMALL_CHANCE * (a->accuracy[s->population[0]] - base);
    } else {
        least = 0;
    }
    least = least > 0 ? least : 1;
    for (size_t i = 0; i < n; i++) {
        const size_t row = s->population[i];
        const double above = i < n_feasible ? a->accuracy[row] - base : 0;
        /* the infeasible are ranked by their cost, so the rank says what they are worth */
        sum += above > 0 ? least + above : least * (double)(n - i) / (double)n;
        s->chances[i] = sum;
    }
}

/* A row of the population. */
static size_t spin(struct genetic *s)
{
    const double at = rng_uniform(&s->rng) * s->chances[s->n_population - 1];
    size_t low = 0;
    size_t high = s->n_population - 1;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (s->chances[middle] > at) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    return s->population[low];
}

/* Another value for a gene: the one beside it, since values are often in an order, or any. */
static void mutate_gene(struct genetic *s, uint8_t *codes, size_t g)
{
    const size_t n_values = (size_t)s->space->genes[g].n_values;
    const size_t code = codes[g];
    uint64_t coins;

    if (n_values < 2) {
        return;
    }
    coins = rng_u64(&s->rng);
    if ((coins & 1) == 0) {
        codes[g] = (uint8_t)((code + 1 + rng_below(&s->rng, n_values - 1)) % n_values);
    } else if (code == 0 || (code + 1 < n_values && (coins & 2) == 0)) {
        codes[g] = (uint8_t)(code + 1);
    } else {
        codes[g] = (uint8_t)(code - 1);
    }
}

/* Mutates each gene with the probability asked for. A random number decides on four genes. */
static void mutate(struct genetic *s, uint8_t *codes)
{
    const uint64_t below = (uint64_t)(s->options->mutation_rate * 0x1p16 + 0.5);
    uint64_t bits = 0;

    for (size_t g = 0; g < s->space->n_genes; g++, bits >>= 16) {
        bits = g % 4 == 0 ? rng_u64(&s->rng) : bits;
        if ((bits & 0xffff) < below) {
            mutate_gene(s, codes, g);
        }
    }
}

/* A child of two rows of the archive, which stay as they are. */
static void make_child(struct genetic *s, const uint8_t *father, const uint8_t *mother,
                       uint8_t *child)
{
    const struct genetic_options *o = s->options;
    const size_t n_genes = s->space->n_genes;

    memcpy(child, father, n_genes);
    if (o->crossover_rate >= 1 || rng_uniform(&s->rng) < o->crossover_rate) {
        uint64_t is_mothers = rng_u64(&s->rng);
        for (size_t g = 0; g < n_genes;
             g++, is_mothers >>= 1) { /* no branch: it is a coin's toss */
            const uint8_t mask = (uint8_t) - (int)(is_mothers & 1);
            child[g] = (uint8_t)(child[g] ^ ((child[g] ^ mother[g]) & mask));
        }
    }
    mutate(s, child);
    for (size_t k = 0; k < MUTANTS_MAX && search_archive_has(&s->archive, child); k++) {
        mutate_gene(s, child, rng_below(&s->rng, n_genes));
    }
}

/* Adds the most promising of some children of the same parents. */
static void add_child(struct genetic *s)
{
    const uint8_t *father = search_archive_row(&s->archive, spin(s));
    const uint8_t *mother = search_archive_row(&s->archive, spin(s));
    uint8_t children[2][SPACE_MAX_GENES];
    struct search_effect promise = {0};
    size_t best = 0;

    for (size_t k = 0; k < TRIALS; k++) {
        const size_t at = k == 0 ? best : 1 - best;
        struct search_effect e;
        make_child(s, father, mother, children[at]);
        e = search_additive_estimate(&s->model, children[at]);
        if (k == 0 || genetic_is_better(e.accuracy, e.cost, promise.accuracy, promise.cost)) {
            best = at;
            promise = e;
        }
    }
    genetic_add(s, children[best]);
}

void genetic_add_children(struct genetic *s, size_t n)
{
    set_chances(s);
    for (; n > 0 && s->archive.n < s->n_architectures; n--) {
        add_child(s);
    }
}

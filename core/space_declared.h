/* Search spaces that are declared while the process runs, without code: genes with their values, and
 * tables of what each value costs where somebody knows that.
 *
 * A declaration is plain data and complete in itself. What is made of one is a struct space like the
 * built-in ones, but that it has no notation beyond the plainest one and no networks to export. It is
 * never freed, so whoever works on it may go on when it is declared otherwise or taken away; what was
 * declared before in the very same words is the same space again, so only changes take memory and
 * slots (SPACE_N_SLOTS).
 *
 * space_declare() and space_withdraw() are for one thread at a time; the spaces are anybody's. */
#ifndef DGLD_CORE_SPACE_DECLARED_H
#define DGLD_CORE_SPACE_DECLARED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"

enum {
    SPACE_GENE_MAX_VALUES = 256, /* of one gene: a search holds them as bytes */
    SPACE_MAX_VALUES = 4096,     /* of all genes together */
    SPACE_MAX_VALUE = 1000000,   /* and its negative: they take at most eight characters */
    SPACE_ABOUT_BYTES = 256,     /* with the terminator, as the next ones */
    SPACE_INPUT_BYTES = 64,
    SPACE_GENE_NAME_BYTES = 64,
    SPACE_DIGEST_BYTES = 65,
    SPACE_MAX_BATCH = 65536,
};

/* Of one value, and of the fixed part: sums stay below 2^63. */
#define SPACE_MAX_COST ((int64_t)1000000000000000)

/* "macs", "traffic_bytes", "params". */
extern const char *const space_table_names[SPACE_N_TABLES];

/* Zeroes wherever nothing is said. */
struct space_declaration {
    char name[SPACE_NAME_BYTES];
    char about[SPACE_ABOUT_BYTES];
    char input[SPACE_INPUT_BYTES];
    int batch;
    char digest[SPACE_DIGEST_BYTES]; /* of values and costs: what a predictor depends on */
    size_t n_genes;
    struct declared_gene {
        char name[SPACE_GENE_NAME_BYTES];
        size_t first_value, n_values; /* its part of what follows */
        bool has_table[SPACE_N_TABLES];
    } genes[SPACE_MAX_GENES];
    size_t n_values;
    int32_t values[SPACE_MAX_VALUES]; /* of each gene ascending */
    bool has_table[SPACE_N_TABLES];   /* some gene has it, or there is a fixed part */
    uint64_t fixed[SPACE_N_TABLES];   /* what all networks have in common */
    uint64_t costs[SPACE_N_TABLES][SPACE_MAX_VALUES]; /* of the values; 0 of a gene without table */
};

/* Whether a name may be that of a declared space: 1 to 32 of a-z, 0-9, dash and underscore, the first
 * a letter or digit; none of a built-in space, and none that means something else where spaces have
 * their files and addresses. ERR_INVALID says what is wrong. */
enum err space_name_validate(const char *name, struct error *err);

/* The least sum that an architecture of the declaration can have in a table. */
uint64_t space_declaration_least(const struct space_declaration *declaration,
                                 enum space_table table);

/* What an architecture costs by the tables; the genes are valid. Of tables that are not there 0. */
void space_declaration_sum(const struct space *space, const int32_t *genes,
                           uint64_t sums[SPACE_N_TABLES]);

/* The same as costs: all at one place, for nothing is known of operators and stages. ERR_INVALID where
 * a gene is outside of its domain, and where there are no tables. For space_count(). */
enum err space_declaration_count(const struct space *space, const int32_t *genes, struct cost *cost,
                                 struct error *err);

/* Declares a space, in the place of what was declared by that name before. The declaration is copied;
 * it is valid: a name as above, domains and costs within the bounds, every table's least sum positive.
 * ERR_NOMEM; ERR_LIMIT of space_exchange(). On failure everything is as it was. */
enum err space_declare(const struct space_declaration *declaration, const struct space **out,
                       struct error *err);

/* Takes a declared space away: it is found no more. */
void space_withdraw(const struct space *space);

#endif

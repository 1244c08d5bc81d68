#include "core/space_declared.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

enum {
    /* Spaces of at most so many architectures are numbered, and predictors keep a table of them all:
     * making one takes rows times columns squared operations, which this keeps below a second. */
    MAX_NUMBERED = 16384,
    N_NUMERIC_FEATURES = 2, /* of a gene whose values are too many to tell apart */
    NOTATION_BYTES = 256,
};

/* As in FBNetV3's features: a value of four bytes that moves through memory weighs as ten MACs. */
#define MACS_PER_TRAFFIC_BYTE 2.5

const char *const space_table_names[SPACE_N_TABLES] = {
    [SPACE_MACS] = "macs",
    [SPACE_TRAFFIC_BYTES] = "traffic_bytes",
    [SPACE_PARAMS] = "params",
};

/* A space with all that it points to. Written once, before anybody else sees it. */
struct declared_space {
    struct space space; /* first */
    struct space_features features;
    struct space_declaration declaration;
    struct gene genes[SPACE_MAX_GENES];
    bool is_numeric[SPACE_MAX_GENES]; /* described by its value, not by which of the values it is */
    char notation[NOTATION_BYTES];
};

/* All that were ever made, for space_declare() alone. */
static struct declared_space *made[SPACE_N_SLOTS];
static size_t n_made;

static const struct declared_space *declared_of(const struct space *space)
{
    assert(space->declaration != NULL);
    return (const struct declared_space *)space;
}

enum err space_name_validate(const char *name, struct error *err)
{
    /* data/devices/ and GET /v2/models/stats are something else */
    static const char *const taken[] = {"devices", "stats"};
    const size_t length = strlen(name);

    if (length == 0 || length >= SPACE_NAME_BYTES || name[0] == '-' || name[0] == '_' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != length) {
        return error_set(err, ERR_INVALID,
                         "a search space's name has 1 to %d characters of a-z, 0-9, dash and "
                         "underscore, and begins with a letter or digit",
                         SPACE_NAME_BYTES - 1);
    }
    for (size_t i = 0; built_in_spaces[i] != NULL; i++) {
        if (strcmp(built_in_spaces[i]->name, name) == 0) {
            return error_set(err, ERR_INVALID,
                             "%s is built in: it can be neither declared nor dropped", name);
        }
    }
    for (size_t i = 0; i < sizeof taken / sizeof *taken; i++) {
        if (strcmp(taken[i], name) == 0) {
            return error_set(err, ERR_INVALID, "a search space cannot be called \"%s\"", name);
        }
    }
    return ERR_OK;
}

/* ---- costs ----------------------------------------------------------------------------------- */

uint64_t space_declaration_least(const struct space_declaration *declaration,
                                 enum space_table table)
{
    uint64_t sum = declaration->fixed[table];

    for (size_t g = 0; g < declaration->n_genes; g++) {
        const struct declared_gene *gene = &declaration->genes[g];
        const uint64_t *costs = declaration->costs[table] + gene->first_value;
        uint64_t least = costs[0];
        for (size_t i = 1; i < gene->n_values; i++) {
            least = costs[i] < least ? costs[i] : least;
        }
        sum += least;
    }
    return sum;
}

void space_declaration_sum(const struct space *space, const int32_t *genes,
                           uint64_t sums[SPACE_N_TABLES])
{
    const struct space_declaration *d = space->declaration;

    memcpy(sums, d->fixed, sizeof d->fixed);
    for (size_t g = 0; g < d->n_genes; g++) {
        const size_t at = d->genes[g].first_value + (size_t)gene_index(&space->genes[g], genes[g]);
        for (int t = 0; t < SPACE_N_TABLES; t++) {
            sums[t] += d->costs[t][at];
        }
    }
}

enum err space_declaration_count(const struct space *space, const int32_t *genes, struct cost *cost,
                                 struct error *err)
{
    const bool *has_table = space->declaration->has_table;
    uint64_t sums[SPACE_N_TABLES];
    enum err rc = space_validate(space, genes, NULL, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (!has_table[SPACE_MACS] && !has_table[SPACE_TRAFFIC_BYTES] && !has_table[SPACE_PARAMS]) {
        return error_set(err, ERR_INVALID,
                         "%s is declared without costs: its genes may have tables of macs, "
                         "traffic_bytes and params, one number for each value",
                         space->name);
    }
    space_declaration_sum(space, genes, sums);
    memset(cost, 0, sizeof *cost);
    cost->macs[0][0] = sums[SPACE_MACS];
    cost->traffic_bytes[0][0] = sums[SPACE_TRAFFIC_BYTES];
    cost->params = sums[SPACE_PARAMS];
    return ERR_OK;
}

/* ---- features -------------------------------------------------------------------------------- */

static double log_nominal_cost(const struct space_declaration *d, const uint64_t *sums)
{
    const double macs = (double)sums[SPACE_MACS];
    const double traffic = (double)sums[SPACE_TRAFFIC_BYTES];

    if (d->has_table[SPACE_MACS] && d->has_table[SPACE_TRAFFIC_BYTES]) {
        return log(macs + MACS_PER_TRAFFIC_BYTE * traffic);
    }
    if (d->has_table[SPACE_MACS] || d->has_table[SPACE_TRAFFIC_BYTES]) {
        return log(macs + traffic);
    }
    return 0.0; /* all are alike but for what the genes tell */
}

/* One column a value; a gene of two values needs one, a gene of one none. */
static size_t n_columns(size_t n_values)
{
    return n_values > 2 ? n_values : n_values - 1;
}

static double *put_one_hot(const struct gene *gene, int32_t value, double *out)
{
    const size_t n = n_columns((size_t)gene->n_values);
    const size_t index = (size_t)gene_index(gene, value);

    for (size_t i = 0; i < n; i++) {
        *out++ = i == index ? 1.0 : 0.0;
    }
    return out;
}

/* The value, made -1 to 1 over its domain, and its square. */
static double *put_numeric(const struct gene *gene, int32_t value, double *out)
{
    const double first = gene->first;
    const double last = gene_value(gene, gene->n_values - 1);
    const double x = (2.0 * value - first - last) / (last - first);

    *out++ = x;
    *out++ = x * x;
    return out;
}

static void compute_features(const struct space *space, const int32_t *genes, double *log_nominal,
                             double *features)
{
    const struct declared_space *declared = declared_of(space);
    const struct space_declaration *d = &declared->declaration;
    uint64_t sums[SPACE_N_TABLES];

    space_declaration_sum(space, genes, sums);
    *log_nominal = log_nominal_cost(d, sums);
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        if (d->has_table[t]) {
            *features++ = log((double)sums[t]);
        }
    }
    for (size_t g = 0; g < space->n_genes; g++) {
        if (!declared->is_numeric[g]) {
            features = put_one_hot(&space->genes[g], genes[g], features);
        }
    }
    for (size_t g = 0; g < space->n_genes; g++) {
        if (declared->is_numeric[g]) {
            features = put_numeric(&space->genes[g], genes[g], features);
        }
    }
}

/* Genes tell their values apart as long as there is room for it; beyond, those with the most values
 * become numbers. */
static void choose_numeric(struct declared_space *declared, size_t n_free)
{
    const struct space_declaration *d = &declared->declaration;
    size_t n_needed = 0;

    for (size_t g = 0; g < d->n_genes; g++) {
        n_needed += n_columns(d->genes[g].n_values);
    }
    while (n_needed > n_free) {
        size_t largest = 0;
        size_t most = 0;
        for (size_t g = 0; g < d->n_genes; g++) {
            if (!declared->is_numeric[g] && d->genes[g].n_values > most) {
                most = d->genes[g].n_values;
                largest = g;
            }
        }
        assert(most > N_NUMERIC_FEATURES); /* all genes have room for that many */
        declared->is_numeric[largest] = true;
        n_needed -= n_columns(most) - N_NUMERIC_FEATURES;
    }
}

static void add_group(struct space_features *features, size_t size)
{
    if (size > 0) {
        features->group_sizes[features->n_groups++] = size;
        features->n_features += size;
    }
}

/* Three groups at most: sums of the tables, columns of values, numbers. */
static void plan_features(struct declared_space *declared)
{
    const struct space_declaration *d = &declared->declaration;
    size_t n_tables = 0;
    size_t n_hot = 0;
    size_t n_numeric = 0;

    for (int t = 0; t < SPACE_N_TABLES; t++) {
        n_tables += d->has_table[t] ? 1 : 0;
    }
    choose_numeric(declared, SPACE_MAX_FEATURES - n_tables);
    for (size_t g = 0; g < d->n_genes; g++) {
        n_hot += declared->is_numeric[g] ? 0 : n_columns(d->genes[g].n_values);
        n_numeric += declared->is_numeric[g] ? N_NUMERIC_FEATURES : 0;
    }
    add_group(&declared->features, n_tables);
    add_group(&declared->features, n_hot);
    add_group(&declared->features, n_numeric);
    declared->features.compute = compute_features;
}

/* ---- the space ------------------------------------------------------------------------------- */

/* Values at equal steps are told by those, which are found without searching. */
static void make_gene(const struct space_declaration *d, size_t g, struct gene *out)
{
    const struct declared_gene *gene = &d->genes[g];
    const int32_t *values = d->values + gene->first_value;
    const int32_t step = gene->n_values > 1 ? values[1] - values[0] : 1;
    bool is_even = true;

    for (size_t i = 2; i < gene->n_values; i++) {
        is_even = is_even && values[i] - values[i - 1] == step;
    }
    *out = (struct gene){
        .name = gene->name,
        .first = values[0],
        .step = is_even ? step : 0,
        .n_values = (int32_t)gene->n_values,
        .values = is_even ? NULL : values,
    };
}

static size_t count_architectures(const struct space_declaration *d)
{
    size_t n = 1;

    for (size_t g = 0; g < d->n_genes; g++) {
        n *= d->genes[g].n_values;
        if (n > MAX_NUMBERED) {
            return 0;
        }
    }
    return n;
}

static void write_notation(struct declared_space *declared)
{
    const struct space_declaration *d = &declared->declaration;
    bool is_dense = true;
    int n = snprintf(declared->notation, sizeof declared->notation,
                     "write the %zu genes as a list, or apart by blanks or commas", d->n_genes);

    for (size_t i = 0; i < d->n_values; i++) {
        is_dense = is_dense && d->values[i] >= 0 && d->values[i] <= 9;
    }
    if (is_dense && n > 0) {
        (void)snprintf(declared->notation + n, sizeof declared->notation - (size_t)n,
                       ", or as %zu digits", d->n_genes);
    }
}

static struct declared_space *make_space(const struct space_declaration *declaration)
{
    struct declared_space *declared = mem_calloc(1, sizeof *declared);
    const struct space_declaration *d;

    if (declared == NULL) {
        return NULL;
    }
    declared->declaration = *declaration;
    d = &declared->declaration;
    for (size_t g = 0; g < d->n_genes; g++) {
        make_gene(d, g, &declared->genes[g]);
    }
    plan_features(declared);
    write_notation(declared);
    declared->space = (struct space){
        .name = d->name,
        .about = d->about,
        .notation = declared->notation,
        .input = d->input,
        .batch = d->batch,
        .genes = declared->genes,
        .n_genes = d->n_genes,
        .n_architectures = count_architectures(d),
        .constraint_unit_ms = 1.0,
        .features = &declared->features,
        .declaration = d,
    };
    return declared;
}

static bool are_same_genes(const struct declared_gene *a, const struct declared_gene *b)
{
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        if (a->has_table[t] != b->has_table[t]) {
            return false;
        }
    }
    return strcmp(a->name, b->name) == 0 && a->n_values == b->n_values;
}

/* Whether they say the same in the same words. */
static bool are_same(const struct space_declaration *a, const struct space_declaration *b)
{
    if (strcmp(a->name, b->name) != 0 || strcmp(a->about, b->about) != 0 ||
        strcmp(a->input, b->input) != 0 || a->batch != b->batch || a->n_genes != b->n_genes) {
        return false;
    }
    for (size_t g = 0; g < a->n_genes; g++) {
        if (!are_same_genes(&a->genes[g], &b->genes[g])) {
            return false;
        }
    }
    return memcmp(a->values, b->values, sizeof a->values) == 0 &&
           memcmp(a->fixed, b->fixed, sizeof a->fixed) == 0 &&
           memcmp(a->costs, b->costs, sizeof a->costs) == 0;
}

/* The space that was made of the very same declaration, or a new one. */
static struct declared_space *find_or_make(const struct space_declaration *declaration,
                                           bool *is_new)
{
    *is_new = false;
    for (size_t i = 0; i < n_made; i++) {
        if (are_same(&made[i]->declaration, declaration)) {
            return made[i];
        }
    }
    *is_new = true;
    return make_space(declaration);
}

enum err space_declare(const struct space_declaration *declaration, const struct space **out,
                       struct error *err)
{
    const struct space *previous = space_find(declaration->name);
    bool is_new;
    struct declared_space *declared = find_or_make(declaration, &is_new);
    enum err rc;

    if (declared == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a search space");
    }
    rc = space_exchange(previous, &declared->space, err);
    if (rc != ERR_OK) {
        if (is_new) {
            mem_free(declared);
        }
        return rc;
    }
    if (is_new) {
        made[n_made++] = declared; /* each has a slot, so there is room for them all */
    }
    *out = &declared->space;
    return ERR_OK;
}

void space_withdraw(const struct space *space)
{
    (void)space_exchange(space, NULL, NULL);
}

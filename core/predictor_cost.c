#include "core/predictor_cost.h"

#include <assert.h>
#include <math.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "core/robust_fit.h"
#include "core/space_standard.h"
#include "core/stats.h"

/* Constants of the fit (core/robust_fit.h). They matter at few rows only. */
#define PRIOR_SCALE    0.15  /* log A is believed this close to the nominal cost, up to the level */
#define PRIOR_WEIGHT   1.0   /* of that belief, in effective parameters */
#define LEVEL_VARIANCE 100.0 /* of the intercept: as good as free */

static const struct robust_options fit_beliefs = {
    .noise_scale = 0.05,
    .noise_rows = 2.0,
    .noise_min = 0.01,
    .n_updates = 25,
    .n_soft_updates = 11,
};

enum {
    BLOCK_ROWS = 64, /* architectures predicted at a time */
    MAX_COLUMNS = SPACE_MAX_FEATURES + 1,
    N_BYTES = 256, /* values of one */
    N_PAIRS = N_BYTES * N_BYTES,
};

/* So that the parts of an architecture's number cannot overflow, whatever its bytes are. */
#define TABLE_MAX_ROWS (UINT32_MAX / SPACE_MAX_GENES)

/* What a loaded predictor holds: the model folded onto [1, raw features]. The posterior variance of
 * log A is |uncertainty * phi|^2, that of a new measurement adds the squared noise scale. */
struct predictor_cost {
    struct predictor base;
    size_t p;             /* columns: 1 + features */
    double *coefficients; /* (p) */
    double *uncertainty;  /* (p, p), lower triangle */
    double noise_scale;
    double *table_a;            /* (n_architectures) where the space can be numbered, else NULL */
    _Atomic(double *) table_sd; /* likewise, once somebody has asked for one */
    uint32_t *pair_parts; /* (ceil(n_genes / 2), N_PAIRS) likewise: what two genes add to it */
};

static void cost_destroy(struct predictor *predictor)
{
    struct predictor_cost *cost = (struct predictor_cost *)predictor;

    mem_free(cost->coefficients);
    mem_free(cost->uncertainty);
    mem_free(cost->table_a);
    mem_free(atomic_load(&cost->table_sd));
    mem_free(cost->pair_parts);
    mem_free(cost);
}

static struct predictor_cost *cost_create(const struct space *space)
{
    struct predictor_cost *cost = mem_calloc(1, sizeof *cost);

    if (cost == NULL) {
        return NULL;
    }
    cost->base.kind = &predictor_kind_cost;
    cost->base.space = space;
    cost->p = 1 + space->features->n_features;
    assert(cost->p <= MAX_COLUMNS);
    cost->coefficients = mem_calloc(cost->p, sizeof *cost->coefficients);
    cost->uncertainty = mem_calloc(cost->p * cost->p, sizeof *cost->uncertainty);
    if (cost->coefficients == NULL || cost->uncertainty == NULL) {
        cost_destroy(&cost->base);
        return NULL;
    }
    return cost;
}

/* ---- prediction ------------------------------------------------------------------------------ */

/* One architecture without BLAS, whose call alone would cost more. */
static void predict_one(const struct predictor_cost *cost, const int32_t *genes, double *log_a,
                        double *scale)
{
    double phi[MAX_COLUMNS];
    double variance = cost->noise_scale * cost->noise_scale;
    double mean;

    phi[0] = 1.0;
    cost->base.space->features->compute(cost->base.space, genes, &mean, phi + 1);
    for (size_t j = 0; j < cost->p; j++) {
        mean += cost->coefficients[j] * phi[j];
    }
    *log_a = mean;
    if (scale == NULL) {
        return;
    }
    for (size_t i = 0; i < cost->p; i++) {
        const double *row = cost->uncertainty + i * cost->p;
        double even = 0.0; /* two sums, so that one addition need not wait for the other */
        double odd = 0.0;
        size_t j = 0;
        for (; j < i; j += 2) {
            even += row[j] * phi[j];
            odd += row[j + 1] * phi[j + 1];
        }
        if (j == i) {
            even += row[i] * phi[i];
        }
        variance += (even + odd) * (even + odd);
    }
    *scale = sqrt(variance);
}

/* The predictive standard deviation of A from the scale of the t around log A, to first order. */
static double scale_to_sd(double a, double scale)
{
    return a * scale * sqrt(COST_NOISE_DOF / (COST_NOISE_DOF - 2.0));
}

/* Weights that are finite each may yet give what is not. */
static bool is_sound(double a, double sd)
{
    return isfinite(a) && a > 0.0 && isfinite(sd);
}

/* Columns of the architectures first .. first + n - 1: phi (n, p) and log c (n). */
static void fill_columns(const struct predictor_cost *cost, size_t first, size_t n, double *phi,
                         double *nominal)
{
    const struct space *space = cost->base.space;

    for (size_t i = 0; i < n; i++) {
        int32_t genes[SPACE_MAX_GENES];
        space_unrank(space, first + i, genes);
        phi[i * cost->p] = 1.0;
        space->features->compute(space, genes, &nominal[i], phi + i * cost->p + 1);
    }
}

/* Fills rows first .. first + n - 1 of the table of standard deviations. `phi` (n, p) is scratch. */
static void fill_sd_block(const struct predictor_cost *cost, size_t first, size_t n, double *phi,
                          double *sd)
{
    const size_t p = cost->p;
    double nominal[BLOCK_ROWS];

    fill_columns(cost, first, n, phi, nominal);
    matrix_times_lower_transposed(phi, n, cost->uncertainty, p);
    for (size_t i = 0; i < n; i++) {
        double variance = cost->noise_scale * cost->noise_scale;
        for (size_t j = 0; j < p; j++) {
            variance += phi[i * p + j] * phi[i * p + j];
        }
        sd[first + i] = scale_to_sd(cost->table_a[first + i], sqrt(variance));
    }
}

/* Deviations take several times as long to make as the rest, and most services are asked for none. Of
 * two threads that make them at the same time one throws its own away. NULL where memory is out. */
static const double *table_of_sd(struct predictor_cost *cost)
{
    const size_t n = cost->base.space->n_architectures;
    double *table = atomic_load_explicit(&cost->table_sd, memory_order_acquire);
    double *before = NULL;
    double *phi;

    if (table != NULL) {
        return table;
    }
    table = mem_calloc(n, sizeof *table);
    phi = mem_calloc(BLOCK_ROWS * cost->p, sizeof *phi);
    for (size_t first = 0; table != NULL && phi != NULL && first < n; first += BLOCK_ROWS) {
        fill_sd_block(cost, first, n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS, phi, table);
    }
    if (phi == NULL ||
        (table != NULL && !atomic_compare_exchange_strong(&cost->table_sd, &before, table))) {
        mem_free(table);
        table = before;
    }
    mem_free(phi);
    return table;
}

static enum err look_up(struct predictor_cost *cost, const int32_t *genes, size_t n, double *a,
                        double *sd, struct error *err)
{
    const struct space *space = cost->base.space;
    const double *table_sd = sd != NULL ? table_of_sd(cost) : NULL;

    if (sd != NULL && table_sd == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a table of %zu deviations",
                         space->n_architectures);
    }
    for (size_t i = 0; i < n; i++) {
        size_t rank = space_rank(space, genes + i * space->n_genes);
        a[i] = cost->table_a[rank];
        if (sd != NULL) {
            sd[i] = table_sd[rank];
        }
    }
    return ERR_OK;
}

static enum err cost_predict(const struct predictor *predictor, const int32_t *genes, size_t n,
                             double *a, double *sd, struct error *err)
{
    struct predictor_cost *cost = (struct predictor_cost *)predictor;
    const struct space *space = predictor->space;

    if (cost->table_a != NULL) {
        return look_up(cost, genes, n, a, sd, err);
    }
    for (size_t i = 0; i < n; i++) {
        double log_a;
        double scale;
        predict_one(cost, genes + i * space->n_genes, &log_a, sd != NULL ? &scale : NULL);
        a[i] = exp(log_a);
        if (sd != NULL) {
            sd[i] = scale_to_sd(a[i], scale);
        }
        if (!is_sound(a[i], sd != NULL ? sd[i] : 0.0)) {
            return error_set(err, ERR_NUMERIC, "the predictor gives no finite A");
        }
    }
    return ERR_OK;
}

/* What two bytes that stand side by side are numbered by. */
static inline uint32_t pair_at(const uint8_t *bytes)
{
    uint16_t pair;

    memcpy(&pair, bytes, sizeof pair);
    return pair;
}

/* Looks rows up until one is no architecture; returns how many are. Genes are read in pairs, which
 * takes half as many instructions. Inlined into its callers, so that a constant n_genes unrolls the
 * inner loop. */
static inline size_t look_up_rows(const struct predictor_cost *cost, const uint8_t *genes, size_t n,
                                  size_t n_genes, double *a)
{
    const size_t n_architectures = cost->base.space->n_architectures;
    const size_t n_pairs = n_genes / 2;
    const uint32_t *parts = cost->pair_parts;
    const double *table = cost->table_a;

    for (size_t i = 0; i < n; i++, genes += n_genes) {
        uint32_t rank = 0;
#pragma GCC unroll 8
        for (size_t p = 0; p < n_pairs; p++) {
            rank += parts[p * N_PAIRS + pair_at(genes + 2 * p)];
        }
        if (n_genes % 2 == 1) {
            rank += parts[n_pairs * N_PAIRS + genes[n_genes - 1]];
        }
        if (rank >= n_architectures) {
            return i;
        }
        a[i] = table[rank];
    }
    return n;
}

static enum err cost_predict_bytes(const struct predictor *predictor, const uint8_t *genes,
                                   size_t n, double *a, size_t *bad_row, struct error *err)
{
    const struct predictor_cost *cost = (const struct predictor_cost *)predictor;
    const size_t n_genes = predictor->space->n_genes;
    size_t n_good;

    if (cost->table_a == NULL) {
        return predictor_predict_widened(predictor, genes, n, a, bad_row, err);
    }
    n_good = n_genes == 6 /* nasbench201, and any cell of four nodes */
                 ? look_up_rows(cost, genes, n, 6, a)
                 : look_up_rows(cost, genes, n, n_genes, a);
    if (n_good < n) { /* the way that names the gene */
        enum err rc = predictor_predict_widened(predictor, genes + n_good * n_genes, 1, a + n_good,
                                                bad_row, err);
        *bad_row = n_good;
        return rc;
    }
    return ERR_OK;
}

/* What gene g adds to the number of an architecture, by its byte. A byte that is none of its values
 * makes the sum larger than any number is. */
static void list_byte_parts(const struct space *space, size_t g, uint32_t *parts)
{
    uint32_t weight = 1;

    for (size_t later = g + 1; later < space->n_genes; later++) {
        weight *= (uint32_t)space->genes[later].n_values;
    }
    for (int32_t byte = 0; byte < N_BYTES; byte++) {
        int32_t index = gene_index(&space->genes[g], byte);
        parts[byte] = index >= 0 ? weight * (uint32_t)index : (uint32_t)space->n_architectures;
    }
}

static void fill_pair_parts(struct predictor_cost *cost)
{
    const struct space *space = cost->base.space;
    uint32_t first[N_BYTES];
    uint32_t second[N_BYTES];

    for (size_t g = 0; g < space->n_genes; g += 2) {
        uint32_t *parts = cost->pair_parts + g / 2 * N_PAIRS;
        list_byte_parts(space, g, first);
        if (g + 1 == space->n_genes) {
            memcpy(parts, first, sizeof first);
            return;
        }
        list_byte_parts(space, g + 1, second);
        for (size_t pair = 0; pair < N_PAIRS; pair++) {
            const uint8_t bytes[] = {(uint8_t)(pair / N_BYTES), (uint8_t)(pair % N_BYTES)};
            parts[pair_at(bytes)] = first[bytes[0]] + second[bytes[1]];
        }
    }
}

/* Fills rows first .. first + n - 1 of the table. `phi` (n, p) is scratch; `largest` (p) are the
 * columns' largest sizes so far. */
static void fill_table_block(struct predictor_cost *cost, size_t first, size_t n, double *phi,
                             double *largest)
{
    const size_t p = cost->p;
    double log_a[BLOCK_ROWS];
    double nominal[BLOCK_ROWS];

    fill_columns(cost, first, n, phi, nominal);
    matrix_times_vector(phi, n, p, cost->coefficients, log_a);
    for (size_t i = 0; i < n; i++) {
        cost->table_a[first + i] = exp(nominal[i] + log_a[i]);
        for (size_t j = 0; j < p; j++) {
            const double size = fabs(phi[i * p + j]);
            largest[j] = size > largest[j] ? size : largest[j]; /* fmax() is a call */
        }
    }
}

/* A standard deviation that none exceeds, of columns of at most these sizes (p). */
static double bound_sd(const struct predictor_cost *cost, const double *largest, double largest_a)
{
    double variance = cost->noise_scale * cost->noise_scale;

    for (size_t i = 0; i < cost->p; i++) {
        double sum = 0.0;
        for (size_t j = 0; j <= i; j++) {
            sum += fabs(cost->uncertainty[i * cost->p + j]) * largest[j];
        }
        variance += sum * sum;
    }
    return scale_to_sd(largest_a, sqrt(variance));
}

/* Where a space is small enough to be numbered, every prediction is made once and kept. */
static enum err make_table(struct predictor_cost *cost, struct error *err)
{
    size_t n = cost->base.space->n_architectures;
    double largest[MAX_COLUMNS] = {0.0};
    double largest_a = 0.0;
    double *phi;

    if (n == 0) {
        return ERR_OK;
    }
    assert(n <= TABLE_MAX_ROWS);
    cost->table_a = mem_calloc(n, sizeof *cost->table_a);
    cost->pair_parts =
        mem_calloc((cost->base.space->n_genes + 1) / 2, N_PAIRS * sizeof *cost->pair_parts);
    phi = mem_calloc(BLOCK_ROWS * cost->p, sizeof *phi);
    if (cost->table_a == NULL || cost->pair_parts == NULL || phi == NULL) {
        mem_free(phi);
        return error_set(err, ERR_NOMEM, "no memory for a table of %zu predictions", n);
    }
    for (size_t first = 0; first < n; first += BLOCK_ROWS) {
        fill_table_block(cost, first, n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS, phi,
                         largest);
    }
    mem_free(phi);
    fill_pair_parts(cost);
    for (size_t i = 0; i < n; i++) {
        if (!is_sound(cost->table_a[i], 0.0)) {
            return error_set(err, ERR_NUMERIC,
                             "the predictor gives no finite A for architecture %zu", i);
        }
        largest_a = fmax(largest_a, cost->table_a[i]);
    }
    return isfinite(bound_sd(cost, largest, largest_a))
               ? ERR_OK
               : error_set(err, ERR_NUMERIC, "the predictor gives no finite deviation of A");
}

/* ---- weights in and out ---------------------------------------------------------------------- */

static struct tensor describe(const char *name, size_t n_dims, size_t rows, size_t columns,
                              const double *data)
{
    struct tensor t = {
        .type = TENSOR_F64, .n_dims = n_dims, .shape = {rows, columns},
                .data = data
    };

    memcpy(t.name, name, strlen(name) + 1);
    return t;
}

static size_t cost_weights(const struct predictor *predictor, struct tensor *tensors)
{
    const struct predictor_cost *cost = (const struct predictor_cost *)predictor;

    tensors[0] = describe("coefficients", 1, cost->p, 0, cost->coefficients);
    tensors[1] = describe("uncertainty", 2, cost->p, cost->p, cost->uncertainty);
    tensors[2] = describe("noise_scale", 1, 1, 0, &cost->noise_scale);
    return 3;
}

static enum err cost_load(const struct space *space, const struct tensor *tensors, size_t n_tensors,
                          struct predictor **out, struct error *err)
{
    struct predictor_cost *cost = cost_create(space);
    enum err rc;

    if (cost == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a predictor");
    }
    rc = tensor_read(tensors, n_tensors, "coefficients", cost->p, cost->coefficients, err);
    if (rc == ERR_OK) {
        rc = tensor_read(tensors, n_tensors, "uncertainty", cost->p * cost->p, cost->uncertainty,
                         err);
    }
    if (rc == ERR_OK) {
        rc = tensor_read(tensors, n_tensors, "noise_scale", 1, &cost->noise_scale, err);
    }
    if (rc == ERR_OK && cost->noise_scale < 0.0) {
        rc = error_set(err, ERR_INVALID, "the tensor \"noise_scale\" must not be negative");
    }
    if (rc == ERR_OK) {
        rc = make_table(cost, err);
    }
    if (rc != ERR_OK) {
        cost_destroy(&cost->base);
        return rc;
    }
    *out = &cost->base;
    return ERR_OK;
}

/* ---- fit ------------------------------------------------------------------------------------- */

/* The regression, with what its columns are made of. Group 0 is the intercept. */
struct fit {
    struct robust_fit robust;
    double mean[MAX_COLUMNS];    /* of the raw features; 0 for the intercept */
    double inverse[MAX_COLUMNS]; /* 1 over their deviation; 0 switches a constant one off */
    double level;
};

/* What is believed of the coefficients: all groups together carry PRIOR_SCALE^2. */
static size_t list_groups(const struct space_features *features, struct robust_group *groups)
{
    groups[0] = (struct robust_group){1, LEVEL_VARIANCE, INFINITY};
    for (size_t g = 0; g < features->n_groups; g++) {
        const size_t size = features->group_sizes[g];
        groups[g + 1] = (struct robust_group){
            size, PRIOR_SCALE * PRIOR_SCALE / (double)(features->n_groups * size), PRIOR_WEIGHT};
    }
    return 1 + features->n_groups;
}

static void compute_features(const struct space *space, const int32_t *genes, double *features)
{
    double nominal;

    space->features->compute(space, genes, &nominal, features);
}

/* Fills phi and target, and sets the level to the median of what the nominal cost leaves. */
static void prepare_rows(struct fit *f, const struct space *space, const int32_t *genes,
                         const double *a)
{
    struct robust_fit *r = &f->robust;

    for (size_t i = 0; i < r->n; i++) {
        double *row = r->phi + i * r->p;
        double nominal;
        row[0] = 1.0;
        space->features->compute(space, genes + i * space->n_genes, &nominal, row + 1);
        for (size_t j = 1; j < r->p; j++) {
            row[j] = (row[j] - f->mean[j]) * f->inverse[j];
        }
        r->target[i] = log(a[i]) - nominal;
    }
    memcpy(r->scratch, r->target, r->n * sizeof *r->target);
    f->level = stats_median(r->scratch, r->n);
    for (size_t i = 0; i < r->n; i++) {
        r->target[i] -= f->level;
    }
}

/* Folds standardisation and prior scales into coefficients of the raw features. */
static enum err fold_model(const struct fit *f, struct predictor_cost *cost, struct error *err)
{
    const struct robust_fit *r = &f->robust;
    const size_t p = r->p;

    cost->noise_scale = sqrt(r->noise);
    cost->coefficients[0] = f->level + r->root[0] * r->solution[0];
    for (size_t j = 1; j < p; j++) {
        cost->coefficients[j] = r->root[j] * r->solution[j] * f->inverse[j];
        cost->coefficients[0] -= cost->coefficients[j] * f->mean[j];
    }
    for (size_t i = 0; i < p; i++) {
        double *row = cost->uncertainty + i * p;
        row[0] = r->triangle[i * p] * r->root[0];
        for (size_t j = 1; j <= i; j++) {
            row[j] = r->triangle[i * p + j] * r->root[j] * f->inverse[j];
            row[0] -= row[j] * f->mean[j];
        }
    }
    for (size_t j = 0; j < p; j++) {
        if (!isfinite(cost->coefficients[j])) {
            return error_set(err, ERR_NUMERIC, "the fit of %zu rows did not converge", r->n);
        }
    }
    return ERR_OK;
}

static enum err report_fit(const struct robust_fit *r, struct fit_report *report, struct error *err)
{
    report->noise_scale = sqrt(r->noise);
    report->n_distrusted = 0;
    report->distrusted = mem_calloc(r->n, sizeof *report->distrusted);
    if (report->distrusted == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to report on %zu rows", r->n);
    }
    for (size_t i = 0; i < r->n; i++) {
        if (fabs(r->z[i]) > ROBUST_FIT_DISTRUST) {
            report->distrusted[report->n_distrusted++] = i;
        }
    }
    return ERR_OK;
}

static enum err cost_fit(const struct space *space, const int32_t *genes, const double *a, size_t n,
                         const struct fit_options *options, struct predictor **out,
                         struct fit_report *report, struct error *err)
{
    const size_t most_cells = COST_FIT_MAX_CELLS / (1 + space->features->n_features);
    const size_t most = most_cells < COST_FIT_MAX_ROWS ? most_cells : COST_FIT_MAX_ROWS;
    struct robust_group groups[SPACE_MAX_FEATURE_GROUPS + 1];
    struct fit f = {.inverse = {1.0}};
    struct predictor_cost *cost = NULL;
    enum err rc;

    if (n == 0 || n > most) {
        return error_set(err, ERR_INVALID, "a fit takes 1 to %zu rows, not %zu", most, n);
    }
    rc = robust_fit_init(&f.robust, n, groups, list_groups(space->features, groups), err);
    if (rc != ERR_OK) {
        goto done;
    }
    rc = space_standardise(space, space->features->n_features, compute_features, f.mean + 1,
                           f.inverse + 1, err);
    if (rc != ERR_OK) {
        goto done;
    }
    prepare_rows(&f, space, genes, a);
    rc = robust_fit_run(&f.robust, &fit_beliefs, options->hooks, err); /* no use for a seed here */
    if (rc != ERR_OK) {
        goto done;
    }
    cost = cost_create(space);
    if (cost == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for a predictor");
        goto done;
    }
    rc = fold_model(&f, cost, err);
    if (rc == ERR_OK) {
        rc = make_table(cost, err);
    }
    if (rc == ERR_OK && report != NULL) {
        rc = report_fit(&f.robust, report, err);
    }
    if (rc == ERR_OK) {
        *out = &cost->base;
        cost = NULL; /* handed over */
    }
done:
    if (cost != NULL) {
        cost_destroy(&cost->base);
    }
    robust_fit_close(&f.robust);
    return rc;
}

const struct predictor_kind predictor_kind_cost = {
    .name = "cost",
    .fit_rows_max = COST_FIT_MAX_ROWS,
    .fit = cost_fit,
    .predict = cost_predict,
    .predict_bytes = cost_predict_bytes,
    .weights = cost_weights,
    .load = cost_load,
    .destroy = cost_destroy,
};

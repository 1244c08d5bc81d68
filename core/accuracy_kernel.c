#include "core/accuracy_kernel.h"

#include <assert.h>
#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/stats.h"

/* The ceiling is this share of the way from the median to the best above the best. */
#define CEILING_SHARE      0.8
#define CEILING_LEAST      0.1 /* percent */
/* Points are added until the kernel is known this well everywhere. */
#define POINT_VARIANCE_MIN 1e-8
#define SCALE_MAX          100.0
#define CEILING_MAX        1000.0

enum {
    BLOCK_ROWS = 256,
    MAX_CANDIDATES = 8192, /* distinct rows among which points are chosen */
    N_SHAPE = 3,
    NO_ROW = UINT32_MAX,
};

/* Letters: n rows, p features, m points. */
struct accuracy_kernel {
    struct accuracy_predictor base;
    size_t m;
    int32_t *genes;        /* (m, n_genes): the architectures that the model rests on */
    double *points;        /* (m, p): their scaled features ... */
    double *norms;         /* (m): ... and the squared lengths of those */
    double *weights;       /* (m) */
    double shape[N_SHAPE]; /* SCALE, CEILING, LEVEL */
    double *table;         /* (n_architectures) where the space can be numbered, else NULL */
};

enum { SCALE, CEILING, LEVEL }; /* of shape */

void accuracy_kernel_destroy(struct accuracy_predictor *predictor)
{
    struct accuracy_kernel *kernel = (struct accuracy_kernel *)predictor;

    mem_free(kernel->genes);
    mem_free(kernel->points);
    mem_free(kernel->norms);
    mem_free(kernel->weights);
    mem_free(kernel->table);
    mem_free(kernel);
}

static struct accuracy_kernel *kernel_create(const struct accuracy_kind *kind, size_t m)
{
    struct accuracy_kernel *kernel = mem_calloc(1, sizeof *kernel);

    if (kernel == NULL) {
        return NULL;
    }
    kernel->base.kind = kind;
    kernel->m = m;
    kernel->genes = mem_calloc(m, kind->space->n_genes * sizeof *kernel->genes);
    kernel->points = mem_calloc(m, kind->features->n_features * sizeof *kernel->points);
    kernel->norms = mem_calloc(m, sizeof *kernel->norms);
    kernel->weights = mem_calloc(m, sizeof *kernel->weights);
    if (kernel->genes == NULL || kernel->points == NULL || kernel->norms == NULL ||
        kernel->weights == NULL) {
        accuracy_kernel_destroy(&kernel->base);
        return NULL;
    }
    return kernel;
}

/* ---- features and the kernel ----------------------------------------------------------------- */

/* Scaled features (n, p), and the squared length of each row. */
static void compute_rows(const struct accuracy_kind *kind, double scale, const int32_t *genes,
                         size_t n, double *x, double *norms)
{
    const size_t p = kind->features->n_features;

    for (size_t i = 0; i < n; i++) {
        double *row = x + i * p;
        kind->features->compute(genes + i * kind->space->n_genes, row);
        norms[i] = 0.0;
        for (size_t j = 0; j < p; j++) {
            row[j] *= scale;
            norms[i] += row[j] * row[j];
        }
    }
}

static double linear_part(const struct accuracy_features *features, double scale)
{
    return features->linear / (scale * scale);
}

/* `linear` is of scaled features: linear_part(). */
static double kernel_value(double linear, double norm, double other_norm, double product)
{
    return exp(-0.5 * fmax(norm + other_norm - 2.0 * product, 0.0)) + linear * product;
}

/* k (n, m) of the rows x (n, p) and the points. */
static void kernel_block(const struct accuracy_kernel *kernel, const double *x, const double *norms,
                         size_t n, double *k)
{
    const struct accuracy_features *features = kernel->base.kind->features;
    const double linear = linear_part(features, kernel->shape[SCALE]);

    matrix_times_transposed(x, n, kernel->points, kernel->m, features->n_features, k);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < kernel->m; j++) {
            k[i * kernel->m + j] =
                kernel_value(linear, norms[i], kernel->norms[j], k[i * kernel->m + j]);
        }
    }
}

/* Hash of a row of features, bit by bit (FNV-1a over words). Negative zeroes do not occur. */
static uint64_t hash_row(const double *row, size_t p)
{
    uint64_t hash = 14695981039346656037U;

    for (size_t j = 0; j < p; j++) {
        uint64_t word;
        memcpy(&word, &row[j], sizeof word);
        hash = (hash ^ word) * 1099511628211U;
        hash ^= hash >> 29;
    }
    return hash;
}

/* Numbers the distinct rows of x (n, p) from 0 in the order of their first one: group (n) receives
 * each row's number. Returns how many there are in *n_groups. */
static enum err group_rows(const double *x, size_t n, size_t p, uint32_t *group, size_t *n_groups,
                           struct error *err)
{
    size_t n_slots = 2;
    uint32_t *slots; /* (n_slots): the first row of a group */

    while (n_slots < 2 * n) {
        n_slots *= 2;
    }
    slots = mem_calloc(n_slots, sizeof *slots);
    if (slots == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu networks", n);
    }
    memset(slots, 0xff, n_slots * sizeof *slots); /* NO_ROW */
    *n_groups = 0;
    for (size_t i = 0; i < n; i++) {
        const double *row = x + i * p;
        size_t at = (size_t)hash_row(row, p) & (n_slots - 1);
        while (slots[at] != NO_ROW && memcmp(x + slots[at] * p, row, p * sizeof *row) != 0) {
            at = (at + 1) & (n_slots - 1);
        }
        if (slots[at] == NO_ROW) {
            slots[at] = (uint32_t)i;
            group[i] = (uint32_t)(*n_groups)++;
        } else {
            group[i] = group[slots[at]];
        }
    }
    mem_free(slots);
    return ERR_OK;
}

/* ---- prediction ------------------------------------------------------------------------------ */

static enum err predict_block(const struct accuracy_kernel *kernel, const double *x,
                              const double *norms, size_t n, double *k, double *accuracy,
                              struct error *err)
{
    kernel_block(kernel, x, norms, n, k);
    matrix_times_vector(k, n, kernel->m, kernel->weights, accuracy);
    for (size_t i = 0; i < n; i++) {
        double a = kernel->shape[CEILING] - exp(kernel->shape[LEVEL] + accuracy[i]);
        if (isnan(a)) {
            return error_set(err, ERR_NUMERIC, "the accuracy predictor gives no number");
        }
        accuracy[i] = fmin(fmax(a, 0.0), 100.0);
    }
    return ERR_OK;
}

static enum err predict_rows(const struct accuracy_kernel *kernel, const int32_t *genes, size_t n,
                             double *accuracy, struct error *err)
{
    const struct accuracy_kind *kind = kernel->base.kind;
    const size_t most = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    double norms[BLOCK_ROWS];
    double *x = mem_calloc(most, kind->features->n_features * sizeof *x);
    double *k = mem_calloc(most, kernel->m * sizeof *k);
    enum err rc = ERR_OK;

    if (x == NULL || k == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to predict accuracies");
    }
    for (size_t first = 0; rc == ERR_OK && first < n; first += BLOCK_ROWS) {
        size_t rows = n - first < BLOCK_ROWS ? n - first : BLOCK_ROWS;
        compute_rows(kind, kernel->shape[SCALE], genes + first * kind->space->n_genes, rows, x,
                     norms);
        rc = predict_block(kernel, x, norms, rows, k, accuracy + first, err);
    }
    mem_free(x);
    mem_free(k);
    return rc;
}

/* What make_table() works on. */
struct table_work {
    int32_t *genes; /* (n, n_genes): all, then moved up: the first of each group */
    double *x;      /* (n, p) */
    double *values; /* (n): norms, then a prediction for each group */
    uint32_t *group;
    size_t n_groups;
};

static enum err fill_table(struct accuracy_kernel *kernel, struct table_work *w, struct error *err)
{
    const struct accuracy_kind *kind = kernel->base.kind;
    const struct space *space = kind->space;
    const size_t n = space->n_architectures;
    size_t n_seen = 0;
    enum err rc;

    for (size_t i = 0; i < n; i++) {
        space_unrank(space, i, w->genes + i * space->n_genes);
    }
    compute_rows(kind, 1.0, w->genes, n, w->x, w->values);
    rc = group_rows(w->x, n, kind->features->n_features, w->group, &w->n_groups, err);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        if (w->group[i] == n_seen) {
            memmove(w->genes + n_seen++ * space->n_genes, w->genes + i * space->n_genes,
                    space->n_genes * sizeof *w->genes);
        }
    }
    rc = rc != ERR_OK ? rc : predict_rows(kernel, w->genes, n_seen, w->values, err);
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        kernel->table[i] = w->values[w->group[i]];
    }
    return rc;
}

/* Where a space is small enough to be numbered, every prediction is made once and kept; equal
 * features are predicted once, so that they are equal to the last bit. */
static enum err make_table(struct accuracy_kernel *kernel, struct error *err)
{
    const struct accuracy_kind *kind = kernel->base.kind;
    const size_t n = kind->space->n_architectures;
    struct table_work w = {0};
    enum err rc;

    if (n == 0) {
        return ERR_OK;
    }
    kernel->table = mem_calloc(n, sizeof *kernel->table);
    w.genes = mem_calloc(n, kind->space->n_genes * sizeof *w.genes);
    w.x = mem_calloc(n, kind->features->n_features * sizeof *w.x);
    w.values = mem_calloc(n, sizeof *w.values);
    w.group = mem_calloc(n, sizeof *w.group);
    if (kernel->table == NULL || w.genes == NULL || w.x == NULL || w.values == NULL ||
        w.group == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for a table of %zu accuracies", n);
    } else {
        rc = fill_table(kernel, &w, err);
    }
    mem_free(w.genes);
    mem_free(w.x);
    mem_free(w.values);
    mem_free(w.group);
    return rc;
}

enum err accuracy_kernel_predict(const struct accuracy_predictor *predictor, const int32_t *genes,
                                 size_t n, double *accuracy, struct error *err)
{
    const struct accuracy_kernel *kernel = (const struct accuracy_kernel *)predictor;
    const struct space *space = predictor->kind->space;

    if (kernel->table == NULL) {
        return predict_rows(kernel, genes, n, accuracy, err);
    }
    for (size_t i = 0; i < n; i++) {
        accuracy[i] = kernel->table[space_rank(space, genes + i * space->n_genes)];
    }
    return ERR_OK;
}

/* ---- fit ------------------------------------------------------------------------------------- */

struct fit {
    const struct accuracy_kind *kind;
    size_t n;          /* distinct rows */
    size_t *first;     /* (n): the row of the training data that each is, or the first of them */
    double *x, *norms; /* (n, p) and (n) */
    double *y, *count; /* (n): mean target of equal rows, and how many there were */
    double shape[N_SHAPE];
};

static void fit_close(struct fit *f)
{
    mem_free(f->first);
    mem_free(f->x);
    mem_free(f->norms);
    mem_free(f->y);
    mem_free(f->count);
}

/* Where accuracies lie: the ceiling, and the median distance from it. */
static enum err find_shape(struct fit *f, const struct accuracy_rows *rows, struct error *err)
{
    double *sorted = mem_calloc(rows->n, sizeof *sorted);
    double best = 0.0;
    double median;

    if (sorted == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu accuracies", rows->n);
    }
    memcpy(sorted, rows->accuracy, rows->n * sizeof *sorted);
    for (size_t i = 0; i < rows->n; i++) {
        best = fmax(best, sorted[i]);
    }
    median = stats_median(sorted, rows->n);
    f->shape[CEILING] = best + fmax(CEILING_SHARE * (best - median), CEILING_LEAST);
    f->shape[LEVEL] = log(f->shape[CEILING] - median);
    mem_free(sorted);
    return ERR_OK;
}

/* Makes equal rows one. */
static void merge_rows(struct fit *f, const struct accuracy_rows *rows, const uint32_t *group)
{
    const size_t p = f->kind->features->n_features;
    size_t n_seen = 0;

    for (size_t i = 0; i < rows->n; i++) {
        size_t g = group[i];
        if (g == n_seen) {
            memmove(f->x + g * p, f->x + i * p, p * sizeof *f->x);
            f->norms[g] = f->norms[i];
            f->first[g] = i;
            n_seen++;
        }
        f->y[g] += log(f->shape[CEILING] - rows->accuracy[i]) - f->shape[LEVEL];
        f->count[g] += 1.0;
    }
    f->n = n_seen;
    for (size_t g = 0; g < n_seen; g++) {
        f->y[g] /= f->count[g];
    }
}

static enum err prepare(struct fit *f, const struct accuracy_rows *rows, double scale,
                        struct error *err)
{
    const size_t p = f->kind->features->n_features;
    uint32_t *group = mem_calloc(rows->n, sizeof *group);
    size_t n_groups;
    enum err rc;

    f->first = mem_calloc(rows->n, sizeof *f->first);
    f->x = mem_calloc(rows->n, p * sizeof *f->x);
    f->norms = mem_calloc(rows->n, sizeof *f->norms);
    f->y = mem_calloc(rows->n, sizeof *f->y);
    f->count = mem_calloc(rows->n, sizeof *f->count);
    if (group == NULL || f->first == NULL || f->x == NULL || f->norms == NULL || f->y == NULL ||
        f->count == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for %zu networks", rows->n);
    } else {
        f->shape[SCALE] = scale;
        compute_rows(f->kind, scale, rows->genes, rows->n, f->x, f->norms);
        rc = find_shape(f, rows, err);
        rc = rc != ERR_OK ? rc : group_rows(f->x, rows->n, p, group, &n_groups, err);
        if (rc == ERR_OK) {
            merge_rows(f, rows, group);
        }
    }
    mem_free(group);
    return rc;
}

/* The choice of points. */
struct choice {
    size_t n;         /* candidates */
    size_t *rows;     /* (n): which rows they are */
    double *x;        /* (n, p) */
    double *norms;    /* (n) */
    double *factor;   /* (m, n): columns of the Cholesky factor of their kernel, as rows */
    double *variance; /* (n): of the process at each, given the points so far */
    double *scratch;  /* (n) */
    size_t m;
    size_t *chosen; /* (m): candidates */
};

static void choice_close(struct choice *c)
{
    mem_free(c->rows);
    mem_free(c->x);
    mem_free(c->norms);
    mem_free(c->factor);
    mem_free(c->variance);
    mem_free(c->scratch);
    mem_free(c->chosen);
}

/* All distinct rows are candidates, or where they are too many some drawn at random. */
static enum err choice_init(const struct fit *f, uint64_t seed, struct choice *c, struct error *err)
{
    const size_t p = f->kind->features->n_features;
    const size_t m_most = f->kind->features->n_points;
    const double linear = linear_part(f->kind->features, f->shape[SCALE]);
    struct rng rng;

    c->n = f->n < MAX_CANDIDATES ? f->n : MAX_CANDIDATES;
    c->rows = mem_calloc(f->n, sizeof *c->rows);
    c->x = mem_calloc(c->n, p * sizeof *c->x);
    c->norms = mem_calloc(c->n, sizeof *c->norms);
    c->factor = mem_calloc(m_most, c->n * sizeof *c->factor);
    c->variance = mem_calloc(c->n, sizeof *c->variance);
    c->scratch = mem_calloc(c->n, sizeof *c->scratch);
    c->chosen = mem_calloc(m_most, sizeof *c->chosen);
    if (c->rows == NULL || c->x == NULL || c->norms == NULL || c->factor == NULL ||
        c->variance == NULL || c->scratch == NULL || c->chosen == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to choose among %zu networks", c->n);
    }
    for (size_t i = 0; i < f->n; i++) {
        c->rows[i] = i;
    }
    if (c->n < f->n) {
        rng_init(&rng, seed);
        rng_shuffle(&rng, c->rows, f->n);
    }
    for (size_t i = 0; i < c->n; i++) {
        memcpy(c->x + i * p, f->x + c->rows[i] * p, p * sizeof *c->x);
        c->norms[i] = f->norms[c->rows[i]];
        c->variance[i] = kernel_value(linear, c->norms[i], c->norms[i], c->norms[i]);
    }
    return ERR_OK;
}

/* Pivoted Cholesky: each point is the candidate that those before determine least. */
static void choose_points(const struct fit *f, struct choice *c)
{
    const struct accuracy_features *features = f->kind->features;
    const double linear = linear_part(features, f->shape[SCALE]);
    const size_t p = features->n_features;
    double pivot_factor[ACCURACY_MAX_POINTS];

    for (c->m = 0; c->m < features->n_points; c->m++) {
        double *row = c->factor + c->m * c->n;
        size_t at = 0;
        for (size_t i = 1; i < c->n; i++) {
            at = c->variance[i] > c->variance[at] ? i : at;
        }
        if (c->variance[at] < POINT_VARIANCE_MIN) {
            return;
        }
        c->chosen[c->m] = at;
        for (size_t k = 0; k < c->m; k++) {
            pivot_factor[k] = c->factor[k * c->n + at];
        }
        memset(c->scratch, 0, c->n * sizeof *c->scratch);
        if (c->m > 0) {
            matrix_transposed_times_vector(c->factor, c->m, c->n, pivot_factor, c->scratch);
        }
        matrix_times_vector(c->x, c->n, p, c->x + at * p, row);
        for (size_t i = 0; i < c->n; i++) {
            double k = kernel_value(linear, c->norms[i], c->norms[at], row[i]);
            row[i] = (k - c->scratch[i]) / sqrt(c->variance[at]);
        }
        for (size_t i = 0; i < c->n; i++) {
            c->variance[i] = fmax(c->variance[i] - row[i] * row[i], 0.0);
        }
        c->variance[at] = 0.0;
    }
}

/* Sums over all rows in coordinates in which the prior is white: phi = k inverse(factor)'. */
struct sums {
    double *inverse; /* (m, m): of the points' Cholesky factor, zeroes above the diagonal */
    double *gram;    /* (m, m) += phi' phi */
    double *target;  /* (m) += phi' y */
    double *phi;     /* (BLOCK_ROWS, m) */
    double *block;   /* (m, m) */
};

static void add_block(const struct fit *f, const struct accuracy_kernel *kernel, size_t first,
                      size_t n, struct sums *s)
{
    const size_t m = kernel->m;
    double y[BLOCK_ROWS];

    kernel_block(kernel, f->x + first * f->kind->features->n_features, f->norms + first, n, s->phi);
    matrix_times_lower_transposed(s->phi, n, s->inverse, m);
    for (size_t i = 0; i < n; i++) {
        double root = sqrt(f->count[first + i]);
        for (size_t j = 0; j < m; j++) {
            s->phi[i * m + j] *= root;
        }
        y[i] = root * f->y[first + i];
    }
    matrix_gram(s->phi, n, m, s->block);
    for (size_t i = 0; i < m * m; i++) {
        s->gram[i] += s->block[i];
    }
    matrix_transposed_times_vector(s->phi, n, m, y, s->block);
    for (size_t j = 0; j < m; j++) {
        s->target[j] += s->block[j];
    }
}

static enum err solve_weights(const struct fit *f, const struct choice *c, double noise,
                              struct accuracy_kernel *kernel, struct sums *s, struct error *err)
{
    const size_t m = kernel->m;
    enum err rc;

    for (size_t i = 0; i < m; i++) {
        for (size_t j = 0; j <= i; j++) {
            s->inverse[i * m + j] = c->factor[j * c->n + c->chosen[i]];
        }
    }
    rc = matrix_invert_lower(s->inverse, m, err);
    for (size_t first = 0; rc == ERR_OK && first < f->n; first += BLOCK_ROWS) {
        add_block(f, kernel, first, f->n - first < BLOCK_ROWS ? f->n - first : BLOCK_ROWS, s);
    }
    for (size_t j = 0; j < m; j++) {
        s->gram[j * m + j] += noise;
    }
    rc = rc != ERR_OK ? rc : matrix_cholesky(s->gram, m, err);
    if (rc != ERR_OK) {
        return rc;
    }
    matrix_solve_cholesky(s->gram, m, s->target);
    matrix_transposed_times_vector(s->inverse, m, m, s->target, kernel->weights);
    for (size_t j = 0; j < m; j++) {
        if (!isfinite(kernel->weights[j])) {
            return error_set(err, ERR_NUMERIC, "the fit of %zu networks did not converge", f->n);
        }
    }
    return ERR_OK;
}

static enum err find_weights(const struct fit *f, const struct choice *c, double noise,
                             struct accuracy_kernel *kernel, struct error *err)
{
    const size_t m = kernel->m;
    struct sums s = {
        .inverse = mem_calloc(m, m * sizeof *s.inverse),
        .gram = mem_calloc(m, m * sizeof *s.gram),
        .target = mem_calloc(m, sizeof *s.target),
        .phi = mem_calloc(BLOCK_ROWS, m * sizeof *s.phi),
        .block = mem_calloc(m, m * sizeof *s.block),
    };
    enum err rc;

    if (s.inverse == NULL || s.gram == NULL || s.target == NULL || s.phi == NULL ||
        s.block == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to fit %zu networks", f->n);
    } else {
        rc = solve_weights(f, c, noise, kernel, &s, err);
    }
    mem_free(s.inverse);
    mem_free(s.gram);
    mem_free(s.target);
    mem_free(s.phi);
    mem_free(s.block);
    return rc;
}

/* A predictor that rests on the chosen points, without weights yet. */
static enum err make_points(const struct fit *f, const struct choice *c,
                            const struct accuracy_rows *rows, struct accuracy_kernel **out,
                            struct error *err)
{
    const size_t n_genes = f->kind->space->n_genes;
    struct accuracy_kernel *kernel = kernel_create(f->kind, c->m);

    if (kernel == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for an accuracy predictor");
    }
    memcpy(kernel->shape, f->shape, sizeof kernel->shape);
    for (size_t i = 0; i < c->m; i++) {
        size_t row = f->first[c->rows[c->chosen[i]]];
        memcpy(kernel->genes + i * n_genes, rows->genes + row * n_genes,
               n_genes * sizeof *kernel->genes);
    }
    compute_rows(f->kind, f->shape[SCALE], kernel->genes, c->m, kernel->points, kernel->norms);
    *out = kernel;
    return ERR_OK;
}

enum err accuracy_kernel_fit(const struct accuracy_kind *kind, const struct accuracy_rows *rows,
                             const struct accuracy_setting *setting, uint64_t seed,
                             struct accuracy_predictor **out, struct error *err)
{
    struct fit f = {.kind = kind};
    struct choice c = {0};
    struct accuracy_kernel *kernel = NULL;
    enum err rc;

    assert(kind->features->n_features <= ACCURACY_MAX_FEATURES &&
           kind->features->n_points <= ACCURACY_MAX_POINTS);
    rc = prepare(&f, rows, setting->scale, err);
    rc = rc != ERR_OK ? rc : choice_init(&f, seed, &c, err);
    if (rc == ERR_OK) {
        choose_points(&f, &c);
        rc = make_points(&f, &c, rows, &kernel, err);
    }
    rc = rc != ERR_OK ? rc : find_weights(&f, &c, setting->noise, kernel, err);
    rc = rc != ERR_OK ? rc : make_table(kernel, err);
    choice_close(&c);
    fit_close(&f);
    if (rc != ERR_OK) {
        accuracy_destroy((struct accuracy_predictor *)kernel);
        return rc;
    }
    *out = &kernel->base;
    return ERR_OK;
}

/* ---- weights in and out ---------------------------------------------------------------------- */

size_t accuracy_kernel_weights(const struct accuracy_predictor *predictor, struct tensor *tensors)
{
    const struct accuracy_kernel *kernel = (const struct accuracy_kernel *)predictor;
    const size_t n_genes = predictor->kind->space->n_genes;

    tensors[0] = (struct tensor){
        "points", TENSOR_I32, 2, {kernel->m, n_genes},
           kernel->genes
    };
    tensors[1] = (struct tensor){"weights", TENSOR_F64, 1, {kernel->m}, kernel->weights};
    tensors[2] = (struct tensor){"shape", TENSOR_F64, 1, {N_SHAPE}, kernel->shape};
    return 3;
}

/* The architectures that the model rests on; how many there are is told by their tensor. */
static enum err load_points(const struct accuracy_kind *kind, const struct tensor *tensors,
                            size_t n, struct accuracy_kernel **out, struct error *err)
{
    const size_t n_genes = kind->space->n_genes;
    const struct tensor *points = tensor_find(tensors, n, "points");
    enum err rc = ERR_OK;

    if (points == NULL || points->type != TENSOR_I32 || points->n_dims != 2 ||
        points->shape[1] != n_genes || points->shape[0] == 0 ||
        points->shape[0] > kind->features->n_points) {
        return error_set(err, ERR_INVALID,
                         "the tensor \"points\" must be I32 and hold 1 to %zu architectures of %s",
                         kind->features->n_points, kind->space->name);
    }
    *out = kernel_create(kind, points->shape[0]);
    if (*out == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for an accuracy predictor");
    }
    memcpy((*out)->genes, points->data, points->shape[0] * n_genes * sizeof *(*out)->genes);
    for (size_t i = 0; rc == ERR_OK && i < points->shape[0]; i++) {
        rc = space_validate(kind->space, (*out)->genes + i * n_genes, NULL, err);
        if (rc != ERR_OK) {
            rc = error_wrap(err, "row %zu of the tensor \"points\"", i);
        }
    }
    return rc;
}

static enum err load_shape(const struct tensor *tensors, size_t n, double *shape, struct error *err)
{
    enum err rc = tensor_read(tensors, n, "shape", N_SHAPE, shape, err);

    if (rc == ERR_OK && !(shape[SCALE] > 0.0 && shape[SCALE] <= SCALE_MAX && shape[CEILING] > 0.0 &&
                          shape[CEILING] <= CEILING_MAX)) {
        rc = error_set(err, ERR_INVALID,
                       "the tensor \"shape\" must hold a scale above 0 and at most %g, and a "
                       "ceiling above 0 and at most %g",
                       SCALE_MAX, CEILING_MAX);
    }
    return rc;
}

enum err accuracy_kernel_load(const struct accuracy_kind *kind, const struct tensor *tensors,
                              size_t n, struct accuracy_predictor **out, struct error *err)
{
    struct accuracy_kernel *kernel = NULL;
    enum err rc = load_points(kind, tensors, n, &kernel, err);

    rc = rc != ERR_OK ? rc : load_shape(tensors, n, kernel->shape, err);
    rc = rc != ERR_OK ? rc : tensor_read(tensors, n, "weights", kernel->m, kernel->weights, err);
    if (rc == ERR_OK) {
        compute_rows(kind, kernel->shape[SCALE], kernel->genes, kernel->m, kernel->points,
                     kernel->norms);
        rc = make_table(kernel, err);
    }
    if (rc != ERR_OK) {
        accuracy_destroy((struct accuracy_predictor *)kernel);
        return rc;
    }
    *out = &kernel->base;
    return ERR_OK;
}

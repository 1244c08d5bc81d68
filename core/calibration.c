#include "core/calibration.h"

#include <assert.h>
#include <math.h>
#include <string.h>

#include "core/belief.h"
#include "core/dataset.h"
#include "core/matrix.h"
#include "core/mem.h"
#include "core/stats.h"

#define NOISE_ROWS        2.0
#define NOISE_MIN         0.003
#define RELATIVE_UNKNOWN  0.05  /* sd of log A where the caller does not tell it */
#define ROOT_MIN          0.05  /* a latency is at least a four hundredth of the middle one */
#define WEIGHT_MIN        1e-3  /* a belief of less weight is dropped */
#define LIBRARY_LEVEL_SD  1.0   /* the least that is granted a device outside of the library */
#define LOG_LATENCY_BOUND 600.0 /* so that every prediction is a finite number */
#define LOG_ROOT_MAX      10.0  /* wilder than wild: its square must stay finite */
#define SPREAD_MAX        50.0

enum { N_UPDATES = 8, N_SOFT_UPDATES = 4 };

/* A belief, revised by the measurements. */
struct posterior {
    enum belief_kind kind;
    bool is_root;
    double weight;
    double offset;      /* see core/belief.h */
    double base_origin; /* x holds the base less that */
    double noise;       /* squared scale of the t ... */
    double scatter; /* ... of which so much is that of A, as it is at the architectures measured */
    double sharpness; /* core/belief.h */
    size_t n_wild;
    double *mean;       /* (q): coefficients of x, owned */
    double *covariance; /* (q, q), lower triangle, in the same block */
};

struct calibration {
    struct residual_basis basis;
    size_t n_rows;
    size_t n_posteriors;
    struct posterior posteriors[BELIEF_N_KINDS];
};

void calibration_destroy(struct calibration *calibration)
{
    if (calibration != NULL) {
        for (size_t k = 0; k < BELIEF_N_KINDS; k++) {
            mem_free(calibration->posteriors[k].mean);
        }
        mem_free(calibration);
    }
}

/* ---- prediction ------------------------------------------------------------------------------ */

/* What of x is not zero: most features are, where they tell which value a gene holds. */
struct sparse {
    size_t n;
    size_t at[RESIDUAL_MAX_WIDTH]; /* ascending; the first two are 1 and the base */
    double value[RESIDUAL_MAX_WIDTH];
};

static void gather_nonzero(const double *x, size_t q, struct sparse *out)
{
    out->n = RESIDUAL_FIRST;
    for (size_t j = 0; j < RESIDUAL_FIRST; j++) {
        out->at[j] = j;
        out->value[j] = x[j];
    }
    for (size_t j = RESIDUAL_FIRST; j < q; j++) {
        if (x[j] != 0.0) {
            out->at[out->n] = j;
            out->value[out->n++] = x[j];
        }
    }
}

/* transpose(x) * covariance * x, in two sums, so that additions need not wait for each other. */
static double quadratic_form(const double *covariance, size_t q, const struct sparse *x)
{
    double square = 0.0;

    for (size_t j = 0; j < x->n; j++) {
        const double *row = covariance + x->at[j] * q;
        double even = 0.5 * row[x->at[j]] * x->value[j];
        double odd = 0.0;
        size_t i = 0;
        for (; i + 1 < j; i += 2) {
            even += row[x->at[i]] * x->value[i];
            odd += row[x->at[i + 1]] * x->value[i + 1];
        }
        even += i < j ? row[x->at[i]] * x->value[i] : 0.0;
        square += 2.0 * x->value[j] * (even + odd);
    }
    return fmax(square, 0.0);
}

/* What one belief says: the log of the median, and the variance of log latency where it is asked
 * for. `scatter` is the squared scale of log A's own noise at this architecture. */
static double predict_log(const struct posterior *belief, struct sparse *x, size_t q, double a,
                          double scatter, double *variance)
{
    const double base = belief->is_root ? sqrt(a) : log(a);
    double mean = 0.0;
    double noise = belief->noise;

    x->value[RESIDUAL_BASE] = base - belief->base_origin;
    for (size_t j = 0; j < x->n; j++) {
        mean += belief->mean[x->at[j]] * x->value[j];
    }
    if (belief->is_root) {
        mean = fmax(mean, ROOT_MIN);
    } else {
        noise = fmax(noise + scatter - belief->scatter, NOISE_MIN * NOISE_MIN);
    }
    if (variance != NULL) {
        *variance = quadratic_form(belief->covariance, q, x) +
                    noise * ROBUST_FIT_DOF / (ROBUST_FIT_DOF - 2.0);
        *variance *= belief->sharpness * belief->sharpness;
        *variance *= belief->is_root ? 4.0 / (mean * mean) : 1.0;
    }
    return belief->offset + (belief->is_root ? 2.0 * log(mean) : base + mean);
}

/* The squared scale of the t about log A whose predictive standard deviation is sd. */
static double scatter_of(double a, double sd)
{
    return sd * sd / (a * a) * (ROBUST_FIT_DOF - 2.0) / ROBUST_FIT_DOF;
}

static void predict_one(const struct calibration *c, const int32_t *genes, double a, double sd,
                        double *latency_ms, double *spread)
{
    double features[RESIDUAL_MAX_WIDTH];
    struct sparse x;
    double logs[BELIEF_N_KINDS];
    double variances[BELIEF_N_KINDS];
    double mean = 0.0;
    double variance = 0.0;

    residual_describe(&c->basis, genes, features);
    gather_nonzero(features, c->basis.q, &x);
    for (size_t k = 0; k < c->n_posteriors; k++) {
        logs[k] = predict_log(&c->posteriors[k], &x, c->basis.q, a, scatter_of(a, sd),
                              spread != NULL ? &variances[k] : NULL);
        mean += c->posteriors[k].weight * logs[k];
    }
    mean = fmax(-LOG_LATENCY_BOUND, fmin(LOG_LATENCY_BOUND, mean));
    *latency_ms = exp(mean);
    for (size_t k = 0; spread != NULL && k < c->n_posteriors; k++) {
        double d = logs[k] - mean;
        variance += c->posteriors[k].weight * (variances[k] + d * d);
    }
    if (spread != NULL) {
        *spread = fmin(sqrt(variance), SPREAD_MAX);
    }
}

void calibration_predict(const struct calibration *calibration, const int32_t *genes,
                         const double *a, const double *sd, size_t n, double *latency_ms,
                         double *spread)
{
    const size_t n_genes = calibration->basis.space->n_genes;

    for (size_t i = 0; i < n; i++) {
        predict_one(calibration, genes + i * n_genes, a[i],
                    sd != NULL ? sd[i] : RELATIVE_UNKNOWN * a[i], &latency_ms[i],
                    spread != NULL ? &spread[i] : NULL);
    }
}

/* ---- measurements ---------------------------------------------------------------------------- */

/* The measurements, one row an architecture, in one block. */
struct rows {
    size_t n, q;
    double *x;       /* (n, q) */
    double *log_ms;  /* (n) */
    double *log_a;   /* (n) */
    double *scatter; /* (n): scatter_of() */
    double *scratch; /* (n) */
    double *sorted;  /* (n): a copy for medians */
};

static enum err check_measurements(const struct measured *m, struct error *err)
{
    if (m->n == 0 || m->n > CALIBRATION_MAX_ROWS) {
        return error_set(err, ERR_INVALID, "a calibration takes 1 to %zu measurements, not %zu",
                         CALIBRATION_MAX_ROWS, m->n);
    }
    for (size_t i = 0; i < m->n; i++) {
        if (!(m->latency_ms[i] > 0.0 && isfinite(m->latency_ms[i]))) {
            return error_set(err, ERR_INVALID, "measurement %zu: latency_ms is %g", i + 1,
                             m->latency_ms[i]);
        }
        if (!(m->a[i] > 0.0 && isfinite(m->a[i])) ||
            (m->sd != NULL && !(m->sd[i] >= 0.0 && isfinite(m->sd[i])))) {
            return error_set(err, ERR_INVALID, "measurement %zu: the predictor gives no finite A",
                             i + 1);
        }
    }
    return ERR_OK;
}

static enum err rows_alloc(struct rows *rows, size_t n, size_t q, struct error *err)
{
    double *block = mem_calloc(n, (q + 5) * sizeof *block);

    if (block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to calibrate by %zu architectures", n);
    }
    *rows = (struct rows){
        .n = n,
        .q = q,
        .x = block,
        .log_ms = block + n * q,
        .log_a = block + n * (q + 1),
        .scatter = block + n * (q + 2),
        .scratch = block + n * (q + 3),
        .sorted = block + n * (q + 4),
    };
    return ERR_OK;
}

/* Which of n_groups architectures are used, evenly, where they are too many. */
static bool is_used(size_t group, size_t n_groups)
{
    return n_groups <= CALIBRATION_USED_ROWS || (group + 1) * CALIBRATION_USED_ROWS / n_groups !=
                                                    group * CALIBRATION_USED_ROWS / n_groups;
}

/* Fills the row of one architecture, measured in the rows order[0 .. n - 1] of m. */
static void fill_row(struct rows *rows, size_t at, const struct residual_basis *basis,
                     const struct measured *m, const size_t *order, size_t n, double *scratch)
{
    const size_t first = order[0];
    const double a = m->a[first];

    for (size_t i = 0; i < n; i++) {
        scratch[i] = log(m->latency_ms[order[i]]);
    }
    rows->log_ms[at] = stats_median(scratch, n);
    rows->log_a[at] = log(a);
    rows->scatter[at] = scatter_of(a, m->sd != NULL ? m->sd[first] : RELATIVE_UNKNOWN * a);
    residual_describe(basis, m->genes + first * basis->space->n_genes, rows->x + at * rows->q);
}

/* The rows of m ordered by architecture: start (n_groups + 1) and order (n). */
static void order_rows(const size_t *group, size_t n, size_t n_groups, size_t *start, size_t *order)
{
    for (size_t i = 0; i < n; i++) {
        start[group[i] + 1]++;
    }
    for (size_t g = 0; g < n_groups; g++) {
        start[g + 1] += start[g];
    }
    for (size_t i = n; i-- > 0;) {
        order[--start[group[i] + 1]] = i;
    }
    for (size_t g = 0; g < n_groups; g++) { /* each start has become that of the group before */
        start[g] = start[g + 1];
    }
    start[n_groups] = n;
}

static enum err gather_rows(struct rows *rows, const struct residual_basis *basis,
                            const struct measured *m, struct error *err)
{
    size_t *group = mem_calloc(3 * m->n + 1, sizeof *group);
    double *scratch = mem_calloc(m->n, sizeof *scratch);
    size_t *order;
    size_t *start;
    size_t n_groups = 0;
    size_t n_used = 0;
    enum err rc;

    if (group == NULL || scratch == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to calibrate by %zu measurements", m->n);
        goto done;
    }
    order = group + m->n;
    start = order + m->n;
    rc = dataset_group(basis->space, m->genes, m->n, group, &n_groups, err);
    if (rc != ERR_OK) {
        goto done;
    }
    order_rows(group, m->n, n_groups, start, order);
    for (size_t g = 0; g < n_groups; g++) {
        n_used += is_used(g, n_groups) ? 1 : 0;
    }
    rc = rows_alloc(rows, n_used, basis->q, err);
    for (size_t g = 0, at = 0; rc == ERR_OK && g < n_groups; g++) {
        if (is_used(g, n_groups)) {
            fill_row(rows, at++, basis, m, order + start[g], start[g + 1] - start[g], scratch);
        }
    }
done:
    mem_free(group);
    mem_free(scratch);
    return rc;
}

static double median_of(const struct rows *rows, const double *values)
{
    memcpy(rows->sorted, values, rows->n * sizeof *values);
    return stats_median(rows->sorted, rows->n);
}

/* ---- fit ------------------------------------------------------------------------------------- */

static double dot(const double *a, const double *b, size_t n)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        sum += a[i] * b[i];
    }
    return sum;
}

/* Fills the regression's target. Returns the offset: log k, or what the middle measurement says. */
static double fill_target(const struct belief *belief, const struct rows *rows,
                          const struct hardware *hardware, double *target)
{
    double offset;

    for (size_t i = 0; i < rows->n; i++) {
        double *x = rows->x + i * rows->q;
        x[RESIDUAL_BASE] = belief->is_root ? exp(0.5 * rows->log_a[i]) : rows->log_a[i];
        target[i] = belief->is_root
                        ? rows->log_ms[i] - 2.0 * log(fmax(dot(belief->mean, x, rows->q), ROOT_MIN))
                        : rows->log_ms[i] - rows->log_a[i];
    }
    offset = !belief->is_root && hardware != NULL ? log(hardware_factor(hardware))
                                                  : median_of(rows, target);
    for (size_t i = 0; i < rows->n; i++) {
        const double *x = rows->x + i * rows->q;
        target[i] = belief->is_root ? exp(fmin(0.5 * (rows->log_ms[i] - offset), LOG_ROOT_MAX)) -
                                          dot(belief->mean, x, rows->q)
                                    : target[i] - offset;
    }
    return offset;
}

/* log of the density of Student's t, up to the constant that all beliefs share. */
static double log_density(double z)
{
    return -0.5 * (ROBUST_FIT_DOF + 1.0) * log1p(z * z / ROBUST_FIT_DOF);
}

/* How well each measurement's log latency is predicted from the others: the sum of log densities.
 */
static double score(const struct belief *belief, const struct robust_fit *fit,
                    const struct rows *rows, double offset)
{
    double sum = belief->log_weight;

    for (size_t i = 0; i < rows->n; i++) {
        sum += log_density(fit->z[i]) - log(fit->scale[i]);
        if (belief->is_root) { /* d root / d log latency */
            sum += 0.5 * (rows->log_ms[i] - offset) - log(2.0);
        }
    }
    return sum;
}

/* Takes the base less `origin`: what is linear in x stays what it is with another constant. */
static void move_base(double *map, double origin)
{
    map[0] += map[RESIDUAL_BASE] * origin;
}

/* Folds the posterior onto x: its mean and its covariance. The base is counted from the middle of
 * those measured, so that nothing large cancels. */
static enum err fold_posterior(const struct belief *belief, const struct robust_fit *fit, size_t q,
                               struct posterior *out, struct error *err)
{
    const size_t p = fit->p;
    double *maps = mem_calloc(p + (fit->is_dual ? fit->n : 0), q * sizeof *maps);

    out->mean = mem_calloc(q + q * q, sizeof *out->mean);
    if (maps == NULL || out->mean == NULL) {
        mem_free(maps);
        return error_set(err, ERR_NOMEM, "no memory for a calibration");
    }
    out->covariance = out->mean + q;
    out->base_origin = belief->base_origin;
    memcpy(maps, belief->columns, p * q * sizeof *maps);
    memcpy(out->mean, belief->mean, q * sizeof *out->mean);
    move_base(out->mean, belief->base_origin);
    for (size_t c = 0; c < p; c++) {
        double *map = maps + c * q;
        const double coefficient = fit->root[c] * fit->solution[c];
        move_base(map, belief->base_origin);
        for (size_t j = 0; j < q; j++) {
            out->mean[j] += coefficient * map[j];
        }
    }
    robust_fit_covariance(fit, maps, q, maps + p * q, out->covariance);
    mem_free(maps);
    return ERR_OK;
}

static bool is_posterior_finite(const struct posterior *posterior, size_t q)
{
    double sum = posterior->noise + posterior->offset;

    for (size_t j = 0; j < q; j++) {
        sum += posterior->mean[j];
        for (size_t i = 0; i <= j; i++) {
            sum += posterior->covariance[j * q + i];
        }
    }
    return isfinite(sum);
}

/* Revises one belief; posterior->weight receives the log of its weight, up to what all share. */
static enum err revise(const struct belief *belief, const struct rows *rows,
                       const struct hardware *hardware, struct posterior *posterior,
                       struct error *err)
{
    const struct robust_options options = {
        .noise_scale = belief->noise_scale,
        .noise_rows = NOISE_ROWS,
        .noise_min = NOISE_MIN,
        .n_updates = N_UPDATES,
        .n_soft_updates = N_SOFT_UPDATES,
    };
    struct robust_fit fit;
    enum err rc = robust_fit_init_smaller(&fit, rows->n, belief->groups, belief->n_groups, err);

    if (rc != ERR_OK) {
        goto done;
    }
    assert(fit.p == belief->n_columns);
    posterior->kind = belief->kind;
    posterior->is_root = belief->is_root;
    posterior->sharpness = belief->sharpness;
    posterior->offset = fill_target(belief, rows, hardware, fit.target);
    matrix_times_transposed(rows->x, rows->n, belief->columns, fit.p, rows->q, fit.phi);
    rc = robust_fit_run(&fit, &options, NULL, err);
    if (rc != ERR_OK) {
        goto done;
    }
    posterior->noise = fit.noise;
    posterior->scatter = median_of(rows, rows->scatter);
    posterior->weight = score(belief, &fit, rows, posterior->offset);
    for (size_t i = 0; i < rows->n; i++) {
        posterior->n_wild += fit.is_kept[i] ? 0 : 1;
    }
    rc = fold_posterior(belief, &fit, rows->q, posterior, err);
    if (rc == ERR_OK && !is_posterior_finite(posterior, rows->q)) {
        rc = error_set(err, ERR_NUMERIC, "the calibration by %zu architectures did not converge",
                       rows->n);
    }
done:
    robust_fit_close(&fit);
    return rc;
}

/* What the data sheet has against the library's level: a device of another input size, say. */
static double level_score(const struct calibration_prior *prior, const struct hardware *hardware,
                          double offset)
{
    double expected;
    double sd;
    double z;

    if (hardware == NULL ||
        !calibration_prior_level(prior, hardware_factor(hardware), &expected, &sd)) {
        return 0.0;
    }
    z = (offset - expected) / fmax(sd, LIBRARY_LEVEL_SD);
    return -0.5 * z * z;
}

/* From log weights to weights; those of next to none are dropped. */
static void settle_weights(struct calibration *c)
{
    struct posterior kept[BELIEF_N_KINDS] = {{0}};
    double best = -INFINITY;
    double sum = 0.0;
    size_t n = 0;

    for (size_t k = 0; k < c->n_posteriors; k++) {
        best = fmax(best, c->posteriors[k].weight);
    }
    for (size_t k = 0; k < c->n_posteriors; k++) {
        c->posteriors[k].weight = exp(c->posteriors[k].weight - best);
        if (c->posteriors[k].weight >= WEIGHT_MIN) {
            sum += c->posteriors[k].weight;
            kept[n++] = c->posteriors[k];
        } else {
            mem_free(c->posteriors[k].mean);
        }
    }
    for (size_t k = 0; k < n; k++) {
        kept[k].weight /= sum;
    }
    c->n_posteriors = n;
    memcpy(c->posteriors, kept, sizeof kept);
}

static enum err revise_all(struct calibration *c, const struct rows *rows,
                           const struct calibration_prior *prior, const struct hardware *hardware,
                           const struct belief_numbers *numbers, struct error *err)
{
    struct belief_ground ground = {
        .numbers = numbers,
        .basis = &c->basis,
        .prior = prior,
        .has_hardware = hardware != NULL,
        .scatter = sqrt(median_of(rows, rows->scatter)),
    };
    enum err rc = ERR_OK;

    for (size_t i = 0; i < rows->n; i++) {
        ground.mean_log_a += rows->log_a[i] / (double)rows->n;
        ground.mean_root_a += exp(0.5 * rows->log_a[i]) / (double)rows->n;
    }
    for (int kind = 0; rc == ERR_OK && kind < BELIEF_N_KINDS; kind++) {
        struct belief belief;
        struct posterior *posterior = &c->posteriors[c->n_posteriors];
        if (kind == BELIEF_LIBRARY && prior == NULL) {
            continue;
        }
        rc = belief_init(&belief, (enum belief_kind)kind, &ground, err);
        if (rc == ERR_OK) {
            rc = revise(&belief, rows, hardware, posterior, err);
        }
        if (rc == ERR_OK && kind == BELIEF_LIBRARY) {
            posterior->weight += level_score(prior, hardware, posterior->offset);
        }
        c->n_posteriors += rc == ERR_OK ? 1 : 0;
        belief_close(&belief);
    }
    return rc;
}

enum err calibration_fit(const struct space *space, const struct calibration_prior *prior,
                         const struct hardware *hardware, const struct measured *measured,
                         struct calibration **out, struct error *err)
{
    return calibration_fit_believing(space, prior, hardware, measured, &belief_numbers, out, err);
}

enum err calibration_fit_believing(const struct space *space, const struct calibration_prior *prior,
                                   const struct hardware *hardware, const struct measured *measured,
                                   const struct belief_numbers *numbers, struct calibration **out,
                                   struct error *err)
{
    struct calibration *c = NULL;
    struct rows rows = {0};
    enum err rc = check_measurements(measured, err);

    if (rc != ERR_OK) {
        return rc;
    }
    c = mem_calloc(1, sizeof *c);
    if (c == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a calibration");
    }
    rc = residual_basis_init(&c->basis, space, err);
    if (rc != ERR_OK) {
        goto done;
    }
    rc = gather_rows(&rows, &c->basis, measured, err);
    if (rc != ERR_OK) {
        goto done;
    }
    rc = revise_all(c, &rows, prior, hardware, numbers, err);
    if (rc != ERR_OK) {
        goto done;
    }
    c->n_rows = rows.n;
    settle_weights(c);
    *out = c;
    c = NULL; /* handed over */
done:
    mem_free(rows.x);
    calibration_destroy(c);
    return rc;
}

void calibration_describe(const struct calibration *calibration, struct calibration_report *out)
{
    double heaviest = -1.0;
    double *weights[BELIEF_N_KINDS] = {&out->same_kind, &out->other_kind, &out->library};

    *out = (struct calibration_report){.n_architectures = calibration->n_rows};
    for (size_t k = 0; k < calibration->n_posteriors; k++) {
        const struct posterior *posterior = &calibration->posteriors[k];
        *weights[posterior->kind] = posterior->weight;
        if (posterior->weight > heaviest) {
            heaviest = posterior->weight;
            out->n_distrusted = posterior->n_wild;
            out->scatter =
                sqrt(posterior->noise * ROBUST_FIT_DOF / (ROBUST_FIT_DOF - 2.0)) *
                (posterior->is_root ? 2.0 : 1.0); /* a root's relative scatter is half of it */
        }
    }
}

#include "core/robust_fit.h"

#include <assert.h>
#include <math.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "core/predictor.h"
#include "core/stats.h"

#define VARIANCE_MIN 1e-10

enum err robust_fit_init(struct robust_fit *f, size_t n, const struct robust_group *groups,
                         size_t n_groups, struct error *err)
{
    size_t p = 0;
    double *block;

    assert(n > 0 && n_groups <= ROBUST_FIT_MAX_GROUPS);
    *f = (struct robust_fit){.n = n, .n_groups = n_groups};
    for (size_t g = 0; g < n_groups; g++) {
        f->groups[g] = groups[g];
        p += groups[g].size;
    }
    f->p = p;
    block = mem_calloc(2 * n * p + 7 * n + 2 * p + p * p, sizeof *block);
    f->is_kept = mem_calloc(n, sizeof *f->is_kept);
    f->phi = block;
    if (block == NULL || f->is_kept == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to fit %zu rows", n);
    }
    f->work = f->phi + n * p;
    f->target = f->work + n * p;
    f->weight = f->target + n;
    f->residual = f->weight + n;
    f->leverage = f->residual + n;
    f->z = f->leverage + n;
    f->scale = f->z + n;
    f->scratch = f->scale + n;
    f->root = f->scratch + n;
    f->solution = f->root + p;
    f->triangle = f->solution + p;
    return ERR_OK;
}

void robust_fit_close(struct robust_fit *f)
{
    mem_free(f->phi);
    mem_free(f->is_kept);
    *f = (struct robust_fit){0};
}

static double t_weight(double squared_residual, double noise)
{
    return (ROBUST_FIT_DOF + 1.0) / (ROBUST_FIT_DOF + squared_residual / noise);
}

/* A generous start: the noise is all that the target holds, unless that is a single number. */
static void start_values(struct robust_fit *f, const struct robust_options *options)
{
    double scale = options->noise_scale;

    for (size_t g = 0; g < f->n_groups; g++) {
        f->variance[g] = f->groups[g].variance;
    }
    for (size_t i = 0; i < f->n; i++) {
        f->scratch[i] = fabs(f->target[i]);
    }
    if (f->n > 1) {
        scale = fmax(1.4826 * stats_median(f->scratch, f->n), scale);
    }
    f->noise = scale * scale;
    for (size_t i = 0; i < f->n; i++) {
        f->weight[i] = t_weight(f->target[i] * f->target[i], f->noise);
        f->is_kept[i] = true;
    }
}

static double precision_of_row(const struct robust_fit *f, size_t i)
{
    return f->is_kept[i] ? f->weight[i] / f->noise : 0.0;
}

/* The posterior for given variances, noise and weights, in coordinates u = beta / root, in which
 * its precision 1 + P' diag(precision) P has no eigenvalue below 1; P = phi diag(root). Fills
 * solution, triangle, leverage, residual, scale and z. */
static enum err solve_posterior(struct robust_fit *f, struct error *err)
{
    const size_t n = f->n;
    const size_t p = f->p;
    size_t column = 0;
    enum err rc;

    for (size_t g = 0; g < f->n_groups; g++) {
        for (size_t end = column + f->groups[g].size; column < end; column++) {
            f->root[column] = sqrt(f->variance[g]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        double row_root = sqrt(precision_of_row(f, i));
        for (size_t j = 0; j < p; j++) {
            f->work[i * p + j] = f->phi[i * p + j] * f->root[j] * row_root;
        }
        f->scratch[i] = row_root * f->target[i];
    }
    matrix_gram(f->work, n, p, f->triangle);
    for (size_t j = 0; j < p; j++) {
        f->triangle[j * p + j] += 1.0;
    }
    matrix_transposed_times_vector(f->work, n, p, f->scratch, f->solution);
    rc = matrix_cholesky(f->triangle, p, err);
    if (rc != ERR_OK) {
        return rc;
    }
    matrix_solve_cholesky(f->triangle, p, f->solution);
    rc = matrix_invert_lower(f->triangle, p, err);
    if (rc != ERR_OK) {
        return rc;
    }
    for (size_t i = 0; i < n; i++) { /* unweighted rows, those that are left out too */
        double fitted = 0.0;
        for (size_t j = 0; j < p; j++) {
            f->work[i * p + j] = f->phi[i * p + j] * f->root[j];
            fitted += f->work[i * p + j] * f->solution[j];
        }
        f->residual[i] = f->target[i] - fitted;
    }
    matrix_times_lower_transposed(f->work, n, f->triangle, p);
    for (size_t i = 0; i < n; i++) {
        double q = 0.0;
        double free; /* 1 - leverage of the row on itself */
        for (size_t j = 0; j < p; j++) {
            q += f->work[i * p + j] * f->work[i * p + j];
        }
        f->leverage[i] = q;
        free = fmax(1.0 - precision_of_row(f, i) * q, 1e-9);
        f->scale[i] = sqrt(f->noise + q / free);
        f->z[i] = f->residual[i] / free / f->scale[i];
    }
    return ERR_OK;
}

/* MacKay's update of the prior variances: squared length over effective parameters, drawn towards
 * the prior. */
static void update_variances(struct robust_fit *f)
{
    const size_t p = f->p;
    size_t column = 0;

    for (size_t g = 0; g < f->n_groups; g++) {
        double effective = (double)f->groups[g].size;
        double length = 0.0;
        for (size_t end = column + f->groups[g].size; column < end; column++) {
            length += f->solution[column] * f->solution[column];
            for (size_t i = column; i < p; i++) {
                effective -= f->triangle[i * p + column] * f->triangle[i * p + column];
            }
        }
        if (isfinite(f->groups[g].weight)) {
            double weight = f->groups[g].weight;
            double v =
                (f->variance[g] * length + weight * f->groups[g].variance) / (effective + weight);
            f->variance[g] = fmax(v, VARIANCE_MIN);
        }
    }
}

/* EM update of the t's weights and scale; rows left out do not count. */
static void update_noise(struct robust_fit *f, const struct robust_options *options,
                         bool may_leave_out)
{
    double sum = options->noise_rows * options->noise_scale * options->noise_scale;
    double rows = options->noise_rows;

    for (size_t i = 0; i < f->n; i++) {
        double expected_square = f->residual[i] * f->residual[i] + f->leverage[i];
        f->is_kept[i] = !may_leave_out || fabs(f->z[i]) <= ROBUST_FIT_DISTRUST;
        f->weight[i] = t_weight(expected_square, f->noise);
        if (f->is_kept[i]) {
            sum += f->weight[i] * expected_square;
            rows += 1.0;
        }
    }
    f->noise = fmax(sum / rows, options->noise_min * options->noise_min);
}

enum err robust_fit_run(struct robust_fit *f, const struct robust_options *options,
                        const struct fit_hooks *hooks, struct error *err)
{
    start_values(f, options);
    for (size_t update = 0;; update++) {
        const struct fit_progress progress = {.stage = "training",
                                              .percent = 100.0 * (double)update /
                                                         (double)(options->n_updates + 1),
                                              .loss = NAN};
        enum err rc = fit_tell(hooks, &progress, err);
        rc = rc != ERR_OK ? rc : solve_posterior(f, err);
        if (rc != ERR_OK || update == options->n_updates) {
            return rc;
        }
        update_variances(f);
        update_noise(f, options, update >= options->n_soft_updates);
    }
}

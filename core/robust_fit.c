#include "core/robust_fit.h"

#include <assert.h>
#include <math.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "core/predictor.h"
#include "core/stats.h"

#define VARIANCE_MIN 1e-10

/* The next `n` numbers of the block. */
static double *take(double **block, size_t n)
{
    double *taken = *block;

    *block += n;
    return taken;
}

static enum err make_room(struct robust_fit *f, struct error *err)
{
    const size_t n = f->n;
    const size_t p = f->p;
    const size_t dual = f->is_dual ? (4 + f->n_groups) * n * n + 2 * n : p * p;
    double *block = mem_calloc(2 * n * p + 7 * n + 2 * p + dual, sizeof *block);

    f->phi = block;
    f->is_kept = mem_calloc(n, sizeof *f->is_kept);
    if (block == NULL || f->is_kept == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to fit %zu rows", n);
    }
    f->phi = take(&block, n * p);
    f->work = take(&block, n * p);
    f->target = take(&block, n);
    f->weight = take(&block, n);
    f->residual = take(&block, n);
    f->leverage = take(&block, n);
    f->z = take(&block, n);
    f->scale = take(&block, n);
    f->scratch = take(&block, n);
    f->root = take(&block, p);
    f->solution = take(&block, p);
    if (!f->is_dual) {
        f->triangle = take(&block, p * p);
        return ERR_OK;
    }
    f->triangle = take(&block, n * n);
    f->inner = take(&block, n * n);
    f->inverse = take(&block, n * n);
    f->factor = take(&block, n * n);
    f->kernel = take(&block, f->n_groups * n * n);
    f->dual = take(&block, n);
    f->image = take(&block, n);
    return ERR_OK;
}

static enum err init(struct robust_fit *f, size_t n, const struct robust_group *groups,
                     size_t n_groups, bool may_be_dual, struct error *err)
{
    assert(n > 0 && n_groups <= ROBUST_FIT_MAX_GROUPS);
    *f = (struct robust_fit){.n = n, .n_groups = n_groups};
    for (size_t g = 0; g < n_groups; g++) {
        f->groups[g] = groups[g];
        f->p += groups[g].size;
    }
    f->is_dual = may_be_dual && n < f->p;
    return make_room(f, err);
}

enum err robust_fit_init(struct robust_fit *f, size_t n, const struct robust_group *groups,
                         size_t n_groups, struct error *err)
{
    return init(f, n, groups, n_groups, false, err);
}

enum err robust_fit_init_smaller(struct robust_fit *f, size_t n, const struct robust_group *groups,
                                 size_t n_groups, struct error *err)
{
    return init(f, n, groups, n_groups, true, err);
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

/* phi in the coordinates u = beta / root, in which the prior covariance is 1. */
static void scale_columns(struct robust_fit *f)
{
    size_t column = 0;

    for (size_t g = 0; g < f->n_groups; g++) {
        for (size_t end = column + f->groups[g].size; column < end; column++) {
            f->root[column] = sqrt(f->variance[g]);
        }
    }
    for (size_t i = 0; i < f->n; i++) {
        for (size_t j = 0; j < f->p; j++) {
            f->work[i * f->p + j] = f->phi[i * f->p + j] * f->root[j];
        }
    }
}

/* From residual and leverage, `free` being 1 - leverage of the row on itself. */
static void predict_row_from_others(struct robust_fit *f, size_t i, double free)
{
    f->scale[i] = sqrt(f->noise + f->leverage[i] / free);
    f->z[i] = f->residual[i] / free / f->scale[i];
}

#define FREE_MIN 1e-9

/* ---- for the coefficients -------------------------------------------------------------------- */

/* Squared length of the solution, and effective parameters: what the posterior covariance of u is
 * less than 1. */
static void measure_groups(struct robust_fit *f)
{
    const size_t p = f->p;
    size_t column = 0;

    for (size_t g = 0; g < f->n_groups; g++) {
        f->effective[g] = (double)f->groups[g].size;
        f->length[g] = 0.0;
        for (size_t end = column + f->groups[g].size; column < end; column++) {
            f->length[g] += f->solution[column] * f->solution[column];
            for (size_t i = column; i < p; i++) {
                f->effective[g] -= f->triangle[i * p + column] * f->triangle[i * p + column];
            }
        }
    }
}

static void measure_rows(struct robust_fit *f)
{
    const size_t n = f->n;
    const size_t p = f->p;

    scale_columns(f); /* unweighted rows, those that are left out too */
    matrix_times_vector(f->work, n, p, f->solution, f->residual);
    matrix_times_lower_transposed(f->work, n, f->triangle, p);
    for (size_t i = 0; i < n; i++) {
        double q = 0.0;
        for (size_t j = 0; j < p; j++) {
            q += f->work[i * p + j] * f->work[i * p + j];
        }
        f->residual[i] = f->target[i] - f->residual[i];
        f->leverage[i] = q;
        predict_row_from_others(f, i, fmax(1.0 - precision_of_row(f, i) * q, FREE_MIN));
    }
}

/* The posterior in coordinates u has the precision 1 + P' diag(precision) P, P = phi diag(root),
 * without an eigenvalue below 1. */
static enum err solve_primal(struct robust_fit *f, struct error *err)
{
    const size_t n = f->n;
    const size_t p = f->p;
    enum err rc;

    scale_columns(f);
    for (size_t i = 0; i < n; i++) {
        double row_root = sqrt(precision_of_row(f, i));
        for (size_t j = 0; j < p; j++) {
            f->work[i * p + j] *= row_root;
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
    if (rc == ERR_OK) {
        measure_rows(f);
        measure_groups(f);
    }
    return rc;
}

/* ---- for the rows ---------------------------------------------------------------------------- */

static void compute_kernels(struct robust_fit *f)
{
    size_t column = 0;

    for (size_t g = 0; g < f->n_groups; g++) {
        matrix_row_gram(f->phi + column, f->n, f->groups[g].size, f->p,
                        f->kernel + g * f->n * f->n);
        column += f->groups[g].size;
    }
}

/* inner := the prior covariance of the rows, as yet in units of the target. */
static void sum_kernels(struct robust_fit *f)
{
    const size_t n = f->n;

    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0.0;
            for (size_t g = 0; g < f->n_groups; g++) {
                sum += f->variance[g] * f->kernel[(g * n + i) * n + j];
            }
            f->inner[i * n + j] = sum;
        }
    }
}

/* Row i's residual and leverage from the prior: what the weighted rows take away of it. */
static void measure_weak_row(struct robust_fit *f, size_t i)
{
    const size_t n = f->n;

    f->residual[i] = f->target[i];
    f->leverage[i] = f->inner[i * n + i];
    for (size_t j = 0; j < n; j++) {
        const double prior = i >= j ? f->inner[i * n + j] : f->inner[j * n + i];
        f->residual[i] -= prior * f->dual[j];
        f->scratch[j] = prior * sqrt(precision_of_row(f, j));
    }
    matrix_times_vector(f->factor, n, n, f->scratch, f->image);
    for (size_t j = 0; j < n; j++) {
        f->leverage[i] -= f->image[j] * f->image[j];
    }
    f->leverage[i] = fmax(f->leverage[i], 0.0);
}

/* Of a row that says more than the prior both follow from the inverse without cancellation, as they do
 * from the prior of one that says less, or is left out. */
static void measure_dual_row(struct robust_fit *f, size_t i)
{
    const double precision = precision_of_row(f, i);
    const double free = f->inverse[i * f->n + i];

    if (precision * f->inner[i * f->n + i] > 1.0) {
        f->residual[i] = f->dual[i] / precision;
        f->leverage[i] = fmax(1.0 - free, 0.0) / precision;
    } else {
        measure_weak_row(f, i);
    }
    predict_row_from_others(f, i, fmax(free, FREE_MIN));
}

/* As measure_groups(): u = P' dual, and its covariance is 1 - P' S inverse S P. */
static void measure_dual_groups(struct robust_fit *f)
{
    const size_t n = f->n;
    double *roots = f->scratch;

    for (size_t i = 0; i < n; i++) {
        roots[i] = sqrt(precision_of_row(f, i));
    }
    for (size_t g = 0; g < f->n_groups; g++) {
        const double *kernel = f->kernel + g * n * n;
        double effective = 0.0;
        double length = 0.0;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j <= i; j++) {
                const double k = kernel[i * n + j] * (i == j ? 1.0 : 2.0);
                effective += k * f->inverse[i * n + j] * roots[i] * roots[j];
                length += k * f->dual[i] * f->dual[j];
            }
        }
        f->effective[g] = f->variance[g] * effective;
        f->length[g] = f->variance[g] * length;
    }
}

/* With S = diag(root of precision): triangle := the factor of 1 + S inner S, inverse := its inverse,
 * dual := S inverse S target. A row that is left out has a zero in S and a 1 in the rest. */
static enum err solve_dual(struct robust_fit *f, struct error *err)
{
    const size_t n = f->n;
    enum err rc;

    sum_kernels(f);
    for (size_t i = 0; i < n; i++) {
        f->scratch[i] = sqrt(precision_of_row(f, i));
        f->dual[i] = f->scratch[i] * f->target[i];
        for (size_t j = 0; j <= i; j++) {
            f->triangle[i * n + j] =
                f->scratch[i] * f->scratch[j] * f->inner[i * n + j] + (i == j ? 1.0 : 0.0);
        }
    }
    rc = matrix_cholesky(f->triangle, n, err);
    if (rc != ERR_OK) {
        return rc;
    }
    matrix_solve_cholesky(f->triangle, n, f->dual);
    for (size_t i = 0; i < n; i++) {
        f->dual[i] *= f->scratch[i];
        for (size_t j = 0; j < n; j++) {
            f->factor[i * n + j] = j <= i ? f->triangle[i * n + j] : 0.0;
        }
    }
    rc = matrix_invert_lower(f->factor, n, err);
    if (rc != ERR_OK) {
        return rc;
    }
    matrix_gram(f->factor, n, n, f->inverse);
    for (size_t i = 0; i < n; i++) {
        measure_dual_row(f, i);
    }
    measure_dual_groups(f);
    return ERR_OK;
}

/* ---- the fit --------------------------------------------------------------------------------- */

/* The posterior for given variances, noise and weights. Fills residual, leverage, scale, z, length
 * and effective, and what the solution is made of. */
static enum err solve_posterior(struct robust_fit *f, struct error *err)
{
    return f->is_dual ? solve_dual(f, err) : solve_primal(f, err);
}

/* MacKay's update of the prior variances: squared length over effective parameters, drawn towards
 * the prior. */
static void update_variances(struct robust_fit *f)
{
    for (size_t g = 0; g < f->n_groups; g++) {
        const double weight = f->groups[g].weight;
        if (isfinite(weight)) {
            double v = (f->variance[g] * f->length[g] + weight * f->groups[g].variance) /
                       (f->effective[g] + weight);
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

/* The dual's solution, and what robust_fit_covariance() needs of it. */
static void finish(struct robust_fit *f)
{
    if (f->is_dual) {
        scale_columns(f);
        matrix_transposed_times_vector(f->work, f->n, f->p, f->dual, f->solution);
    }
}

enum err robust_fit_run(struct robust_fit *f, const struct robust_options *options,
                        const struct fit_hooks *hooks, struct error *err)
{
    start_values(f, options);
    if (f->is_dual) {
        compute_kernels(f);
    }
    for (size_t update = 0;; update++) {
        const struct fit_progress progress = {.stage = "training",
                                              .percent = 100.0 * (double)update /
                                                         (double)(options->n_updates + 1),
                                              .loss = NAN};
        enum err rc = fit_tell(hooks, &progress, err);
        rc = rc != ERR_OK ? rc : solve_posterior(f, err);
        if (rc == ERR_OK && update == options->n_updates) {
            finish(f);
        }
        if (rc != ERR_OK || update == options->n_updates) {
            return rc;
        }
        update_variances(f);
        update_noise(f, options, update >= options->n_soft_updates);
    }
}

void robust_fit_covariance(const struct robust_fit *f, double *maps, size_t q, double *scratch,
                           double *covariance)
{
    for (size_t c = 0; c < f->p; c++) {
        for (size_t j = 0; j < q; j++) {
            maps[c * q + j] *= f->root[c];
        }
    }
    if (!f->is_dual) {
        matrix_lower_times(f->triangle, f->p, maps, q);
        matrix_gram(maps, f->p, q, covariance);
        return;
    }
    matrix_times(f->work, f->n, maps, q, f->p, scratch);
    for (size_t i = 0; i < f->n; i++) {
        const double row_root = sqrt(precision_of_row(f, i));
        for (size_t j = 0; j < q; j++) {
            scratch[i * q + j] *= row_root;
        }
    }
    matrix_solve_lower(f->triangle, f->n, scratch, q);
    matrix_gram(maps, f->p, q, covariance);
    matrix_subtract_gram(scratch, f->n, q, covariance);
}

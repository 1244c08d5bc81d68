/* Bayesian linear regression that wild rows do not mislead: what the predictor `cost` and
 * calibrations are fitted by.
 *
 *     target_i = phi_i . beta + noise,   beta_j ~ N(0, v_g),   g the group of column j
 *
 * Each group of columns has one prior variance v_g, which starts at what its caller believes and is
 * set by the evidence (MacKay, Neural Computation 4, 1992) as far as the belief's weight allows.
 * The noise is Student's t with ROBUST_FIT_DOF degrees of freedom, whose EM weights (Lange, Little
 * and Taylor, JASA 1989) let wild rows go; rows whose leave-one-out residual is beyond
 * ROBUST_FIT_DISTRUST predictive scales are left out altogether. Deterministic.
 *
 * The posterior is solved for the p coefficients, or, where rows are fewer, for the n rows (the dual,
 * or kernel, form: Rasmussen and Williams, Gaussian Processes for Machine Learning, 2006, ch. 2).
 * Both give the same numbers up to rounding; time and memory are those of the smaller one.
 *
 * A struct robust_fit belongs to the caller and to one thread. */
#ifndef DGLD_CORE_ROBUST_FIT_H
#define DGLD_CORE_ROBUST_FIT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

struct fit_hooks;

/* Degrees of freedom of the noise. A predictive standard deviation is sqrt(2) scales of the t. */
#define ROBUST_FIT_DOF      4.0
#define ROBUST_FIT_DISTRUST 6.0

enum { ROBUST_FIT_MAX_GROUPS = 12 };

/* Consecutive columns that share a prior variance. */
struct robust_group {
    size_t size;
    double variance; /* of each column's coefficient, before the evidence speaks */
    double weight;   /* of that belief, in effective parameters; INFINITY: it is not changed */
};

struct robust_options {
    double noise_scale;    /* belief about the scale of the t ... */
    double noise_rows;     /* ... that counts as so many rows */
    double noise_min;      /* no smaller scale is believed */
    size_t n_updates;      /* of variances and noise */
    size_t n_soft_updates; /* of these, before the first row may be left out altogether */
};

/* n rows, p columns. Everything numeric lies in one block. */
struct robust_fit {
    size_t n, p, n_groups;
    bool is_dual;
    double *phi;      /* (n, p): filled by the caller */
    double *target;   /* (n): filled by the caller */
    double *work;     /* (n, p) */
    double *weight;   /* (n): EM weights of the t */
    double *residual; /* (n) */
    double *leverage; /* (n): posterior variance of phi . beta */
    double *z;        /* (n): leave-one-out residual in predictive scales ... */
    double *scale;    /* (n): ... and that scale */
    double *scratch;  /* (n) */
    double *root;     /* (p): square root of each column's prior variance */
    double *solution; /* (p): beta in units of root */
    double *triangle; /* (p, p): inverse of the Cholesky factor of the posterior precision, in the
                         same units: the posterior covariance is transpose(triangle) * triangle. Of
                         the dual (n, n): the Cholesky factor of inner + 1 */
    double *inner;    /* the dual's alone: (n, n), prior covariance of the weighted rows in units of
                         the noise ... */
    double *inverse;  /* (n, n): ... and the inverse of inner + 1, */
    double *factor;   /* (n, n): of which this is one */
    double *kernel;   /* (n_groups, n, n): what each group adds per unit of its variance */
    double *dual;     /* (n): solution = transpose(work) * dual */
    double *image;    /* (n): scratch */
    bool *is_kept;    /* (n) */
    double noise;     /* squared scale of the t */
    struct robust_group groups[ROBUST_FIT_MAX_GROUPS]; /* the beliefs */
    double variance[ROBUST_FIT_MAX_GROUPS];            /* what became of them ... */
    double length[ROBUST_FIT_MAX_GROUPS];    /* ... with the squared length of their solution */
    double effective[ROBUST_FIT_MAX_GROUPS]; /* ... and how many parameters the rows determined */
};

/* Makes room for n (positive) rows; the groups' sizes add up to p. The caller fills phi and target,
 * and ends it with robust_fit_close(), whatever this returns. The fit is solved for coefficients by
 * robust_fit_init(), in the smaller of the two forms by robust_fit_init_smaller(). ERR_NOMEM. */
enum err robust_fit_init(struct robust_fit *f, size_t n, const struct robust_group *groups,
                         size_t n_groups, struct error *err);
enum err robust_fit_init_smaller(struct robust_fit *f, size_t n, const struct robust_group *groups,
                                 size_t n_groups, struct error *err);

/* Fits. `hooks` (may be NULL) are told of every update in the stage "training". ERR_NUMERIC;
 * ERR_CANCELED. */
enum err robust_fit_run(struct robust_fit *f, const struct robust_options *options,
                        const struct fit_hooks *hooks, struct error *err);

/* After the fit: covariance (q, q), lower triangle := that of transpose(maps) * beta, where maps is
 * (p, q) and is overwritten. `scratch` holds n * q numbers, of the dual only. */
void robust_fit_covariance(const struct robust_fit *f, double *maps, size_t q, double *scratch,
                           double *covariance);

/* Accepts a zeroed struct. */
void robust_fit_close(struct robust_fit *f);

#endif

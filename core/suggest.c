#include "core/suggest.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "core/belief.h"
#include "core/dataset.h"
#include "core/matrix.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/space_standard.h"

/* By `make hyperparameters`, on stand-ins for unseen devices (tests/bench/derive_hyperparameters.c). */
const struct suggest_numbers suggest_numbers = {
    .same_kind_misfit = 1.0,
};

#define NOISE_MIN        0.003 /* scale of a measurement, as calibrations have it */
#define RELATIVE_UNKNOWN 0.05  /* sd of log A where the caller does not tell it */

enum { DRAWS_MAX = 4 * SUGGEST_MAX_CANDIDATES };

/* ---- architectures and how they scatter ------------------------------------------------------ */

/* Architectures with the scatter of A, in two blocks. */
struct pool {
    size_t n;
    int32_t *genes;        /* (n, n_genes) */
    double *a;             /* (n) */
    double *scatter;       /* (n): squared scale of A's own scatter ... */
    double middle_scatter; /* ... and the mean of it */
};

static void pool_close(struct pool *pool)
{
    mem_free(pool->genes);
    mem_free(pool->a);
    *pool = (struct pool){0};
}

static enum err pool_init(struct pool *pool, const struct space *space, size_t n, struct error *err)
{
    *pool = (struct pool){
        .n = n,
        .genes = mem_calloc(n, space->n_genes * sizeof *pool->genes),
        .a = mem_calloc(n, 2 * sizeof *pool->a),
    };
    if (pool->genes == NULL || pool->a == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to choose among %zu architectures", n);
    }
    pool->scatter = pool->a + n;
    return ERR_OK;
}

/* `sd` is NULL where it is unknown. */
static void pool_put(struct pool *pool, const struct space *space, size_t at, const int32_t *genes,
                     double a, const double *sd)
{
    const double relative = sd != NULL ? *sd / a : RELATIVE_UNKNOWN;

    memcpy(pool->genes + at * space->n_genes, genes, space->n_genes * sizeof *genes);
    pool->a[at] = a;
    pool->scatter[at] = relative * relative * (ROBUST_FIT_DOF - 2.0) / ROBUST_FIT_DOF;
    pool->middle_scatter += pool->scatter[at] / (double)pool->n;
}

/* Every (n / n_kept)-th candidate. */
static enum err thin_out(struct pool *pool, const struct space *space,
                         const struct suggest_candidates *c, size_t n_kept, struct error *err)
{
    enum err rc = pool_init(pool, space, n_kept, err);

    for (size_t i = 0; rc == ERR_OK && i < n_kept; i++) {
        const size_t at = i * c->n / n_kept;
        pool_put(pool, space, i, c->genes + at * space->n_genes, c->a[at],
                 c->sd != NULL ? &c->sd[at] : NULL);
    }
    return rc;
}

/* What is measured, each architecture once, evenly thinned out where there is too much of it as
 * calibration_fit() does; and which of the candidates are among it. */
static enum err gather_measured(struct pool *pool, const struct space *space,
                                const struct measured *m, const struct pool *candidates,
                                bool *is_measured, struct error *err)
{
    const size_t n_genes = space->n_genes;
    const size_t n = m->n + candidates->n;
    int32_t *genes = mem_calloc(n, n_genes * sizeof *genes);
    size_t *group = mem_calloc(n, sizeof *group);
    size_t *first = mem_calloc(m->n, sizeof *first);
    size_t n_distinct = 0;
    size_t n_groups;
    enum err rc;

    if (genes == NULL || group == NULL || first == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for %zu measurements", m->n);
        goto done;
    }
    memcpy(genes, m->genes, m->n * n_genes * sizeof *genes);
    memcpy(genes + m->n * n_genes, candidates->genes, candidates->n * n_genes * sizeof *genes);
    rc = dataset_group(space, genes, n, group, &n_groups, err);
    if (rc != ERR_OK) {
        goto done;
    }
    for (size_t i = 0; i < m->n; i++) { /* groups are numbered in the order of their first row */
        if (group[i] == n_distinct) {
            first[n_distinct++] = i;
        }
    }
    for (size_t i = 0; i < candidates->n; i++) {
        is_measured[i] = group[m->n + i] < n_distinct;
    }
    n_groups = n_distinct < CALIBRATION_USED_ROWS ? n_distinct : CALIBRATION_USED_ROWS;
    rc = pool_init(pool, space, n_groups, err);
    for (size_t i = 0; rc == ERR_OK && i < n_groups; i++) {
        const size_t at = first[i * n_distinct / n_groups];
        pool_put(pool, space, i, m->genes + at * n_genes, m->a[at],
                 m->sd != NULL ? &m->sd[at] : NULL);
    }
done:
    mem_free(genes);
    mem_free(group);
    mem_free(first);
    return rc;
}

/* ---- beliefs about the candidates ------------------------------------------------------------ */

/* One belief about the candidates. N of them, p columns. */
struct view {
    double weight;
    size_t n, p;
    double *phi;   /* (N, p): columns in units of their prior deviation, so that the prior is 1 */
    double *noise; /* (N): squared scale of a measurement */
    double *variance;   /* (N): phi' covariance phi, ... */
    double *reduction;  /* (N): ... and phi' covariance gram covariance phi */
    double *covariance; /* (p, p): what is still uncertain, symmetric */
    double *gram;       /* (p, p): sum over candidates of importance * phi phi', symmetric */
    double *direction;  /* (p): scratch, as the next ones */
    double *image;      /* (p) */
    double *along;      /* (N) */
    double *across;     /* (N) */
    double total;       /* the squared error to expect before any measurement */
};

static void view_close(struct view *view)
{
    mem_free(view->phi);
    *view = (struct view){0};
}

static enum err view_alloc(struct view *view, size_t n, size_t p, struct error *err)
{
    double *block = mem_calloc(n * p + 5 * n + 2 * p * p + 2 * p, sizeof *block);

    if (block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to weigh %zu architectures", n);
    }
    *view = (struct view){.n = n, .p = p, .phi = block};
    view->noise = view->phi + n * p;
    view->variance = view->noise + n;
    view->reduction = view->variance + n;
    view->along = view->reduction + n;
    view->across = view->along + n;
    view->covariance = view->across + n;
    view->gram = view->covariance + p * p;
    view->direction = view->gram + p * p;
    view->image = view->direction + p;
    return ERR_OK;
}

/* The squares of milliseconds that a squared error of log latency, or of the root, stands for. */
static double importance(const struct belief *belief, double a)
{
    return belief->is_root ? a : a * a;
}

/* What choosing needs beside the views. */
struct work {
    const struct suggest_choice *choice;
    const struct suggest_numbers *numbers;
    struct residual_basis basis;
    struct pool candidates;
    struct pool measured;
    double *block;  /* of what follows */
    double *x;      /* (most of a pool, q) */
    double *rows;   /* (most of a pool, p of the widest belief) */
    double *noise;  /* (most of a pool) */
    double *square; /* (2, p, p) */
    double *sum;    /* (N) */
    bool *is_taken; /* (N) */
    struct view views[BELIEF_N_KINDS];
};

/* Rows phi (n, p) and the noise (n) of a pool's architectures under a belief. */
static void fill_rows(struct work *work, const struct belief *belief, const struct pool *pool,
                      double *phi, double *noise)
{
    const struct residual_basis *basis = &work->basis;
    const size_t p = belief->n_columns;
    size_t column = 0;

    for (size_t i = 0; i < pool->n; i++) {
        double *row = work->x + i * basis->q;
        residual_describe(basis, pool->genes + i * basis->space->n_genes, row);
        row[RESIDUAL_BASE] = belief->is_root ? sqrt(pool->a[i]) : log(pool->a[i]);
        noise[i] = belief->noise_scale * belief->noise_scale;
        noise[i] += belief->is_root ? 0.0 : pool->scatter[i] - work->candidates.middle_scatter;
        noise[i] = fmax(noise[i], NOISE_MIN * NOISE_MIN);
    }
    matrix_times_transposed(work->x, pool->n, belief->columns, p, basis->q, phi);
    for (size_t g = 0; g < belief->n_groups; g++) {
        const bool may_misfit = belief->kind == BELIEF_SAME_KIND && belief->groups[g].size > 1;
        const double misfit = may_misfit ? work->numbers->same_kind_misfit : 0.0;
        const double root = sqrt(belief->groups[g].variance);
        for (size_t end = column + belief->groups[g].size; column < end; column++) {
            for (size_t i = 0; i < pool->n; i++) {
                double *value = &phi[i * p + column];
                *value *= root;
                noise[i] += misfit * *value * *value;
            }
        }
    }
}

static void mirror(double *lower, size_t p)
{
    for (size_t i = 0; i < p; i++) {
        for (size_t j = i + 1; j < p; j++) {
            lower[i * p + j] = lower[j * p + i];
        }
    }
}

static void weigh_candidates(struct work *work, const struct belief *belief, struct view *view)
{
    const size_t p = view->p;
    const double *a = work->candidates.a;
    const double unit = importance(belief, a[0]);

    for (size_t i = 0; i < view->n; i++) {
        double w = sqrt(importance(belief, a[i]) / unit);
        for (size_t j = 0; j < p; j++) {
            work->rows[i * p + j] = w * view->phi[i * p + j];
        }
    }
    matrix_gram(work->rows, view->n, p, view->gram);
    mirror(view->gram, p);
    view->total = 0.0;
    for (size_t i = 0; i < p; i++) {
        view->total += view->gram[i * p + i];
    }
}

/* The covariance that the measured architectures leave of the prior's 1: the inverse of 1 + what
 * they add to the precision. */
static enum err condition_on_measured(struct work *work, const struct belief *belief,
                                      struct view *view, struct error *err)
{
    const size_t p = view->p;
    double *factor = work->square;
    enum err rc;

    fill_rows(work, belief, &work->measured, work->rows, work->noise);
    for (size_t i = 0; i < work->measured.n; i++) {
        for (size_t j = 0; j < p; j++) {
            work->rows[i * p + j] /= sqrt(work->noise[i]);
        }
    }
    matrix_gram(work->rows, work->measured.n, p, factor);
    for (size_t j = 0; j < p; j++) {
        factor[j * p + j] += 1.0;
    }
    rc = matrix_cholesky(factor, p, err);
    rc = rc != ERR_OK ? rc : matrix_invert_lower(factor, p, err);
    for (size_t i = 0; i < p; i++) {
        for (size_t j = i + 1; j < p; j++) {
            factor[i * p + j] = 0.0;
        }
    }
    if (rc == ERR_OK) {
        matrix_gram(factor, p, p, view->covariance);
        mirror(view->covariance, p);
    }
    return rc;
}

static void multiply_rows(const double *a, const double *b, size_t n, size_t p, double *products)
{
    for (size_t i = 0; i < n; i++) {
        products[i] = 0.0;
        for (size_t j = 0; j < p; j++) {
            products[i] += a[i * p + j] * b[i * p + j];
        }
    }
}

/* Variance and reduction of every candidate from the covariance. */
static void measure_candidates(struct work *work, struct view *view)
{
    const size_t p = view->p;
    double *once = work->square;
    double *twice = work->square + p * p;

    /* covariance and gram are symmetric, so that their transposes are themselves */
    matrix_times_transposed(view->phi, view->n, view->covariance, p, p, work->rows);
    multiply_rows(view->phi, work->rows, view->n, p, view->variance);
    matrix_times(view->covariance, p, view->gram, p, p, once);
    matrix_times(once, p, view->covariance, p, p, twice);
    matrix_times(view->phi, view->n, twice, p, p, work->rows);
    multiply_rows(view->phi, work->rows, view->n, p, view->reduction);
}

static enum err make_view(struct work *work, const struct belief *belief, double weight,
                          struct error *err)
{
    struct view *view = &work->views[belief->kind];
    const size_t p = belief->n_columns;
    enum err rc = view_alloc(view, work->candidates.n, p, err);

    if (rc != ERR_OK) {
        return rc;
    }
    view->weight = weight;
    fill_rows(work, belief, &work->candidates, view->phi, view->noise);
    weigh_candidates(work, belief, view);
    for (size_t i = 0; i < p; i++) {
        view->covariance[i * p + i] = 1.0;
    }
    if (work->measured.n > 0) {
        rc = condition_on_measured(work, belief, view, err);
    }
    if (rc == ERR_OK) {
        measure_candidates(work, view);
    }
    return rc;
}

/* What a calibration by the measurements says of the beliefs. */
static enum err weigh_beliefs(const struct suggest_choice *choice,
                              const struct belief_numbers *numbers, double *weights,
                              struct error *err)
{
    struct calibration *calibration = NULL;
    struct calibration_report report;
    enum err rc = calibration_fit_believing(choice->space, choice->prior, choice->hardware,
                                            choice->measured, numbers, &calibration, err);

    if (rc == ERR_OK) {
        calibration_describe(calibration, &report);
        weights[BELIEF_SAME_KIND] = report.same_kind;
        weights[BELIEF_OTHER_KIND] = report.other_kind;
        weights[BELIEF_LIBRARY] = report.library;
    }
    calibration_destroy(calibration);
    return rc;
}

static enum err make_views(struct work *work, struct error *err)
{
    const struct suggest_choice *choice = work->choice;
    const struct pool *c = &work->candidates;
    struct belief_ground ground = {
        .numbers = choice->beliefs != NULL ? choice->beliefs : &belief_numbers,
        .basis = &work->basis,
        .prior = choice->prior,
        .has_hardware = choice->hardware != NULL,
        .scatter = sqrt(c->middle_scatter),
    };
    double weights[BELIEF_N_KINDS] = {-1.0, -1.0, -1.0}; /* the beliefs' own */
    enum err rc =
        work->measured.n > 0 ? weigh_beliefs(choice, ground.numbers, weights, err) : ERR_OK;

    for (size_t i = 0; i < c->n; i++) {
        ground.mean_log_a += log(c->a[i]) / (double)c->n;
        ground.mean_root_a += sqrt(c->a[i]) / (double)c->n;
    }
    for (int kind = 0; rc == ERR_OK && kind < BELIEF_N_KINDS; kind++) {
        struct belief belief;
        if ((kind == BELIEF_LIBRARY && choice->prior == NULL) || weights[kind] == 0.0) {
            continue;
        }
        rc = belief_init(&belief, (enum belief_kind)kind, &ground, err);
        if (rc == ERR_OK) {
            rc = make_view(work, &belief,
                           weights[kind] < 0.0 ? exp(belief.log_weight) : weights[kind], err);
        }
        belief_close(&belief);
    }
    return rc;
}

/* ---- choosing -------------------------------------------------------------------------------- */

/* After a measurement of candidate `at` everything changes by what has rank one. With d = covariance
 * * phi, v the variance of what is measured and i any candidate: covariance -= d d' / v, so that
 * variance_i -= (phi_i . d)^2 / v and so on. */
static void condition(struct view *view, size_t at)
{
    const size_t p = view->p;
    const double v = view->noise[at] + view->variance[at];
    double *d = view->direction;
    double *image = view->image; /* gram d, then covariance gram d */
    double square = 0.0;         /* d' gram d */

    matrix_times_vector(view->covariance, p, p, view->phi + at * p, d);
    matrix_times_vector(view->gram, p, p, d, view->along);
    for (size_t j = 0; j < p; j++) {
        square += d[j] * view->along[j];
    }
    matrix_times_vector(view->covariance, p, p, view->along, image);
    matrix_times_vector(view->phi, view->n, p, d, view->along);
    matrix_times_vector(view->phi, view->n, p, image, view->across);
    for (size_t i = 0; i < view->n; i++) {
        const double t = view->along[i] / v;
        view->variance[i] = fmax(view->variance[i] - t * view->along[i], 0.0);
        view->reduction[i] += t * (t * square - 2.0 * view->across[i]);
    }
    for (size_t i = 0; i < p; i++) {
        for (size_t j = 0; j < p; j++) {
            view->covariance[i * p + j] -= d[i] * d[j] / v;
        }
    }
}

static size_t choose_next(struct work *work)
{
    const size_t n = work->candidates.n;
    size_t best = SIZE_MAX;

    memset(work->sum, 0, n * sizeof *work->sum);
    for (int kind = 0; kind < BELIEF_N_KINDS; kind++) {
        const struct view *view = &work->views[kind];
        for (size_t i = 0; view->phi != NULL && i < n; i++) {
            work->sum[i] += view->weight / view->total * view->reduction[i] /
                            (view->noise[i] + view->variance[i]);
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!work->is_taken[i] && (best == SIZE_MAX || work->sum[i] > work->sum[best])) {
            best = i;
        }
    }
    work->is_taken[best] = true;
    for (int kind = 0; kind < BELIEF_N_KINDS; kind++) {
        if (work->views[kind].phi != NULL) {
            condition(&work->views[kind], best);
        }
    }
    return best;
}

static enum err choose_all(struct work *work, size_t n, const struct fit_hooks *hooks, size_t *rows,
                           struct error *err)
{
    for (size_t i = 0; i < n; i++) {
        const struct fit_progress progress = {
            .stage = "suggesting", .percent = 100.0 * (double)i / (double)n, .loss = NAN};
        enum err rc = fit_tell(hooks, &progress, err);
        if (rc != ERR_OK) {
            return rc;
        }
        rows[i] = choose_next(work);
    }
    return ERR_OK;
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void work_close(struct work *work)
{
    for (int kind = 0; kind < BELIEF_N_KINDS; kind++) {
        view_close(&work->views[kind]);
    }
    pool_close(&work->candidates);
    pool_close(&work->measured);
    mem_free(work->block);
    mem_free(work->is_taken);
}

static enum err work_alloc(struct work *work, struct error *err)
{
    const struct calibration_prior *prior = work->choice->prior;
    const size_t n = work->candidates.n;
    const size_t most = n > work->measured.n ? n : work->measured.n;
    const size_t q = work->basis.q;
    const size_t p = RESIDUAL_FIRST + work->basis.p + (prior != NULL ? prior->n_devices : 0);

    work->block = mem_calloc(most * (q + p + 1) + 2 * p * p + n, sizeof *work->block);
    if (work->block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to choose among %zu architectures", n);
    }
    work->x = work->block;
    work->rows = work->x + most * q;
    work->noise = work->rows + most * p;
    work->square = work->noise + most;
    work->sum = work->square + 2 * p * p;
    return ERR_OK;
}

static enum err open_pools(struct work *work, size_t n, struct error *err)
{
    const struct suggest_choice *choice = work->choice;
    const struct suggest_candidates *c = choice->candidates;
    const size_t n_kept = c->n < SUGGEST_MAX_CANDIDATES ? c->n : SUGGEST_MAX_CANDIDATES;
    size_t n_open = n_kept;
    enum err rc = ERR_OK;

    if (n > 0 && n <= SUGGEST_MAX && n <= n_kept) {
        work->is_taken = mem_calloc(n_kept, sizeof *work->is_taken);
        rc = work->is_taken == NULL ? error_set(err, ERR_NOMEM,
                                                "no memory to choose among %zu "
                                                "architectures",
                                                n_kept)
                                    : thin_out(&work->candidates, choice->space, c, n_kept, err);
        if (rc == ERR_OK && choice->measured != NULL && choice->measured->n > 0) {
            rc = gather_measured(&work->measured, choice->space, choice->measured,
                                 &work->candidates, work->is_taken, err);
        }
        for (size_t i = 0; rc == ERR_OK && i < n_kept; i++) {
            n_open -= work->is_taken[i] ? 1 : 0;
        }
    }
    if (rc == ERR_OK && (n == 0 || n > SUGGEST_MAX || n > n_open)) {
        return error_set(err, ERR_INVALID, "1 to %zu architectures can be suggested, not %zu",
                         n_open < SUGGEST_MAX ? n_open : (size_t)SUGGEST_MAX, n);
    }
    return rc;
}

enum err calibration_suggest_next(const struct suggest_choice *choice, size_t n,
                                  const struct fit_hooks *hooks, size_t *rows, struct error *err)
{
    struct work work = {
        .choice = choice,
        .numbers = choice->numbers != NULL ? choice->numbers : &suggest_numbers,
    };
    enum err rc = open_pools(&work, n, err);

    rc = rc != ERR_OK ? rc : residual_basis_init(&work.basis, choice->space, err);
    rc = rc != ERR_OK ? rc : work_alloc(&work, err);
    rc = rc != ERR_OK ? rc : make_views(&work, err);
    if (rc == ERR_OK) {
        rc = choose_all(&work, n, hooks, rows, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rows[i] = rows[i] * choice->candidates->n / work.candidates.n;
    }
    work_close(&work);
    return rc;
}

enum err calibration_suggest(const struct space *space, const struct calibration_prior *prior,
                             bool has_hardware, const struct suggest_candidates *candidates,
                             size_t n, const struct fit_hooks *hooks, size_t *rows,
                             struct error *err)
{
    /* before anything is measured, all that matters of a data sheet is whether there is one */
    static const struct hardware some_hardware = {1.0, 1.0, 1.0, 1.0};
    const struct suggest_choice choice = {
        .space = space,
        .prior = prior,
        .hardware = has_hardware ? &some_hardware : NULL,
        .candidates = candidates,
    };

    return calibration_suggest_next(&choice, n, hooks, rows, err);
}

/* ---- of a space ------------------------------------------------------------------------------ */

/* A draw that is there already is drawn anew, some times. */
size_t suggest_draw(const struct space *space, uint64_t seed, const int32_t *excluded,
                    size_t n_excluded, int32_t *genes)
{
    const size_t n_genes = space->n_genes;
    struct rng rng;
    size_t n = 0;

    rng_init(&rng, seed);
    for (size_t draw = 0; draw < DRAWS_MAX && n < SUGGEST_MAX_CANDIDATES; draw++) {
        int32_t *row = genes + n * n_genes;
        if (space->n_architectures > 0 && space->n_architectures <= SUGGEST_MAX_CANDIDATES) {
            if (draw == space->n_architectures) {
                break;
            }
            space_unrank(space, draw, row);
        } else {
            space_draw(space, &rng, row);
        }
        n +=
            space_is_among(space, genes, n, row) || space_is_among(space, excluded, n_excluded, row)
                ? 0
                : 1;
    }
    return n;
}

enum err calibration_suggest_of_space(const struct predictor *predictor,
                                      const struct calibration_prior *prior, bool has_hardware,
                                      uint64_t seed, size_t n, const struct fit_hooks *hooks,
                                      int32_t *genes, struct error *err)
{
    const struct space *space = predictor->space;
    const size_t n_genes = space->n_genes;
    int32_t *pool = mem_calloc(SUGGEST_MAX_CANDIDATES * n_genes, sizeof *pool);
    double *a = mem_calloc(SUGGEST_MAX_CANDIDATES, 2 * sizeof *a);
    size_t *rows = mem_calloc(SUGGEST_MAX, sizeof *rows);
    struct suggest_candidates candidates = {.genes = pool, .a = a};
    enum err rc = ERR_OK;

    if (pool == NULL || a == NULL || rows == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to choose among %d architectures",
                       SUGGEST_MAX_CANDIDATES);
    }
    if (rc == ERR_OK) {
        candidates.n = suggest_draw(space, seed, NULL, 0, pool);
        candidates.sd = a + candidates.n;
        rc = predictor_predict(predictor, pool, candidates.n, a, a + candidates.n, err);
    }
    if (rc == ERR_OK) {
        rc = calibration_suggest(space, prior, has_hardware, &candidates, n, hooks, rows, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        memcpy(genes + i * n_genes, pool + rows[i] * n_genes, n_genes * sizeof *genes);
    }
    mem_free(pool);
    mem_free(a);
    mem_free(rows);
    return rc;
}

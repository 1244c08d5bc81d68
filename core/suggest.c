#include "core/suggest.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/belief.h"
#include "core/matrix.h"
#include "core/mem.h"
#include "core/rng.h"
#include "core/space_standard.h"

/* What was found on pairs of devices of the library, one predicted from the other: a set serves
 * devices that are not quite as believed better where corrections by features are taken to be twice
 * what phones of a kind differ by, and where the most unusual architectures, which would tell most
 * if latency were linear, are left alone. */
#define SAME_KIND_WIDER 2.0
#define USUAL_SHARE     0.7

#define RELATIVE_UNKNOWN 0.05 /* sd of log A where the caller does not tell it */

enum { DRAWS_MAX = 4 * SUGGEST_MAX_CANDIDATES };

/* One belief about the candidates. N of them, p columns. */
struct view {
    double weight;
    size_t n, p;
    double *phi;   /* (N, p): columns in units of their prior deviation, so that the prior is 1 */
    double *noise; /* (N): squared scale of a measurement */
    double *covariance; /* (p, p): what is still uncertain */
    double *gram;       /* (p, p): sum over candidates of importance * phi phi' */
    double *middle;     /* (p, p): covariance * gram * covariance */
    double *scratch;    /* (p, p) */
    double total;       /* the squared error to expect before any measurement */
};

static void view_close(struct view *view)
{
    mem_free(view->phi);
    *view = (struct view){0};
}

static enum err view_alloc(struct view *view, size_t n, size_t p, struct error *err)
{
    double *block = mem_calloc(n * p + n + 4 * p * p, sizeof *block);

    if (block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to weigh %zu architectures", n);
    }
    *view = (struct view){
        .n = n,
        .p = p,
        .phi = block,
        .noise = block + n * p,
        .covariance = block + n * p + n,
        .gram = block + n * p + n + p * p,
        .middle = block + n * p + n + 2 * p * p,
        .scratch = block + n * p + n + 3 * p * p,
    };
    return ERR_OK;
}

/* The squares of milliseconds that a squared error of log latency, or of the root, stands for. */
static double importance(const struct belief *belief, double a)
{
    return belief->is_root ? a : a * a;
}

static void fill_view(struct view *view, const struct belief *belief,
                      const struct residual_basis *basis,
                      const struct suggest_candidates *candidates, const double *scatter, double *x,
                      double *weighted)
{
    const size_t p = view->p;
    const double unit = importance(belief, candidates->a[0]);
    size_t column = 0;

    for (size_t i = 0; i < view->n; i++) {
        double *row = x + i * basis->q;
        residual_describe(basis, candidates->genes + i * basis->space->n_genes, row);
        row[RESIDUAL_BASE] = belief->is_root ? sqrt(candidates->a[i]) : log(candidates->a[i]);
        view->noise[i] = belief->noise_scale * belief->noise_scale;
        view->noise[i] += belief->is_root ? 0.0 : scatter[i] - scatter[view->n];
    }
    matrix_times_transposed(x, view->n, belief->columns, p, basis->q, view->phi);
    for (size_t g = 0; g < belief->n_groups; g++) {
        const bool is_wider = belief->kind == BELIEF_SAME_KIND && belief->groups[g].size > 1;
        const double root = sqrt(belief->groups[g].variance) * (is_wider ? SAME_KIND_WIDER : 1.0);
        for (size_t end = column + belief->groups[g].size; column < end; column++) {
            for (size_t i = 0; i < view->n; i++) {
                view->phi[i * p + column] *= root;
            }
        }
    }
    for (size_t i = 0; i < view->n; i++) {
        double w = sqrt(importance(belief, candidates->a[i]) / unit);
        for (size_t j = 0; j < p; j++) {
            weighted[i * p + j] = w * view->phi[i * p + j];
        }
    }
    matrix_gram(weighted, view->n, p, view->gram);
    for (size_t i = 0; i < p; i++) {
        view->covariance[i * p + i] = 1.0;
        view->total += view->gram[i * p + i];
        for (size_t j = i + 1; j < p; j++) {
            view->gram[i * p + j] = view->gram[j * p + i];
        }
    }
}

/* What each candidate would take away is added to `gain` (N). */
static void add_gains(struct view *view, double *gain, double *image)
{
    const size_t p = view->p;

    /* all three are symmetric, so that their transposes are themselves */
    matrix_times_transposed(view->covariance, p, view->gram, p, p, view->scratch);
    matrix_times_transposed(view->scratch, p, view->covariance, p, p, view->middle);
    matrix_times_transposed(view->phi, view->n, view->middle, p, p, image);
    for (size_t i = 0; i < view->n; i++) {
        const double *phi = view->phi + i * p;
        double reduction = 0.0;
        for (size_t j = 0; j < p; j++) {
            reduction += phi[j] * image[i * p + j];
        }
        gain[i] = reduction;
    }
    matrix_times_transposed(view->phi, view->n, view->covariance, p, p, image);
    for (size_t i = 0; i < view->n; i++) {
        const double *phi = view->phi + i * p;
        double variance = view->noise[i];
        for (size_t j = 0; j < p; j++) {
            variance += phi[j] * image[i * p + j];
        }
        gain[i] *= view->weight / (view->total * variance);
    }
}

/* The covariance after a measurement of candidate `at`. `direction` (p) is scratch. */
static void condition(struct view *view, size_t at, double *direction)
{
    const size_t p = view->p;
    const double *phi = view->phi + at * p;
    double variance = view->noise[at];

    matrix_times_vector(view->covariance, p, p, phi, direction);
    for (size_t j = 0; j < p; j++) {
        variance += phi[j] * direction[j];
    }
    for (size_t i = 0; i < p; i++) {
        for (size_t j = 0; j < p; j++) {
            view->covariance[i * p + j] -= direction[i] * direction[j] / variance;
        }
    }
}

/* What the views are made of, and what choosing needs. */
struct work {
    double *x;        /* (N, q) */
    double *weighted; /* (N, p) of the widest belief */
    double *scatter;  /* (N + 1): squared scale of A's own scatter, and the mean of it */
    double *gain;     /* (N) */
    double *sum;      /* (N) */
    bool *is_taken;   /* (N) */
};

static void work_close(struct work *work)
{
    mem_free(work->x);
    mem_free(work->is_taken);
}

static enum err work_alloc(struct work *work, size_t n, size_t q, size_t p, struct error *err)
{
    double *block = mem_calloc(n * (q + p + 3) + 1, sizeof *block);

    *work = (struct work){.x = block, .is_taken = mem_calloc(n, sizeof *work->is_taken)};
    if (block == NULL || work->is_taken == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to choose among %zu architectures", n);
    }
    work->weighted = block + n * q;
    work->gain = work->weighted + n * p;
    work->sum = work->gain + n;
    work->scatter = work->sum + n;
    return ERR_OK;
}

static void fill_scatter(const struct suggest_candidates *c, double *scatter)
{
    scatter[c->n] = 0.0;
    for (size_t i = 0; i < c->n; i++) {
        double relative = c->sd != NULL ? c->sd[i] / c->a[i] : RELATIVE_UNKNOWN;
        scatter[i] = relative * relative * (ROBUST_FIT_DOF - 2.0) / ROBUST_FIT_DOF;
        scatter[c->n] += scatter[i] / (double)c->n;
    }
}

static enum err make_views(struct view views[BELIEF_N_KINDS], struct work *work,
                           const struct residual_basis *basis,
                           const struct calibration_prior *prior, bool has_hardware,
                           const struct suggest_candidates *c, struct error *err)
{
    struct belief_ground ground = {
        .numbers = &belief_numbers,
        .basis = basis,
        .prior = prior,
        .has_hardware = has_hardware,
        .scatter = sqrt(work->scatter[c->n]),
    };
    enum err rc = ERR_OK;

    for (size_t i = 0; i < c->n; i++) {
        ground.mean_log_a += log(c->a[i]) / (double)c->n;
        ground.mean_root_a += sqrt(c->a[i]) / (double)c->n;
    }
    for (int kind = 0; rc == ERR_OK && kind < BELIEF_N_KINDS; kind++) {
        struct belief belief;
        if (kind == BELIEF_LIBRARY && prior == NULL) {
            continue;
        }
        rc = belief_init(&belief, (enum belief_kind)kind, &ground, err);
        if (rc == ERR_OK) {
            rc = view_alloc(&views[kind], c->n, belief.n_columns, err);
        }
        if (rc == ERR_OK) {
            views[kind].weight = exp(belief.log_weight);
            fill_view(&views[kind], &belief, basis, c, work->scatter, work->x, work->weighted);
        }
        belief_close(&belief);
    }
    return rc;
}

static int compare_doubles(const void *a, const void *b)
{
    double x = *(const double *)a;
    double y = *(const double *)b;

    return (x > y) - (x < y);
}

/* Takes out the unusual: those whose latency, the level aside, is least certain. At least `n` stay.
 */
static void leave_unusual(const struct view views[BELIEF_N_KINDS], struct work *work,
                          size_t n_candidates, size_t n)
{
    const size_t share = (size_t)(USUAL_SHARE * (double)n_candidates);
    const size_t n_usual = share > n ? share : n;
    double bound;

    memset(work->sum, 0, n_candidates * sizeof *work->sum);
    for (int kind = 0; kind < BELIEF_N_KINDS; kind++) {
        const struct view *view = &views[kind];
        for (size_t i = 0; view->phi != NULL && i < n_candidates; i++) {
            for (size_t j = 1; j < view->p; j++) {
                double value = view->phi[i * view->p + j];
                work->sum[i] += view->weight / view->total * value * value;
            }
        }
    }
    memcpy(work->gain, work->sum, n_candidates * sizeof *work->sum);
    qsort(work->gain, n_candidates, sizeof *work->gain, compare_doubles);
    bound = work->gain[n_usual - 1];
    for (size_t i = 0; i < n_candidates; i++) {
        work->is_taken[i] = work->sum[i] > bound;
    }
}

static size_t choose_next(struct view views[BELIEF_N_KINDS], struct work *work, size_t n)
{
    size_t best = SIZE_MAX;

    memset(work->sum, 0, n * sizeof *work->sum);
    for (int kind = 0; kind < BELIEF_N_KINDS; kind++) {
        if (views[kind].phi != NULL) {
            add_gains(&views[kind], work->gain, work->weighted);
            for (size_t i = 0; i < n; i++) {
                work->sum[i] += work->gain[i];
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        if (!work->is_taken[i] && (best == SIZE_MAX || work->sum[i] > work->sum[best])) {
            best = i;
        }
    }
    work->is_taken[best] = true;
    for (int kind = 0; kind < BELIEF_N_KINDS; kind++) {
        if (views[kind].phi != NULL) {
            condition(&views[kind], best, work->weighted);
        }
    }
    return best;
}

/* Among candidates that are few enough. */
static enum err suggest(const struct residual_basis *basis, const struct calibration_prior *prior,
                        bool has_hardware, const struct suggest_candidates *c, size_t n,
                        const struct fit_hooks *hooks, size_t *rows, struct error *err)
{
    struct view views[BELIEF_N_KINDS] = {{0}};
    struct work work = {0};
    const size_t p_max = 2 + basis->p + (prior != NULL ? prior->n_devices : 0);
    enum err rc = work_alloc(&work, c->n, basis->q, p_max, err);

    if (rc == ERR_OK) {
        fill_scatter(c, work.scatter);
        rc = make_views(views, &work, basis, prior, has_hardware, c, err);
    }
    if (rc == ERR_OK) {
        leave_unusual(views, &work, c->n, n);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        const struct fit_progress progress = {
            .stage = "suggesting", .percent = 100.0 * (double)i / (double)n, .loss = NAN};
        rc = fit_tell(hooks, &progress, err);
        if (rc == ERR_OK) {
            rows[i] = choose_next(views, &work, c->n);
        }
    }
    for (int kind = 0; kind < BELIEF_N_KINDS; kind++) {
        view_close(&views[kind]);
    }
    work_close(&work);
    return rc;
}

/* Copies of every (n / n_kept)-th candidate, in one block that `genes` begins. */
static enum err thin_out(const struct space *space, const struct suggest_candidates *c,
                         size_t n_kept, int32_t **genes, double **a, struct error *err)
{
    *genes = mem_calloc(n_kept * space->n_genes, sizeof **genes);
    *a = mem_calloc(2 * n_kept, sizeof **a);
    if (*genes == NULL || *a == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to choose among %zu architectures", n_kept);
    }
    for (size_t i = 0; i < n_kept; i++) {
        size_t at = i * c->n / n_kept;
        memcpy(*genes + i * space->n_genes, c->genes + at * space->n_genes,
               space->n_genes * sizeof **genes);
        (*a)[i] = c->a[at];
        (*a)[n_kept + i] = c->sd != NULL ? c->sd[at] : RELATIVE_UNKNOWN * c->a[at];
    }
    return ERR_OK;
}

enum err calibration_suggest(const struct space *space, const struct calibration_prior *prior,
                             bool has_hardware, const struct suggest_candidates *candidates,
                             size_t n, const struct fit_hooks *hooks, size_t *rows,
                             struct error *err)
{
    const size_t n_kept =
        candidates->n < SUGGEST_MAX_CANDIDATES ? candidates->n : SUGGEST_MAX_CANDIDATES;
    struct residual_basis basis;
    int32_t *genes = NULL;
    double *a = NULL;
    enum err rc;

    if (n == 0 || n > SUGGEST_MAX || n > n_kept) {
        return error_set(err, ERR_INVALID, "1 to %zu architectures can be suggested, not %zu",
                         n_kept < SUGGEST_MAX ? n_kept : (size_t)SUGGEST_MAX, n);
    }
    rc = residual_basis_init(&basis, space, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = thin_out(space, candidates, n_kept, &genes, &a, err);
    if (rc == ERR_OK) {
        const struct suggest_candidates kept = {genes, a, a + n_kept, n_kept};
        rc = suggest(&basis, prior, has_hardware, &kept, n, hooks, rows, err);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        rows[i] = rows[i] * candidates->n / n_kept;
    }
    mem_free(genes);
    mem_free(a);
    return rc;
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

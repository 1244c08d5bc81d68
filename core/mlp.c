#include "core/mlp.h"

#include <assert.h>
#include <math.h>
#include <stdint.h>
#include <string.h>

#include <cblas.h>

#include "core/mem.h"
#include "core/vector_clones.h"

enum err mlp_init(struct mlp *mlp, const size_t *widths, size_t n_layers, struct error *err)
{
    struct mlp made = {.n_layers = n_layers};

    assert(n_layers > 0 && n_layers <= MLP_MAX_LAYERS);
    for (size_t l = 0; l <= n_layers; l++) {
        if (widths[l] == 0 || widths[l] > 1 << 20) {
            return error_set(err, ERR_INVALID, "a layer cannot have %zu units", widths[l]);
        }
        made.widths[l] = widths[l];
        made.n_parameters += l > 0 ? widths[l] * (widths[l - 1] + 1) : 0;
    }
    made.parameters = mem_calloc(made.n_parameters, sizeof *made.parameters);
    if (made.parameters == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu parameters", made.n_parameters);
    }
    *mlp = made;
    return ERR_OK;
}

void mlp_close(struct mlp *mlp)
{
    mem_free(mlp->parameters);
    memset(mlp, 0, sizeof *mlp);
}

static size_t layer_offset(const struct mlp *mlp, size_t layer)
{
    size_t offset = 0;

    for (size_t l = 0; l < layer; l++) {
        offset += mlp->widths[l + 1] * (mlp->widths[l] + 1);
    }
    return offset;
}

double *mlp_weight(const struct mlp *mlp, size_t layer)
{
    return mlp->parameters + layer_offset(mlp, layer);
}

double *mlp_bias(const struct mlp *mlp, size_t layer)
{
    return mlp_weight(mlp, layer) + mlp->widths[layer + 1] * mlp->widths[layer];
}

enum err mlp_workspace_init(struct mlp_workspace *ws, const struct mlp *mlp, size_t n_max,
                            struct error *err)
{
    size_t n_units = 0;
    size_t widest = 0;
    double *at;

    for (size_t l = 1; l <= mlp->n_layers; l++) {
        n_units += mlp->widths[l];
        widest = mlp->widths[l] > widest ? mlp->widths[l] : widest;
    }
    memset(ws, 0, sizeof *ws);
    ws->n_max = n_max;
    ws->block = mem_calloc((n_units + 2 * widest) * n_max + mlp->n_parameters, sizeof *ws->block);
    if (ws->block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to run a network on %zu rows", n_max);
    }
    at = ws->block;
    for (size_t l = 0; l < mlp->n_layers; l++) {
        ws->outputs[l] = at;
        at += mlp->widths[l + 1] * n_max;
    }
    ws->delta = at;
    ws->previous_delta = ws->delta + widest * n_max;
    ws->gradient = ws->previous_delta + widest * n_max;
    return ERR_OK;
}

void mlp_workspace_close(struct mlp_workspace *ws)
{
    mem_free(ws->block);
    memset(ws, 0, sizeof *ws);
}

void mlp_draw(struct mlp *mlp, struct rng *rng)
{
    for (size_t l = 0; l < mlp->n_layers; l++) {
        double bound = 1.0 / sqrt((double)mlp->widths[l]);
        double *layer = mlp_weight(mlp, l);
        size_t n = mlp->widths[l + 1] * (mlp->widths[l] + 1); /* the bias follows the weight */
        for (size_t i = 0; i < n; i++) {
            layer[i] = (2.0 * rng_uniform(rng) - 1.0) * bound;
        }
    }
}

/* ---- elementwise ----------------------------------------------------------------------------- */

/* exp(-2|x|) by splitting off a power of two and a polynomial for the rest, then the quotient
 * (1 - e) / (1 + e) with the sign put back. Branch-free, so that compilers turn it into vectors. */
VECTOR_CLONES void mlp_tanh(double *y, size_t n)
{
    const double shifter = 0x1.8p52; /* adding it rounds to a whole number, kept in the low bits */

    for (size_t i = 0; i < n; i++) {
        double x = fabs(y[i]);
        double t = -2.0 * (x < 20.0 ? x : 20.0); /* tanh(20) is 1 in double precision */
        double shifted = t * 0x1.71547652b82fep+0 + shifter;
        double k = shifted - shifter;
        double r = (t - k * 0x1.62e42fefa3800p-1) - k * 0x1.ef35793c76730p-45;
        double p = 1.0 / 6227020800.0; /* Taylor to order 13: |r| is below 0.35 */
        int64_t bits;
        double power;
        double e;
        double q;
        p = p * r + 1.0 / 479001600.0;
        p = p * r + 1.0 / 39916800.0;
        p = p * r + 1.0 / 3628800.0;
        p = p * r + 1.0 / 362880.0;
        p = p * r + 1.0 / 40320.0;
        p = p * r + 1.0 / 5040.0;
        p = p * r + 1.0 / 720.0;
        p = p * r + 1.0 / 120.0;
        p = p * r + 1.0 / 24.0;
        p = p * r + 1.0 / 6.0;
        p = p * r + 0.5;
        p = p * r + 1.0;
        p = p * r + 1.0;
        memcpy(&bits, &shifted, sizeof bits);
        bits = (int64_t)((uint64_t)(bits + 1023) << 52); /* 2^k */
        memcpy(&power, &bits, sizeof power);
        e = p * power;
        q = (1.0 - e) / (1.0 + e);
        q = x == x ? q : x; /* NaN stays NaN */
        y[i] = copysign(q, y[i]);
    }
}

VECTOR_CLONES static void set_rows(double *y, const double *bias, size_t n_units, size_t n)
{
    for (size_t u = 0; u < n_units; u++) {
        for (size_t i = 0; i < n; i++) {
            y[u * n + i] = bias[u];
        }
    }
}

/* delta := delta * (1 - output^2), the derivative of tanh by its own value. */
VECTOR_CLONES static void through_tanh(double *delta, const double *output, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        delta[i] *= 1.0 - output[i] * output[i];
    }
}

VECTOR_CLONES static void descend(double *parameters, const double *gradient, size_t n, double rate)
{
    for (size_t i = 0; i < n; i++) {
        parameters[i] -= rate * gradient[i];
    }
}

VECTOR_CLONES static void add_to(double *sum, const double *x, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sum[i] += x[i];
    }
}

/* Four sums at a time, so that one addition need not wait for the other. */
static void sum_rows(const double *delta, size_t n_units, size_t n, double *sums)
{
    for (size_t u = 0; u < n_units; u++) {
        const double *row = delta + u * n;
        double part[4] = {0.0, 0.0, 0.0, 0.0};
        size_t i = 0;
        for (; i + 4 <= n; i += 4) {
            for (size_t k = 0; k < 4; k++) {
                part[k] += row[i + k];
            }
        }
        for (; i < n; i++) {
            part[0] += row[i];
        }
        sums[u] = (part[0] + part[1]) + (part[2] + part[3]);
    }
}

double loss_smooth_l1(const double *output, const double *target, size_t n, double *slope)
{
    double sum = 0.0;

    for (size_t i = 0; i < n; i++) {
        double r = output[i] - target[i];
        double size = fabs(r);
        sum += size < 1.0 ? 0.5 * r * r : size - 0.5;
        slope[i] = (size < 1.0 ? r : copysign(1.0, r)) / (double)n;
    }
    return sum / (double)n;
}

/* ---- forward, backward, descent -------------------------------------------------------------- */

/* Columns of a large product that are made at a time, a multiple of what BLAS makes at a time anyway:
 * all n of them, where nobody wants to breathe. */
enum { PART_COLUMNS = 48 };

static size_t part_columns(const struct mlp_workspace *ws, size_t n, size_t first)
{
    return ws->breathe != NULL && n - first > PART_COLUMNS ? PART_COLUMNS : n - first;
}

static void breathe(const struct mlp_workspace *ws)
{
    if (ws->breathe != NULL) {
        ws->breathe(ws->breathe_context);
    }
}

/* What enters the first layer's tanh: y (out, n). */
static void enter_first_layer(const struct mlp *mlp, const struct mlp_workspace *ws,
                              const double *x, size_t n, double *y)
{
    const size_t in = mlp->widths[0];
    const size_t out = mlp->widths[1];
    size_t part;

    set_rows(y, mlp_bias(mlp, 0), out, n);
    for (size_t i = 0; i < n; i += part) {
        part = part_columns(ws, n, i);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)out, (int)part, (int)in, 1.0,
                    mlp_weight(mlp, 0), (int)in, x + i * in, (int)in, 1.0, y + i, (int)n);
        breathe(ws);
    }
}

/* From what enters the first layer's tanh, which stands in outputs[0], to the end. */
static const double *finish_forward(const struct mlp *mlp, struct mlp_workspace *ws, size_t n)
{
    for (size_t l = 0; l < mlp->n_layers; l++) {
        const size_t in = mlp->widths[l];
        const size_t out = mlp->widths[l + 1];
        double *y = ws->outputs[l];
        if (l > 0) {
            set_rows(y, mlp_bias(mlp, l), out, n);
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)out, (int)n, (int)in, 1.0,
                        mlp_weight(mlp, l), (int)in, ws->outputs[l - 1], (int)n, 1.0, y, (int)n);
        }
        if (l + 1 < mlp->n_layers) {
            mlp_tanh(y, out * n);
        }
        breathe(ws);
    }
    return ws->outputs[mlp->n_layers - 1];
}

const double *mlp_forward(const struct mlp *mlp, struct mlp_workspace *ws, const double *x,
                          size_t n)
{
    assert(n <= ws->n_max);
    enter_first_layer(mlp, ws, x, n, ws->outputs[0]);
    return finish_forward(mlp, ws, n);
}

/* Moves ws->delta from what a layer puts out to what enters the tanh before it. */
static void step_back(const struct mlp *mlp, struct mlp_workspace *ws, size_t n, size_t layer)
{
    const size_t in = mlp->widths[layer];
    const size_t out = mlp->widths[layer + 1];
    double *kept = ws->delta;

    cblas_dgemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)in, (int)n, (int)out, 1.0,
                mlp_weight(mlp, layer), (int)in, ws->delta, (int)n, 0.0, ws->previous_delta,
                (int)n);
    through_tanh(ws->previous_delta, ws->outputs[layer - 1], in * n);
    ws->delta = ws->previous_delta;
    ws->previous_delta = kept;
}

/* Gradient of one layer from ws->delta. */
static void layer_gradient(const struct mlp *mlp, struct mlp_workspace *ws, const double *x,
                           size_t n, size_t layer)
{
    const size_t in = mlp->widths[layer];
    const size_t out = mlp->widths[layer + 1];
    double *gradient = ws->gradient + layer_offset(mlp, layer);

    if (layer == 0) { /* x is (n, in) */
        size_t part;
        for (size_t j = 0; j < in; j += part) {
            part = part_columns(ws, in, j);
            cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)out, (int)part, (int)n, 1.0,
                        ws->delta, (int)n, x + j, (int)in, 0.0, gradient + j, (int)in);
            breathe(ws);
        }
    } else {
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)out, (int)in, (int)n, 1.0,
                    ws->delta, (int)n, ws->outputs[layer - 1], (int)n, 0.0, gradient, (int)in);
    }
    sum_rows(ws->delta, out, n, gradient + out * in);
}

void mlp_backward(const struct mlp *mlp, struct mlp_workspace *ws, const double *x, size_t n,
                  const double *slope, size_t first_layer)
{
    assert(mlp->widths[mlp->n_layers] == 1);
    memcpy(ws->delta, slope, n * sizeof *slope);
    for (size_t l = mlp->n_layers; l-- > first_layer;) {
        layer_gradient(mlp, ws, x, n, l);
        if (l > first_layer) {
            step_back(mlp, ws, n, l);
        }
        breathe(ws);
    }
}

/* ---- training -------------------------------------------------------------------------------- */

/* A training in progress. `gram` is NULL where the first layer's steps are taken the plain way. */
struct descent {
    struct mlp *mlp;
    struct mlp_workspace *ws;
    const double *x, *target;
    size_t n;
    const struct mlp_training *training;
    double *slope;   /* (n), owned */
    double *gram;    /* (n, n): x * transpose(x) + 1, owned */
    double *entered; /* (out, n): what enters the first layer's tanh, owned */
    double *moved;   /* (out, n): sum of deltas that its parameters do not hold yet, owned */
};

static void descent_free(struct descent *d)
{
    mem_free(d->slope);
    mem_free(d->gram);
    mem_free(d->entered);
    mem_free(d->moved);
}

static enum err descent_alloc(struct descent *d, struct error *err)
{
    const size_t in = d->mlp->widths[0];
    const size_t out = d->mlp->widths[1];
    const bool in_row_space = d->training->first_layer == 0 && d->n < 2 * in;

    d->slope = mem_calloc(d->n, sizeof *d->slope);
    if (in_row_space) {
        d->gram = mem_calloc(d->n * d->n, sizeof *d->gram);
        d->entered = mem_calloc(out * d->n, sizeof *d->entered);
        d->moved = mem_calloc(out * d->n, sizeof *d->moved);
    }
    if (d->slope == NULL ||
        (in_row_space && (d->gram == NULL || d->entered == NULL || d->moved == NULL))) {
        return error_set(err, ERR_NOMEM, "no memory to train on %zu rows", d->n);
    }
    if (in_row_space) {
        for (size_t i = 0; i < d->n * d->n; i++) {
            d->gram[i] = 1.0; /* of the bias */
        }
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)d->n, (int)d->n, (int)in, 1.0,
                    d->x, (int)in, d->x, (int)in, 1.0, d->gram, (int)d->n);
        enter_first_layer(d->mlp, d->ws, d->x, d->n, d->entered);
    }
    return ERR_OK;
}

static double descent_loss(struct descent *d)
{
    const double *output;

    if (d->gram == NULL) {
        output = mlp_forward(d->mlp, d->ws, d->x, d->n);
    } else {
        memcpy(d->ws->outputs[0], d->entered, d->mlp->widths[1] * d->n * sizeof *d->entered);
        output = finish_forward(d->mlp, d->ws, d->n);
    }
    return loss_smooth_l1(output, d->target, d->n, d->slope);
}

/* What the first layer's step does to what enters its tanh. */
static void move_entered(struct descent *d)
{
    const size_t n = d->n;
    const size_t out = d->mlp->widths[1];
    size_t part;

    for (size_t i = 0; i < n; i += part) {
        part = part_columns(d->ws, n, i);
        cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)out, (int)part, (int)n,
                    -d->training->learning_rate, d->ws->delta, (int)n, d->gram + i, (int)n, 1.0,
                    d->entered + i, (int)n);
        breathe(d->ws);
    }
}

/* One step, by the slope of the last loss. */
static void descent_step(struct descent *d)
{
    const size_t n = d->n;
    const size_t out = d->mlp->widths[1];
    const size_t first = d->gram != NULL ? 1 : d->training->first_layer;
    const size_t offset = layer_offset(d->mlp, first);
    const double rate = d->training->learning_rate;

    mlp_backward(d->mlp, d->ws, d->x, n, d->slope, first);
    if (d->gram != NULL) { /* before the layers above move: their weights carry delta down */
        step_back(d->mlp, d->ws, n, 1);
        add_to(d->moved, d->ws->delta, out * n);
        move_entered(d);
    }
    descend(d->mlp->parameters + offset, d->ws->gradient + offset, d->mlp->n_parameters - offset,
            rate);
}

/* Lets the first layer's parameters follow, and starts from them anew. */
static void descent_sync(struct descent *d)
{
    const size_t n_first = layer_offset(d->mlp, 1);
    double *kept = d->ws->delta;

    if (d->gram == NULL) {
        return;
    }
    d->ws->delta = d->moved;
    layer_gradient(d->mlp, d->ws, d->x, d->n, 0);
    d->ws->delta = kept;
    descend(d->mlp->parameters, d->ws->gradient, n_first, d->training->learning_rate);
    memset(d->moved, 0, d->mlp->widths[1] * d->n * sizeof *d->moved);
    enter_first_layer(d->mlp, d->ws, d->x, d->n, d->entered);
}

static enum err run_epochs(struct descent *d, struct error *err)
{
    const struct mlp_training *t = d->training;

    for (size_t epoch = t->first_epoch + 1; epoch <= t->n_epochs; epoch++) {
        double loss = descent_loss(d);
        if (!isfinite(loss)) {
            return error_set(
                err, ERR_NUMERIC,
                "the loss is not finite any more in epoch %zu: the learning rate %g is "
                "too large for these data",
                epoch, t->learning_rate);
        }
        descent_step(d);
        if (epoch % MLP_SYNC_EPOCHS == 0) {
            descent_sync(d);
        }
        if (t->observer != NULL && !t->observer(t->context, epoch, loss)) {
            descent_sync(d);
            return error_set(err, ERR_CANCELED, "the training was stopped after epoch %zu", epoch);
        }
    }
    descent_sync(d);
    return ERR_OK;
}

enum err mlp_train(struct mlp *mlp, struct mlp_workspace *ws, const double *x, const double *target,
                   size_t n, const struct mlp_training *training, double *last_loss,
                   struct error *err)
{
    struct descent d = {
        .mlp = mlp, .ws = ws, .x = x, .target = target, .n = n, .training = training};
    enum err rc;

    assert(n <= ws->n_max && mlp->n_layers > 1);
    rc = descent_alloc(&d, err);
    rc = rc != ERR_OK ? rc : run_epochs(&d, err);
    if (rc == ERR_OK && last_loss != NULL) {
        *last_loss = loss_smooth_l1(mlp_forward(mlp, ws, x, n), target, n, d.slope);
    }
    descent_free(&d);
    return rc;
}

/* A multilayer perceptron with tanh between its layers and a linear output, in double precision:
 * forward, backward, and plain gradient descent on the last of its layers.
 *
 * Shapes: n rows, layer l maps widths[l] inputs to widths[l + 1] outputs. Inputs x are (n,
 * widths[0]); what layers put out is kept the other way round, (widths[l + 1], n), one row a unit,
 * so that every loop over a unit's outputs runs along memory. All parameters lie in one block,
 * layer by layer the weight (out, in) and then the bias (out).
 *
 * A struct mlp is immutable while it predicts, and then any number of threads may share it, each
 * with a workspace of its own; training has it alone. */
#ifndef DGLD_CORE_MLP_H
#define DGLD_CORE_MLP_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "core/rng.h"

enum { MLP_MAX_LAYERS = 8 };

struct mlp {
    size_t n_layers;
    size_t widths[MLP_MAX_LAYERS + 1];
    double *parameters; /* (n_parameters), owned */
    size_t n_parameters;
};

/* Scratch of one thread for at most n_max rows, and the gradient of the parameters. */
struct mlp_workspace {
    size_t n_max;
    double *outputs[MLP_MAX_LAYERS]; /* outputs[l] is (widths[l + 1], n) */
    double *delta, *previous_delta;  /* (widest, n): loss by what enters a layer's tanh */
    double *gradient;                /* (n_parameters) */
    double *block;                   /* owned: all of the above */
    /* Called between parts of a product that take some tens of microseconds each; NULL, as
     * mlp_workspace_init() leaves it, where products need no parts. The results are the same but for
     * rounding. */
    void (*breathe)(void *context);
    void *breathe_context;
};

/* widths (n_layers + 1), which are copied. All parameters are zero. ERR_NOMEM, ERR_INVALID for a width
 * of 0. The closing functions accept a zeroed struct. */
enum err mlp_init(struct mlp *mlp, const size_t *widths, size_t n_layers, struct error *err);
void mlp_close(struct mlp *mlp);

/* ERR_NOMEM. */
enum err mlp_workspace_init(struct mlp_workspace *ws, const struct mlp *mlp, size_t n_max,
                            struct error *err);
void mlp_workspace_close(struct mlp_workspace *ws);

/* The parameters of a layer: weight (out, in) and bias (out), inside of the network's own block. */
double *mlp_weight(const struct mlp *mlp, size_t layer);
double *mlp_bias(const struct mlp *mlp, size_t layer);

/* Draws the parameters of all layers uniformly from +-1/sqrt(in), as the reference's library does.
 */
void mlp_draw(struct mlp *mlp, struct rng *rng);

/* Evaluates n rows of x; returns the last layer's outputs (widths[n_layers], n), which stay the
 * workspace's until its next use. */
const double *mlp_forward(const struct mlp *mlp, struct mlp_workspace *ws, const double *x,
                          size_t n);

/* After mlp_forward() on the same rows: fills the gradient of the layers from `first_layer` on, for
 * a network with one output. `slope` (n) is the loss by that output. */
void mlp_backward(const struct mlp *mlp, struct mlp_workspace *ws, const double *x, size_t n,
                  const double *slope, size_t first_layer);

/* Smooth L1 (Girshick, ICCV 2015), beta 1, mean over n rows; `slope` (n) receives its derivative.
 */
double loss_smooth_l1(const double *output, const double *target, size_t n, double *slope);

/* y := tanh(y), element by element, to 2e-16 absolute; the same bits on every x86-64 host. */
void mlp_tanh(double *y, size_t n);

/* Called after every epoch with the loss before its step; returns false to stop. It may read the
 * network's parameters where `epoch` is a multiple of MLP_SYNC_EPOCHS; in between, the first
 * layer's may lag behind. */
typedef bool mlp_observer(void *context, size_t epoch, double loss);

enum { MLP_SYNC_EPOCHS = 1000 };

struct mlp_training {
    size_t first_layer; /* the layers before it keep their parameters */
    size_t first_epoch; /* epochs that are done already, where a training is resumed: a multiple of
                         * MLP_SYNC_EPOCHS makes it end with the same bits */
    size_t n_epochs;    /* in all */
    double learning_rate;
    mlp_observer *observer; /* may be NULL */
    void *context;
};

/* Full-batch gradient descent on smooth L1. Where the first layer is trained on fewer than twice as
 * many rows as it has inputs, its steps are taken in the space of the rows: what enters its tanh
 * moves by rate * delta * (x * transpose(x) + 1), one product of a known (n, n) matrix instead of
 * two with x, and the parameters follow every MLP_SYNC_EPOCHS epochs and at the end. The result is
 * the same but for rounding. `last_loss` (may be NULL) receives the loss after the last step.
 * ERR_CANCELED where the observer stopped it, after the step of that epoch; ERR_NUMERIC with the
 * epoch where the loss is not finite. */
enum err mlp_train(struct mlp *mlp, struct mlp_workspace *ws, const double *x, const double *target,
                   size_t n, const struct mlp_training *training, double *last_loss,
                   struct error *err);

#endif

/* The frozen part of the paper's predictor: tanh layers whose weights are drawn from a seed and
 * never trained, so that a file needs to keep the seed only. Single precision, as in the reference:
 * 10 million weights, 40 MB. Immutable once made; any number of threads may evaluate. */
#ifndef DGLD_CORE_RANDOM_LAYERS_H
#define DGLD_CORE_RANDOM_LAYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum { RANDOM_N_LAYERS = 5, RANDOM_N_OUTPUTS = 256 };

struct random_layers {
    size_t widths[RANDOM_N_LAYERS + 1]; /* n_inputs, 512, 2048, 2048, 2048, 256 */
    float *parameters;                  /* layer by layer weight (out, in) and bias (out); owned */
};

/* Draws weights and biases uniformly from +-1/sqrt(in), layer by layer. The caller ends it with
 * random_layers_close(). ERR_NOMEM. */
enum err random_layers_init(struct random_layers *layers, size_t n_inputs, uint64_t seed,
                            struct error *err);

/* Accepts a zeroed struct. */
void random_layers_close(struct random_layers *layers);

/* Asked before each layer of a block of rows, which takes some 20 ms; `done` is the share of the work
 * that lies behind, from 0 to 1. Returns false to stop. */
typedef bool random_layers_observer(void *context, double done);

/* y (n, RANDOM_N_OUTPUTS) := the layers' outputs for the rows of x (n, n_inputs). `observer` may be
 * NULL. ERR_NOMEM; ERR_CANCELED where the observer stopped it. */
enum err random_layers_apply(const struct random_layers *layers, const double *x, size_t n,
                             double *y, random_layers_observer *observer, void *context,
                             struct error *err);

#endif

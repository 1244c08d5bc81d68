#include "core/random_layers.h"

#include <math.h>
#include <string.h>

#include <cblas.h>

#include "core/mem.h"
#include "core/rng.h"
#include "core/tanh_each.h"

enum {
    BLOCK_ROWS = 256,
    FEW_ROWS = 4, /* fewer take OpenBLAS longer at once than one by one */
};

static const size_t hidden_widths[RANDOM_N_LAYERS] = {512, 2048, 2048, 2048, RANDOM_N_OUTPUTS};

enum err random_layers_init(struct random_layers *layers, size_t n_inputs, uint64_t seed,
                            struct error *err)
{
    struct random_layers made = {.widths = {n_inputs}};
    size_t n_parameters = 0;
    struct rng rng;
    float *at;

    for (size_t l = 0; l < RANDOM_N_LAYERS; l++) {
        made.widths[l + 1] = hidden_widths[l];
        n_parameters += made.widths[l + 1] * (made.widths[l] + 1);
    }
    made.parameters = mem_calloc(n_parameters, sizeof *made.parameters);
    if (made.parameters == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu random weights", n_parameters);
    }
    rng_init(&rng, seed);
    at = made.parameters;
    for (size_t l = 0; l < RANDOM_N_LAYERS; l++) {
        double bound = 1.0 / sqrt((double)made.widths[l]);
        size_t n = made.widths[l + 1] * (made.widths[l] + 1);
        for (size_t i = 0; i < n; i++) {
            *at++ = (float)((2.0 * rng_uniform(&rng) - 1.0) * bound);
        }
    }
    *layers = made;
    return ERR_OK;
}

void random_layers_close(struct random_layers *layers)
{
    mem_free(layers->parameters);
    memset(layers, 0, sizeof *layers);
}

/* One layer on a block: y (n, out) := tanh(x (n, in) * transpose(weight) + bias). */
static void apply_layer(const float *weight, const float *bias, size_t in, size_t out,
                        const float *x, size_t n, float *y)
{
    for (size_t i = 0; i < n; i++) {
        memcpy(y + i * out, bias, out * sizeof *bias);
    }
    for (size_t i = 0; n < FEW_ROWS && i < n; i++) {
        cblas_sgemv(CblasRowMajor, CblasNoTrans, (int)out, (int)in, 1.0F, weight, (int)in,
                    x + i * in, 1, 1.0F, y + i * out, 1);
    }
    if (n >= FEW_ROWS) {
        cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)out, (int)in, 1.0F, x,
                    (int)in, weight, (int)in, 1.0F, y, (int)out);
    }
    tanh_each(y, n * out);
}

/* Takes a block through all layers. `front` and `back` hold BLOCK_ROWS rows of the widest layer. NULL
 * where the observer, which is told the share that is done, from `done` on up to `done` + `share`,
 * stopped it. */
static const float *apply_block(const struct random_layers *layers, size_t n, float *front,
                                float *back, random_layers_observer *observer, void *context,
                                double done, double share)
{
    const float *parameters = layers->parameters;

    for (size_t l = 0; l < RANDOM_N_LAYERS; l++) {
        size_t in = layers->widths[l];
        size_t out = layers->widths[l + 1];
        float *kept = front;
        if (observer != NULL &&
            !observer(context, done + share * (double)l / (double)RANDOM_N_LAYERS)) {
            return NULL;
        }
        apply_layer(parameters, parameters + out * in, in, out, front, n, back);
        parameters += out * (in + 1);
        front = back;
        back = kept;
    }
    return front;
}

enum err random_layers_apply(const struct random_layers *layers, const double *x, size_t n,
                             double *y, random_layers_observer *observer, void *context,
                             struct error *err)
{
    const size_t n_inputs = layers->widths[0];
    const size_t block = n < BLOCK_ROWS ? n : BLOCK_ROWS;
    const size_t widest = 2048;
    float *front = mem_calloc(2 * block * widest, sizeof *front);
    enum err rc = ERR_OK;

    if (front == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to evaluate %zu rows", n);
    }
    for (size_t first = 0; rc == ERR_OK && first < n; first += block) {
        size_t rows = n - first < block ? n - first : block;
        const float *out;
        for (size_t i = 0; i < rows * n_inputs; i++) {
            front[i] = (float)x[first * n_inputs + i];
        }
        out = apply_block(layers, rows, front, front + block * widest, observer, context,
                          (double)first / (double)n, (double)rows / (double)n);
        if (out == NULL) {
            rc = error_set(err, ERR_CANCELED, "stopped after %zu of %zu rows", first, n);
        }
        for (size_t i = 0; out != NULL && i < rows * RANDOM_N_OUTPUTS; i++) {
            y[first * RANDOM_N_OUTPUTS + i] = (double)out[i];
        }
    }
    mem_free(front);
    return rc;
}

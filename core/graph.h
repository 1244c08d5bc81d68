/* A network as a graph of operators, with its weights as descriptions: what exports write.
 *
 * Node 0 is the input, the last node gives the logits, and each node stands behind those that it
 * reads. A node has one output, which goes by the node's number. Maps are 1 x channels x side x
 * side; vectors are 1 x channels. An operator whose output nobody reads is part of the network all
 * the same: its parameters count.
 *
 * Weights are not held but drawn when asked for, any part of any of them: weight w of seed s is the
 * same everywhere and always, by whichever pieces it is read. They are initialised as is usual:
 *
 *   convolution     weights Kaiming (He) uniform by fan-out for ReLU, fan-out being output channels
 *                   x kernel x kernel; bias 0
 *   normalisation   weight 1, bias 0, running mean 0; the running variance follows from
 *                   what the first batch would leave, estimated from a caricature of the network
 *                   (graph_weights.c), so that logits are of the order of 1 or below, however deep
 *                   the network is and however it is connected
 *   linear          weights and bias uniform in +-1 / sqrt(inputs), as PyTorch's default is
 *
 * A graph is built by one thread and immutable then: any number of threads may read it. */
#ifndef DGLD_CORE_GRAPH_H
#define DGLD_CORE_GRAPH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"

enum graph_op {
    GRAPH_INPUT,
    GRAPH_CONV,
    GRAPH_NORM, /* batch normalisation as at inference, with GRAPH_NORM_EPSILON */
    GRAPH_RELU,
    GRAPH_HARD_SWISH,   /* x times the hard sigmoid of x */
    GRAPH_HARD_SIGMOID, /* max(0, min(1, x / 6 + 1 / 2)) */
    GRAPH_AVERAGE_POOL, /* padding is not counted */
    GRAPH_GLOBAL_POOL,  /* average of a map: channels x 1 x 1 */
    GRAPH_FLATTEN,      /* channels x 1 x 1 to a vector */
    GRAPH_UNFLATTEN,    /* and back */
    GRAPH_LINEAR,       /* of a vector */
    GRAPH_ADD,          /* of two values of one shape */
    GRAPH_MULTIPLY,     /* a map by a channels x 1 x 1 */
    GRAPH_ZERO,         /* zeroes in the shape of what it reads */
    GRAPH_N_OPS
};

#define GRAPH_NORM_EPSILON 1e-5

enum {
    GRAPH_NAME_BYTES = 56,
    GRAPH_WEIGHT_NAME_BYTES = GRAPH_NAME_BYTES + 16,
    GRAPH_MAX_DIMS = 4,
    GRAPH_MAX_INPUTS = 2,
};

struct graph_node {
    char name[GRAPH_NAME_BYTES]; /* as modules nest: "stages.3.block.2.expand.conv" */
    enum graph_op op;
    size_t n_inputs;
    uint32_t inputs[GRAPH_MAX_INPUTS]; /* nodes */
    bool is_vector;                    /* the output; side is 1 */
    uint32_t channels, side;           /* of the output */
    uint32_t kernel, stride, padding;  /* of convolutions and pools */
    uint32_t groups;                   /* of convolutions: 1, or all channels */
    size_t first_weight, n_weights;    /* in the order that the functions below say */
};

struct graph_weight {
    uint32_t node;
    const char *role; /* static; its name is "<node>.<role>", as PyTorch has it */
    size_t n_dims;
    uint32_t shape[GRAPH_MAX_DIMS];
    size_t n_values;
    bool is_parameter; /* trained; running statistics are not */
    bool is_constant;  /* all values are `value`; else they are uniform in -value .. value */
    float value;
};

struct graph {
    const struct space *space;
    int32_t genes[SPACE_MAX_GENES];
    uint64_t seed;
    struct graph_node *nodes; /* (n_nodes), owned */
    size_t n_nodes;
    struct graph_weight *weights; /* (n_weights), owned; in the order of their nodes */
    size_t n_weights;

    /* While it is built. Running deviations are so many times what the first batch would leave: 1,
     * unless the space sets it. */
    double norm_margin;
    size_t node_capacity, weight_capacity;
    char scope[GRAPH_NAME_BYTES];
    bool has_failed; /* memory was out: what follows has no effect */
};

/* The network of an architecture, inside of its space's domain or not. ERR_INVALID where the genes
 * describe none that could be built, and of a space without networks; ERR_NOMEM. On success the
 * caller ends it with graph_close(). */
enum err graph_build(const struct space *space, const int32_t *genes, uint64_t seed,
                     struct graph *out, struct error *err);

/* Accepts a zeroed struct. */
void graph_close(struct graph *graph);

/* Counted from the nodes and weights; they equal space_count() of the architecture. */
uint64_t graph_macs(const struct graph *graph);
uint64_t graph_params(const struct graph *graph);

/* Memory that the graph takes, in bytes. */
size_t graph_held_bytes(const struct graph *graph);

/* All values of all weights, running statistics too. */
uint64_t graph_n_values(const struct graph *graph);

/* The values `first` .. `first` + n - 1 of weight number `weight`, row-major. */
void graph_fill(const struct graph *graph, size_t weight, size_t first, size_t n, float *out);

void graph_weight_name(const struct graph *graph, size_t weight, char out[GRAPH_WEIGHT_NAME_BYTES]);

/* Static string for machines: "conv". */
const char *graph_op_name(enum graph_op op);

/* ---- for the spaces, that build ---------------------------------------------------------------
 *
 * Each appends a node named "<scope>.<name>", without the dot where there is no scope, and returns
 * its number. None fails: a lack of memory is remembered (has_failed), and graph_build() tells it. */

/* What the names of the nodes to come begin with. */
void graph_scope(struct graph *graph, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* A map of so many channels; the first node. */
uint32_t graph_input(struct graph *graph, uint32_t channels, uint32_t side);

struct graph_conv {
    uint32_t c_out, kernel, stride;
    uint32_t groups;
    bool has_bias;
};

/* Padded so that stride 1 keeps the side; the kernel is odd. Weights: weight (c_out, c_in / groups,
 * kernel, kernel), and bias (c_out) where it has one. */
uint32_t graph_conv(struct graph *graph, const char *name, uint32_t input,
                    const struct graph_conv *conv);

/* Weights: weight, bias, running_mean, running_var (each channels). */
uint32_t graph_norm(struct graph *graph, const char *name, uint32_t input);

/* Weights: weight (n_out, n_in) and bias (n_out). */
uint32_t graph_linear(struct graph *graph, const char *name, uint32_t input, uint32_t n_out,
                      bool has_bias);

uint32_t graph_pool(struct graph *graph, const char *name, uint32_t input, uint32_t kernel,
                    uint32_t stride, uint32_t padding);

/* An operator without weights or settings, of one value; of two: GRAPH_ADD and GRAPH_MULTIPLY. */
uint32_t graph_apply(struct graph *graph, enum graph_op op, const char *name, uint32_t input);
uint32_t graph_combine(struct graph *graph, enum graph_op op, const char *name, uint32_t a,
                       uint32_t b);

#endif

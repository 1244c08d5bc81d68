#include "core/graph.h"

#include <assert.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/graph_weights.h"
#include "core/mem.h"

static const char *const op_names[GRAPH_N_OPS] = {
    [GRAPH_INPUT] = "input",
    [GRAPH_CONV] = "conv",
    [GRAPH_NORM] = "norm",
    [GRAPH_RELU] = "relu",
    [GRAPH_HARD_SWISH] = "hard_swish",
    [GRAPH_HARD_SIGMOID] = "hard_sigmoid",
    [GRAPH_AVERAGE_POOL] = "average_pool",
    [GRAPH_GLOBAL_POOL] = "global_pool",
    [GRAPH_FLATTEN] = "flatten",
    [GRAPH_UNFLATTEN] = "unflatten",
    [GRAPH_LINEAR] = "linear",
    [GRAPH_ADD] = "add",
    [GRAPH_MULTIPLY] = "multiply",
    [GRAPH_ZERO] = "zero",
};

const char *graph_op_name(enum graph_op op)
{
    return (size_t)op < GRAPH_N_OPS ? op_names[op] : "";
}

/* ---- building -------------------------------------------------------------------------------- */

/* Room for one more item in a growing array; false where memory is out. */
static bool reserve(void **items, size_t n, size_t *capacity, size_t item_bytes)
{
    size_t more = *capacity > 0 ? 2 * *capacity : 256;
    void *grown;

    if (n < *capacity) {
        return true;
    }
    grown = mem_resize(*items, more, item_bytes);
    if (grown == NULL) {
        return false;
    }
    *items = grown;
    *capacity = more;
    return true;
}

void graph_scope(struct graph *graph, const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    (void)vsnprintf(graph->scope, sizeof graph->scope, format, arguments);
    va_end(arguments);
}

/* Appends a copy of the node under its full name. */
static uint32_t add_node(struct graph *graph, const char *name, const struct graph_node *node)
{
    void *nodes = graph->nodes;
    struct graph_node *added;
    int length;

    if (graph->has_failed ||
        !reserve(&nodes, graph->n_nodes, &graph->node_capacity, sizeof *node)) {
        graph->has_failed = true;
        return 0;
    }
    graph->nodes = nodes;
    added = &graph->nodes[graph->n_nodes];
    *added = *node;
    added->first_weight = graph->n_weights;
    length = snprintf(added->name, sizeof added->name, "%s%s%s", graph->scope,
                      graph->scope[0] != '\0' ? "." : "", name);
    assert(length > 0 && (size_t)length < sizeof added->name);
    (void)length;
    return (uint32_t)graph->n_nodes++;
}

/* Adds a weight to the last node. */
static void add_weight(struct graph *graph, const struct graph_weight *weight)
{
    void *weights = graph->weights;
    struct graph_weight *added;

    if (graph->has_failed ||
        !reserve(&weights, graph->n_weights, &graph->weight_capacity, sizeof *weight)) {
        graph->has_failed = true;
        return;
    }
    graph->weights = weights;
    added = &graph->weights[graph->n_weights++];
    *added = *weight;
    added->node = (uint32_t)graph->n_nodes - 1;
    added->n_values = 1;
    for (size_t d = 0; d < added->n_dims; d++) {
        added->n_values *= added->shape[d];
    }
    graph->nodes[added->node].n_weights++;
}

/* A weight of one value for each channel. */
static void add_vector(struct graph *graph, const char *role, uint32_t n, float value,
                       bool is_parameter)
{
    const struct graph_weight weight = {
        .role = role,
        .n_dims = 1,
        .shape = {n},
        .is_parameter = is_parameter,
        .is_constant = true,
        .value = value,
    };
    add_weight(graph, &weight);
}

/* A node with the shape of the one that it reads. The copy stays valid when the array moves. */
static struct graph_node follow(const struct graph *graph, enum graph_op op, uint32_t input)
{
    struct graph_node node = {.op = op, .n_inputs = 1, .inputs = {input}};

    if (!graph->has_failed) {
        node.channels = graph->nodes[input].channels;
        node.side = graph->nodes[input].side;
        node.is_vector = graph->nodes[input].is_vector;
    }
    return node;
}

uint32_t graph_input(struct graph *graph, uint32_t channels, uint32_t side)
{
    const struct graph_node node = {.op = GRAPH_INPUT, .channels = channels, .side = side};

    return add_node(graph, "input", &node);
}

static uint32_t side_after(uint32_t side, uint32_t kernel, uint32_t stride, uint32_t padding)
{
    return (side + 2 * padding - kernel) / stride + 1;
}

uint32_t graph_conv(struct graph *graph, const char *name, uint32_t input,
                    const struct graph_conv *conv)
{
    struct graph_node node = follow(graph, GRAPH_CONV, input);
    const uint32_t n_filtered = node.channels / conv->groups;
    const double fan_out = (double)conv->c_out * conv->kernel * conv->kernel;
    const struct graph_weight weight = {
        .role = "weight",
        .n_dims = 4,
        .shape = {conv->c_out, n_filtered, conv->kernel, conv->kernel},
        .is_parameter = true,
        .value = (float)sqrt(6.0 / fan_out),
    };
    uint32_t added;

    node.channels = conv->c_out;
    node.kernel = conv->kernel;
    node.stride = conv->stride;
    node.padding = (conv->kernel - 1) / 2;
    node.groups = conv->groups;
    node.side = side_after(node.side, node.kernel, node.stride, node.padding);
    added = add_node(graph, name, &node);
    add_weight(graph, &weight);
    if (conv->has_bias) {
        add_vector(graph, "bias", conv->c_out, 0.0F, true);
    }
    return added;
}

uint32_t graph_norm(struct graph *graph, const char *name, uint32_t input)
{
    const struct graph_node node = follow(graph, GRAPH_NORM, input);
    uint32_t added = add_node(graph, name, &node);

    add_vector(graph, "weight", node.channels, 1.0F, true);
    add_vector(graph, "bias", node.channels, 0.0F, true);
    add_vector(graph, "running_mean", node.channels, 0.0F, false);
    add_vector(graph, "running_var", node.channels, 1.0F, false);
    return added;
}

uint32_t graph_linear(struct graph *graph, const char *name, uint32_t input, uint32_t n_out,
                      bool has_bias)
{
    struct graph_node node = follow(graph, GRAPH_LINEAR, input);
    struct graph_weight weight = {
        .role = "weight",
        .n_dims = 2,
        .shape = {n_out, node.channels},
        .is_parameter = true,
        .value = (float)(1.0 / sqrt((double)node.channels)),
    };
    uint32_t added;

    node.channels = n_out;
    added = add_node(graph, name, &node);
    add_weight(graph, &weight);
    if (has_bias) {
        weight.role = "bias";
        weight.n_dims = 1;
        add_weight(graph, &weight);
    }
    return added;
}

uint32_t graph_pool(struct graph *graph, const char *name, uint32_t input, uint32_t kernel,
                    uint32_t stride, uint32_t padding)
{
    struct graph_node node = follow(graph, GRAPH_AVERAGE_POOL, input);

    node.kernel = kernel;
    node.stride = stride;
    node.padding = padding;
    node.side = side_after(node.side, kernel, stride, padding);
    return add_node(graph, name, &node);
}

uint32_t graph_apply(struct graph *graph, enum graph_op op, const char *name, uint32_t input)
{
    struct graph_node node = follow(graph, op, input);

    node.side = op == GRAPH_GLOBAL_POOL ? 1 : node.side;
    node.is_vector = op == GRAPH_FLATTEN || (op != GRAPH_UNFLATTEN && node.is_vector);
    return add_node(graph, name, &node);
}

uint32_t graph_combine(struct graph *graph, enum graph_op op, const char *name, uint32_t a,
                       uint32_t b)
{
    struct graph_node node = follow(graph, op, a);

    node.n_inputs = 2;
    node.inputs[1] = b;
    return add_node(graph, name, &node);
}

/* ---- the whole ------------------------------------------------------------------------------- */

enum err graph_build(const struct space *space, const int32_t *genes, uint64_t seed,
                     struct graph *out, struct error *err)
{
    struct graph graph = {.space = space, .seed = seed, .norm_margin = 1.0};
    enum err rc =
        space->build_graph != NULL
            ? space->check_countable(genes, err)
            : error_set(err, ERR_INVALID,
                        "the search space %s tells what genes there are, not what network they "
                        "stand for, so there is none to export",
                        space->name);

    if (rc == ERR_OK) {
        memcpy(graph.genes, genes, space->n_genes * sizeof *genes);
        rc = space->build_graph(genes, &graph, err);
    }
    if (rc == ERR_OK && (graph.has_failed || !graph_estimate_norms(&graph))) {
        rc = error_set(err, ERR_NOMEM, "no memory for the graph of a network");
    }
    if (rc != ERR_OK) {
        graph_close(&graph);
        return rc;
    }
    *out = graph;
    return ERR_OK;
}

void graph_close(struct graph *graph)
{
    mem_free(graph->nodes);
    mem_free(graph->weights);
    memset(graph, 0, sizeof *graph);
}

size_t graph_held_bytes(const struct graph *graph)
{
    return graph->node_capacity * sizeof *graph->nodes +
           graph->weight_capacity * sizeof *graph->weights;
}

uint64_t graph_macs(const struct graph *graph)
{
    uint64_t macs = 0;

    for (size_t i = 0; i < graph->n_nodes; i++) {
        const struct graph_node *node = &graph->nodes[i];
        if (node->op == GRAPH_CONV || node->op == GRAPH_LINEAR) {
            macs += (uint64_t)graph->weights[node->first_weight].n_values * node->side * node->side;
        }
    }
    return macs;
}

uint64_t graph_params(const struct graph *graph)
{
    uint64_t n = 0;

    for (size_t w = 0; w < graph->n_weights; w++) {
        n += graph->weights[w].is_parameter ? graph->weights[w].n_values : 0;
    }
    return n;
}

uint64_t graph_n_values(const struct graph *graph)
{
    uint64_t n = 0;

    for (size_t w = 0; w < graph->n_weights; w++) {
        n += graph->weights[w].n_values;
    }
    return n;
}

void graph_weight_name(const struct graph *graph, size_t weight, char out[GRAPH_WEIGHT_NAME_BYTES])
{
    const struct graph_weight *w = &graph->weights[weight];

    (void)snprintf(out, GRAPH_WEIGHT_NAME_BYTES, "%s.%s", graph->nodes[w->node].name, w->role);
}

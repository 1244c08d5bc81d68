/* The NAS-Bench-201 network: stem, three stages of cells with a residual block of stride 2 before
 * the second and third, and the classifier. An edge is ReLU, convolution, normalisation, or a pool,
 * or nothing that needs a node; the edges into a node are summed. */
#include <stdio.h>

#include "core/graph.h"
#include "core/space_nasbench201.h"

/* ReLU, convolution and normalisation; the names begin with `name`. */
static uint32_t add_conv(struct graph *graph, const char *name, uint32_t input, uint32_t c_out,
                         uint32_t kernel, uint32_t stride)
{
    const struct graph_conv conv = {
        .c_out = c_out, .kernel = kernel, .stride = stride, .groups = 1};
    char full[24];
    uint32_t value;

    (void)snprintf(full, sizeof full, "%s.relu", name);
    value = graph_apply(graph, GRAPH_RELU, full, input);
    (void)snprintf(full, sizeof full, "%s.conv", name);
    value = graph_conv(graph, full, value, &conv);
    (void)snprintf(full, sizeof full, "%s.norm", name);
    return graph_norm(graph, full, value);
}

/* One edge of a cell from the value `input`; not for `none`. */
static uint32_t add_edge(struct graph *graph, const struct nasbench201_edge *edge, int32_t op,
                         uint32_t input, uint32_t channels)
{
    char name[16];

    (void)snprintf(name, sizeof name, "edge%d_%d", edge->from, edge->to);
    switch (op) {
    case NASBENCH201_CONV1:
        return add_conv(graph, name, input, channels, 1, 1);
    case NASBENCH201_CONV3:
        return add_conv(graph, name, input, channels, 3, 1);
    case NASBENCH201_POOL:
        return graph_pool(graph, name, input, 3, 1, 1);
    default: /* the edge skips: what is read is the value itself */
        return input;
    }
}

static uint32_t add_cell(struct graph *graph, const int32_t *genes, uint32_t input,
                         uint32_t channels)
{
    uint32_t nodes[NASBENCH201_N_NODES] = {input};

    for (int to = 1; to < NASBENCH201_N_NODES; to++) {
        unsigned n_sums = 0;
        bool is_empty = true;
        for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
            const struct nasbench201_edge *edge = &nasbench201_edges[e];
            uint32_t value;
            if (edge->to != to || genes[e] == NASBENCH201_NONE) {
                continue;
            }
            value = add_edge(graph, edge, genes[e], nodes[edge->from], channels);
            if (!is_empty) {
                char name[24];
                (void)snprintf(name, sizeof name, "node%d.add%u", to, ++n_sums);
                value = graph_combine(graph, GRAPH_ADD, name, nodes[to], value);
            }
            nodes[to] = value;
            is_empty = false;
        }
        if (is_empty) {
            char name[24];
            (void)snprintf(name, sizeof name, "node%d.zero", to);
            nodes[to] = graph_apply(graph, GRAPH_ZERO, name, input);
        }
    }
    return nodes[NASBENCH201_N_NODES - 1];
}

/* Halves the side and doubles the channels. */
static uint32_t add_reduction(struct graph *graph, uint32_t input, uint32_t c_out)
{
    const struct graph_conv conv = {.c_out = c_out, .kernel = 1, .stride = 1, .groups = 1};
    uint32_t value = add_conv(graph, "first", input, c_out, 3, 2);
    uint32_t shortcut;

    value = add_conv(graph, "second", value, c_out, 3, 1);
    shortcut = graph_pool(graph, "shortcut.pool", input, 2, 2, 0);
    shortcut = graph_conv(graph, "shortcut.conv", shortcut, &conv);
    return graph_combine(graph, GRAPH_ADD, "add", shortcut, value);
}

static void add_head(struct graph *graph, uint32_t input)
{
    uint32_t value;

    graph_scope(graph, "head");
    value = graph_norm(graph, "norm", input);
    value = graph_apply(graph, GRAPH_RELU, "relu", value);
    value = graph_apply(graph, GRAPH_GLOBAL_POOL, "pool", value);
    value = graph_apply(graph, GRAPH_FLATTEN, "flatten", value);
    (void)graph_linear(graph, "linear", value, NASBENCH201_N_CLASSES, true);
}

enum err nasbench201_build_graph(const int32_t *genes, struct graph *graph, struct error *err)
{
    const struct graph_conv stem = {
        .c_out = NASBENCH201_STEM_CHANNELS, .kernel = 3, .stride = 1, .groups = 1};
    uint32_t channels = NASBENCH201_STEM_CHANNELS;
    uint32_t value = graph_input(graph, 3, NASBENCH201_IMAGE_SIDE);

    (void)err;
    graph_scope(graph, "stem");
    value = graph_conv(graph, "conv", value, &stem);
    value = graph_norm(graph, "norm", value);
    for (unsigned stage = 1; stage <= NASBENCH201_N_STAGES; stage++) {
        if (stage > 1) {
            channels *= 2;
            graph_scope(graph, "stages.%u.reduction", stage);
            value = add_reduction(graph, value, channels);
        }
        for (unsigned cell = 1; cell <= NASBENCH201_CELLS_PER_STAGE; cell++) {
            graph_scope(graph, "stages.%u.cell.%u", stage, cell);
            value = add_cell(graph, genes, value, channels);
        }
    }
    add_head(graph, value);
    return ERR_OK;
}

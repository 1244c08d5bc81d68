/* The FBNetV3 network: stem, seven stages of inverted bottlenecks, and the classifier behind a wide
 * layer. Hard-swish follows every convolution but those that project or stand on a shortcut. */
#include <stdio.h>

#include "core/graph.h"
#include "core/space_fbnetv3.h"

/* Keeps hard-swish where it is nearly straight. It is steeper for large values than for small ones,
 * so that a deep network of it, whose normalisations do not adapt, would amplify from layer to layer
 * what the estimate of its variances errs by. */
#define NORM_MARGIN 8.0

static const struct graph_conv pointwise = {.kernel = 1, .stride = 1, .groups = 1};

/* Convolution and normalisation; the names begin with `name`. */
static uint32_t add_conv(struct graph *graph, const char *name, uint32_t input,
                         const struct graph_conv *conv)
{
    char full[24];
    uint32_t value;

    (void)snprintf(full, sizeof full, "%s.conv", name);
    value = graph_conv(graph, full, input, conv);
    (void)snprintf(full, sizeof full, "%s.norm", name);
    return graph_norm(graph, full, value);
}

static uint32_t add_pointwise(struct graph *graph, const char *name, uint32_t input, uint32_t c_out)
{
    struct graph_conv conv = pointwise;

    conv.c_out = c_out;
    return add_conv(graph, name, input, &conv);
}

/* Squeeze-and-excitation. */
static uint32_t add_squeeze(struct graph *graph, uint32_t input, uint32_t channels)
{
    uint32_t gate = graph_apply(graph, GRAPH_GLOBAL_POOL, "squeeze.pool", input);

    gate = graph_apply(graph, GRAPH_FLATTEN, "squeeze.flatten", gate);
    gate = graph_linear(graph, "squeeze.reduce", gate, channels / FBNETV3_SQUEEZE_RATIO, false);
    gate = graph_apply(graph, GRAPH_RELU, "squeeze.relu", gate);
    gate = graph_linear(graph, "squeeze.restore", gate, channels, false);
    gate = graph_apply(graph, GRAPH_HARD_SIGMOID, "squeeze.gate", gate);
    gate = graph_apply(graph, GRAPH_UNFLATTEN, "squeeze.unflatten", gate);
    return graph_combine(graph, GRAPH_MULTIPLY, "squeeze.scale", input, gate);
}

static uint32_t add_block(struct graph *graph, uint32_t input, const struct fbnetv3_block *b)
{
    const uint32_t c_mid = b->c_in * b->expansion;
    const struct graph_conv depthwise = {
        .c_out = c_mid, .kernel = b->kernel, .stride = b->stride, .groups = c_mid};
    uint32_t value = add_pointwise(graph, "expand", input, c_mid);

    value = graph_apply(graph, GRAPH_HARD_SWISH, "expand.act", value);
    value = add_conv(graph, "depthwise", value, &depthwise);
    if (b->has_squeeze) {
        value = add_squeeze(graph, value, c_mid);
    }
    value = graph_apply(graph, GRAPH_HARD_SWISH, "depthwise.act", value);
    value = add_pointwise(graph, "project", value, b->c_out);
    if (b->stride == 1) {
        uint32_t shortcut =
            b->c_in == b->c_out ? input : add_pointwise(graph, "shortcut", input, b->c_out);
        value = graph_combine(graph, GRAPH_ADD, "add", shortcut, value);
    }
    return value;
}

/* Networks outside of the domain are counted by formulas that no such operator may fit. */
static enum err check_buildable(const struct fbnetv3_block *b, unsigned stage, struct error *err)
{
    if (b->kernel % 2 == 0) {
        return error_set(err, ERR_INVALID,
                         "a network of fbnetv3 has odd kernels, and stage %u has %u", stage,
                         b->kernel);
    }
    if (b->has_squeeze && b->c_in * b->expansion < FBNETV3_SQUEEZE_RATIO) {
        return error_set(err, ERR_INVALID,
                         "stage %u of this network of fbnetv3 has %u channels to squeeze, and "
                         "needs %d",
                         stage, b->c_in * b->expansion, FBNETV3_SQUEEZE_RATIO);
    }
    return ERR_OK;
}

static enum err add_stage(struct graph *graph, const int32_t *genes, unsigned number,
                          uint32_t *value, struct error *err)
{
    struct fbnetv3_stage stage;
    enum err rc;

    fbnetv3_read_stage(genes, number, &stage);
    rc = check_buildable(&stage.first, number, err);
    rc = rc != ERR_OK ? rc : check_buildable(&stage.later, number, err);
    for (unsigned n = 1; rc == ERR_OK && n <= stage.n_blocks; n++) {
        graph_scope(graph, "stages.%u.block.%u", number, n);
        *value = add_block(graph, *value, n == 1 ? &stage.first : &stage.later);
    }
    return rc;
}

static void add_head(struct graph *graph, uint32_t input, uint32_t c_in)
{
    struct graph_conv wide = pointwise;
    uint32_t value;

    wide.c_out = FBNETV3_WIDE_CHANNELS;
    wide.has_bias = true;
    graph_scope(graph, "head");
    value = add_pointwise(graph, "expand", input, c_in * FBNETV3_HEAD_EXPANSION);
    value = graph_apply(graph, GRAPH_HARD_SWISH, "expand.act", value);
    value = graph_apply(graph, GRAPH_GLOBAL_POOL, "pool", value);
    value = graph_conv(graph, "wide.conv", value, &wide);
    value = graph_apply(graph, GRAPH_HARD_SWISH, "wide.act", value);
    value = graph_apply(graph, GRAPH_FLATTEN, "flatten", value);
    (void)graph_linear(graph, "linear", value, FBNETV3_N_CLASSES, true);
}

enum err fbnetv3_build_graph(const int32_t *genes, struct graph *graph, struct error *err)
{
    const struct graph_conv stem = {
        .c_out = fbnetv3_stem_channels(genes), .kernel = 3, .stride = 2, .groups = 1};
    uint32_t value = graph_input(graph, 3, FBNETV3_IMAGE_SIDE);
    enum err rc = ERR_OK;

    graph->norm_margin = NORM_MARGIN;
    value = add_conv(graph, "stem", value, &stem);
    value = graph_apply(graph, GRAPH_HARD_SWISH, "stem.act", value);
    for (unsigned stage = 1; rc == ERR_OK && stage <= FBNETV3_N_STAGES; stage++) {
        rc = add_stage(graph, genes, stage, &value, err);
    }
    if (rc == ERR_OK) {
        add_head(graph, value, fbnetv3_last_channels(genes));
    }
    return rc;
}

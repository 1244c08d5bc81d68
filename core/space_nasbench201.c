/* NAS-Bench-201: a cell of four nodes whose six edges each hold one of five operators, stacked five
 * times in each of three stages. Gene i is the operator of edge i in the order node1<-0, node2<-0,
 * node2<-1, node3<-0, node3<-1, node3<-2. */
#include "core/space_nasbench201.h"

#include <stdio.h>
#include <string.h>

#include "core/space.h"

enum { STAGE_STEM = 0, STAGE_HEAD = NASBENCH201_N_STAGES + 1 };

const struct nasbench201_edge nasbench201_edges[NASBENCH201_N_EDGES] = {
    {0, 1},
    {0, 2},
    {1, 2},
    {0, 3},
    {1, 3},
    {2, 3},
};

void nasbench201_mark_live(const int32_t *genes, bool live[NASBENCH201_N_EDGES])
{
    bool from_input[NASBENCH201_N_NODES] = {true};
    bool to_output[NASBENCH201_N_NODES] = {false, false, false, true};

    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) { /* edges come in the order of their ends */
        if (genes[e] != NASBENCH201_NONE && from_input[nasbench201_edges[e].from]) {
            from_input[nasbench201_edges[e].to] = true;
        }
    }
    for (size_t e = NASBENCH201_N_EDGES; e-- > 0;) {
        if (genes[e] != NASBENCH201_NONE && to_output[nasbench201_edges[e].to]) {
            to_output[nasbench201_edges[e].from] = true;
        }
    }
    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        live[e] = genes[e] != NASBENCH201_NONE && from_input[nasbench201_edges[e].from] &&
                  to_output[nasbench201_edges[e].to];
    }
}

static const char *const operator_names[] = {
    [NASBENCH201_NONE] = "none",          [NASBENCH201_SKIP] = "skip_connect",
    [NASBENCH201_CONV1] = "nor_conv_1x1", [NASBENCH201_CONV3] = "nor_conv_3x3",
    [NASBENCH201_POOL] = "avg_pool_3x3",
};

static const struct gene genes_of_space[NASBENCH201_N_EDGES] = {
    {"operator of edge node1<-0", 1, 1, 5, NULL},
    {"operator of edge node2<-0", 1, 1, 5, NULL},
    {"operator of edge node2<-1", 1, 1, 5, NULL},
    {"operator of edge node3<-0", 1, 1, 5, NULL},
    {"operator of edge node3<-1", 1, 1, 5, NULL},
    {"operator of edge node3<-2", 1, 1, 5, NULL},
};

static const char *const stage_names[] = {"stem", "stage 1", "stage 2", "stage 3", "head"};

/* A cursor over text that need not be terminated. */
struct cursor {
    const char *at, *end;
};

static bool take(struct cursor *c, const char *token)
{
    size_t length = strlen(token);

    if ((size_t)(c->end - c->at) < length || memcmp(c->at, token, length) != 0) {
        return false;
    }
    c->at += length;
    return true;
}

static int32_t take_operator(struct cursor *c)
{
    for (int32_t op = NASBENCH201_NONE; op <= NASBENCH201_POOL; op++) {
        if (take(c, operator_names[op])) {
            return op;
        }
    }
    return 0;
}

static enum err notation_error(const char *text, const struct cursor *c, const char *expected,
                               struct error *err)
{
    return error_set(err, ERR_SYNTAX,
                     "the nasbench201 notation breaks off at character %zu: expected %s",
                     (size_t)(c->at - text) + 1, expected);
}

/* One node: |op~i|op~j|, its inputs in any order, each exactly once. */
static enum err parse_node(const char *text, struct cursor *c, int node, int32_t *genes,
                           struct error *err)
{
    const size_t first_edge = (size_t)(node * (node - 1) / 2);

    if (!take(c, "|")) {
        return notation_error(text, c, "\"|\"", err);
    }
    for (int n = 0; n < node; n++) {
        static const char *const inputs[] = {"~0|", "~1|", "~2|"};
        int32_t op = take_operator(c);
        int from = 0;
        if (op == 0) {
            return notation_error(
                text, c, "none, skip_connect, nor_conv_1x1, nor_conv_3x3 or avg_pool_3x3", err);
        }
        while (from < node && !take(c, inputs[from])) {
            from++;
        }
        if (from == node || genes[first_edge + (size_t)from] != 0) {
            return notation_error(text, c, "\"~\", an earlier node not named before, and \"|\"",
                                  err);
        }
        genes[first_edge + (size_t)from] = op;
    }
    return ERR_OK;
}

static enum err parse_notation(const char *text, size_t length, int32_t *genes, struct error *err)
{
    struct cursor c = {text, text + length};

    if (length == 0 || text[0] != '|') {
        return ERR_NOT_FOUND;
    }
    memset(genes, 0, NASBENCH201_N_EDGES * sizeof *genes);
    for (int node = 1; node <= 3; node++) {
        enum err rc;
        if (node > 1 && !take(&c, "+")) {
            return notation_error(text, &c, "\"+\"", err);
        }
        rc = parse_node(text, &c, node, genes, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    if (c.at != c.end) {
        return notation_error(text, &c, "the end", err);
    }
    return ERR_OK;
}

static void print_notation(const int32_t *genes, char *text)
{
    (void)snprintf(text, SPACE_TEXT_BYTES, "|%s~0|+|%s~0|%s~1|+|%s~0|%s~1|%s~2|",
                   operator_names[genes[0]], operator_names[genes[1]], operator_names[genes[2]],
                   operator_names[genes[3]], operator_names[genes[4]], operator_names[genes[5]]);
}

static enum err check_countable(const int32_t *genes, struct error *err)
{
    return space_validate(&space_nasbench201, genes, NULL, err);
}

/* Convolution with batch normalisation and no bias, as every one in this space is. */
static void add_conv(struct cost *cost, enum cost_kind kind, unsigned stage, uint32_t times,
                     uint32_t c_in, uint32_t c_out, uint32_t kernel, uint32_t side_in,
                     uint32_t side_out)
{
    const struct cost_conv conv = {
        .kind = kind,
        .stage = stage,
        .times = times,
        .c_in = c_in,
        .c_out = c_out,
        .kernel = kernel,
        .groups = 1,
        .side_in = side_in,
        .side_out = side_out,
        .has_norm = true,
    };
    cost_add_conv(cost, &conv);
}

static void add_cells(struct cost *cost, const int32_t *genes, unsigned stage, uint32_t channels,
                      uint32_t side)
{
    const uint64_t n_values = (uint64_t)side * side * channels;
    uint32_t n_inputs[NASBENCH201_N_NODES] = {0};
    uint32_t n_sums = 0;

    for (size_t e = 0; e < NASBENCH201_N_EDGES; e++) {
        switch (genes[e]) {
        case NASBENCH201_CONV1:
            add_conv(cost, COST_POINTWISE, stage, NASBENCH201_CELLS_PER_STAGE, channels, channels,
                     1, side, side);
            break;
        case NASBENCH201_CONV3:
            add_conv(cost, COST_CONV, stage, NASBENCH201_CELLS_PER_STAGE, channels, channels, 3,
                     side, side);
            break;
        case NASBENCH201_POOL:
            cost_add_traffic(cost, COST_POOL, stage, NASBENCH201_CELLS_PER_STAGE, 2 * n_values);
            break;
        default:
            break;
        }
        n_inputs[nasbench201_edges[e].to] += genes[e] != NASBENCH201_NONE ? 1U : 0U;
    }
    for (size_t node = 1; node < NASBENCH201_N_NODES; node++) {
        n_sums += n_inputs[node] > 1 ? n_inputs[node] - 1 : 0;
    }
    cost_add_traffic(cost, COST_ADD, stage, NASBENCH201_CELLS_PER_STAGE * n_sums, 3 * n_values);
}

/* The residual block of stride 2 that opens stages 2 and 3. */
static void add_reduction(struct cost *cost, unsigned stage, uint32_t c_in, uint32_t side_in)
{
    uint32_t c_out = 2 * c_in;
    uint32_t side_out = side_in / 2;
    uint64_t n_values_out = (uint64_t)side_out * side_out * c_out;

    add_conv(cost, COST_CONV, stage, 1, c_in, c_out, 3, side_in, side_out);
    add_conv(cost, COST_CONV, stage, 1, c_out, c_out, 3, side_out, side_out);
    cost_add_traffic(cost, COST_POOL, stage, 1,
                     (uint64_t)c_in * (side_in * side_in + side_out * side_out));
    {
        const struct cost_conv shortcut = {
            .kind = COST_SHORTCUT,
            .stage = stage,
            .times = 1,
            .c_in = c_in,
            .c_out = c_out,
            .kernel = 1,
            .groups = 1,
            .side_in = side_out,
            .side_out = side_out,
        };
        cost_add_conv(cost, &shortcut); /* the one convolution without batch normalisation */
    }
    cost_add_traffic(cost, COST_ADD, stage, 1, 3 * n_values_out);
}

static void count_network(const int32_t *genes, struct cost *cost)
{
    uint32_t channels = NASBENCH201_STEM_CHANNELS;
    uint32_t side = NASBENCH201_IMAGE_SIDE;

    add_conv(cost, COST_CONV, STAGE_STEM, 1, 3, NASBENCH201_STEM_CHANNELS, 3,
             NASBENCH201_IMAGE_SIDE, NASBENCH201_IMAGE_SIDE);
    for (unsigned stage = 1; stage <= NASBENCH201_N_STAGES; stage++) {
        if (stage > 1) {
            add_reduction(cost, stage, channels, side);
            channels *= 2;
            side /= 2;
        }
        add_cells(cost, genes, stage, channels, side);
    }
    cost->params += 2 * (uint64_t)channels; /* the batch normalisation before the global pool */
    cost_add_traffic(cost, COST_POOL, STAGE_HEAD, 1, (uint64_t)side * side * channels + channels);
    cost_add_linear(cost, COST_LINEAR, STAGE_HEAD, 1, channels, NASBENCH201_N_CLASSES, true);
}

static const struct space_coverage coverage[SPACE_N_COVERAGES] = {
    {0,  0.873},
    {10, 0.905},
    {50, 0.879}
};

const struct space space_nasbench201 = {
    .name = "nasbench201",
    .slot = 0,
    .about = "NAS-Bench-201: 15,625 cells of six edges with five operators each, 100 classes",
    .notation =
        "write six genes of 1 to 5 as [4,4,4,2,4,4] or \"444244\", or the cell as "
        "\"|nor_conv_3x3~0|+|none~0|skip_connect~1|+|avg_pool_3x3~0|nor_conv_1x1~1|none~2|\"",
    .input = "1x3x224x224",
    .batch = 1,
    .genes = genes_of_space,
    .n_genes = NASBENCH201_N_EDGES,
    .n_stages = NASBENCH201_N_STAGES + 2,
    .stage_names = stage_names,
    .n_architectures = 15625,
    .constraint_unit_ms = 100.0,
    .parse_own = parse_notation,
    .print_own = print_notation,
    .check_countable = check_countable,
    .count = count_network,
    .features = &nasbench201_features,
    .device_spread = 0.176,
    .coverage = coverage,
    .residuals = &nasbench201_residuals,
    .build_graph = nasbench201_build_graph,
};

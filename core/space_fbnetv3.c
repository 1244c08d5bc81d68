/* FBNetV3: seven stages of inverted bottlenecks whose kernels, expansions, widths and depths are
 * searched. The positions of the 28 genes are named below. */
#include "core/space_fbnetv3.h"

#include <stdio.h>
#include <string.h>

#include "core/space.h"

enum { STAGE_HEAD = FBNETV3_N_STAGES + 1 };

/* What is fixed of a stage, and where its genes are. Position FIXED means the fixed value. */
enum { FIXED = -1 };

struct stage_plan {
    int stride;             /* of the first block */
    bool has_squeeze;       /* squeeze-and-excitation in every block */
    int first_expansion_at; /* genes; FIXED: fixed_expansion */
    int later_expansion_at;
    int fixed_expansion;
    int n_blocks_at; /* FIXED: one block */
};

static const struct stage_plan plans[FBNETV3_N_STAGES] = {
    {1, false, FIXED, FIXED, 1, 22   },
    {2, false, 7,     8,     0, 23   },
    {2, true,  9,     10,    0, 24   },
    {2, false, 11,    12,    0, 25   },
    {1, true,  11,    12,    0, 26   },
    {2, true,  13,    13,    0, 27   },
    {1, true,  FIXED, FIXED, 6, FIXED},
};

enum { KERNEL_AT = 0, STEM_CHANNELS_AT = 14, CHANNELS_AT = 15 };

static const struct gene genes_of_space[FBNETV3_N_GENES] = {
    {"kernel of stage 1",                               3,   2, 2,  NULL},
    {"kernel of stage 2",                               3,   2, 2,  NULL},
    {"kernel of stage 3",                               3,   2, 2,  NULL},
    {"kernel of stage 4",                               3,   2, 2,  NULL},
    {"kernel of stage 5",                               3,   2, 2,  NULL},
    {"kernel of stage 6",                               3,   2, 2,  NULL},
    {"kernel of stage 7",                               3,   2, 2,  NULL},
    {"expansion of the first block of stage 2",         4,   1, 4,  NULL},
    {"expansion of the later blocks of stage 2",        2,   1, 4,  NULL},
    {"expansion of the first block of stage 3",         4,   1, 4,  NULL},
    {"expansion of the later blocks of stage 3",        2,   1, 4,  NULL},
    {"expansion of the first block of stages 4 and 5",  4,   1, 4,  NULL},
    {"expansion of the later blocks of stages 4 and 5", 2,   1, 4,  NULL},
    {"expansion of all blocks of stage 6",              4,   1, 4,  NULL},
    {"channels of the stem",                            16,  2, 5,  NULL},
    {"channels of stage 1",                             16,  2, 5,  NULL},
    {"channels of stage 2",                             20,  4, 4,  NULL},
    {"channels of stage 3",                             24,  4, 7,  NULL},
    {"channels of stage 4",                             56,  4, 8,  NULL},
    {"channels of stage 5",                             96,  4, 13, NULL},
    {"channels of stage 6",                             180, 4, 12, NULL},
    {"channels of stage 7",                             180, 4, 12, NULL},
    {"blocks in stage 1",                               1,   1, 4,  NULL},
    {"blocks in stage 2",                               4,   1, 4,  NULL},
    {"blocks in stage 3",                               4,   1, 4,  NULL},
    {"blocks in stage 4",                               4,   1, 5,  NULL},
    {"blocks in stage 5",                               6,   1, 5,  NULL},
    {"blocks in stage 6",                               5,   1, 5,  NULL},
};

static const char *const stage_names[] = {"stem",    "stage 1", "stage 2", "stage 3", "stage 4",
                                          "stage 5", "stage 6", "stage 7", "head"};

/* The customary notation is the genes themselves, as the reference's net.txt has them. */
static void print_genes(const int32_t *genes, char *text)
{
    size_t used = 0;

    for (size_t i = 0; i < FBNETV3_N_GENES; i++) {
        int n = snprintf(text + used, SPACE_TEXT_BYTES - used, i > 0 ? " %d" : "%d", genes[i]);
        used += n > 0 ? (size_t)n : 0;
    }
}

/* Bounds that keep every count far below 2^64, wide enough for any network of this form. */
static enum err check_countable(const int32_t *genes, struct error *err)
{
    static const struct {
        size_t first, last;
        int32_t most;
    } bounds[] = {
        {0,  6,  31  },
        {7,  13, 64  },
        {14, 21, 4096},
        {22, 27, 64  }
    };

    for (size_t b = 0; b < sizeof bounds / sizeof *bounds; b++) {
        for (size_t i = bounds[b].first; i <= bounds[b].last; i++) {
            if (genes[i] < 1 || genes[i] > bounds[b].most) {
                return error_set(err, ERR_INVALID,
                                 "gene %zu of fbnetv3 must be 1 to %d to describe a network, not "
                                 "%d (it is the %s)",
                                 i + 1, bounds[b].most, genes[i], genes_of_space[i].name);
            }
        }
    }
    return ERR_OK;
}

static uint32_t expansion_of(const struct stage_plan *plan, const int32_t *genes, int at)
{
    return (uint32_t)(at == FIXED ? plan->fixed_expansion : genes[at]);
}

void fbnetv3_read_stage(const int32_t *genes, unsigned stage, struct fbnetv3_stage *out)
{
    const struct stage_plan *plan = &plans[stage - 1];

    out->n_blocks = plan->n_blocks_at == FIXED ? 1 : (uint32_t)genes[plan->n_blocks_at];
    out->first = (struct fbnetv3_block){
        .c_in = (uint32_t)genes[CHANNELS_AT + stage - 2], /* gene 14, the stem, for stage 1 */
        .c_out = (uint32_t)genes[CHANNELS_AT + stage - 1],
        .expansion = expansion_of(plan, genes, plan->first_expansion_at),
        .kernel = (uint32_t)genes[KERNEL_AT + stage - 1],
        .stride = (uint32_t)plan->stride,
        .has_squeeze = plan->has_squeeze,
    };
    out->later = out->first;
    out->later.c_in = out->first.c_out;
    out->later.expansion = expansion_of(plan, genes, plan->later_expansion_at);
    out->later.stride = 1;
}

uint32_t fbnetv3_stem_channels(const int32_t *genes)
{
    return (uint32_t)genes[STEM_CHANNELS_AT];
}

uint32_t fbnetv3_last_channels(const int32_t *genes)
{
    return (uint32_t)genes[CHANNELS_AT + FBNETV3_N_STAGES - 1];
}

/* Where an operator stands, and how often the network holds it. */
struct place {
    unsigned stage;
    uint32_t times;
};

/* A 1x1 convolution with batch normalisation. */
static void add_conv(struct cost *cost, const struct place *at, enum cost_kind kind, uint32_t c_in,
                     uint32_t c_out, uint32_t side)
{
    const struct cost_conv conv = {
        .kind = kind,
        .stage = at->stage,
        .times = at->times,
        .c_in = c_in,
        .c_out = c_out,
        .kernel = 1,
        .groups = 1,
        .side_in = side,
        .side_out = side,
        .has_norm = true,
    };
    cost_add_conv(cost, &conv);
}

/* Expand, depthwise, squeeze-and-excitation where there is, project, and at stride 1 a shortcut.
 * Returns the side of the output. */
static uint32_t add_block(struct cost *cost, const struct place *at, const struct fbnetv3_block *b,
                          uint32_t side_in)
{
    const uint32_t c_mid = b->c_in * b->expansion;
    const uint32_t side_out = (side_in + b->stride - 1) / b->stride;
    const uint64_t pixels_out = (uint64_t)side_out * side_out;
    const struct cost_conv depthwise = {
        .kind = COST_DEPTHWISE,
        .stage = at->stage,
        .times = at->times,
        .c_in = c_mid,
        .c_out = c_mid,
        .kernel = b->kernel,
        .groups = c_mid,
        .side_in = side_in,
        .side_out = side_out,
        .has_norm = true,
    };

    add_conv(cost, at, COST_EXPAND, b->c_in, c_mid, side_in);
    cost_add_conv(cost, &depthwise);
    if (b->has_squeeze) {
        uint32_t c_squeezed = c_mid / FBNETV3_SQUEEZE_RATIO;
        cost_add_linear(cost, COST_SQUEEZE_EXCITE, at->stage, at->times, c_mid, c_squeezed, false);
        cost_add_linear(cost, COST_SQUEEZE_EXCITE, at->stage, at->times, c_squeezed, c_mid, false);
        /* the global pool reads the map; the scaling reads it again and writes it */
        cost_add_traffic(cost, COST_SQUEEZE_EXCITE, at->stage, at->times, 3 * pixels_out * c_mid);
    }
    add_conv(cost, at, COST_PROJECT, c_mid, b->c_out, side_out);
    if (b->stride == 1) {
        if (b->c_in != b->c_out) {
            add_conv(cost, at, COST_SHORTCUT, b->c_in, b->c_out, side_out);
        }
        cost_add_traffic(cost, COST_ADD, at->stage, at->times, 3 * pixels_out * b->c_out);
    }
    return side_out;
}

/* Returns the side of the stage's output. */
static uint32_t add_stage(struct cost *cost, const int32_t *genes, unsigned number, uint32_t side)
{
    struct fbnetv3_stage stage;
    struct place at = {.stage = number, .times = 1};

    fbnetv3_read_stage(genes, number, &stage);
    side = add_block(cost, &at, &stage.first, side);
    if (stage.n_blocks > 1) {
        at.times = stage.n_blocks - 1;
        (void)add_block(cost, &at, &stage.later, side);
    }
    return side;
}

static void add_head(struct cost *cost, uint32_t c_in, uint32_t side)
{
    const uint32_t c_mid = c_in * FBNETV3_HEAD_EXPANSION;
    const struct place place = {.stage = STAGE_HEAD, .times = 1};
    const struct cost_conv wide = {
        .kind = COST_POINTWISE,
        .stage = STAGE_HEAD,
        .times = 1,
        .c_in = c_mid,
        .c_out = FBNETV3_WIDE_CHANNELS,
        .kernel = 1,
        .groups = 1,
        .side_in = 1,
        .side_out = 1,
        .has_bias = true,
    };

    add_conv(cost, &place, COST_POINTWISE, c_in, c_mid, side);
    cost_add_traffic(cost, COST_POOL, STAGE_HEAD, 1, (uint64_t)side * side * c_mid + c_mid);
    cost_add_conv(cost, &wide);
    cost_add_linear(cost, COST_LINEAR, STAGE_HEAD, 1, FBNETV3_WIDE_CHANNELS, FBNETV3_N_CLASSES,
                    true);
}

static void count_network(const int32_t *genes, struct cost *cost)
{
    uint32_t side = FBNETV3_IMAGE_SIDE / 2;
    const struct cost_conv stem = {
        .kind = COST_CONV,
        .stage = 0,
        .times = 1,
        .c_in = 3,
        .c_out = fbnetv3_stem_channels(genes),
        .kernel = 3,
        .groups = 1,
        .side_in = FBNETV3_IMAGE_SIDE,
        .side_out = side,
        .has_norm = true,
    };

    cost_add_conv(cost, &stem);
    for (unsigned stage = 1; stage <= FBNETV3_N_STAGES; stage++) {
        side = add_stage(cost, genes, stage, side);
    }
    add_head(cost, fbnetv3_last_channels(genes), side);
}

static const struct space_coverage coverage[SPACE_N_COVERAGES] = {
    {0,  0.934},
    {10, 0.882},
    {50, 0.901}
};

const struct space space_fbnetv3 = {
    .name = "fbnetv3",
    .slot = 1,
    .about = "FBNetV3: seven stages of inverted bottlenecks described by 28 genes, 1,000 classes",
    .notation = "write its 28 genes as [3,5,...] or \"3 5 ...\"",
    .input = "1x3x224x224",
    .batch = 1,
    .genes = genes_of_space,
    .n_genes = FBNETV3_N_GENES,
    .n_stages = FBNETV3_N_STAGES + 2,
    .stage_names = stage_names,
    .n_architectures = 0,
    .constraint_unit_ms = 1.0,
    .parse_own = NULL,
    .print_own = print_genes,
    .check_countable = check_countable,
    .count = count_network,
    .features = &fbnetv3_features,
    .device_spread = 0.088,
    .coverage = coverage,
    .residuals = &fbnetv3_residuals,
    .build_graph = fbnetv3_build_graph,
};

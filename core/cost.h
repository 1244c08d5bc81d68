/* Operator costs of one network: multiply-accumulates and memory traffic by kind of operator and by
 * stage, and the parameters. Counts are exact integers for one image (batch 1).
 *
 * Conventions (they give the golden counts in tests/unit/test_space.c):
 *  - a MAC is one multiplication with its addition, in convolutions and linear layers only;
 *  - batch normalisation follows its convolution, has 2 parameters a channel, and costs nothing to
 *    run because inference folds it; activations are fused and cost nothing;
 *  - traffic is every operator's inputs, weights and outputs in 32-bit floats, once each.
 * A struct cost is plain data; the functions are pure and thread-safe. */
#ifndef DGLD_CORE_COST_H
#define DGLD_CORE_COST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* kind, name for machines */
#define COST_KIND_LIST(X)                                                                    \
    X(COST_CONV, "conv")                     /* dense, kernel above 1 */                     \
    X(COST_POINTWISE, "pointwise")           /* dense 1x1 outside of inverted bottlenecks */ \
    X(COST_EXPAND, "expand")                 /* 1x1 that opens an inverted bottleneck */     \
    X(COST_DEPTHWISE, "depthwise")           /* one filter a channel */                      \
    X(COST_PROJECT, "project")               /* 1x1 that closes an inverted bottleneck */    \
    X(COST_SQUEEZE_EXCITE, "squeeze_excite") /* global pool, two linear layers, scaling */   \
    X(COST_SHORTCUT, "shortcut")             /* 1x1 on a shortcut whose channels change */   \
    X(COST_LINEAR, "linear")                 /* classifier */                                \
    X(COST_POOL, "pool")                     /* average pooling */                           \
    X(COST_ADD, "add")                       /* sum of two feature maps */

enum cost_kind {
#define COST_KIND_ENUM(kind, name) kind,
    COST_KIND_LIST(COST_KIND_ENUM)
#undef COST_KIND_ENUM
        COST_N_KINDS
};

/* Stage 0 is the stem, the last stage in use is the head. */
#define COST_MAX_STAGES 9

struct cost {
    uint64_t macs[COST_N_KINDS][COST_MAX_STAGES];
    uint64_t traffic_bytes[COST_N_KINDS][COST_MAX_STAGES];
    uint64_t params; /* with those of batch normalisation */
};

/* One convolution, given by what its counts follow from. Sides are of square feature maps. */
struct cost_conv {
    enum cost_kind kind;
    unsigned stage;
    uint32_t times; /* how often the network holds this very operator */
    uint32_t c_in, c_out;
    uint32_t kernel;
    uint32_t groups; /* 1, or c_in for a depthwise convolution */
    uint32_t side_in, side_out;
    bool has_bias, has_norm;
};

enum { COST_BYTES_PER_VALUE = 4 }; /* 32-bit floats */

/* The three that count are inline: a predictor of a space that no table holds counts a network for
 * every latency, and the fields of `conv` are constants where it stands. */
static inline void cost_add_conv(struct cost *cost, const struct cost_conv *conv)
{
    /* a division takes as long as all the rest */
    uint32_t c_group = conv->groups == 1            ? conv->c_in
                       : conv->groups == conv->c_in ? 1
                                                    : conv->c_in / conv->groups;
    uint64_t weights = (uint64_t)conv->kernel * conv->kernel * c_group * conv->c_out;
    uint64_t values_in = (uint64_t)conv->side_in * conv->side_in * conv->c_in;
    uint64_t pixels_out = (uint64_t)conv->side_out * conv->side_out;
    uint64_t values_out = pixels_out * conv->c_out;
    uint64_t extra =
        (uint64_t)conv->c_out * ((conv->has_bias ? 1U : 0U) + (conv->has_norm ? 2U : 0U));

    cost->macs[conv->kind][conv->stage] += conv->times * weights * pixels_out;
    cost->traffic_bytes[conv->kind][conv->stage] +=
        (uint64_t)conv->times * COST_BYTES_PER_VALUE * (values_in + weights + values_out);
    cost->params += conv->times * (weights + extra);
}

static inline void cost_add_linear(struct cost *cost, enum cost_kind kind, unsigned stage,
                                   uint32_t times, uint32_t n_in, uint32_t n_out, bool has_bias)
{
    uint64_t weights = (uint64_t)n_in * n_out;

    cost->macs[kind][stage] += times * weights;
    cost->traffic_bytes[kind][stage] +=
        (uint64_t)times * COST_BYTES_PER_VALUE * (n_in + weights + n_out);
    cost->params += times * (weights + (has_bias ? n_out : 0U));
}

/* An operator without weights that reads and writes so many values. */
static inline void cost_add_traffic(struct cost *cost, enum cost_kind kind, unsigned stage,
                                    uint32_t times, uint64_t n_values)
{
    cost->traffic_bytes[kind][stage] += (uint64_t)times * COST_BYTES_PER_VALUE * n_values;
}

uint64_t cost_total_macs(const struct cost *cost);
uint64_t cost_total_traffic_bytes(const struct cost *cost);
uint64_t cost_kind_macs(const struct cost *cost, enum cost_kind kind);
uint64_t cost_kind_traffic_bytes(const struct cost *cost, enum cost_kind kind);
/* Static string; "" for an unknown kind. */
const char *cost_kind_name(enum cost_kind kind);

#endif

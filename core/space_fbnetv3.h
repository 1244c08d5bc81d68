/* What other modules of core need to know of the FBNetV3 network: its sizes and its blocks. */
#ifndef DGLD_CORE_SPACE_FBNETV3_H
#define DGLD_CORE_SPACE_FBNETV3_H

#include "core/space.h"

enum { FBNETV3_N_GENES = 28, FBNETV3_N_STAGES = 7 };

/* What surrounds the stages. The wide layer stands behind the global pool. */
enum {
    FBNETV3_IMAGE_SIDE = 224,
    FBNETV3_N_CLASSES = 1000,
    FBNETV3_HEAD_EXPANSION = 6,
    FBNETV3_WIDE_CHANNELS = 1984,
    FBNETV3_SQUEEZE_RATIO = 4,
};

/* An inverted bottleneck. At stride 1 a shortcut goes around it. */
struct fbnetv3_block {
    uint32_t c_in, c_out, expansion, kernel, stride;
    bool has_squeeze;
};

struct fbnetv3_stage {
    uint32_t n_blocks;
    struct fbnetv3_block first, later; /* the later ones are all alike */
};

/* Stage 1 .. FBNETV3_N_STAGES of a network whose genes are countable. */
void fbnetv3_read_stage(const int32_t *genes, unsigned stage, struct fbnetv3_stage *out);

/* Channels of the stem, and of the last stage. */
uint32_t fbnetv3_stem_channels(const int32_t *genes);
uint32_t fbnetv3_last_channels(const int32_t *genes);

struct graph;

/* The network's nodes: core/graph_fbnetv3.c. */
enum err fbnetv3_build_graph(const int32_t *genes, struct graph *graph, struct error *err);

/* Features for the predictor `cost`: core/features_fbnetv3.c. */
extern const struct space_features fbnetv3_features;

/* Features for calibrations: core/residual_fbnetv3.c. */
extern const struct space_residuals fbnetv3_residuals;

#endif

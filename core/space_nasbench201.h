/* What other modules of core need to know of the NAS-Bench-201 network: its sizes, the cell's
 * operators and edges. */
#ifndef DGLD_CORE_SPACE_NASBENCH201_H
#define DGLD_CORE_SPACE_NASBENCH201_H

#include "core/space.h"

struct calibration_prior;

enum { NASBENCH201_N_EDGES = 6, NASBENCH201_N_OPERATORS = 5, NASBENCH201_N_NODES = 4 };

/* The network around the cells. Channels double and sides halve from stage to stage. */
enum {
    NASBENCH201_IMAGE_SIDE = 224,
    NASBENCH201_N_CLASSES = 100,
    NASBENCH201_N_STAGES = 3,
    NASBENCH201_CELLS_PER_STAGE = 5,
    NASBENCH201_STEM_CHANNELS = 16,
};

/* Values of a gene. */
enum nasbench201_operator {
    NASBENCH201_NONE = 1,
    NASBENCH201_SKIP = 2,
    NASBENCH201_CONV1 = 3,
    NASBENCH201_CONV3 = 4,
    NASBENCH201_POOL = 5,
};

/* Edge e runs from node `from` to node `to`; node 0 is the cell's input, node 3 its output. */
struct nasbench201_edge {
    int from, to;
};

extern const struct nasbench201_edge nasbench201_edges[NASBENCH201_N_EDGES];

/* Which edges hold an operator that is on some path from the cell's input to its output. */
void nasbench201_mark_live(const int32_t *genes, bool live[NASBENCH201_N_EDGES]);

/* Features for the predictor `cost`: core/features_nasbench201.c. */
extern const struct space_features nasbench201_features;

/* Features for calibrations: core/residual_nasbench201.c. */
extern const struct space_residuals nasbench201_residuals;

/* What nine devices taught: core/prior_nasbench201.c. */
extern const struct calibration_prior nasbench201_calibration_prior;

struct graph;

/* The network's nodes: core/graph_nasbench201.c. */
enum err nasbench201_build_graph(const int32_t *genes, struct graph *graph, struct error *err);

#endif

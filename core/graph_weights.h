/* The part of building a graph that gives its normalisations their running statistics. For
 * graph_build(), which has the graph to itself. */
#ifndef DGLD_CORE_GRAPH_WEIGHTS_H
#define DGLD_CORE_GRAPH_WEIGHTS_H

#include <stdbool.h>

#include "core/graph.h"

/* Sets the running variance of every normalisation, for an input of mean 0 and variance 1. False
 * where memory is out. */
bool graph_estimate_norms(struct graph *graph);

#endif

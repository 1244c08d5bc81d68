/* Where an exported network comes from, in words: what every format carries along. Thread-safe. */
#ifndef DGLD_PROTO_NETWORK_FACTS_H
#define DGLD_PROTO_NETWORK_FACTS_H

#include "core/graph.h"
#include "core/space.h"

enum { NETWORK_N_FACTS = 6 };

struct network_fact {
    const char *key; /* static: producer, version, space, genes, notation, seed */
    char value[SPACE_TEXT_BYTES];
};

/* Fills the facts, always all and in the order above. Cannot fail. */
void network_facts(const struct graph *graph, struct network_fact out[NETWORK_N_FACTS]);

#endif

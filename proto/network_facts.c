#include "proto/network_facts.h"

#include <inttypes.h>
#include <stdio.h>

#include "core/version.h"

/* The next fact, to be filled. */
static char *begin(struct network_fact *facts, size_t *n, const char *key)
{
    facts[*n].key = key;
    return facts[(*n)++].value;
}

void network_facts(const struct graph *graph, struct network_fact out[NETWORK_N_FACTS])
{
    size_t n = 0;

    (void)snprintf(begin(out, &n, "producer"), sizeof out->value, "dgld");
    (void)snprintf(begin(out, &n, "version"), sizeof out->value, "%s", DGLD_VERSION);
    (void)snprintf(begin(out, &n, "space"), sizeof out->value, "%s", graph->space->name);
    (void)space_print_genes(graph->space, graph->genes, begin(out, &n, "genes"));
    space_print(graph->space, graph->genes, begin(out, &n, "notation"));
    (void)snprintf(begin(out, &n, "seed"), sizeof out->value, "%" PRIu64, graph->seed);
}

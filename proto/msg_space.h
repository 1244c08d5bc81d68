/* A search space as JSON: its genes, notation, latency conditions and served model. Thread-safe. */
#ifndef DGLD_PROTO_MSG_SPACE_H
#define DGLD_PROTO_MSG_SPACE_H

#include "core/space.h"
#include "proto/text.h"

/* Appends {"name", "about", "notation", "n_genes", "genes", "n_architectures", "conditions",
 * "example", "model"}. `model` is the JSON of the served model, or "null". */
void msg_space_encode(const struct space *space, const char *model, struct text *out);

#endif

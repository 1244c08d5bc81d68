/* A search space as JSON: its genes, notation, latency conditions and served model; and the name of
 * one, read. Thread-safe. */
#ifndef DGLD_PROTO_MSG_SPACE_H
#define DGLD_PROTO_MSG_SPACE_H

#include "core/space.h"
#include "proto/json_spec.h"
#include "proto/text.h"

/* Appends {"name", "about", "notation", "n_genes", "genes", "n_architectures", "conditions",
 * "example", "declared", "model"}. `model` is the JSON of the served model, or "null". Of a declared
 * space "declaration" too, as it was put, where `is_whole`. */
void msg_space_encode(const struct space *space, const char *model, bool is_whole,
                      struct text *out);

/* Reads the name of a space. NULL where it is none; that is added to the reader's errors. */
const struct space *msg_space_read(const struct json_reader *reader, struct json_view value);

#endif

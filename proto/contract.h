/* The contract: proto/openapi.yaml, which the program carries inside, as the JSON that it serves.
 *
 * YAML is the form for people to write, JSON the one for programs to read. Of YAML 1.2 what a
 * contract needs is understood: mappings with plain keys, sequences, scalars typed by the core
 * schema; order is kept. Anchors, aliases and tags are refused, for JSON has none. Thread-safe:
 * nothing is shared. */
#ifndef DGLD_PROTO_CONTRACT_H
#define DGLD_PROTO_CONTRACT_H

#include <stddef.h>

#include "core/error.h"
#include "proto/text.h"

/* A scalar that stands for the program's version. */
#define CONTRACT_VERSION "@VERSION@"

enum { CONTRACT_MAX_DEPTH = 64 };

/* Appends the JSON of a YAML document. ERR_SYNTAX names the line and what is wrong; ERR_NOMEM. */
enum err contract_convert(const char *yaml, size_t size, struct text *out, struct error *err);

/* The same of the program's own contract. */
enum err contract_write(struct text *out, struct error *err);

#endif

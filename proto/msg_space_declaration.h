/* The declaration of a search space as JSON: what stands in config/spaces/<space>.json, and what is
 * put to /v1/spaces/{space}.
 *
 *     {"about": "FBNet: 22 layers of nine blocks", "input": "1x3x224x224", "batch": 1,
 *      "genes": [{"name": "stem", "values": [16, 24, 40], "macs": [5419008, 8128512, 13547520]},
 *                {"name": "layer", "first": 1, "step": 1, "n_values": 9, "repeat": 22}],
 *      "fixed": {"macs": 1281000}}
 *
 * Only "genes" and the names in it are required, and of each gene its values: a list, or first,
 * step (1) and n_values. "macs", "traffic_bytes" and "params" tell what each value costs; a gene
 * without them adds nothing to the sum, to which "fixed" adds what all networks have in common.
 * "repeat" stands for so many genes, whose names are numbered from 1. "name", where it is given, has
 * to be that of the space. Thread-safe. */
#ifndef DGLD_PROTO_MSG_SPACE_DECLARATION_H
#define DGLD_PROTO_MSG_SPACE_DECLARATION_H

#include <stddef.h>

#include "core/space_declared.h"
#include "proto/field_error.h"
#include "proto/text.h"

/* A file or body may have so many bytes: several times what the largest declaration takes. */
#define SPACE_DECLARATION_MAX_BYTES ((size_t)1 << 20)

/* Reads the declaration of the space `name`, which is valid. On success the caller ends `out` with
 * mem_free(). What is wrong with fields is added to `errors`, at most some of each kind, and the
 * first of it is `err` (ERR_INVALID); ERR_SYNTAX, ERR_LIMIT, ERR_NOMEM. */
enum err msg_space_declaration_decode(const char *bytes, size_t size, const char *name,
                                      struct space_declaration **out, struct field_errors *errors,
                                      struct error *err);

/* Appends the declaration as an object that decodes to the same; over several lines where `is_file`,
 * which is then ended by a newline. */
void msg_space_declaration_encode(const struct space_declaration *declaration, bool is_file,
                                  struct text *out);

#endif

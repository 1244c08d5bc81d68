/* Triton's extension model_repository: which models there are, and the orders to load or unload
 * one. Thread-safe. */
#ifndef DGLD_PROTO_MSG_REPOSITORY_H
#define DGLD_PROTO_MSG_REPOSITORY_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "proto/text.h"

/* Reads the body of an index request, which may be empty; `only_ready` receives its field "ready".
 * ERR_SYNTAX where it is no JSON, ERR_INVALID where it is not acceptable, ERR_NOMEM. */
enum err msg_repository_index_decode(const char *bytes, size_t size, bool *only_ready,
                                     struct error *err);

/* Checks the body of a request to load or unload, which may be empty. A parameter that asks for
 * other files or another configuration than the repository's is refused by name, since it would be
 * passed over otherwise; unload_dependents has no effect, because no model depends on another. */
enum err msg_repository_order_check(const char *bytes, size_t size, struct error *err);

struct repository_entry {
    const char *name;
    const char *version; /* NULL: none is loaded */
    const char *reason;  /* why none is loaded; "" where one is */
};

/* Appends $repository_index_response: an array. */
void msg_repository_index_encode(const struct repository_entry *entries, size_t n,
                                 struct text *out);

#endif

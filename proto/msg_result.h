/* A directory of the result tree as JSON. Thread-safe.
 *
 *   {"path": "nasbench201", "entries": [{"name": "pretrainmodel.safetensors", "type": "file",
 *    "size_bytes": 54008, "modified_at": "2026-01-31T12:00:00.000Z"}, ...], "next": null} */
#ifndef DGLD_PROTO_MSG_RESULT_H
#define DGLD_PROTO_MSG_RESULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "proto/text.h"

struct result_entry {
    char *name; /* owned by whoever made the list */
    bool is_directory;
    uint64_t size_bytes; /* of a file; a directory's is shown as null */
    struct timespec modified;
};

/* Appends the object. `path` is the directory's, from the tree's top. `next` is the name after
 * which the next part of the list begins, or NULL where this is the last. */
void msg_result_encode(const char *path, const struct result_entry *entries, size_t n_entries,
                       const char *next, struct text *out);

#endif

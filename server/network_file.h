/* Networks as files, in the formats that there are. Thread-safe. */
#ifndef DGLD_SERVER_NETWORK_FILE_H
#define DGLD_SERVER_NETWORK_FILE_H

#include <stdint.h>

#include "core/graph.h"
#include "server/result_tree.h"

struct network_format {
    const char *name;   /* for machines: "onnx" */
    const char *ending; /* of its files: ".onnx" */
    /* Stages the file; `n_bytes` receives its size. ERR_LIMIT where the format cannot hold such a
     * network, and the errors of result_stage(). */
    enum err (*stage)(const struct graph *graph, struct result_batch *batch, const char *path,
                      uint64_t *n_bytes, struct error *err);
};

/* The format that the file's ending names; NULL where there is none. */
const struct network_format *network_format_of(const char *path);

/* ".onnx or .pt", for messages; static string. */
const char *network_format_endings(void);

#endif

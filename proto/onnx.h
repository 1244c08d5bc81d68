/* A network as an ONNX file (opset 17, IR 8): input `input`, one image of the graph's channels and
 * side (1 x 3 x 224 x 224 for the spaces that ship), output `logits`.
 *
 * The file is made while it is read, from front to back, and is never in memory: up to 120 MB are
 * weights, which the graph draws as they are needed. Its size is known from the start.
 *
 * Nodes and weights keep the graph's names, so that "stages.1.block.1.expand.conv.weight" is the
 * same array here as in every other format. The initializers are the weights and nothing else. The
 * file's metadata say which program, space, architecture and seed it comes from. */
#ifndef DGLD_PROTO_ONNX_H
#define DGLD_PROTO_ONNX_H

#include <stddef.h>
#include <stdint.h>

#include "core/graph.h"
#include "proto/text.h"

#define ONNX_MEDIA_TYPE "application/onnx"

enum { ONNX_VALUES_AT_ONCE = 4096 };

/* A file that is being read. Belongs to one thread at a time. */
struct onnx {
    const struct graph *graph; /* borrowed until onnx_close() */
    uint64_t size;             /* of the whole file, in bytes */

    struct text piece; /* what stands before the values of the next weight */
    size_t n_piece_read;
    size_t next_weight;
    size_t next_value;                  /* of the weight before that */
    float values[ONNX_VALUES_AT_ONCE];  /* drawn and not all read */
    size_t n_value_bytes, n_value_read; /* of them, in bytes */
};

/* Begins a file. ERR_NOMEM; ERR_LIMIT for a network beyond the format's 2 GiB. */
enum err onnx_open(const struct graph *graph, struct onnx *out, struct error *err);

/* The next bytes of the file, `size` of them, fewer only where it ends. Cannot fail; a megabyte
 * takes less than a millisecond. */
size_t onnx_read(struct onnx *onnx, char *bytes, size_t size);

/* Accepts a zeroed struct. */
void onnx_close(struct onnx *onnx);

#endif

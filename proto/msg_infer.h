/* POST /v2/models/{model}/infer: the Open Inference Protocol (KServe V2 REST) with Triton's
 * extension binary_tensor_data.
 *
 *   {"id": "42",
 *    "inputs": [{"name": "architecture", "shape": [2, 6], "datatype": "INT64",
 *                "data": [[4,4,4,2,4,4], [1,1,1,1,1,1]]},
 *               {"name": "hardware", "shape": [4], "datatype": "FP64", "data": [2.0, 3, 1, 7.46]}],
 *    "outputs": [{"name": "latency_ms"}]}
 *
 * architecture is [N, genes] of INT64, INT32 or UINT8; hardware is [4], [1, 4] or [N, 4] of FP64 or
 * FP32, in the order F, D, C, M; latency_ms is [N] of FP32. An input with the parameter
 * binary_data_size has no "data": its bytes stand behind the JSON, whose length the header
 * Inference-Header-Content-Length gives. As the protocol allows, fields and parameters that are not
 * known are passed over; parameters that ask for another answer than this service gives
 * (classification, shared memory) are refused by name. A struct belongs to one thread. */
#ifndef DGLD_PROTO_MSG_INFER_H
#define DGLD_PROTO_MSG_INFER_H

#include <stdbool.h>
#include <stddef.h>

#include "core/space.h"
#include "proto/field_error.h"
#include "proto/infer_tensor.h"
#include "proto/text.h"

#define INFER_ARCHITECTURE "architecture"
#define INFER_HARDWARE     "hardware"
#define INFER_LATENCY      "latency_ms"

/* A request, borrowing the body. */
struct infer_request {
    const char *id; /* the JSON string of "id", quotes and all (id_size); NULL: none was given */
    size_t id_size;
    bool is_binary;                   /* the output is wanted as binary data */
    struct infer_tensor architecture; /* (n, genes) */
    struct infer_tensor hardware;     /* (1 or n, 4) */
    size_t n;                         /* architectures */
};

/* Reads a body. `header_length` is the text of Inference-Header-Content-Length, NULL where it is
 * absent: then the body is JSON alone. Shapes and sizes are checked against the body, what the
 * tensors hold is not. ERR_SYNTAX where it is no JSON or the length none; ERR_INVALID where it is
 * not acceptable, with the pointer of what is wrong. Nothing to be ended. */
enum err msg_infer_decode(const struct space *space, const char *bytes, size_t size,
                          const char *header_length, struct infer_request *out, struct error *err);

struct infer_reply {
    const struct infer_request *request;
    const char *model_name, *model_version;
    const float *latency_ms; /* (n); NULL: they follow the JSON as binary data */
};

/* Appends the reply's JSON. */
void msg_infer_encode(const struct infer_reply *reply, struct text *out);

#endif

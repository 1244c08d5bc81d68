/* What an inference request asks for: latencies of architectures, from tensors as they stand in a
 * body to numbers in a reply. Rows are taken some at a time, so the work needs a fixed block of
 * memory however many there are. Reentrant. */
#ifndef DGLD_SERVER_RUN_INFER_H
#define DGLD_SERVER_RUN_INFER_H

#include "core/error.h"
#include "proto/model_file.h"
#include "proto/msg_infer.h"

/* Writes latency_ms (request->n, FP32 in the order of the host, which is little-endian) to `out`,
 * that need not be aligned. ERR_INVALID names the row and the gene or field that is wrong. Where it
 * fails, `out` holds nothing of use. */
enum err run_infer(const struct model *model, const struct infer_request *request,
                   unsigned char *out, struct error *err);

#endif

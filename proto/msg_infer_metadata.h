/* What the Open Inference Protocol tells of a server and its models, and Triton's extension
 * model_configuration. Every model has the tensors of proto/msg_infer.h. Thread-safe.
 *
 * The metadata name one datatype a tensor: INT64 for architecture and FP64 for hardware, of which
 * the narrower ones are taken as well. */
#ifndef DGLD_PROTO_MSG_INFER_METADATA_H
#define DGLD_PROTO_MSG_INFER_METADATA_H

#include <stddef.h>

#include "core/space.h"
#include "proto/text.h"

/* $metadata_server_response. */
void msg_infer_server_encode(struct text *out);

/* $metadata_model_response; `versions` are those that may be asked for. */
void msg_infer_model_encode(const struct space *space, const char *const *versions,
                            size_t n_versions, struct text *out);

/* $model_configuration_response, after Triton's model_config.proto. */
void msg_infer_config_encode(const struct space *space, struct text *out);

#endif

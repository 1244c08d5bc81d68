/* What files of trained predictors have in common: a version that names the weights, and metadata
 * that is believed only after a look. Pure functions, thread-safe. */
#ifndef DGLD_PROTO_MODEL_META_H
#define DGLD_PROTO_MODEL_META_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/tensor.h"
#include "proto/safetensors.h"

enum { MODEL_VERSION_BYTES = 40, MODEL_TEXT_BYTES = 16, MODEL_REAL_BYTES = 32 };
enum { MODEL_META_MAX_TENSORS = 16 };

/* Kind and first digits of the digest of the weights' bytes: the same weights, the same version. */
void model_meta_version(const char *kind, const struct tensor *tensors, size_t n,
                        char version[MODEL_VERSION_BYTES]);

/* The value of `key`: 1 to size - 1 of a-z, 0-9, dot and dash. ERR_INVALID otherwise, with the key;
 * so the next two. */
enum err model_meta_text(const struct safetensors *st, const char *key, char *out, size_t size,
                         struct error *err);
enum err model_meta_whole(const struct safetensors *st, const char *key, uint64_t *out,
                          struct error *err);
/* A finite number; "none" gives NaN, and the other way round. */
enum err model_meta_real(const struct safetensors *st, const char *key, double *out,
                         struct error *err);
void model_meta_print_real(double value, char text[MODEL_REAL_BYTES]);

#endif

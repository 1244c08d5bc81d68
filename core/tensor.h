/* A named array, the form in which predictors hand out and take in their weights.
 * A struct tensor borrows its data: who made it says until when. Pure functions, thread-safe. */
#ifndef DGLD_CORE_TENSOR_H
#define DGLD_CORE_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* type, name in files, bytes of an element */
#define TENSOR_TYPE_LIST(X) \
    X(TENSOR_F64, "F64", 8) \
    X(TENSOR_F32, "F32", 4) \
    X(TENSOR_I64, "I64", 8) \
    X(TENSOR_I32, "I32", 4) \
    X(TENSOR_U8, "U8", 1)

enum tensor_type {
#define TENSOR_TYPE_ENUM(type, name, bytes) type,
    TENSOR_TYPE_LIST(TENSOR_TYPE_ENUM)
#undef TENSOR_TYPE_ENUM
        TENSOR_N_TYPES
};

enum { TENSOR_NAME_BYTES = 64, TENSOR_MAX_DIMS = 4 };

struct tensor {
    char name[TENSOR_NAME_BYTES];
    enum tensor_type type;
    size_t n_dims;
    size_t shape[TENSOR_MAX_DIMS]; /* row-major */
    const void *data;              /* little-endian, not necessarily aligned */
};

/* Of a type that is one; the name is static. */
size_t tensor_type_bytes(enum tensor_type type);
const char *tensor_type_name(enum tensor_type type);
/* TENSOR_N_TYPES where there is no type of that name. */
enum tensor_type tensor_type_find(const char *name);

/* Number of elements; false where the product overflows. */
bool tensor_count(const struct tensor *tensor, size_t *count);

/* The tensor of that name, or NULL. */
const struct tensor *tensor_find(const struct tensor *tensors, size_t n, const char *name);

/* Copies the elements of the tensor `name` as doubles: it must exist, be F64 or F32, hold exactly
 * `count` finite numbers. ERR_INVALID otherwise, with the name. */
enum err tensor_read(const struct tensor *tensors, size_t n, const char *name, size_t count,
                     double *out, struct error *err);

/* The one element of the I64 tensor `name`, likewise. */
enum err tensor_read_whole(const struct tensor *tensors, size_t n, const char *name, int64_t *out,
                           struct error *err);

#endif

#include "core/tensor.h"

#include <math.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} types[TENSOR_N_TYPES] = {
#define TENSOR_TYPE_ROW(type, name, bytes) [type] = {name, bytes},
    TENSOR_TYPE_LIST(TENSOR_TYPE_ROW)
#undef TENSOR_TYPE_ROW
};

size_t tensor_type_bytes(enum tensor_type type)
{
    return types[type].bytes;
}

const char *tensor_type_name(enum tensor_type type)
{
    return types[type].name;
}

enum tensor_type tensor_type_find(const char *name)
{
    unsigned type = 0;

    while (type < TENSOR_N_TYPES && strcmp(types[type].name, name) != 0) {
        type++;
    }
    return (enum tensor_type)type;
}

bool tensor_count(const struct tensor *tensor, size_t *count)
{
    size_t n = 1;

    for (size_t d = 0; d < tensor->n_dims; d++) {
        if (tensor->shape[d] != 0 && n > SIZE_MAX / tensor->shape[d]) {
            return false;
        }
        n *= tensor->shape[d];
    }
    *count = n;
    return true;
}

const struct tensor *tensor_find(const struct tensor *tensors, size_t n, const char *name)
{
    for (size_t i = 0; i < n; i++) {
        if (strcmp(tensors[i].name, name) == 0) {
            return &tensors[i];
        }
    }
    return NULL;
}

static double element(const struct tensor *tensor, size_t i)
{
    const unsigned char *bytes = tensor->data;

    if (tensor->type == TENSOR_F32) {
        float narrow;
        memcpy(&narrow, bytes + i * sizeof narrow, sizeof narrow);
        return (double)narrow;
    } else {
        double wide;
        memcpy(&wide, bytes + i * sizeof wide, sizeof wide);
        return wide;
    }
}

enum err tensor_read(const struct tensor *tensors, size_t n, const char *name, size_t count,
                     double *out, struct error *err)
{
    const struct tensor *tensor = tensor_find(tensors, n, name);
    size_t held;

    if (tensor == NULL) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" is missing", name);
    }
    if (tensor->type != TENSOR_F64 && tensor->type != TENSOR_F32) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" must be F64 or F32, not %s", name,
                         tensor_type_name(tensor->type));
    }
    if (!tensor_count(tensor, &held) || held != count) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" must hold %zu numbers", name, count);
    }
    for (size_t i = 0; i < count; i++) {
        out[i] = element(tensor, i);
        if (!isfinite(out[i])) {
            return error_set(err, ERR_INVALID, "element %zu of the tensor \"%s\" is not finite", i,
                             name);
        }
    }
    return ERR_OK;
}

enum err tensor_read_whole(const struct tensor *tensors, size_t n, const char *name, int64_t *out,
                           struct error *err)
{
    const struct tensor *tensor = tensor_find(tensors, n, name);
    size_t held;

    if (tensor == NULL) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" is missing", name);
    }
    if (tensor->type != TENSOR_I64 || !tensor_count(tensor, &held) || held != 1) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" must hold one I64", name);
    }
    memcpy(out, tensor->data, sizeof *out);
    return ERR_OK;
}

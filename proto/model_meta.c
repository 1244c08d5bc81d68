#include "proto/model_meta.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/digest.h"

void model_meta_version(const char *kind, const struct tensor *tensors, size_t n,
                        char version[MODEL_VERSION_BYTES])
{
    struct digest_part parts[MODEL_META_MAX_TENSORS];
    char digest[DIGEST_HEX_BYTES];

    assert(n <= MODEL_META_MAX_TENSORS);
    for (size_t i = 0; i < n; i++) {
        size_t count = 0;
        (void)tensor_count(&tensors[i], &count);
        parts[i].bytes = tensors[i].data;
        parts[i].size = count * tensor_type_bytes(tensors[i].type);
    }
    digest_hex(parts, n, digest);
    (void)snprintf(version, MODEL_VERSION_BYTES, "%.16s-%.12s", kind, digest);
}

enum err model_meta_text(const struct safetensors *st, const char *key, char *out, size_t size,
                         struct error *err)
{
    const char *value = safetensors_meta(st, key);

    if (value == NULL || strlen(value) == 0 || strlen(value) >= size) {
        return error_set(err, ERR_INVALID, "the metadata's %s must be 1 to %zu characters", key,
                         size - 1);
    }
    for (const char *c = value; *c != '\0'; c++) {
        if (strchr("abcdefghijklmnopqrstuvwxyz0123456789.-", *c) == NULL) {
            return error_set(err, ERR_INVALID,
                             "the metadata's %s may hold a-z, 0-9, dot and dash only", key);
        }
    }
    memcpy(out, value, strlen(value) + 1);
    return ERR_OK;
}

enum err model_meta_whole(const struct safetensors *st, const char *key, uint64_t *out,
                          struct error *err)
{
    const char *value = safetensors_meta(st, key);
    char *end = NULL;

    errno = 0;
    if (value != NULL && value[0] >= '0' && value[0] <= '9') {
        *out = strtoull(value, &end, 10);
    }
    if (end == NULL || *end != '\0' || errno != 0) {
        return error_set(err, ERR_INVALID, "the metadata's %s must be a whole number", key);
    }
    return ERR_OK;
}

enum err model_meta_real(const struct safetensors *st, const char *key, double *out,
                         struct error *err)
{
    const char *value = safetensors_meta(st, key);
    char *end = NULL;

    if (value != NULL && strcmp(value, "none") == 0) {
        *out = NAN;
        return ERR_OK;
    }
    if (value != NULL && value[0] != '\0') {
        *out = strtod(value, &end);
    }
    if (end == NULL || *end != '\0' || !isfinite(*out)) {
        return error_set(err, ERR_INVALID, "the metadata's %s must be a number, or none", key);
    }
    return ERR_OK;
}

void model_meta_print_real(double value, char text[MODEL_REAL_BYTES])
{
    (void)snprintf(text, MODEL_REAL_BYTES, isfinite(value) ? "%.6f" : "none", value);
}

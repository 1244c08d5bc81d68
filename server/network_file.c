#include "server/network_file.h"

#include <string.h>

#include "proto/onnx.h"

static size_t read_onnx(void *source, char *bytes, size_t size)
{
    return onnx_read(source, bytes, size);
}

static enum err stage_onnx(const struct graph *graph, struct result_batch *batch, const char *path,
                           uint64_t *n_bytes, struct error *err)
{
    struct onnx onnx;
    enum err rc = onnx_open(graph, &onnx, err);

    if (rc != ERR_OK) {
        return rc;
    }
    *n_bytes = onnx.size;
    rc = result_stage_from(batch, path, read_onnx, &onnx, err);
    onnx_close(&onnx);
    return rc;
}

static const struct network_format formats[] = {
    {"onnx", ".onnx", stage_onnx},
};

const struct network_format *network_format_of(const char *path)
{
    const size_t length = strlen(path);

    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const size_t n = strlen(formats[i].ending);
        if (length > n && strcmp(path + length - n, formats[i].ending) == 0) {
            return &formats[i];
        }
    }
    return NULL;
}

const char *network_format_endings(void)
{
    return ".onnx";
}

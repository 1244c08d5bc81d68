#include "server/network_file.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proto/onnx.h"
#include "proto/torchscript.h"

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

/* A file that is being made, and what it takes. */
struct torchscript_file {
    const struct result_batch *batch;
    const struct graph *graph;
    int fd;
    uint64_t n_bytes;
};

static bool put_at(void *sink, uint64_t offset, const char *bytes, size_t size)
{
    const struct torchscript_file *file = sink;

    if (result_go_on(file->batch, NULL) != ERR_OK) {
        return false;
    }
    while (size > 0) {
        ssize_t n = pwrite(file->fd, bytes, size, (off_t)offset);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return false;
        }
        bytes += n;
        offset += (uint64_t)n;
        size -= (size_t)n;
    }
    return true;
}

static enum err make_torchscript(void *context, int fd, struct error *err)
{
    struct torchscript_file *file = context;
    enum err rc;

    file->fd = fd;
    rc = torchscript_write(file->graph, put_at, file, &file->n_bytes, err);
    if (rc != ERR_OK && result_go_on(file->batch, NULL) != ERR_OK) {
        rc = result_go_on(file->batch, err); /* that is why it could not be written */
    }
    return rc;
}

static enum err stage_torchscript(const struct graph *graph, struct result_batch *batch,
                                  const char *path, uint64_t *n_bytes, struct error *err)
{
    struct torchscript_file file = {.batch = batch, .graph = graph};
    enum err rc = result_stage_made(batch, path, make_torchscript, &file, err);

    *n_bytes = file.n_bytes;
    return rc;
}

static const struct network_format formats[] = {
    {"onnx",        ".onnx", stage_onnx       },
    {"torchscript", ".pt",   stage_torchscript},
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
    return ".onnx or .pt";
}

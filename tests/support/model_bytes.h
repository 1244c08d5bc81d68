/* The fixture of tests of model files: a small model and its bytes. Header only. */
#ifndef DGLD_TESTS_SUPPORT_MODEL_BYTES_H
#define DGLD_TESTS_SUPPORT_MODEL_BYTES_H

#include "proto/model_file.h"
#include "tests/support/check.h"

struct model_bytes {
    struct model model;
    char *bytes;
    size_t size;
};

static inline int model_bytes_free(void **state)
{
    struct model_bytes *f = *state;

    model_close(&f->model);
    mem_free(f->bytes);
    return check_blocks(state);
}

#endif

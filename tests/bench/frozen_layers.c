/* Writes the frozen layers of a predictor mlp of nasbench201 as safetensors, for who evaluates it
 * elsewhere: the predictor's own file keeps only the seed that they are drawn from.
 *
 *     frozen_layers SEED FILE
 *
 * Tensors are named as torch names those of a Sequential of Linear and Tanh: 0.weight, 0.bias,
 * 2.weight, ... */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/random_layers.h"
#include "core/space.h"
#include "proto/safetensors.h"

enum { N_TENSORS = 2 * RANDOM_N_LAYERS };

/* Weight and bias of each layer, in the order in which they stand; they borrow the layers' memory. */
static void describe(const struct random_layers *layers, struct tensor tensors[N_TENSORS])
{
    const float *at = layers->parameters;

    for (size_t l = 0; l < RANDOM_N_LAYERS; l++) {
        const size_t in = layers->widths[l];
        const size_t out = layers->widths[l + 1];
        struct tensor *weight = &tensors[2 * l];
        struct tensor *bias = &tensors[2 * l + 1];

        *weight = (struct tensor){
            .type = TENSOR_F32, .n_dims = 2, .shape = {out, in},
                    .data = at
        };
        *bias =
            (struct tensor){.type = TENSOR_F32, .n_dims = 1, .shape = {out}, .data = at + out * in};
        (void)snprintf(weight->name, sizeof weight->name, "%zu.weight", 2 * l);
        (void)snprintf(bias->name, sizeof bias->name, "%zu.bias", 2 * l);
        at += out * (in + 1);
    }
}

static enum err write_file(const char *path, const char *bytes, size_t size, struct error *err)
{
    FILE *file = fopen(path, "wb");
    bool is_written = file != NULL && fwrite(bytes, 1, size, file) == size;

    if (file != NULL && fclose(file) != 0) {
        is_written = false;
    }
    return is_written ? ERR_OK : error_set(err, ERR_IO, "cannot write %s", path);
}

static enum err write_layers(uint64_t seed, const char *path, struct error *err)
{
    struct random_layers layers = {0};
    struct tensor tensors[N_TENSORS];
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = random_layers_init(&layers, space_nasbench201.n_genes, seed, err);

    if (rc == ERR_OK) {
        describe(&layers, tensors);
        rc = safetensors_encode(tensors, N_TENSORS, NULL, 0, &bytes, &size, err);
    }
    rc = rc != ERR_OK ? rc : write_file(path, bytes, size, err);
    mem_free(bytes);
    random_layers_close(&layers);
    return rc;
}

int main(int argc, char **argv)
{
    struct error err = {0};
    char *end = NULL;
    uint64_t seed;

    errno = 0;
    seed = argc == 3 ? strtoull(argv[1], &end, 10) : 0;
    if (argc != 3 || end == argv[1] || *end != '\0' || errno != 0) {
        fprintf(stderr, "usage: frozen_layers SEED FILE\n");
        return 2;
    }
    if (write_layers(seed, argv[2], &err) != ERR_OK) {
        fprintf(stderr, "frozen_layers: %s\n", err.text);
        return 1;
    }
    return 0;
}

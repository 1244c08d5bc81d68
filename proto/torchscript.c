#include "proto/torchscript.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/network_facts.h"
#include "proto/pickle.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the archive's byteorder says little");

#define FOLDER "network/"

/* The oldest that PyTorch still writes: newer ones are for operators that are not used here. */
#define FORMAT_VERSION "3\n"

enum { MAX_ENTRY_NAME_BYTES = 64, VALUES_AT_ONCE = 1024 };

/* The texts and the weights of an archive that is being written. */
struct block {
    struct text text;
    size_t n_read;
};

struct weight_bytes {
    const struct graph *graph;
    size_t weight;
    uint64_t n_read;
};

enum { BLOCK_VERSION, BLOCK_BYTE_ORDER, BLOCK_CODE, BLOCK_CONSTANTS, BLOCK_OBJECT, BLOCK_FACTS };
enum { N_BLOCKS = BLOCK_FACTS + NETWORK_N_FACTS };

struct archive {
    struct block blocks[N_BLOCKS];
    char names[N_BLOCKS][MAX_ENTRY_NAME_BYTES];
    struct weight_bytes *weights; /* (n_weights), owned */
};

/* ---- sources --------------------------------------------------------------------------------- */

static size_t read_block(void *source, char *bytes, size_t size)
{
    struct block *block = source;
    const size_t left = block->text.size - block->n_read;
    const size_t n = size < left ? size : left;

    memcpy(bytes, block->text.bytes + block->n_read, n);
    block->n_read += n;
    return n;
}

/* By the values that the next bytes are part of. */
static size_t read_weight(void *source, char *bytes, size_t size)
{
    struct weight_bytes *from = source;
    const size_t n_values = from->graph->weights[from->weight].n_values;
    float values[VALUES_AT_ONCE];
    size_t n = 0;

    while (n < size && from->n_read < (uint64_t)n_values * sizeof *values) {
        const size_t first = (size_t)(from->n_read / sizeof *values);
        const size_t skip = (size_t)(from->n_read % sizeof *values);
        const size_t n_drawn =
            n_values - first < VALUES_AT_ONCE ? n_values - first : (size_t)VALUES_AT_ONCE;
        const size_t held = n_drawn * sizeof *values - skip;
        const size_t taken = size - n < held ? size - n : held;

        graph_fill(from->graph, from->weight, first, n_drawn, values);
        memcpy(bytes + n, (const char *)values + skip, taken);
        from->n_read += taken;
        n += taken;
    }
    return n;
}

/* ---- texts ----------------------------------------------------------------------------------- */

/* The next of them, to be filled. */
static struct text *begin(struct archive *archive, size_t i, const char *folder, const char *name)
{
    (void)snprintf(archive->names[i], sizeof *archive->names, FOLDER "%s%s", folder, name);
    return &archive->blocks[i].text;
}

static enum err make_blocks(const struct graph *graph, struct archive *archive, struct error *err)
{
    struct network_fact facts[NETWORK_N_FACTS];
    struct text *constants = begin(archive, BLOCK_CONSTANTS, "", "constants.pkl");

    text_puts(begin(archive, BLOCK_VERSION, "", "version"), FORMAT_VERSION);
    text_puts(begin(archive, BLOCK_BYTE_ORDER, "", "byteorder"), "little");
    torchscript_put_code(graph, begin(archive, BLOCK_CODE, "code/", "__torch__.py"));
    pickle_begin(constants);
    pickle_op(constants, PICKLE_EMPTY_TUPLE);
    pickle_end(constants);
    torchscript_put_object(graph, begin(archive, BLOCK_OBJECT, "", "data.pkl"));
    network_facts(graph, facts);
    for (size_t i = 0; i < NETWORK_N_FACTS; i++) {
        text_puts(begin(archive, BLOCK_FACTS + i, "extra/", facts[i].key), facts[i].value);
    }
    for (size_t i = 0; i < N_BLOCKS; i++) {
        if (archive->blocks[i].text.has_failed) {
            return error_set(err, ERR_NOMEM, "no memory for %s of a TorchScript archive",
                             archive->names[i]);
        }
    }
    return ERR_OK;
}

/* ---- the archive ----------------------------------------------------------------------------- */

static enum err add_blocks(struct archive *archive, struct zip_stream *zip, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < N_BLOCKS; i++) {
        const struct zip_entry entry = {.name = archive->names[i],
                                        .read = read_block,
                                        .source = &archive->blocks[i],
                                        .size = archive->blocks[i].text.size};
        rc = zip_stream_add(zip, &entry, err);
    }
    return rc;
}

static enum err add_weights(const struct graph *graph, struct archive *archive,
                            struct zip_stream *zip, struct error *err)
{
    enum err rc = ERR_OK;

    archive->weights = mem_calloc(graph->n_weights, sizeof *archive->weights);
    if (archive->weights == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the weights of a TorchScript archive");
    }
    for (size_t w = 0; rc == ERR_OK && w < graph->n_weights; w++) {
        char name[MAX_ENTRY_NAME_BYTES];
        const struct zip_entry entry = {.name = name,
                                        .read = read_weight,
                                        .source = &archive->weights[w],
                                        .size =
                                            (uint64_t)graph->weights[w].n_values * sizeof(float),
                                        .alignment = TORCHSCRIPT_ALIGNMENT};
        (void)snprintf(name, sizeof name, FOLDER "data/%zu", w);
        archive->weights[w] = (struct weight_bytes){.graph = graph, .weight = w};
        rc = zip_stream_add(zip, &entry, err);
    }
    return rc;
}

static void close_archive(struct archive *archive)
{
    for (size_t i = 0; i < N_BLOCKS; i++) {
        text_close(&archive->blocks[i].text);
    }
    mem_free(archive->weights);
}

enum err torchscript_write(const struct graph *graph, zip_stream_put *put, void *sink,
                           uint64_t *n_bytes, struct error *err)
{
    struct archive archive = {0};
    struct zip_stream *zip = NULL;
    enum err rc = zip_stream_open(put, sink, &zip, err);

    rc = rc != ERR_OK ? rc : make_blocks(graph, &archive, err);
    rc = rc != ERR_OK ? rc : add_blocks(&archive, zip, err);
    rc = rc != ERR_OK ? rc : add_weights(graph, &archive, zip, err);
    rc = rc != ERR_OK ? rc : zip_stream_finish(zip, n_bytes, err);
    zip_stream_close(zip);
    close_archive(&archive);
    return rc;
}

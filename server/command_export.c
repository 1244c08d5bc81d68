/* dgld export: the network of an architecture as a file. */
#include <inttypes.h>
#include <stdio.h>

#include "core/mem.h"
#include "proto/text.h"
#include "server/command.h"
#include "server/network_file.h"

static enum err check_options(const struct options *options, struct error *err)
{
    if (options->file == NULL) {
        return error_set(err, ERR_USAGE, "export needs --file: the file to write, ending in %s",
                         network_format_endings());
    }
    if (network_format_of(options->file) == NULL) {
        return error_set(err, ERR_USAGE,
                         "--file names a format by its ending, %s, and %.200s has none",
                         network_format_endings(), options->file);
    }
    return ERR_OK;
}

/* Writes the file, or leaves what was there. */
static enum err write_file(const struct graph *graph, const char *path, uint64_t *n_bytes,
                           struct error *err)
{
    struct result_batch batch = {0};
    enum err rc = network_format_of(path)->stage(graph, &batch, path, n_bytes, err);

    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    return rc;
}

static enum err print(const struct options *options, const struct graph *graph, uint64_t n_bytes,
                      struct error *err)
{
    char notation[SPACE_TEXT_BYTES];
    struct text text = {0};

    space_print(graph->space, graph->genes, notation);
    if (options->is_json) {
        text_puts(&text, "{\"file\":");
        text_put_json_string(&text, options->file);
        text_printf(&text, ",\"format\":\"%s\",\"bytes\":%" PRIu64 ",\"search_space\":\"%s\"",
                    network_format_of(options->file)->name, n_bytes, graph->space->name);
        text_puts(&text, ",\"architecture\":");
        text_put_json_string(&text, notation);
        text_printf(&text, ",\"seed\":%" PRIu64 ",\"macs\":%" PRIu64 ",\"params\":%" PRIu64 "}\n",
                    graph->seed, graph_macs(graph), graph_params(graph));
    } else {
        text_printf(&text,
                    "%s\n  file        %s, %" PRIu64 " bytes\n  MACs        %" PRIu64
                    "\n  parameters  %" PRIu64 ", initialised from seed %" PRIu64 "\n",
                    notation, options->file, n_bytes, graph_macs(graph), graph_params(graph),
                    graph->seed);
    }
    return command_print(&text, err);
}

enum err command_export(const struct options *options, struct error *err)
{
    const struct space *space;
    struct graph graph = {0};
    int32_t *genes = NULL;
    uint64_t n_bytes = 0;
    size_t n = 0;
    enum err rc = command_space(options, &space, err);

    rc = rc != ERR_OK ? rc : check_options(options, err);
    rc = rc != ERR_OK ? rc : command_architectures(options, space, true, &genes, &n, err);
    if (rc == ERR_OK && n != 1) {
        rc = error_set(err, ERR_USAGE, "export writes one architecture at a time, not %zu", n);
    }
    rc = rc != ERR_OK ? rc : graph_build(space, genes, (uint64_t)options->seed, &graph, err);
    rc = rc != ERR_OK ? rc : write_file(&graph, options->file, &n_bytes, err);
    rc = rc != ERR_OK ? rc : print(options, &graph, n_bytes, err);
    graph_close(&graph);
    mem_free(genes);
    return rc;
}

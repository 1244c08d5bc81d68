#include "core/matrix.h"
#include "core/mem.h"
#include "proto/msg_suggest.h"
#include "server/command.h"
#include "server/suggestion.h"

/* The architectures to choose among; without any, all of the space. */
static enum err read_given(const struct options *options, const struct space *space,
                           int32_t **genes, size_t *n, struct error *err)
{
    if (options->n_words == 0 && options->architectures_file == NULL) {
        return ERR_OK;
    }
    return command_architectures(options, space, false, genes, n, err);
}

static enum err print_suggestion(const struct options *options, const struct space *space,
                                 const struct suggestion *made, struct error *err)
{
    const struct suggest_reply reply = {
        space, options->device, made->has_hardware, made->n_measurements, made->genes, made->n};
    struct text text = {0};

    if (options->is_json) {
        msg_suggest_encode_json(&reply, &text);
    } else {
        msg_suggest_encode_csv(&reply, "\n", &text);
    }
    return command_print(&text, err);
}

enum err command_suggest(const struct options *options, struct error *err)
{
    const struct space *space;
    struct data_tree tree;
    struct model model = {0};
    struct suggestion made = {0};
    int32_t *given = NULL;
    size_t n_given = 0;
    enum err rc = command_space(options, &space, err);

    if (rc == ERR_OK && options->device == NULL) {
        rc = error_set(err, ERR_USAGE, "suggest needs --device NAME: the device to be measured");
    }
    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : data_tree_init(&tree, options->root, options->data_path, err);
    rc = rc != ERR_OK ? rc : read_given(options, space, &given, &n_given, err);
    rc = rc != ERR_OK ? rc : command_load_model(options, space, &model, err);
    if (rc == ERR_OK) {
        const size_t n = options->n > 0 ? (size_t)options->n : SUGGEST_DEFAULT_N;
        rc = suggestion_make(&model, &tree, options->device, given, n_given,
                             (uint64_t)options->seed, n, &made, err);
    }
    rc = rc != ERR_OK ? rc : print_suggestion(options, space, &made, err);
    suggestion_close(&made);
    mem_free(given);
    model_close(&model);
    return rc;
}

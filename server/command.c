#include "server/command.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/file.h"
#include "core/mem.h"
#include "server/model_store.h"
#include "server/result_tree.h"
#include "server/space_tree.h"

#define MAX_ARCHITECTURE_FILE_BYTES ((size_t)1 << 30)

/* Declares the spaces of the root's files. ERR_INVALID where that of the name is malformed. */
static enum err declare_spaces(const char *root, const char *name, struct error *err)
{
    struct space_tree *tree = mem_calloc(1, sizeof *tree);
    enum err rc;

    if (tree == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the search spaces");
    }
    rc = space_tree_init(tree, root, err);
    if (rc == ERR_OK) {
        tree->is_quiet = true;
        rc = space_tree_refresh(tree, err);
        rc = rc != ERR_OK ? rc : space_tree_check(tree, name, err);
        space_tree_close(tree);
    }
    mem_free(tree);
    return rc;
}

enum err command_space(const struct options *options, const struct space **out, struct error *err)
{
    if (options->search_space == NULL) {
        return error_set(err, ERR_USAGE, "%s needs --search_space: %s",
                         command_name(options->command), space_names());
    }
    *out = space_find(options->search_space);
    if (*out == NULL) {
        enum err rc = declare_spaces(options->root, options->search_space, err);
        if (rc != ERR_OK) {
            return rc;
        }
        *out = space_find(options->search_space);
    }
    if (*out == NULL) {
        return error_set(err, ERR_USAGE, "there is no search space \"%.60s\"; there are %s",
                         options->search_space, space_names());
    }
    return ERR_OK;
}

/* Architectures as they come in. */
struct list {
    const struct space *space;
    bool is_domain_free;
    int32_t *genes;
    size_t n, capacity;
};

static enum err add_architecture(struct list *list, const char *text, size_t length,
                                 struct error *err)
{
    const struct space *space = list->space;
    int32_t *genes;

    if (list->n == list->capacity) {
        size_t capacity = list->capacity > 0 ? 2 * list->capacity : 64;
        genes = mem_resize(list->genes, capacity, space->n_genes * sizeof *genes);
        if (genes == NULL) {
            return error_set(err, ERR_NOMEM, "no memory for %zu architectures", capacity);
        }
        list->genes = genes;
        list->capacity = capacity;
    }
    genes = list->genes + list->n++ * space->n_genes;
    return list->is_domain_free ? space_read(space, text, length, genes, err)
                                : space_parse(space, text, length, genes, NULL, err);
}

/* Standard input until its end. */
static enum err read_stdin(size_t max_bytes, char **bytes, size_t *size, struct error *err)
{
    size_t capacity = (size_t)1 << 16;
    char *block = mem_resize(NULL, capacity, 1);

    *size = 0;
    while (block != NULL && *size <= max_bytes) {
        size_t n = fread(block + *size, 1, capacity - *size, stdin);
        *size += n;
        if (n == 0) {
            break;
        }
        if (*size == capacity) {
            char *grown = mem_resize(block, capacity * 2, 1);
            if (grown == NULL) {
                mem_free(block);
            }
            block = grown;
            capacity *= 2;
        }
    }
    if (block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for standard input");
    }
    if (ferror(stdin) != 0 || *size > max_bytes) {
        bool is_long = *size > max_bytes;
        mem_free(block);
        return is_long
                   ? error_set(err, ERR_LIMIT, "standard input has more than %zu bytes", max_bytes)
                   : error_set(err, ERR_IO, "cannot read standard input whole");
    }
    *bytes = block;
    return ERR_OK;
}

enum err command_read(const char *path, size_t max_bytes, char **bytes, size_t *size,
                      struct error *err)
{
    return strcmp(path, "-") == 0 ? read_stdin(max_bytes, bytes, size, err)
                                  : file_read(path, max_bytes, bytes, size, err);
}

/* One architecture a line; blank lines are passed over. */
static enum err add_lines(struct list *list, const char *path, const char *bytes, size_t size,
                          struct error *err)
{
    const char *end = bytes + size;
    size_t line = 0;
    enum err rc = ERR_OK;

    for (const char *at = bytes; rc == ERR_OK && at < end;) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *next = newline != NULL ? newline + 1 : end;
        size_t length = (size_t)((newline != NULL ? newline : end) - at);
        line++;
        while (length > 0 &&
               (at[length - 1] == '\r' || at[length - 1] == ' ' || at[length - 1] == '\t')) {
            length--;
        }
        if (length > 0) {
            rc = add_architecture(list, at, length, err);
            if (rc != ERR_OK) {
                error_wrap(err, "%s:%zu", path, line);
            }
        }
        at = next;
    }
    return rc;
}

static enum err add_file(struct list *list, const char *path, struct error *err)
{
    const char *name = strcmp(path, "-") == 0 ? "standard input" : path;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = command_read(path, MAX_ARCHITECTURE_FILE_BYTES, &bytes, &size, err);

    rc = rc != ERR_OK ? rc : add_lines(list, name, bytes, size, err);
    mem_free(bytes);
    return rc;
}

enum err command_architectures(const struct options *options, const struct space *space,
                               bool is_domain_free, int32_t **genes, size_t *n, struct error *err)
{
    struct list list = {.space = space, .is_domain_free = is_domain_free};
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < options->n_words; i++) {
        rc = add_architecture(&list, options->words[i], strlen(options->words[i]), err);
    }
    if (rc == ERR_OK && options->architectures_file != NULL) {
        rc = add_file(&list, options->architectures_file, err);
    }
    if (rc == ERR_OK && list.n == 0) {
        rc = error_set(err, ERR_USAGE,
                       "%s needs architectures: as arguments, or one a line with --architectures "
                       "FILE; %s",
                       command_name(options->command), space->notation);
    }
    if (rc != ERR_OK) {
        mem_free(list.genes);
        return rc;
    }
    *genes = list.genes;
    *n = list.n;
    return ERR_OK;
}

/* The file of the model to use, into `out` (PATH_BYTES). */
static enum err find_model(const struct options *options, const struct space *space, char *out,
                           struct error *err)
{
    if (options->load_path != NULL && options->model != NULL) {
        return error_set(err, ERR_USAGE, "give one of --load_path and --model");
    }
    if (options->load_path != NULL) {
        return path_format(out, err, "%s", options->load_path);
    }
    if (options->model == NULL) {
        return model_store_path(options->root, space, out, err);
    }
    if (model_store_named_path(options->root, space, options->model, out, err) != ERR_OK) {
        error_wrap(err, "--model");
        return ERR_USAGE;
    }
    return ERR_OK;
}

bool command_wants_library(const struct options *options)
{
    return options->library != NULL || options->library_devices != NULL;
}

enum err command_library(const struct options *options, const struct data_tree *tree,
                         const struct space *space, struct device_library *out, struct error *err)
{
    const bool has_directory = options->library != NULL && options->library[0] != '\0';
    struct names only = {0};
    size_t bad = SIZE_MAX;
    enum err rc = ERR_OK;

    if (options->library_devices != NULL &&
        names_split(options->library_devices, &only, err) != ERR_OK) {
        error_wrap(err, "--library_devices");
        return ERR_USAGE;
    }
    rc = device_library_load(tree, space, has_directory ? options->library : NULL,
                             only.n > 0 ? &only : NULL, out, &bad, err);
    if (rc != ERR_OK && bad != SIZE_MAX) {
        error_wrap(err, "--library_devices");
        rc = ERR_USAGE;
    }
    names_close(&only);
    return rc;
}

enum err command_load_model(const struct options *options, const struct space *space,
                            struct model *out, struct error *err)
{
    char path[PATH_BYTES];
    char substitute[PATH_BYTES] = "";
    enum err rc = find_model(options, space, path, err);

    rc = rc != ERR_OK ? rc : model_store_load(path, space, out, substitute, err);
    if (rc == ERR_NOT_FOUND) {
        error_wrap(err, "there is no trained predictor; run dgld train");
    }
    if (rc == ERR_OK && substitute[0] != '\0') {
        (void)fprintf(stderr, "dgld: %s does not exist; using %s\n", path, substitute);
    }
    return rc;
}

enum err command_check_plot(const struct options *options, struct error *err)
{
    static const char ending[] = ".svg";
    const size_t length = options->plot != NULL ? strlen(options->plot) : 0;
    struct result_batch batch = {0};
    enum err rc;

    if (options->plot == NULL) {
        return ERR_OK;
    }
    if (length < sizeof ending ||
        strcasecmp(options->plot + length - (sizeof ending - 1), ending) != 0) {
        return error_set(err, ERR_USAGE,
                         "--plot draws SVG into a file that ends in .svg, not %.200s",
                         options->plot);
    }
    rc = result_stage(&batch, options->plot, "", 0, err);
    result_close(&batch); /* it was for the question whether it can be written */
    return rc == ERR_OK ? ERR_OK : error_wrap(err, "--plot %.200s", options->plot);
}

enum err command_print(struct text *text, struct error *err)
{
    enum err rc =
        text->has_failed ? error_set(err, ERR_NOMEM, "no memory to print the answer") : ERR_OK;

    if (rc == ERR_OK) {
        (void)fwrite(text->bytes, 1, text->size, stdout); /* main() looks at the stream's state */
    }
    text_close(text);
    return rc;
}

enum err command_fit_options(const struct options *options, const struct predictor_kind *preset,
                             const struct predictor_kind **kind, struct fit_options *out,
                             struct error *err)
{
    const bool names_epochs = options->epoch > 0 || options->learning_rate > 0.0;

    if (preset == NULL || names_epochs) {
        preset = names_epochs ? &predictor_kind_mlp : &predictor_kind_cost;
    }
    *kind = options->predictor != NULL ? predictor_kind_find(options->predictor) : preset;
    if (*kind == NULL) {
        return error_set(err, ERR_USAGE, "there is no predictor \"%.60s\"; there are %s",
                         options->predictor, predictor_kind_names());
    }
    if (names_epochs && !(*kind)->has_epochs) {
        (void)fprintf(stderr,
                      "dgld: the predictor %s is not trained in epochs; --epoch and --lr "
                      "have no effect\n",
                      (*kind)->name);
    }
    memset(out, 0, sizeof *out);
    out->seed = (uint64_t)options->seed;
    out->n_epochs = options->epoch > 0 ? (size_t)options->epoch : FIT_DEFAULT_EPOCHS;
    out->learning_rate =
        options->learning_rate > 0.0 ? options->learning_rate : FIT_DEFAULT_LEARNING_RATE;
    out->held_out_share = FIT_DEFAULT_HELD_OUT;
    return ERR_OK;
}

/* Moves past what separates two numbers: blanks with at most one comma among them. */
static const char *skip_separator(const char *at)
{
    at += strspn(at, " \t");
    at += *at == ',' ? 1 : 0;
    return at + strspn(at, " \t");
}

bool command_number(const char *text, double *out)
{
    /* strtod alone would also take "0x2" and blanks */
    const bool is_plain = text[strspn(text, "0123456789.eE+-")] == '\0';
    char *end;

    *out = strtod(text, &end);
    return is_plain && end != text && *end == '\0' && isfinite(*out);
}

enum err command_hardware(const char *text, struct hardware *out, struct error *err)
{
    /* strtod alone would also take "0x2", "inf" and "nan" */
    const bool is_plain = text[strspn(text, "0123456789.eE+-, \t")] == '\0';
    double vector[HARDWARE_N_FIELDS];
    const char *at = text;

    for (size_t i = 0; i < HARDWARE_N_FIELDS; i++) {
        bool is_last = i + 1 == HARDWARE_N_FIELDS;
        char *end;
        const char *next;
        vector[i] = strtod(at, &end);
        next = is_last ? end + strspn(end, " \t") : skip_separator(end);
        if (!is_plain || end == at || (!is_last && next == end) || (is_last && *next != '\0')) {
            return error_set(err, ERR_USAGE,
                             "--hardware takes four numbers F,D,C,M, for example 2,3,1,7.46; not "
                             "\"%.60s\"",
                             text);
        }
        at = next;
    }
    *out = hardware_from_vector(vector);
    if (hardware_validate(out, NULL, err) != ERR_OK) {
        error_wrap(err, "--hardware");
        return ERR_USAGE;
    }
    return ERR_OK;
}

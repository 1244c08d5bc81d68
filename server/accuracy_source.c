#include "server/accuracy_source.h"

#include <math.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "server/accuracy_data.h"
#include "server/path.h"
#include "server/result_tree.h"
#include "server/shipped.h"

/* ---- the file of the result tree ------------------------------------------------------------- */

/* Below the root, into `out` (PATH_BYTES). */
static enum err stored_file(const struct space *space, char *out, struct error *err)
{
    return path_format(out, err, "result/%s/accuracymodel.safetensors", space->name);
}

enum err accuracy_store_path(const char *root, const struct space *space, char *out,
                             struct error *err)
{
    char file[PATH_BYTES];
    enum err rc = stored_file(space, file, err);

    return rc != ERR_OK ? rc : shipped_resolve(root, file, out, err);
}

enum err accuracy_store_load(const char *root, const struct space *space,
                             struct accuracy_model *out, struct error *err)
{
    char path[PATH_BYTES];
    char *bytes = NULL;
    size_t size;
    enum err rc = accuracy_store_path(root, space, path, err);

    rc = rc != ERR_OK ? rc : file_read(path, SAFETENSORS_MAX_FILE_BYTES, &bytes, &size, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = accuracy_model_decode(bytes, size, space, out, err);
    mem_free(bytes);
    return rc == ERR_OK ? rc : error_wrap(err, "%s", path);
}

enum err accuracy_store_save(const char *root, const struct accuracy_model *model, char *path,
                             struct error *err)
{
    struct result_batch batch = {0};
    char file[PATH_BYTES];
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = stored_file(model->predictor->kind->space, file, err);

    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/%s", root, file);
    rc = rc != ERR_OK ? rc : accuracy_model_encode(model, &bytes, &size, err);
    rc = rc != ERR_OK ? rc : result_stage(&batch, path, bytes, size, err);
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    mem_free(bytes);
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* A predictor of the user's networks: the one in the result tree where it learned from the very
 * same, else a new one, which is not kept. */
static enum err open_networks(const struct data_tree *tree, const struct space *space,
                              const char *directory, struct accuracy_model *out, struct error *err)
{
    struct accuracy_data data = {0};
    struct accuracy_model kept = {0};
    enum err rc = accuracy_data_load(space, directory, &data, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (accuracy_store_load(tree->root, space, &kept, NULL) == ERR_OK &&
        strcmp(kept.info.data_sha256, data.sha256) == 0) {
        *out = kept;
    } else {
        accuracy_model_close(&kept);
        rc = accuracy_data_train(&data, 0, out, NULL, err);
        if (rc != ERR_OK) {
            rc = error_wrap(err, "%s", directory);
        }
    }
    accuracy_data_close(&data);
    return rc;
}

static enum err open_stored(const struct data_tree *tree, const struct space *space,
                            struct accuracy_model *out, struct error *err)
{
    enum err rc = accuracy_store_load(tree->root, space, out, err);

    if (rc == ERR_NOT_FOUND && !accuracy_data_has_kind(space)) {
        return error_set(err, rc,
                         "there is nothing to tell the accuracy of %s by: put NAS/net.txt, one "
                         "architecture a row, and NAS/acc.txt, its accuracy in %% in the same row, "
                         "into its data",
                         space->name);
    }
    if (rc == ERR_NOT_FOUND) {
        return error_set(err, rc,
                         "there is nothing to tell the accuracy of %s by: neither NAS/net.txt with "
                         "NAS/acc.txt or NAS/dataxy.txt in its data, nor an accuracy predictor in "
                         "result/%s; train one with: dgld train --target accuracy",
                         space->name, space->name);
    }
    return rc;
}

static void encode_genes(const struct space *space, const int32_t *genes, uint8_t *codes)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        codes[g] = (uint8_t)gene_index(&space->genes[g], genes[g]);
    }
}

static enum err index_by_genes(struct accuracy_source *source, struct error *err)
{
    const struct space *space = source->space;
    const struct dataset *rows = &source->table.architectures;
    struct search_archive *archive = &source->by_genes;
    enum err rc;

    archive->n_genes = space->n_genes;
    rc = search_archive_reserve(archive, rows->n_rows, err);
    for (size_t i = 0; rc == ERR_OK && i < rows->n_rows; i++) {
        uint8_t codes[SPACE_MAX_GENES];
        encode_genes(space, rows->genes + i * space->n_genes, codes);
        if (search_archive_add(archive, codes)) {
            archive->accuracy[archive->n - 1] = source->table.accuracy[i];
        }
    }
    return rc;
}

static enum err index_by_number(struct accuracy_source *source, struct error *err)
{
    const struct space *space = source->space;
    const struct dataset *rows = &source->table.architectures;

    source->by_number = mem_calloc(space->n_architectures, sizeof *source->by_number);
    if (source->by_number == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu accuracies", space->n_architectures);
    }
    for (size_t i = 0; i < space->n_architectures; i++) {
        source->by_number[i] = NAN;
    }
    for (size_t i = 0; i < rows->n_rows; i++) {
        size_t number = space_rank(space, rows->genes + i * space->n_genes);
        source->by_number[number] = source->table.accuracy[i];
    }
    return ERR_OK;
}

/* So that a row is found without going through all of them. */
static enum err index_table(struct accuracy_source *source, struct error *err)
{
    return source->space->n_architectures > 0 ? index_by_number(source, err)
                                              : index_by_genes(source, err);
}

/* The files that a source may be, in the order of ACCURACY_SOURCE_FILES. */
enum { ORACLE_NETWORKS, ORACLE, NETWORKS, STORED };

enum err accuracy_source_files(const struct data_tree *tree, const struct space *space,
                               char paths[ACCURACY_SOURCE_FILES][PATH_BYTES], struct error *err)
{
    char directory[PATH_BYTES];
    enum err rc = data_place_dir(tree, space, DATA_NAS, directory, err);

    rc = rc != ERR_OK ? rc : path_format(paths[ORACLE_NETWORKS], err, "%s/net.txt", directory);
    rc = rc != ERR_OK ? rc : path_format(paths[ORACLE], err, "%s/acc.txt", directory);
    rc = rc != ERR_OK ? rc : path_format(paths[NETWORKS], err, "%s/dataxy.txt", directory);
    return rc != ERR_OK ? rc : accuracy_store_path(tree->root, space, paths[STORED], err);
}

/* Which of them it is. */
static enum err find_source(const struct data_tree *tree, const struct space *space, int *which,
                            char directory[PATH_BYTES], struct error *err)
{
    char paths[ACCURACY_SOURCE_FILES][PATH_BYTES];
    enum err rc = accuracy_source_files(tree, space, paths, err);

    rc = rc != ERR_OK ? rc : data_place_dir(tree, space, DATA_NAS, directory, err);
    if (rc == ERR_OK && path_is_file(paths[ORACLE])) {
        *which = ORACLE;
    } else if (rc == ERR_OK && path_is_file(paths[NETWORKS]) &&
               space == accuracy_kind_genes.space) {
        *which = NETWORKS;
    } else {
        *which = STORED;
    }
    return rc;
}

enum err accuracy_source_open(const struct data_tree *tree, const struct space *space,
                              struct accuracy_source *out, struct error *err)
{
    struct accuracy_source source = {.space = space};
    char directory[PATH_BYTES];
    int which = STORED;
    enum err rc = find_source(tree, space, &which, directory, err);

    if (rc == ERR_OK && which == ORACLE) {
        source.is_table = true;
        rc = data_load_accuracy(tree, space, &source.table, err);
        rc = rc != ERR_OK ? rc : index_table(&source, err);
    } else if (rc == ERR_OK && which == NETWORKS) {
        rc = open_networks(tree, space, directory, &source.model, err);
    } else if (rc == ERR_OK) {
        rc = open_stored(tree, space, &source.model, err);
    }
    if (rc != ERR_OK) {
        accuracy_source_close(&source);
        return rc;
    }
    *out = source;
    return ERR_OK;
}

bool accuracy_source_can_list(const struct accuracy_source *source)
{
    return source->is_table || source->space->n_architectures > 0;
}

enum err accuracy_source_check(const struct data_tree *tree, const struct space *space,
                               bool *can_list, struct error *err)
{
    struct accuracy_source source = {0};
    struct accuracy_data data = {0};
    char directory[PATH_BYTES];
    int which = STORED;
    enum err rc = find_source(tree, space, &which, directory, err);

    if (rc == ERR_OK && which != NETWORKS) {
        rc = accuracy_source_open(tree, space, &source, err);
        *can_list = rc == ERR_OK && accuracy_source_can_list(&source);
        accuracy_source_close(&source);
        return rc;
    }
    *can_list = space->n_architectures > 0;
    rc = rc != ERR_OK ? rc : accuracy_data_load(space, directory, &data, err);
    if (rc == ERR_OK && data.n < data.kind->rows_min) {
        rc = error_set(err, ERR_INVALID, "dataxy.txt has %zu networks; the predictor %s takes %zu",
                       data.n, data.kind->name, data.kind->rows_min);
    }
    accuracy_data_close(&data);
    return rc;
}

void accuracy_source_close(struct accuracy_source *source)
{
    accuracy_table_close(&source->table);
    mem_free(source->by_number);
    search_archive_close(&source->by_genes);
    accuracy_model_close(&source->model);
    memset(source, 0, sizeof *source);
}

/* ---- accuracies ------------------------------------------------------------------------------ */

static enum err list_table(const struct accuracy_table *table, struct accuracy_table *out,
                           struct error *err)
{
    const size_t n = table->architectures.n_rows;
    const size_t n_genes = table->architectures.space->n_genes;
    struct accuracy_table copy = {
        .architectures = {.space = table->architectures.space,
                          .n_rows = n,
                          .genes = mem_calloc(n, n_genes * sizeof(int32_t))},
        .accuracy = mem_calloc(n, sizeof *copy.accuracy),
    };

    if (copy.architectures.genes == NULL || copy.accuracy == NULL) {
        accuracy_table_close(&copy);
        return error_set(err, ERR_NOMEM, "no memory for %zu architectures", n);
    }
    memcpy(copy.architectures.genes, table->architectures.genes, n * n_genes * sizeof(int32_t));
    memcpy(copy.accuracy, table->accuracy, n * sizeof *copy.accuracy);
    *out = copy;
    return ERR_OK;
}

enum err accuracy_source_list(const struct accuracy_source *source, struct accuracy_table *out,
                              struct error *err)
{
    const struct space *space = source->space;
    const size_t n = space->n_architectures;
    struct accuracy_table all = {
        .architectures = {.space = space, .n_rows = n}
    };
    enum err rc;

    if (source->is_table) {
        return list_table(&source->table, out, err);
    }
    if (n == 0) {
        return error_set(err, ERR_INVALID, "%s has too many architectures to look at all",
                         space->name);
    }
    all.architectures.genes = mem_calloc(n, space->n_genes * sizeof *all.architectures.genes);
    all.accuracy = mem_calloc(n, sizeof *all.accuracy);
    if (all.architectures.genes == NULL || all.accuracy == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for %zu architectures", n);
    } else {
        for (size_t i = 0; i < n; i++) {
            space_unrank(space, i, all.architectures.genes + i * space->n_genes);
        }
        rc = accuracy_predict(source->model.predictor, all.architectures.genes, n, all.accuracy,
                              err);
    }
    if (rc != ERR_OK) {
        accuracy_table_close(&all);
        return rc;
    }
    *out = all;
    return ERR_OK;
}

static double look_up(const struct accuracy_source *source, const int32_t *genes)
{
    const struct search_archive *archive = &source->by_genes;
    uint8_t codes[SPACE_MAX_GENES];

    if (source->by_number != NULL) {
        return source->by_number[space_rank(source->space, genes)];
    }
    encode_genes(source->space, genes, codes);
    return search_archive_has(archive, codes)
               ? archive->accuracy[search_archive_find(archive, codes)]
               : NAN;
}

enum err accuracy_source_predict(const struct accuracy_source *source, const int32_t *genes,
                                 size_t n, double *accuracy, struct error *err)
{
    if (!source->is_table) {
        return accuracy_predict(source->model.predictor, genes, n, accuracy, err);
    }
    for (size_t i = 0; i < n; i++) {
        accuracy[i] = look_up(source, genes + i * source->space->n_genes);
    }
    return ERR_OK;
}

void accuracy_source_put_json(const struct accuracy_source *source, struct text *out)
{
    if (source->is_table) {
        text_printf(out, "{\"source\":\"table\",\"n_rows\":%zu}",
                    source->table.architectures.n_rows);
        return;
    }
    text_puts(out, "{\"source\":\"model\",");
    accuracy_model_put_json(&source->model, out);
    text_puts(out, "}");
}

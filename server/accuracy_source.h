/* Where a search gets accuracies from. In this order:
 *
 *   1. the oracle table NAS/net.txt and NAS/acc.txt of the data path: only its rows can be searched;
 *   2. networks of the user's own, NAS/dataxy.txt: a predictor trained on them, kept or made now;
 *   3. the trained or shipped predictor result/<space>/accuracymodel.safetensors.
 *
 * Immutable once opened, so any thread may use one; its creator ends it. */
#ifndef DGLD_SERVER_ACCURACY_SOURCE_H
#define DGLD_SERVER_ACCURACY_SOURCE_H

#include <stdbool.h>

#include "core/error.h"
#include "core/search_archive.h"
#include "proto/accuracy_file.h"
#include "proto/text.h"
#include "server/data_tree.h"

struct accuracy_source {
    const struct space *space;
    bool is_table;
    struct accuracy_table table; /* of the oracle; empty otherwise */
    double *by_number;           /* (n_architectures): the same where the space can be numbered, NaN
                                    where the table has no row; else NULL. Owned */
    struct search_archive by_genes; /* the same where it cannot be numbered */
    struct accuracy_model model;    /* the predictor; empty otherwise */
};

/* ERR_NOT_FOUND where there is none of them, with what to do; ERR_INVALID where one is malformed:
 * it is not passed over. */
enum err accuracy_source_open(const struct data_tree *tree, const struct space *space,
                              struct accuracy_source *out, struct error *err);

/* Whether that would succeed, as far as it can be told without training anything; `can_list` receives
 * what accuracy_source_can_list() would say. */
enum err accuracy_source_check(const struct data_tree *tree, const struct space *space,
                               bool *can_list, struct error *err);

/* Whether accuracy_source_list() can list them. */
bool accuracy_source_can_list(const struct accuracy_source *source);

/* What an opened source depends on: it holds for as long as these look as they did. */
enum { ACCURACY_SOURCE_FILES = 4 };
enum err accuracy_source_files(const struct data_tree *tree, const struct space *space,
                               char paths[ACCURACY_SOURCE_FILES][PATH_BYTES], struct error *err);

/* Accepts a zeroed struct. */
void accuracy_source_close(struct accuracy_source *source);

/* All architectures that can be searched, with their accuracy: the table's rows, or every one of a
 * space that can be numbered. ERR_INVALID where there are too many to list. The caller ends `out`
 * with accuracy_table_close(). */
enum err accuracy_source_list(const struct accuracy_source *source, struct accuracy_table *out,
                              struct error *err);

/* Accuracy of any architectures, in percent: genes (n, n_genes) are valid. One that the table does
 * not hold has NaN. */
enum err accuracy_source_predict(const struct accuracy_source *source, const int32_t *genes,
                                 size_t n, double *accuracy, struct error *err);

/* Appends a JSON object: {"source":"table","n_rows":...}, or {"source":"model","predictor":...,
 * "version":..., "kendall":..., ...}. */
void accuracy_source_put_json(const struct accuracy_source *source, struct text *out);

/* The predictor's file, into `out` (PATH_BYTES): <root>/result/<space>/accuracymodel.safetensors, or
 * the shipped one where that is absent. It is saved to the root. */
enum err accuracy_store_path(const char *root, const struct space *space, char *out,
                             struct error *err);
enum err accuracy_store_load(const char *root, const struct space *space,
                             struct accuracy_model *out, struct error *err);
/* Writes the model there, whole or not at all; `path` (PATH_BYTES) receives where. */
enum err accuracy_store_save(const char *root, const struct accuracy_model *model, char *path,
                             struct error *err);

#endif

/* Networks with their accuracy, from the files that accuracy predictors learn from, and training.
 *
 *   nasbench201   net.txt and acc.txt             a user's own, or the reference's oracle
 *   nasbench201   net.txt and acc_cifar100.txt    the whole benchmark
 *   fbnetv3       dataxy.txt                      28 genes, top-1, top-5 a row: a user's own
 *   fbnetv3       fbnetv3_published.txt           the published networks, at several resolutions
 *
 * Of a directory, the first file in this order that exists counts. Every row is checked: errors
 * name file, line and reason. Reentrant; structs belong to their creator. */
#ifndef DGLD_SERVER_ACCURACY_DATA_H
#define DGLD_SERVER_ACCURACY_DATA_H

#include <stdbool.h>

#include "core/accuracy.h"
#include "core/error.h"
#include "proto/accuracy_file.h"

struct accuracy_data {
    const struct accuracy_kind *kind; /* what learns from it */
    const char *source, *dataset;     /* as in struct accuracy_info; static */
    size_t n;
    int32_t *genes;     /* (n, n_genes), owned; of the published networks countable, else valid */
    double *accuracy;   /* (n), percent, owned */
    double *resolution; /* (n), owned; NULL where all have that of the space */
    char sha256[DIGEST_HEX_BYTES]; /* of all that */
};

/* Whether there is an accuracy predictor that could learn the space: of a declared one there is none. */
bool accuracy_data_has_kind(const struct space *space);

/* ERR_NOT_FOUND where the directory holds none of the space's files, with their names; ERR_INVALID
 * where accuracy_data_has_kind() says no. */
enum err accuracy_data_load(const struct space *space, const char *directory,
                            struct accuracy_data *out, struct error *err);

/* Accepts a zeroed struct. */
void accuracy_data_close(struct accuracy_data *data);

/* Trains the kind that the data are for. Errors of accuracy_train(). The caller ends the model with
 * accuracy_model_close(), and where `report` is not NULL that with accuracy_report_close(). */
enum err accuracy_data_train(const struct accuracy_data *data, uint64_t seed,
                             struct accuracy_model *out, struct accuracy_report *report,
                             struct error *err);

#endif

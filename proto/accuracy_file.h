/* A trained accuracy predictor with its papers, as one safetensors file.
 *
 * A struct accuracy_model is immutable once made; its owner ends it with accuracy_model_close().
 * Thread-safe. */
#ifndef DGLD_PROTO_ACCURACY_FILE_H
#define DGLD_PROTO_ACCURACY_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "core/accuracy.h"
#include "core/error.h"
#include "proto/digest.h"
#include "proto/model_meta.h"
#include "proto/text.h"

struct accuracy_info {
    char version[MODEL_VERSION_BYTES];   /* "cells-" and the first digits of its weights' digest */
    char learned_from[MODEL_TEXT_BYTES]; /* "benchmark": server/accuracy_data.h */
    char dataset[MODEL_TEXT_BYTES];      /* on which accuracy is meant: "cifar100" */
    size_t n_rows;                       /* networks it learned from */
    size_t n_distrusted;                 /* rows of the data that were left out beside those */
    char data_sha256[DIGEST_HEX_BYTES];
    uint64_t seed;
    char validation[MODEL_TEXT_BYTES];  /* "10-fold", "5-split", or "none" */
    size_t n_train;                     /* rows that each split trained on; 0 without splits */
    size_t n_held_out;                  /* rows that were predicted unseen; 0 for "none" */
    double kendall, rmse;               /* by that validation, rmse in percent; NaN for "none" */
    double kendall_fitted, rmse_fitted; /* over the rows it learned from; NaN where not known */
};

struct accuracy_model {
    struct accuracy_predictor *predictor; /* owned */
    struct accuracy_info info;
};

/* Names a predictor after its weights: the same weights give the same version. */
void accuracy_version(const struct accuracy_predictor *predictor,
                      char version[MODEL_VERSION_BYTES]);

/* Writes the model into a fresh block (mem_free() it); the same model gives the same bytes.
 * ERR_NOMEM. */
enum err accuracy_model_encode(const struct accuracy_model *model, char **bytes, size_t *size,
                               struct error *err);

/* Reads a file's bytes, trusting nothing; the model must be for `space`, and its version that of its
 * weights. It keeps nothing of the bytes. Errors of safetensors_parse(); ERR_INVALID names the key of
 * the metadata or the tensor. */
enum err accuracy_model_decode(const char *bytes, size_t size, const struct space *space,
                               struct accuracy_model *out, struct error *err);

/* Appends what is known of the model as members of a JSON object, without its braces. */
void accuracy_model_put_json(const struct accuracy_model *model, struct text *out);

/* Accepts a zeroed struct. */
void accuracy_model_close(struct accuracy_model *model);

#endif

/* A trained predictor with its papers, as one safetensors file.
 *
 * A struct model is immutable once made; its owner ends it with model_close(). Thread-safe. */
#ifndef DGLD_PROTO_MODEL_FILE_H
#define DGLD_PROTO_MODEL_FILE_H

#include <stddef.h>
#include <stdint.h>

#include "core/calibration_prior.h"
#include "core/error.h"
#include "core/library_evaluate.h"
#include "core/predictor.h"
#include "core/prior_rate.h"
#include "proto/digest.h"
#include "proto/model_meta.h"

enum {
    MODEL_NAME_BYTES = 65,
    MODEL_MAX_DEVICES = 256,
    MODEL_CONDITION_BYTES = 64,
};

/* Under what the latencies were measured that a model predicts. */
struct model_conditions {
    char input[MODEL_CONDITION_BYTES];   /* "1x3x32x32"; "": as its space has it */
    int batch;                           /* 0: likewise */
    char runtime[MODEL_CONDITION_BYTES]; /* "TFLite"; "": nobody said */
};

/* The library of devices that a model's prior was learned from. */
struct model_library {
    char **devices;                   /* (n_devices), owned; none: there is no prior */
    size_t n_devices;                 /* at most LIBRARY_MAX_DEVICES */
    size_t n_rows;                    /* measurements of them all */
    double spearman[LIBRARY_N_SIZES]; /* mean over the devices, each left out; NaN: unknown */
};

struct model_info {
    char version[MODEL_VERSION_BYTES]; /* "cost-" and the first digits of its weights' digest */
    char source[MODEL_TEXT_BYTES];     /* what it learned from: "a.txt" or "latency" */
    size_t n_rows;                     /* architectures in the training data */
    char data_sha256[DIGEST_HEX_BYTES];
    uint64_t seed;
    char validation[MODEL_TEXT_BYTES]; /* "10-fold", "split", or "none" */
    double r_held_out;                 /* R(A) by that validation; NaN for "none" */
    char **devices;                    /* (n_devices), owned: whose latencies it learned from */
    size_t n_devices;
    struct model_conditions conditions;
    struct model_library library;
};

struct model {
    struct predictor *predictor;     /* owned */
    struct calibration_prior *prior; /* owned; NULL: it learned from no library */
    struct prior_rate_table *rates; /* owned; of the prior, once model_prepare() made it, or NULL */
    struct model_info info;
};

/* The input, batch size and runtime (NULL: nobody said) that a model is for: its own where it has
 * them, else those of the space. `input` borrows from both. */
struct conditions_view {
    const char *input;
    int batch;
    const char *runtime;
};

struct conditions_view model_conditions_of(const struct space *space,
                                           const struct model_info *info);

/* A text of conditions: 1 to 63 bytes of UTF-8 without control characters. ERR_INVALID. */
enum err model_condition_validate(const char *text, struct error *err);

/* Copies the names into info->devices. ERR_NOMEM. */
enum err model_info_set_devices(struct model_info *info, char *const *names, size_t n,
                                struct error *err);

/* Copies names and count into info->library. ERR_NOMEM. */
enum err model_info_set_library(struct model_info *info, char *const *names, size_t n,
                                size_t n_rows, struct error *err);

/* Copies everything. ERR_NOMEM. */
enum err model_info_copy(const struct model_info *from, struct model_info *to, struct error *err);

/* Names a predictor after its weights: the same weights give the same version. */
void model_version(const struct predictor *predictor, char version[MODEL_VERSION_BYTES]);

/* The same of a model: what it learned from a library counts as weights. */
void model_version_whole(const struct model *model, char version[MODEL_VERSION_BYTES]);

/* An R as a file keeps it, to six decimals: what was just trained is compared by this with what comes
 * from a file. NaN stays so. */
double model_kept_r(double r);

/* Names of models and versions become file names: 1 to 64 of a-z, 0-9, dot, dash and underscore,
 * not beginning with a dot. ERR_INVALID. */
enum err model_name_validate(const char *name, struct error *err);

/* Writes the model into a fresh block (mem_free() it); the same model gives the same bytes.
 * ERR_NOMEM. */
enum err model_encode(const struct model *model, char **bytes, size_t *size, struct error *err);

/* Reads a file's bytes, trusting nothing; the model must be for `space`, and its version that of its
 * weights. It keeps nothing of the bytes. Errors of safetensors_parse(); ERR_INVALID names the key of
 * the metadata or the tensor. */
enum err model_decode(const char *bytes, size_t size, const struct space *space, struct model *out,
                      struct error *err);

/* What the header of a file of `file_bytes` says about its model, without its weights: `bytes`
 * (size) as of safetensors_parse_header(). Fills `info`, to be ended by model_info_close(), and the
 * kind. The file may yet be refused by model_decode(); errors as of that. */
enum err model_peek(const char *bytes, size_t size, size_t file_bytes, const struct space *space,
                    struct model_info *info, const struct predictor_kind **kind, struct error *err);

/* Accepts a zeroed struct. */
void model_info_close(struct model_info *info);

/* Readies a model for being asked often, who shares it with nobody yet: what its library says is
 * computed where the space can be numbered. Errors of prior_rate_table_create(). */
enum err model_prepare(struct model *model, struct error *err);

/* Accepts a zeroed struct. */
void model_close(struct model *model);

#endif

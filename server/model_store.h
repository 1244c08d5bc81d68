/* The model files of the result tree. Thread-safe: nothing is cached. */
#ifndef DGLD_SERVER_MODEL_STORE_H
#define DGLD_SERVER_MODEL_STORE_H

#include "core/error.h"
#include "proto/model_file.h"
#include "server/path.h"

/* <root>/result/<space>/pretrainmodel.safetensors, the predictor that is served; into `out`. */
enum err model_store_path(const char *root, const struct space *space, char *out,
                          struct error *err);

/* The file of a model by name, into `out`: "default" is the served one, another name is
 * pretrainmodel-<name>.safetensors, or the version models/<name>.safetensors. ERR_INVALID for a
 * name that is none; whether the file exists is not looked at, but for choosing between the two. */
enum err model_store_named_path(const char *root, const struct space *space, const char *name,
                                char *out, struct error *err);

/* Loads a model file. A `path` that ends in .pt or .pth and does not exist stands for its sibling
 * .safetensors: then `substitute` (PATH_BYTES; may be NULL) receives the sibling's path, else "".
 */
enum err model_store_load(const char *path, const struct space *space, struct model *out,
                          char *substitute, struct error *err);

/* Writes the model under its name (NULL: as the served one of its space), whole or not at all; the
 * one that it replaces is kept under models/. `path` (PATH_BYTES) receives where it was written. */
enum err model_store_save(const char *root, const char *name, const struct model *model, char *path,
                          struct error *err);

#endif

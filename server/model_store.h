/* The model files of the result tree. Thread-safe: nothing is cached.
 *
 *   result/<space>/pretrainmodel.safetensors         the served model, by the name "default"
 *   result/<space>/pretrainmodel-<name>.safetensors  named ones
 *   result/<space>/models/<version>.safetensors      what was served or named so before
 *
 * What the root lacks of the first two is read from the shipped files (server/shipped.h); everything
 * is written to the root. The shipped default has the name "shipped" besides, by which it can be asked
 * for and activated where the root has one of its own, unless a model of the root has that name.
 *
 * Two writers of one space do not damage a file, but which of them wins is then open: the service
 * activates under a lock of its own. */
#ifndef DGLD_SERVER_MODEL_STORE_H
#define DGLD_SERVER_MODEL_STORE_H

#include "core/error.h"
#include "proto/model_file.h"
#include "server/path.h"

#define MODEL_STORE_SHIPPED "shipped" /* the name of the shipped default */

/* The file of the predictor that is served, into `out`: <root>/result/<space>/
 * pretrainmodel.safetensors, or the shipped one where that is absent. */
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

/* Loads a model by name or version. Errors of model_list_find_path() and model_store_load(). */
enum err model_store_load_named(const char *root, const struct space *space, const char *name,
                                struct model *out, struct error *err);

/* Writes the model under its name (NULL: as the served one of its space), whole or not at all; the
 * one that it replaces is kept under models/. `path` (PATH_BYTES) receives where it was written. */
enum err model_store_save(const char *root, const char *name, const struct model *model, char *path,
                          struct error *err);

/* Makes a model, by name or version, the served one of its space: loads and checks its file, then puts
 * a copy in the served one's place in the root, whole or not at all; the one that it replaces is kept
 * under models/. The copy stays what is served when a newer program ships another. `out` receives the
 * model. Errors of model_list_find_path() and model_store_load(), where everything stays as it was;
 * ERR_IO and ERR_NOMEM likewise. */
enum err model_store_activate(const char *root, const struct space *space, const char *name,
                              struct model *out, struct error *err);

#endif

#include "server/model_store.h"

#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/safetensors.h"
#include "server/result_tree.h"

enum err model_store_path(const char *root, const struct space *space, char *out, struct error *err)
{
    return path_format(out, err, "%s/result/%s/pretrainmodel.safetensors", root, space->name);
}

enum err model_store_named_path(const char *root, const struct space *space, const char *name,
                                char *out, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = model_name_validate(name, err);

    if (rc != ERR_OK || strcmp(name, "default") == 0) {
        return rc != ERR_OK ? rc : model_store_path(root, space, out, err);
    }
    rc = path_format(path, err, "%s/result/%s/models/%s.safetensors", root, space->name, name);
    if (rc == ERR_OK && path_is_file(path)) {
        return path_format(out, err, "%s", path);
    }
    return rc != ERR_OK ? rc
                        : path_format(out, err, "%s/result/%s/pretrainmodel-%s.safetensors", root,
                                      space->name, name);
}

/* Whether `path` is one of PyTorch's that does not exist; then `out` is its sibling. */
static bool find_substitute(const char *path, char *out)
{
    static const char *const endings[] = {".pt", ".pth"};
    size_t length = strlen(path);

    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++) {
        size_t ending = strlen(endings[i]);
        if (length > ending && strcmp(path + length - ending, endings[i]) == 0 &&
            !path_is_file(path)) {
            return path_format(out, NULL, "%.*s.safetensors", (int)(length - ending), path) ==
                   ERR_OK;
        }
    }
    return false;
}

enum err model_store_load(const char *path, const struct space *space, struct model *out,
                          char *substitute, struct error *err)
{
    char sibling[PATH_BYTES] = "";
    char *bytes;
    size_t size;
    enum err rc;

    if (find_substitute(path, sibling)) {
        path = sibling;
    }
    if (substitute != NULL) {
        (void)snprintf(substitute, PATH_BYTES, "%s", sibling);
    }
    rc = file_read(path, SAFETENSORS_MAX_FILE_BYTES, &bytes, &size, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = model_decode(bytes, size, space, out, err);
    mem_free(bytes);
    if (rc != ERR_OK) {
        error_wrap(err, "%s", path);
    }
    return rc;
}

/* Stages a copy of the served file under the name of its version, where there is one that can be
 * read and that is another. */
static enum err stage_previous(const char *root, const struct model *model, const char *path,
                               struct result_batch *batch, struct error *err)
{
    const struct space *space = model->predictor->space;
    struct model previous = {0};
    char kept[PATH_BYTES];
    char *bytes;
    size_t size;
    enum err rc = file_read(path, SAFETENSORS_MAX_FILE_BYTES, &bytes, &size, NULL);

    if (rc != ERR_OK) {
        return ERR_OK; /* nothing is replaced */
    }
    if (model_decode(bytes, size, space, &previous, NULL) == ERR_OK &&
        strcmp(previous.info.version, model->info.version) != 0) {
        rc = path_format(kept, err, "%s/result/%s/models/%s.safetensors", root, space->name,
                         previous.info.version);
        if (rc == ERR_OK && !path_is_file(kept)) {
            rc = result_stage(batch, kept, bytes, size, err);
        }
    }
    model_close(&previous);
    mem_free(bytes);
    return rc;
}

enum err model_store_save(const char *root, const char *name, const struct model *model, char *path,
                          struct error *err)
{
    struct result_batch batch = {0};
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = model_store_named_path(root, model->predictor->space,
                                         name != NULL ? name : "default", path, err);

    if (rc == ERR_OK) {
        rc = model_encode(model, &bytes, &size, err);
    }
    if (rc == ERR_OK) {
        rc = stage_previous(root, model, path, &batch, err);
    }
    if (rc == ERR_OK) {
        rc = result_stage(&batch, path, bytes, size, err);
    }
    if (rc == ERR_OK) {
        rc = result_commit(&batch, err);
    }
    result_close(&batch);
    mem_free(bytes);
    return rc;
}

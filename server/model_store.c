#include "server/model_store.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/digest.h"
#include "proto/safetensors.h"
#include "server/model_list.h"
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

/* Where the bytes of a replaced file are kept: under its version, or where that name holds other
 * bytes already, or the file cannot be read as a model, under a name with its digest. */
static enum err kept_path(const char *root, const struct space *space, const char *bytes,
                          size_t size, char *out, struct error *err)
{
    const struct digest_part part = {bytes, size};
    struct model previous = {0};
    char digest[DIGEST_HEX_BYTES];
    char name[MODEL_VERSION_BYTES + 16] = "unreadable";
    char *kept = NULL;
    size_t kept_size;
    bool is_other = true;
    enum err rc;

    if (model_decode(bytes, size, space, &previous, NULL) == ERR_OK) {
        (void)snprintf(name, sizeof name, "%s", previous.info.version);
        model_close(&previous);
        rc = path_format(out, err, "%s/result/%s/models/%s.safetensors", root, space->name, name);
        if (rc != ERR_OK) {
            return rc;
        }
        if (file_read(out, SAFETENSORS_MAX_FILE_BYTES, &kept, &kept_size, NULL) == ERR_OK) {
            is_other = kept_size != size || memcmp(kept, bytes, size) != 0;
            mem_free(kept);
        } else {
            is_other = path_is_file(out);
        }
        if (!is_other || !path_is_file(out)) {
            return ERR_OK;
        }
    }
    digest_hex(&part, 1, digest);
    return path_format(out, err, "%s/result/%s/models/%s-%.12s.safetensors", root, space->name,
                       name, digest);
}

/* Stages a copy of the file that will be replaced, where there is one and it holds other bytes. */
static enum err stage_previous(const char *root, const struct space *space, const char *path,
                               const char *new_bytes, size_t new_size, struct result_batch *batch,
                               struct error *err)
{
    char kept[PATH_BYTES];
    char *bytes;
    size_t size;
    enum err rc = file_read(path, SAFETENSORS_MAX_FILE_BYTES, &bytes, &size, err);

    if (rc == ERR_NOT_FOUND) {
        return ERR_OK; /* nothing is replaced */
    }
    if (rc != ERR_OK) {
        return rc;
    }
    if (size != new_size || memcmp(bytes, new_bytes, size) != 0) {
        rc = kept_path(root, space, bytes, size, kept, err);
        if (rc == ERR_OK && !path_is_file(kept)) {
            rc = result_stage(batch, kept, bytes, size, err);
        }
    }
    mem_free(bytes);
    return rc;
}

/* Where a model is written: the served one's place, or that of its name. */
static enum err save_path(const char *root, const struct space *space, const char *name, char *out,
                          struct error *err)
{
    enum err rc = name != NULL ? model_name_validate(name, err) : ERR_OK;

    if (rc != ERR_OK || name == NULL || strcmp(name, "default") == 0) {
        return rc != ERR_OK ? rc : model_store_path(root, space, out, err);
    }
    return path_format(out, err, "%s/result/%s/pretrainmodel-%s.safetensors", root, space->name,
                       name);
}

/* Puts the bytes of a model file in a place, and keeps what was there. */
static enum err replace_file(const char *root, const struct space *space, const char *path,
                             const char *bytes, size_t size, struct error *err)
{
    struct result_batch batch = {0};
    enum err rc = stage_previous(root, space, path, bytes, size, &batch, err);

    rc = rc != ERR_OK ? rc : result_stage(&batch, path, bytes, size, err);
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    return rc;
}

enum err model_store_save(const char *root, const char *name, const struct model *model, char *path,
                          struct error *err)
{
    const struct space *space = model->predictor->space;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = save_path(root, space, name, path, err);

    rc = rc != ERR_OK ? rc : model_encode(model, &bytes, &size, err);
    rc = rc != ERR_OK ? rc : replace_file(root, space, path, bytes, size, err);
    mem_free(bytes);
    return rc;
}

enum err model_store_load_named(const char *root, const struct space *space, const char *name,
                                struct model *out, struct error *err)
{
    char path[PATH_BYTES];
    bool is_by_version = false;
    enum err rc = model_list_find_path(root, space, name, path, &is_by_version, err);

    rc = rc != ERR_OK ? rc : model_store_load(path, space, out, NULL, err);
    if (rc == ERR_OK && is_by_version && model_list_confirm(out, name, err) != ERR_OK) {
        model_close(out);
        rc = err != NULL ? err->code : ERR_NOT_FOUND;
    }
    return rc;
}

enum err model_store_activate(const char *root, const struct space *space, const char *name,
                              struct model *out, struct error *err)
{
    struct model model = {0};
    char from[PATH_BYTES];
    char to[PATH_BYTES];
    bool is_by_version = false;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = model_list_find_path(root, space, name, from, &is_by_version, err);

    rc = rc != ERR_OK ? rc : model_store_path(root, space, to, err);
    rc = rc != ERR_OK ? rc : file_read(from, SAFETENSORS_MAX_FILE_BYTES, &bytes, &size, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = model_decode(bytes, size, space, &model, err);
    if (rc != ERR_OK) {
        error_wrap(err, "%s", from);
    } else if (is_by_version) {
        rc = model_list_confirm(&model, name, err);
    }
    if (rc == ERR_OK && strcmp(from, to) != 0) {
        rc = replace_file(root, space, to, bytes, size, err);
    }
    mem_free(bytes);
    if (rc != ERR_OK) {
        model_close(&model);
        return rc;
    }
    *out = model;
    return ERR_OK;
}

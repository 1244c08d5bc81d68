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
#include "server/shipped.h"

/* The file of a model below a root, into `out` (PATH_BYTES): the served one's, or for another name
 * than "default" that of the name. */
static enum err file_of(const struct space *space, const char *name, char *out, struct error *err)
{
    return strcmp(name, "default") == 0
               ? path_format(out, err, "result/%s/pretrainmodel.safetensors", space->name)
               : path_format(out, err, "result/%s/pretrainmodel-%s.safetensors", space->name, name);
}

enum err model_store_path(const char *root, const struct space *space, char *out, struct error *err)
{
    char file[PATH_BYTES];
    enum err rc = file_of(space, "default", file, err);

    return rc != ERR_OK ? rc : shipped_resolve(root, file, out, err);
}

/* Leads to the shipped default where nothing stands at the path `out` and there is one. */
static enum err find_shipped_default(const struct space *space, char *out, struct error *err)
{
    char file[PATH_BYTES];
    char path[PATH_BYTES];
    enum err rc = file_of(space, "default", file, err);

    if (rc != ERR_OK || shipped_directory()[0] == '\0' || path_is_there(out)) {
        return rc;
    }
    rc = path_format(path, err, "%s/%s", shipped_directory(), file);
    return rc == ERR_OK && path_is_file(path) ? path_format(out, err, "%s", path) : rc;
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
    rc = rc != ERR_OK ? rc : file_of(space, name, path, err);
    rc = rc != ERR_OK ? rc : shipped_resolve(root, path, out, err);
    return rc == ERR_OK && strcmp(name, MODEL_STORE_SHIPPED) == 0
               ? find_shipped_default(space, out, err)
               : rc;
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

/* Puts the bytes of a model file at `file` below the root, and keeps what it takes the place of:
 * the root's own file, or the shipped one that was read until now. `path` (PATH_BYTES) receives where
 * it was written. */
static enum err replace_file(const char *root, const struct space *space, const char *file,
                             const char *bytes, size_t size, char *path, struct error *err)
{
    struct result_batch batch = {0};
    char previous[PATH_BYTES];
    enum err rc = path_format(path, err, "%s/%s", root, file);

    rc = rc != ERR_OK ? rc : shipped_resolve(root, file, previous, err);
    rc = rc != ERR_OK ? rc : stage_previous(root, space, previous, bytes, size, &batch, err);
    rc = rc != ERR_OK ? rc : result_stage(&batch, path, bytes, size, err);
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    return rc;
}

enum err model_store_save(const char *root, const char *name, const struct model *model, char *path,
                          struct error *err)
{
    const struct space *space = model->predictor->space;
    char file[PATH_BYTES];
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = name != NULL ? model_name_validate(name, err) : ERR_OK;

    rc = rc != ERR_OK ? rc : file_of(space, name != NULL ? name : "default", file, err);
    rc = rc != ERR_OK ? rc : model_encode(model, &bytes, &size, err);
    rc = rc != ERR_OK ? rc : replace_file(root, space, file, bytes, size, path, err);
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
    char file[PATH_BYTES];
    char to[PATH_BYTES];
    bool is_by_version = false;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = model_list_find_path(root, space, name, from, &is_by_version, err);

    rc = rc != ERR_OK ? rc : file_of(space, "default", file, err);
    rc = rc != ERR_OK ? rc : path_format(to, err, "%s/%s", root, file);
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
        rc = replace_file(root, space, file, bytes, size, to, err);
    }
    mem_free(bytes);
    if (rc != ERR_OK) {
        model_close(&model);
        return rc;
    }
    *out = model;
    return ERR_OK;
}

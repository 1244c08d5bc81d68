#include "proto/model_file.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/device.h"
#include "core/mem.h"
#include "core/space_declared.h"
#include "proto/model_meta.h"
#include "proto/safetensors.h"
#include "proto/text.h"

/* Value of the metadata key "format"; changes when older programs could misread a file. */
static const char format_name[] = "dgld-predictor-1";

void model_version(const struct predictor *predictor, char version[MODEL_VERSION_BYTES])
{
    struct tensor tensors[PREDICTOR_MAX_TENSORS];
    size_t n = predictor->kind->weights(predictor, tensors);

    model_meta_version(predictor->kind->name, tensors, n, version);
}

enum err model_name_validate(const char *name, struct error *err)
{
    size_t length = strlen(name);

    if (length == 0 || length >= MODEL_NAME_BYTES || name[0] == '.' ||
        strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789.-_") != length) {
        return error_set(
            err, ERR_INVALID,
            "a model's name has 1 to %d characters of a-z, 0-9, dot, dash and underscore, "
            "and does not begin with a dot",
            MODEL_NAME_BYTES - 1);
    }
    return ERR_OK;
}

static void free_devices(struct model_info *info)
{
    for (size_t i = 0; i < info->n_devices; i++) {
        mem_free(info->devices[i]);
    }
    mem_free(info->devices);
    info->devices = NULL;
    info->n_devices = 0;
}

enum err model_info_set_devices(struct model_info *info, char *const *names, size_t n,
                                struct error *err)
{
    free_devices(info);
    info->devices = mem_calloc(n, sizeof *info->devices);
    for (size_t i = 0; info->devices != NULL && i < n; i++) {
        info->devices[i] = mem_strdup(names[i]);
        if (info->devices[i] == NULL) {
            break;
        }
        info->n_devices++;
    }
    if (info->devices == NULL || info->n_devices < n) {
        free_devices(info);
        return error_set(err, ERR_NOMEM, "no memory for %zu device names", n);
    }
    return ERR_OK;
}

/* The list of devices as JSON text; NULL for want of memory. The caller mem_free()s it. */
static char *encode_devices(const struct model_info *info)
{
    struct text text = {0};
    size_t size;

    text_puts(&text, "[");
    for (size_t i = 0; i < info->n_devices; i++) {
        text_puts(&text, i > 0 ? "," : "");
        text_put_json_string(&text, info->devices[i]);
    }
    text_puts(&text, "]");
    return text_take(&text, &size);
}

enum err model_encode(const struct model *model, char **bytes, size_t *size, struct error *err)
{
    const struct model_info *info = &model->info;
    struct tensor tensors[PREDICTOR_MAX_TENSORS];
    size_t n_tensors = model->predictor->kind->weights(model->predictor, tensors);
    char *devices = encode_devices(info);
    char n_rows[24];
    char seed[24];
    char r[32];
    const struct space_declaration *declaration = model->predictor->space->declaration;
    const char *digest = declaration != NULL ? declaration->digest : "";
    const struct safetensors_meta meta[] = {
        {(char *)"format",        (char *)format_name                  },
        {(char *)"kind",          (char *)model->predictor->kind->name },
        {(char *)"search_space",  (char *)model->predictor->space->name},
        {(char *)"version",       (char *)info->version                },
        {(char *)"source",        (char *)info->source                 },
        {(char *)"train_devices", devices                              },
        {(char *)"n_rows",        n_rows                               },
        {(char *)"data_sha256",   (char *)info->data_sha256            },
        {(char *)"seed",          seed                                 },
        {(char *)"validation",    (char *)info->validation             },
        {(char *)"r_held_out",    r                                    },
        {(char *)"space_sha256",  (char *)digest                       }, /* of declared spaces */
    };
    const size_t n_meta = sizeof meta / sizeof *meta - (declaration == NULL ? 1 : 0);
    enum err rc;

    if (devices == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to encode a model");
    }
    (void)snprintf(n_rows, sizeof n_rows, "%zu", info->n_rows);
    (void)snprintf(seed, sizeof seed, "%" PRIu64, info->seed);
    (void)snprintf(r, sizeof r, "%.6f", info->r_held_out);
    rc = safetensors_encode(tensors, n_tensors, meta, n_meta, bytes, size, err);
    mem_free(devices);
    return rc;
}

static enum err decode_devices(const struct safetensors *st, struct model_info *info,
                               struct error *err)
{
    const char *value = safetensors_meta(st, "train_devices");
    json_t *list = value != NULL ? json_loads(value, 0, NULL) : NULL;
    size_t n = json_array_size(list);
    char *names[MODEL_MAX_DEVICES] = {NULL};
    enum err rc = ERR_OK;

    if (!json_is_array(list) || n > MODEL_MAX_DEVICES) {
        rc = error_set(err, ERR_INVALID,
                       "the metadata's train_devices must be a list of at most %d names",
                       MODEL_MAX_DEVICES);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        names[i] = (char *)json_string_value(json_array_get(list, i));
        rc = names[i] == NULL
                 ? error_set(err, ERR_INVALID, "the metadata's train_devices must hold names")
                 : device_name_validate(names[i], err);
    }
    if (rc == ERR_OK) {
        rc = model_info_set_devices(info, names, n, err);
    }
    json_decref(list);
    return rc;
}

static enum err decode_info(const struct safetensors *st, struct model_info *info,
                            struct error *err)
{
    const char *r = safetensors_meta(st, "r_held_out");
    uint64_t n_rows = 0;
    enum err rc = model_meta_text(st, "version", info->version, sizeof info->version, err);

    rc = rc != ERR_OK ? rc : model_meta_text(st, "source", info->source, sizeof info->source, err);
    rc = rc != ERR_OK
             ? rc
             : model_meta_text(st, "validation", info->validation, sizeof info->validation, err);
    rc = rc != ERR_OK
             ? rc
             : model_meta_text(st, "data_sha256", info->data_sha256, sizeof info->data_sha256, err);
    rc = rc != ERR_OK ? rc : model_meta_whole(st, "n_rows", &n_rows, err);
    rc = rc != ERR_OK ? rc : model_meta_whole(st, "seed", &info->seed, err);
    rc = rc != ERR_OK ? rc : decode_devices(st, info, err);
    info->n_rows = (size_t)n_rows;
    info->r_held_out = r != NULL ? strtod(r, NULL) : NAN;
    return rc;
}

/* A predictor of a declared space is one of its values and costs; those may have changed since. */
static enum err check_declaration(const struct safetensors *st, const struct space *space,
                                  struct error *err)
{
    const char *digest = safetensors_meta(st, "space_sha256");

    if (space->declaration == NULL ||
        (digest != NULL && strcmp(digest, space->declaration->digest) == 0)) {
        return ERR_OK;
    }
    return error_set(err, ERR_INVALID,
                     "the predictor was trained when %s was declared with other genes or costs; "
                     "train it anew",
                     space->name);
}

/* Checks what the file says it is, and finds the kind of predictor. */
static enum err decode_kind(const struct safetensors *st, const struct space *space,
                            const struct predictor_kind **out, struct error *err)
{
    const char *format = safetensors_meta(st, "format");
    const char *kind_name = safetensors_meta(st, "kind");
    const char *space_name = safetensors_meta(st, "search_space");
    const struct predictor_kind *kind;

    if (format == NULL || strcmp(format, format_name) != 0) {
        return error_set(err, ERR_INVALID,
                         "not a predictor of this program: the metadata's format must be %s, not "
                         "%.40s",
                         format_name, format != NULL ? format : "absent");
    }
    kind = kind_name != NULL ? predictor_kind_find(kind_name) : NULL;
    if (kind == NULL) {
        return error_set(err, ERR_INVALID, "there is no predictor of kind \"%.40s\"",
                         kind_name != NULL ? kind_name : "");
    }
    if (space_name == NULL || strcmp(space_name, space->name) != 0) {
        return error_set(err, ERR_INVALID,
                         "the predictor is for the search space \"%.40s\", not %s",
                         space_name != NULL ? space_name : "", space->name);
    }
    *out = kind;
    return check_declaration(st, space, err);
}

/* A reply names the version that answered, so a file must not pass for another one. */
static enum err check_version(const struct model *model, struct error *err)
{
    char version[MODEL_VERSION_BYTES];

    model_version(model->predictor, version);
    if (strcmp(version, model->info.version) != 0) {
        return error_set(err, ERR_INVALID,
                         "the metadata's version is %s, but that of the weights is %s",
                         model->info.version, version);
    }
    return ERR_OK;
}

enum err model_decode(const char *bytes, size_t size, const struct space *space, struct model *out,
                      struct error *err)
{
    struct safetensors st = {0};
    struct model model = {0};
    const struct predictor_kind *kind = NULL;
    enum err rc = safetensors_parse(bytes, size, &st, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = decode_info(&st, &model.info, err);
    rc = rc != ERR_OK ? rc : decode_kind(&st, space, &kind, err);
    rc = rc != ERR_OK ? rc : kind->load(space, st.tensors, st.n_tensors, &model.predictor, err);
    rc = rc != ERR_OK ? rc : check_version(&model, err);
    safetensors_close(&st);
    if (rc != ERR_OK) {
        model_close(&model);
        return rc;
    }
    *out = model;
    return ERR_OK;
}

enum err model_peek(const char *bytes, size_t size, size_t file_bytes, const struct space *space,
                    struct model_info *info, const struct predictor_kind **kind, struct error *err)
{
    struct safetensors st = {0};
    struct model_info read = {0};
    enum err rc = safetensors_parse_header(bytes, size, file_bytes, &st, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = decode_info(&st, &read, err);
    rc = rc != ERR_OK ? rc : decode_kind(&st, space, kind, err);
    safetensors_close(&st);
    if (rc != ERR_OK) {
        model_info_close(&read);
        return rc;
    }
    *info = read;
    return ERR_OK;
}

void model_info_close(struct model_info *info)
{
    free_devices(info);
    memset(info, 0, sizeof *info);
}

void model_close(struct model *model)
{
    predictor_destroy(model->predictor);
    model_info_close(&model->info);
    memset(model, 0, sizeof *model);
}

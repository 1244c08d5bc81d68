#include "proto/accuracy_file.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include "proto/safetensors.h"

/* Value of the metadata key "format"; changes when older programs could misread a file, and when
 * the features of a kind do. */
static const char format_name[] = "dgld-accuracy-1";

enum { MAX_TEXT_BYTES = 96 }; /* of any value */

/* How struct accuracy_info stands in the metadata: one table for writing, reading and JSON. */
enum info_type { INFO_TEXT, INFO_SIZE, INFO_SEED, INFO_REAL };

#define AT(field)   offsetof(struct accuracy_info, field)
#define SIZE(field) sizeof(((struct accuracy_info *)0)->field)

static const struct {
    const char *key;
    enum info_type type;
    size_t offset, size;
} fields[] = {
  /* clang-format off */
    {"version", INFO_TEXT, AT(version), SIZE(version)},
    {"learned_from", INFO_TEXT, AT(learned_from), SIZE(learned_from)},
    {"dataset", INFO_TEXT, AT(dataset), SIZE(dataset)},
    {"n_rows", INFO_SIZE, AT(n_rows), 0},
    {"n_distrusted", INFO_SIZE, AT(n_distrusted), 0},
    {"data_sha256", INFO_TEXT, AT(data_sha256), SIZE(data_sha256)},
    {"seed", INFO_SEED, AT(seed), 0},
    {"validation", INFO_TEXT, AT(validation), SIZE(validation)},
    {"n_train", INFO_SIZE, AT(n_train), 0},
    {"n_held_out", INFO_SIZE, AT(n_held_out), 0},
    {"kendall", INFO_REAL, AT(kendall), 0},
    {"rmse", INFO_REAL, AT(rmse), 0},
    {"kendall_fitted", INFO_REAL, AT(kendall_fitted), 0},
    {"rmse_fitted", INFO_REAL, AT(rmse_fitted), 0},
  /* clang-format on */
};

enum { N_FIELDS = sizeof fields / sizeof *fields, N_FIXED = 3 };

void accuracy_version(const struct accuracy_predictor *predictor, char version[MODEL_VERSION_BYTES])
{
    struct tensor tensors[ACCURACY_MAX_TENSORS];
    size_t n = predictor->kind->weights(predictor, tensors);

    model_meta_version(predictor->kind->name, tensors, n, version);
}

static void print_field(const struct accuracy_info *info, size_t f, char text[MAX_TEXT_BYTES])
{
    const void *field = (const char *)info + fields[f].offset;

    switch (fields[f].type) {
    case INFO_TEXT:
        (void)snprintf(text, MAX_TEXT_BYTES, "%s", (const char *)field);
        break;
    case INFO_SIZE:
        (void)snprintf(text, MAX_TEXT_BYTES, "%zu", *(const size_t *)field);
        break;
    case INFO_SEED:
        (void)snprintf(text, MAX_TEXT_BYTES, "%" PRIu64, *(const uint64_t *)field);
        break;
    default:
        model_meta_print_real(*(const double *)field, text);
        break;
    }
}

enum err accuracy_model_encode(const struct accuracy_model *model, char **bytes, size_t *size,
                               struct error *err)
{
    const struct accuracy_kind *kind = model->predictor->kind;
    struct tensor tensors[ACCURACY_MAX_TENSORS];
    char values[N_FIELDS][MAX_TEXT_BYTES];
    struct safetensors_meta meta[N_FIXED + N_FIELDS] = {
        {(char *)"format",       (char *)format_name      },
        {(char *)"kind",         (char *)kind->name       },
        {(char *)"search_space", (char *)kind->space->name},
    };

    for (size_t f = 0; f < N_FIELDS; f++) {
        print_field(&model->info, f, values[f]);
        meta[N_FIXED + f] = (struct safetensors_meta){(char *)fields[f].key, values[f]};
    }
    return safetensors_encode(tensors, kind->weights(model->predictor, tensors), meta,
                              N_FIXED + N_FIELDS, bytes, size, err);
}

static enum err decode_field(const struct safetensors *st, size_t f, struct accuracy_info *info,
                             struct error *err)
{
    void *field = (char *)info + fields[f].offset;
    uint64_t whole = 0;
    enum err rc;

    switch (fields[f].type) {
    case INFO_TEXT:
        return model_meta_text(st, fields[f].key, field, fields[f].size, err);
    case INFO_REAL:
        return model_meta_real(st, fields[f].key, field, err);
    default:
        rc = model_meta_whole(st, fields[f].key, &whole, err);
        if (rc == ERR_OK && fields[f].type == INFO_SIZE) {
            *(size_t *)field = (size_t)whole;
        } else if (rc == ERR_OK) {
            *(uint64_t *)field = whole;
        }
        return rc;
    }
}

/* Checks what the file says it is, and finds the kind of predictor. */
static enum err decode_kind(const struct safetensors *st, const struct space *space,
                            const struct accuracy_kind **out, struct error *err)
{
    const char *format = safetensors_meta(st, "format");
    const char *kind_name = safetensors_meta(st, "kind");
    const char *space_name = safetensors_meta(st, "search_space");
    const struct accuracy_kind *kind = kind_name != NULL ? accuracy_kind_find(kind_name) : NULL;

    if (format == NULL || strcmp(format, format_name) != 0) {
        return error_set(err, ERR_INVALID,
                         "not an accuracy predictor of this program: the metadata's format must be "
                         "%s, not %.40s",
                         format_name, format != NULL ? format : "absent");
    }
    if (space_name == NULL || strcmp(space_name, space->name) != 0) {
        return error_set(err, ERR_INVALID,
                         "the accuracy predictor is for the search space \"%.40s\", not %s",
                         space_name != NULL ? space_name : "", space->name);
    }
    if (kind == NULL || kind->space != space) {
        return error_set(err, ERR_INVALID,
                         "there is no accuracy predictor of kind \"%.40s\" for %s",
                         kind_name != NULL ? kind_name : "", space->name);
    }
    *out = kind;
    return ERR_OK;
}

/* A result names the version that decided, so a file must not pass for another one. */
static enum err check_version(const struct accuracy_model *model, struct error *err)
{
    char version[MODEL_VERSION_BYTES];

    accuracy_version(model->predictor, version);
    if (strcmp(version, model->info.version) != 0) {
        return error_set(err, ERR_INVALID,
                         "the metadata's version is %s, but that of the weights is %s",
                         model->info.version, version);
    }
    return ERR_OK;
}

enum err accuracy_model_decode(const char *bytes, size_t size, const struct space *space,
                               struct accuracy_model *out, struct error *err)
{
    struct safetensors st = {0};
    struct accuracy_model model = {0};
    const struct accuracy_kind *kind = NULL;
    enum err rc = safetensors_parse(bytes, size, &st, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = decode_kind(&st, space, &kind, err);
    for (size_t f = 0; rc == ERR_OK && f < N_FIELDS; f++) {
        rc = decode_field(&st, f, &model.info, err);
    }
    rc = rc != ERR_OK ? rc : kind->load(kind, st.tensors, st.n_tensors, &model.predictor, err);
    rc = rc != ERR_OK ? rc : check_version(&model, err);
    safetensors_close(&st);
    if (rc != ERR_OK) {
        accuracy_model_close(&model);
        return rc;
    }
    *out = model;
    return ERR_OK;
}

void accuracy_model_put_json(const struct accuracy_model *model, struct text *out)
{
    text_puts(out, "\"predictor\":");
    text_put_json_string(out, model->predictor->kind->name);
    for (size_t f = 0; f < N_FIELDS; f++) {
        const void *field = (const char *)&model->info + fields[f].offset;
        char value[MAX_TEXT_BYTES];
        text_printf(out, ",\"%s\":", fields[f].key);
        print_field(&model->info, f, value);
        if (fields[f].type == INFO_TEXT) {
            text_put_json_string(out, value);
        } else if (fields[f].type == INFO_REAL) {
            text_put_json_number(out, *(const double *)field);
        } else {
            text_puts(out, value);
        }
    }
}

void accuracy_model_close(struct accuracy_model *model)
{
    accuracy_destroy(model->predictor);
    memset(model, 0, sizeof *model);
}

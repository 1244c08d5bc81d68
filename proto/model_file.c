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
#include "core/utf8.h"
#include "proto/json_memory.h"
#include "proto/model_meta.h"
#include "proto/safetensors.h"
#include "proto/text.h"

/* Value of the metadata key "format"; changes when older programs could misread a file. */
static const char format_name[] = "dgld-predictor-1";

enum { MAX_TENSORS = PREDICTOR_MAX_TENSORS + CALIBRATION_PRIOR_N_TENSORS };

/* Tensors of the predictor, and after them those of the prior where there is one. */
static size_t list_tensors(const struct predictor *predictor, const struct calibration_prior *prior,
                           struct tensor tensors[MAX_TENSORS])
{
    size_t n = predictor->kind->weights(predictor, tensors);

    return n + (prior != NULL ? calibration_prior_tensors(prior, tensors + n) : 0);
}

void model_version(const struct predictor *predictor, char version[MODEL_VERSION_BYTES])
{
    struct tensor tensors[MAX_TENSORS];
    size_t n = list_tensors(predictor, NULL, tensors);

    model_meta_version(predictor->kind->name, tensors, n, version);
}

void model_version_whole(const struct model *model, char version[MODEL_VERSION_BYTES])
{
    struct tensor tensors[MAX_TENSORS];
    size_t n = list_tensors(model->predictor, model->prior, tensors);

    model_meta_version(model->predictor->kind->name, tensors, n, version);
}

struct conditions_view model_conditions_of(const struct space *space, const struct model_info *info)
{
    const struct model_conditions *own = &info->conditions;

    return (struct conditions_view){
        .input = own->input[0] != '\0' ? own->input : space->input,
        .batch = own->batch > 0 ? own->batch : space->batch,
        .runtime = own->runtime[0] != '\0' ? own->runtime : NULL,
    };
}

enum err model_condition_validate(const char *text, struct error *err)
{
    size_t length = strlen(text);
    bool is_text = length > 0 && length < MODEL_CONDITION_BYTES;

    for (const char *c = text; is_text && *c != '\0'; c += utf8_length(c)) {
        is_text = utf8_length(c) > 0 && (unsigned char)*c >= ' ' && *c != '\x7f';
    }
    return is_text ? ERR_OK
                   : error_set(err, ERR_INVALID,
                               "must be a text of 1 to %d bytes without control characters",
                               MODEL_CONDITION_BYTES - 1);
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

static void free_names(char ***names, size_t *n)
{
    for (size_t i = 0; i < *n; i++) {
        mem_free((*names)[i]);
    }
    mem_free(*names);
    *names = NULL;
    *n = 0;
}

/* Replaces a list by copies of other names. */
static enum err set_names(char ***out, size_t *n_out, char *const *names, size_t n,
                          struct error *err)
{
    free_names(out, n_out);
    *out = mem_calloc(n, sizeof **out);
    for (size_t i = 0; *out != NULL && i < n; i++) {
        (*out)[i] = mem_strdup(names[i]);
        if ((*out)[i] == NULL) {
            break;
        }
        ++*n_out;
    }
    if (*out == NULL || *n_out < n) {
        free_names(out, n_out);
        return error_set(err, ERR_NOMEM, "no memory for %zu device names", n);
    }
    return ERR_OK;
}

enum err model_info_set_devices(struct model_info *info, char *const *names, size_t n,
                                struct error *err)
{
    return set_names(&info->devices, &info->n_devices, names, n, err);
}

enum err model_info_set_library(struct model_info *info, char *const *names, size_t n,
                                size_t n_rows, struct error *err)
{
    info->library.n_rows = n_rows;
    return set_names(&info->library.devices, &info->library.n_devices, names, n, err);
}

enum err model_info_copy(const struct model_info *from, struct model_info *to, struct error *err)
{
    struct model_info copy = *from;
    enum err rc;

    copy.devices = copy.library.devices = NULL;
    copy.n_devices = copy.library.n_devices = 0;
    rc = model_info_set_devices(&copy, from->devices, from->n_devices, err);
    if (rc == ERR_OK && from->library.n_devices > 0) {
        rc = model_info_set_library(&copy, from->library.devices, from->library.n_devices,
                                    from->library.n_rows, err);
    }
    if (rc != ERR_OK) {
        model_info_close(&copy);
        return rc;
    }
    *to = copy;
    return ERR_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Names as JSON text; NULL for want of memory. The caller mem_free()s it. */
static char *encode_names(char *const *names, size_t n)
{
    struct text text = {0};
    size_t size;

    text_puts(&text, "[");
    for (size_t i = 0; i < n; i++) {
        text_puts(&text, i > 0 ? "," : "");
        text_put_json_string(&text, names[i]);
    }
    text_puts(&text, "]");
    return text_take(&text, &size);
}

/* Values of the metadata that are there for some models alone. */
struct extra_meta {
    char batch[16];
    char *library; /* owned */
    char library_rows[24];
    char spearman[LIBRARY_N_SIZES * MODEL_REAL_BYTES];
};

static void add_meta(struct safetensors_meta *meta, size_t *n, const char *key, const char *value)
{
    meta[*n].key = (char *)key;
    meta[(*n)++].value = (char *)value;
}

/* The figures as "0.93 none 0.95 0.96". */
static void print_figures(const double *figures, char *out, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; i < LIBRARY_N_SIZES; i++) {
        char one[MODEL_REAL_BYTES];
        model_meta_print_real(figures[i], one);
        length += (size_t)snprintf(out + length, size - length, "%s%s", i > 0 ? " " : "", one);
    }
}

/* Adds what the model tells besides: conditions of its own, the library. False for want of memory. */
static bool add_extra(const struct model *model, struct extra_meta *extra,
                      struct safetensors_meta *meta, size_t *n)
{
    const struct model_conditions *conditions = &model->info.conditions;
    const struct model_library *library = &model->info.library;

    if (conditions->input[0] != '\0') {
        add_meta(meta, n, "input", conditions->input);
    }
    if (conditions->batch > 0) {
        (void)snprintf(extra->batch, sizeof extra->batch, "%d", conditions->batch);
        add_meta(meta, n, "batch", extra->batch);
    }
    if (conditions->runtime[0] != '\0') {
        add_meta(meta, n, "runtime", conditions->runtime);
    }
    if (model->prior == NULL) {
        return true;
    }
    extra->library = encode_names(library->devices, library->n_devices);
    (void)snprintf(extra->library_rows, sizeof extra->library_rows, "%zu", library->n_rows);
    print_figures(library->spearman, extra->spearman, sizeof extra->spearman);
    add_meta(meta, n, "library_devices", extra->library);
    add_meta(meta, n, "library_rows", extra->library_rows);
    add_meta(meta, n, "library_spearman", extra->spearman);
    return extra->library != NULL;
}

enum { R_BYTES = 32 }; /* an R is from -1 to 1, or NaN */

static void write_r(double r, char out[R_BYTES])
{
    (void)snprintf(out, R_BYTES, "%.6f", r);
}

double model_kept_r(double r)
{
    char text[R_BYTES];

    write_r(r, text);
    return strtod(text, NULL);
}

enum err model_encode(const struct model *model, char **bytes, size_t *size, struct error *err)
{
    const struct model_info *info = &model->info;
    const struct space_declaration *declaration = model->predictor->space->declaration;
    struct tensor tensors[MAX_TENSORS];
    size_t n_tensors = list_tensors(model->predictor, model->prior, tensors);
    char *devices = encode_names(info->devices, info->n_devices);
    char n_rows[24];
    char seed[24];
    char r[R_BYTES];
    struct safetensors_meta meta[18] = {
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
    };
    size_t n_meta = 11;
    struct extra_meta extra = {0};
    enum err rc;

    (void)snprintf(n_rows, sizeof n_rows, "%zu", info->n_rows);
    (void)snprintf(seed, sizeof seed, "%" PRIu64, info->seed);
    write_r(info->r_held_out, r);
    if (declaration != NULL) {
        add_meta(meta, &n_meta, "space_sha256", declaration->digest);
    }
    if (devices == NULL || !add_extra(model, &extra, meta, &n_meta)) {
        rc = error_set(err, ERR_NOMEM, "no memory to encode a model");
    } else {
        rc = safetensors_encode(tensors, n_tensors, meta, n_meta, bytes, size, err);
    }
    mem_free(extra.library);
    mem_free(devices);
    return rc;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The names of a key; `out` and `n_out` are an empty list before. */
static enum err decode_names(const struct safetensors *st, const char *key, size_t n_min,
                             size_t n_max, char ***out, size_t *n_out, struct error *err)
{
    const char *value = safetensors_meta(st, key);
    struct error why = {0};
    json_t *list = value != NULL ? json_memory_parse(value, strlen(value), 0, &why) : NULL;
    size_t n = json_array_size(list);
    char *names[MODEL_MAX_DEVICES] = {NULL};
    enum err rc = ERR_OK;

    if (list == NULL && why.code == ERR_NOMEM) {
        return error_set(err, ERR_NOMEM, "%s", why.text);
    }
    if (!json_is_array(list) || n < n_min || n > n_max) {
        rc = error_set(err, ERR_INVALID,
                       n_min == 0 ? "the metadata's %s must be a list of at most %zu names"
                                  : "the metadata's %s must be a list of 1 to %zu names",
                       key, n_max);
    }
    for (size_t i = 0; rc == ERR_OK && i < n; i++) {
        names[i] = (char *)json_string_value(json_array_get(list, i));
        rc = names[i] == NULL
                 ? error_set(err, ERR_INVALID, "the metadata's %s must hold names", key)
                 : device_name_validate(names[i], err);
    }
    if (rc == ERR_OK) {
        rc = set_names(out, n_out, names, n, err);
    }
    json_decref(list);
    return rc;
}

static enum err decode_condition(const struct safetensors *st, const char *key,
                                 char out[MODEL_CONDITION_BYTES], struct error *err)
{
    const char *value = safetensors_meta(st, key);
    enum err rc = value != NULL ? model_condition_validate(value, err) : ERR_OK;

    if (rc != ERR_OK) {
        error_wrap(err, "the metadata's %s", key);
    } else if (value != NULL) {
        memcpy(out, value, strlen(value) + 1);
    }
    return rc;
}

static enum err decode_conditions(const struct safetensors *st, struct model_conditions *out,
                                  struct error *err)
{
    uint64_t batch = 0;
    enum err rc = decode_condition(st, "input", out->input, err);

    rc = rc != ERR_OK ? rc : decode_condition(st, "runtime", out->runtime, err);
    if (rc == ERR_OK && safetensors_meta(st, "batch") != NULL) {
        rc = model_meta_whole(st, "batch", &batch, err);
        if (rc == ERR_OK && (batch < 1 || batch > SPACE_MAX_BATCH)) {
            rc = error_set(err, ERR_INVALID, "the metadata's batch must be 1 to %d",
                           SPACE_MAX_BATCH);
        }
    }
    out->batch = (int)batch;
    return rc;
}

static enum err decode_figures(const struct safetensors *st, double figures[LIBRARY_N_SIZES],
                               struct error *err)
{
    const char *at = safetensors_meta(st, "library_spearman");

    for (size_t i = 0; i < LIBRARY_N_SIZES; i++) {
        char *end = NULL;
        if (at != NULL && strncmp(at, "none", 4) == 0) {
            figures[i] = NAN;
            end = (char *)at + 4;
        } else if (at != NULL) {
            figures[i] = strtod(at, &end);
        }
        if (end == NULL || end == at || *end != (i + 1 < LIBRARY_N_SIZES ? ' ' : '\0') ||
            isinf(figures[i])) {
            return error_set(err, ERR_INVALID,
                             "the metadata's library_spearman must be %d numbers, or none",
                             LIBRARY_N_SIZES);
        }
        at = end + 1;
    }
    return ERR_OK;
}

/* Of a file without a library everything stays zero. */
static enum err decode_library(const struct safetensors *st, struct model_library *out,
                               struct error *err)
{
    uint64_t n_rows = 0;
    enum err rc;

    if (safetensors_meta(st, "library_devices") == NULL) {
        return ERR_OK;
    }
    rc = decode_names(st, "library_devices", 1, LIBRARY_MAX_DEVICES, &out->devices, &out->n_devices,
                      err);
    rc = rc != ERR_OK ? rc : model_meta_whole(st, "library_rows", &n_rows, err);
    rc = rc != ERR_OK ? rc : decode_figures(st, out->spearman, err);
    out->n_rows = (size_t)n_rows;
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
    rc = rc != ERR_OK ? rc
                      : decode_names(st, "train_devices", 0, MODEL_MAX_DEVICES, &info->devices,
                                     &info->n_devices, err);
    rc = rc != ERR_OK ? rc : decode_conditions(st, &info->conditions, err);
    rc = rc != ERR_OK ? rc : decode_library(st, &info->library, err);
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

    model_version_whole(model, version);
    if (strcmp(version, model->info.version) != 0) {
        return error_set(err, ERR_INVALID,
                         "the metadata's version is %s, but that of the weights is %s",
                         model->info.version, version);
    }
    return ERR_OK;
}

/* The prior of a file that says that it learned from a library, and of no other. */
static enum err decode_prior(const struct safetensors *st, const struct space *space,
                             struct model *model, struct error *err)
{
    const size_t n_told = model->info.library.n_devices;
    enum err rc;

    if (calibration_prior_is_among(st->tensors, st->n_tensors) != (n_told > 0)) {
        return error_set(err, ERR_INVALID,
                         n_told > 0 ? "the metadata tells of a library, but no tensor does"
                                    : "there are tensors of a library, but the metadata does not "
                                      "tell of what devices");
    }
    if (n_told == 0) {
        return ERR_OK;
    }
    rc = calibration_prior_load(space, st->tensors, st->n_tensors, &model->prior, err);
    if (rc == ERR_OK && model->prior->n_devices != n_told) {
        rc = error_set(err, ERR_INVALID,
                       "the metadata names %zu devices of the library, but its tensors have %zu",
                       n_told, model->prior->n_devices);
    }
    return rc;
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
    rc = rc != ERR_OK ? rc : decode_prior(&st, space, &model, err);
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
    free_names(&info->devices, &info->n_devices);
    free_names(&info->library.devices, &info->library.n_devices);
    memset(info, 0, sizeof *info);
}

enum err model_prepare(struct model *model, struct error *err)
{
    return model->prior != NULL && model->rates == NULL
               ? prior_rate_table_create(model->prior, &model->rates, err)
               : ERR_OK;
}

void model_close(struct model *model)
{
    predictor_destroy(model->predictor);
    prior_rate_table_destroy(model->rates);
    calibration_prior_destroy(model->prior);
    model_info_close(&model->info);
    memset(model, 0, sizeof *model);
}

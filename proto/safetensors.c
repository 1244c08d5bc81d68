#include "proto/safetensors.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "core/mem.h"
#include "proto/digest.h"
#include "proto/json_memory.h"

static const char meta_key[] = "__metadata__";

enum { LENGTH_BYTES = SAFETENSORS_LENGTH_BYTES };

/* Where a tensor's bytes lie, counted from the end of the header. */
struct extent {
    size_t begin, end;
};

static enum err parse_metadata(const json_t *object, struct safetensors *st, struct error *err)
{
    const char *key;
    json_t *value;

    if (!json_is_object(object)) {
        return error_set(err, ERR_INVALID, "the header's __metadata__ must be an object");
    }
    st->meta = mem_calloc(json_object_size(object), sizeof *st->meta);
    if (st->meta == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the header's metadata");
    }
    json_object_foreach((json_t *)object, key, value)
    {
        struct safetensors_meta *m = &st->meta[st->n_meta];
        if (!json_is_string(value)) {
            return error_set(err, ERR_INVALID, "the header's metadata must be strings");
        }
        m->key = mem_strdup(key);
        m->value = mem_strdup(json_string_value(value));
        st->n_meta++;
        if (m->key == NULL || m->value == NULL) {
            return error_set(err, ERR_NOMEM, "no memory for the header's metadata");
        }
    }
    return ERR_OK;
}

static bool get_size(const json_t *value, size_t *out)
{
    if (!json_is_integer(value) || json_integer_value(value) < 0) {
        return false;
    }
    *out = (size_t)json_integer_value(value);
    return true;
}

static bool get_shape(const json_t *list, struct tensor *t)
{
    if (!json_is_array(list) || json_array_size(list) > TENSOR_MAX_DIMS) {
        return false;
    }
    t->n_dims = json_array_size(list);
    for (size_t d = 0; d < t->n_dims; d++) {
        if (!get_size(json_array_get(list, d), &t->shape[d])) {
            return false;
        }
    }
    return true;
}

static enum err parse_tensor(const char *name, const json_t *entry, size_t data_bytes,
                             struct tensor *t, struct extent *extent, struct error *err)
{
    const json_t *offsets = json_object_get(entry, "data_offsets");
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    size_t count;

    if (strlen(name) >= TENSOR_NAME_BYTES) {
        return error_set(err, ERR_INVALID, "a tensor's name is longer than %d bytes",
                         TENSOR_NAME_BYTES - 1);
    }
    memcpy(t->name, name, strlen(name) + 1);
    if (json_object_size(entry) != 3 || type == NULL || json_array_size(offsets) != 2) {
        return error_set(err, ERR_INVALID,
                         "the tensor \"%s\" needs dtype, shape and data_offsets, and nothing else",
                         name);
    }
    t->type = tensor_type_find(type);
    if (t->type == TENSOR_N_TYPES) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" has the unsupported dtype \"%.16s\"",
                         name, type);
    }
    if (!get_shape(json_object_get(entry, "shape"), t)) {
        return error_set(err, ERR_INVALID, "the shape of the tensor \"%s\" is malformed", name);
    }
    if (!get_size(json_array_get(offsets, 0), &extent->begin) ||
        !get_size(json_array_get(offsets, 1), &extent->end) || extent->end < extent->begin ||
        extent->end > data_bytes) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" lies outside of the file", name);
    }
    if (!tensor_count(t, &count) || count > SIZE_MAX / 8 ||
        count * tensor_type_bytes(t->type) != extent->end - extent->begin) {
        return error_set(err, ERR_INVALID, "the shape of the tensor \"%s\" does not fit its bytes",
                         name);
    }
    return ERR_OK;
}

static int compare_extents(const void *a, const void *b)
{
    const struct extent *x = a;
    const struct extent *y = b;

    if (x->begin != y->begin) {
        return x->begin < y->begin ? -1 : 1;
    }
    return (x->end > y->end) - (x->end < y->end);
}

/* The tensors must fill the data without holes and overlaps. Sorts `extents`. */
static enum err check_extents(struct extent *extents, size_t n, size_t data_bytes,
                              struct error *err)
{
    size_t at = 0;

    qsort(extents, n, sizeof *extents, compare_extents);
    for (size_t i = 0; i < n; i++) {
        if (extents[i].begin != at) {
            return error_set(err, ERR_INVALID, "the tensors overlap or leave a hole at byte %zu",
                             at);
        }
        at = extents[i].end;
    }
    if (at != data_bytes) {
        return error_set(err, ERR_INVALID, "%zu bytes follow the last tensor", data_bytes - at);
    }
    return ERR_OK;
}

/* `data` is NULL where the header alone is read. */
static enum err parse_entries(json_t *header, const char *data, size_t data_bytes,
                              struct safetensors *st, struct error *err)
{
    size_t n_entries = json_object_size(header);
    struct extent *extents = mem_calloc(n_entries, sizeof *extents);
    enum err rc = ERR_OK;
    const char *name;
    json_t *entry;

    st->tensors = mem_calloc(n_entries, sizeof *st->tensors);
    if (extents == NULL || st->tensors == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for the header's tensors");
    }
    json_object_foreach(header, name, entry)
    {
        struct tensor *t;
        if (rc != ERR_OK) {
            break;
        }
        if (strcmp(name, meta_key) == 0) {
            rc = parse_metadata(entry, st, err);
            continue;
        }
        t = &st->tensors[st->n_tensors];
        rc = parse_tensor(name, entry, data_bytes, t, &extents[st->n_tensors], err);
        if (rc == ERR_OK && data != NULL) { /* else there may be nothing where it claims to lie */
            t->data = data + extents[st->n_tensors].begin;
        }
        st->n_tensors++;
    }
    if (rc == ERR_OK) {
        rc = check_extents(extents, st->n_tensors, data_bytes, err);
    }
    mem_free(extents);
    return rc;
}

static enum err check_digest(const struct safetensors *st, const char *data, size_t data_bytes,
                             struct error *err)
{
    const char *expected = safetensors_meta(st, "sha256");
    const struct digest_part part = {data, data_bytes};
    char found[DIGEST_HEX_BYTES];

    if (expected == NULL) {
        return ERR_OK;
    }
    digest_hex(&part, 1, found);
    if (strcmp(found, expected) != 0) {
        return error_set(err, ERR_INVALID,
                         "the tensors' bytes are damaged: their sha256 is not the one in the file");
    }
    return ERR_OK;
}

enum err safetensors_head_bytes(const char *bytes, size_t file_bytes, size_t *out,
                                struct error *err)
{
    uint64_t header_bytes = 0;

    if (file_bytes < LENGTH_BYTES) {
        return error_set(err, ERR_SYNTAX, "%zu bytes are too few for a safetensors file",
                         file_bytes);
    }
    for (size_t i = LENGTH_BYTES; i-- > 0;) {
        header_bytes = header_bytes << 8 | (unsigned char)bytes[i];
    }
    if (header_bytes > file_bytes - LENGTH_BYTES || header_bytes > SAFETENSORS_MAX_HEADER_BYTES) {
        return error_set(err, ERR_SYNTAX,
                         "the header's length of %llu bytes does not fit a file of %zu",
                         (unsigned long long)header_bytes, file_bytes);
    }
    *out = LENGTH_BYTES + (size_t)header_bytes;
    return ERR_OK;
}

/* Parses the header of `head_bytes`, length included; `data` as in parse_entries(). */
static enum err parse_head(const char *bytes, size_t head_bytes, const char *data,
                           size_t data_bytes, struct safetensors *out, struct error *err)
{
    struct safetensors st = {0};
    struct error why;
    json_t *header = json_memory_parse(bytes + LENGTH_BYTES, head_bytes - LENGTH_BYTES,
                                       JSON_REJECT_DUPLICATES, &why);
    enum err rc;

    if (!json_is_object(header)) {
        rc = header == NULL && why.code == ERR_NOMEM
                 ? error_set(err, ERR_NOMEM, "%s", why.text)
                 : error_set(err, ERR_SYNTAX, "the header is not a JSON object: %.100s",
                             header == NULL ? why.text : "another kind of value");
        json_decref(header);
        return rc;
    }
    rc = parse_entries(header, data, data_bytes, &st, err);
    json_decref(header);
    if (rc != ERR_OK) {
        safetensors_close(&st);
        return rc;
    }
    *out = st;
    return ERR_OK;
}

enum err safetensors_parse_header(const char *bytes, size_t size, size_t file_bytes,
                                  struct safetensors *out, struct error *err)
{
    size_t head_bytes = 0;
    enum err rc = safetensors_head_bytes(bytes, file_bytes, &head_bytes, err);

    if (rc == ERR_OK && size < head_bytes) {
        rc = error_set(err, ERR_SYNTAX, "the file ends within its header");
    }
    return rc != ERR_OK ? rc
                        : parse_head(bytes, head_bytes, NULL, file_bytes - head_bytes, out, err);
}

enum err safetensors_parse(const char *bytes, size_t size, struct safetensors *out,
                           struct error *err)
{
    struct safetensors st = {0};
    size_t head_bytes = 0;
    enum err rc = safetensors_head_bytes(bytes, size, &head_bytes, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = parse_head(bytes, head_bytes, bytes + head_bytes, size - head_bytes, &st, err);
    if (rc == ERR_OK) {
        rc = check_digest(&st, bytes + head_bytes, size - head_bytes, err);
    }
    if (rc != ERR_OK) {
        safetensors_close(&st);
        return rc;
    }
    *out = st;
    return ERR_OK;
}

void safetensors_close(struct safetensors *st)
{
    for (size_t i = 0; i < st->n_meta; i++) {
        mem_free(st->meta[i].key);
        mem_free(st->meta[i].value);
    }
    mem_free(st->meta);
    mem_free(st->tensors);
    memset(st, 0, sizeof *st);
}

const char *safetensors_meta(const struct safetensors *st, const char *key)
{
    for (size_t i = 0; i < st->n_meta; i++) {
        if (strcmp(st->meta[i].key, key) == 0) {
            return st->meta[i].value;
        }
    }
    return NULL;
}

/* Size of a tensor's data; tensors come from our own predictors, so the product cannot overflow. */
static size_t data_size(const struct tensor *t)
{
    size_t count = 0;

    (void)tensor_count(t, &count);
    return count * tensor_type_bytes(t->type);
}

/* NULL for want of memory. */
static json_t *describe_tensor(const struct tensor *t, size_t begin)
{
    json_t *shape = json_array();
    size_t end = begin + data_size(t);
    int failed = shape == NULL;

    for (size_t d = 0; d < t->n_dims; d++) {
        failed |= json_array_append_new(shape, json_integer((json_int_t)t->shape[d]));
    }
    if (failed) {
        json_decref(shape);
        return NULL;
    }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", tensor_type_name(t->type), "shape", shape,
                     "data_offsets", (json_int_t)begin, (json_int_t)end);
}

/* The header as text, to be mem_free()d, or NULL for want of memory. */
static char *encode_header(const struct tensor *tensors, size_t n_tensors,
                           const struct safetensors_meta *meta, size_t n_meta, const char *digest)
{
    json_t *header = json_object();
    json_t *metadata = json_object();
    int failed = header == NULL || metadata == NULL;
    size_t at = 0;
    char *text = NULL;

    for (size_t i = 0; i < n_meta; i++) {
        failed |= json_object_set_new(metadata, meta[i].key, json_string(meta[i].value));
    }
    failed |= json_object_set_new(metadata, "sha256", json_string(digest));
    failed |= json_object_set_new(header, meta_key, metadata);
    for (size_t i = 0; i < n_tensors; i++) {
        failed |= json_object_set_new(header, tensors[i].name, describe_tensor(&tensors[i], at));
        at += data_size(&tensors[i]);
    }
    if (!failed) {
        text = json_memory_print(header, JSON_COMPACT);
    }
    json_decref(header);
    return text;
}

enum err safetensors_encode(const struct tensor *tensors, size_t n_tensors,
                            const struct safetensors_meta *meta, size_t n_meta, char **bytes,
                            size_t *size, struct error *err)
{
    struct digest_part *parts = mem_calloc(n_tensors, sizeof *parts);
    char digest[DIGEST_HEX_BYTES];
    size_t data_bytes = 0;
    size_t header_bytes;
    size_t padded_bytes;
    char *header = NULL;
    char *block = NULL;
    char *at;

    for (size_t i = 0; parts != NULL && i < n_tensors; i++) {
        parts[i].bytes = tensors[i].data;
        parts[i].size = data_size(&tensors[i]);
        data_bytes += parts[i].size;
    }
    if (parts != NULL) {
        digest_hex(parts, n_tensors, digest);
        header = encode_header(tensors, n_tensors, meta, n_meta, digest);
    }
    header_bytes = header != NULL ? strlen(header) : 0;
    padded_bytes = (header_bytes + 7) / 8 * 8; /* so that the data starts aligned */
    block = header != NULL ? mem_calloc(LENGTH_BYTES + padded_bytes + data_bytes, 1) : NULL;
    if (block == NULL) {
        mem_free(header);
        mem_free(parts);
        return error_set(err, ERR_NOMEM, "no memory to encode %zu bytes of tensors", data_bytes);
    }
    for (size_t i = 0; i < LENGTH_BYTES; i++) {
        block[i] = (char)(padded_bytes >> (8 * i) & 0xff);
    }
    at = block + LENGTH_BYTES;
    memcpy(at, header, header_bytes);
    memset(at + header_bytes, ' ', padded_bytes - header_bytes);
    at += padded_bytes;
    for (size_t i = 0; i < n_tensors; i++) {
        memcpy(at, parts[i].bytes, parts[i].size);
        at += parts[i].size;
    }
    mem_free(header);
    mem_free(parts);
    *bytes = block;
    *size = LENGTH_BYTES + padded_bytes + data_bytes;
    return ERR_OK;
}

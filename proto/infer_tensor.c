#include "proto/infer_tensor.h"

#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    size_t bytes;
} types[INFER_N_TYPES] = {
#define INFER_TYPE_ROW(type, name, bytes) [type] = {name, bytes},
    INFER_TYPE_LIST(INFER_TYPE_ROW)
#undef INFER_TYPE_ROW
};

enum infer_type infer_type_find(const char *name)
{
    unsigned type = 0;

    while (type < INFER_N_TYPES && strcmp(types[type].name, name) != 0) {
        type++;
    }
    return (enum infer_type)type;
}

const char *infer_type_name(enum infer_type type)
{
    return types[type].name;
}

size_t infer_type_bytes(enum infer_type type)
{
    return types[type].bytes;
}

void infer_rows_begin(struct infer_rows *rows, const struct infer_tensor *tensor)
{
    memset(rows, 0, sizeof *rows);
    rows->tensor = tensor;
    if (tensor->bytes == NULL) {
        rows->has_item = json_view_first(tensor->data, &rows->item);
        rows->is_nested =
            rows->has_item && !tensor->is_vector && json_view_kind(rows->item) == JSON_KIND_ARRAY;
    }
}

/* ---- binary ---------------------------------------------------------------------------------- */

/* The host is little-endian, as the tensors are: so a copy is all that reading an element takes. */
_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "binary tensors are little-endian");

static int32_t cut_to_int32(int64_t value)
{
    value = value > INT32_MAX ? INT32_MAX : value;
    return (int32_t)(value < INT32_MIN ? INT32_MIN : value);
}

/* Reads n elements. */
static void binary_genes(enum infer_type type, const unsigned char *bytes, size_t n, int32_t *genes)
{
    if (type == INFER_INT32) {
        memcpy(genes, bytes, n * sizeof *genes);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        int64_t wide = bytes[i];
        if (type == INFER_INT64) {
            memcpy(&wide, bytes + i * sizeof wide, sizeof wide);
        }
        genes[i] = cut_to_int32(wide);
    }
}

static void binary_numbers(enum infer_type type, const unsigned char *bytes, size_t n,
                           double *numbers)
{
    if (type == INFER_FP64) {
        memcpy(numbers, bytes, n * sizeof *numbers);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        float single;
        memcpy(&single, bytes + i * sizeof single, sizeof single);
        numbers[i] = (double)single;
    }
}

/* Whether all of n elements are bytes; without a branch each, so that it costs little. */
static bool narrow_int32(const unsigned char *bytes, size_t n, uint8_t *out)
{
    uint32_t seen = 0;

    for (size_t i = 0; i < n; i++) {
        uint32_t value;
        memcpy(&value, bytes + i * sizeof value, sizeof value);
        out[i] = (uint8_t)value;
        seen |= value;
    }
    return seen <= UINT8_MAX;
}

static bool narrow_int64(const unsigned char *bytes, size_t n, uint8_t *out)
{
    uint64_t seen = 0;

    for (size_t i = 0; i < n; i++) {
        uint64_t value;
        memcpy(&value, bytes + i * sizeof value, sizeof value);
        out[i] = (uint8_t)value;
        seen |= value;
    }
    return seen <= UINT8_MAX;
}

const uint8_t *infer_rows_bytes(struct infer_rows *rows, size_t n, uint8_t *scratch)
{
    const struct infer_tensor *tensor = rows->tensor;
    const size_t n_elements = n * tensor->n_columns;
    const size_t first = rows->next * tensor->n_columns * infer_type_bytes(tensor->type);
    bool is_narrow;

    if (tensor->bytes == NULL) {
        return NULL;
    }
    if (tensor->type == INFER_UINT8) {
        rows->next += n;
        return tensor->bytes + first;
    }
    is_narrow = tensor->type == INFER_INT32
                    ? narrow_int32(tensor->bytes + first, n_elements, scratch)
                    : narrow_int64(tensor->bytes + first, n_elements, scratch);
    if (!is_narrow) {
        return NULL;
    }
    rows->next += n;
    return scratch;
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static enum err too_few(const struct infer_rows *rows, size_t n_found, struct error *err)
{
    const struct infer_tensor *tensor = rows->tensor;

    return error_set(err, ERR_INVALID, "%s: data ends after %zu of the %zu elements of its shape",
                     tensor->name, n_found, tensor->n_rows * tensor->n_columns);
}

/* One row that is an array of its own. */
static enum err nested_row(struct infer_rows *rows, struct json_view *leaves, struct error *err)
{
    const struct infer_tensor *tensor = rows->tensor;
    struct json_view leaf;
    size_t n = 0;

    if (!rows->has_item) {
        return too_few(rows, rows->next * tensor->n_columns, err);
    }
    if (json_view_kind(rows->item) != JSON_KIND_ARRAY) {
        return error_set(err, ERR_INVALID, "%s[%zu]: must be an array as the rows before, not %s",
                         tensor->name, rows->next, json_view_kind_name(rows->item));
    }
    for (bool more = json_view_first(rows->item, &leaf); more; more = json_view_next(&leaf)) {
        if (n < tensor->n_columns) {
            leaves[n] = leaf;
        }
        n++;
    }
    if (n != tensor->n_columns) {
        return error_set(err, ERR_INVALID, "%s[%zu]: has %zu elements, and %zu by its shape",
                         tensor->name, rows->next, n, tensor->n_columns);
    }
    rows->has_item = json_view_next(&rows->item);
    return ERR_OK;
}

static enum err flat_row(struct infer_rows *rows, struct json_view *leaves, struct error *err)
{
    const size_t n_columns = rows->tensor->n_columns;

    for (size_t c = 0; c < n_columns; c++) {
        if (!rows->has_item) {
            return too_few(rows, rows->next * n_columns + c, err);
        }
        leaves[c] = rows->item;
        rows->has_item = json_view_next(&rows->item);
    }
    return ERR_OK;
}

/* The elements of the next row (n_columns). */
static enum err json_row(struct infer_rows *rows, struct json_view *leaves, struct error *err)
{
    return rows->is_nested ? nested_row(rows, leaves, err) : flat_row(rows, leaves, err);
}

/* Says what an element is where a number belongs. */
static enum err wrong_leaf(const struct infer_rows *rows, size_t column, struct json_view leaf,
                           struct error *err)
{
    const struct infer_tensor *tensor = rows->tensor;
    const bool is_whole = tensor->type <= INFER_INT64;
    const bool is_number = json_view_kind(leaf) == JSON_KIND_NUMBER;
    char row[32] = "";

    if (!tensor->is_vector) {
        (void)snprintf(row, sizeof row, "[%zu]", rows->next);
    }
    return error_set(err, ERR_INVALID, "%s%s[%zu]: must be a %s, not %s", tensor->name, row, column,
                     is_whole ? "whole number" : "number",
                     is_number ? "a fraction" : json_view_kind_name(leaf));
}

static enum err json_row_genes(struct infer_rows *rows, int32_t *genes, struct error *err)
{
    struct json_view leaves[INFER_MAX_COLUMNS] = {{NULL}};
    enum err rc = json_row(rows, leaves, err);

    for (size_t c = 0; rc == ERR_OK && c < rows->tensor->n_columns; c++) {
        int64_t whole = 0;
        if (!json_view_whole(leaves[c], &whole)) {
            rc = wrong_leaf(rows, c, leaves[c], err);
        }
        genes[c] = cut_to_int32(whole);
    }
    return rc;
}

static enum err json_row_numbers(struct infer_rows *rows, double *numbers, struct error *err)
{
    struct json_view leaves[INFER_MAX_COLUMNS] = {{NULL}};
    enum err rc = json_row(rows, leaves, err);

    for (size_t c = 0; rc == ERR_OK && c < rows->tensor->n_columns; c++) {
        if (json_view_kind(leaves[c]) != JSON_KIND_NUMBER) {
            return wrong_leaf(rows, c, leaves[c], err);
        }
        numbers[c] = json_view_number(leaves[c]);
    }
    return rc;
}

/* ---- both ------------------------------------------------------------------------------------ */

enum err infer_rows_genes(struct infer_rows *rows, size_t n, int32_t *genes, struct error *err)
{
    const struct infer_tensor *tensor = rows->tensor;
    const size_t n_columns = tensor->n_columns;

    if (tensor->bytes != NULL) {
        const unsigned char *first =
            tensor->bytes + rows->next * n_columns * infer_type_bytes(tensor->type);
        binary_genes(tensor->type, first, n * n_columns, genes);
        rows->next += n;
        return ERR_OK;
    }
    for (size_t i = 0; i < n; i++) {
        enum err rc = json_row_genes(rows, genes + i * n_columns, err);
        if (rc != ERR_OK) {
            return rc;
        }
        rows->next++;
    }
    return ERR_OK;
}

enum err infer_rows_numbers(struct infer_rows *rows, size_t n, double *numbers, struct error *err)
{
    const struct infer_tensor *tensor = rows->tensor;
    const size_t n_columns = tensor->n_columns;

    if (tensor->bytes != NULL) {
        const unsigned char *first =
            tensor->bytes + rows->next * n_columns * infer_type_bytes(tensor->type);
        binary_numbers(tensor->type, first, n * n_columns, numbers);
        rows->next += n;
        return ERR_OK;
    }
    for (size_t i = 0; i < n; i++) {
        enum err rc = json_row_numbers(rows, numbers + i * n_columns, err);
        if (rc != ERR_OK) {
            return rc;
        }
        rows->next++;
    }
    return ERR_OK;
}

enum err infer_rows_end(const struct infer_rows *rows, struct error *err)
{
    const struct infer_tensor *tensor = rows->tensor;

    if (!rows->has_item) {
        return ERR_OK;
    }
    return error_set(err, ERR_INVALID, "%s: data has more than the %zu elements of its shape",
                     tensor->name, tensor->n_rows * tensor->n_columns);
}

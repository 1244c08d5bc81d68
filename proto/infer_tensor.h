/* A tensor of the Open Inference Protocol as it stands in a body, and its rows in order.
 *
 * The elements are either binary (little-endian, row-major, without padding; Triton's extension
 * binary_tensor_data) or a JSON array, flat or nested as the shape. Rows are read where they stand,
 * some at a time, so a tensor costs no memory beside the body. JSON is checked while it is read:
 * only infer_rows_end() says that there were as many elements as the shape has.
 *
 * Everything here borrows the body. A struct infer_rows belongs to one thread. */
#ifndef DGLD_PROTO_INFER_TENSOR_H
#define DGLD_PROTO_INFER_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/json_view.h"

/* Type, name in the protocol, bytes of an element. Not core/tensor.h's types, though they are the same
 * five today: what a client may send and what a weight file may hold are set by others, each apart. */
#define INFER_TYPE_LIST(X)     \
    X(INFER_UINT8, "UINT8", 1) \
    X(INFER_INT32, "INT32", 4) \
    X(INFER_INT64, "INT64", 8) \
    X(INFER_FP32, "FP32", 4)   \
    X(INFER_FP64, "FP64", 8)

enum infer_type {
#define INFER_TYPE_ENUM(type, name, bytes) type,
    INFER_TYPE_LIST(INFER_TYPE_ENUM)
#undef INFER_TYPE_ENUM
        INFER_N_TYPES
};

/* INFER_N_TYPES where there is none of that name. */
enum infer_type infer_type_find(const char *name);
const char *infer_type_name(enum infer_type type);
size_t infer_type_bytes(enum infer_type type);

enum { INFER_MAX_COLUMNS = SPACE_MAX_GENES };

struct infer_tensor {
    const char *name;         /* for messages */
    enum infer_type type;     /* UINT8, INT32 or INT64 of genes; FP32 or FP64 of numbers */
    size_t n_rows, n_columns; /* columns at most INFER_MAX_COLUMNS; their product is no overflow */
    bool is_vector;           /* the shape is [n_columns]; n_rows is 1 */
    const unsigned char *bytes; /* the elements, not aligned; NULL: they are in `data` */
    struct json_view data;      /* a JSON array */
};

struct infer_rows {
    const struct infer_tensor *tensor;
    size_t next;           /* the row that is read next */
    struct json_view item; /* of JSON: what was not read yet ... */
    bool has_item;         /* ... if there is something */
    bool is_nested;
};

/* From the first row on. */
void infer_rows_begin(struct infer_rows *rows, const struct infer_tensor *tensor);

/* The next n rows, which the shape has, into `genes` (n, n_columns); a number beyond int32_t is cut
 * to its bound. ERR_INVALID names the element. */
enum err infer_rows_genes(struct infer_rows *rows, size_t n, int32_t *genes, struct error *err);

/* The same for a tensor of numbers, into `numbers` (n, n_columns); whether they are finite is not
 * looked at. */
enum err infer_rows_numbers(struct infer_rows *rows, size_t n, double *numbers, struct error *err);

/* The next n rows of genes as bytes: where they stand in the body, or narrowed into `scratch`
 * (n, n_columns). NULL, and nothing read, where they are JSON or some gene needs more than a byte.
 */
const uint8_t *infer_rows_bytes(struct infer_rows *rows, size_t n, uint8_t *scratch);

/* Whether the elements end with the last row. Only after all rows were read. */
enum err infer_rows_end(const struct infer_rows *rows, struct error *err);

#endif

/* The safetensors file format: 8 bytes of header length, a JSON header that names tensors with
 * type, shape and place, and their bytes. Python's `safetensors` opens what we write, and we open
 * what it writes where the types are those of core/tensor.h.
 *
 * Reading trusts nothing: lengths, places, overlaps, holes, types and shapes are checked, and where
 * the metadata holds "sha256" the bytes of the tensors must have that digest. Thread-safe. */
#ifndef DGLD_PROTO_SAFETENSORS_H
#define DGLD_PROTO_SAFETENSORS_H

#include <stddef.h>

#include "core/error.h"
#include "core/tensor.h"

#define SAFETENSORS_MAX_FILE_BYTES   ((size_t)64 << 20)
#define SAFETENSORS_MAX_HEADER_BYTES ((size_t)1 << 20)

struct safetensors_meta {
    char *key, *value; /* of a struct safetensors owned, else borrowed */
};

struct safetensors {
    struct tensor *tensors; /* owned; their data points into the bytes that were parsed */
    size_t n_tensors;
    struct safetensors_meta *meta; /* owned */
    size_t n_meta;
};

/* Parses `bytes` (size), which must outlive `out`; on success the caller ends that with
 * safetensors_close(). ERR_INVALID or ERR_SYNTAX with the reason; ERR_NOMEM. */
enum err safetensors_parse(const char *bytes, size_t size, struct safetensors *out,
                           struct error *err);

/* The same by the header alone: `bytes` are the first ones of a file of `file_bytes`, at least
 * safetensors_head_bytes(). The tensors have no data, and nothing is known about their digest. */
enum err safetensors_parse_header(const char *bytes, size_t size, size_t file_bytes,
                                  struct safetensors *out, struct error *err);

/* How many bytes of a file of `file_bytes` are needed for that, by its first 8. ERR_SYNTAX where no
 * file begins so. */
enum { SAFETENSORS_LENGTH_BYTES = 8 };
enum err safetensors_head_bytes(const char *bytes, size_t file_bytes, size_t *out,
                                struct error *err);

/* Accepts a zeroed struct. */
void safetensors_close(struct safetensors *st);

/* The value of a metadata key, which stays the file's, or NULL. */
const char *safetensors_meta(const struct safetensors *st, const char *key);

/* Writes tensors and metadata into a fresh block (mem_free() it). The digest of the tensors' bytes
 * is added to the metadata as "sha256". The same input gives the same bytes. ERR_NOMEM. */
enum err safetensors_encode(const struct tensor *tensors, size_t n_tensors,
                            const struct safetensors_meta *meta, size_t n_meta, char **bytes,
                            size_t *size, struct error *err);

#endif

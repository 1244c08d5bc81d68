/* libzip's functions, loaded to write a TorchScript archive. See core/late_library.h. */
#ifndef DGLD_PROTO_LIBZIP_H
#define DGLD_PROTO_LIBZIP_H

#include <zip.h>

#include "core/error.h"
#include "core/late_library.h"

#define LIBZIP_FUNCTIONS(X)           \
    X(zip_close)                      \
    X(zip_discard)                    \
    X(zip_error_set)                  \
    X(zip_error_to_data)              \
    X(zip_file_add)                   \
    X(zip_file_extra_field_set)       \
    X(zip_file_set_dostime)           \
    X(zip_get_num_entries)            \
    X(zip_open_from_source)           \
    X(zip_set_file_compression)       \
    X(zip_source_free)                \
    X(zip_source_function)            \
    X(zip_source_function_create)     \
    X(zip_source_seek_compute_offset) \
    X(zip_stat_init)                  \
    X(zip_strerror)

struct libzip {
    LIBZIP_FUNCTIONS(LATE_MEMBER)
};

/* Nobody calls any of it before libzip_load() succeeded. */
extern struct libzip libzip;

/* See late_library_load(). */
enum err libzip_load(struct error *err);

#endif

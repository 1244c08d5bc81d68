/* Reading whole files. Thread-safe. */
#ifndef DGLD_CORE_FILE_H
#define DGLD_CORE_FILE_H

#include <stddef.h>

#include "core/error.h"

/* Reads a regular file of at most `max_bytes` into a block that the caller owns and ends with
 * mem_free(); a terminator follows the `*size` bytes. ERR_NOT_FOUND, ERR_IO, ERR_LIMIT, ERR_NOMEM;
 * the message names the path. */
enum err file_read(const char *path, size_t max_bytes, char **bytes, size_t *size,
                   struct error *err);

#endif

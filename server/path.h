/* Paths of files, made with a check of their length. Thread-safe. */
#ifndef DGLD_SERVER_PATH_H
#define DGLD_SERVER_PATH_H

#include <stdbool.h>

#include "core/error.h"

enum { PATH_BYTES = 4096 };

/* Formats into `out` (PATH_BYTES). ERR_LIMIT where it does not fit. */
enum err path_format(char *out, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

bool path_is_file(const char *path);

#endif

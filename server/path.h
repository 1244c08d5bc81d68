/* Paths of files, made with a check of their length. Thread-safe. */
#ifndef DGLD_SERVER_PATH_H
#define DGLD_SERVER_PATH_H

#include <stdbool.h>

#include "core/error.h"

enum { PATH_BYTES = 4096 };

/* Formats into `out` (PATH_BYTES). ERR_LIMIT where it does not fit. */
enum err path_format(char *out, struct error *err, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* `name` below `root`; an absolute one is taken as it is. */
enum err path_below(char *out, const char *root, const char *name, struct error *err);

/* Whether every user of the machine may read the file: nothing for secrets. */
bool path_is_open_to_all(const char *path);

bool path_is_file(const char *path);

/* Whether anything stands at the path that may be looked at, or must not be: only what is certainly
 * absent is not there. */
bool path_is_there(const char *path);

#endif

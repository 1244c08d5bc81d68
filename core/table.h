/* The text tables of data/: numbers in rows, separated by blanks or tabs.
 *
 * Read are LF and CRLF line ends, a missing last one, a UTF-8 byte order mark, and blank lines at
 * the end. Refused, with file, line and reason, is everything else: a word that is not a plain
 * decimal number, NaN and infinity, a wrong number of columns, a blank line between rows (rows are
 * counted, so a hole would shift them), an empty file. Such errors are ERR_SYNTAX, or ERR_INVALID for
 * a number that may not be; besides, those of file_read(). Thread-safe. */
#ifndef DGLD_CORE_TABLE_H
#define DGLD_CORE_TABLE_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

#define TABLE_MAX_FILE_BYTES ((size_t)256 << 20)

struct table {
    double *values; /* (n_rows, n_columns), row-major, owned; row i stands in line i + 1 */
    size_t n_rows, n_columns;
};

/* Reads rows of exactly `n_columns` numbers. On success the caller ends it with table_close(). */
enum err table_read(const char *path, size_t n_columns, struct table *out, struct error *err);

/* Reads exactly `n_values` numbers, on however many lines; `lines` (n_values) receives where each
 * of them stands, and may be NULL. */
enum err table_read_values(const char *path, size_t n_values, double *values, size_t *lines,
                           struct error *err);

/* A column of positive numbers, `n_rows` of them (0: any number, returned in *n_read, which may be
 * NULL otherwise). The block (n_rows) belongs to the caller, ended with mem_free(). */
enum err table_read_positive(const char *path, size_t n_rows, double **values, size_t *n_read,
                             struct error *err);

/* Accepts a zeroed struct. */
void table_close(struct table *table);

#endif

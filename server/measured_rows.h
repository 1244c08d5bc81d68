/* What was measured of a device, as it is stored or given in a file of CSV. A struct measured_rows
 * belongs to its creator; the functions share nothing. */
#ifndef DGLD_SERVER_MEASURED_ROWS_H
#define DGLD_SERVER_MEASURED_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "server/data_tree.h"

struct measured_rows {
    int32_t *genes;     /* (n, n_genes), owned, valid */
    double *latency_ms; /* (n), owned */
    size_t n;
};

/* Reads the CSV of these bytes; ERR_SYNTAX and ERR_INVALID name the line. */
enum err measured_rows_parse(const struct space *space, const char *bytes, size_t size,
                             struct measured_rows *out, struct error *err);

/* Reads a file of them. Messages begin with its path. */
enum err measured_rows_read(const struct space *space, const char *path, struct measured_rows *out,
                            struct error *err);

/* Reads what is stored of a device by any spelling of its name (data_find_measurements()). None is
 * no error: n is 0 then. */
enum err measured_rows_load(const struct data_tree *tree, const struct space *space,
                            const char *device, struct measured_rows *out, struct error *err);

/* Accepts a zeroed struct. */
void measured_rows_close(struct measured_rows *rows);

#endif

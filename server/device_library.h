/* Measurements of devices as files have them, one device's or a whole library to learn from.
 *
 *   <directory>/<device>.csv    architecture,latency_ms
 *
 * The directory is measurements/ of the space (server/data_tree.h), or one that is named. Structs
 * belong to their creator; the functions share nothing. */
#ifndef DGLD_SERVER_DEVICE_LIBRARY_H
#define DGLD_SERVER_DEVICE_LIBRARY_H

#include "core/calibration_prior.h"
#include "core/error.h"
#include "server/data_tree.h"
#include "server/names.h"

/* What is measured of a device. */
struct device_rows {
    int32_t *genes;     /* (n, n_genes), owned */
    double *latency_ms; /* (n), owned */
    size_t n;
};

/* Reads a file of at most LIBRARY_MAX_ROWS. Messages begin with its path. */
enum err device_rows_read(const struct space *space, const char *path, struct device_rows *out,
                          struct error *err);

/* Reads the stored measurements of a device, by any spelling of its name; `name` (may be NULL)
 * receives how it is spelled. ERR_NOT_FOUND where there are none. */
enum err device_rows_find(const struct data_tree *tree, const struct space *space,
                          const char *device, struct device_rows *out, char name[DEVICE_NAME_BYTES],
                          struct error *err);

/* Accepts a zeroed struct. */
void device_rows_close(struct device_rows *rows);

/* A library; `devices` borrows from the rest. */
struct device_library {
    struct names names; /* sorted, each once */
    struct library_device devices[LIBRARY_MAX_DEVICES];
    struct device_rows rows[LIBRARY_MAX_DEVICES];
    struct hardware hardware[LIBRARY_MAX_DEVICES];
    size_t n;
    size_t n_rows; /* of them all */
};

/* Reads all devices of `directory` (NULL: the space's measurements/), or those of `only` (may be
 * NULL) whose names may differ in case. Those that have a data sheet get its numbers. `bad` (may be
 * NULL) receives the position in `only` of the name that is at fault, or SIZE_MAX. ERR_NOT_FOUND
 * where there is none; ERR_LIMIT where there are too many. The caller ends `out` with device_library_close() on success. */
enum err device_library_load(const struct data_tree *tree, const struct space *space,
                             const char *directory, const struct names *only,
                             struct device_library *out, size_t *bad, struct error *err);

/* Accepts a zeroed struct. */
void device_library_close(struct device_library *library);

#endif

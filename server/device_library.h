/* Measurements of several devices as files have them: a library to learn from.
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
#include "server/measured_rows.h"
#include "server/names.h"

/* A library; `devices` borrows from the rest. */
struct device_library {
    struct names names; /* sorted, each once */
    struct library_device devices[LIBRARY_MAX_DEVICES];
    struct measured_rows rows[LIBRARY_MAX_DEVICES];
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

/* Architectures with what was measured of them, and how they are split for validation.
 * A struct dataset belongs to its creator; the functions share nothing. */
#ifndef DGLD_CORE_DATASET_H
#define DGLD_CORE_DATASET_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"

struct dataset {
    const struct space *space;
    size_t n_rows;
    int32_t *genes; /* (n_rows, space->n_genes), row-major, owned; every row valid */
};

/* Reads `net_path`, one architecture a row. On success the caller ends it with dataset_close().
 * Errors of table_read(); ERR_INVALID names file and line, and for a gene its number, value and what
 * is allowed. */
enum err dataset_load(const struct space *space, const char *net_path, struct dataset *out,
                      struct error *err);

/* Accepts a zeroed struct. */
void dataset_close(struct dataset *dataset);

/* Numbers the distinct architectures from 0 in the order of their first row: group (n_rows)
 * receives each row's number, *n_groups how many there are. ERR_NOMEM. */
enum err dataset_group(const struct space *space, const int32_t *genes, size_t n_rows,
                       size_t *group, size_t *n_groups, struct error *err);

/* Deals the rows into `n_folds` folds at random, equal architectures always into the same one:
 * fold (n_rows) receives 0 .. n_folds - 1; n_folds is positive. The same seed deals alike.
 * ERR_INVALID where there are fewer distinct architectures than folds; ERR_NOMEM. */
enum err dataset_fold(const struct space *space, const int32_t *genes, size_t n_rows,
                      size_t n_folds, uint64_t seed, size_t *fold, struct error *err);

/* The network parameter A of every architecture from its latencies on several devices, through the
 * device formula (core/device.h): log latency = log A + log k + b, where b is what the formula
 * misses of a device. b is that device's median residual, made zero in the median over devices; log
 * A is a biweight location over devices, so that a wild measurement in one file is outvoted.
 * `latency_ms` is (n_devices, n_rows), positive; `factors` (n_devices) are hardware_factor(), NaN of
 * a device whose hardware nobody knows, which tells of the architectures all the same, but has no
 * part in that median; one at least is known. `a` (n_rows) receives ms per unit of k. ERR_NOMEM. */
enum err dataset_fit_parameter(const double *latency_ms, const double *factors, size_t n_devices,
                               size_t n_rows, double *a, struct error *err);

#endif

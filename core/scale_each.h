/* Products in double precision, rounded to single: many at a time, the same on every host. Pure and
 * thread-safe. */
#ifndef DGLD_CORE_SCALE_EACH_H
#define DGLD_CORE_SCALE_EACH_H

#include <stdbool.h>
#include <stddef.h>

/* out[i] := a[i] * factor[i] for all n. Whether all are finite in single precision. */
bool scale_each(const double *a, const double *factor, size_t n, float *out);

#endif

/* What cannot be had better in one respect without losing in the other: the front of accuracy, the
 * higher the better, and latency, the lower the better. Pure functions, thread-safe. */
#ifndef DGLD_CORE_SEARCH_PARETO_H
#define DGLD_CORE_SEARCH_PARETO_H

#include <stddef.h>

#include "core/error.h"

/* Finds the rows of `accuracy` and `latency_ms` (n each, finite) that no other row dominates: none
 * is as accurate and as fast, and better in one of the two. Of equal rows the first stands for all.
 * `front` (room for n) receives them with the latency ascending, so the accuracy ascends too;
 * *n_front how many they are. ERR_NOMEM. */
enum err search_pareto(const double *accuracy, const double *latency_ms, size_t n, size_t *front,
                       size_t *n_front, struct error *err);

/* The area that the front (as above) dominates, up to the reference point: the integral over latency
 * of accuracy above `reference_accuracy`, from the fastest of the front to `reference_latency_ms`.
 * Unit: that of accuracy times ms. What does not reach the reference point adds nothing. */
double search_hypervolume(const double *accuracy, const double *latency_ms, const size_t *front,
                          size_t n_front, double reference_accuracy, double reference_latency_ms);

#endif

/* Standardisation of features: their means and spreads over the architectures of a space. It is a
 * property of the space, the same whatever rows are at hand. Thread-safe. */
#ifndef DGLD_CORE_SPACE_STANDARD_H
#define DGLD_CORE_SPACE_STANDARD_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"

/* Over a fixed sample of the space: mean (n_features) receives each feature's mean, `inverse`
 * (n_features) 1 over its standard deviation, and 0 where the feature is constant. `compute` writes
 * the features of an architecture. ERR_NOMEM. */
enum err space_standardise(const struct space *space, size_t n_features,
                           void (*compute)(const struct space *space, const int32_t *genes,
                                           double *features),
                           double *mean, double *inverse, struct error *err);

/* An architecture of the space, every gene drawn evenly. */
struct rng;
void space_draw(const struct space *space, struct rng *rng, int32_t *genes);

#endif

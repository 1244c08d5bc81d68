/* The default predictor, predictor_kind_cost: a robust Bayesian linear model on operator costs.
 *
 *     log A = level + log c(arch) + phi(arch) . beta + noise
 *
 * c is the nominal cost and phi = [1, standardised features] of the search space (struct
 * space_features). The regression is that of core/robust_fit.h, with one prior variance a feature
 * group; rows that it leaves out are distrusted, and named. The fit is deterministic, without
 * random numbers; standardisation is a property of the space, not of the rows, so any number of
 * rows from 1 gives a finite model. */
#ifndef DGLD_CORE_PREDICTOR_COST_H
#define DGLD_CORE_PREDICTOR_COST_H

#include "core/predictor.h"
#include "core/robust_fit.h"

/* More rows than this, or more rows times columns, are refused: the fit holds them all in memory,
 * twice. The second bound is the lower one only where a space has more than 127 features. */
#define COST_FIT_MAX_ROWS  ((size_t)200000)
#define COST_FIT_MAX_CELLS (COST_FIT_MAX_ROWS * 128)

/* Degrees of freedom of the noise. A predictive standard deviation is sqrt(2) scales of the t. */
#define COST_NOISE_DOF ROBUST_FIT_DOF

#endif

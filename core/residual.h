/* The features by which one device differs from another: a space's own (struct space_residuals),
 * or, where it has none, those that every space has: which value each gene holds. A basis is plain
 * data, of some 4 KB; it is read by any number of threads. */
#ifndef DGLD_CORE_RESIDUAL_H
#define DGLD_CORE_RESIDUAL_H

#include <stdint.h>

#include "core/error.h"
#include "core/space.h"

/* An architecture is described by x = [1, base, features], where base is some function of its A. */
enum { RESIDUAL_BASE = 1, RESIDUAL_FIRST = 2, RESIDUAL_MAX_WIDTH = 2 + SPACE_MAX_RESIDUALS };

struct residual_basis {
    const struct space *space;
    struct space_residuals residuals;
    size_t p;                            /* features */
    size_t q;                            /* p + RESIDUAL_FIRST, the width of x */
    double mean[SPACE_MAX_RESIDUALS];    /* over the space */
    double inverse[SPACE_MAX_RESIDUALS]; /* 1 over the standard deviation; 0 for a constant */
};

/* How many features there are. */
size_t residual_count(const struct space *space);

/* Nothing is to be closed. ERR_NOMEM. */
enum err residual_basis_init(struct residual_basis *basis, const struct space *space,
                             struct error *err);

/* x (q) of an architecture whose genes are valid, with a base of 0. */
void residual_describe(const struct residual_basis *basis, const int32_t *genes, double *x);

/* row (q): the linear function of x that is standardised feature j, 0 .. p - 1. */
void residual_standardised(const struct residual_basis *basis, size_t j, double *row);

/* row (q): the one that `coefficients` (1 + p) on 1 and the standardised features make. */
void residual_function(const struct residual_basis *basis, const double *coefficients, double *row);

#endif

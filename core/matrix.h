/* The few dense operations that the predictors need, row-major, in double precision, on OpenBLAS
 * and LAPACK. Triangles are lower ones; what lies above the diagonal is neither read nor, unless
 * said, written. Nothing here allocates. Thread-safe after matrix_init(). */
#ifndef DGLD_CORE_MATRIX_H
#define DGLD_CORE_MATRIX_H

#include <stddef.h>

#include "core/error.h"

/* To be called once, before any thread is started: every BLAS call shall run in its caller's
 * thread. ERR_INTERNAL where the OpenBLAS at hand is its serial build: that one keeps no locks, and
 * two threads that call it at once get wrong results (tests/unit/test_matrix.c shows it). */
enum err matrix_init(struct error *err);

/* gram (p, p), lower triangle := transpose(x) * x, where x is (n, p). */
void matrix_gram(const double *x, size_t n, size_t p, double *gram);

/* In place: the lower triangle of a symmetric positive definite (p, p) becomes its Cholesky factor.
 * ERR_NUMERIC where it is not positive definite. */
enum err matrix_cholesky(double *a, size_t p, struct error *err);

/* In place: the lower triangle (p, p) becomes its inverse. ERR_NUMERIC where it is singular. */
enum err matrix_invert_lower(double *l, size_t p, struct error *err);

/* In place: x (n, p) := x * transpose(l), where l is a lower triangle (p, p). */
void matrix_times_lower_transposed(double *x, size_t n, const double *l, size_t p);

/* y (n, m) := x * transpose(z), where x is (n, p) and z (m, p). */
void matrix_times_transposed(const double *x, size_t n, const double *z, size_t m, size_t p,
                             double *y);

/* In place: the first p rows of x (n, p), n >= p, become an upper triangle with the same gram; what
 * lies below the diagonal is not defined. `scratch` holds MATRIX_TRIANGULARISE_SCRATCH(p) numbers.
 */
#define MATRIX_TRIANGULARISE_SCRATCH(p) (33 * (p))
void matrix_triangularise(double *x, size_t n, size_t p, double *scratch);

/* y (n) := x * b, where x is (n, p) and b (p). */
void matrix_times_vector(const double *x, size_t n, size_t p, const double *b, double *y);

/* y (p) := transpose(x) * b, where x is (n, p) and b (n). */
void matrix_transposed_times_vector(const double *x, size_t n, size_t p, const double *b,
                                    double *y);

/* In place: b (p) := the solution of l * transpose(l) * solution = b. */
void matrix_solve_cholesky(const double *l, size_t p, double *b);

#endif

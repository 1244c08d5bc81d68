/* The few dense operations that the predictors need, row-major, in double precision, on OpenBLAS
 * and LAPACK. Triangles are lower ones; what lies above the diagonal is neither read nor, unless
 * said, written. Nothing here allocates. Thread-safe after matrix_init(). */
#ifndef DGLD_CORE_MATRIX_H
#define DGLD_CORE_MATRIX_H

#include <stddef.h>

#include "core/error.h"

/* To be called once, before any thread is started: every BLAS call shall run in its caller's
 * thread, and OpenBLAS has none of its own. ERR_INTERNAL where the OpenBLAS at hand is its serial
 * build: that one keeps no locks, and two threads that call it at once get wrong results
 * (tests/unit/test_matrix.c shows it). */
enum err matrix_init(struct error *err);

/* gram (p, p), lower triangle := transpose(x) * x, where x is (n, p). */
void matrix_gram(const double *x, size_t n, size_t p, double *gram);

/* gram (p, p), lower triangle := gram - transpose(x) * x. */
void matrix_subtract_gram(const double *x, size_t n, size_t p, double *gram);

/* gram (n, n), lower triangle := x * transpose(x), where x is (n, p), part of rows of `stride`. */
void matrix_row_gram(const double *x, size_t n, size_t p, size_t stride, double *gram);

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

/* y (n, m) := x * z, where x is (n, p) and z (p, m). */
void matrix_times(const double *x, size_t n, const double *z, size_t m, size_t p, double *y);

/* In place: x (n, p) := l * x, where l is a lower triangle (n, n). */
void matrix_lower_times(const double *l, size_t n, double *x, size_t p);

/* In place: x (n, p) := inverse(l) * x, where l is a lower triangle (n, n). */
void matrix_solve_lower(const double *l, size_t n, double *x, size_t p);

/* y (n) := x * b, where x is (n, p) and b (p). */
void matrix_times_vector(const double *x, size_t n, size_t p, const double *b, double *y);

/* y (p) := transpose(x) * b, where x is (n, p) and b (n). */
void matrix_transposed_times_vector(const double *x, size_t n, size_t p, const double *b,
                                    double *y);

/* In place: b (p) := the solution of l * transpose(l) * solution = b. */
void matrix_solve_cholesky(const double *l, size_t p, double *b);

#endif

#include "core/matrix.h"

#include <stdbool.h>

#include <cblas.h>
#include <f77blas.h>

/* LAPACK counts in columns: our row-major lower triangle is its upper one. It is called as OpenBLAS
 * has it, by addresses of what is only read: LAPACKE hands the same arguments on, and would load
 * four more libraries at every start. */
static char lower_of_ours = 'U', not_unit = 'N';

/* Ends the threads that OpenBLAS has started. It is in no header of OpenBLAS's, whose serial build has
 * none: hence weak. */
extern int blas_thread_shutdown_(void) __attribute__((weak));

enum err matrix_init(struct error *err)
{
    if (openblas_get_parallel() == OPENBLAS_SEQUENTIAL) {
        return error_set(err, ERR_INTERNAL,
                         "the OpenBLAS in use is its serial build, which is not safe to call from "
                         "several threads; install libopenblas0-pthread");
    }
    openblas_set_num_threads(1);
    if (blas_thread_shutdown_ != NULL) {
        (void)blas_thread_shutdown_(); /* they have no work, and spin for the time of a start */
    }
    return ERR_OK;
}

void matrix_gram(const double *x, size_t n, size_t p, double *gram)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)p, (int)n, 1.0, x, (int)p, 0.0, gram,
                (int)p);
}

void matrix_subtract_gram(const double *x, size_t n, size_t p, double *gram)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasTrans, (int)p, (int)n, -1.0, x, (int)p, 1.0, gram,
                (int)p);
}

void matrix_row_gram(const double *x, size_t n, size_t p, size_t stride, double *gram)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)n, (int)p, 1.0, x, (int)stride, 0.0,
                gram, (int)n);
}

enum err matrix_cholesky(double *a, size_t p, struct error *err)
{
    blasint order = (blasint)p, info = 0;
    bool is_positive;

    (void)dpotrf_(&lower_of_ours, &order, a, &order, &info);
    is_positive = info == 0;
    for (size_t i = 0; i < p; i++) { /* OpenBLAS lets NaN pass */
        is_positive = is_positive && a[i * p + i] > 0.0;
    }
    if (!is_positive) {
        return error_set(err, ERR_NUMERIC, "a matrix of %zu rows is not positive definite", p);
    }
    return ERR_OK;
}

enum err matrix_invert_lower(double *l, size_t p, struct error *err)
{
    blasint order = (blasint)p, info = 0;

    (void)dtrtri_(&lower_of_ours, &not_unit, &order, l, &order, &info);
    if (info != 0) {
        return error_set(err, ERR_NUMERIC, "a triangle of %zu rows is singular", p);
    }
    return ERR_OK;
}

void matrix_times_lower_transposed(double *x, size_t n, const double *l, size_t p)
{
    cblas_dtrmm(CblasRowMajor, CblasRight, CblasLower, CblasTrans, CblasNonUnit, (int)n, (int)p,
                1.0, l, (int)p, x, (int)p);
}

void matrix_times_transposed(const double *x, size_t n, const double *z, size_t m, size_t p,
                             double *y)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)n, (int)m, (int)p, 1.0, x, (int)p, z,
                (int)p, 0.0, y, (int)m);
}

void matrix_times(const double *x, size_t n, const double *z, size_t m, size_t p, double *y)
{
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)n, (int)m, (int)p, 1.0, x, (int)p,
                z, (int)m, 0.0, y, (int)m);
}

void matrix_lower_times(const double *l, size_t n, double *x, size_t p)
{
    cblas_dtrmm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)p,
                1.0, l, (int)n, x, (int)p);
}

void matrix_solve_lower(const double *l, size_t n, double *x, size_t p)
{
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasLower, CblasNoTrans, CblasNonUnit, (int)n, (int)p,
                1.0, l, (int)n, x, (int)p);
}

void matrix_times_vector(const double *x, size_t n, size_t p, const double *b, double *y)
{
    cblas_dgemv(CblasRowMajor, CblasNoTrans, (int)n, (int)p, 1.0, x, (int)p, b, 1, 0.0, y, 1);
}

void matrix_transposed_times_vector(const double *x, size_t n, size_t p, const double *b, double *y)
{
    cblas_dgemv(CblasRowMajor, CblasTrans, (int)n, (int)p, 1.0, x, (int)p, b, 1, 0.0, y, 1);
}

void matrix_solve_cholesky(const double *l, size_t p, double *b)
{
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasNoTrans, CblasNonUnit, (int)p, l, (int)p, b, 1);
    cblas_dtrsv(CblasRowMajor, CblasLower, CblasTrans, CblasNonUnit, (int)p, l, (int)p, b, 1);
}

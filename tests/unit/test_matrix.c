/* core/matrix.h against naive loops, on shapes that are no multiple of anything, and from several
 * threads at once. */
#include <pthread.h>

#include "core/matrix.h"
#include "core/rng.h"
#include "tests/support/check.h"

/* Rounding of a few hundred additions of numbers of size 1. */
#define TOLERANCE 1e-12

static const struct {
    size_t n, p;
} shapes[] = {
    {1,   1 },
    {1,   7 },
    {5,   3 },
    {3,   5 },
    {17,  13},
    {64,  81},
    {501, 39},
};

enum { MOST_ROWS = 501, MOST_COLUMNS = 81 };

/* Room for the largest shape, filled at random in [-1, 1). */
struct matrices {
    struct rng rng;
    double x[MOST_ROWS * MOST_COLUMNS], y[MOST_ROWS * MOST_COLUMNS];
    double square[MOST_COLUMNS * MOST_COLUMNS], kept[MOST_COLUMNS * MOST_COLUMNS];
    double b[MOST_ROWS], out[MOST_ROWS];
};

static int make_matrices(void **state)
{
    static struct matrices m;

    rng_init(&m.rng, 1);
    *state = &m;
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

static void fill(struct matrices *m, double *values, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        values[i] = 2.0 * rng_uniform(&m->rng) - 1.0;
    }
}

/* A well-conditioned lower triangle; what lies above is NaN, so that reading it would show. */
static void fill_triangle(struct matrices *m, double *l, size_t p)
{
    fill(m, l, p * p);
    for (size_t i = 0; i < p; i++) {
        l[i * p + i] = 2.0 + l[i * p + i];
        for (size_t j = 0; j < i; j++) {
            l[i * p + j] /= (double)p;
        }
        for (size_t j = i + 1; j < p; j++) {
            l[i * p + j] = NAN;
        }
    }
}

/* l * transpose(l), lower triangle; NaN above. */
static void multiply_out(const double *l, size_t p, double *a)
{
    for (size_t i = 0; i < p; i++) {
        for (size_t j = 0; j < p; j++) {
            double sum = 0;
            for (size_t k = 0; j <= i && k <= j; k++) {
                sum += l[i * p + k] * l[j * p + k];
            }
            a[i * p + j] = j <= i ? sum : NAN;
        }
    }
}

static void gram_is_the_sum_of_products_of_columns(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t n = shapes[s].n;
        const size_t p = shapes[s].p;
        fill(m, m->x, n * p);
        fill(m, m->square, p * p); /* what was there before must not matter */
        matrix_gram(m->x, n, p, m->square);
        for (size_t i = 0; i < p * p; i++) {
            double sum = 0;
            for (size_t k = 0; k < n; k++) {
                sum += m->x[k * p + i / p] * m->x[k * p + i % p];
            }
            if (i % p <= i / p) {
                assert_near(m->square[i], sum, TOLERANCE);
            }
        }
    }
}

static void gram_leaves_what_lies_above_the_diagonal(void **state)
{
    struct matrices *m = *state;

    fill(m, m->x, 5 * 3);
    m->square[1] = m->square[2] = m->square[5] = 77;
    matrix_gram(m->x, 5, 3, m->square);
    assert_true(m->square[1] == 77 && m->square[2] == 77 && m->square[5] == 77);
}

static void cholesky_finds_the_factor(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t p = shapes[s].p;
        struct error err = {0};
        fill_triangle(m, m->kept, p);
        multiply_out(m->kept, p, m->square);
        assert_ok(matrix_cholesky(m->square, p, &err), &err);
        for (size_t i = 0; i < p * p; i++) {
            if (i % p <= i / p) {
                assert_near(m->square[i], m->kept[i], TOLERANCE);
            }
        }
    }
}

static void what_is_not_positive_definite_is_a_numeric_error(void **state)
{
    double indefinite[] = {1, 0, 2, 1}; /* eigenvalues 3 and -1 */
    double zero[] = {0, 0, 0, 0};
    double not_a_number[] = {NAN, 0, 0, 1};
    double singular[] = {1, 0, 5, 0};
    struct error err = {0};

    (void)state;
    assert_error(matrix_cholesky(indefinite, 2, &err), ERR_NUMERIC, &err, "not positive definite");
    assert_error(matrix_cholesky(zero, 2, &err), ERR_NUMERIC, &err, "2 rows");
    assert_error(matrix_cholesky(not_a_number, 2, &err), ERR_NUMERIC, &err,
                 "not positive definite");
    assert_error(matrix_invert_lower(singular, 2, &err), ERR_NUMERIC, &err, "singular");
}

static void the_inverse_of_a_triangle_times_the_triangle_is_one(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t p = shapes[s].p;
        struct error err = {0};
        fill_triangle(m, m->kept, p);
        memcpy(m->square, m->kept, p * p * sizeof *m->square);
        assert_ok(matrix_invert_lower(m->square, p, &err), &err);
        for (size_t i = 0; i < p; i++) {
            for (size_t j = 0; j <= i; j++) {
                double sum = 0;
                for (size_t k = j; k <= i; k++) {
                    sum += m->kept[i * p + k] * m->square[k * p + j];
                }
                assert_near(sum, i == j ? 1.0 : 0.0, TOLERANCE);
            }
        }
    }
}

static void rows_are_multiplied_by_the_transposed_triangle(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t n = shapes[s].n;
        const size_t p = shapes[s].p;
        fill_triangle(m, m->square, p);
        fill(m, m->x, n * p);
        memcpy(m->y, m->x, n * p * sizeof *m->y);
        matrix_times_lower_transposed(m->x, n, m->square, p);
        for (size_t i = 0; i < n * p; i++) {
            double sum = 0;
            for (size_t k = 0; k <= i % p; k++) {
                sum += m->y[i / p * p + k] * m->square[i % p * p + k];
            }
            assert_near(m->x[i], sum, TOLERANCE);
        }
    }
}

static void a_gram_is_subtracted_and_that_of_rows_takes_part_of_them(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t n = shapes[s].n < MOST_COLUMNS ? shapes[s].n : MOST_COLUMNS;
        const size_t p = shapes[s].p;
        const size_t part = p - p / 3;
        fill(m, m->x, n * p);
        fill(m, m->kept, p * p);
        memcpy(m->square, m->kept, p * p * sizeof *m->square);
        matrix_subtract_gram(m->x, n, p, m->square);
        matrix_row_gram(m->x + p / 3, n, part, p, m->y);
        for (size_t i = 0; i < p; i++) {
            for (size_t j = 0; j < p; j++) {
                double sum = m->kept[i * p + j];
                for (size_t k = 0; k < n && j <= i; k++) {
                    sum -= m->x[k * p + i] * m->x[k * p + j];
                }
                assert_near(m->square[i * p + j], sum, TOLERANCE);
            }
        }
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j <= i; j++) {
                double sum = 0;
                for (size_t k = p / 3; k < p; k++) {
                    sum += m->x[i * p + k] * m->x[j * p + k];
                }
                assert_near(m->y[i * n + j], sum, TOLERANCE);
            }
        }
    }
}

static void a_product_is_the_sum_over_what_is_between(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t n = shapes[s].n;
        const size_t p = shapes[s].p;
        fill(m, m->x, n * p);
        fill(m, m->square, p * p);
        matrix_times(m->x, n, m->square, p, p, m->y);
        for (size_t i = 0; i < n * p; i++) {
            double sum = 0;
            for (size_t k = 0; k < p; k++) {
                sum += m->x[i / p * p + k] * m->square[k * p + i % p];
            }
            assert_near(m->y[i], sum, TOLERANCE);
        }
    }
}

static void a_triangle_times_columns_is_undone_by_solving(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t n = shapes[s].n < MOST_COLUMNS ? shapes[s].n : MOST_COLUMNS;
        const size_t p = shapes[s].p;
        fill_triangle(m, m->square, n);
        fill(m, m->x, n * p);
        memcpy(m->y, m->x, n * p * sizeof *m->y);
        matrix_lower_times(m->square, n, m->y, p);
        for (size_t i = 0; i < n * p; i++) {
            double sum = 0;
            for (size_t k = 0; k <= i / p; k++) {
                sum += m->square[i / p * n + k] * m->x[k * p + i % p];
            }
            assert_near(m->y[i], sum, TOLERANCE);
        }
        matrix_solve_lower(m->square, n, m->y, p);
        for (size_t i = 0; i < n * p; i++) {
            assert_near(m->y[i], m->x[i], TOLERANCE);
        }
    }
}

static void products_with_vectors_are_sums_over_rows_and_columns(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t n = shapes[s].n;
        const size_t p = shapes[s].p;
        fill(m, m->x, n * p);
        fill(m, m->b, n > p ? n : p);
        fill(m, m->out, n > p ? n : p);
        matrix_times_vector(m->x, n, p, m->b, m->out);
        for (size_t i = 0; i < n; i++) {
            double sum = 0;
            for (size_t j = 0; j < p; j++) {
                sum += m->x[i * p + j] * m->b[j];
            }
            assert_near(m->out[i], sum, TOLERANCE);
        }
        matrix_transposed_times_vector(m->x, n, p, m->b, m->out);
        for (size_t j = 0; j < p; j++) {
            double sum = 0;
            for (size_t i = 0; i < n; i++) {
                sum += m->x[i * p + j] * m->b[i];
            }
            assert_near(m->out[j], sum, TOLERANCE);
        }
    }
}

static void the_solution_solves(void **state)
{
    struct matrices *m = *state;

    for (size_t s = 0; s < COUNT_OF(shapes); s++) {
        const size_t p = shapes[s].p;
        fill_triangle(m, m->square, p);
        multiply_out(m->square, p, m->kept);
        fill(m, m->b, p);
        memcpy(m->out, m->b, p * sizeof *m->out);
        matrix_solve_cholesky(m->square, p, m->out);
        for (size_t i = 0; i < p; i++) {
            double sum = 0;
            for (size_t j = 0; j < p; j++) {
                sum += m->kept[j <= i ? i * p + j : j * p + i] * m->out[j];
            }
            assert_near(sum, m->b[i], 1e-11);
        }
    }
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { N_THREADS = 4, N_REPEATS = IS_SANITIZED ? 100 : 400, N = 300, P = 81 };

/* One thread's work: all operations in a row, on data of its own that all threads have alike. */
struct work {
    pthread_t thread;
    const double *x, *b;
    const double *expected; /* (P, P) and (P), or NULL in the first run */
    double gram[P * P + P], rows[N * P], y[N];
    size_t n_wrong;
};

static void work_once(struct work *w)
{
    double *solution = w->gram + P * P;

    memset(w->gram, 0, sizeof w->gram);
    memcpy(w->rows, w->x, sizeof w->rows);
    matrix_gram(w->x, N, P, w->gram);
    for (size_t i = 0; i < P; i++) {
        w->gram[i * P + i] += 1.0;
    }
    matrix_transposed_times_vector(w->x, N, P, w->b, solution);
    w->n_wrong += matrix_cholesky(w->gram, P, NULL) != ERR_OK ? 1 : 0;
    matrix_solve_cholesky(w->gram, P, solution);
    matrix_times_vector(w->x, N, P, solution, w->y);
    w->n_wrong += matrix_invert_lower(w->gram, P, NULL) != ERR_OK ? 1 : 0;
    matrix_times_lower_transposed(w->rows, N, w->gram, P);
    for (size_t i = 0; i < N; i++) { /* the products go into the compared part */
        w->gram[i % P * P + P - 1 - i % (P - 1)] += w->y[i] + w->rows[i * P + i % P];
    }
}

static void *work_often(void *context)
{
    struct work *w = context;

    for (size_t r = 0; r < N_REPEATS; r++) {
        work_once(w);
        w->n_wrong += memcmp(w->gram, w->expected, sizeof w->gram) != 0 ? 1 : 0;
    }
    return NULL;
}

/* The serial build of OpenBLAS keeps one unlocked buffer for all threads, and fails here. */
static void several_threads_at_once_compute_what_one_does(void **state)
{
    static struct work alone, works[N_THREADS];
    struct matrices *m = *state;

    fill(m, m->x, (size_t)N * P);
    fill(m, m->b, N);
    alone.x = m->x;
    alone.b = m->b;
    work_once(&alone);
    for (size_t t = 0; t < N_THREADS; t++) {
        works[t] = alone;
        works[t].expected = alone.gram;
        assert_int_equal(pthread_create(&works[t].thread, NULL, work_often, &works[t]), 0);
    }
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(pthread_join(works[t].thread, NULL), 0);
    }
    for (size_t t = 0; t < N_THREADS; t++) {
        assert_int_equal(works[t].n_wrong, 0);
    }
}

#define matrix_test(name) cmocka_unit_test_setup_teardown(name, make_matrices, check_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        matrix_test(gram_is_the_sum_of_products_of_columns),
        matrix_test(gram_leaves_what_lies_above_the_diagonal),
        matrix_test(cholesky_finds_the_factor),
        matrix_test(what_is_not_positive_definite_is_a_numeric_error),
        matrix_test(the_inverse_of_a_triangle_times_the_triangle_is_one),
        matrix_test(rows_are_multiplied_by_the_transposed_triangle),
        matrix_test(a_gram_is_subtracted_and_that_of_rows_takes_part_of_them),
        matrix_test(a_product_is_the_sum_over_what_is_between),
        matrix_test(a_triangle_times_columns_is_undone_by_solving),
        matrix_test(products_with_vectors_are_sums_over_rows_and_columns),
        matrix_test(the_solution_solves),
        matrix_test(several_threads_at_once_compute_what_one_does),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

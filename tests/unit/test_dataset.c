/* core/dataset.h: reading net.txt, folds, and A from latencies. */
#include "core/dataset.h"
#include "core/device.h"
#include "core/rng.h"
#include "core/stats.h"
#include "tests/support/check.h"

enum { N = 120, N_DISTINCT = 40, N_GENES = 6 };

/* N rows over N_DISTINCT architectures, in no order. */
static void make_genes(int32_t *genes)
{
    struct rng rng;

    rng_init(&rng, 1);
    for (size_t i = 0; i < N; i++) {
        size_t which = i < N_DISTINCT ? i : rng_below(&rng, N_DISTINCT);
        space_unrank(&space_nasbench201, which * 389, genes + i * N_GENES);
    }
}

static void architectures_are_read_row_by_row(void **state)
{
    struct dataset rows = {0};
    struct error err = {0};
    (void)state;
    assert_ok(dataset_load(&space_nasbench201, write_text("net.txt", "1 2 3 4 5 1\r\n5 5 5 5 5 5"),
                           &rows, &err),
              &err);
    assert_int_equal(rows.n_rows, 2);
    assert_ptr_equal(rows.space, &space_nasbench201);
    assert_memory_equal(rows.genes, ((int32_t[]){1, 2, 3, 4, 5, 1, 5, 5, 5, 5, 5, 5}),
                        12 * sizeof(int32_t));
    dataset_close(&rows);
    dataset_close(&rows);
}

static void a_wrong_row_is_refused_with_file_line_and_gene(void **state)
{
    static const struct {
        const char *text;
        enum err code;
        const char *phrase;
    } rows[] = {
        {"1 1 1 1 1 1\n1 1 9 1 1 1\n",   ERR_INVALID,
         "net.txt:2: gene 3 of nasbench201 must be 1 to 5, not 9"                                              },
        {"1 1 1 1 1 1.5\n",              ERR_INVALID, "net.txt:1: gene 6 of nasbench201 must be a whole number"},
        {"1 1 1 1 1 1e30\n",             ERR_INVALID,
         "net.txt:1: gene 6 of nasbench201 must be a whole number"                                             },
        {"1 1 1 1 1 4294967297\n",       ERR_INVALID,
         "net.txt:1: gene 6 of nasbench201 must be a whole number"                                             },
        {"1 1 1 1 1\n",                  ERR_SYNTAX,  "net.txt:1: 5 numbers where 6 are expected"              },
        {"1 1 1 1 1 1\n\n1 1 1 1 1 1\n", ERR_SYNTAX,  "net.txt:2: 0 numbers where 6 are expected"              },
        {"",                             ERR_SYNTAX,  "net.txt:1: the file is empty"                           },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct dataset out = {0};
        struct error err = {0};
        assert_error(
            dataset_load(&space_nasbench201, write_text("net.txt", rows[i].text), &out, &err),
            rows[i].code, &err, rows[i].phrase);
        assert_null(out.genes);
    }
}

static enum err load_once(void *context, struct error *err)
{
    struct dataset rows = {0};
    enum err rc = dataset_load(&space_nasbench201, context, &rows, err);

    dataset_close(&rows);
    return rc;
}

static void running_out_of_memory_while_reading_leaks_nothing(void **state)
{
    (void)state;
    fail_each_allocation(load_once, (void *)write_text("net.txt", "1 2 3 4 5 1\n"));
}

/* ---- groups and folds ------------------------------------------------------------------------ */

static void groups_number_distinct_architectures_in_the_order_of_their_first_row(void **state)
{
    int32_t genes[N * N_GENES];
    size_t group[N];
    size_t n_groups = 0;
    size_t next = 0;
    (void)state;
    make_genes(genes);
    assert_int_equal(dataset_group(&space_nasbench201, genes, N, group, &n_groups, NULL), ERR_OK);
    assert_int_equal(n_groups, N_DISTINCT);
    for (size_t i = 0; i < N; i++) {
        assert_true(group[i] <= next);
        next += group[i] == next ? 1 : 0;
        for (size_t j = 0; j < i; j++) {
            bool is_equal =
                memcmp(genes + i * N_GENES, genes + j * N_GENES, N_GENES * sizeof *genes) == 0;
            assert_true(is_equal == (group[i] == group[j]));
        }
    }
}

static void folds_keep_identical_architectures_together_and_are_balanced(void **state)
{
    int32_t genes[N * N_GENES];
    size_t group[N];
    size_t n_groups;
    (void)state;
    make_genes(genes);
    assert_int_equal(dataset_group(&space_nasbench201, genes, N, group, &n_groups, NULL), ERR_OK);
    for (size_t n_folds = 2; n_folds <= N_DISTINCT; n_folds += 7) {
        size_t fold[N];
        size_t fold_of_group[N_DISTINCT];
        size_t n_in_fold[N_DISTINCT] = {0};
        assert_int_equal(dataset_fold(&space_nasbench201, genes, N, n_folds, 5, fold, NULL),
                         ERR_OK);
        for (size_t i = 0; i < N; i++) {
            assert_true(fold[i] < n_folds);
            if (i < N_DISTINCT) { /* rows before are all distinct */
                fold_of_group[group[i]] = fold[i];
                n_in_fold[fold[i]]++;
            }
            assert_int_equal(fold[i], fold_of_group[group[i]]);
        }
        for (size_t f = 0; f < n_folds; f++) {
            assert_in_range(n_in_fold[f], N_DISTINCT / n_folds, N_DISTINCT / n_folds + 1);
        }
    }
}

static void a_seed_gives_the_same_folds_again_and_another_gives_others(void **state)
{
    int32_t genes[N * N_GENES];
    size_t a[N];
    size_t b[N];
    size_t c[N];
    (void)state;
    make_genes(genes);
    assert_int_equal(dataset_fold(&space_nasbench201, genes, N, 10, 1, a, NULL), ERR_OK);
    assert_int_equal(dataset_fold(&space_nasbench201, genes, N, 10, 1, b, NULL), ERR_OK);
    assert_int_equal(dataset_fold(&space_nasbench201, genes, N, 10, 2, c, NULL), ERR_OK);
    assert_memory_equal(a, b, sizeof a);
    assert_memory_not_equal(a, c, sizeof a);
}

static void fewer_architectures_than_folds_are_refused(void **state)
{
    int32_t genes[N * N_GENES];
    size_t fold[N];
    struct error err = {0};
    (void)state;
    make_genes(genes);
    assert_error(dataset_fold(&space_nasbench201, genes, N, N_DISTINCT + 1, 1, fold, &err),
                 ERR_INVALID, &err, "40 distinct architectures cannot be split into 41 folds");
}

static enum err fold_once(void *context, struct error *err)
{
    size_t fold[N];

    return dataset_fold(&space_nasbench201, context, N, 10, 1, fold, err);
}

static void running_out_of_memory_while_folding_leaks_nothing(void **state)
{
    int32_t genes[N * N_GENES];
    (void)state;
    make_genes(genes);
    fail_each_allocation(fold_once, genes);
}

/* ---- A from latencies ------------------------------------------------------------------------ */

enum { N_DEVICES = 12, N_ROWS = 400 };

/* Latencies of devices by the formula, with what real ones add. */
struct measurements {
    double a[N_ROWS], factors[N_DEVICES], latency_ms[N_DEVICES * N_ROWS], fitted[N_ROWS];
};

static double noise(struct rng *rng)
{
    return rng_uniform(rng) + rng_uniform(rng) + rng_uniform(rng) - 1.5; /* deviation .5 */
}

static void measure(struct measurements *m, uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t i = 0; i < N_ROWS; i++) {
        m->a[i] = 1000.0 * exp(2.0 * rng_uniform(&rng));
    }
    for (size_t d = 0; d < N_DEVICES; d++) {
        double offset = d % 2 == 0 ? 0.1 : -0.1; /* median 0 */
        m->factors[d] = 0.02 + 0.2 * rng_uniform(&rng);
        for (size_t i = 0; i < N_ROWS; i++) {
            double wild = rng_uniform(&rng) < 0.03 ? (rng_uniform(&rng) < 0.5 ? 10.0 : 0.1) : 1.0;
            m->latency_ms[d * N_ROWS + i] =
                m->a[i] * m->factors[d] * exp(offset + 0.06 * noise(&rng)) * wild;
        }
    }
    for (size_t i = 0; i < N_ROWS; i++) { /* one device whose file is of something else */
        m->latency_ms[i] = 1e5 * rng_uniform(&rng) + 1.0;
    }
}

static void a_is_found_in_spite_of_offsets_outliers_and_an_absurd_device(void **state)
{
    static struct measurements m;
    struct error err = {0};
    (void)state;
    for (uint64_t seed = 0; seed < 5; seed++) {
        double ratios[N_ROWS];
        double level;
        size_t n_off = 0;
        measure(&m, seed);
        assert_ok(dataset_fit_parameter(m.latency_ms, m.factors, N_DEVICES, N_ROWS, m.fitted, &err),
                  &err);
        for (size_t i = 0; i < N_ROWS; i++) {
            ratios[i] = log(m.fitted[i] / m.a[i]);
        }
        level = stats_median(ratios, N_ROWS);
        assert_near(level, 0, 0.11); /* eleven sane devices: the middle one is off by its .1 */
        for (size_t i = 0; i < N_ROWS; i++) {
            n_off += fabs(ratios[i] - level) > 0.04 ? 1 : 0; /* 4 deviations of a mean of eleven */
        }
        assert_true(n_off <= 2);
        assert_near(ratios[N_ROWS / 20], level, 0.025); /* sorted by the median: 5th percentile */
    }
}

static void one_device_alone_is_inverted_exactly(void **state)
{
    const double latency[] = {10, 200, 3000, 7};
    const double factor = 0.25;
    double a[4];
    struct error err = {0};
    (void)state;
    assert_ok(dataset_fit_parameter(latency, &factor, 1, 4, a, &err), &err);
    for (size_t i = 0; i < 4; i++) {
        assert_near_relative(a[i], latency[i] / factor, 1e-12);
    }
}

static void devices_that_agree_give_exactly_what_they_agree_on(void **state)
{
    const double latency[] = {10, 20, 40, 80, 5, 10, 20, 40}; /* (2, 4) */
    const double factors[] = {0.5, 0.25};
    double a[4];
    struct error err = {0};
    (void)state;
    assert_ok(dataset_fit_parameter(latency, factors, 2, 4, a, &err), &err);
    for (size_t i = 0; i < 4; i++) {
        assert_near_relative(a[i], latency[i] / factors[0], 1e-9);
    }
}

static enum err fit_once(void *context, struct error *err)
{
    struct measurements *m = context;

    return dataset_fit_parameter(m->latency_ms, m->factors, 3, 10, m->fitted, err);
}

static void running_out_of_memory_while_fitting_leaks_nothing(void **state)
{
    static struct measurements m;
    (void)state;
    measure(&m, 1);
    fail_each_allocation(fit_once, &m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(architectures_are_read_row_by_row),
        directory_test(a_wrong_row_is_refused_with_file_line_and_gene),
        directory_test(running_out_of_memory_while_reading_leaks_nothing),
        counted_test(groups_number_distinct_architectures_in_the_order_of_their_first_row),
        counted_test(folds_keep_identical_architectures_together_and_are_balanced),
        counted_test(a_seed_gives_the_same_folds_again_and_another_gives_others),
        counted_test(fewer_architectures_than_folds_are_refused),
        counted_test(running_out_of_memory_while_folding_leaks_nothing),
        counted_test(a_is_found_in_spite_of_offsets_outliers_and_an_absurd_device),
        counted_test(one_device_alone_is_inverted_exactly),
        counted_test(devices_that_agree_give_exactly_what_they_agree_on),
        counted_test(running_out_of_memory_while_fitting_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

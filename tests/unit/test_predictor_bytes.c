/* predictor_predict_bytes(): genes as bytes that nobody has checked, by every kind of predictor. */
#include "core/matrix.h"
#include "core/predictor.h"
#include "core/rng.h"
#include "tests/support/check.h"

enum { N_FITTED = 40, N_CELLS = 15625, MOST_GENES = 28 };

static void draw_genes(const struct space *space, struct rng *rng, int32_t *genes)
{
    for (size_t g = 0; g < space->n_genes; g++) {
        const struct gene *gene = &space->genes[g];
        genes[g] = gene->first + gene->step * (int32_t)rng_below(rng, (size_t)gene->n_values);
    }
}

/* A predictor of a made-up truth; one epoch is enough of an mlp here. */
static struct predictor *fit(const struct predictor_kind *kind, const struct space *space)
{
    const struct fit_options options = {
        .seed = 1, .n_epochs = 1, .learning_rate = 0.1, .held_out_share = 0.2};
    int32_t genes[N_FITTED * MOST_GENES];
    double a[N_FITTED];
    struct predictor *predictor = NULL;
    struct rng rng;
    struct error err = {0};

    rng_init(&rng, 5);
    for (size_t i = 0; i < N_FITTED; i++) {
        draw_genes(space, &rng, genes + i * space->n_genes);
        a[i] = 1000.0 + 300.0 * genes[i * space->n_genes] + 17.0 * genes[i * space->n_genes + 1];
    }
    assert_ok(predictor_fit(kind, space, genes, a, N_FITTED, &options, &predictor, NULL, &err),
              &err);
    return predictor;
}

static void narrow(const int32_t *genes, size_t n, uint8_t *bytes)
{
    for (size_t i = 0; i < n; i++) {
        bytes[i] = (uint8_t)genes[i];
    }
}

/* A little less and a little more than one block and than several. */
static void bytes_and_genes_predict_the_same(void **state)
{
    static const size_t sizes[] = {0, 1, 2, 255, 256, 257, 511, 512, 513, 1400};
    static int32_t genes[1400 * MOST_GENES];
    static uint8_t bytes[1400 * MOST_GENES];
    double expected[1400];
    double a[1400];

    (void)state;
    for (const struct predictor_kind *const *kind = predictor_kinds; *kind != NULL; kind++) {
        for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
            struct predictor *predictor = fit(*kind, *s);
            size_t most = strcmp((*kind)->name, "mlp") == 0 ? 300 : 1400; /* 20 MFLOP each */
            struct rng rng;
            rng_init(&rng, 6);
            for (size_t i = 0; i < most; i++) {
                draw_genes(*s, &rng, genes + i * (*s)->n_genes);
            }
            narrow(genes, most * (*s)->n_genes, bytes);
            for (size_t i = 0; i < COUNT_OF(sizes) && sizes[i] <= most; i++) {
                size_t bad_row = 99;
                struct error err = {0};
                assert_ok(predictor_predict(predictor, genes, sizes[i], expected, NULL, &err),
                          &err);
                assert_ok(predictor_predict_bytes(predictor, bytes, sizes[i], a, &bad_row, &err),
                          &err);
                for (size_t k = 0; k < sizes[i]; k++) { /* other blocks round otherwise */
                    assert_near_relative(a[k], expected[k], 1e-12);
                }
                assert_int_equal(bad_row, 99);
            }
            predictor_destroy(predictor);
        }
    }
}

static void every_cell_is_found_by_its_bytes(void **state)
{
    struct predictor *predictor = fit(&predictor_kind_cost, &space_nasbench201);
    static int32_t genes[N_CELLS * 6];
    static uint8_t bytes[N_CELLS * 6];
    static double expected[N_CELLS];
    static double a[N_CELLS];
    size_t bad_row = 0;

    (void)state;
    for (size_t i = 0; i < N_CELLS; i++) {
        space_unrank(&space_nasbench201, i, genes + 6 * i);
    }
    narrow(genes, COUNT_OF(genes), bytes);
    assert_ok(predictor_predict(predictor, genes, N_CELLS, expected, NULL, NULL), NULL);
    assert_ok(predictor_predict_bytes(predictor, bytes, N_CELLS, a, &bad_row, NULL), NULL);
    assert_memory_equal(a, expected, sizeof a);
    predictor_destroy(predictor);
}

/* Each value outside of each gene's domain, in rows before and behind a block's end. */
static void every_wrong_byte_is_named(void **state)
{
    static const size_t rows[] = {0, 1, 255, 256, 511, 512, 599};
    static int32_t genes[600 * MOST_GENES];
    static uint8_t bytes[600 * MOST_GENES];
    double a[600];

    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        struct predictor *predictor = fit(&predictor_kind_cost, *s);
        struct rng rng;
        rng_init(&rng, 7);
        for (size_t i = 0; i < 600; i++) {
            draw_genes(*s, &rng, genes + i * (*s)->n_genes);
        }
        narrow(genes, 600 * (*s)->n_genes, bytes);
        for (size_t at = 0; at < 256 * (*s)->n_genes; at++) {
            size_t g = at / 256;
            size_t row = rows[at % COUNT_OF(rows)];
            uint8_t *place = bytes + row * (*s)->n_genes + g;
            uint8_t kept = *place;
            size_t bad_row = SIZE_MAX;
            struct error err = {0};
            char phrase[64];
            enum err rc;
            *place = (uint8_t)(at % 256);
            rc = predictor_predict_bytes(predictor, bytes, 600, a, &bad_row, &err);
            if (gene_index(&(*s)->genes[g], *place) >= 0) {
                assert_ok(rc, &err);
            } else {
                (void)snprintf(phrase, sizeof phrase, "gene %zu of %s must be", g + 1, (*s)->name);
                assert_error(rc, ERR_INVALID, &err, phrase);
                assert_int_equal(bad_row, row);
            }
            *place = kept;
        }
        predictor_destroy(predictor);
    }
}

/* The first bad row is told, not the last, and not a bad row of no block. */
static void the_first_of_several_bad_rows_is_told(void **state)
{
    struct predictor *predictor = fit(&predictor_kind_cost, &space_nasbench201);
    uint8_t bytes[1000 * 6];
    double a[1000];
    size_t bad_row = 0;
    struct error err = {0};

    (void)state;
    memset(bytes, 1, sizeof bytes);
    bytes[700 * 6 + 5] = 0;
    bytes[701 * 6] = 255; /* two wrong parts must not add up to a number again */
    bytes[701 * 6 + 1] = 255;
    assert_error(predictor_predict_bytes(predictor, bytes, 1000, a, &bad_row, &err), ERR_INVALID,
                 &err, "gene 6 of nasbench201 must be 1 to 5, not 0");
    assert_int_equal(bad_row, 700);
    memset(bytes, 255, sizeof bytes);
    assert_error(predictor_predict_bytes(predictor, bytes, 1000, a, &bad_row, &err), ERR_INVALID,
                 &err, "gene 1 of nasbench201 must be 1 to 5, not 255");
    assert_int_equal(bad_row, 0);
    predictor_destroy(predictor);
}

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? count_blocks(state) : -1;
}

#define fit_test(name) cmocka_unit_test_setup_teardown(name, start, check_blocks)

int main(void)
{
    const struct CMUnitTest tests[] = {
        fit_test(bytes_and_genes_predict_the_same),
        fit_test(every_cell_is_found_by_its_bytes),
        fit_test(every_wrong_byte_is_named),
        fit_test(the_first_of_several_bad_rows_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* proto/accuracy_file.h: an accuracy predictor with its papers, and what is refused. */
#include "core/file.h"
#include "core/matrix.h"
#include "proto/accuracy_file.h"
#include "proto/safetensors.h"
#include "tests/support/changed_file.h"

enum { N_ROWS = 12 };

/* A small model of the kind `genes` (no table to make), and its bytes. */
struct fixture {
    struct accuracy_model model;
    char *bytes;
    size_t size;
};

static int make_model(void **state)
{
    static struct fixture f;
    static int32_t genes[N_ROWS * 28];
    double accuracy[N_ROWS];
    const struct accuracy_rows rows = {N_ROWS, genes, accuracy, NULL};

    (void)count_blocks(state);
    *state = &f;
    memset(&f, 0, sizeof f);
    for (size_t i = 0; i < N_ROWS; i++) {
        for (size_t g = 0; g < 28; g++) {
            const struct gene *gene = &space_fbnetv3.genes[g];
            genes[i * 28 + g] = gene->first + gene->step * (int32_t)((i >> (g % 4)) & 1);
        }
        accuracy[i] = 75.0 + 0.25 * (double)i;
    }
    assert_int_equal(matrix_init(NULL), ERR_OK);
    assert_int_equal(accuracy_kind_genes.fit(&accuracy_kind_genes, &rows,
                                             &accuracy_kind_genes.settings[0], 0,
                                             &f.model.predictor, NULL),
                     ERR_OK);
    f.model.info = (struct accuracy_info){.learned_from = "dataxy",
                                          .dataset = "imagenet",
                                          .n_rows = N_ROWS,
                                          .n_distrusted = 3,
                                          .data_sha256 = "0123abcd",
                                          .seed = UINT64_MAX,
                                          .validation = "10-fold",
                                          .n_held_out = N_ROWS,
                                          .kendall = 0.5,
                                          .rmse = NAN,
                                          .kendall_fitted = -0.25,
                                          .rmse_fitted = 1.5};
    accuracy_version(f.model.predictor, f.model.info.version);
    assert_int_equal(accuracy_model_encode(&f.model, &f.bytes, &f.size, NULL), ERR_OK);
    return 0;
}

static int free_model(void **state)
{
    struct fixture *f = *state;

    accuracy_model_close(&f->model);
    mem_free(f->bytes);
    return check_blocks(state);
}

static void a_model_survives_its_file(void **state)
{
    struct fixture *f = *state;
    struct accuracy_model read = {0};
    struct error err = {0};
    int32_t genes[28];
    double before;
    double after;

    assert_ok(accuracy_model_decode(f->bytes, f->size, &space_fbnetv3, &read, &err), &err);
    assert_string_equal(read.info.version, f->model.info.version);
    assert_memory_equal(read.info.version, "genes-", 6);
    assert_string_equal(read.info.learned_from, "dataxy");
    assert_string_equal(read.info.dataset, "imagenet");
    assert_int_equal(read.info.n_rows, N_ROWS);
    assert_int_equal(read.info.n_distrusted, 3);
    assert_true(read.info.seed == UINT64_MAX);
    assert_near(read.info.kendall, 0.5, 1e-6);
    assert_true(isnan(read.info.rmse));
    assert_near(read.info.kendall_fitted, -0.25, 1e-6);
    for (size_t g = 0; g < 28; g++) {
        genes[g] = space_fbnetv3.genes[g].first;
    }
    assert_ok(accuracy_predict(f->model.predictor, genes, 1, &before, &err), &err);
    assert_ok(accuracy_predict(read.predictor, genes, 1, &after, &err), &err);
    assert_true(before == after && before > 50.0 && before < 100.0);
    accuracy_model_close(&read);
    accuracy_model_close(&read);
}

static void it_is_told_as_json(void **state)
{
    const struct fixture *f = *state;
    struct text text = {0};

    accuracy_model_put_json(&f->model, &text);
    assert_false(text.has_failed);
    assert_contains(text.bytes, "\"predictor\":\"genes\",\"version\":\"genes-");
    assert_contains(text.bytes,
                    ",\"learned_from\":\"dataxy\",\"dataset\":\"imagenet\",\"n_rows\":12,");
    assert_contains(text.bytes, ",\"seed\":18446744073709551615,");
    assert_contains(text.bytes, ",\"kendall\":0.5,\"rmse\":null,\"kendall_fitted\":-0.25,");
    text_close(&text);
}

/* Decodes the fixture with one key of the metadata changed (a NULL value leaves it out), or one
 * tensor replaced. */
static enum err decode_changed(const struct fixture *f, const char *key, const char *value,
                               const struct tensor *replaced, struct error *err)
{
    const struct file_change change = {.key = key, .value = value, .instead = replaced};
    struct accuracy_model read = {0};
    size_t size = 0;
    char *bytes = changed_file(f->bytes, f->size, &change, &size);
    enum err rc = accuracy_model_decode(bytes, size, &space_fbnetv3, &read, err);

    mem_free(bytes);
    accuracy_model_close(&read);
    return rc;
}

static void metadata_that_cannot_be_is_refused_by_its_key(void **state)
{
    static const struct {
        const char *key, *value, *phrase;
    } rows[] = {
        {"format",       "dgld-predictor-1",   "format must be dgld-accuracy-1, not dgld-predictor" },
        {"format",       NULL,                 "not absent"                                         },
        {"kind",         "cost",               "no accuracy predictor of kind \"cost\" for fbnetv3" },
        {"kind",         "cells",              "no accuracy predictor of kind \"cells\" for fbnetv3"},
        {"kind",         "macs",               "the tensor \"coefficients\" is missing"             },
        {"kind",         NULL,                 "no accuracy predictor of kind \"\""                 },
        {"search_space", "nasbench201",        "for the search space \"nasbench201\", not fbnetv3"  },
        {"version",      "genes-000000000000", "but that of the weights is genes-"                  },
        {"version",      "../../etc/passwd",   "version may hold"                                   },
        {"learned_from", "",                   "learned_from must be 1 to 15"                       },
        {"dataset",      NULL,                 "dataset must be 1 to 15"                            },
        {"n_rows",       "-1",                 "n_rows must be a whole number"                      },
        {"n_held_out",   NULL,                 "n_held_out must be a whole number"                  },
        {"kendall",      "inf",                "kendall must be a number, or none"                  },
        {"kendall",      "0.5x",               "kendall must be a number, or none"                  },
        {"rmse",         "",                   "rmse must be a number, or none"                     },
        {"rmse",         NULL,                 "rmse must be a number, or none"                     },
    };
    const struct fixture *f = *state;
    struct error err = {0};

    assert_ok(decode_changed(f, "dataset", "mine", NULL, &err), &err);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_error(decode_changed(f, rows[i].key, rows[i].value, NULL, &err), ERR_INVALID, &err,
                     rows[i].phrase);
    }
}

static void weights_that_cannot_be_are_refused_by_their_tensor(void **state)
{
    static const int32_t zeroes[301 * 28];
    static const double nan_shape[] = {0.1, NAN, 1.0};
    static const double no_scale[] = {0.0, 80.0, 1.0};
    static const double no_ceiling[] = {0.1, -80.0, 1.0};
    static const struct {
        struct tensor tensor;
        const char *phrase;
    } rows[] = {
        {{"points", TENSOR_I32, 2, {1, 28}, zeroes},   "row 0 of the tensor \"points\": gene 1"},
        {{"points", TENSOR_I32, 2, {301, 28}, zeroes}, "1 to 300 architectures of fbnetv3"     },
        {{"points", TENSOR_I32, 2, {28, 27}, zeroes},  "1 to 300 architectures of fbnetv3"     },
        {{"points", TENSOR_I32, 1, {28}, zeroes},      "1 to 300 architectures of fbnetv3"     },
        {{"points", TENSOR_F32, 2, {1, 28}, zeroes},   "must be I32"                           },
        {{"weights", TENSOR_F64, 1, {2}, no_scale},    "\"weights\" must hold"                 },
        {{"weights", TENSOR_I32, 1, {2}, zeroes},      "\"weights\" must be F64 or F32"        },
        {{"shape", TENSOR_F64, 1, {3}, nan_shape},     "\"shape\" is not finite"               },
        {{"shape", TENSOR_F64, 1, {3}, no_scale},      "must hold a scale above 0"             },
        {{"shape", TENSOR_F64, 1, {3}, no_ceiling},    "a ceiling above 0"                     },
        {{"shape", TENSOR_F64, 1, {2}, no_ceiling},    "\"shape\" must hold 3 numbers"         },
    };
    struct error err = {0};

    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_error(decode_changed(*state, "", NULL, &rows[i].tensor, &err), ERR_INVALID, &err,
                     rows[i].phrase);
    }
}

static void a_curve_that_falls_is_refused(void **state)
{
    static const double c[][4] = {
        {84.0,  1.0, -0.5, 1.0 },
        {84.0,  1.0, 0.5,  -1.0},
        {101.0, 1.0, 0.5,  1.0 },
        {0.0,   1.0, 0.5,  1.0 }
    };
    struct accuracy_predictor *predictor = NULL;
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(c); i++) {
        const struct tensor tensor = {"coefficients", TENSOR_F64, 1, {4}, c[i]};
        assert_error(accuracy_kind_macs.load(&accuracy_kind_macs, &tensor, 1, &predictor, &err),
                     ERR_INVALID, &err, "a ceiling above 0 and at most 100, a level, and two");
    }
    assert_null(predictor);
}

static void any_flipped_byte_of_the_weights_is_refused(void **state)
{
    struct fixture *f = *state;
    size_t begin = 8 + (unsigned char)f->bytes[0] + 256 * (size_t)(unsigned char)f->bytes[1];

    for (size_t i = begin; i < f->size; i += IS_SANITIZED ? 37 : 1) {
        struct accuracy_model read = {0};
        struct error err = {0};
        f->bytes[i] ^= 1;
        assert_error(accuracy_model_decode(f->bytes, f->size, &space_fbnetv3, &read, &err),
                     ERR_INVALID, &err, "damaged");
        f->bytes[i] ^= 1;
    }
}

static void every_truncation_is_refused(void **state)
{
    const struct fixture *f = *state;

    for (size_t size = 0; size < f->size; size += 7) {
        struct accuracy_model read = {0};
        assert_int_not_equal(accuracy_model_decode(f->bytes, size, &space_fbnetv3, &read, NULL),
                             ERR_OK);
    }
}

static enum err decode_once(void *context, struct error *err)
{
    const struct fixture *f = context;
    struct accuracy_model read = {0};
    enum err rc = accuracy_model_decode(f->bytes, f->size, &space_fbnetv3, &read, err);

    accuracy_model_close(&read);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    fail_each_allocation(decode_once, *state);
}

static void the_shipped_models_load_and_are_small(void **state)
{
    static const struct {
        const struct space *space;
        const struct accuracy_kind *kind;
        size_t n_rows;
    } shipped[] = {
        {&space_nasbench201, &accuracy_kind_cells, 15625},
        {&space_fbnetv3,     &accuracy_kind_macs,  7    },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(shipped); i++) {
        char path[128];
        char *bytes = NULL;
        size_t size = 0;
        struct accuracy_model read = {0};
        struct error err = {0};
        (void)snprintf(path, sizeof path, "result/%s/accuracymodel.safetensors",
                       shipped[i].space->name);
        assert_ok(file_read(path, 300000, &bytes, &size, &err), &err);
        assert_ok(accuracy_model_decode(bytes, size, shipped[i].space, &read, &err), &err);
        assert_ptr_equal(read.predictor->kind, shipped[i].kind);
        assert_int_equal(read.info.n_rows, shipped[i].n_rows);
        if (read.info.n_held_out > 0) {
            assert_at_least(read.info.kendall, 0.89);
        }
        accuracy_model_close(&read);
        mem_free(bytes);
    }
}

#define model_test(name) cmocka_unit_test_setup_teardown(name, make_model, free_model)

int main(void)
{
    const struct CMUnitTest tests[] = {
        model_test(a_model_survives_its_file),
        model_test(it_is_told_as_json),
        model_test(metadata_that_cannot_be_is_refused_by_its_key),
        model_test(weights_that_cannot_be_are_refused_by_their_tensor),
        model_test(a_curve_that_falls_is_refused),
        model_test(any_flipped_byte_of_the_weights_is_refused),
        model_test(every_truncation_is_refused),
        model_test(running_out_of_memory_is_told_and_leaks_nothing),
        counted_test(the_shipped_models_load_and_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

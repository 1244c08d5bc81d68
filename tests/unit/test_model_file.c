/* proto/model_file.h: a predictor with its papers, and what is refused. */
#include "core/file.h"
#include "core/matrix.h"
#include "proto/model_file.h"
#include "proto/safetensors.h"
#include "tests/support/changed_file.h"
#include "tests/support/model_bytes.h"

static char *const devices[] = {(char *)"Galaxy A9", (char *)"\xc3\xa9 (2)"};

static int make_model(void **state)
{
    static struct model_bytes f;
    int32_t genes[2 * 28];
    const double a[] = {1000, 1500};

    (void)count_blocks(state);
    *state = &f;
    for (size_t g = 0; g < 28; g++) {
        genes[g] = space_fbnetv3.genes[g].first;
        genes[28 + g] = space_fbnetv3.genes[g].first + space_fbnetv3.genes[g].step;
    }
    memset(&f, 0, sizeof f);
    assert_int_equal(matrix_init(NULL), ERR_OK);
    assert_int_equal(predictor_fit(&predictor_kind_cost, &space_fbnetv3, genes, a, 2,
                                   &(struct fit_options){0}, &f.model.predictor, NULL, NULL),
                     ERR_OK);
    f.model.info = (struct model_info){.source = "latency",
                                       .n_rows = 2,
                                       .data_sha256 = "0123abcd",
                                       .seed = UINT64_MAX,
                                       .r_held_out = 0.5,
                                       .validation = "10-fold"};
    model_version(f.model.predictor, f.model.info.version);
    assert_int_equal(model_info_set_devices(&f.model.info, devices, 2, NULL), ERR_OK);
    assert_int_equal(model_encode(&f.model, &f.bytes, &f.size, NULL), ERR_OK);
    return 0;
}

static void a_model_survives_its_file(void **state)
{
    struct model_bytes *f = *state;
    struct model read = {0};
    char version[MODEL_VERSION_BYTES];
    struct error err = {0};

    assert_ok(model_decode(f->bytes, f->size, &space_fbnetv3, &read, &err), &err);
    assert_string_equal(read.info.version, f->model.info.version);
    assert_string_equal(read.info.source, "latency");
    assert_string_equal(read.info.data_sha256, "0123abcd");
    assert_int_equal(read.info.n_rows, 2);
    assert_true(read.info.seed == UINT64_MAX);
    assert_near(read.info.r_held_out, 0.5, 1e-6);
    assert_int_equal(read.info.n_devices, 2);
    assert_string_equal(read.info.devices[0], devices[0]);
    model_version(read.predictor, version);
    assert_string_equal(version, f->model.info.version);
    assert_memory_equal(version, "cost-", 5);
    model_close(&read);
    model_close(&read);
}

static void a_name_that_is_no_device_is_refused_on_reading(void **state)
{
    struct model_bytes *f = *state;
    char *bytes = NULL;
    size_t size = 0;
    struct model read = {0};
    struct error err = {0};

    assert_int_equal(model_info_set_devices(&f->model.info, &(char *){(char *)"../x"}, 1, NULL),
                     ERR_OK);
    assert_int_equal(model_encode(&f->model, &bytes, &size, NULL), ERR_OK);
    assert_error(model_decode(bytes, size, &space_fbnetv3, &read, &err), ERR_INVALID, &err,
                 "a device name");
    mem_free(bytes);
}

static void the_same_model_gives_the_same_bytes(void **state)
{
    struct model_bytes *f = *state;
    char *bytes = NULL;
    size_t size = 0;

    assert_int_equal(model_encode(&f->model, &bytes, &size, NULL), ERR_OK);
    assert_int_equal(size, f->size);
    assert_memory_equal(bytes, f->bytes, size);
    mem_free(bytes);
}

static void a_figure_that_was_not_computed_is_not_a_number_again(void **state)
{
    struct model_bytes *f = *state;
    char *bytes = NULL;
    size_t size = 0;
    struct model read = {0};

    f->model.info.r_held_out = NAN;
    assert_int_equal(model_encode(&f->model, &bytes, &size, NULL), ERR_OK);
    assert_int_equal(model_decode(bytes, size, &space_fbnetv3, &read, NULL), ERR_OK);
    assert_true(isnan(read.info.r_held_out));
    model_close(&read);
    mem_free(bytes);
}

/* The fixture's metadata with one key changed; a NULL value leaves it out. */
static enum err decode_changed(const struct model_bytes *f, const char *key, const char *value,
                               struct error *err)
{
    const struct file_change change = {.key = key, .value = value};
    struct model read = {0};
    size_t size = 0;
    char *bytes = changed_file(f->bytes, f->size, &change, &size);
    enum err rc = model_decode(bytes, size, &space_fbnetv3, &read, err);

    mem_free(bytes);
    model_close(&read);
    return rc;
}

static void metadata_that_cannot_be_is_refused_by_its_key(void **state)
{
    static const struct {
        const char *key, *value, *phrase;
    } rows[] = {
        {"format",        "dgld-predictor-2",     "format must be dgld-predictor-1, not dgld-predic"},
        {"format",        NULL,                   "not absent"                                      },
        {"kind",          "mlp9",                 "no predictor of kind \"mlp9\""                   },
        {"kind",          NULL,                   "no predictor of kind"                            },
        {"search_space",  "nasbench201",          "for the search space \"nasbench201\", not fbnetv"},
        {"search_space",  NULL,                   "for the search space \"\""                       },
        {"version",       "",                     "version must be 1 to 39"                         },
        {"version",       "../../etc/passwd",     "version may hold"                                },
        {"version",       NULL,                   "version must be"                                 },
        {"source",        "a very long source",   "source must be 1 to 15"                          },
        {"data_sha256",   "A",                    "data_sha256 may hold"                            },
        {"n_rows",        "-1",                   "n_rows must be a whole number"                   },
        {"n_rows",        "12x",                  "n_rows must be a whole number"                   },
        {"n_rows",        NULL,                   "n_rows must be a whole number"                   },
        {"seed",          "18446744073709551616", "seed must be a whole number"                     },
        {"train_devices", "x",                    "train_devices must be a list"                    },
        {"train_devices", "{}",                   "train_devices must be a list"                    },
        {"train_devices", "[1]",                  "train_devices must hold names"                   },
        {"train_devices", "[\"a/b\"]",            "a device name must not hold"                     },
        {"train_devices", NULL,                   "train_devices must be a list"                    },
    };
    struct model_bytes *f = *state;
    struct error err = {0};

    assert_ok(decode_changed(f, "source", "a.txt", &err), &err);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_error(decode_changed(f, rows[i].key, rows[i].value, &err), ERR_INVALID, &err,
                     rows[i].phrase);
    }
}

static void a_model_of_another_space_is_refused(void **state)
{
    struct model_bytes *f = *state;
    struct model read = {0};
    struct error err = {0};

    assert_error(model_decode(f->bytes, f->size, &space_nasbench201, &read, &err), ERR_INVALID,
                 &err, "for the search space \"fbnetv3\", not nasbench201");
    assert_null(read.predictor);
}

static void any_flipped_byte_of_the_weights_is_refused(void **state)
{
    struct model_bytes *f = *state;
    size_t begin = 8 + (unsigned char)f->bytes[0] + 256 * (size_t)(unsigned char)f->bytes[1];

    for (size_t i = begin; i < f->size; i += IS_SANITIZED ? 37 : 1) {
        struct model read = {0};
        struct error err = {0};
        f->bytes[i] ^= 1;
        assert_error(model_decode(f->bytes, f->size, &space_fbnetv3, &read, &err), ERR_INVALID,
                     &err, "damaged");
        f->bytes[i] ^= 1;
    }
}

static void every_truncation_is_refused(void **state)
{
    struct model_bytes *f = *state;

    for (size_t size = 0; size < f->size; size += size < 2000 ? 7 : 501) {
        struct model read = {0};
        assert_int_not_equal(model_decode(f->bytes, size, &space_fbnetv3, &read, NULL), ERR_OK);
    }
}

static enum err decode_once(void *context, struct error *err)
{
    struct model_bytes *f = context;
    struct model read = {0};
    enum err rc = model_decode(f->bytes, f->size, &space_fbnetv3, &read, err);

    model_close(&read);
    return rc;
}

static enum err encode_once(void *context, struct error *err)
{
    struct model_bytes *f = context;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = model_encode(&f->model, &bytes, &size, err);

    if (rc == ERR_OK) { /* not with a part left out, for which there was no memory */
        assert_int_equal(size, f->size);
        assert_memory_equal(bytes, f->bytes, size);
    }
    mem_free(bytes);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    fail_each_allocation(decode_once, *state);
    fail_each_allocation(encode_once, *state);
}

static void the_shipped_models_load_and_are_small(void **state)
{
    (void)state;
    for (const struct space *const *s = built_in_spaces; *s != NULL; s++) {
        char path[128];
        char version[MODEL_VERSION_BYTES];
        char *bytes = NULL;
        size_t size = 0;
        struct model read = {0};
        struct error err = {0};
        (void)snprintf(path, sizeof path, "result/%s/pretrainmodel.safetensors", (*s)->name);
        assert_ok(file_read(path, (size_t)1 << 20, &bytes, &size, &err), &err);
        assert_ok(model_decode(bytes, size, *s, &read, &err), &err);
        model_version(read.predictor, version);
        assert_string_equal(read.info.version, version);
        assert_at_least(read.info.r_held_out, 0.97);
        model_close(&read);
        mem_free(bytes);
    }
}

#define model_test(name) cmocka_unit_test_setup_teardown(name, make_model, model_bytes_free)

int main(void)
{
    const struct CMUnitTest tests[] = {
        model_test(a_model_survives_its_file),
        model_test(a_name_that_is_no_device_is_refused_on_reading),
        model_test(the_same_model_gives_the_same_bytes),
        model_test(a_figure_that_was_not_computed_is_not_a_number_again),
        model_test(metadata_that_cannot_be_is_refused_by_its_key),
        model_test(a_model_of_another_space_is_refused),
        model_test(any_flipped_byte_of_the_weights_is_refused),
        model_test(every_truncation_is_refused),
        model_test(running_out_of_memory_is_told_and_leaks_nothing),
        model_test(the_shipped_models_load_and_are_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

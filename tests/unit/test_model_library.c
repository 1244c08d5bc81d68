/* proto/model_file.h: a model that learned from a library of devices, in a file, and what is refused
 * of such a file. */
#include "core/matrix.h"
#include "proto/model_file.h"
#include "proto/safetensors.h"
#include "tests/support/changed_file.h"
#include "tests/support/library.h"
#include "tests/support/model_bytes.h"

enum { N_DEVICES = LIBRARY_N_DEVICES, N_ROWS = LIBRARY_N_ROWS };

static int make_model(void **state)
{
    static struct model_bytes f;
    static struct small_library library;
    struct error err = {0};

    (void)count_blocks(state);
    *state = &f;
    memset(&f, 0, sizeof f);
    library_make(&space_fbnetv3, &library);
    assert_int_equal(matrix_init(NULL), ERR_OK);
    assert_ok(predictor_fit(&predictor_kind_cost, &space_fbnetv3, library.genes,
                            library.latency_ms[0], N_ROWS, &(struct fit_options){0},
                            &f.model.predictor, NULL, &err),
              &err);
    assert_ok(calibration_prior_fit(&space_fbnetv3, library.devices, N_DEVICES, NULL,
                                    &f.model.prior, &err),
              &err);
    f.model.info = (struct model_info){
        .source = "latency",
        .n_rows = N_ROWS,
        .data_sha256 = "0123abcd",
        .validation = "none",
        .conditions = {.input = "1x3x32x32",          .batch = 4, .runtime = "TFLite \xc3\xa9"},
        .library = {.spearman = {0.5, NAN, 0.75, -0.25}},
    };
    assert_ok(model_info_set_devices(&f.model.info, library_names, 1, &err), &err);
    assert_ok(model_info_set_library(&f.model.info, library_names, N_DEVICES,
                                     (size_t)N_DEVICES * N_ROWS, &err),
              &err);
    model_version_whole(&f.model, f.model.info.version);
    assert_ok(model_encode(&f.model, &f.bytes, &f.size, &err), &err);
    return 0;
}

static void a_library_and_conditions_survive_the_file(void **state)
{
    const struct model_bytes *f = *state;
    struct model read = {0};
    struct error err = {0};

    assert_ok(model_decode(f->bytes, f->size, &space_fbnetv3, &read, &err), &err);
    assert_non_null(read.prior);
    assert_int_equal(read.prior->n_devices, N_DEVICES);
    assert_memory_equal(read.prior->functions, f->model.prior->functions,
                        N_DEVICES * read.prior->n_coefficients * sizeof(double));
    assert_memory_equal(read.prior->level, f->model.prior->level, N_DEVICES * sizeof(double));
    assert_memory_equal(read.prior->hardware, f->model.prior->hardware,
                        N_DEVICES * HARDWARE_N_FIELDS * sizeof(double));
    assert_int_equal(read.info.library.n_devices, N_DEVICES);
    assert_string_equal(read.info.library.devices[2], "server");
    assert_int_equal(read.info.library.n_rows, N_DEVICES * N_ROWS);
    assert_near(read.info.library.spearman[3], -0.25, 1e-6);
    assert_true(isnan(read.info.library.spearman[1]));
    assert_string_equal(read.info.conditions.input, "1x3x32x32");
    assert_int_equal(read.info.conditions.batch, 4);
    assert_string_equal(read.info.conditions.runtime, "TFLite \xc3\xa9");
    model_close(&read);
}

static void what_was_learned_from_a_library_is_part_of_the_version(void **state)
{
    const struct model_bytes *f = *state;
    char version[MODEL_VERSION_BYTES];

    model_version(f->model.predictor, version);
    assert_string_not_equal(version, f->model.info.version);
}

static void conditions_are_the_models_own_where_it_has_them(void **state)
{
    const struct model_bytes *f = *state;
    const struct model_info plain = {.source = "latency"};
    struct conditions_view view = model_conditions_of(&space_fbnetv3, &f->model.info);

    assert_string_equal(view.input, "1x3x32x32");
    assert_int_equal(view.batch, 4);
    view = model_conditions_of(&space_fbnetv3, &plain);
    assert_string_equal(view.input, space_fbnetv3.input);
    assert_int_equal(view.batch, space_fbnetv3.batch);
    assert_null(view.runtime);
}

static void a_copy_of_the_papers_is_its_own(void **state)
{
    const struct model_bytes *f = *state;
    struct model_info copy = {0};
    struct error err = {0};

    assert_ok(model_info_copy(&f->model.info, &copy, &err), &err);
    assert_string_equal(copy.library.devices[1], "gpu");
    assert_ptr_not_equal(copy.library.devices[1], f->model.info.library.devices[1]);
    assert_string_equal(copy.devices[0], "slow phone");
    model_info_close(&copy);
}

static void every_truncation_is_refused(void **state)
{
    const struct model_bytes *f = *state;

    for (size_t size = 0; size < f->size; size += size < 4096 || f->size - size < 512 ? 1 : 13) {
        struct model read = {0};
        char *copy = mem_calloc(size + 1, 1);
        assert_non_null(copy);
        memcpy(copy, f->bytes, size);
        assert_int_not_equal(model_decode(copy, size, &space_fbnetv3, &read, NULL), ERR_OK);
        assert_null(read.prior);
        mem_free(copy);
    }
}

/* Decodes the fixture with one key of its metadata changed (a NULL value leaves it out), and without
 * the tensor of that name. */
static enum err decode_changed(const struct model_bytes *f, const char *key, const char *value,
                               const char *tensor, struct error *err)
{
    const struct file_change change = {.key = key, .value = value, .without = tensor};
    struct model read = {0};
    size_t size = 0;
    char *bytes = changed_file(f->bytes, f->size, &change, &size);
    enum err rc = model_decode(bytes, size, &space_fbnetv3, &read, err);

    mem_free(bytes);
    model_close(&read);
    return rc;
}

static void papers_and_tensors_that_disagree_are_refused(void **state)
{
    static const struct {
        const char *key, *value, *tensor, *message;
    } cases[] = {
        {"library_devices",  NULL,         "",                  "does not tell of what devices"},
        {"library_devices",  "[\"gpu\"]",  "",                  "names 1 devices"              },
        {"library_devices",  "[]",         "",                  "list of 1 to 64 names"        },
        {"library_devices",  "[\"../x\"]", "",                  "device name"                  },
        {"library_devices",  "{",          "",                  "list of 1 to 64 names"        },
        {"library_rows",     "-1",         "",                  "library_rows"                 },
        {"library_spearman", "1 2 3",      "",                  "library_spearman"             },
        {"library_spearman", "1 2 3 inf",  "",                  "library_spearman"             },
        {"library_spearman", "1 2 3 4 5",  "",                  "library_spearman"             },
        {"batch",            "0",          "",                  "batch"                        },
        {"batch",            "70000",      "",                  "batch"                        },
        {"input",            "",           "",                  "metadata's input"             },
        {"runtime",          "a\nb",       "",                  "metadata's runtime"           },
        {"",                 NULL,         "library_functions", "no tensor does"               },
        {"",                 NULL,         "library_level",     "library_level"                },
        {"",                 NULL,         "library_hardware",  "library_hardware"             },
    };
    const struct model_bytes *f = *state;
    struct error err = {0};

    assert_ok(decode_changed(f, "", NULL, "", &err), &err);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_error(decode_changed(f, cases[i].key, cases[i].value, cases[i].tensor, &err),
                     ERR_INVALID, &err, cases[i].message);
    }
}

/* What OOM must not spoil: reading the file and readying the model, and writing it again. */
static enum err go_round(void *context, struct error *err)
{
    const struct model_bytes *f = context;
    struct model read = {0};
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = model_decode(f->bytes, f->size, &space_fbnetv3, &read, err);

    rc = rc != ERR_OK ? rc : model_prepare(&read, err);
    rc = rc != ERR_OK ? rc : model_encode(&read, &bytes, &size, err);
    mem_free(bytes);
    model_close(&read);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    struct model_bytes *f = *state;

    fail_each_allocation(go_round, f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_library_and_conditions_survive_the_file, make_model,
                                        model_bytes_free),
        cmocka_unit_test_setup_teardown(what_was_learned_from_a_library_is_part_of_the_version,
                                        make_model, model_bytes_free),
        cmocka_unit_test_setup_teardown(conditions_are_the_models_own_where_it_has_them, make_model,
                                        model_bytes_free),
        cmocka_unit_test_setup_teardown(a_copy_of_the_papers_is_its_own, make_model,
                                        model_bytes_free),
        cmocka_unit_test_setup_teardown(every_truncation_is_refused, make_model, model_bytes_free),
        cmocka_unit_test_setup_teardown(running_out_of_memory_is_told_and_leaks_nothing, make_model,
                                        model_bytes_free),
        cmocka_unit_test_setup_teardown(papers_and_tensors_that_disagree_are_refused, make_model,
                                        model_bytes_free),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

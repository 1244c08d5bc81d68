/* proto/safetensors.h and proto/model_file.h: what a file says by its header alone. */
#include "core/file.h"
#include "core/matrix.h"
#include "proto/model_file.h"
#include "proto/safetensors.h"
#include "tests/support/check.h"

/* The bytes of every shipped model, one after another. */
struct shipped {
    const struct space *space;
    const char *name;
    char *bytes;
    size_t size, head_bytes;
};

static void for_each_shipped(void (*check)(const struct shipped *f))
{
    static const char *const names[] = {"pretrainmodel", "pretrainmodel-mlp"};

    for (size_t i = 0; i < 2 * COUNT_OF(names); i++) {
        struct shipped f = {.space = built_in_spaces[i / 2], .name = names[i % 2]};
        char path[TEST_PATH_BYTES];
        (void)snprintf(path, sizeof path, "result/%s/%s.safetensors", f.space->name, f.name);
        assert_int_equal(file_read(path, SAFETENSORS_MAX_FILE_BYTES, &f.bytes, &f.size, NULL),
                         ERR_OK);
        assert_int_equal(safetensors_head_bytes(f.bytes, f.size, &f.head_bytes, NULL), ERR_OK);
        check(&f);
        mem_free(f.bytes);
    }
}

static void compare_with_whole(const struct shipped *f)
{
    struct model_info info = {0};
    const struct predictor_kind *kind = NULL;
    struct model whole = {0};
    struct error err = {0};

    assert_true(f->head_bytes < f->size / 2);
    assert_ok(model_peek(f->bytes, f->head_bytes, f->size, f->space, &info, &kind, &err), &err);
    assert_ok(model_decode(f->bytes, f->size, f->space, &whole, &err), &err);
    assert_string_equal(info.version, whole.info.version);
    assert_string_equal(info.source, whole.info.source);
    assert_string_equal(info.data_sha256, whole.info.data_sha256);
    assert_string_equal(info.validation, whole.info.validation);
    assert_true(info.n_rows == whole.info.n_rows && info.seed == whole.info.seed);
    assert_near(info.r_held_out, whole.info.r_held_out, 0);
    assert_int_equal(info.n_devices, whole.info.n_devices);
    assert_string_equal(info.devices[0], whole.info.devices[0]);
    assert_ptr_equal(kind, whole.predictor->kind);
    model_close(&whole);
    model_info_close(&info);
    model_info_close(&info);
}

static void the_header_tells_what_the_whole_file_tells(void **state)
{
    (void)state;
    assert_int_equal(matrix_init(NULL), ERR_OK);
    for_each_shipped(compare_with_whole);
}

static void refuse_truncations(const struct shipped *f)
{
    for (size_t size = SAFETENSORS_LENGTH_BYTES; size < f->head_bytes; size++) {
        char *copy = mem_calloc(size, 1); /* of just that size, so that reading beyond shows */
        struct model_info info = {0};
        const struct predictor_kind *kind = NULL;
        struct error err = {0};
        memcpy(copy, f->bytes, size);
        assert_error(model_peek(copy, size, f->size, f->space, &info, &kind, &err), ERR_SYNTAX,
                     &err, "the file ends within its header");
        assert_error(model_peek(copy, size, size, f->space, &info, &kind, &err), ERR_SYNTAX, &err,
                     "does not fit a file");
        assert_null(info.devices);
        mem_free(copy);
    }
}

static void every_truncation_of_a_header_is_refused(void **state)
{
    (void)state;
    for_each_shipped(refuse_truncations);
}

static void refuse_other_files(const struct shipped *f)
{
    const struct space *other =
        f->space == built_in_spaces[0] ? built_in_spaces[1] : built_in_spaces[0];
    struct model_info info = {0};
    const struct predictor_kind *kind = NULL;
    struct error err = {0};

    assert_error(model_peek(f->bytes, f->head_bytes, f->size, other, &info, &kind, &err),
                 ERR_INVALID, &err, "the predictor is for the search space");
    assert_error(model_peek(f->bytes, f->head_bytes, f->size - 1, f->space, &info, &kind, &err),
                 ERR_INVALID, &err, "lies outside of the file");
    assert_error(model_peek(f->bytes, f->head_bytes, f->size + 1, f->space, &info, &kind, &err),
                 ERR_INVALID, &err, "1 bytes follow the last tensor");
    assert_null(info.devices);
}

static void a_header_that_does_not_fit_its_file_or_space_is_refused(void **state)
{
    (void)state;
    for_each_shipped(refuse_other_files);
}

static void no_file_begins_with_less_than_a_length(void **state)
{
    static const char huge[] = "\xff\xff\xff\xff\xff\xff\xff\x7f";
    struct error err = {0};
    size_t size;
    (void)state;
    for (size_t n = 0; n < SAFETENSORS_LENGTH_BYTES; n++) {
        assert_error(safetensors_head_bytes(huge, n, &size, &err), ERR_SYNTAX, &err, "too few");
    }
    assert_error(safetensors_head_bytes(huge, (size_t)1 << 40, &size, &err), ERR_SYNTAX, &err,
                 "does not fit");
}

static enum err peek_once(void *context, struct error *err)
{
    const struct shipped *f = context;
    struct model_info info = {0};
    const struct predictor_kind *kind = NULL;
    enum err rc = model_peek(f->bytes, f->head_bytes, f->size, f->space, &info, &kind, err);

    model_info_close(&info);
    return rc;
}

static void fail_allocations(const struct shipped *f)
{
    struct shipped copy = *f;

    fail_each_allocation(peek_once, &copy);
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    for_each_shipped(fail_allocations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_header_tells_what_the_whole_file_tells),
        counted_test(every_truncation_of_a_header_is_refused),
        counted_test(a_header_that_does_not_fit_its_file_or_space_is_refused),
        counted_test(no_file_begins_with_less_than_a_length),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

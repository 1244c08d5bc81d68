/* core/tensor.h: named arrays. */
#include "core/tensor.h"
#include "tests/support/check.h"

static struct tensor f64(const char *name, size_t n, const double *data)
{
    struct tensor t = {.type = TENSOR_F64, .n_dims = 1, .shape = {n}, .data = data};

    (void)snprintf(t.name, sizeof t.name, "%s", name);
    return t;
}

static void types_are_found_by_their_names(void **state)
{
    (void)state;
    for (unsigned t = 0; t < TENSOR_N_TYPES; t++) {
        assert_int_equal(tensor_type_find(tensor_type_name((enum tensor_type)t)), t);
    }
    assert_int_equal(tensor_type_find("F16"), TENSOR_N_TYPES);
    assert_int_equal(tensor_type_find(""), TENSOR_N_TYPES);
    assert_int_equal(tensor_type_bytes(TENSOR_F64), sizeof(double));
    assert_int_equal(tensor_type_bytes(TENSOR_F32), sizeof(float));
    assert_int_equal(tensor_type_bytes(TENSOR_U8), 1);
}

static void the_count_is_the_product_of_the_shape_and_checked(void **state)
{
    struct tensor t = {
        .n_dims = 3, .shape = {2, 3, 4}
    };
    size_t count = 0;
    (void)state;
    assert_true(tensor_count(&t, &count));
    assert_int_equal(count, 24);
    t.n_dims = 0;
    assert_true(tensor_count(&t, &count));
    assert_int_equal(count, 1); /* a scalar */
    t.n_dims = 3;
    t.shape[1] = SIZE_MAX / 2;
    assert_false(tensor_count(&t, &count));
    t.shape[1] = 0;
    assert_true(tensor_count(&t, &count));
    assert_int_equal(count, 0);
}

static void reading_takes_the_named_tensor_of_either_float_type(void **state)
{
    const double wide[] = {1.5, -2.25};
    unsigned char narrow[1 + 2 * sizeof(float)]; /* one off, so that the floats are not aligned */
    const float floats[] = {0.5F, 8.0F};
    struct tensor tensors[2] = {f64("wide", 2, wide), f64("narrow", 2, NULL)};
    double out[2];
    struct error err = {0};
    (void)state;
    memcpy(narrow + 1, floats, sizeof floats);
    tensors[1].type = TENSOR_F32;
    tensors[1].data = narrow + 1;
    assert_ok(tensor_read(tensors, 2, "narrow", 2, out, &err), &err);
    assert_near(out[1], 8.0, 0);
    assert_ok(tensor_read(tensors, 2, "wide", 2, out, &err), &err);
    assert_near(out[0], 1.5, 0);
    assert_ptr_equal(tensor_find(tensors, 2, "narrow"), &tensors[1]);
    assert_null(tensor_find(tensors, 2, "other"));
}

static void what_cannot_be_read_is_refused_by_name(void **state)
{
    const double values[] = {1, NAN, INFINITY};
    struct tensor t = f64("w", 3, values);
    double out[3];
    struct error err = {0};
    (void)state;
    assert_error(tensor_read(&t, 1, "v", 3, out, &err), ERR_INVALID, &err, "\"v\" is missing");
    assert_error(tensor_read(&t, 1, "w", 2, out, &err), ERR_INVALID, &err, "must hold 2 numbers");
    assert_error(tensor_read(&t, 1, "w", 3, out, &err), ERR_INVALID, &err,
                 "element 1 of the tensor \"w\" is not finite");
    t.type = TENSOR_I64;
    assert_error(tensor_read(&t, 1, "w", 3, out, &err), ERR_INVALID, &err,
                 "must be F64 or F32, not I64");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(types_are_found_by_their_names),
        cmocka_unit_test(the_count_is_the_product_of_the_shape_and_checked),
        cmocka_unit_test(reading_takes_the_named_tensor_of_either_float_type),
        cmocka_unit_test(what_cannot_be_read_is_refused_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

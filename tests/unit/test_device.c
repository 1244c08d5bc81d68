/* core/device.h: the formula, its bounds, and names of devices. */
#include "core/device.h"
#include "tests/support/check.h"

/* Devices that the check values are for. */
static const struct hardware phone = {2, 3, 1, 7.46};

static void the_formula_gives_the_check_value(void **state)
{
    (void)state;
    assert_near_relative(hardware_factor(&phone), 0.23369079535299375, 1e-15);
    assert_near_relative(7748.038618 * hardware_factor(&phone), 1810.6453070661305, 1e-15);
}

static void a_larger_number_anywhere_makes_a_faster_device(void **state)
{
    (void)state;
    for (size_t i = 0; i < HARDWARE_N_FIELDS; i++) {
        double vector[HARDWARE_N_FIELDS];
        struct hardware faster;
        hardware_to_vector(&phone, vector);
        vector[i] *= 1.5;
        faster = hardware_from_vector(vector);
        assert_true(hardware_factor(&faster) < hardware_factor(&phone));
    }
}

static void the_vector_is_in_the_order_f_d_c_m(void **state)
{
    const double vector[] = {2, 3, 1, 7.46};
    struct hardware hw = hardware_from_vector(vector);
    double back[HARDWARE_N_FIELDS];
    (void)state;
    assert_true(hw.frequency_ghz == 2 && hw.dispatch_width == 3);
    assert_true(hw.cache_mb == 1 && hw.memory_bandwidth_gbs == 7.46);
    hardware_to_vector(&hw, back);
    assert_memory_equal(back, vector, sizeof vector);
    assert_string_equal(hardware_fields[0].letter, "F");
    assert_string_equal(hardware_fields[1].letter, "D");
    assert_string_equal(hardware_fields[2].letter, "C");
    assert_string_equal(hardware_fields[3].letter, "M");
}

static void each_wrong_field_is_named(void **state)
{
    const double wrong[] = {0, -1, NAN, INFINITY, -INFINITY, 1e-300, 1e300};
    (void)state;
    for (size_t i = 0; i < HARDWARE_N_FIELDS; i++) {
        for (size_t w = 0; w < COUNT_OF(wrong); w++) {
            double vector[HARDWARE_N_FIELDS];
            struct hardware hw;
            struct error err = {0};
            size_t bad_field = 99;
            hardware_to_vector(&phone, vector);
            vector[i] = wrong[w];
            hw = hardware_from_vector(vector);
            assert_error(hardware_validate(&hw, &bad_field, &err), ERR_INVALID, &err,
                         hardware_fields[i].name);
            assert_contains(err.text, hardware_fields[i].unit);
            assert_int_equal(bad_field, i);
            assert_int_equal(hardware_validate(&hw, NULL, NULL), ERR_INVALID);
        }
    }
}

static void the_bounds_themselves_are_accepted_and_give_a_finite_factor(void **state)
{
    (void)state;
    for (unsigned corner = 0; corner < 16; corner++) {
        double vector[HARDWARE_N_FIELDS];
        struct hardware hw;
        struct error err = {0};
        for (unsigned i = 0; i < HARDWARE_N_FIELDS; i++) {
            vector[i] = corner >> i & 1 ? hardware_fields[i].max : hardware_fields[i].min;
        }
        hw = hardware_from_vector(vector);
        assert_ok(hardware_validate(&hw, NULL, &err), &err);
        assert_true(isfinite(hardware_factor(&hw)) && hardware_factor(&hw) > 0);
    }
}

static void good_names_are_accepted(void **state)
{
    static const char *const names[] = {
        "a",
        "Samsung Galaxy S20+ 5G",
        "Asus R0G Ph0ne 3",
        "\xc3\xa9t\xc3\xa9 \xf0\x9f\x93\xb1",
        "a.b-c_(d)",
        "x.",
        "\xc2\xa0", /* a no-break space: no control character */
    };
    char longest[101] = {0};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct error err = {0};
        assert_ok(device_name_validate(names[i], &err), &err);
    }
    memset(longest, 'x', 100);
    assert_int_equal(device_name_validate(longest, NULL), ERR_OK);
}

static void names_that_could_leave_the_tree_or_break_a_list_are_refused(void **state)
{
    static const char *const names[] = {
        "",       ".",        "..",   ".hidden", "../x",         "a/b",      "/a",
        "a\\b",   "a:b",      "a*",   "a?",      "a\"b",         "<a",       "a>",
        "a|b",    "a,b",      " a",   "a ",      "a\nb",         "a\tb",     "\x01",
        "a\x7f",  "\xc2\x85", "\xff", "a\xc3",   "\xed\xa0\x80", "\xc0\xaf", "a\rb",
        "a\x1f_",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct error err = {0};
        if (device_name_validate(names[i], &err) != ERR_INVALID) {
            fail_msg("\"%s\" is accepted", names[i]);
        }
        assert_contains(err.text, "a device name");
    }
}

static void a_name_of_101_bytes_is_too_long(void **state)
{
    char name[102] = {0};
    struct error err = {0};
    (void)state;
    memset(name, 'x', 101);
    assert_error(device_name_validate(name, &err), ERR_INVALID, &err, "at most 100 bytes, not 101");
}

static void folding_makes_equal_what_people_confuse(void **state)
{
    static const char *const pairs[][2] = {
        {"Asus R0G Ph0ne 3", "asus rog phone 3"  },
        {"Xiaomi Redmi 10X", "XIAOMI  REDMI  IOX"},
        {"Huawei   Mate 20", "huawei mate 2O"    },
    };
    char a[DEVICE_NAME_BYTES];
    char b[DEVICE_NAME_BYTES];
    (void)state;
    assert_true(device_name_fold(pairs[0][0], a) && device_name_fold(pairs[0][1], b));
    assert_string_equal(a, b);
    assert_true(device_name_fold(pairs[2][0], a) && device_name_fold(pairs[2][1], b));
    assert_string_equal(a, b);
    assert_true(device_name_fold("Model 1", a) && device_name_fold("model l", b));
    assert_string_equal(a, b);
    /* I is no l: only digits are taken for letters */
    assert_true(device_name_fold(pairs[1][0], a) && device_name_fold(pairs[1][1], b));
    assert_string_not_equal(a, b);
    assert_true(device_name_fold("Mate 20", a) && device_name_fold("Mate 30", b));
    assert_string_not_equal(a, b);
}

static void a_name_that_would_not_fit_is_not_folded(void **state)
{
    char name[200] = {0};
    char folded[DEVICE_NAME_BYTES];
    (void)state;
    memset(name, 'x', 101);
    assert_false(device_name_fold(name, folded));
    name[100] = '\0';
    assert_true(device_name_fold(name, folded));
    assert_int_equal(strlen(folded), 100);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(the_formula_gives_the_check_value),
        counted_test(a_larger_number_anywhere_makes_a_faster_device),
        counted_test(the_vector_is_in_the_order_f_d_c_m),
        counted_test(each_wrong_field_is_named),
        counted_test(the_bounds_themselves_are_accepted_and_give_a_finite_factor),
        counted_test(good_names_are_accepted),
        counted_test(names_that_could_leave_the_tree_or_break_a_list_are_refused),
        counted_test(a_name_of_101_bytes_is_too_long),
        counted_test(folding_makes_equal_what_people_confuse),
        counted_test(a_name_that_would_not_fit_is_not_folded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

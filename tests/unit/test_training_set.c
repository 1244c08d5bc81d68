/* server/training_set.h: where A comes from, and what may not be trained on. */
#include "server/training_set.h"
#include "tests/support/check.h"

#define SPACE_DIR "data/nasbench201/"

/* Two architectures, their a.txt, and two devices. */
static void make_tree(struct data_tree *tree)
{
    (void)write_text(SPACE_DIR "net.txt", "1 1 1 1 1 1\n4 4 4 4 4 4\n");
    (void)write_text(SPACE_DIR "a.txt", "11\n22\n");
    (void)write_text(SPACE_DIR "hardware/One.txt", "1 1 1 1"); /* k = 2 */
    (void)write_text(SPACE_DIR "hardware/Two.txt", "2 1 1 1"); /* k = 1 */
    assert_int_equal(data_tree_init(tree, check_directory, NULL, NULL), ERR_OK);
}

static enum err load(const struct data_tree *tree, const char *list, struct training_set *set,
                     struct error *err)
{
    struct names devices = {0};
    enum err rc = names_split(list, &devices, err);

    rc = rc != ERR_OK ? rc : training_set_load(tree, &space_nasbench201, &devices, set, err);
    names_close(&devices);
    return rc;
}

static void latencies_of_all_devices_give_a(void **state)
{
    struct data_tree tree;
    struct training_set set = {0};
    struct error err = {0};
    (void)state;
    make_tree(&tree);
    (void)write_text(SPACE_DIR "latency/One.txt", "200\n400\n");
    (void)write_text(SPACE_DIR "latency/two.txt", "100\n200\n");
    assert_ok(load(&tree, "one,Two", &set, &err), &err);
    assert_string_equal(set.source, "latency");
    assert_string_equal(set.reason, "all 2 training devices have latency files");
    assert_near_relative(set.a[0], 100, 1e-9);
    assert_near_relative(set.a[1], 200, 1e-9);
    assert_int_equal(set.architectures.n_rows, 2);
    assert_string_equal(set.devices.items[0], "One"); /* as its file spells it */
    assert_int_equal(strlen(set.sha256), 64);
    training_set_close(&set);
}

static void one_missing_file_means_a_txt_for_all(void **state)
{
    struct data_tree tree;
    struct training_set set = {0};
    struct error err = {0};
    (void)state;
    make_tree(&tree);
    (void)write_text(SPACE_DIR "latency/One.txt", "200\n400\n");
    assert_ok(load(&tree, "One,Two", &set, &err), &err);
    assert_string_equal(set.source, "a.txt");
    assert_contains(set.reason, "no latency file of the training device Two");
    assert_near(set.a[0], 11, 0);
    assert_near(set.a[1], 22, 0);
    training_set_close(&set);
}

static void the_digest_tells_sets_apart(void **state)
{
    struct data_tree tree;
    struct training_set a = {0};
    struct training_set b = {0};
    (void)state;
    make_tree(&tree);
    assert_int_equal(load(&tree, "One", &a, NULL), ERR_OK);
    assert_int_equal(load(&tree, "Two", &b, NULL), ERR_OK);
    assert_string_equal(a.sha256, b.sha256); /* the same genes and A */
    training_set_close(&b);
    (void)write_text(SPACE_DIR "a.txt", "11\n22.000001\n");
    assert_int_equal(load(&tree, "One", &b, NULL), ERR_OK);
    assert_string_not_equal(a.sha256, b.sha256);
    training_set_close(&a);
    training_set_close(&b);
}

static void wrong_devices_and_files_are_refused(void **state)
{
    struct data_tree tree;
    struct training_set set = {0};
    struct error err = {0};
    (void)state;
    make_tree(&tree);
    assert_error(load(&tree, "One,0ne", &set, &err), ERR_INVALID, &err, "One is named twice");
    assert_error(load(&tree, "One,Three", &set, &err), ERR_NOT_FOUND, &err, "no device \"Three\"");
    (void)write_text(SPACE_DIR "latency/One.txt", "200\n");
    assert_error(load(&tree, "One", &set, &err), ERR_INVALID, &err,
                 "One.txt:1: the file has 1 rows where net.txt has 2");
    (void)write_text(SPACE_DIR "latency/One.txt", "200\n-1\n");
    assert_error(load(&tree, "One", &set, &err), ERR_INVALID, &err,
                 "One.txt:2: -1 must be a positive");
    (void)write_text(SPACE_DIR "a.txt", "11\n22\n33\n");
    assert_error(load(&tree, "Two", &set, &err), ERR_INVALID, &err, "a.txt:3: the file has 3 rows");
    (void)unlink(own_path(SPACE_DIR "a.txt"));
    assert_error(load(&tree, "Two", &set, &err), ERR_NOT_FOUND, &err, "a.txt");
    assert_null(set.a);
}

static void a_device_in_both_lists_is_refused_however_it_is_spelled(void **state)
{
    static const struct {
        const char *train, *test;
        bool is_refused;
    } rows[] = {
        {"A,B",              "C",                false},
        {"A,B",              "C,B",              true },
        {"Asus ROG Phone 3", "asus r0g ph0ne 3", true },
        {"A1",               "a2",               false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct names train = {0};
        struct names test = {0};
        struct error err = {0};
        enum err rc;
        assert_int_equal(names_split(rows[i].train, &train, NULL), ERR_OK);
        assert_int_equal(names_split(rows[i].test, &test, NULL), ERR_OK);
        rc = training_check_unseen(&train, &test, &err);
        assert_error(rc, rows[i].is_refused ? ERR_INVALID : ERR_OK, &err, "is not unseen");
        names_close(&train);
        names_close(&test);
    }
}

static void the_default_devices_are_the_twelve_that_ship_with_sheets(void **state)
{
    struct data_tree tree;
    struct names devices = {0};
    (void)state;
    assert_int_equal(data_tree_init(&tree, ".", "/nowhere", NULL), ERR_OK);
    assert_int_equal(training_default_devices(&tree, &space_nasbench201, &devices, NULL), ERR_OK);
    assert_int_equal(devices.n, 12);
    for (size_t i = 0; i < devices.n; i++) {
        struct device_sheet sheet;
        struct error err = {0};
        assert_ok(data_find_device(&tree, &space_nasbench201, devices.items[i], &sheet, &err),
                  &err);
        assert_string_equal(sheet.name, devices.items[i]);
    }
    names_close(&devices);
}

static enum err load_once(void *context, struct error *err)
{
    struct training_set set = {0};
    enum err rc = load(context, "One,Two", &set, err);

    training_set_close(&set);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    struct data_tree tree;
    (void)state;
    make_tree(&tree);
    fail_each_allocation(load_once, &tree);
    (void)write_text(SPACE_DIR "latency/One.txt", "200\n400\n");
    (void)write_text(SPACE_DIR "latency/Two.txt", "100\n200\n");
    fail_each_allocation(load_once, &tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(latencies_of_all_devices_give_a),
        directory_test(one_missing_file_means_a_txt_for_all),
        directory_test(the_digest_tells_sets_apart),
        directory_test(wrong_devices_and_files_are_refused),
        directory_test(a_device_in_both_lists_is_refused_however_it_is_spelled),
        directory_test(the_default_devices_are_the_twelve_that_ship_with_sheets),
        directory_test(running_out_of_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

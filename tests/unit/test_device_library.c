/* server/device_library.h, and what a training makes of a library alone (server/training_set.h). */
#include "core/matrix.h"
#include "server/device_library.h"
#include "server/training_set.h"
#include "tests/support/job.h"

static struct data_tree *make_library(void)
{
    static struct data_tree tree;

    job_make_tree(&tree);
    job_make_library();
    return &tree;
}

static enum err load(const struct data_tree *tree, const char *list, struct device_library *library,
                     size_t *bad, struct error *err)
{
    struct names only = {0};
    enum err rc = list[0] != '\0' ? names_split(list, &only, err) : ERR_OK;

    rc = rc != ERR_OK ? rc
                      : device_library_load(tree, &space_nasbench201, NULL,
                                            only.n > 0 ? &only : NULL, library, bad, err);
    names_close(&only);
    return rc;
}

static void all_devices_of_a_directory_are_read_or_those_named(void **state)
{
    const struct data_tree *tree = make_library();
    struct device_library library = {0};
    size_t bad = 7;
    struct error err = {0};

    (void)state;
    assert_ok(load(tree, "", &library, &bad, &err), &err);
    assert_int_equal(bad, SIZE_MAX);
    assert_int_equal(library.n, 2);
    assert_int_equal(library.n_rows, 4 * JOB_ROWS);
    assert_string_equal(library.devices[0].name, "Four");
    assert_null(library.devices[0].hardware);
    assert_non_null(library.devices[1].hardware); /* a sheet of Two is there */
    device_library_close(&library);
    assert_ok(load(tree, "tw0", &library, &bad, &err), &err);
    assert_int_equal(library.n, 1);
    assert_string_equal(library.names.items[0], "Two");
    device_library_close(&library);
    assert_error(load(tree, "Two,Nine", &library, &bad, &err), ERR_NOT_FOUND, &err, "Nine");
    assert_int_equal(bad, 1);
    assert_error(load(tree, "Two,two", &library, &bad, &err), ERR_INVALID, &err, "twice");
    (void)write_text(JOB_TREE "measurements/Four.csv", "111111,1\n111119,2\n");
    assert_error(load(tree, "", &library, &bad, &err), ERR_INVALID, &err, "Four.csv: line 2");
    assert_int_equal(library.n, 0);
}

/* Both devices at one level, and that in terms of k of the one that has a sheet. */
static void a_library_alone_gives_a(void **state)
{
    const struct data_tree *tree = make_library();
    struct device_library library = {0};
    struct training_set set = {0};
    struct training_set few = {0};
    double mean[2] = {0};
    struct error err = {0};

    (void)state;
    assert_ok(load(tree, "", &library, NULL, &err), &err);
    assert_ok(training_set_of_library(&library, &space_nasbench201, 1000, &set, &err), &err);
    assert_int_equal(set.architectures.n_rows, 4 * JOB_ROWS);
    assert_int_equal(set.devices.n, 2);
    assert_string_equal(set.source, TRAINING_OF_LIBRARY);
    for (size_t i = 0; i < set.architectures.n_rows; i++) {
        const bool is_two = i >= 2 * JOB_ROWS;
        mean[is_two] += log(set.a[i]) / (2 * JOB_ROWS);
        if (is_two) { /* whose k is 1 */
            assert_near_relative(set.a[i], library.rows[1].latency_ms[i - 2 * JOB_ROWS], 1e-9);
        }
    }
    assert_near(mean[0], mean[1], 0.1);
    assert_memory_equal(set.architectures.genes, library.rows[0].genes,
                        2 * JOB_ROWS * JOB_GENES * sizeof(int32_t));
    assert_ok(training_set_of_library(&library, &space_nasbench201, 10, &few, &err), &err);
    assert_int_equal(few.architectures.n_rows, 10);
    assert_near_relative(few.a[9], library.rows[1].latency_ms[4 * 2 * JOB_ROWS / 5], 1e-9);
    assert_string_not_equal(few.sha256, set.sha256);
    training_set_close(&few);
    training_set_close(&set);
    device_library_close(&library);
}

static void without_a_sheet_a_is_of_the_middle_device(void **state)
{
    const struct data_tree *tree = make_library();
    struct device_library library = {0};
    struct training_set set = {0};
    struct error err = {0};

    (void)state;
    assert_ok(load(tree, "Four", &library, NULL, &err), &err);
    assert_ok(training_set_of_library(&library, &space_nasbench201, 1000, &set, &err), &err);
    for (size_t i = 0; i < set.architectures.n_rows; i++) {
        assert_near_relative(set.a[i], library.rows[0].latency_ms[i], 1e-9);
    }
    training_set_close(&set);
    device_library_close(&library);
}

static enum err load_and_train_once(void *context, struct error *err)
{
    struct device_library library = {0};
    struct training_set set = {0};
    enum err rc = load(context, "four,Two", &library, NULL, err);

    rc = rc != ERR_OK ? rc : training_set_of_library(&library, &space_nasbench201, 60, &set, err);
    training_set_close(&set);
    device_library_close(&library);
    return rc;
}

static enum err load_wrong_once(void *context, struct error *err)
{
    struct device_library library = {0};
    enum err rc = load(context, "", &library, NULL, err);

    return rc == ERR_INVALID ? ERR_OK : rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    struct data_tree *tree = make_library();

    (void)state;
    fail_each_allocation(load_and_train_once, tree);
    (void)write_text(JOB_TREE "measurements/Two.csv", "111111,1\n111119,2\n");
    fail_each_allocation(load_wrong_once, tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(all_devices_of_a_directory_are_read_or_those_named),
        directory_test(a_library_alone_gives_a),
        directory_test(without_a_sheet_a_is_of_the_middle_device),
        directory_test(running_out_of_memory_is_told_and_leaks_nothing),
    };

    return matrix_init(NULL) == ERR_OK ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}

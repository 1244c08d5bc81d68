/* server/data_tree.h: where files are looked for, and what a device's name stands for. */
#include "server/data_tree.h"
#include "tests/support/check.h"

#define SPACE_DIR "data/nasbench201/"
#define SHEET     "{\"hardware\":[3,3,3,3]}"

/* A tree rooted in the own directory; data_path NULL. */
static struct data_tree own_tree(void)
{
    struct data_tree tree;

    assert_int_equal(data_tree_init(&tree, check_directory, NULL, NULL), ERR_OK);
    return tree;
}

static enum err find(const char *name, struct device_sheet *sheet, struct error *err)
{
    struct data_tree tree = own_tree();

    return data_find_device(&tree, &space_nasbench201, name, sheet, err);
}

/* The clock tells which file was read. */
static void assert_found(const char *name, double frequency_ghz, const char *spelled)
{
    struct device_sheet sheet = {0};
    struct error err = {0};

    assert_ok(find(name, &sheet, &err), &err);
    assert_near(sheet.hardware.frequency_ghz, frequency_ghz, 0);
    assert_string_equal(sheet.name, spelled);
}

static void hardware_wins_over_nas_and_both_over_the_shared_sheets(void **state)
{
    (void)state;
    (void)write_text("data/devices/Phone.json", SHEET);
    assert_found("Phone", 3, "Phone");
    (void)write_text(SPACE_DIR "NAS/Phone.txt", "2 2 2 2");
    assert_found("Phone", 2, "Phone");
    (void)write_text(SPACE_DIR "hardware/Phone.txt", "1\n1\n1\n1\n");
    assert_found("Phone", 1, "Phone");
}

static void a_name_may_differ_in_case_and_in_digits_for_letters(void **state)
{
    (void)state;
    (void)write_text(SPACE_DIR "NAS/Asus R0G Ph0ne 3.txt", "2 2 2 2");
    (void)write_text("data/devices/Galaxy A9.json", SHEET);
    assert_found("Asus ROG Phone 3", 2, "Asus R0G Ph0ne 3");
    assert_found("asus  rog phone 3", 2, "Asus R0G Ph0ne 3");
    assert_found("galaxy a9", 3, "Galaxy A9");
}

static void a_name_that_could_mean_two_devices_must_be_spelled_exactly(void **state)
{
    struct device_sheet sheet = {0};
    struct error err = {0};
    (void)state;
    (void)write_text(SPACE_DIR "hardware/phone.txt", "1 1 1 1");
    (void)write_text(SPACE_DIR "hardware/Phone.txt", "2 2 2 2");
    assert_error(find("PHONE", &sheet, &err), ERR_INVALID, &err, "could mean several devices");
    assert_found("Phone", 2, "Phone");
}

static void tables_of_the_search_are_no_devices(void **state)
{
    static const char *const tables[] = {"net", "acc", "dataxy"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(tables); i++) {
        char name[64];
        struct device_sheet sheet = {0};
        struct error err = {0};
        (void)snprintf(name, sizeof name, SPACE_DIR "NAS/%s.txt", tables[i]);
        (void)write_text(name, "1 1 1 1");
        assert_error(find(tables[i], &sheet, &err), ERR_NOT_FOUND, &err, "there is no device");
    }
}

static void names_that_could_leave_the_tree_are_refused(void **state)
{
    struct device_sheet sheet = {0};
    struct error err = {0};
    (void)state;
    (void)write_text("outside.txt", "1 1 1 1");
    assert_error(find("../../../outside", &sheet, &err), ERR_INVALID, &err, "a device name");
    assert_error(find("nobody", &sheet, &err), ERR_NOT_FOUND, &err,
                 "there is no device \"nobody\"");
}

static void a_malformed_sheet_is_refused_with_its_path(void **state)
{
    struct device_sheet sheet = {0};
    struct error err = {0};
    (void)state;
    (void)write_text(SPACE_DIR "hardware/a.txt", "1 2 3");
    assert_error(find("a", &sheet, &err), ERR_SYNTAX, &err, "hardware/a.txt:1: 3 numbers where 4");
    (void)write_text(SPACE_DIR "hardware/b.txt", "1 2 0 3");
    assert_error(find("b", &sheet, &err), ERR_INVALID, &err, "hardware/b.txt:1: cache_mb");
    (void)write_text(SPACE_DIR "hardware/c.txt", "1 2 nan 3");
    assert_error(find("c", &sheet, &err), ERR_SYNTAX, &err, "\"nan\" is not a number");
    (void)write_text("data/devices/d.json", "{}");
    assert_error(find("d", &sheet, &err), ERR_INVALID, &err, "data/devices/d.json: /hardware");
    (void)write_text(SPACE_DIR "hardware/e.txt", "");
    assert_error(find("e", &sheet, &err), ERR_SYNTAX, &err, "0 numbers where 4");
}

static void a_data_path_is_the_folder_of_the_space_or_one_that_holds_it(void **state)
{
    struct data_tree tree;
    char path[PATH_BYTES];
    (void)state;
    (void)write_text("elsewhere/nasbench201/net.txt", "1 1 1 1 1 1");
    assert_int_equal(data_tree_init(&tree, check_directory, own_path("elsewhere"), NULL), ERR_OK);
    assert_int_equal(data_space_dir(&tree, &space_nasbench201, path, NULL), ERR_OK);
    assert_string_equal(path, own_path("elsewhere/nasbench201"));
    assert_int_equal(
        data_tree_init(&tree, check_directory, own_path("elsewhere/nasbench201"), NULL), ERR_OK);
    assert_int_equal(data_space_dir(&tree, &space_nasbench201, path, NULL), ERR_OK);
    assert_string_equal(path, own_path("elsewhere/nasbench201"));
}

static void without_net_txt_the_message_tells_how_to_get_it(void **state)
{
    struct data_tree tree = own_tree();
    struct dataset rows = {0};
    struct error err = {0};
    (void)state;
    assert_error(data_load_architectures(&tree, &space_nasbench201, &rows, &err), ERR_NOT_FOUND,
                 &err, "make data FROM=");
    (void)write_text(SPACE_DIR "net.txt", "1 1 1 1 1 1\n");
    assert_ok(data_load_architectures(&tree, &space_nasbench201, &rows, &err), &err);
    assert_int_equal(rows.n_rows, 1);
    dataset_close(&rows);
}

static void measured_devices_are_listed_sorted_and_read_row_for_row(void **state)
{
    struct data_tree tree = own_tree();
    struct names names = {0};
    double *latency_ms = NULL;
    struct error err = {0};
    (void)state;
    assert_ok(data_list_measured(&tree, &space_nasbench201, &names, &err), &err);
    assert_int_equal(names.n, 0);
    (void)write_text(SPACE_DIR "latency/b.txt", "1\n2\n");
    (void)write_text(SPACE_DIR "latency/A.txt", "3\n4\n");
    (void)write_text(SPACE_DIR "latency/.hidden.txt", "3\n4\n");
    (void)write_text(SPACE_DIR "latency/notes.md", "x");
    assert_ok(data_list_measured(&tree, &space_nasbench201, &names, &err), &err);
    assert_int_equal(names.n, 2);
    assert_string_equal(names.items[0], "A");
    assert_string_equal(names.items[1], "b");
    names_close(&names);
    assert_ok(data_load_latency(&tree, &space_nasbench201, "B", 2, &latency_ms, &err), &err);
    assert_near(latency_ms[1], 2, 0);
    mem_free(latency_ms);
    assert_error(data_load_latency(&tree, &space_nasbench201, "b", 3, &latency_ms, &err),
                 ERR_INVALID, &err, "has 2 rows where net.txt has 3");
    assert_error(data_load_latency(&tree, &space_nasbench201, "c", 2, &latency_ms, &err),
                 ERR_NOT_FOUND, &err, "no measured latencies of \"c\"");
}

static enum err find_once(void *context, struct error *err)
{
    struct device_sheet sheet = {0};

    return find(context, &sheet, err);
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    (void)write_text(SPACE_DIR "hardware/other.txt", "1 1 1 1");
    (void)write_text("data/devices/Phone.json", SHEET);
    fail_each_allocation(find_once, (void *)"phone");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(hardware_wins_over_nas_and_both_over_the_shared_sheets),
        directory_test(a_name_may_differ_in_case_and_in_digits_for_letters),
        directory_test(a_name_that_could_mean_two_devices_must_be_spelled_exactly),
        directory_test(tables_of_the_search_are_no_devices),
        directory_test(names_that_could_leave_the_tree_are_refused),
        directory_test(a_malformed_sheet_is_refused_with_its_path),
        directory_test(a_data_path_is_the_folder_of_the_space_or_one_that_holds_it),
        directory_test(without_net_txt_the_message_tells_how_to_get_it),
        directory_test(measured_devices_are_listed_sorted_and_read_row_for_row),
        directory_test(running_out_of_memory_is_told_and_leaks_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/device_index.h: what the tree knows of devices, whoever put it there. */
#include "server/device_index.h"
#include "tests/support/check.h"

#define SHEET(f) \
    "{\"hardware\":[" #f ",3,1,7.46],\"chip\":\"c\",\"estimated\":true,\"source\":\"s\"}"
#define CSV "architecture,latency_ms\n444244,12.5\n111111,3\n"

static struct data_tree tree_at(const char *data_path)
{
    struct data_tree tree;
    struct error err = {0};

    assert_ok(data_tree_init(&tree, check_directory, data_path, &err), &err);
    return tree;
}

static struct device_index load(const struct data_tree *tree)
{
    struct device_index index = {0};
    struct error err = {0};

    assert_ok(device_index_load(tree, &index, &err), &err);
    return index;
}

/* The view of a device that has to be there. */
static struct device_view view_of(const struct data_tree *tree, const char *name)
{
    struct device_index index = load(tree);
    struct device_files files;
    struct device_view view;
    struct error err = {0};

    assert_ok(device_index_find(&index, name, &files, &err), &err);
    assert_ok(device_view_load(tree, &files, &view, &err), &err);
    device_index_close(&index);
    return view;
}

/* The names of all devices, with commas between. */
static const char *all_names(const struct data_tree *tree)
{
    static char joined[1024];
    struct device_index index = load(tree);
    struct names names = {0};
    struct error err = {0};

    joined[0] = '\0';
    assert_ok(device_index_names(&index, &names, &err), &err);
    for (size_t i = 0; i < names.n; i++) {
        size_t used = strlen(joined);
        (void)snprintf(joined + used, sizeof joined - used, "%s%s", i > 0 ? "," : "",
                       names.items[i]);
    }
    names_close(&names);
    device_index_close(&index);
    return joined;
}

static void an_empty_tree_has_no_devices(void **state)
{
    struct data_tree tree = tree_at(NULL);
    struct device_index index = load(&tree);
    struct device_files files;
    struct error err = {0};
    (void)state;
    assert_int_equal(index.n_files, 0);
    assert_error(device_index_find(&index, "X", &files, &err), ERR_NOT_FOUND, &err,
                 "there is no device \"X\"");
    assert_string_equal(all_names(&tree), "");
    device_index_close(&index);
}

static void every_kind_of_file_makes_a_device(void **state)
{
    struct data_tree tree = tree_at(NULL);
    (void)state;
    write_text("data/devices/Sheet.json", SHEET(2));
    write_text("data/nasbench201/hardware/Hard.txt", "2 3 1 7.46\n");
    write_text("data/fbnetv3/NAS/Target.txt", "2 3 1 7.46\n");
    write_text("data/fbnetv3/NAS/net.txt", "1\n");
    write_text("data/nasbench201/latency/Late.txt", "1\n");
    write_text("data/fbnetv3/measurements/Measured.csv", "x");
    write_text("data/devices/.Hidden.1.2.tmp", "x");
    write_text("data/devices/.hidden.json", "x");
    write_text("data/devices/README.md", "x");
    write_text("data/devices/a,b.json", "x");
    write_text("data/nasbench201/measurements/.Measured.csv.1.2.tmp", "x");
    assert_string_equal(all_names(&tree), "Hard,Late,Measured,Sheet,Target");
}

static void all_spellings_are_one_device_named_after_its_sheet(void **state)
{
    static const char *const spellings[] = {"Asus R0G Ph0ne 3", "asus rog phone 3",
                                            "ASUS  ROG PHONE 3", "Asus ROG Phone 3"};
    struct data_tree tree = tree_at(NULL);
    struct space_list spaces;
    (void)state;
    space_list_get(&spaces);
    write_text("data/devices/Asus ROG Phone 3.json", SHEET(3.1));
    write_text("data/fbnetv3/hardware/Asus R0G Ph0ne 3.txt", "3 10 4 44");
    write_text("data/fbnetv3/latency/asus rog phone 3.txt", "1\n");
    assert_string_equal(all_names(&tree), "Asus ROG Phone 3");
    for (size_t i = 0; i < COUNT_OF(spellings); i++) {
        struct device_view view = view_of(&tree, spellings[i]);
        assert_string_equal(view.name, "Asus ROG Phone 3");
        assert_true(view.has_sheet && view.sheet.hardware.frequency_ghz == 3.1);
        assert_string_equal(view.sheet.chip, "c");
        assert_int_equal(view.n_spaces, spaces.n);
        assert_true(view.spaces[0].has_hardware && view.spaces[0].hardware.frequency_ghz == 3.1);
        assert_false(view.spaces[0].has_latency);
        assert_true(view.spaces[1].has_hardware && view.spaces[1].hardware.frequency_ghz == 3.0);
        assert_true(view.spaces[1].has_latency);
        assert_string_equal(view.error, "");
    }
}

static void the_files_that_win_are_those_that_predictions_use(void **state)
{
    struct data_tree tree = tree_at(NULL);
    static const char *const files[] = {"data/devices/X.json", "data/nasbench201/NAS/X.txt",
                                        "data/nasbench201/hardware/x.txt"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        struct device_view view;
        struct device_sheet sheet;
        struct error err = {0};
        char text[64];
        (void)snprintf(text, sizeof text, i == 0 ? "{\"hardware\":[%zu,3,1,7.46]}" : "%zu 3 1 7.46",
                       i + 1);
        write_text(files[i], text);
        view = view_of(&tree, "X");
        assert_ok(data_find_device(&tree, &space_nasbench201, "X", &sheet, &err), &err);
        assert_true(view.spaces[0].hardware.frequency_ghz == (double)(i + 1));
        assert_true(sheet.hardware.frequency_ghz == (double)(i + 1));
        assert_true(view.spaces[1].hardware.frequency_ghz == 1.0);
    }
}

static void two_spellings_in_one_place_have_to_be_spelled_exactly(void **state)
{
    struct data_tree tree = tree_at(NULL);
    struct device_index index;
    struct device_files files;
    struct error err = {0};
    (void)state;
    write_text("data/devices/A0.json", SHEET(2));
    write_text("data/devices/AO.json", SHEET(3));
    write_text("data/fbnetv3/latency/a0.txt", "1");
    write_text("data/devices/B.json", SHEET(1));
    assert_string_equal(all_names(&tree), "A0,AO,B,a0");
    assert_true(view_of(&tree, "A0").sheet.hardware.frequency_ghz == 2.0);
    assert_true(view_of(&tree, "AO").sheet.hardware.frequency_ghz == 3.0);
    index = load(&tree);
    assert_ok(device_index_find(&index, "a0", &files, &err),
              &err); /* a file's name, and no sheet's */
    assert_string_equal(files.name, "a0");
    assert_null(files.sheet);
    assert_error(device_index_find(&index, "aO", &files, &err), ERR_INVALID, &err,
                 "could mean several devices; spell it exactly");
    device_index_close(&index);
}

static void measurements_are_counted_and_its_own_win_over_given_ones(void **state)
{
    char given[TEST_PATH_BYTES];
    struct data_tree tree;
    struct device_index index;
    struct device_files files;
    enum data_place at;
    char path[PATH_BYTES];
    struct error err = {0};
    (void)state;
    (void)snprintf(given, sizeof given, "%s", own_path("given"));
    tree = tree_at(given);
    write_text("given/nasbench201/measurements/X.csv", "444244,1\n");
    assert_int_equal(view_of(&tree, "x").spaces[0].n_measurements, 1);
    write_text("data/nasbench201/measurements/x.csv", CSV);
    assert_int_equal(view_of(&tree, "X").spaces[0].n_measurements, 2);
    index = load(&tree);
    assert_ok(device_index_find(&index, "X", &files, &err), &err);
    assert_ok(device_measurements_path(&tree, &files, &space_nasbench201, &at, path, &err), &err);
    assert_int_equal(at, DATA_MEASUREMENTS);
    assert_string_equal(path, own_path("data/nasbench201/measurements/x.csv"));
    assert_error(device_measurements_path(&tree, &files, &space_fbnetv3, &at, path, &err),
                 ERR_NOT_FOUND, &err, "no measurements of \"x\" for fbnetv3");
    device_index_close(&index);
}

/* What is wrong is told with the file's path below the root, and the rest of the device is there.
 */
static void a_malformed_file_is_told_of_and_hides_nothing_else(void **state)
{
    struct data_tree tree = tree_at(NULL);
    struct device_view view;
    (void)state;
    write_text("data/devices/X.json", "{\"hardware\":[1,2,3]}");
    write_text("data/nasbench201/hardware/X.txt", "2 3 1 7.46\n");
    write_text("data/nasbench201/measurements/X.csv", CSV "444244,0\n");
    write_text("data/fbnetv3/hardware/X.txt", "2 3 x\n");
    view = view_of(&tree, "X");
    assert_false(view.has_sheet);
    assert_string_equal(view.error,
                        "data/devices/X.json: /hardware: hardware must be 4 numbers (frequency in "
                        "GHz, dispatch width, cache in MB, memory bandwidth in GB/s), not 3");
    assert_true(view.spaces[0].has_hardware);
    assert_int_equal(view.spaces[0].n_measurements, 0);
    assert_true(strncmp(view.spaces[0].error,
                        "data/nasbench201/measurements/X.csv: line 4: latency_ms must be",
                        60) == 0);
    assert_false(view.spaces[1].has_hardware);
    assert_string_equal(view.spaces[1].error,
                        "data/fbnetv3/hardware/X.txt:1: \"x\" is not a number");
    write_text("data/devices/X.json", SHEET(2));
    view = view_of(&tree, "X");
    assert_string_equal(view.error, "data/fbnetv3/hardware/X.txt:1: \"x\" is not a number");
}

static void a_directory_in_a_files_place_is_told_of(void **state)
{
    struct data_tree tree = tree_at(NULL);
    (void)state;
    write_text("data/devices/X.json/inside", "");
    assert_string_equal(view_of(&tree, "X").error, "data/devices/X.json is not a regular file");
}

static void a_link_to_nothing_is_no_error(void **state)
{
    struct data_tree tree = tree_at(NULL);
    struct device_view view;
    (void)state;
    write_text("data/devices/X.json", SHEET(2));
    write_text("data/nasbench201/hardware/keep", "");
    write_text("data/nasbench201/measurements/keep", "");
    assert_int_equal(symlink("/nowhere", own_path("data/nasbench201/hardware/X.txt")), 0);
    assert_int_equal(symlink("/nowhere", own_path("data/nasbench201/measurements/X.csv")), 0);
    view = view_of(&tree, "X");
    assert_true(view.spaces[0].has_hardware && view.spaces[0].hardware.frequency_ghz == 2.0);
    assert_string_equal(view.spaces[0].error, "");
}

static void paths_in_messages_are_relative(void **state)
{
    static const struct {
        const char *root, *data_path, *text, *expected;
    } rows[] = {
        {"/srv/x",  NULL,       "/srv/x/data/a.txt:3: bad",          "data/a.txt:3: bad"         },
        {"/srv/x",  NULL,       "cannot open /srv/x/data/a.txt: no", "cannot open data/a.txt: no"},
        {"/srv/x",  NULL,       "see \"/srv/x/a\" and (/srv/x/b)",   "see \"a\" and (b)"         },
        {"/srv/x",  NULL,       "/srv/xy/a",                         "/srv/xy/a"                 },
        {"/srv/x",  NULL,       "/old/srv/x/a",                      "/old/srv/x/a"              },
        {"/srv/x",  "/srv/x/d", "/srv/x/d/a and /srv/x/e",           "a and e"                   },
        {"/srv/x",  "/srv",     "/srv/x/d/a and /srv/e",             "d/a and e"                 },
        {"/srv/x/", NULL,       "/srv/x//a",                         "a"                         },
        {".",       NULL,       "./data/a. ./b",                     "data/a. b"                 },
        {".",       "../d",     "../d/a: ./b",                       "a: b"                      },
        {"/srv/x",  NULL,       "",                                  ""                          },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct data_tree tree;
        struct error err = {0};
        assert_ok(data_tree_init(&tree, rows[i].root, rows[i].data_path, &err), &err);
        (void)snprintf(err.text, sizeof err.text, "%s", rows[i].text);
        data_localize(&tree, &err);
        assert_string_equal(err.text, rows[i].expected);
    }
}

static enum err load_all(void *context, struct error *err)
{
    const struct data_tree *tree = context;
    struct device_index index = {0};
    struct device_files files;
    struct device_view view;
    struct names names = {0};
    enum err rc = device_index_load(tree, &index, err);

    rc = rc != ERR_OK ? rc : device_index_names(&index, &names, err);
    rc = rc != ERR_OK ? rc : device_index_find(&index, "X", &files, err);
    rc = rc != ERR_OK ? rc : device_view_load(tree, &files, &view, err);
    names_close(&names);
    device_index_close(&index);
    return rc;
}

static void no_memory_is_told_and_leaves_nothing(void **state)
{
    struct data_tree tree = tree_at(NULL);
    (void)state;
    write_text("data/devices/X.json", SHEET(2));
    write_text("data/devices/Y.json", SHEET(2));
    write_text("data/nasbench201/hardware/X.txt", "2 3 1 7.46\n");
    write_text("data/nasbench201/measurements/X.csv", CSV "444244,0\n");
    fail_each_allocation(load_all, &tree);
}

/* A device that the index does not know, as the first PUT of its measurements finds it. */
static void a_device_without_files_has_none_in_any_space(void **state)
{
    const struct device_files none = {0};
    (void)state;
    for (enum data_place at = 0; at < DATA_N_PLACES; at++) {
        assert_null(device_file_at(&none, &space_nasbench201, at));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(an_empty_tree_has_no_devices),
        directory_test(every_kind_of_file_makes_a_device),
        directory_test(all_spellings_are_one_device_named_after_its_sheet),
        directory_test(the_files_that_win_are_those_that_predictions_use),
        directory_test(two_spellings_in_one_place_have_to_be_spelled_exactly),
        directory_test(measurements_are_counted_and_its_own_win_over_given_ones),
        directory_test(a_malformed_file_is_told_of_and_hides_nothing_else),
        directory_test(a_directory_in_a_files_place_is_told_of),
        directory_test(a_link_to_nothing_is_no_error),
        counted_test(paths_in_messages_are_relative),
        directory_test(no_memory_is_told_and_leaves_nothing),
        directory_test(a_device_without_files_has_none_in_any_space),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

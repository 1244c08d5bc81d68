/* server/shipped.h: what a root lacks is read from the shipped files, and nothing is written there. */
#include "server/data_tree.h"
#include "server/device_index.h"
#include "server/model_list.h"
#include "server/model_store.h"
#include "server/shipped.h"
#include "tests/support/check.h"

#define OWN_SHEET     "{\"hardware\":[1,1,1,1]}"
#define SHIPPED_SHEET "{\"hardware\":[3,3,3,3]}"
#define SHEETS        "data/devices/"
#define MODELS        "result/nasbench201/"

static char root[PATH_BYTES];
static char shipped[PATH_BYTES];

/* A directory with the folders "root" and "shipped" in it. */
static int start(void **state)
{
    if (enter_directory(state) != 0) {
        return -1;
    }
    (void)write_text("root/here", "");
    (void)write_text("shipped/here", "");
    (void)path_format(root, NULL, "%s/root", check_directory);
    (void)path_format(shipped, NULL, "%s/shipped", check_directory);
    return shipped_init(shipped, NULL) == ERR_OK ? 0 : -1;
}

static void assert_resolves(const char *name, const char *base)
{
    char path[PATH_BYTES];
    char expected[PATH_BYTES];

    assert_int_equal(shipped_resolve(root, name, path, NULL), ERR_OK);
    assert_int_equal(path_format(expected, NULL, "%s/%s", base, name), ERR_OK);
    assert_string_equal(path, expected);
    assert_int_equal(shipped_holds(path), base == shipped);
}

static void the_root_wins_file_by_file(void **state)
{
    (void)state;
    assert_resolves("a", root); /* nobody has it: it is where it would be */
    (void)write_text("shipped/a", "1");
    (void)write_text("shipped/b", "1");
    assert_resolves("a", shipped);
    (void)write_text("root/a", "2");
    assert_resolves("a", root);
    assert_resolves("b", shipped);
}

/* A link that leads nowhere, to a volume that is away say, is the root's: another file must not be
 * read instead of what was meant. */
static void a_link_that_leads_nowhere_is_not_passed_over(void **state)
{
    char path[PATH_BYTES];
    (void)state;
    (void)write_text("shipped/a", "1");
    (void)path_format(path, NULL, "%s/a", root);
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    assert_resolves("a", root);
}

static void a_directory_that_is_none_is_refused_and_without_one_nothing_is_shipped(void **state)
{
    struct error err = {0};
    (void)state;
    (void)write_text("shipped/a", "1");
    assert_error(shipped_init("/nowhere/at/all", &err), ERR_NOT_FOUND, &err, "/nowhere/at/all");
    assert_string_equal(shipped_directory(), "");
    assert_resolves("a", root);
    /* the program of this test has no share/dgld beside its directory */
    assert_int_equal(shipped_init(NULL, &err), ERR_OK);
    assert_string_equal(shipped_directory(), "");
}

/* ---- devices --------------------------------------------------------------------------------- */

static struct data_tree own_tree(void)
{
    struct data_tree tree;

    assert_int_equal(data_tree_init(&tree, root, NULL, NULL), ERR_OK);
    return tree;
}

/* The clock tells which file was read: by the look-up of predictions, and by the list. */
static void assert_device(const char *name, double frequency_ghz, const char *spelled)
{
    struct data_tree tree = own_tree();
    struct device_index index = {0};
    struct device_files files;
    struct device_view view;
    struct device_sheet sheet;
    struct error err = {0};

    assert_ok(data_find_device(&tree, &space_nasbench201, name, &sheet, &err), &err);
    assert_near(sheet.hardware.frequency_ghz, frequency_ghz, 0);
    assert_string_equal(sheet.name, spelled);
    assert_ok(device_index_load(&tree, &index, &err), &err);
    assert_ok(device_index_find(&index, name, &files, &err), &err);
    assert_ok(device_view_load(&tree, &files, &view, &err), &err);
    assert_near(view.sheet.hardware.frequency_ghz, frequency_ghz, 0);
    assert_string_equal(view.name, spelled);
    device_index_close(&index);
}

static size_t count_devices(void)
{
    struct data_tree tree = own_tree();
    struct device_index index = {0};
    struct names names = {0};
    size_t n;

    assert_int_equal(device_index_load(&tree, &index, NULL), ERR_OK);
    assert_int_equal(device_index_names(&index, &names, NULL), ERR_OK);
    n = names.n;
    names_close(&names);
    device_index_close(&index);
    return n;
}

static void a_sheet_of_the_root_wins_under_any_spelling(void **state)
{
    (void)state;
    (void)write_text("shipped/" SHEETS "Some Phone.json", SHIPPED_SHEET);
    (void)write_text("shipped/" SHEETS "Other.json", SHIPPED_SHEET);
    assert_device("some phone", 3, "Some Phone");
    (void)write_text("root/" SHEETS "s0me phone.json", OWN_SHEET);
    assert_device("Some Phone", 1, "s0me phone");
    assert_device("Other", 3, "Other");
    assert_int_equal(count_devices(), 2);
}

/* ---- models ---------------------------------------------------------------------------------- */

/* A model of nasbench201 whose seed is `seed`. */
static void save(const char *base, const char *name, uint64_t seed)
{
    const int32_t genes[] = {1, 2, 3, 4, 5, 1};
    const double a = 1000.0 + (double)seed;
    struct model model = {
        .info = {.source = "a.txt",
                 .n_rows = 1,
                 .data_sha256 = "0",
                 .validation = "none",
                 .seed = seed}
    };
    char path[PATH_BYTES];
    struct error err = {0};

    assert_ok(predictor_fit(&predictor_kind_cost, &space_nasbench201, genes, &a, 1,
                            &(struct fit_options){0}, &model.predictor, NULL, &err),
              &err);
    model_version(model.predictor, model.info.version);
    assert_ok(model_store_save(base, name, &model, path, &err), &err);
    assert_int_equal(strncmp(path, base, strlen(base)), 0);
    model_close(&model);
}

static uint64_t seed_of(const char *name)
{
    struct model model = {0};
    struct error err = {0};
    uint64_t seed;

    assert_ok(model_store_load_named(root, &space_nasbench201, name, &model, &err), &err);
    seed = model.info.seed;
    model_close(&model);
    return seed;
}

static void activate(const char *name)
{
    struct model model = {0};
    struct error err = {0};

    assert_ok(model_store_activate(root, &space_nasbench201, name, &model, &err), &err);
    model_close(&model);
}

/* An upgrade is another shipped file: followed by a root that has chosen nothing, and nothing to one
 * that has; what was served until then is kept. */
static void an_upgrade_is_followed_unless_a_model_was_activated(void **state)
{
    (void)state;
    save(shipped, NULL, 1);
    assert_int_equal(seed_of("default"), 1);
    save(shipped, NULL, 2);
    assert_int_equal(seed_of("default"), 2);
    activate("default"); /* chosen, as it is */
    save(shipped, NULL, 3);
    assert_int_equal(seed_of("default"), 2);
    assert_int_equal(seed_of("shipped"), 3);
    activate("shipped");
    assert_int_equal(seed_of("default"), 3);
}

static void a_training_keeps_the_shipped_model_that_it_replaces(void **state)
{
    struct model_list list = {0};
    struct model model = {0};
    char version[MODEL_VERSION_BYTES];
    (void)state;
    save(shipped, NULL, 1);
    assert_int_equal(model_store_load_named(root, &space_nasbench201, "default", &model, NULL),
                     ERR_OK);
    memcpy(version, model.info.version, sizeof version);
    model_close(&model);
    save(root, NULL, 5);
    save(shipped, NULL, 2); /* the first is gone from where it came from */
    assert_int_equal(seed_of("default"), 5);
    assert_int_equal(seed_of(version), 1);
    assert_int_equal(model_list_load(root, &space_nasbench201, &list, NULL), ERR_OK);
    assert_int_equal(list.n, 3);
    model_list_close(&list);
}

static void named_models_of_both_are_listed_once(void **state)
{
    struct model_list list = {0};
    (void)state;
    save(shipped, NULL, 1);
    save(shipped, "mlp", 2);
    save(shipped, "more", 3);
    save(root, "mlp", 4);
    assert_int_equal(seed_of("mlp"), 4);
    assert_int_equal(seed_of("more"), 3);
    assert_int_equal(model_list_load(root, &space_nasbench201, &list, NULL), ERR_OK);
    for (size_t i = 0; i < list.n; i++) {
        assert_null(list.items[i].error);
    }
    /* 1 as "default" and "shipped", 4 as "mlp", 3 as "more", and 2, which the save of 4 kept */
    assert_int_equal(list.n, 4);
    assert_int_equal(model_list_find(&list, "shipped")->info.seed, 1);
    assert_true(model_list_find(&list, "shipped") == model_list_find(&list, "default"));
    assert_int_equal(model_list_find(&list, "more")->info.seed, 3);
    model_list_close(&list);
}

static void a_model_of_the_root_may_have_the_name_shipped(void **state)
{
    (void)state;
    save(shipped, NULL, 1);
    save(root, "shipped", 2);
    assert_int_equal(seed_of("shipped"), 2);
    assert_int_equal(seed_of("default"), 1);
}

static void nothing_is_written_where_it_ships(void **state)
{
    size_t n_shipped;
    (void)state;
    save(shipped, NULL, 1);
    save(shipped, "mlp", 2);
    n_shipped = count_files(shipped);
    save(root, NULL, 7); /* asserts where */
    save(root, "mlp", 8);
    activate("shipped");
    activate("mlp");
    assert_int_equal(count_files(shipped), n_shipped);
    assert_int_equal(seed_of("shipped"), 1);
    assert_int_equal(seed_of("default"), 8);
}

static void without_any_model_the_name_shipped_is_none(void **state)
{
    struct model model = {0};
    struct error err = {0};
    (void)state;
    assert_error(model_store_load_named(root, &space_nasbench201, "shipped", &model, &err),
                 ERR_NOT_FOUND, &err, "there is no model \"shipped\"");
}

#define shipped_test(name) cmocka_unit_test_setup_teardown(name, start, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        shipped_test(the_root_wins_file_by_file),
        shipped_test(a_link_that_leads_nowhere_is_not_passed_over),
        shipped_test(a_directory_that_is_none_is_refused_and_without_one_nothing_is_shipped),
        shipped_test(a_sheet_of_the_root_wins_under_any_spelling),
        shipped_test(an_upgrade_is_followed_unless_a_model_was_activated),
        shipped_test(a_training_keeps_the_shipped_model_that_it_replaces),
        shipped_test(named_models_of_both_are_listed_once),
        shipped_test(a_model_of_the_root_may_have_the_name_shipped),
        shipped_test(nothing_is_written_where_it_ships),
        shipped_test(without_any_model_the_name_shipped_is_none),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

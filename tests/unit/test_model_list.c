/* server/model_list.h and model_store_activate(): versions in files, and which of them is served. */
#include "core/file.h"
#include "core/matrix.h"
#include "proto/safetensors.h"
#include "server/model_list.h"
#include "server/model_store.h"
#include "tests/support/one_row_model.h"

/* Three models, as every test may use them. */
static struct model models[3];

static int start(void **state)
{
    assert_int_equal(matrix_init(NULL), ERR_OK);
    assert_int_equal(enter_directory(state), 0);
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        models[i] = one_row_model(100.0 * (double)(i + 1));
    }
    return 0;
}

static int end(void **state)
{
    for (size_t i = 0; i < COUNT_OF(models); i++) {
        model_close(&models[i]);
    }
    return leave_directory(state);
}

static void save(const char *name, size_t i)
{
    char path[PATH_BYTES];
    struct error err = {0};

    assert_ok(model_store_save(check_directory, name, &models[i], path, &err), &err);
}

/* Writes a model below result/fbnetv3/ under a file name that model_store_save() would not use. */
static void write_model(const char *name, const struct model *model)
{
    char path[TEST_PATH_BYTES];
    char *bytes;
    size_t size;

    (void)snprintf(path, sizeof path, "result/fbnetv3/%s", name);
    assert_int_equal(model_encode(model, &bytes, &size, NULL), ERR_OK);
    (void)write_bytes(path, bytes, size);
    mem_free(bytes);
}

static struct model_list load(void)
{
    struct model_list list = {0};
    struct error err = {0};

    assert_ok(model_list_load(check_directory, &space_fbnetv3, &list, &err), &err);
    return list;
}

/* The names of a version, joined by blanks; "absent" where the list does not have it. */
static const char *names_of(const struct model_list *list, const char *version)
{
    static char text[256];
    const struct model_item *item = model_list_find(list, version);
    size_t used = 0;

    if (item == NULL) {
        return "absent";
    }
    text[0] = '\0';
    for (size_t i = 0; i < item->names.n; i++) {
        used += (size_t)snprintf(text + used, sizeof text - used, "%s%s", i > 0 ? " " : "",
                                 item->names.items[i]);
    }
    return text;
}

static void a_space_without_files_has_no_versions(void **state)
{
    struct model_list list = load();
    (void)state;
    assert_int_equal(list.n, 0);
    assert_null(model_list_find(&list, "default"));
    model_list_close(&list);
    model_list_close(&list);
}

static void each_version_is_listed_once_with_its_names(void **state)
{
    struct model_list list;
    const struct model_item *item;
    (void)state;
    save(NULL, 0);
    save(NULL, 1); /* 0 goes to models/ */
    save("b", 1);
    save("a", 1);
    save("c", 2);
    write_model("models/copy.safetensors", &models[2]);
    write_model("models/.hidden.safetensors", &models[2]);
    write_model("models/x.tmp", &models[2]);
    write_model("other.safetensors", &models[2]);
    list = load();
    assert_int_equal(list.n, 3);
    assert_string_equal(names_of(&list, models[0].info.version), "");
    assert_string_equal(names_of(&list, models[1].info.version), "default a b");
    assert_string_equal(names_of(&list, models[2].info.version), "c copy");
    assert_true(strcmp(list.items[0].info.version, list.items[1].info.version) < 0);
    assert_true(strcmp(list.items[1].info.version, list.items[2].info.version) < 0);
    item = model_list_find(&list, "b");
    assert_string_equal(item->info.version, models[1].info.version);
    assert_ptr_equal(item->kind, &predictor_kind_cost);
    assert_int_equal(item->info.seed, 200);
    assert_string_equal(item->path, own_path("result/fbnetv3/pretrainmodel.safetensors"));
    assert_true(item->size_bytes > 1000 && item->modified.tv_sec > 1700000000);
    assert_null(model_list_find(&list, "other"));
    model_list_close(&list);
}

static void a_file_that_is_no_model_is_listed_with_the_reason_beside_the_rest(void **state)
{
    static const struct {
        const char *name, *text, *error;
    } files[] = {
        {"pretrainmodel-Big.safetensors", "",                                   "a model's name has"},
        {"pretrainmodel-cut.safetensors", "short",                              "too few"           },
        {"pretrainmodel.safetensors",     "\xff\xff\xff\xff\xff\xff\xff\xff{}", "header's length"   },
        {"models/array.safetensors",      "\x02\0\0\0\0\0\0\0[]",               "not a JSON object" },
        {"models/empty.safetensors",      "\x02\0\0\0\0\0\0\0{}",               "version"           },
    };
    static const size_t sizes[] = {0, 5, 10, 10, 10};
    struct model_list list;
    (void)state;
    write_model("models/good.safetensors", &models[0]);
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        char path[TEST_PATH_BYTES];
        (void)snprintf(path, sizeof path, "result/fbnetv3/%s", files[i].name);
        (void)write_bytes(path, files[i].text, sizes[i]);
    }
    assert_int_equal(mkdir(own_path("result/fbnetv3/models/dir.safetensors"), 0777), 0);
    assert_int_equal(mkfifo(own_path("result/fbnetv3/models/fifo.safetensors"), 0600), 0);
    (void)alarm(20); /* what blocks would end the program */
    list = load();
    (void)alarm(0);
    assert_int_equal(list.n, 8);
    assert_string_equal(list.items[0].info.version, models[0].info.version);
    assert_string_equal(names_of(&list, "good"), "good");
    for (size_t i = 0; i < COUNT_OF(files); i++) {
        const struct model_item *item = NULL;
        char path[TEST_PATH_BYTES];
        (void)snprintf(path, sizeof path, "result/fbnetv3/%s", files[i].name);
        for (size_t j = 0; j < list.n; j++) {
            item = strcmp(list.items[j].path, own_path(path)) == 0 ? &list.items[j] : item;
        }
        assert_true(item != NULL && item->kind == NULL && item->size_bytes == sizes[i]);
        if (i > 0) { /* the empty one is too short as well */
            assert_contains(item->error, files[i].error);
        }
    }
    assert_contains(model_list_find(&list, "dir")->error, "not a regular file");
    assert_contains(model_list_find(&list, "fifo")->error, "not a regular file");
    model_list_close(&list);
}

static void a_name_that_leads_elsewhere_is_told(void **state)
{
    struct model_list list;
    const struct model_item *item;
    (void)state;
    write_model("models/x.safetensors", &models[0]);
    write_model("pretrainmodel-x.safetensors", &models[1]);
    write_model("pretrainmodel-default.safetensors", &models[1]);
    write_model("pretrainmodel-UP.safetensors", &models[1]);
    list = load();
    assert_int_equal(list.n, 4);
    assert_string_equal(names_of(&list, models[0].info.version), "x");
    assert_null(list.items[1].kind);
    for (size_t i = 1; i < 4; i++) {
        assert_contains(list.items[i].error, i == 1 ? "a model's name has" : "leads to");
    }
    item = model_list_find(&list, models[1].info.version);
    assert_null(item); /* no name leads to it */
    model_list_close(&list);
}

static void more_files_than_are_looked_at_are_counted(void **state)
{
    struct model_list list;
    const char *error = NULL;
    (void)state;
    save(NULL, 0);
    for (int i = 0; i < MODEL_LIST_MAX_FILES + 5; i++) {
        char name[64];
        (void)snprintf(name, sizeof name, "result/fbnetv3/models/m%05d.safetensors", i);
        (void)write_text(name, "x");
    }
    list = load();
    assert_int_equal(list.n, MODEL_LIST_MAX_FILES + 2);
    for (size_t i = 0; i < list.n; i++) {
        error = list.items[i].names.n == 0 ? list.items[i].error : error;
    }
    assert_contains(error, "5 more files");
    assert_string_equal(names_of(&list, models[0].info.version), "default");
    model_list_close(&list);
}

static enum err load_once(void *context, struct error *err)
{
    struct model_list list = {0};
    enum err rc = model_list_load(check_directory, &space_fbnetv3, &list, err);

    (void)context;
    model_list_close(&list);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    save(NULL, 0);
    save("a", 0);
    save("b", 1);
    (void)write_text("result/fbnetv3/models/bad.safetensors", "x");
    fail_each_allocation(load_once, NULL);
}

/* ---- finding and activating ------------------------------------------------------------------ */

static void a_model_is_found_by_name_and_by_version(void **state)
{
    char path[PATH_BYTES];
    struct error err = {0};
    (void)state;
    save(NULL, 0);
    save("a", 1);
    assert_ok(model_list_find_path(check_directory, &space_fbnetv3, "default", path, NULL, &err),
              &err);
    assert_string_equal(path, own_path("result/fbnetv3/pretrainmodel.safetensors"));
    assert_ok(model_list_find_path(check_directory, &space_fbnetv3, "a", path, NULL, &err), &err);
    assert_string_equal(path, own_path("result/fbnetv3/pretrainmodel-a.safetensors"));
    assert_ok(model_list_find_path(check_directory, &space_fbnetv3, models[1].info.version, path,
                                   NULL, &err),
              &err);
    assert_string_equal(path, own_path("result/fbnetv3/pretrainmodel-a.safetensors"));
    assert_error(model_list_find_path(check_directory, &space_fbnetv3, "b", path, NULL, &err),
                 ERR_NOT_FOUND, &err, "there is no model \"b\" of fbnetv3");
    assert_error(model_list_find_path(check_directory, &space_nasbench201, "a", path, NULL, &err),
                 ERR_NOT_FOUND, &err, "there is no model \"a\" of nasbench201");
    assert_error(model_list_find_path(check_directory, &space_fbnetv3, "../a", path, NULL, &err),
                 ERR_INVALID, &err, "a model's name");
}

static void activate(const char *name, const char *version)
{
    struct model model = {0};
    struct error err = {0};
    struct model_list list;

    assert_ok(model_store_activate(check_directory, &space_fbnetv3, name, &model, &err), &err);
    assert_string_equal(model.info.version, version);
    model_close(&model);
    list = load();
    assert_string_equal(model_list_find(&list, "default")->info.version, version);
    model_list_close(&list);
}

static void the_activated_model_is_the_served_file_and_no_version_is_lost(void **state)
{
    const char *const v[] = {models[0].info.version, models[1].info.version,
                             models[2].info.version};
    struct model_list list;
    (void)state;
    save(NULL, 0);
    save("one", 1);
    save("two", 2);
    activate("one", v[1]);
    activate(v[2], v[2]);
    activate(v[0], v[0]); /* from models/ */
    activate("default", v[0]);
    activate("two", v[2]);
    activate(v[1], v[1]);
    list = load();
    assert_int_equal(list.n, 3);
    assert_string_equal(names_of(&list, v[0]), "");
    assert_string_equal(names_of(&list, v[1]), "default one");
    assert_string_equal(names_of(&list, v[2]), "two");
    model_list_close(&list);
    assert_int_equal(count_files(check_directory), 3 + 3); /* each was replaced once */
}

static void assert_refused(const char *name, enum err expected, const char *phrase)
{
    struct model model = {0};
    struct error err = {0};
    struct model_list list;

    assert_error(model_store_activate(check_directory, &space_fbnetv3, name, &model, &err),
                 expected, &err, phrase);
    assert_null(model.predictor);
    list = load();
    assert_string_equal(model_list_find(&list, "default")->info.version, models[0].info.version);
    model_list_close(&list);
}

static void what_cannot_be_served_is_refused_and_nothing_changes(void **state)
{
    char *bytes;
    size_t size;
    size_t n_files;
    struct model lying = models[1];
    (void)state;
    save(NULL, 0);
    save("cut", 1);
    assert_int_equal(file_read(own_path("result/fbnetv3/pretrainmodel-cut.safetensors"), 1 << 20,
                               &bytes, &size, NULL),
                     ERR_OK);
    bytes[size - 1] ^= 1;
    (void)write_bytes("result/fbnetv3/pretrainmodel-flipped.safetensors", bytes, size);
    (void)write_bytes("result/fbnetv3/pretrainmodel-cut.safetensors", bytes, size - 1);
    mem_free(bytes);
    memcpy(lying.info.version, models[2].info.version, sizeof lying.info.version);
    write_model("pretrainmodel-lying.safetensors", &lying);
    assert_int_equal(mkfifo(own_path("result/fbnetv3/pretrainmodel-fifo.safetensors"), 0600), 0);
    n_files = count_files(check_directory);
    (void)alarm(20);
    assert_refused("absent", ERR_NOT_FOUND, "no model \"absent\"");
    assert_refused("../fbnetv3", ERR_INVALID, "a model's name");
    assert_refused("cut", ERR_INVALID, "pretrainmodel-cut.safetensors: ");
    assert_refused("flipped", ERR_INVALID, "damaged");
    assert_refused("lying", ERR_INVALID, "that of the weights is");
    assert_refused(models[2].info.version, ERR_INVALID, "that of the weights is");
    assert_refused("fifo", ERR_IO, "not a regular file");
    (void)alarm(0);
    assert_int_equal(count_files(check_directory), n_files);
}

static enum err activate_once(void *context, struct error *err)
{
    struct model model = {0};
    enum err rc = model_store_activate(check_directory, &space_fbnetv3, "one", &model, err);

    (void)context;
    model_close(&model);
    return rc;
}

static void an_activation_that_runs_out_of_memory_leaves_the_served_file(void **state)
{
    (void)state;
    save(NULL, 0);
    save("one", 1);
    for (long n = 1; n <= 12; n++) {
        struct model_list list;
        mem_fail_after(n, 1);
        assert_int_equal(activate_once(NULL, NULL), ERR_NOMEM);
        mem_fail_after(0, 0);
        list = load();
        assert_string_equal(names_of(&list, models[0].info.version), "default");
        model_list_close(&list);
    }
}

#define model_test(name) cmocka_unit_test_setup_teardown(name, start, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        model_test(a_space_without_files_has_no_versions),
        model_test(each_version_is_listed_once_with_its_names),
        model_test(a_file_that_is_no_model_is_listed_with_the_reason_beside_the_rest),
        model_test(a_name_that_leads_elsewhere_is_told),
        model_test(more_files_than_are_looked_at_are_counted),
        model_test(running_out_of_memory_is_told_and_leaks_nothing),
        model_test(a_model_is_found_by_name_and_by_version),
        model_test(the_activated_model_is_the_served_file_and_no_version_is_lost),
        model_test(what_cannot_be_served_is_refused_and_nothing_changes),
        model_test(an_activation_that_runs_out_of_memory_leaves_the_served_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/model_registry.h and server/model_store.h: served models and their files. */
#include <stdatomic.h>

#include "core/matrix.h"
#include "server/model_registry.h"
#include "server/model_store.h"
#include "tests/support/one_row_model.h"

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? enter_directory(state) : -1;
}

static void a_model_is_acquired_until_it_is_released(void **state)
{
    struct model_registry registry;
    struct model first = one_row_model(100);
    struct model second = one_row_model(200);
    const struct model *held;
    const struct model *current;
    (void)state;
    assert_int_equal(model_registry_init(&registry, NULL), ERR_OK);
    assert_null(model_registry_acquire(&registry, &space_fbnetv3));
    assert_int_equal(model_registry_put(&registry, &first, NULL), ERR_OK);
    assert_null(first.predictor); /* taken over */
    assert_null(model_registry_acquire(&registry, &space_nasbench201));
    held = model_registry_acquire(&registry, &space_fbnetv3);
    assert_int_equal(model_registry_put(&registry, &second, NULL), ERR_OK);
    current = model_registry_acquire(&registry, &space_fbnetv3);
    assert_near_relative(predict_smallest(held), 100, 0.05); /* replaced, and still whole */
    assert_near_relative(predict_smallest(current), 200, 0.05);
    model_registry_release(&registry, held);
    model_registry_release(&registry, current);
    model_registry_close(&registry);
}

static void without_memory_the_old_model_stays(void **state)
{
    struct model_registry registry;
    struct model first = one_row_model(100);
    struct model second = one_row_model(200);
    const struct model *held;
    struct error err = {0};
    (void)state;
    assert_int_equal(model_registry_init(&registry, NULL), ERR_OK);
    assert_int_equal(model_registry_put(&registry, &first, NULL), ERR_OK);
    mem_fail_after(1, 0);
    assert_error(model_registry_put(&registry, &second, &err), ERR_NOMEM, &err, "no memory");
    assert_non_null(second.predictor); /* still the caller's */
    held = model_registry_acquire(&registry, &space_fbnetv3);
    assert_near_relative(predict_smallest(held), 100, 0.05);
    model_registry_release(&registry, held);
    model_close(&second);
    model_registry_close(&registry);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { N_READERS = 3, N_SWAPS = 200 };

struct shared {
    struct model_registry registry;
    atomic_bool is_over;
    atomic_long n_wrong, n_reads;
};

static void *read_often(void *context)
{
    struct shared *s = context;

    while (!atomic_load(&s->is_over)) {
        const struct model *model = model_registry_acquire(&s->registry, &space_fbnetv3);
        if (!is_whole_model(model)) {
            atomic_fetch_add(&s->n_wrong, 1);
        }
        model_registry_release(&s->registry, model);
        atomic_fetch_add(&s->n_reads, 1);
    }
    return NULL;
}

static void models_are_swapped_under_readers_without_tear_or_leak(void **state)
{
    static struct shared s;
    pthread_t readers[N_READERS];
    struct model model = one_row_model(100);
    (void)state;
    assert_int_equal(model_registry_init(&s.registry, NULL), ERR_OK);
    assert_false(model_registry_serves_any(&s.registry));
    assert_int_equal(model_registry_put(&s.registry, &model, NULL), ERR_OK);
    assert_true(model_registry_serves_any(&s.registry));
    for (size_t r = 0; r < N_READERS; r++) {
        assert_int_equal(pthread_create(&readers[r], NULL, read_often, &s), 0);
    }
    for (int i = 0; i < N_SWAPS || atomic_load(&s.n_reads) < 100; i++) {
        model = one_row_model(100.0 + i % 1000);
        assert_int_equal(model_registry_put(&s.registry, &model, NULL), ERR_OK);
    }
    atomic_store(&s.is_over, true);
    for (size_t r = 0; r < N_READERS; r++) {
        assert_int_equal(pthread_join(readers[r], NULL), 0);
    }
    assert_int_equal(atomic_load(&s.n_wrong), 0);
    model_registry_remove(&s.registry, &space_fbnetv3);
    assert_false(model_registry_serves_any(&s.registry));
    assert_null(model_registry_acquire(&s.registry, &space_fbnetv3));
    model_registry_close(&s.registry);
}

/* ---- files ----------------------------------------------------------------------------------- */

static void a_saved_model_is_loaded_again_and_the_one_before_is_kept(void **state)
{
    struct model first = one_row_model(100);
    struct model second = one_row_model(200);
    struct model read = {0};
    char path[PATH_BYTES];
    char kept[TEST_PATH_BYTES];
    struct error err = {0};
    (void)state;
    assert_ok(model_store_save(check_directory, NULL, &first, path, &err), &err);
    assert_string_equal(path, own_path("result/fbnetv3/pretrainmodel.safetensors"));
    assert_ok(model_store_load(path, &space_fbnetv3, &read, NULL, &err), &err);
    assert_near_relative(predict_smallest(&read), 100, 0.05);
    model_close(&read);
    assert_ok(model_store_save(check_directory, NULL, &first, path, &err),
              &err); /* the same: no copy */
    assert_int_equal(count_files(check_directory), 1);
    assert_ok(model_store_save(check_directory, NULL, &second, path, &err), &err);
    (void)snprintf(kept, sizeof kept, "result/fbnetv3/models/%s.safetensors", first.info.version);
    assert_ok(model_store_load(own_path(kept), &space_fbnetv3, &read, NULL, &err), &err);
    assert_near_relative(predict_smallest(&read), 100, 0.05);
    assert_int_equal(count_files(check_directory), 2);
    model_close(&read);
    model_close(&first);
    model_close(&second);
}

static void a_pt_file_that_is_absent_stands_for_its_sibling(void **state)
{
    static const char *const names[] = {"m.pt", "m.pth"};
    struct model model = one_row_model(100);
    struct model read = {0};
    char path[PATH_BYTES];
    char substitute[PATH_BYTES];
    struct error err = {0};
    (void)state;
    assert_ok(model_store_save(check_directory, NULL, &model, path, &err), &err);
    assert_int_equal(rename(path, own_path("m.safetensors")), 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        assert_ok(model_store_load(own_path(names[i]), &space_fbnetv3, &read, substitute, &err),
                  &err);
        assert_string_equal(substitute, own_path("m.safetensors"));
        model_close(&read);
    }
    assert_ok(model_store_load(own_path("m.safetensors"), &space_fbnetv3, &read, substitute, &err),
              &err);
    assert_string_equal(substitute, "");
    model_close(&read);
    (void)write_text("m.pt", "PK"); /* one that exists is opened, and is no safetensors */
    assert_error(model_store_load(own_path("m.pt"), &space_fbnetv3, &read, substitute, &err),
                 ERR_SYNTAX, &err, "m.pt: 2 bytes are too few");
    assert_error(model_store_load(own_path("n.pt"), &space_fbnetv3, &read, NULL, &err),
                 ERR_NOT_FOUND, &err, "n.safetensors");
    model_close(&model);
}

static enum err save_once(void *context, struct error *err)
{
    char path[PATH_BYTES];

    return model_store_save(check_directory, NULL, context, path, err);
}

static void a_save_that_runs_out_of_memory_leaves_the_served_file(void **state)
{
    struct model first = one_row_model(100);
    struct model second = one_row_model(200);
    struct model read = {0};
    char path[PATH_BYTES];
    (void)state;
    assert_int_equal(model_store_save(check_directory, NULL, &first, path, NULL), ERR_OK);
    for (long n = 1; n <= 4; n++) {
        mem_fail_after(n, 1);
        assert_int_equal(save_once(&second, NULL), ERR_NOMEM);
        mem_fail_after(0, 0);
        assert_int_equal(count_files(check_directory), 1);
        assert_int_equal(model_store_load(path, &space_fbnetv3, &read, NULL, NULL), ERR_OK);
        assert_near_relative(predict_smallest(&read), 100, 0.05);
        model_close(&read);
    }
    model_close(&first);
    model_close(&second);
}

#define model_test(name) cmocka_unit_test_setup_teardown(name, start, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        model_test(a_model_is_acquired_until_it_is_released),
        model_test(without_memory_the_old_model_stays),
        model_test(models_are_swapped_under_readers_without_tear_or_leak),
        model_test(a_saved_model_is_loaded_again_and_the_one_before_is_kept),
        model_test(a_pt_file_that_is_absent_stands_for_its_sibling),
        model_test(a_save_that_runs_out_of_memory_leaves_the_served_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

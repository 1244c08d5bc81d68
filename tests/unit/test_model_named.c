/* server/model_registry.h with files: models by name or version, and activations under readers. */
#include <stdatomic.h>

#include "core/matrix.h"
#include "server/model_registry.h"
#include "server/model_store.h"
#include "tests/support/one_row_model.h"

/* Saves a model as `name` and writes its version. */
static void save(const char *name, double a, char version[MODEL_VERSION_BYTES])
{
    struct model model = one_row_model(a);
    char path[PATH_BYTES];
    struct error err = {0};

    assert_ok(model_store_save(check_directory, name, &model, path, &err), &err);
    memcpy(version, model.info.version, MODEL_VERSION_BYTES);
    model_close(&model);
}

static int start(void **state)
{
    return matrix_init(NULL) == ERR_OK ? enter_directory(state) : -1;
}

static uint64_t seed_of(struct model_registry *registry, const char *name)
{
    const struct model *model = NULL;
    struct error err = {0};
    uint64_t seed;

    assert_ok(
        model_registry_acquire_named(registry, check_directory, &space_fbnetv3, name, &model, &err),
        &err);
    assert_true(is_whole_model(model));
    seed = model->info.seed;
    model_registry_release(registry, model);
    return seed;
}

static void a_named_model_is_found_by_its_version_too(void **state)
{
    struct model_registry registry;
    const struct model *model = NULL;
    char first[MODEL_VERSION_BYTES];
    char second[MODEL_VERSION_BYTES];
    struct error err = {0};
    (void)state;
    assert_int_equal(model_registry_init(&registry, NULL), ERR_OK);
    save("a", 100, first);
    assert_int_equal(seed_of(&registry, "a"), 100);
    assert_int_equal(seed_of(&registry, first), 100);
    assert_int_equal(seed_of(&registry, first), 100); /* from memory */
    save("a", 200, second);
    assert_int_equal(seed_of(&registry, "a"), 200);
    assert_int_equal(seed_of(&registry, second), 200);
    assert_int_equal(seed_of(&registry, first), 100); /* it is under models/ now */
    assert_int_equal(unlink(own_path("result/fbnetv3/pretrainmodel-a.safetensors")), 0);
    assert_error(model_registry_acquire_named(&registry, check_directory, &space_fbnetv3, second,
                                              &model, &err),
                 ERR_NOT_FOUND, &err, "there is no model");
    model_registry_close(&registry);
}

/* ---- threads --------------------------------------------------------------------------------- */

enum { N_READERS = 2, N_SWAPS = 100, N_VERSIONS = 3 };

struct shared {
    struct model_registry registry;
    char versions[N_VERSIONS][MODEL_VERSION_BYTES];
    atomic_bool is_over;
    atomic_long n_wrong, n_reads;
};

static void read_one(struct shared *s, const char *name)
{
    const struct model *model = NULL;

    if (name == NULL) {
        model = model_registry_acquire(&s->registry, &space_fbnetv3);
    } else if (model_registry_acquire_named(&s->registry, check_directory, &space_fbnetv3, name,
                                            &model, NULL) != ERR_OK) {
        model = NULL;
    }
    if (model == NULL || !is_whole_model(model) ||
        (name != NULL && strcmp(model->info.version, name) != 0)) {
        atomic_fetch_add(&s->n_wrong, 1);
    }
    if (model != NULL) {
        model_registry_release(&s->registry, model);
    }
    atomic_fetch_add(&s->n_reads, 1);
}

static void *read_often(void *context)
{
    struct shared *s = context;

    for (size_t i = 0; !atomic_load(&s->is_over); i++) {
        read_one(s, NULL);
        if (i % 8 == 0) {
            read_one(s, s->versions[i / 8 % N_VERSIONS]);
        }
    }
    return NULL;
}

/* More threads than the registry has parts: each gives back what another has taken. */
enum { N_HANDS = 2 * REGISTRY_N_PARTS + 1 };

struct hand {
    struct model_registry *registry;
    const struct model *given, *taken;
    double seen;
};

static void *pass_on(void *context)
{
    struct hand *hand = context;

    hand->taken = model_registry_acquire(hand->registry, &space_fbnetv3);
    hand->seen = predict_smallest(hand->given);
    model_registry_release(hand->registry, hand->given);
    return NULL;
}

static void a_use_may_be_given_back_by_another_thread(void **state)
{
    struct model_registry registry;
    struct model first = one_row_model(100);
    struct model second = one_row_model(200);
    struct hand hand = {.registry = &registry};
    pthread_t thread;
    (void)state;
    assert_int_equal(model_registry_init(&registry, NULL), ERR_OK);
    assert_int_equal(model_registry_put(&registry, &first, NULL), ERR_OK);
    hand.given = model_registry_acquire(&registry, &space_fbnetv3);
    for (int i = 0; i < N_HANDS; i++) {
        if (i == N_HANDS / 2) {
            assert_int_equal(model_registry_put(&registry, &second, NULL), ERR_OK);
        }
        assert_int_equal(pthread_create(&thread, NULL, pass_on, &hand), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
        assert_near_relative(hand.seen, i <= N_HANDS / 2 ? 100 : 200, 0.05);
        hand.given = hand.taken;
    }
    model_registry_remove(&registry, &space_fbnetv3);
    assert_null(model_registry_acquire(&registry, &space_fbnetv3));
    assert_near_relative(predict_smallest(hand.given), 200, 0.05); /* held by us alone */
    model_registry_release(&registry, hand.given);
    model_registry_close(&registry);
}

static void activate(struct shared *s, const char *version)
{
    struct model model = {0};
    struct error err = {0};

    assert_ok(model_store_activate(check_directory, &space_fbnetv3, version, &model, &err), &err);
    assert_ok(model_registry_put(&s->registry, &model, &err), &err);
}

static void versions_are_activated_under_readers_without_tear_or_leak(void **state)
{
    static const char *const names[] = {"a", "b", "c"};
    static struct shared s;
    pthread_t readers[N_READERS];
    (void)state;
    assert_int_equal(model_registry_init(&s.registry, NULL), ERR_OK);
    for (size_t i = 0; i < N_VERSIONS; i++) {
        save(names[i], 100.0 * (double)(i + 1), s.versions[i]);
    }
    activate(&s, "a");
    for (size_t r = 0; r < N_READERS; r++) {
        assert_int_equal(pthread_create(&readers[r], NULL, read_often, &s), 0);
    }
    for (size_t i = 0; i < N_SWAPS || atomic_load(&s.n_reads) < 1000; i++) {
        activate(&s, s.versions[i % N_VERSIONS]);
    }
    atomic_store(&s.is_over, true);
    for (size_t r = 0; r < N_READERS; r++) {
        assert_int_equal(pthread_join(readers[r], NULL), 0);
    }
    assert_int_equal(atomic_load(&s.n_wrong), 0);
    model_registry_close(&s.registry);
    /* three named ones, the served one, and what it replaced: nothing else, nothing half-written */
    assert_int_equal(count_files(check_directory), 3 + 1 + 3);
}

#define model_test(name) cmocka_unit_test_setup_teardown(name, start, leave_directory)

int main(void)
{
    const struct CMUnitTest tests[] = {
        model_test(a_named_model_is_found_by_its_version_too),
        model_test(a_use_may_be_given_back_by_another_thread),
        model_test(versions_are_activated_under_readers_without_tear_or_leak),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

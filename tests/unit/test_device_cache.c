/* server/device_cache.h: remembered is only what the files still say. */
#include "server/device_cache.h"
#include "tests/support/check.h"

#define SHEET(f) "{\"hardware\":[" #f ",3,1,7.46]}"

struct fixture {
    struct data_tree tree;
    struct device_cache cache;
};

static struct fixture *begin(void)
{
    static struct fixture fixture;
    struct error err = {0};

    assert_ok(data_tree_init(&fixture.tree, check_directory, NULL, &err), &err);
    assert_ok(device_cache_init(&fixture.cache, &err), &err);
    write_text("data/devices/X.json", SHEET(2));
    write_text("data/nasbench201/hardware/Other.txt", "1 3 1 7.46");
    write_text("data/nasbench201/NAS/Other.txt", "1 3 1 7.46");
    return &fixture;
}

/* The clock of a device, or 0 where it is not found. */
static double clock_of(struct fixture *f, const char *name)
{
    struct hardware hardware = {0};
    struct error err = {0};
    enum err rc = device_cache_find(&f->cache, &f->tree, &space_nasbench201, name, &hardware, &err);

    assert_true(rc == ERR_OK || rc == ERR_NOT_FOUND);
    return hardware.frequency_ghz;
}

/* Until what was written looks old enough to be remembered: times of change cannot be set, so
 * a test waits. */
static void wait_until_settled(void)
{
    const struct timespec pause = {3, 100 * 1000 * 1000};

    (void)nanosleep(&pause, NULL);
}

static void a_settled_answer_is_remembered_and_a_change_is_seen_at_once(void **state)
{
    struct fixture *f = begin();
    (void)state;
    assert_true(clock_of(f, "x") == 2.0);
    assert_true(clock_of(f, "x") == 2.0);
    assert_int_equal(f->cache.n_hits, 0); /* too fresh */
    wait_until_settled();
    assert_true(clock_of(f, "x") == 2.0);
    assert_true(clock_of(f, "x") == 2.0);
    assert_true(clock_of(f, "x") == 2.0);
    assert_int_equal(f->cache.n_hits, 2);

    write_text("data/devices/X.json", SHEET(3)); /* edited in place, of the same size */
    assert_true(clock_of(f, "x") == 3.0);
    write_text("data/nasbench201/NAS/X.txt", "4 3 1 7.46"); /* wins over the sheet */
    assert_true(clock_of(f, "x") == 4.0);
    write_text("data/nasbench201/hardware/x.txt", "5 3 1 7.46"); /* wins over that */
    assert_true(clock_of(f, "x") == 5.0);
    assert_int_equal(unlink(own_path("data/nasbench201/hardware/x.txt")), 0);
    assert_true(clock_of(f, "x") == 4.0);
    assert_int_equal(unlink(own_path("data/nasbench201/NAS/X.txt")), 0);
    assert_int_equal(unlink(own_path("data/devices/X.json")), 0);
    assert_true(clock_of(f, "x") == 0.0);
    device_cache_close(&f->cache);
}

static void a_change_of_the_first_moment_after_is_seen_too(void **state)
{
    struct fixture *f = begin();
    (void)state;
    wait_until_settled();
    for (int i = 0; i < 100; i++) {
        char text[64];
        (void)snprintf(text, sizeof text, "{\"hardware\":[%d,3,1,7.46]}", 100 + i);
        write_text("data/devices/X.json", text);
        assert_true(clock_of(f, "X") == 100.0 + i);
    }
    device_cache_close(&f->cache);
}

static void a_directory_that_appears_is_seen(void **state)
{
    struct fixture *f = begin();
    (void)state;
    remove_tree(own_path("data/nasbench201"));
    wait_until_settled();
    assert_true(clock_of(f, "X") == 2.0);
    assert_true(clock_of(f, "X") == 2.0);
    assert_int_equal(f->cache.n_hits, 1);
    write_text("data/nasbench201/hardware/X.txt", "7 3 1 7.46");
    assert_true(clock_of(f, "X") == 7.0);
    device_cache_close(&f->cache);
}

static void errors_are_those_of_the_search(void **state)
{
    struct fixture *f = begin();
    struct hardware hardware;
    struct error err = {0};
    (void)state;
    write_text("data/devices/Bad.json", "{");
    assert_error(device_cache_find(&f->cache, &f->tree, &space_nasbench201, "Bad", &hardware, &err),
                 ERR_SYNTAX, &err, "Bad.json: line 1");
    assert_error(device_cache_find(&f->cache, &f->tree, &space_nasbench201, "No", &hardware, &err),
                 ERR_NOT_FOUND, &err, "there is no device \"No\"");
    assert_error(
        device_cache_find(&f->cache, &f->tree, &space_nasbench201, "../x", &hardware, &err),
        ERR_INVALID, &err, "must not begin with a dot");
    device_cache_close(&f->cache);
}

enum { N_FINDERS = 4, N_FINDS = 2000 };

static void *find_often(void *context)
{
    struct fixture *f = context;
    size_t n_wrong = 0;

    for (int i = 0; i < N_FINDS; i++) {
        struct hardware hardware = {0};
        const char *name = i % 2 == 0 ? "X" : "Other";
        double expected = i % 2 == 0 ? 2.0 : 1.0;
        enum err rc =
            device_cache_find(&f->cache, &f->tree, &space_nasbench201, name, &hardware, NULL);
        n_wrong += rc != ERR_OK || hardware.frequency_ghz != expected;
    }
    return n_wrong == 0 ? NULL : f;
}

static void many_threads_may_ask(void **state)
{
    struct fixture *f = begin();
    pthread_t threads[N_FINDERS];
    (void)state;
    wait_until_settled();
    for (size_t i = 0; i < N_FINDERS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, find_often, f), 0);
    }
    for (size_t i = 0; i < N_FINDERS; i++) {
        void *wrong = f;
        assert_int_equal(pthread_join(threads[i], &wrong), 0);
        assert_null(wrong);
    }
    assert_in_range(f->cache.n_hits, N_FINDERS * (N_FINDS - 2), N_FINDERS * N_FINDS);
    device_cache_close(&f->cache);
}

static enum err find_once(void *context, struct error *err)
{
    struct fixture *f = context;
    struct hardware hardware;

    return device_cache_find(&f->cache, &f->tree, &space_nasbench201, "x", &hardware, err);
}

static void no_memory_is_told_and_leaves_nothing(void **state)
{
    struct fixture *f = begin();
    (void)state;
    fail_each_allocation(find_once, f); /* too fresh to be remembered, so that nothing is kept */
    device_cache_close(&f->cache);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(a_settled_answer_is_remembered_and_a_change_is_seen_at_once),
        directory_test(a_change_of_the_first_moment_after_is_seen_too),
        directory_test(a_directory_that_appears_is_seen),
        directory_test(many_threads_may_ask),
        directory_test(errors_are_those_of_the_search),
        directory_test(no_memory_is_told_and_leaves_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

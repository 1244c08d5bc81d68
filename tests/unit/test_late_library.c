/* core/late_library.h: what is loaded late is there for every thread, and what is missing is told. */
#include <dlfcn.h>
#include <late_sonames.h>
#include <pthread.h>
#include <zlib.h>

#include "core/late_library.h"
#include "proto/libzip.h"
#include "server/libcurl.h"
#include "server/libpq.h"
#include "tests/support/check.h"

enum { N_THREADS = 8 };

struct libz {
    LATE_MEMBER(zlibVersion)
    LATE_MEMBER(crc32)
};

static const char *const names[] = {"zlibVersion", "crc32"};

static struct late_library libz_at(const char *soname, struct libz *libz)
{
    return (struct late_library){.soname = soname,
                                 .package = "zlib1g",
                                 .names = names,
                                 .n_functions = COUNT_OF(names),
                                 .functions = libz};
}

static void functions_are_those_of_the_names(void **state)
{
    struct libz libz;
    struct late_library library = libz_at("libz.so.1", &libz);
    struct error err = {0};

    (void)state;
    assert_ok(late_library_load(&library, &err), &err);
    assert_string_equal(libz.zlibVersion(), zlibVersion());
    assert_int_equal(libz.crc32(0, (const Bytef *)"dgld", 4), crc32(0, (const Bytef *)"dgld", 4));
    memset(&libz, 0, sizeof libz); /* it is not filled again */
    assert_ok(late_library_load(&library, &err), &err);
    assert_null(libz.zlibVersion);
}

static void a_missing_library_is_named_with_its_package_and_tried_again(void **state)
{
    struct libz libz;
    struct late_library library = libz_at("libdgld-absent.so.1", &libz);
    struct error err = {0};

    (void)state;
    for (int i = 0; i < 2; i++) {
        assert_error(late_library_load(&library, &err), ERR_INTERNAL, &err,
                     "libdgld-absent.so.1 cannot be used (libdgld-absent.so.1: cannot open");
        assert_contains(err.text, "install the package zlib1g");
    }
    assert_int_equal(late_library_load(&library, NULL), ERR_INTERNAL);
    library.soname = "libz.so.1"; /* it was installed */
    assert_ok(late_library_load(&library, &err), &err);
    assert_string_equal(libz.zlibVersion(), zlibVersion());
}

static void a_missing_function_is_named(void **state)
{
    static const char *const older[] = {"zlibVersion", "dgld_no_such_function"};
    struct libz libz;
    struct late_library library = libz_at("libz.so.1", &libz);
    struct error err = {0};

    (void)state;
    library.names = older;
    for (int i = 0; i < 2; i++) {
        assert_error(late_library_load(&library, &err), ERR_INTERNAL, &err,
                     "libz.so.1 cannot be used");
        assert_contains(err.text, "undefined symbol: dgld_no_such_function");
    }
}

struct race {
    pthread_barrier_t begin;
    struct libz libz;
    struct late_library library;
};

/* Whether it could, as a pointer. */
static void *load_and_call(void *closure)
{
    struct race *race = closure;

    (void)pthread_barrier_wait(&race->begin);
    return late_library_load(&race->library, NULL) == ERR_OK &&
                   strcmp(race->libz.zlibVersion(), zlibVersion()) == 0
               ? race
               : NULL;
}

static void threads_that_load_at_once_may_all_call(void **state)
{
    struct race race;
    pthread_t threads[N_THREADS];
    void *could = NULL;

    (void)state;
    race.library = libz_at("libz.so.1", &race.libz);
    assert_int_equal(pthread_barrier_init(&race.begin, NULL, N_THREADS), 0);
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_create(&threads[i], NULL, load_and_call, &race), 0);
    }
    for (int i = 0; i < N_THREADS; i++) {
        assert_int_equal(pthread_join(threads[i], &could), 0);
        assert_ptr_equal(could, &race);
    }
    (void)pthread_barrier_destroy(&race.begin);
}

/* Were the program linked to it, it would be loaded with it. */
static bool is_loaded(const char *soname)
{
    void *handle = dlopen(soname, RTLD_NOW | RTLD_NOLOAD);

    return handle != NULL && dlclose(handle) == 0;
}

static void each_is_loaded_by_its_first_use_and_not_before(void **state)
{
    static const struct {
        const char *soname;
        enum err (*load)(struct error *err);
    } libraries[] = {
        {LIBCURL_SONAME, libcurl_load},
        {LIBPQ_SONAME,   libpq_load  },
        {LIBZIP_SONAME,  libzip_load },
    };
    struct error err = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(libraries); i++) {
        assert_false(is_loaded(libraries[i].soname));
        assert_ok(libraries[i].load(&err), &err);
        assert_true(is_loaded(libraries[i].soname));
    }
    assert_non_null(libpq.PQsendQuery);
    assert_non_null(libzip.zip_close);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(functions_are_those_of_the_names),
        cmocka_unit_test(a_missing_library_is_named_with_its_package_and_tried_again),
        cmocka_unit_test(a_missing_function_is_named),
        cmocka_unit_test(each_is_loaded_by_its_first_use_and_not_before),
        cmocka_unit_test(threads_that_load_at_once_may_all_call),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

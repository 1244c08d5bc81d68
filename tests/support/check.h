/* What the C tests share: near-equality that reports both values, messages that must hold a phrase,
 * a fixture that counts live blocks, files in a directory of their own, and the measured data.
 *
 * Header only, so that a test program is one source file and the library. Single-threaded. */
#ifndef DGLD_TESTS_SUPPORT_CHECK_H
#define DGLD_TESTS_SUPPORT_CHECK_H

#include <dirent.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "core/error.h"
#include "core/mem.h"

/* Sanitizers make a program five to twenty times slower: tests that repeat for the statistics of it
 * repeat less often there. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED 1
#else
#define IS_SANITIZED 0
#endif

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

/* ---- values ---------------------------------------------------------------------------------- */

static inline void check_near(double actual, double expected, double tolerance, const char *what,
                              const char *file, int line)
{
    if (!(fabs(actual - expected) <= tolerance)) { /* catches NaN too */
        print_error("%s is %.17g, not %.17g (tolerance %g)\n", what, actual, expected, tolerance);
        _fail(file, line);
    }
}

/* Absolute, and relative to what is expected. */
#define assert_near(actual, expected, tolerance) \
    check_near((actual), (expected), (tolerance), #actual, __FILE__, __LINE__)
#define assert_near_relative(actual, expected, tolerance)                                     \
    check_near((actual), (expected), (tolerance)*fabs((double)(expected)), #actual, __FILE__, \
               __LINE__)

static inline void check_at_least(double actual, double bound, const char *what, const char *file,
                                  int line)
{
    if (!(actual >= bound)) {
        print_error("%s is %.6g, below %.6g\n", what, actual, bound);
        _fail(file, line);
    }
}

#define assert_at_least(actual, bound) \
    check_at_least((actual), (bound), #actual, __FILE__, __LINE__)
#define assert_at_most(actual, bound) \
    check_at_least(-(actual), -(bound), "-(" #actual ")", __FILE__, __LINE__)

static inline void check_contains(const char *text, const char *phrase, const char *file, int line)
{
    if (strstr(text, phrase) == NULL) {
        print_error("\"%s\" does not hold \"%s\"\n", text, phrase);
        _fail(file, line);
    }
}

#define assert_contains(text, phrase) check_contains((text), (phrase), __FILE__, __LINE__)

static inline void check_error(enum err rc, enum err expected, const struct error *err,
                               const char *phrase, const char *file, int line)
{
    if (rc != expected) {
        print_error("%s (%s) where %s is expected\n", err_name(rc),
                    rc == ERR_OK ? "no message" : err->text, err_name(expected));
        _fail(file, line);
    }
    if (rc != ERR_OK) {
        if (err->code != rc) {
            print_error("the error holds %s, returned was %s\n", err_name(err->code), err_name(rc));
            _fail(file, line);
        }
        check_contains(err->text, phrase, file, line);
    }
}

/* The call failed with that code, its struct error holds the same code, and the message the phrase.
 */
#define assert_error(rc, expected, err, phrase) \
    check_error((rc), (expected), (err), (phrase), __FILE__, __LINE__)
#define assert_ok(rc, err) check_error((rc), ERR_OK, (err), "", __FILE__, __LINE__)

/* ---- memory ---------------------------------------------------------------------------------- */

static long check_blocks_before;

/* A test's setup and teardown: it must give back what it allocated. */
static inline int count_blocks(void **state)
{
    (void)state;
    check_blocks_before = mem_live_blocks();
    return 0;
}

static inline int check_blocks(void **state)
{
    (void)state;
    mem_fail_after(0, 0);
    assert_int_equal(mem_live_blocks(), check_blocks_before);
    return 0;
}

/* A test whose blocks are counted. */
#define counted_test(name) cmocka_unit_test_setup_teardown(name, count_blocks, check_blocks)

/* Runs `call` with the 1st, 2nd, ... allocation failing until it succeeds. Every failure must be
 * ERR_NOMEM and leave no block behind; a call that allocates nothing fails the test. */
static inline void fail_each_allocation(enum err (*call)(void *context, struct error *err),
                                        void *context)
{
    long before = mem_live_blocks();

    for (long n = 1; n < 10000; n++) {
        struct error err = {0};
        enum err rc;
        mem_fail_after(n, 0);
        rc = call(context, &err);
        mem_fail_after(0, 0);
        if (rc == ERR_OK) {
            assert_true(n > 1);
            return;
        }
        if (rc != ERR_NOMEM || err.code != ERR_NOMEM || mem_live_blocks() != before) {
            fail_msg("failing allocation %ld gives %s (%s) and leaves %ld blocks", n, err_name(rc),
                     err.text, mem_live_blocks() - before);
        }
    }
    fail_msg("the call never succeeds");
}

/* ---- files ----------------------------------------------------------------------------------- */

enum { TEST_PATH_BYTES = 512 };

/* A directory of the test's own; "" while there is none. */
static char check_directory[128];

/* Writes "<own directory>/<name>" into a static buffer of which four are in turn. */
static inline const char *own_path(const char *name)
{
    static char paths[4][TEST_PATH_BYTES];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    int length = snprintf(path, TEST_PATH_BYTES, "%s/%s", check_directory, name);

    assert_in_range(length, 1, TEST_PATH_BYTES - 1);
    return path;
}

static inline void remove_tree(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;

    (void)chmod(path, 0700);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char inner[TEST_PATH_BYTES];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner) {
            continue;
        }
        if (lstat(inner, &st) == 0 && S_ISDIR(st.st_mode)) {
            remove_tree(inner);
        } else {
            (void)unlink(inner);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    (void)rmdir(path);
}

static inline int enter_directory(void **state)
{
    const char *base = getenv("TMPDIR");

    (void)snprintf(check_directory, sizeof check_directory, "%s/dgld-test-XXXXXX",
                   base != NULL && strlen(base) < 80 ? base : "/tmp");
    assert_non_null(mkdtemp(check_directory));
    return count_blocks(state);
}

static inline int leave_directory(void **state)
{
    remove_tree(check_directory);
    check_directory[0] = '\0';
    return check_blocks(state);
}

/* A test with a directory of its own. */
#define directory_test(name) cmocka_unit_test_setup_teardown(name, enter_directory, leave_directory)

/* Writes a file below the own directory, with the directories that it needs. */
static inline const char *write_bytes(const char *name, const void *bytes, size_t size)
{
    char path[TEST_PATH_BYTES];
    FILE *fp;

    (void)snprintf(path, sizeof path, "%s", own_path(name));
    for (char *slash = strchr(path + strlen(check_directory) + 1, '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        (void)mkdir(path, 0777);
        *slash = '/';
    }
    fp = fopen(path, "wb");
    assert_non_null(fp);
    assert_int_equal(fwrite(bytes, 1, size, fp), size);
    assert_int_equal(fclose(fp), 0);
    return own_path(name);
}

static inline const char *write_text(const char *name, const char *text)
{
    return write_bytes(name, text, strlen(text));
}

/* Files below a directory, whatever their depth; 0 where there is no such directory. */
static inline size_t count_files(const char *path)
{
    DIR *dir = opendir(path);
    const struct dirent *entry;
    size_t n = 0;

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        char inner[TEST_PATH_BYTES];
        struct stat st;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0 ||
            snprintf(inner, sizeof inner, "%s/%s", path, entry->d_name) >= (int)sizeof inner ||
            lstat(inner, &st) != 0) {
            continue;
        }
        n += S_ISDIR(st.st_mode) ? count_files(inner) : 1;
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
    return n;
}

/* Whether a file holds exactly that text. */
static inline bool file_holds(const char *path, const char *text)
{
    char held[4096];
    FILE *fp = fopen(path, "rb");
    size_t n;

    if (fp == NULL) {
        return false;
    }
    n = fread(held, 1, sizeof held, fp);
    (void)fclose(fp);
    return n == strlen(text) && memcmp(held, text, n) == 0;
}

/* ---- measured data --------------------------------------------------------------------------- */

/* The path of a file of the measured data, which lies outside of the repository and is read in
 * place: $DGLD_TEST_SHARED or ../shared. Skips the test where it is absent. */
static inline const char *shared_path(const char *name)
{
    static char paths[4][TEST_PATH_BYTES];
    static unsigned turn;
    char *path = paths[turn++ % 4];
    const char *base = getenv("DGLD_TEST_SHARED");

    (void)snprintf(path, TEST_PATH_BYTES, "%s/%s", base != NULL ? base : "../shared", name);
    if (access(path, R_OK) != 0) {
        print_message("%s is absent\n", path);
        skip();
    }
    return path;
}

#endif

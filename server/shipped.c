#define _DEFAULT_SOURCE /* realpath(); NOLINT(bugprone-reserved-identifier) */
#include "server/shipped.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>

/* Below the parent of the program's directory. */
#define BESIDE "share/dgld"

static char shipped[PATH_BYTES]; /* written by shipped_init() alone */

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* The absolute path without links, into `out` (PATH_BYTES). */
static bool make_absolute(const char *path, char *out)
{
    char *whole = realpath(path, NULL); /* the C library's own block */
    bool fits = whole != NULL && path_format(out, NULL, "%s", whole) == ERR_OK;

    free(whole);
    return fits;
}

/* The path by which the kernel was told to run the program: known without /proc, too. */
static bool find_program(char *out)
{
    /* the kernel's number is an address of this process */
    const char *path = (const char *)getauxval(AT_EXECFN); /* NOLINT(performance-no-int-to-ptr) */

    return path != NULL && make_absolute(path, out);
}

static bool cut_last(char *path)
{
    char *slash = strrchr(path, '/');

    if (slash == NULL) {
        return false;
    }
    *slash = '\0';
    return true;
}

static void look_beside_program(void)
{
    char program[PATH_BYTES];
    char beside[PATH_BYTES];

    if (find_program(program) && cut_last(program) && cut_last(program) &&
        path_format(beside, NULL, "%s/" BESIDE, program) == ERR_OK && is_directory(beside)) {
        (void)path_format(shipped, NULL, "%s", beside);
    }
}

enum err shipped_init(const char *directory, struct error *err)
{
    shipped[0] = '\0';
    if (directory == NULL) {
        look_beside_program();
        return ERR_OK;
    }
    if (!is_directory(directory) || !make_absolute(directory, shipped)) {
        shipped[0] = '\0';
        return error_set(err, ERR_NOT_FOUND, "there is no directory %.200s", directory);
    }
    return ERR_OK;
}

const char *shipped_directory(void)
{
    return shipped;
}

bool shipped_holds(const char *path)
{
    const size_t length = strlen(shipped);

    return length > 0 && strncmp(path, shipped, length) == 0 && path[length] == '/';
}

enum err shipped_resolve(const char *root, const char *name, char *out, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = path_format(out, err, "%s/%s", root, name);

    if (rc != ERR_OK || shipped[0] == '\0' || path_is_there(out)) {
        return rc;
    }
    if (path_format(path, NULL, "%s/%s", shipped, name) == ERR_OK && path_is_file(path)) {
        return path_format(out, err, "%s", path);
    }
    return rc;
}

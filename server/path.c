#include "server/path.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>

enum err path_format(char *out, struct error *err, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(out, PATH_BYTES, format, args);
    va_end(args);
    if (length < 0 || length >= PATH_BYTES) {
        return error_set(err, ERR_LIMIT, "the path %.100s... is longer than %d bytes", out,
                         PATH_BYTES - 1);
    }
    return ERR_OK;
}

bool path_is_file(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISREG(st.st_mode);
}

bool path_is_there(const char *path)
{
    struct stat st;

    return lstat(path, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

enum err path_below(char *out, const char *root, const char *name, struct error *err)
{
    return name[0] == '/' ? path_format(out, err, "%s", name)
                          : path_format(out, err, "%s/%s", root, name);
}

bool path_is_open_to_all(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && (st.st_mode & S_IROTH) != 0;
}

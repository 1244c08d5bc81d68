#include "core/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
    const char *name;
    const char *title;
} err_texts[] = {
#define ERR_TEXT(code, name, title) [code] = {name, title},
    ERR_LIST(ERR_TEXT)
#undef ERR_TEXT
};

void error_describe(struct error *err, enum err code, const char *format, ...)
{
    if (err != NULL) {
        va_list args;
        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
    }
}

static enum err code_of_errno(int saved_errno)
{
    switch (saved_errno) {
    case ENOENT:
        return ERR_NOT_FOUND;
    case ENOMEM:
    case EMFILE:
    case ENFILE:
        return ERR_NOMEM;
    default:
        return ERR_IO;
    }
}

enum err error_sys(struct error *err, int saved_errno, const char *format, ...)
{
    enum err code = code_of_errno(saved_errno);

    if (err != NULL) {
        va_list args;
        char reason[128];
        size_t used;

        va_start(args, format);
        err->code = code;
        (void)vsnprintf(err->text, sizeof err->text, format, args);
        va_end(args);
        if (strerror_r(saved_errno, reason, sizeof reason) != 0) {
            (void)snprintf(reason, sizeof reason, "error %d", saved_errno);
        }
        used = strlen(err->text);
        (void)snprintf(err->text + used, sizeof err->text - used, ": %s", reason);
    }
    return code;
}

/* Appends `more` to the `used` bytes of `text` as far as it fits; returns the new length. */
static size_t append(char text[ERROR_TEXT_BYTES], size_t used, const char *more)
{
    size_t room = ERROR_TEXT_BYTES - 1 - used;
    size_t length = strlen(more);

    length = length < room ? length : room;
    memcpy(text + used, more, length);
    text[used + length] = '\0';
    return used + length;
}

enum err error_wrap(struct error *err, const char *format, ...)
{
    char what[ERROR_TEXT_BYTES];
    va_list args;
    size_t used;

    if (err == NULL) {
        return ERR_INTERNAL;
    }
    memcpy(what, err->text, sizeof what);
    va_start(args, format);
    (void)vsnprintf(err->text, sizeof err->text, format, args);
    va_end(args);
    used = append(err->text, strlen(err->text), ": ");
    (void)append(err->text, used, what);
    return err->code;
}

const char *err_name(enum err code)
{
    size_t i = (size_t)code;
    return i < sizeof err_texts / sizeof *err_texts ? err_texts[i].name
                                                    : err_texts[ERR_INTERNAL].name;
}

const char *err_title(enum err code)
{
    size_t i = (size_t)code;
    return i < sizeof err_texts / sizeof *err_texts ? err_texts[i].title
                                                    : err_texts[ERR_INTERNAL].title;
}

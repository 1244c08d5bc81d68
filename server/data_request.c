#include "server/data_request.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void data_respond_error(const struct app *app, const struct request *request, struct reply *reply,
                        struct error *err)
{
    data_localize(&app->tree, err);
    switch (err->code) {
    case ERR_NOT_FOUND:
        respond_problem(reply, request, 404, err->text, NULL);
        return;
    case ERR_SYNTAX:
    case ERR_INVALID:
    case ERR_LIMIT:
        respond_problem(reply, request, 409, err->text, NULL);
        return;
    default:
        respond_error(reply, request, err, NULL);
    }
}

bool data_write_begin(const struct app *app, const struct request *request, struct reply *reply,
                      struct tree_lock *lock)
{
    struct error err;

    if (tree_lock_take(app->tree.root, TREE_LOCK_DATA, "", lock, &err) != ERR_OK) {
        respond_error(reply, request, &err, NULL);
        return false;
    }
    return true;
}

bool data_check_name(const struct request *request, struct reply *reply, bool is_write)
{
    struct error err;

    if (strstr(request->params[0], "%00") != NULL) { /* a NUL is left as it was sent */
        error_describe(&err, ERR_INVALID, "a device name must not hold a NUL");
    } else if (device_name_validate(request->params[0], &err) == ERR_OK) {
        return true;
    }
    respond_problem(reply, request, is_write ? 422 : 404, err.text, NULL);
    return false;
}

const struct space *data_find_space(const struct request *request, const char *name,
                                    struct reply *reply)
{
    const struct space *space = space_find(name);
    struct error err;

    if (space == NULL) {
        error_describe(&err, ERR_NOT_FOUND, "there is no search space \"%.64s\"; there are %s",
                       name, space_names());
        respond_problem(reply, request, 404, err.text, NULL);
    }
    return space;
}

void data_respond_location(struct reply *reply, const char *format, ...)
{
    static const char digits[] = "0123456789ABCDEF";
    char path[512];
    char encoded[3 * sizeof path];
    size_t used = 0;
    va_list args;

    va_start(args, format);
    (void)vsnprintf(path, sizeof path, format, args);
    va_end(args);
    for (const char *c = path; *c != '\0'; c++) {
        unsigned char byte = (unsigned char)*c;
        bool is_plain = byte < 0x80 && (isalnum(byte) || strchr("-._~/", byte) != NULL);
        if (is_plain) {
            encoded[used++] = *c;
        } else {
            encoded[used++] = '%';
            encoded[used++] = digits[byte >> 4];
            encoded[used++] = digits[byte & 15];
        }
    }
    encoded[used] = '\0';
    respond_header(reply, "Location", "%s", encoded);
}

#include "proto/field_error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"

void field_errors_add(struct field_errors *errors, size_t index, const char *pointer,
                      const char *format, ...)
{
    char detail[512];
    struct field_error *item;
    va_list args;

    if (errors->n == errors->capacity) {
        size_t capacity = errors->capacity > 0 ? 2 * errors->capacity : 8;
        struct field_error *grown = mem_resize(errors->items, capacity, sizeof *grown);
        if (grown == NULL) {
            errors->has_failed = true;
            return;
        }
        errors->items = grown;
        errors->capacity = capacity;
    }
    va_start(args, format);
    (void)vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    item = &errors->items[errors->n];
    item->index = index;
    item->pointer = mem_strdup(pointer);
    item->detail = mem_strdup(detail);
    if (item->pointer == NULL || item->detail == NULL) {
        mem_free(item->pointer);
        mem_free(item->detail);
        errors->has_failed = true;
        return;
    }
    errors->n++;
}

enum err field_errors_conclude(const struct field_errors *errors, const char *what,
                               struct error *err)
{
    const struct field_error *first = errors->items;

    if (errors->has_failed) {
        return error_set(err, ERR_NOMEM, "no memory to read %s", what);
    }
    return errors->n == 0 ? ERR_OK
                          : error_set(err, ERR_INVALID, "%s%s%s", first->pointer,
                                      first->pointer[0] != '\0' ? ": " : "", first->detail);
}

void field_errors_close(struct field_errors *errors)
{
    for (size_t i = 0; i < errors->n; i++) {
        mem_free(errors->items[i].pointer);
        mem_free(errors->items[i].detail);
    }
    mem_free(errors->items);
    memset(errors, 0, sizeof *errors);
}

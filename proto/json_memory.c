#include "proto/json_memory.h"

#include <stdbool.h>
#include <stdlib.h>

/* Of the thread: whether jansson asked in vain since the flag was cleared. */
static _Thread_local bool has_failed;

static void *allocate(size_t size)
{
    void *block = malloc(size);

    has_failed = has_failed || block == NULL;
    return block;
}

void json_memory_init(void)
{
    json_set_alloc_funcs(allocate, free);
}

json_t *json_memory_parse(const char *bytes, size_t size, size_t flags, struct error *err)
{
    json_error_t why = {0};
    json_t *value;

    has_failed = false;
    value = json_loadb(bytes, size, flags, &why);
    if (has_failed) { /* even where there is a value: its lexer goes on without a byte that it could
                         not keep */
        json_decref(value);
        value = NULL;
        (void)error_set(err, ERR_NOMEM, "no memory to parse JSON");
    } else if (value == NULL) {
        (void)error_set(err, ERR_SYNTAX, "%.100s", why.text);
    }
    return value;
}

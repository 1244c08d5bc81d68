#include "proto/json_memory.h"

#include <stdbool.h>

#include "core/mem.h"

/* Of the thread: whether jansson asked in vain since the flag was cleared. */
static _Thread_local bool has_failed;

static void *allocate(size_t size)
{
    void *block = mem_calloc(1, size);

    has_failed = has_failed || block == NULL;
    return block;
}

/* Before main(): what jansson has made by then would be freed by the wrong function. */
__attribute__((constructor)) static void lend_memory(void)
{
    json_set_alloc_funcs(allocate, mem_free);
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

char *json_memory_print(const json_t *value, size_t flags)
{
    char *text;

    has_failed = false;
    text = json_dumps(value, flags);
    if (has_failed) { /* even where there is a text: it lacks what there was no room for */
        mem_free(text);
        return NULL;
    }
    return text;
}

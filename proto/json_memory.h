/* jansson with the memory of core/mem.h. It does not tell a lack of memory from malformed text, and prints
 * what it had room for: a file that is sound must not be called damaged because memory was short for a
 * moment, nor a damaged one be written. Thread-safe. */
#ifndef DGLD_PROTO_JSON_MEMORY_H
#define DGLD_PROTO_JSON_MEMORY_H

#include <stddef.h>

#include <jansson.h>

#include "core/error.h"

/* As json_loadb(): the value, to be ended with json_decref(), or NULL and ERR_SYNTAX with jansson's
 * words, or ERR_NOMEM. */
json_t *json_memory_parse(const char *bytes, size_t size, size_t flags, struct error *err);

/* As json_dumps(): the text, to be mem_free()d, or NULL for want of memory or of what can be printed. */
char *json_memory_print(const json_t *value, size_t flags);

#endif

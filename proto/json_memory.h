/* Parsing with jansson, which does not tell a lack of memory from malformed text: a file that is sound
 * must not be called damaged because memory was short for a moment. */
#ifndef DGLD_PROTO_JSON_MEMORY_H
#define DGLD_PROTO_JSON_MEMORY_H

#include <stddef.h>

#include <jansson.h>

#include "core/error.h"

/* Once, before the first thread and the first use of jansson. Without it a lack of memory is taken
 * for malformed text. */
void json_memory_init(void);

/* As json_loadb(): the value, to be ended with json_decref(), or NULL and ERR_SYNTAX with jansson's
 * words, or ERR_NOMEM. Thread-safe. */
json_t *json_memory_parse(const char *bytes, size_t size, size_t flags, struct error *err);

#endif

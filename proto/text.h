/* A growing text, for replies that are written faster than a JSON tree could be built.
 * Allocation failures are remembered: write on, and look once at the end. A struct text belongs to
 * one thread. */
#ifndef DGLD_PROTO_TEXT_H
#define DGLD_PROTO_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct text {
    char *bytes; /* owned; terminated once anything was written */
    size_t size; /* without the terminator */
    size_t capacity;
    bool has_failed;
};

/* Makes room for `more` further bytes in one step. */
void text_reserve(struct text *text, size_t more);

/* Inline, as text_puts(): replies are put together of many short pieces whose lengths are constants
 * where they stand. */
static inline void text_put(struct text *text, const char *bytes, size_t size)
{
    if (text->bytes == NULL || size >= text->capacity - text->size || text->has_failed) {
        text_reserve(text, size);
        if (text->has_failed || text->bytes == NULL) { /* the one says the other */
            return;
        }
    }
    memcpy(text->bytes + text->size, bytes, size);
    text->size += size;
    text->bytes[text->size] = '\0';
}

static inline void text_puts(struct text *text, const char *string)
{
    text_put(text, string, strlen(string));
}

/* As printf(3); what is appended may be of any length. */
void text_printf(struct text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* A JSON string with its quotes; `string` is UTF-8. */
void text_put_json_string(struct text *text, const char *string);

/* A JSON number of 9 significant digits; null where it is not finite. */
void text_put_json_number(struct text *text, double value);

/* The same with as many digits as it takes to read the very same number back: for what was given to
 * us and is given back. */
void text_put_json_number_exact(struct text *text, double value);

/* Takes the last `n` bytes away, where there are as many. */
void text_cut(struct text *text, size_t n);

/* Hands the block over (mem_free() it) and leaves an empty text; NULL where an allocation failed.
 */
char *text_take(struct text *text, size_t *size);

/* Accepts a zeroed struct. */
void text_close(struct text *text);

#endif

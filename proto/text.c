#include "proto/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/utf8.h"

void text_reserve(struct text *text, size_t more)
{
    size_t capacity = text->capacity > 0 ? text->capacity : 256;
    size_t wanted;
    char *grown;

    if (text->has_failed || more >= SIZE_MAX / 4) { /* else the sums below could overflow */
        text->has_failed = true;
        return;
    }
    wanted = text->size + more + 1;
    if (wanted <= text->capacity) {
        return;
    }
    while (capacity < wanted) {
        capacity *= 2;
    }
    grown = mem_resize(text->bytes, capacity, 1);
    if (grown == NULL) {
        text->has_failed = true;
        return;
    }
    text->bytes = grown;
    text->capacity = capacity;
}

void text_printf(struct text *text, const char *format, ...)
{
    va_list args;
    int length;

    va_start(args, format);
    length = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (length < 0) {
        text->has_failed = true;
        return;
    }
    text_reserve(text, (size_t)length);
    if (text->has_failed) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(text->bytes + text->size, (size_t)length + 1, format, args);
    va_end(args);
    text->size += (size_t)length;
}

/* What a byte or character needs in a JSON string; "" where it stands for itself. */
static const char *escape_for(const char *c, char out[8])
{
    if (utf8_length(c) == 0) {
        return "\\ufffd"; /* malformed text is shown as such, never passed on */
    }
    if ((unsigned char)*c < 0x20 || *c == 0x7f) {
        (void)snprintf(out, 8, "\\u%04x", (unsigned)*c);
        return out;
    }
    if (*c == '"' || *c == '\\') {
        (void)snprintf(out, 8, "\\%c", *c);
        return out;
    }
    return "";
}

void text_put_json_string(struct text *text, const char *string)
{
    const char *start = string; /* of what is not written yet */
    const char *c = string;

    text_put(text, "\"", 1);
    while (*c != '\0') {
        char out[8];
        const char *escape;
        if (*c >= 0x20 && *c < 0x7f && *c != '"' && *c != '\\') { /* by far the most */
            c++;
            continue;
        }
        escape = escape_for(c, out);
        if (escape[0] == '\0') {
            c += utf8_length(c);
            continue;
        }
        text_put(text, start, (size_t)(c - start));
        text_puts(text, escape);
        start = ++c;
    }
    text_put(text, start, (size_t)(c - start));
    text_put(text, "\"", 1);
}

/* Writes value * 10^decimals rounded to a whole number, with the point set; both are small enough
 * for 64 bits. Trailing zeroes of the fraction are dropped. */
static size_t put_fixed(char *out, uint64_t scaled, int decimals)
{
    char digits[24];
    int n = 0;
    size_t used = 0;

    while (decimals > 0 && scaled % 10 == 0) {
        scaled /= 10;
        decimals--;
    }
    do {
        digits[n++] = (char)('0' + scaled % 10);
        scaled /= 10;
    } while (scaled > 0 || n <= decimals);
    while (n > 0) {
        out[used++] = digits[--n];
        if (n == decimals && n > 0) {
            out[used++] = '.';
        }
    }
    return used;
}

void text_put_json_number(struct text *text, double value)
{
    /* Latencies lie in this range; 9 significant digits of them fit a whole number, which is
     * written several times faster than printf can. */
    static const double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8};
    char out[40];
    int decimals = 8;

    if (!isfinite(value)) {
        text_put(text, "null", 4);
        return;
    }
    if (!(value >= 1.0 && value < 1e8)) {
        int length = snprintf(out, sizeof out, "%.9g", value);
        text_put(text, out, (size_t)length);
        return;
    }
    while (decimals > 0 && value >= powers[9 - decimals]) {
        decimals--;
    }
    text_put(text, out, put_fixed(out, (uint64_t)(value * powers[decimals] + 0.5), decimals));
}

void text_put_json_number_exact(struct text *text, double value)
{
    size_t start = text->size;
    char out[40];

    text_put_json_number(text, value); /* enough for nearly all, and fast */
    if (text->has_failed || !isfinite(value) || strtod(text->bytes + start, NULL) == value) {
        return;
    }
    for (int digits = 15; digits <= 17; digits++) {
        (void)snprintf(out, sizeof out, "%.*g", digits, value);
        if (strtod(out, NULL) == value) {
            break;
        }
    }
    text->size = start;
    text_puts(text, out);
}

void text_cut(struct text *text, size_t n)
{
    if (!text->has_failed && text->size >= n) {
        text->size -= n;
        text->bytes[text->size] = '\0';
    }
}

char *text_take(struct text *text, size_t *size)
{
    char *bytes = text->bytes;

    if (text->has_failed) {
        text_close(text);
        return NULL;
    }
    *size = text->size;
    memset(text, 0, sizeof *text);
    return bytes;
}

void text_close(struct text *text)
{
    mem_free(text->bytes);
    memset(text, 0, sizeof *text);
}

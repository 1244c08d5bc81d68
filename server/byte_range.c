#include "server/byte_range.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* Reads digits and moves behind them; a number that is too large becomes the largest. False where
 * there are none. */
static bool scan_number(const char **at, uint64_t *out)
{
    const char *c = *at;
    uint64_t value = 0;

    for (; isdigit((unsigned char)*c); c++) {
        uint64_t digit = (uint64_t)(*c - '0');
        value = value > (UINT64_MAX - digit) / 10 ? UINT64_MAX : value * 10 + digit;
    }
    if (c == *at) {
        return false;
    }
    *at = c;
    *out = value;
    return true;
}

static enum byte_range last_bytes(uint64_t n, uint64_t size, uint64_t *first, uint64_t *n_bytes)
{
    if (n == 0) {
        return BYTE_RANGE_UNSATISFIABLE;
    }
    if (size == 0) {
        return BYTE_RANGE_WHOLE; /* satisfiable, but no Content-Range could say so */
    }
    *n_bytes = n < size ? n : size;
    *first = size - *n_bytes;
    return BYTE_RANGE_PART;
}

enum byte_range byte_range_parse(const char *header, uint64_t size, uint64_t *first,
                                 uint64_t *n_bytes)
{
    static const char unit[] = "bytes=";
    uint64_t begin;
    uint64_t end = UINT64_MAX;
    bool has_begin;
    bool has_end;

    if (header == NULL || strncasecmp(header, unit, sizeof unit - 1) != 0) {
        return BYTE_RANGE_WHOLE;
    }
    header += sizeof unit - 1;
    header += strspn(header, " \t");
    has_begin = scan_number(&header, &begin);
    if (*header++ != '-') {
        return BYTE_RANGE_WHOLE;
    }
    has_end = scan_number(&header, &end);
    header += strspn(header, " \t");
    if (*header != '\0' || (!has_begin && !has_end) || (has_begin && end < begin)) {
        return BYTE_RANGE_WHOLE;
    }
    if (!has_begin) {
        return last_bytes(end, size, first, n_bytes);
    }
    if (begin >= size) {
        return BYTE_RANGE_UNSATISFIABLE;
    }
    *first = begin;
    *n_bytes = (end < size ? end + 1 : size) - begin;
    return BYTE_RANGE_PART;
}

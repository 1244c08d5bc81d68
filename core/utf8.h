/* UTF-8, where text from outside has to be looked at. Pure functions, thread-safe. */
#ifndef DGLD_CORE_UTF8_H
#define DGLD_CORE_UTF8_H

#include <stddef.h>

/* Length of the character at `text` (terminated), or 0 where the bytes are malformed, overlong, a
 * surrogate, or beyond U+10FFFF (RFC 3629). The terminator has length 1. */
size_t utf8_length(const char *text);

#endif

#include "server/untrusted.h"

#include "core/utf8.h"

/* Whether the character is for the terminal rather than for its reader: C0, DEL, C1, and what turns
 * the direction of writing. */
static bool is_control(unsigned code)
{
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x200e || code == 0x200f ||
           (code >= 0x2028 && code <= 0x202e) || (code >= 0x2066 && code <= 0x2069);
}

static unsigned code_point(const char *at, size_t length)
{
    unsigned code = (unsigned char)at[0];

    if (length > 1) {
        code &= 0x7fU >> length;
        for (size_t i = 1; i < length; i++) {
            code = code << 6 | ((unsigned char)at[i] & 0x3fU);
        }
    }
    return code;
}

void untrusted_put(struct text *out, const char *bytes, bool is_json)
{
    for (const char *at = bytes; *at != '\0';) {
        size_t length = utf8_length(at);
        unsigned code = code_point(at, length);
        if (length > 0 && (!is_control(code) || (is_json && *at == '\n'))) {
            text_put(out, at, length);
        } else if (is_json && code >= 0x7f) {
            text_printf(out, "\\u%04x", code);
        } else {
            text_puts(out, is_json ? " " : "?");
        }
        at += length > 0 ? length : 1;
    }
}

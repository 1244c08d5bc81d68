#include "proto/pickle.h"

#include <string.h>

enum {
    OP_PROTOCOL = 0x80,
    OP_STOP = '.',
    OP_TRUE = 0x88,
    OP_FALSE = 0x89,
    OP_UINT8 = 'K',
    OP_UINT16 = 'M',
    OP_INT32 = 'J',
    OP_LONG = 0x8a, /* one byte of length, then so many of two's complement */
    OP_STRING = 'X',
    OP_GLOBAL = 'c',

    PROTOCOL = 2,
};

static void put_byte(struct text *out, int byte)
{
    const char c = (char)byte;

    text_put(out, &c, 1);
}

/* The low bytes of a value, the least first. */
static void put_bytes(struct text *out, uint64_t value, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        put_byte(out, (int)(value >> 8 * i & 0xff));
    }
}

void pickle_begin(struct text *out)
{
    put_byte(out, OP_PROTOCOL);
    put_byte(out, PROTOCOL);
}

void pickle_end(struct text *out)
{
    put_byte(out, OP_STOP);
}

void pickle_op(struct text *out, enum pickle_op op)
{
    put_byte(out, (int)op);
}

void pickle_bool(struct text *out, bool value)
{
    put_byte(out, value ? OP_TRUE : OP_FALSE);
}

void pickle_int(struct text *out, int64_t value)
{
    if (value >= 0 && value <= UINT8_MAX) {
        put_byte(out, OP_UINT8);
        put_bytes(out, (uint64_t)value, 1);
    } else if (value >= 0 && value <= UINT16_MAX) {
        put_byte(out, OP_UINT16);
        put_bytes(out, (uint64_t)value, 2);
    } else if (value >= INT32_MIN && value <= INT32_MAX) {
        put_byte(out, OP_INT32);
        put_bytes(out, (uint64_t)value, 4);
    } else {
        put_byte(out, OP_LONG);
        put_byte(out, (int)sizeof value);
        put_bytes(out, (uint64_t)value, sizeof value);
    }
}

void pickle_string(struct text *out, const char *value)
{
    const size_t size = strlen(value);

    put_byte(out, OP_STRING);
    put_bytes(out, size, 4);
    text_put(out, value, size);
}

void pickle_global(struct text *out, const char *module, const char *name)
{
    put_byte(out, OP_GLOBAL);
    text_printf(out, "%s\n%s\n", module, name);
}

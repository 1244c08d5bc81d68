/* SHA-256 as lower-case hexadecimal. Thread-safe. */
#ifndef DGLD_PROTO_DIGEST_H
#define DGLD_PROTO_DIGEST_H

#include <stddef.h>

enum { DIGEST_HEX_BYTES = 65 }; /* with the terminator */

/* Digest of the parts (n_parts) one after another. */
struct digest_part {
    const void *bytes;
    size_t size;
};

void digest_hex(const struct digest_part *parts, size_t n_parts, char hex[DIGEST_HEX_BYTES]);

#endif

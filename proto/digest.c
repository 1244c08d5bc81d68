#include "proto/digest.h"

#include <stdint.h>

#include <nettle/sha2.h>

void digest_hex(const struct digest_part *parts, size_t n_parts, char hex[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    struct sha256_ctx ctx;
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_init(&ctx);
    for (size_t i = 0; i < n_parts; i++) {
        sha256_update(&ctx, parts[i].size, parts[i].bytes);
    }
    sha256_digest(&ctx, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * sizeof digest] = '\0';
}

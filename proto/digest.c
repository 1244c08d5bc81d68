#include "proto/digest.h"

#include <stdint.h>

void digest_begin(struct digest_stream *stream)
{
    sha256_init(&stream->sha256);
}

void digest_add(struct digest_stream *stream, const void *bytes, size_t size)
{
    if (size > 0) { /* else there need be no address, and nettle copies from it */
        sha256_update(&stream->sha256, size, bytes);
    }
}

void digest_end(struct digest_stream *stream, char hex[DIGEST_HEX_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint8_t digest[SHA256_DIGEST_SIZE];

    sha256_digest(&stream->sha256, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) {
        hex[2 * i] = digits[digest[i] >> 4];
        hex[2 * i + 1] = digits[digest[i] & 15];
    }
    hex[2 * sizeof digest] = '\0';
}

void digest_hex(const struct digest_part *parts, size_t n_parts, char hex[DIGEST_HEX_BYTES])
{
    struct digest_stream stream;

    digest_begin(&stream);
    for (size_t i = 0; i < n_parts; i++) {
        digest_add(&stream, parts[i].bytes, parts[i].size);
    }
    digest_end(&stream, hex);
}

/* SHA-256 as lower-case hexadecimal. Thread-safe. */
#ifndef DGLD_PROTO_DIGEST_H
#define DGLD_PROTO_DIGEST_H

#include <stddef.h>

#include <nettle/sha2.h>

enum { DIGEST_HEX_BYTES = 65 }; /* with the terminator */

struct digest_part {
    const void *bytes;
    size_t size;
};

/* Digest of the parts (n_parts) one after another. */
void digest_hex(const struct digest_part *parts, size_t n_parts, char hex[DIGEST_HEX_BYTES]);

/* The same of what comes piece by piece: begin, add any number of times, end. Belongs to one thread;
 * nothing is to be closed. */
struct digest_stream {
    struct sha256_ctx sha256;
};

void digest_begin(struct digest_stream *stream);
void digest_add(struct digest_stream *stream, const void *bytes, size_t size);
void digest_end(struct digest_stream *stream, char hex[DIGEST_HEX_BYTES]);

#endif

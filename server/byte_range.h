/* The header Range (RFC 9110, section 14). Pure, thread-safe. */
#ifndef DGLD_SERVER_BYTE_RANGE_H
#define DGLD_SERVER_BYTE_RANGE_H

#include <stdint.h>

enum byte_range {
    BYTE_RANGE_WHOLE,         /* answer 200 with everything */
    BYTE_RANGE_PART,          /* 206 with the part */
    BYTE_RANGE_UNSATISFIABLE, /* 416 */
};

/* What part of a representation of `size` bytes the header asks for: "bytes=a-b", "a-" or "-n".
 * A header that is absent (NULL), malformed, in another unit or of several ranges asks for the
 * whole, as HTTP allows. `*first` and `*n_bytes` are written for BYTE_RANGE_PART; a part is never
 * empty and never goes beyond `size`. */
enum byte_range byte_range_parse(const char *header, uint64_t size, uint64_t *first,
                                 uint64_t *n_bytes);

#endif

/* Conditional requests (RFC 9110, section 13): entity tags, If-Match and If-None-Match.
 *
 * A tag is the digest of a resource's state, "\"<32 hexadecimal digits>\"", or of one
 * representation of it, "\"<digest>-csv\"". What is compared:
 *
 *   to read (GET, HEAD): representations; "-gzip" at a tag's end, which the compression of a reply
 *                        may append, is passed over
 *   to write (PUT, DELETE): states, so that the tag of any representation guards a write
 *
 * To write, the caller reads the state's tag, checks and writes under one lock. All functions are
 * pure and thread-safe. */
#ifndef DGLD_SERVER_CONDITIONAL_H
#define DGLD_SERVER_CONDITIONAL_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

enum { ETAG_BYTES = 64 };

/* Writes the tag of `bytes` with its quotes. `variant` is one of letters and digits that names the
 * representation, at most 16 bytes, or NULL for the state itself. */
void etag_make(const void *bytes, size_t size, const char *variant, char out[ETAG_BYTES]);

/* Whether If-Range (`field`, borrowed) names exactly the representation `etag`: a weak tag or a
 * date never does. */
bool etag_is_exactly(const char *field, const char *etag);

/* The request's fields; NULL where absent. */
struct conditions {
    const char *if_match;
    const char *if_none_match;
};

enum condition {
    CONDITION_HOLDS,        /* go on */
    CONDITION_NOT_MODIFIED, /* answer 304 with the ETag */
    CONDITION_FAILED,       /* answer 412 */
};

/* `etag` is what the resource has now, or NULL where it does not exist. A list that cannot be
 * parsed matches nothing; on a write that is a failure for If-None-Match too, so that a mistyped
 * guard never lets a write through. On CONDITION_FAILED `err` (may be NULL) says why. */
enum condition condition_check(const struct conditions *conditions, bool is_read, const char *etag,
                               struct error *err);

struct request;
struct reply;

/* The same for a request's own fields, by its method, and its reply where the conditions do not let
 * it go on: 304 with the ETag, or 412. Returns whether the reply was made. */
bool condition_answer(const struct request *request, struct reply *reply, const char *etag);

#endif

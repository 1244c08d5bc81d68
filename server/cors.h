/* Which pages of other sites may read replies (CORS, as the Fetch standard has it). Off without a
 * list of origins. Constant once parsed, so any number of threads may ask. */
#ifndef DGLD_SERVER_CORS_H
#define DGLD_SERVER_CORS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

enum { CORS_MAX_ORIGINS = 16, CORS_ORIGIN_BYTES = 128 };

struct cors {
    bool is_any; /* "*": the origin does not matter */
    size_t n;
    char origins[CORS_MAX_ORIGINS][CORS_ORIGIN_BYTES]; /* in lower case, without blanks around */
};

/* Reads a list with commas: "*" alone, or origins as browsers send them (https://host[:port]), with
 * nothing after the port. "" turns it off. ERR_INVALID names the part that is no origin. */
enum err cors_parse(const char *list, struct cors *out, struct error *err);

/* Whether there are origins at all. */
static inline bool cors_is_on(const struct cors *cors)
{
    return cors->is_any || cors->n > 0;
}

/* The value of Access-Control-Allow-Origin for a request of `origin` (NULL: it named none); NULL
 * where that origin may read nothing. Points into `cors`, or is static. */
const char *cors_allow(const struct cors *cors, const char *origin);

/* Headers that a page may send, and those of replies that it may read. */
extern const char cors_request_headers[], cors_reply_headers[];

/* How long a browser may keep the answer to a preflight; browsers cut what is longer. */
enum { CORS_MAX_AGE_S = 7200 };

#endif

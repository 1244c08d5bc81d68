/* Which known name a misspelt one was meant to be. Thread-safe: nothing here is shared. */
#ifndef DGLD_SERVER_SPELLING_H
#define DGLD_SERVER_SPELLING_H

#include <stddef.h>

/* Longer names are not compared. */
enum { SPELLING_MAX_LENGTH = 63 };

/* Starts as {.given = name}; then every known name is offered. */
struct spelling {
    const char *given;   /* borrowed */
    const char *nearest; /* borrowed from the offers; NULL while none is near */
    size_t distance;     /* of the nearest */
};

/* Keeps `name` where it is nearer than what was offered before. Case counts for nothing, nor does
 * dash or underscore. */
void spelling_offer(struct spelling *spelling, const char *name);

/* Letters to insert, drop, replace or swap with their neighbour to make one of the other; SIZE_MAX
 * where one is too long. */
size_t spelling_distance(const char *a, const char *b);

#endif

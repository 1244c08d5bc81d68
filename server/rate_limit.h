/* How many requests an address may make: a bucket for each, in a table that does not grow.
 *
 * An IPv4 address has a bucket of its own; of IPv6 addresses those of one /64 share one, since a
 * client has that many to choose from. Where the table is full, the bucket that is emptied least
 * makes room, so a client cannot have its own forgotten by being many. Thread-safe. */
#ifndef DGLD_SERVER_RATE_LIMIT_H
#define DGLD_SERVER_RATE_LIMIT_H

#include <stdint.h>
#include <sys/socket.h>

#include "core/error.h"

struct rate_limit;

/* The table takes 1 MiB, of which no page is touched before it is used. */
enum err rate_limit_create(struct rate_limit **out, struct error *err);
void rate_limit_destroy(struct rate_limit *limit);

/* Takes one request of `address` at `now_ns` (of a clock that only goes forward): `per_second`
 * (positive) of them are allowed in the long run, `burst` (positive) at once. Returns 0 where it may
 * go on; otherwise nothing is taken, and returned are the whole seconds, 1 or more, after which it
 * could. Both bounds may change from call to call. */
int rate_limit_take(struct rate_limit *limit, const struct sockaddr *address, int64_t per_second,
                    int64_t burst, uint64_t now_ns);

#endif

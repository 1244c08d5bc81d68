/* Which of the forms a resource has a client accepts (RFC 9110, sections 12.5.1 and 12.5.3).
 * Thread-safe. */
#ifndef DGLD_SERVER_ACCEPT_H
#define DGLD_SERVER_ACCEPT_H

#include <stddef.h>

/* Position in `types` (n_types, at most ACCEPT_MAX_TYPES) of the media type that the header Accept
 * weighs most, the first of them where several are weighed the same; n_types where it accepts none.
 * Without a header (NULL, or empty) everything is accepted. Of the ranges that fit a type the most
 * specific one weighs; parameters other than q are not looked at, and items that cannot be read are
 * passed over. */
enum { ACCEPT_MAX_TYPES = 4 };
size_t accept_choose(const char *accept, const char *const *types, size_t n_types);

/* The weight that the header Accept-Encoding gives a coding ("*" is one, too), in thousandths: 0
 * where it refuses it or gives no weight that can be read, -1 where it does not name it. */
int accept_coding_weight(const char *accepted, const char *coding);

#endif

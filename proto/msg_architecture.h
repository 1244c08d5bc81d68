/* An architecture and what it costs, as JSON. Thread-safe. */
#ifndef DGLD_PROTO_MSG_ARCHITECTURE_H
#define DGLD_PROTO_MSG_ARCHITECTURE_H

#include "core/space.h"
#include "proto/text.h"

/* Appends ,"macs":total or the like; null where the declaration of the space has no such table. */
void msg_architecture_put_total(const struct space *space, enum space_table table, uint64_t total,
                                struct text *out);

/* Appends {"search_space", "architecture", "genes", "macs", "params", "traffic_bytes", "stages",
 * "macs_by_kind", "traffic_bytes_by_kind"}; "architecture" is the customary notation, and the last
 * two hold one number a stage for each kind of operator. The genes are countable. Of a declared space
 * there are no stages, and a total of which it has no table is null. */
void msg_architecture_encode(const struct space *space, const int32_t *genes,
                             const struct cost *cost, struct text *out);

#endif

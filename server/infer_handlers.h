/* What the handlers below /v2 share. */
#ifndef DGLD_SERVER_INFER_HANDLERS_H
#define DGLD_SERVER_INFER_HANDLERS_H

#include "core/space.h"
#include "server/routes.h"

/* The search space that the path names as its model; where there is none, the reply is made, and
 * NULL given. */
const struct space *infer_find_space(const struct request *request, struct reply *reply);

#endif

/* What the handlers of devices and of measurements share: the names in their paths, errors of files
 * of the data tree as replies, and addresses of what was made. Thread-safe. */
#ifndef DGLD_SERVER_DATA_REQUEST_H
#define DGLD_SERVER_DATA_REQUEST_H

#include <stdbool.h>

#include "core/space.h"
#include "proto/text.h"
#include "server/app.h"
#include "server/device_index.h"
#include "server/respond.h"
#include "server/tree_lock.h"

/* The reply to an error that a file of the tree gave: 404 for what is not there, 409 for what is
 * malformed, 503 else. Paths in it are made relative. */
void data_respond_error(const struct app *app, const struct request *request, struct reply *reply,
                        struct error *err);

/* Whether the path's {device} is a name that a device may have; else the reply is made: 404, or 422
 * where it is to be written. */
bool data_check_name(const struct request *request, struct reply *reply, bool is_write);

/* The search space of a name in the path; NULL where there is none: then the reply is made. */
const struct space *data_find_space(const struct request *request, const char *name,
                                    struct reply *reply);

/* Begins to write into the data tree, from looking at what is there until it is replaced: no other
 * request does so meanwhile, of this process or of another one on the tree; tree_lock_release() ends
 * it. False where another one does so for too long: then the reply is made. */
bool data_write_begin(const struct app *app, const struct request *request, struct reply *reply,
                      struct tree_lock *lock);

/* Sets Location to the formatted path, percent-encoded. */
void data_respond_location(struct reply *reply, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif

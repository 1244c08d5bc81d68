/* The model that a request asks for. */
#ifndef DGLD_SERVER_ASKED_MODEL_H
#define DGLD_SERVER_ASKED_MODEL_H

#include "proto/field_error.h"
#include "server/app.h"
#include "server/respond.h"

/* The model of a space to answer with, by the member "model" of the body: the served one for "",
 * "default" and its version, else one that is named, which may have to be loaded. To be given back
 * by model_registry_release(). Where there is none, or the space was unloaded, the reply is made, and
 * NULL given: 503, or 422 with an entry of `errors` for a name that nothing has. */
const struct model *asked_model(struct app *app, const struct request *request,
                                const struct space *space, const char *name,
                                struct field_errors *errors, struct reply *reply);

#endif

/* The served model of a space as JSON, for the resources that show it. */
#ifndef DGLD_SERVER_HANDLE_MODELS_H
#define DGLD_SERVER_HANDLE_MODELS_H

#include "core/error.h"
#include "core/space.h"
#include "proto/text.h"

struct app;

/* Appends what GET /v1/models/{space} has as "served": the object of proto/msg_model.h, or null.
 * Reads the headers of the space's model files, so it is for threads that may wait for a disk.
 * Errors of model_list_load(). */
enum err models_put_served(struct app *app, const struct space *space, struct text *out,
                           struct error *err);

#endif

#include "server/asked_model.h"

#include <string.h>

/* Whether the served model (which may be NULL) is meant. */
static bool means_served(const char *name, const struct model *served)
{
    return name[0] == '\0' || strcmp(name, "default") == 0 ||
           (served != NULL && strcmp(name, served->info.version) == 0);
}

const struct model *asked_model(struct app *app, const struct request *request,
                                const struct space *space, const char *name,
                                struct field_errors *errors, struct reply *reply)
{
    const struct model *model = model_registry_acquire(&app->models, space);
    struct error err;
    enum err rc;

    if (model == NULL && serving_is_unloaded(app, space)) { /* named ones are not there either */
        (void)error_set(&err, ERR_NOT_FOUND,
                        "the model %s is not loaded; POST /v2/repository/models/%s/load loads it",
                        space->name, space->name);
        respond_problem(reply, request, 503, err.text, NULL);
        return NULL;
    }
    if (means_served(name, model)) {
        if (model == NULL) {
            respond_problem(reply, request, 503,
                            "no predictor is loaded for this search space; run dgld train", NULL);
        }
        return model;
    }
    if (model != NULL) {
        model_registry_release(&app->models, model);
        model = NULL;
    }
    rc = model_registry_acquire_named(&app->models, app->tree.root, space, name, &model, &err);
    if (rc == ERR_NOT_FOUND) {
        field_errors_add(errors, 0, "/model", "%s", err.text);
        respond_error(reply, request, &err, errors);
    } else if (rc != ERR_OK) { /* a file of ours is broken, which is not the client's fault */
        respond_problem(reply, request, 503, err.text, NULL);
    }
    return model;
}

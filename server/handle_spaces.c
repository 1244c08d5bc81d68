/* GET /v1/spaces and /v1/spaces/{space}. */
#include "proto/msg_space.h"
#include "server/app.h"
#include "server/respond.h"

/* Appends the served model of the space, or null. */
static void put_model(struct app *app, const struct space *space, struct text *out)
{
    const struct model *model = model_registry_acquire(&app->models, space);

    if (model == NULL) {
        text_puts(out, "null");
        return;
    }
    text_puts(out, "{\"version\":");
    text_put_json_string(out, model->info.version);
    text_puts(out, ",\"predictor\":");
    text_put_json_string(out, model->predictor->kind->name);
    text_puts(out, "}");
    model_registry_release(&app->models, model);
}

static void put_space(struct app *app, const struct space *space, struct text *out)
{
    struct text model = {0};

    put_model(app, space, &model);
    if (model.has_failed) {
        out->has_failed = true;
    } else {
        msg_space_encode(space, model.bytes, out);
    }
    text_close(&model);
}

void spaces_get_all(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};

    (void)request;
    text_puts(&text, "{\"spaces\":[");
    for (size_t i = 0; spaces[i] != NULL; i++) {
        text_puts(&text, i > 0 ? "," : "");
        put_space(app, spaces[i], &text);
    }
    text_puts(&text, "]}\n");
    respond_json(reply, 200, &text);
}

void spaces_get(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = space_find(request->params[0]);
    struct text text = {0};

    if (space == NULL) {
        struct error err;
        error_describe(&err, ERR_NOT_FOUND, "there is no search space \"%.64s\"; there are %s",
                       request->params[0], space_names());
        respond_problem(reply, request, 404, err.text, NULL);
        return;
    }
    put_space(app, space, &text);
    text_puts(&text, "\n");
    respond_json(reply, 200, &text);
}

/* GET /v1/spaces and /v1/spaces/{space}. */
#include "proto/msg_space.h"
#include "server/app.h"
#include "server/handle_models.h"
#include "server/respond.h"

static enum err put_space(struct app *app, const struct space *space, struct text *out,
                          struct error *err)
{
    struct text model = {0};
    enum err rc = models_put_served(app, space, &model, err);

    if (rc == ERR_OK && model.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for the space's model");
    }
    if (rc == ERR_OK) {
        msg_space_encode(space, model.bytes, out);
    }
    text_close(&model);
    return rc;
}

void spaces_get_all(struct app *app, const struct request *request, struct reply *reply)
{
    struct space_list list;
    struct text text = {0};
    struct error err;
    enum err rc = ERR_OK;

    space_list_get(&list);
    text_puts(&text, "{\"spaces\":[");
    for (size_t i = 0; rc == ERR_OK && i < list.n; i++) {
        text_puts(&text, i > 0 ? "," : "");
        rc = put_space(app, list.items[i], &text, &err);
    }
    text_puts(&text, "]}\n");
    if (rc == ERR_OK) {
        respond_json(reply, 200, &text);
    } else {
        respond_error(reply, request, &err, NULL);
    }
    text_close(&text);
}

void spaces_get(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = space_find(request->params[0]);
    struct text text = {0};
    struct error err;

    if (space == NULL) {
        error_describe(&err, ERR_NOT_FOUND, "there is no search space \"%.64s\"; there are %s",
                       request->params[0], space_names());
        respond_problem(reply, request, 404, err.text, NULL);
        return;
    }
    if (put_space(app, space, &text, &err) == ERR_OK) {
        text_puts(&text, "\n");
        respond_json(reply, 200, &text);
    } else {
        respond_error(reply, request, &err, NULL);
    }
    text_close(&text);
}

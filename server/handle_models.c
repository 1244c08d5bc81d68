/* GET /v1/models[/{space}] and POST /v1/models/{space}/activate. */
#include "server/handle_models.h"

#include <string.h>

#include "proto/msg_model.h"
#include "server/app.h"
#include "server/log.h"
#include "server/model_list.h"
#include "server/model_store.h"
#include "server/respond.h"

/* ---- what there is --------------------------------------------------------------------------- */

/* What is told of an item; borrows from it. `served` may be NULL. */
static struct model_view view_item(const struct model_item *item, const struct model *served)
{
    bool is_model = item->kind != NULL;

    return (struct model_view){
        .info = is_model ? &item->info : NULL,
        .error = item->error,
        .predictor = is_model ? item->kind->name : NULL,
        .names = item->names.items,
        .n_names = item->names.n,
        .is_served =
            is_model && served != NULL && strcmp(item->info.version, served->info.version) == 0,
        .has_file = true,
        .size_bytes = item->size_bytes,
        .modified = item->modified,
    };
}

/* Appends the served model: what it says itself, and what its file tells where there is one. */
static void put_served(struct text *out, const struct model_list *list, const struct model *served)
{
    const struct model_item *item =
        served != NULL ? model_list_find(list, served->info.version) : NULL;
    struct model_view view = {0};

    if (served == NULL) {
        msg_model_encode(NULL, out);
        return;
    }
    if (item != NULL) {
        view = view_item(item, served);
    }
    view.info = &served->info;
    view.predictor = served->predictor->kind->name;
    view.is_served = true;
    msg_model_encode(&view, out);
}

enum err models_put_served(struct app *app, const struct space *space, struct text *out,
                           struct error *err)
{
    struct model_list list = {0};
    enum err rc = model_list_load(app->tree.root, space, &list, err);

    if (rc == ERR_OK) {
        const struct model *served = model_registry_acquire(&app->models, space);
        put_served(out, &list, served);
        if (served != NULL) {
            model_registry_release(&app->models, served);
        }
    }
    model_list_close(&list);
    return rc;
}

/* Appends {"search_space", "served", "versions"}. */
static enum err put_space(struct app *app, const struct space *space, struct text *out,
                          struct error *err)
{
    struct model_list list = {0};
    const struct model *served;
    enum err rc = model_list_load(app->tree.root, space, &list, err);

    if (rc != ERR_OK) {
        return rc;
    }
    served = model_registry_acquire(&app->models, space);
    text_printf(out, "{\"search_space\":\"%s\",\"served\":", space->name);
    put_served(out, &list, served);
    text_puts(out, ",\"versions\":[");
    for (size_t i = 0; i < list.n; i++) {
        const struct model_view view = view_item(&list.items[i], served);
        text_puts(out, i > 0 ? "," : "");
        msg_model_encode(&view, out);
    }
    text_puts(out, "]}");
    if (served != NULL) {
        model_registry_release(&app->models, served);
    }
    model_list_close(&list);
    return ERR_OK;
}

void models_get_all(struct app *app, const struct request *request, struct reply *reply)
{
    struct space_list list;
    struct text text = {0};
    struct error err;
    enum err rc = ERR_OK;

    space_list_get(&list);
    text_puts(&text, "{\"models\":[");
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

/* The space that the path names; where there is none of that name, the reply is made, and NULL
 * given. */
static const struct space *find_space(const struct request *request, struct reply *reply)
{
    const struct space *space = space_find(request->params[0]);

    if (space == NULL) {
        struct error err;
        (void)error_set(&err, ERR_NOT_FOUND, "there is no search space \"%.100s\"; there are: %s",
                        request->params[0], space_names());
        respond_problem(reply, request, 404, err.text, NULL);
    }
    return space;
}

void models_get(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = find_space(request, reply);
    struct text text = {0};
    struct error err;

    if (space == NULL) {
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

/* ---- activation ------------------------------------------------------------------------------ */

/* What an activation that failed is to the client. */
static void refuse(struct reply *reply, const struct request *request, const struct error *err,
                   struct field_errors *errors)
{
    switch (err->code) {
    case ERR_NOT_FOUND: /* the body names something that is not there */
        field_errors_add(errors, 0, "/version", "%s", err->text);
        respond_error(reply, request, err, errors);
        break;
    case ERR_INVALID: /* the file is there, and cannot be served */
    case ERR_SYNTAX:
    case ERR_LIMIT:
    case ERR_NUMERIC:
        respond_problem(reply, request, 409, err->text, NULL);
        break;
    default:
        respond_error(reply, request, err, NULL);
        break;
    }
}

static void log_activation(const struct request *request, const struct model *model,
                           const char *previous)
{
    log_write(LOG_INFO, "%s activated %s of %s in place of %s",
              request->client[0] != '\0' ? request->client : "a client without a token",
              model->info.version, model->predictor->space->name,
              previous[0] != '\0' ? previous : "none");
}

/* The activation has been done: tells of the model. That its files cannot be listed is no failure
 * of it. */
static void confirm(struct app *app, const struct model *model, struct reply *reply)
{
    struct model_list list = {0};
    struct text text = {0};

    (void)model_list_load(app->tree.root, model->predictor->space, &list, NULL);
    put_served(&text, &list, model);
    text_puts(&text, "\n");
    respond_json(reply, 200, &text);
    model_list_close(&list);
    text_close(&text);
}

void models_activate(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = find_space(request, reply);
    struct activate_request order;
    struct field_errors errors = {0};
    struct model model = {0};
    char previous[MODEL_VERSION_BYTES];
    struct error err;

    if (space == NULL) {
        return;
    }
    if (msg_activate_decode(request->body, request->body_size, &order, &errors, &err) != ERR_OK) {
        respond_error(reply, request, &err, &errors);
        field_errors_close(&errors);
        return;
    }
    serving_version(app, space, previous);
    if (serving_activate(app, space, order.version, &model, &err) == ERR_OK) {
        log_activation(request, &model, previous);
        confirm(app, &model, reply);
    } else {
        refuse(reply, request, &err, &errors);
    }
    model_close(&model);
    field_errors_close(&errors);
}

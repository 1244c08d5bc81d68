/* POST /v1/spaces/{space}/accuracy. */
#include "core/mem.h"
#include "proto/msg_accuracy.h"
#include "server/app.h"
#include "server/data_request.h"
#include "server/respond.h"

static enum err predict(const struct accuracy_known *known, const struct accuracy_request *wanted,
                        struct text *out, struct error *err)
{
    double *accuracy = mem_calloc(wanted->n, sizeof *accuracy);
    struct text told = {0};
    enum err rc;

    if (accuracy == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu accuracies", wanted->n);
    }
    rc = accuracy_known_predict(known, wanted->genes, wanted->n, accuracy, err);
    if (rc == ERR_OK) {
        accuracy_source_put_json(&known->source, &told);
        rc = told.has_failed
                 ? error_set(err, ERR_NOMEM, "no memory to tell where accuracies are from")
                 : ERR_OK;
    }
    if (rc == ERR_OK) {
        msg_accuracy_encode(wanted->space, told.bytes, accuracy, wanted->n, out);
    }
    text_close(&told);
    mem_free(accuracy);
    return rc;
}

static void answer(struct app *app, const struct request *request,
                   const struct accuracy_request *wanted, struct reply *reply)
{
    struct accuracy_known *known = NULL;
    struct text text = {0};
    struct error err;
    enum err rc = accuracy_cache_acquire(&app->accuracies, &app->tree, wanted->space, &known, &err);

    if (rc != ERR_OK) { /* 404 where nothing tells the accuracy of this space */
        data_respond_error(app, request, reply, &err);
        return;
    }
    rc = predict(known, wanted, &text, &err);
    accuracy_cache_release(&app->accuracies, known);
    if (rc == ERR_OK) {
        respond_json(reply, 200, &text);
    } else {
        respond_error(reply, request, &err, NULL);
    }
    text_close(&text);
}

void accuracy_post(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = data_find_space(request, request->params[0], reply);
    struct accuracy_request wanted;
    struct error err;

    if (space == NULL) {
        return;
    }
    if (msg_accuracy_decode(request->body, request->body_size, space, (size_t)app->config.batch_max,
                            &wanted, &err) == ERR_OK) {
        answer(app, request, &wanted, reply);
    } else {
        respond_error(reply, request, &err, &wanted.errors);
    }
    msg_accuracy_close(&wanted);
}

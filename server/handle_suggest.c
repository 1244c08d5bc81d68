/* POST /v1/devices/{device}/suggest. */
#include "proto/msg_suggest.h"
#include "server/accept.h"
#include "server/asked_model.h"
#include "server/data_request.h"
#include "server/suggestion.h"

/* The forms of a suggestion, in the order in which they are preferred. */
enum form { FORM_JSON, FORM_CSV, N_FORMS };

static const char *const form_types[N_FORMS] = {"application/json", "text/csv"};

static void respond_suggestion(struct reply *reply, const struct suggest_request *wanted,
                               const char *device, const struct suggestion *made, enum form form)
{
    const struct suggest_reply told = {wanted->space,        device,      made->has_hardware,
                                       made->n_measurements, made->genes, made->n};
    struct text text = {0};

    if (form == FORM_CSV) {
        msg_suggest_encode_csv(&told, "\r\n", &text);
        respond_text(reply, 200, "text/csv; charset=utf-8", &text);
    } else {
        msg_suggest_encode_json(&told, &text);
        respond_json(reply, 200, &text);
    }
    respond_header(reply, "Vary", "Accept");
    text_close(&text);
}

static void suggest(struct app *app, const struct request *request, const struct model *model,
                    struct suggest_request *wanted, enum form form, struct reply *reply)
{
    struct suggestion made = {0};
    struct error err;
    enum err rc =
        suggestion_make(model, &app->tree, request->params[0], wanted->genes, wanted->n_given,
                        (uint64_t)wanted->seed, (size_t)wanted->n, &made, &err);

    if (rc == ERR_OK) {
        respond_suggestion(reply, wanted, request->params[0], &made, form);
    } else if (made.is_short) {
        field_errors_add(&wanted->errors, 0, "/n", "%s", err.text);
        respond_error(reply, request, &err, &wanted->errors);
    } else {
        data_respond_error(app, request, reply, &err);
    }
    suggestion_close(&made);
}

void suggest_post(struct app *app, const struct request *request, struct reply *reply)
{
    size_t form = accept_choose(request_header(request, "Accept"), form_types, N_FORMS);
    const struct model *model;
    struct suggest_request wanted;
    struct error err;

    if (!data_check_name(request, reply, false)) {
        return;
    }
    if (form == N_FORMS) {
        respond_problem(reply, request, 406,
                        "suggestions are there as application/json and as text/csv", NULL);
        return;
    }
    if (msg_suggest_decode(request->body, request->body_size, &wanted, &err) != ERR_OK) {
        respond_error(reply, request, &err, &wanted.errors);
        msg_suggest_close(&wanted);
        return;
    }
    model = asked_model(app, request, wanted.space, wanted.model, &wanted.errors, reply);
    if (model != NULL) {
        suggest(app, request, model, &wanted, (enum form)form, reply);
        model_registry_release(&app->models, model);
    }
    msg_suggest_close(&wanted);
}

/* GET /healthz and /readyz. */
#include "server/app.h"
#include "server/respond.h"

void health_get_live(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};

    (void)app;
    (void)request;
    text_puts(&text, "{\"status\":\"alive\"}\n");
    respond_json(reply, 200, &text);
}

void health_get_ready(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};

    if (atomic_load(&app->is_draining)) {
        respond_problem(reply, request, 503, "the service is stopping", NULL);
        return;
    }
    if (!atomic_load(&app->is_ready)) {
        respond_problem(reply, request, 503, "no predictor is loaded; run dgld train", NULL);
        return;
    }
    text_puts(&text, "{\"status\":\"ready\"}\n");
    respond_json(reply, 200, &text);
}

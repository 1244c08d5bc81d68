/* GET /healthz and /readyz. */
#include "server/app.h"
#include "server/jobs.h"
#include "server/respond.h"

void health_get_live(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};

    (void)app;
    (void)request;
    text_puts(&text, "{\"status\":\"alive\"}\n");
    respond_json(reply, 200, &text);
}

/* Whether jobs can be stored, or none are wanted; else `err` says why not. */
static bool has_jobs(const struct app *app, struct error *err)
{
    if (app->jobs != NULL) {
        return jobs_is_healthy(app->jobs, err);
    }
    *err = app->jobs_error;
    return err->code == ERR_OK;
}

/* Predictions are served without jobs, too: that they cannot be stored is told, but is no reason to
 * take the service out of a balancer. */
void health_get_ready(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};
    struct error err;

    if (!app_is_ready(app)) {
        respond_problem(reply, request, 503,
                        atomic_load(&app->is_draining) ? "the service is stopping"
                                                       : "no predictor is loaded; run dgld train, "
                                                         "or load what was unloaded",
                        NULL);
        return;
    }
    if (has_jobs(app, &err)) {
        text_puts(&text, "{\"status\":\"ready\"}\n");
    } else {
        data_localize(&app->tree, &err);
        (void)error_wrap(&err, "jobs");
        text_puts(&text, "{\"status\":\"degraded\",\"detail\":");
        text_put_json_string(&text, err.text);
        text_puts(&text, "}\n");
    }
    respond_json(reply, 200, &text);
}

/* The Open Inference Protocol (KServe V2 REST): GET /v2 and what is below, POST .../infer. Search
 * spaces are its models. A version in the path is one of theirs, or a name: "mlp". */
#include <string.h>

#include "core/mem.h"
#include "proto/msg_infer.h"
#include "proto/msg_infer_metadata.h"
#include "server/app.h"
#include "server/clock.h"
#include "server/infer_handlers.h"
#include "server/respond.h"
#include "server/run_infer.h"

/* Architectures that are predicted on the spot where each is computed, and not looked up. */
enum { SPOT_COMPUTED = 256 };

/* ---- models ---------------------------------------------------------------------------------- */

const struct space *infer_find_space(const struct request *request, struct reply *reply)
{
    const struct space *space = space_find(request->params[0]);
    struct error err;

    if (space == NULL) {
        (void)error_set(&err, ERR_NOT_FOUND, "there is no model \"%.64s\"; there are %s",
                        request->params[0], space_names());
        respond_problem(reply, request, 404, err.text, NULL);
    }
    return space;
}

/* A version that is not the served one: from its file. */
static const struct model *find_version(struct app *app, const struct request *request,
                                        const struct space *space, struct reply *reply)
{
    const struct model *model = NULL;
    struct error err;
    enum err rc;

    if (!request->is_on_pool) {
        reply->is_deferred = true;
        return NULL;
    }
    rc = model_registry_acquire_named(&app->models, app->tree.root, space, request->params[1],
                                      &model, &err);
    if (rc == ERR_NOT_FOUND || rc == ERR_INVALID) {
        respond_problem(reply, request, 404, err.text, NULL);
    } else if (rc != ERR_OK) { /* a file of ours is broken, which is not the client's fault */
        respond_problem(reply, request, 503, err.text, NULL);
    }
    return model;
}

/* The model of the path, to be released; where there is none, the reply is made or deferred, and
 * NULL given. A space that is not loaded has no versions either. */
static const struct model *find_model(struct app *app, const struct request *request,
                                      struct reply *reply)
{
    const struct space *space = infer_find_space(request, reply);
    const char *version = request->params[1];
    const struct model *served;

    if (space == NULL) {
        return NULL;
    }
    served = model_registry_acquire(&app->models, space);
    if (served == NULL) {
        struct error err;
        (void)error_set(&err, ERR_NOT_FOUND,
                        "the model %s is not loaded; POST /v2/repository/models/%s/load loads it",
                        space->name, space->name);
        respond_problem(reply, request, 409, err.text, NULL);
        return NULL;
    }
    if (version == NULL || strcmp(version, "default") == 0 ||
        strcmp(version, served->info.version) == 0) {
        return served;
    }
    model_registry_release(&app->models, served);
    return find_version(app, request, space, reply);
}

/* ---- inference ------------------------------------------------------------------------------- */

/* An inference under way. */
struct inference {
    struct app *app;
    const struct request *http;
    const struct model *model;
    struct infer_request request;
    struct infer_record record;
    double started, marked; /* seconds of the monotonic clock */
};

/* Nanoseconds since the last mark. */
static uint64_t mark(struct inference *inference)
{
    double now = monotonic_seconds();
    double passed = now - inference->marked;

    inference->marked = now;
    return (uint64_t)(1e9 * passed);
}

/* Whether the answer takes longer than the I/O thread should be away. */
static bool is_long(const struct inference *inference)
{
    const struct predictor *predictor = inference->model->predictor;

    return predictor->kind->batch_max > 0 ||
           (predictor->space->n_architectures == 0 && inference->request.n > SPOT_COMPUTED);
}

/* The bounds of one call. */
static enum err check_batch(const struct inference *inference, struct error *err)
{
    const struct predictor_kind *kind = inference->model->predictor->kind;
    const size_t batch_max = (size_t)inference->app->config.batch_max;
    const size_t n = inference->request.n;

    if (n > batch_max) {
        return error_set(err, ERR_LIMIT,
                         "%zu architectures are more than the %zu that one call may ask for "
                         "(the setting batch_max)",
                         n, batch_max);
    }
    if (kind->batch_max > 0 && n > kind->batch_max) {
        return error_set(err, ERR_LIMIT,
                         "the predictor %s takes at most %zu architectures in a call, not %zu",
                         kind->name, kind->batch_max, n);
    }
    return ERR_OK;
}

/* Puts the latencies behind the JSON that tells of them, in one block. */
static enum err answer_binary(struct inference *inference, const struct infer_reply *told,
                              struct reply *reply, struct error *err)
{
    const size_t n_bytes = inference->request.n * infer_type_bytes(INFER_FP32);
    struct text json = {0};
    char *body = NULL;
    enum err rc;

    msg_infer_encode(told, &json);
    body = json.has_failed ? NULL : mem_resize(NULL, json.size + n_bytes, 1);
    if (body == NULL) {
        text_close(&json);
        return error_set(err, ERR_NOMEM, "no memory for %zu latencies", inference->request.n);
    }
    memcpy(body, json.bytes, json.size);
    (void)mark(inference);
    rc = run_infer(inference->model, &inference->request, (unsigned char *)body + json.size, err);
    inference->record.infer_ns = mark(inference);
    if (rc == ERR_OK) {
        reply->status = 200;
        reply->content_type = "application/octet-stream";
        reply->body = body;
        reply->body_size = json.size + n_bytes;
        respond_header(reply, "Inference-Header-Content-Length", "%zu", json.size);
    } else {
        mem_free(body);
    }
    text_close(&json);
    return rc;
}

static enum err answer_json(struct inference *inference, struct infer_reply *told,
                            struct reply *reply, struct error *err)
{
    float *latency_ms = mem_calloc(inference->request.n, sizeof *latency_ms);
    struct text json = {0};
    enum err rc;

    if (latency_ms == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu latencies", inference->request.n);
    }
    rc = run_infer(inference->model, &inference->request, (unsigned char *)latency_ms, err);
    inference->record.infer_ns = mark(inference);
    if (rc == ERR_OK) {
        told->latency_ms = latency_ms;
        msg_infer_encode(told, &json);
        respond_json(reply, 200, &json);
    }
    mem_free(latency_ms);
    return rc;
}

/* Answers a request that was read. */
static enum err answer(struct inference *inference, struct reply *reply, struct error *err)
{
    struct infer_reply told = {
        .request = &inference->request,
        .model_name = inference->model->predictor->space->name,
        .model_version = inference->model->info.version,
    };
    enum err rc = check_batch(inference, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = inference->request.is_binary ? answer_binary(inference, &told, reply, err)
                                      : answer_json(inference, &told, reply, err);
    inference->record.output_ns = mark(inference);
    return rc;
}

/* What is wrong with a request is 400 throughout, as the protocol has it. */
static void refuse(const struct inference *inference, const struct error *err, struct reply *reply)
{
    if (err->code == ERR_INVALID || err->code == ERR_SYNTAX) {
        respond_problem(reply, inference->http, 400, err->text, NULL);
    } else {
        respond_error(reply, inference->http, err, NULL);
    }
}

static void count(struct inference *inference, bool is_success)
{
    struct infer_record *record = &inference->record;

    record->is_success = is_success;
    record->n_inferences = inference->request.n;
    record->total_ns = (uint64_t)(1e9 * (inference->marked - inference->started));
    infer_stats_add(&inference->app->infer_stats, inference->model->predictor->space,
                    inference->model->info.version, record);
    if (is_success) {
        counters_predicted(inference->app->counters, inference->model->predictor,
                           inference->request.n, 1);
    }
}

void infer_post(struct app *app, const struct request *request, struct reply *reply)
{
    struct inference inference = {.app = app, .http = request};
    struct error err;
    enum err rc;

    inference.started = inference.marked = monotonic_seconds();
    inference.model = find_model(app, request, reply);
    if (inference.model == NULL) {
        return;
    }
    rc = msg_infer_decode(inference.model->predictor->space, request->body, request->body_size,
                          request_header(request, "Inference-Header-Content-Length"),
                          &inference.request, &err);
    inference.record.input_ns = mark(&inference);
    if (rc == ERR_OK && !request->is_on_pool && is_long(&inference)) {
        reply->is_deferred = true;
    } else {
        rc = rc != ERR_OK ? rc : answer(&inference, reply, &err);
        if (rc != ERR_OK) {
            refuse(&inference, &err, reply);
        }
        count(&inference, rc == ERR_OK);
    }
    model_registry_release(&app->models, inference.model);
}

/* ---- health, metadata, statistics ------------------------------------------------------------ */

void infer_get_server(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};

    (void)app;
    (void)request;
    msg_infer_server_encode(&text);
    respond_json(reply, 200, &text);
}

void infer_get_live(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};

    (void)app;
    (void)request;
    text_puts(&text, "{\"live\":true}\n");
    respond_json(reply, 200, &text);
}

/* The protocol has 4xx where something is not ready. */
void infer_get_ready(struct app *app, const struct request *request, struct reply *reply)
{
    const bool is_ready = app_is_ready(app);
    struct text text = {0};

    (void)request;
    text_printf(&text, "{\"live\":true,\"ready\":%s}\n", is_ready ? "true" : "false");
    respond_json(reply, is_ready ? 200 : 400, &text);
}

void infer_get_model_ready(struct app *app, const struct request *request, struct reply *reply)
{
    const struct model *model = find_model(app, request, reply);
    struct text text = {0};

    if (reply->is_deferred || reply->status == 404) {
        return;
    }
    reply_close(reply);
    /* the name of a space that there was, though it may be declared no more by now */
    text_printf(&text, "{\"name\":\"%s\",\"ready\":%s}\n", request->params[0],
                model != NULL ? "true" : "false");
    respond_json(reply, model != NULL ? 200 : 400, &text);
    if (model != NULL) {
        model_registry_release(&app->models, model);
    }
}

void infer_get_model(struct app *app, const struct request *request, struct reply *reply)
{
    const struct model *model = find_model(app, request, reply);
    struct text text = {0};

    if (model != NULL) {
        const char *version = model->info.version;
        msg_infer_model_encode(model->predictor->space, &version, 1, &text);
        respond_json(reply, 200, &text);
        model_registry_release(&app->models, model);
    }
}

void infer_get_config(struct app *app, const struct request *request, struct reply *reply)
{
    const struct model *model = find_model(app, request, reply);
    struct text text = {0};

    if (model != NULL) {
        msg_infer_config_encode(model->predictor->space, &text);
        respond_json(reply, 200, &text);
        model_registry_release(&app->models, model);
    }
}

/* What is served is told of, though nobody may have asked it yet. */
static void know_served(struct app *app)
{
    struct space_list list;

    space_list_get(&list);
    for (size_t i = 0; i < list.n; i++) {
        const struct model *served = model_registry_acquire(&app->models, list.items[i]);
        if (served != NULL) {
            infer_stats_know(&app->infer_stats, list.items[i], served->info.version);
            model_registry_release(&app->models, served);
        }
    }
}

void infer_get_stats(struct app *app, const struct request *request, struct reply *reply)
{
    const struct space *space = NULL;
    const struct model *model = NULL;
    struct text text = {0};

    if (request->params[1] != NULL) {
        model = find_model(app, request, reply);
        if (model == NULL) {
            return;
        }
        space = model->predictor->space;
        infer_stats_know(&app->infer_stats, space, model->info.version);
    } else if (request->params[0] != NULL) {
        space = infer_find_space(request, reply);
        if (space == NULL) {
            return;
        }
    }
    know_served(app);
    infer_stats_encode(&app->infer_stats, space, model != NULL ? model->info.version : NULL, &text);
    respond_json(reply, 200, &text);
    if (model != NULL) {
        model_registry_release(&app->models, model);
    }
}

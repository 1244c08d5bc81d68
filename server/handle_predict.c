/* POST /v1/predict. */
#include <string.h>

#include "core/mem.h"
#include "proto/msg_predict.h"
#include "server/app.h"
#include "server/respond.h"

/* Looks up the devices that were named. What is wrong goes to the request's errors by pointer. */
static enum err find_targets(struct app *app, struct predict_request *predict, struct error *err)
{
    for (size_t i = 0; i < predict->n_targets; i++) {
        struct predict_target *target = &predict->targets[i];
        enum err rc;
        if (!target->is_named) {
            continue;
        }
        rc = device_cache_find(&app->devices, &app->tree, predict->space, target->name,
                               &target->hardware, err);
        if (rc == ERR_NOT_FOUND || rc == ERR_INVALID || rc == ERR_SYNTAX || rc == ERR_LIMIT) {
            data_localize(&app->tree, err);
            field_errors_add(&predict->errors, i, target->pointer, "%s", err->text);
        } else if (rc != ERR_OK) {
            data_localize(&app->tree, err);
            return rc;
        }
    }
    return predict->errors.n == 0
               ? ERR_OK
               : error_set(err, ERR_INVALID, "%s: %s", predict->errors.items[0].pointer,
                           predict->errors.items[0].detail);
}

/* Predicts with a model that is held for the call, and writes the reply. */
static enum err predict_with(const struct model *model, const struct predict_request *predict,
                             struct text *out, struct error *err)
{
    const size_t n = predict->n_architectures;
    double *block = mem_calloc(n + predict->n_targets, sizeof *block);
    struct predict_reply reply = {
        .request = predict,
        .version = model->info.version,
        .predictor = model->predictor->kind->name,
        .info = &model->info,
        .parameter = block,
    };
    enum err rc;

    if (block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu predictions", n);
    }
    reply.factors = block + n;
    for (size_t i = 0; i < predict->n_targets; i++) {
        block[n + i] = hardware_factor(&predict->targets[i].hardware);
    }
    rc = predictor_predict(model->predictor, predict->genes, n, block, NULL, err);
    if (rc == ERR_OK) {
        msg_predict_encode(&reply, out);
    }
    mem_free(block);
    return rc;
}

/* Whether the served model is meant: by no name, by "default", or by its version. */
static bool means_served(const struct predict_request *predict, const struct model *served)
{
    return predict->model[0] == '\0' || strcmp(predict->model, "default") == 0 ||
           (served != NULL && strcmp(predict->model, served->info.version) == 0);
}

/* The model to answer with, to be released; where there is none, the reply is made, and NULL given.
 */
static const struct model *find_model(struct app *app, const struct request *request,
                                      struct predict_request *predict, struct reply *reply)
{
    const struct model *model = model_registry_acquire(&app->models, predict->space);
    struct error err;
    enum err rc;

    if (means_served(predict, model)) {
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
    rc = model_registry_acquire_named(&app->models, app->tree.root, predict->space, predict->model,
                                      &model, &err);
    if (rc == ERR_NOT_FOUND) {
        field_errors_add(&predict->errors, 0, "/model", "%s", err.text);
        respond_error(reply, request, &err, &predict->errors);
    } else if (rc != ERR_OK) { /* a file of ours is broken, which is not the client's fault */
        respond_problem(reply, request, 503, err.text, NULL);
    }
    return model;
}

/* Whether the model can answer so many in one call; what is wrong goes to the request's errors. */
static bool is_batch_fit(const struct model *model, struct predict_request *predict)
{
    const struct predictor_kind *kind = model->predictor->kind;

    if (kind->batch_max == 0 || predict->n_architectures <= kind->batch_max) {
        return true;
    }
    field_errors_add(&predict->errors, 0, "/architectures",
                     "the predictor %s takes at most %zu architectures in a call, not %zu",
                     kind->name, kind->batch_max, predict->n_architectures);
    return false;
}

/* What may be asked on the spot: few latencies, and few names of devices, each of which is looked up
 * in some files. */
enum { SPOT_LATENCIES = 4096, SPOT_NAMES = 2 };

static bool is_short(const struct predict_request *predict)
{
    size_t n_names = 0;

    for (size_t i = 0; i < predict->n_targets; i++) {
        n_names += predict->targets[i].is_named;
    }
    return n_names <= SPOT_NAMES &&
           predict->n_architectures * predict->n_targets <= SPOT_LATENCIES &&
           predict->model[0] == '\0'; /* another model may have to be loaded, or compute for long */
}

/* A model that bounds its batches computes for milliseconds where another looks one value up. */
static bool needs_pool(const struct model *model)
{
    return model->predictor->kind->batch_max > 0;
}

void predict_post(struct app *app, const struct request *request, struct reply *reply)
{
    struct predict_request predict;
    const struct model *model;
    struct text text = {0};
    struct error err;
    enum err rc = msg_predict_decode(request->body, request->body_size,
                                     (size_t)app->config.batch_max, &predict, &err);

    if (rc == ERR_OK && !request->is_on_pool && !is_short(&predict)) {
        reply->is_deferred = true;
        msg_predict_close(&predict);
        return;
    }
    rc = rc != ERR_OK ? rc : find_targets(app, &predict, &err);
    if (rc != ERR_OK) {
        respond_error(reply, request, &err, &predict.errors);
        msg_predict_close(&predict);
        return;
    }
    model = find_model(app, request, &predict, reply);
    if (model != NULL && needs_pool(model) && !request->is_on_pool) {
        model_registry_release(&app->models, model);
        reply->is_deferred = true;
    } else if (model != NULL && !is_batch_fit(model, &predict)) {
        model_registry_release(&app->models, model);
        respond_problem(reply, request, 422, "the call is too large for this predictor",
                        &predict.errors);
    } else if (model != NULL) {
        rc = predict_with(model, &predict, &text, &err);
        if (rc == ERR_OK) {
            counters_predicted(app->counters, model->predictor, predict.n_architectures,
                               predict.n_targets);
        }
        model_registry_release(&app->models, model);
        if (rc == ERR_OK) {
            respond_json(reply, 200, &text);
        } else {
            respond_error(reply, request, &err, NULL);
        }
    }
    text_close(&text);
    msg_predict_close(&predict);
}

/* POST /v1/predict. */
#include <string.h>

#include "core/mem.h"
#include "proto/msg_predict.h"
#include "server/app.h"
#include "server/asked_model.h"
#include "server/respond.h"

/* Takes in what became of the i-th target: what is wrong with the request goes to its errors by
 * pointer, and what is wrong here is given back. */
static enum err note_target(const struct app *app, struct predict_request *predict, size_t i,
                            const char *pointer, enum err rc, struct error *err)
{
    if (rc == ERR_OK) {
        return ERR_OK;
    }
    data_localize(&app->tree, err);
    if (rc == ERR_NOT_FOUND || rc == ERR_INVALID || rc == ERR_SYNTAX || rc == ERR_LIMIT ||
        rc == ERR_NUMERIC) {
        field_errors_add(&predict->errors, i, pointer, "%s", err->text);
        return ERR_OK;
    }
    return rc;
}

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
        if (rc == ERR_NOT_FOUND && !predict->is_uncalibrated) {
            rc = data_is_measured(&app->tree, predict->space, target->name, NULL, err);
            target->lacks_hardware = rc == ERR_OK;
        }
        rc = note_target(app, predict, i, target->pointer, rc, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return field_errors_conclude(&predict->errors, "the request", err);
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

/* What may be asked on the spot: few latencies, fewer where measurements correct them, and few names
 * of devices, each of which is looked up in some files. */
enum { SPOT_LATENCIES = 4096, SPOT_CALIBRATED = 256, SPOT_NAMES = 2 };

static bool is_short(const struct predict_request *predict)
{
    size_t n_names = 0;

    for (size_t i = 0; i < predict->n_targets; i++) {
        n_names += predict->targets[i].is_named;
    }
    return n_names <= SPOT_NAMES &&
           predict->n_architectures * predict->n_targets <= SPOT_LATENCIES &&
           predict->n_measured == 0 && /* a fit takes milliseconds */
           predict->model[0] == '\0'; /* another model may have to be loaded, or compute for long */
}

/* A model that bounds its batches computes for milliseconds where another looks one value up, as does
 * a library of many architectures that no table has. */
static bool needs_pool(const struct model *model, const struct predict_request *predict)
{
    return model->predictor->kind->batch_max > 0 || (model->prior != NULL && model->rates == NULL &&
                                                     predict->n_architectures > SPOT_CALIBRATED);
}

/* ---- calibrations ---------------------------------------------------------------------------- */

static struct calibration_key key_of(const struct model *model, const struct predict_target *target)
{
    return (struct calibration_key){model, target->name,
                                    target->lacks_hardware ? NULL : &target->hardware};
}

static bool uses_stored(const struct predict_request *predict)
{
    return !predict->is_uncalibrated && predict->n_measured == 0;
}

/* Whether all calibrations are remembered, and few enough latencies are to be corrected; `fitted`
 * (n_targets) receives them. */
static bool recall_calibrations(struct app *app, const struct model *model,
                                const struct predict_request *predict, struct fitted **fitted)
{
    for (size_t i = 0; uses_stored(predict) && i < predict->n_targets; i++) {
        const struct predict_target *target = &predict->targets[i];
        const struct calibration_key key = key_of(model, target);
        if (!target->is_named) {
            continue;
        }
        if (!calibration_cache_recall(&app->calibrations, &app->tree, &key, &fitted[i]) ||
            (fitted[i] != NULL &&
             predict->n_architectures * predict->n_targets > SPOT_CALIBRATED)) {
            return false;
        }
    }
    return true;
}

/* Fits one target's measurements, those of the call before those that are stored. */
static enum err fit_target(struct app *app, const struct model *model,
                           const struct predict_request *predict, size_t i, struct fitted **out,
                           struct error *err)
{
    const struct predict_target *target = &predict->targets[i];
    const struct calibration_key key = key_of(model, target);
    enum err rc = ERR_OK;

    if (predict->n_measured > 0) {
        return fitted_create(model, key.hardware, predict->measured_genes, predict->measured_ms,
                             predict->n_measured, out, err);
    }
    if (target->is_named && uses_stored(predict)) {
        rc = calibration_cache_find(&app->calibrations, &app->tree, &key, out, err);
    }
    if (rc == ERR_OK && *out == NULL && target->lacks_hardware) { /* removed a moment ago */
        rc = error_set(err, ERR_NOT_FOUND, "there is no data sheet of \"%s\" and no measurement",
                       target->name);
    }
    return rc;
}

/* Fits what is not remembered. What is wrong with measurements goes to the request's errors by
 * pointer. */
static enum err fit_calibrations(struct app *app, const struct model *model,
                                 struct predict_request *predict, struct fitted **fitted,
                                 struct error *err)
{
    for (size_t i = 0; i < predict->n_targets; i++) {
        const char *pointer =
            predict->n_measured > 0 ? "/measurements" : predict->targets[i].pointer;
        enum err rc = fit_target(app, model, predict, i, &fitted[i], err);
        rc = note_target(app, predict, i, pointer, rc, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return field_errors_conclude(&predict->errors, "the request", err);
}

/* Predicts with a model that is held for the call, and makes the reply; or defers it, where that
 * would keep an I/O thread. */
static void answer(struct app *app, const struct request *request, const struct model *model,
                   struct predict_request *predict, struct reply *reply)
{
    struct fitted **fitted = mem_calloc(predict->n_targets, sizeof(struct fitted *));
    struct forecast forecast = {0};
    struct text text = {0};
    struct error err;
    enum err rc = ERR_OK;

    if (fitted == NULL) {
        rc = error_set(&err, ERR_NOMEM, "no memory for %zu devices", predict->n_targets);
    } else if (request->is_on_pool) {
        rc = fit_calibrations(app, model, predict, fitted, &err);
    } else if (!recall_calibrations(app, model, predict, fitted)) {
        reply->is_deferred = true;
    }
    if (rc == ERR_OK && !reply->is_deferred) {
        rc = forecast_make(model, predict, fitted, &forecast, &err);
    }
    if (rc != ERR_OK) {
        respond_error(reply, request, &err, &predict->errors);
    } else if (!reply->is_deferred) {
        msg_predict_encode(&forecast.reply, &text);
        counters_predicted(app->counters, model->predictor, predict->n_architectures,
                           predict->n_targets);
        respond_json(reply, 200, &text);
    }
    for (size_t i = 0; fitted != NULL && i < predict->n_targets; i++) {
        fitted_unref(fitted[i]);
    }
    mem_free(fitted);
    forecast_close(&forecast);
    text_close(&text);
}

void predict_post(struct app *app, const struct request *request, struct reply *reply)
{
    struct predict_request predict;
    const struct model *model;
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
    model = asked_model(app, request, predict.space, predict.model, &predict.errors, reply);
    if (model != NULL && needs_pool(model, &predict) && !request->is_on_pool) {
        reply->is_deferred = true;
    } else if (model != NULL && !is_batch_fit(model, &predict)) {
        respond_problem(reply, request, 422, "the call is too large for this predictor",
                        &predict.errors);
    } else if (model != NULL) {
        answer(app, request, model, &predict, reply);
    }
    if (model != NULL) {
        model_registry_release(&app->models, model);
    }
    msg_predict_close(&predict);
}

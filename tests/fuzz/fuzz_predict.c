/* The body of POST /v1/predict, and the reply to what was understood. */
#include "proto/msg_predict.h"
#include "tests/fuzz/fuzz.h"

enum { VALUES_MAX = 4096 };

static void check_request(const struct predict_request *request)
{
    const struct space *space = request->space;

    require(request->n_targets > 0 && request->n_architectures > 0);
    require(request->n_targets * request->n_architectures <= VALUES_MAX);
    for (size_t i = 0; i < request->n_architectures; i++) {
        struct error err;
        require(space_validate(space, request->genes + i * space->n_genes, NULL, &err) == ERR_OK);
        require(!request->is_bad[i] || request->is_null_on_error);
    }
    for (size_t i = 0; i < request->n_targets; i++) {
        const struct predict_target *target = &request->targets[i];
        require(!target->is_named || device_name_validate(target->name, NULL) == ERR_OK);
        require(target->is_named || target->lacks_hardware ||
                hardware_validate(&target->hardware, NULL, NULL) == ERR_OK);
    }
    for (size_t i = 0; i < request->n_measured; i++) {
        require(space_validate(space, request->measured_genes + i * space->n_genes, NULL, NULL) ==
                ERR_OK);
        require(request->measured_ms[i] > 0 && isfinite(request->measured_ms[i]));
    }
    require(request->level >= 0 && request->level < 1);
}

static void check_reply(const struct predict_request *request)
{
    double *rate = calloc(request->n_architectures, sizeof *rate);
    double *factors = calloc(request->n_targets, sizeof *factors);
    struct text text = {0};

    require(rate != NULL && factors != NULL);
    msg_predict_encode(&(struct predict_reply){.request = request,
                                               .version = "cost-0123456789ab",
                                               .predictor = "cost",
                                               .rate = rate,
                                               .factors = factors},
                       &text);
    require_json_text(&text);
    text_close(&text);
    free(factors);
    free(rate);
}

static void run(const char *bytes, size_t size)
{
    struct predict_request request = {0};
    struct error err = {0};
    enum err rc = msg_predict_decode(bytes, size, VALUES_MAX, &request, &err);

    require_told(rc, &err, &request.errors);
    if (rc == ERR_OK) {
        check_request(&request);
        check_reply(&request);
    }
    msg_predict_close(&request);
}

FUZZ_TARGET(run)

#include <stdbool.h>
#include <stdio.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "proto/msg_measurements.h"
#include "proto/msg_predict.h"
#include "server/calibrator.h"
#include "server/command.h"
#include "server/data_tree.h"
#include "server/measured_rows.h"

/* What is asked for, and what there is to answer with. */
struct asked {
    const struct options *options;
    const struct space *space;
    struct data_tree tree;
    struct predict_target target;
    struct measured_rows measured; /* n 0: none, or none wanted */
    double level;                  /* of the interval, 0: none */
};

/* The value of --interval. */
static enum err read_level(const char *text, double *out, struct error *err)
{
    double level;

    if (!command_number(text, &level) || !(level > 0.0 && level < 1.0)) {
        return error_set(err, ERR_USAGE,
                         "--interval must be above 0 and below 1, 0.9 say, not \"%.60s\"", text);
    }
    *out = level;
    return ERR_OK;
}

static enum err check_usage(const struct options *options, struct error *err)
{
    const bool is_described = options->hardware != NULL || options->device != NULL;

    if ((options->hardware != NULL && options->device != NULL) ||
        (!is_described && options->measurements == NULL)) {
        return error_set(err, ERR_USAGE,
                         "predict needs one of --hardware F,D,C,M and --device NAME, or "
                         "--measurements FILE of the device");
    }
    if (options->measurements != NULL && options->is_uncalibrated) {
        return error_set(err, ERR_USAGE, "give one of --measurements and --no-calibration");
    }
    return ERR_OK;
}

static enum err read_measurements(struct asked *asked, struct error *err)
{
    const struct options *options = asked->options;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc;

    if (options->measurements == NULL) {
        return options->device == NULL || options->is_uncalibrated
                   ? ERR_OK
                   : measured_rows_load(&asked->tree, asked->space, options->device,
                                        &asked->measured, err);
    }
    rc = command_read(options->measurements, MEASUREMENTS_MAX_FILE_BYTES, &bytes, &size, err);
    if (rc == ERR_OK) {
        rc = measured_rows_parse(asked->space, bytes, size, &asked->measured, err);
        if (rc != ERR_OK) {
            error_wrap(err, "--measurements %s", options->measurements);
        }
    }
    mem_free(bytes);
    return rc;
}

/* A named device may have no data sheet where there are stored measurements of it. */
static enum err find_hardware(struct asked *asked, struct error *err)
{
    const struct options *options = asked->options;
    struct device_sheet sheet;
    enum err rc;

    if (options->hardware != NULL) {
        return command_hardware(options->hardware, &asked->target.hardware, err);
    }
    asked->target.lacks_hardware = true;
    if (options->device == NULL) {
        return ERR_OK;
    }
    rc = data_find_device(&asked->tree, asked->space, options->device, &sheet, err);
    if (rc == ERR_OK) {
        asked->target.hardware = sheet.hardware;
        asked->target.lacks_hardware = false;
    } else if (rc == ERR_NOT_FOUND && !options->is_uncalibrated) {
        rc = data_is_measured(&asked->tree, asked->space, options->device, NULL, err);
    }
    return rc;
}

static enum err prepare(struct asked *asked, struct error *err)
{
    const struct options *options = asked->options;
    enum err rc = check_usage(options, err);

    if (rc == ERR_OK && options->interval != NULL) {
        rc = read_level(options->interval, &asked->level, err);
    }
    rc = rc != ERR_OK ? rc : data_tree_init(&asked->tree, options->root, options->data_path, err);
    rc = rc != ERR_OK ? rc : find_hardware(asked, err);
    return rc != ERR_OK ? rc : read_measurements(asked, err);
}

/* A line each: the latency, its bounds where they are asked for, and the architecture. */
static void print_lines(const struct predict_reply *reply)
{
    const struct predict_request *request = reply->request;
    const struct space *space = request->space;

    for (size_t i = 0; i < request->n_architectures; i++) {
        char notation[SPACE_TEXT_BYTES];
        space_print(space, request->genes + i * space->n_genes, notation);
        (void)printf("%.9g\t", reply->latency_ms != NULL ? reply->latency_ms[i]
                                                         : reply->rate[i] * reply->factors[0]);
        if (reply->low_ms != NULL) {
            (void)printf("%.9g\t%.9g\t", reply->low_ms[i], reply->high_ms[i]);
        }
        (void)printf("%s\n", notation);
    }
}

static enum err print_json(const struct predict_reply *reply, struct error *err)
{
    struct text text = {0};

    msg_predict_encode(reply, &text);
    return command_print(&text, err);
}

/* Says what the measurements were good for, beside the answer. */
static void tell_calibration(const struct predict_calibration *told)
{
    (void)fprintf(stderr, "dgld: corrected by %zu measurements", told->n_measurements);
    if (told->n_distrusted > 0) {
        (void)fprintf(stderr, ", %zu of which are left out as wild", told->n_distrusted);
    }
    (void)fprintf(stderr, "\n");
}

static enum err predict(struct asked *asked, const struct model *model, int32_t *genes, size_t n,
                        struct error *err)
{
    const struct measured_rows *measured = &asked->measured;
    bool *is_bad = mem_calloc(n, sizeof *is_bad);
    const struct predict_request request = {
        .space = asked->space,
        .targets = &asked->target,
        .n_targets = 1,
        .genes = genes,
        .is_bad = is_bad,
        .n_architectures = n,
        .level = asked->level,
    };
    struct fitted *fitted = NULL;
    struct forecast forecast = {0};
    enum err rc =
        is_bad == NULL ? error_set(err, ERR_NOMEM, "no memory for %zu predictions", n) : ERR_OK;

    if (rc == ERR_OK && measured->n > 0) {
        rc = fitted_create(model, asked->target.lacks_hardware ? NULL : &asked->target.hardware,
                           measured->genes, measured->latency_ms, measured->n, &fitted, err);
    }
    rc = rc != ERR_OK ? rc : forecast_make(model, &request, &fitted, &forecast, err);
    if (rc == ERR_OK && asked->options->is_json) {
        rc = print_json(&forecast.reply, err);
    } else if (rc == ERR_OK) {
        if (fitted != NULL) {
            tell_calibration(&fitted->told);
        }
        print_lines(&forecast.reply);
    }
    forecast_close(&forecast);
    fitted_unref(fitted);
    mem_free(is_bad);
    return rc;
}

enum err command_predict(const struct options *options, struct error *err)
{
    struct asked asked = {.options = options};
    struct model model = {0};
    int32_t *genes = NULL;
    size_t n = 0;
    enum err rc = command_space(options, &asked.space, err);

    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : prepare(&asked, err);
    rc = rc != ERR_OK ? rc : command_architectures(options, asked.space, false, &genes, &n, err);
    rc = rc != ERR_OK ? rc : command_load_model(options, asked.space, &model, err);
    rc = rc != ERR_OK ? rc : predict(&asked, &model, genes, n, err);
    measured_rows_close(&asked.measured);
    mem_free(genes);
    model_close(&model);
    return rc;
}

#include "server/nas_calibration.h"

#include <stdio.h>
#include <string.h>

#include "server/measured_rows.h"

bool nas_is_calibrated(const struct job_nas_params *params)
{
    return params->calibrate || params->n_measured > 0;
}

bool nas_has_hardware(const struct device_sheet *sheet)
{
    return sheet->hardware.frequency_ghz > 0.0;
}

enum err nas_find_target(const struct data_tree *tree, const struct space *space,
                         const struct job_nas_params *params, size_t i, struct device_sheet *out,
                         struct error *err)
{
    const struct job_nas_target *target = &params->targets[i];
    struct device_sheet sheet = {.hardware = target->hardware};
    enum err rc = ERR_OK;

    if (target->device[0] == '\0') {
        *out = sheet;
        return ERR_OK;
    }
    rc = data_find_device(tree, space, target->device, &sheet, err);
    if (rc == ERR_NOT_FOUND && params->n_measured > 0) {
        (void)snprintf(sheet.name, sizeof sheet.name, "%s", target->device);
        rc = ERR_OK;
    } else if (rc == ERR_NOT_FOUND && params->calibrate) {
        rc = data_is_measured(tree, space, target->device, sheet.name, err);
    }
    if (rc == ERR_OK) {
        *out = sheet;
    }
    return rc;
}

static enum err calibrate(const struct model *model, const struct device_sheet *sheet,
                          const struct measured_rows *rows, struct fitted **out, struct error *err)
{
    return fitted_create(model, nas_has_hardware(sheet) ? &sheet->hardware : NULL, rows->genes,
                         rows->latency_ms, rows->n, out, err);
}

/* By what is stored of the target, which may be nothing. */
static enum err calibrate_stored(const struct data_tree *tree, const struct model *model,
                                 const struct device_sheet *sheet, struct fitted **out,
                                 struct error *err)
{
    struct measured_rows rows = {0};
    enum err rc;

    if (sheet->name[0] == '\0') {
        return ERR_OK;
    }
    rc = measured_rows_load(tree, model->predictor->space, sheet->name, &rows, err);
    if (rc == ERR_OK && rows.n > 0) {
        rc = calibrate(model, sheet, &rows, out, err);
    }
    measured_rows_close(&rows);
    return rc;
}

enum err nas_calibrate(const struct data_tree *tree, const struct model *model,
                       const struct job_nas_params *params, const struct device_sheet *sheets,
                       struct nas_calibration *out, struct error *err)
{
    const struct measured_rows given = {params->measured_genes, params->measured_ms,
                                        params->n_measured};
    size_t n = 0;
    enum err rc = ERR_OK;

    if (given.n > 0) {
        return calibrate(model, &sheets[0], &given, &out->of[0], err);
    }
    for (size_t i = 0; rc == ERR_OK && params->calibrate && i < params->n_targets; i++) {
        rc = calibrate_stored(tree, model, &sheets[i], &out->of[i], err);
        n += out->of[i] != NULL ? 1 : 0;
    }
    if (rc == ERR_OK && params->calibrate && n == 0) {
        rc = error_set(err, ERR_NOT_FOUND, "there are no measurements of %s for %s",
                       params->n_targets > 1       ? "any of the targets"
                       : sheets[0].name[0] != '\0' ? sheets[0].name
                                                   : "a device without a name",
                       model->predictor->space->name);
    }
    return rc;
}

void nas_calibration_close(struct nas_calibration *calibration)
{
    for (size_t i = 0; i < JOB_MAX_TARGETS; i++) {
        fitted_unref(calibration->of[i]);
    }
    memset(calibration, 0, sizeof *calibration);
}

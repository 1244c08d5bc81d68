#include "server/run_calibrate.h"

#include "core/calibration.h"
#include "core/mem.h"
#include "server/calibrator.h"

enum err run_calibrate(const struct model *model, const struct hardware *hardware,
                       const struct device_rows *rows, struct calibration **out, struct error *err)
{
    double *a = mem_calloc(rows->n, 2 * sizeof *a);
    struct measurements measured = {rows->genes, a, NULL, rows->latency_ms, rows->n};
    enum err rc;

    if (a == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu measurements", rows->n);
    }
    measured.sd = a + rows->n;
    rc = predictor_predict(model->predictor, rows->genes, rows->n, a, a + rows->n, err);
    rc = rc != ERR_OK ? rc
                      : calibration_fit(model->predictor->space, calibrator_prior(model), hardware,
                                        &measured, out, err);
    mem_free(a);
    return rc;
}

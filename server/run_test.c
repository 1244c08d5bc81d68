#include "server/run_test.h"

#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/text.h"
#include "server/path.h"
#include "server/result_tree.h"

static enum err test_device(const struct data_tree *tree, const struct space *space,
                            const double *a, size_t n_rows, const char *name,
                            struct device_report *report, struct error *err)
{
    struct device_sheet sheet;
    double *measured_ms = NULL;
    double factor;
    enum err rc = data_find_device(tree, space, name, &sheet, err);

    if (rc == ERR_OK) {
        rc = data_load_latency(tree, space, sheet.name, n_rows, &measured_ms, err);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    (void)snprintf(report->name, sizeof report->name, "%s", sheet.name);
    factor = hardware_factor(&sheet.hardware);
    for (size_t i = 0; i < n_rows; i++) {
        report->predicted_ms[i] = a[i] * factor;
    }
    rc = metrics_compute(report->predicted_ms, measured_ms, n_rows, &report->metrics, err);
    mem_free(measured_ms);
    return rc;
}

enum err run_test(const struct data_tree *tree, const struct space *space, const double *a,
                  size_t n_rows, const struct names *devices, struct test_report *report,
                  struct error *err)
{
    enum err rc = ERR_OK;

    memset(report, 0, sizeof *report);
    report->space = space;
    report->n_rows = n_rows;
    report->devices = mem_calloc(devices->n, sizeof *report->devices);
    if (report->devices == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to test %zu devices", devices->n);
    }
    for (size_t d = 0; rc == ERR_OK && d < devices->n; d++) {
        struct device_report *device = &report->devices[d];
        device->predicted_ms = mem_calloc(n_rows, sizeof *device->predicted_ms);
        report->n_devices = d + 1;
        rc = device->predicted_ms == NULL
                 ? error_set(err, ERR_NOMEM, "no memory to test %s", devices->items[d])
                 : test_device(tree, space, a, n_rows, devices->items[d], device, err);
        for (size_t other = 0; rc == ERR_OK && other < d; other++) {
            if (strcmp(report->devices[other].name, device->name) == 0) {
                rc = error_set(err, ERR_INVALID, "%s is named twice", device->name);
            }
        }
    }
    if (rc != ERR_OK) {
        test_report_close(report);
    }
    return rc;
}

static enum err stage_device(const char *root, const struct test_report *report,
                             const struct device_report *device, struct result_batch *batch,
                             struct error *err)
{
    char path[PATH_BYTES];
    struct text text = {0};
    enum err rc = path_format(path, err, "%s/result/%s/%s_timepre.txt", root, report->space->name,
                              device->name);

    text_reserve(&text, 24 * report->n_rows);
    for (size_t i = 0; i < report->n_rows; i++) {
        text_printf(&text, "%.17g\n", device->predicted_ms[i]);
    }
    if (rc == ERR_OK) {
        rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory to write %s", path)
                             : result_stage(batch, path, text.bytes, text.size, err);
    }
    text_close(&text);
    return rc;
}

enum err run_test_save(const char *root, const struct test_report *report, struct error *err)
{
    struct result_batch batch = {0};
    enum err rc = ERR_OK;

    for (size_t d = 0; rc == ERR_OK && d < report->n_devices; d++) {
        rc = stage_device(root, report, &report->devices[d], &batch, err);
    }
    if (rc == ERR_OK) {
        rc = result_commit(&batch, err);
    }
    result_close(&batch);
    return rc;
}

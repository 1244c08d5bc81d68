#include "proto/msg_report.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "proto/msg_model.h"

static void put_number(struct text *out, const char *name, double value)
{
    text_printf(out, "\"%s\":", name);
    text_put_json_number(out, value);
}

static void put_string(struct text *out, const char *name, const char *value)
{
    text_printf(out, "\"%s\":", name);
    text_put_json_string(out, value);
}

struct member {
    const char *name;
    double value;
};

/* Members of an object, each with a comma before it. */
static void put_members(struct text *out, const struct member *members, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        text_puts(out, ",");
        put_number(out, members[i].name, members[i].value);
    }
}

static void put_held_out(const struct train_report *report, struct text *out)
{
    const struct metrics *m = &report->held_out;
    const struct member members[] = {
        {"r",                 m->r                },
        {"mape",              m->mape             },
        {"within_10_percent", m->within_10_percent},
        {"spearman",          m->spearman         },
        {"kendall",           m->kendall          },
        {"r_all_rows",        report->r_all_rows  },
    };

    if (!report->is_validated) {
        text_puts(out, "\"held_out\":null,");
        return;
    }
    text_printf(out, "\"held_out\":{\"validation\":\"%s\",\"n\":%zu",
                report->model->info.validation, m->n);
    put_members(out, members, sizeof members / sizeof *members);
    text_puts(out, "},");
}

void msg_train_encode(const struct train_report *report, struct text *out)
{
    const struct model_info *info = &report->model->info;

    text_puts(out, "{");
    put_string(out, "search_space", report->model->predictor->space->name);
    text_puts(out, ",");
    put_string(out, "predictor", report->model->predictor->kind->name);
    text_puts(out, ",");
    put_string(out, "version", info->version);
    text_puts(out, ",");
    put_string(out, "source", info->source);
    text_puts(out, ",");
    put_string(out, "reason", report->reason);
    text_puts(out, ",\"train_devices\":[");
    for (size_t i = 0; i < info->n_devices; i++) {
        text_puts(out, i > 0 ? "," : "");
        text_put_json_string(out, info->devices[i]);
    }
    text_printf(out, "],\"n_rows\":%zu,\"distrusted_rows\":[", info->n_rows);
    for (size_t i = 0; i < report->fit.n_distrusted; i++) { /* people count rows from 1 */
        text_printf(out, "%s%zu", i > 0 ? "," : "", report->fit.distrusted[i] + 1);
    }
    text_puts(out, "],");
    put_number(out, "noise_scale", report->fit.noise_scale);
    text_puts(out, ",");
    put_number(out, "loss", report->model->predictor->kind->has_epochs ? report->fit.loss : NAN);
    text_puts(out, ",");
    put_held_out(report, out);
    put_number(out, "fit_seconds", report->fit_seconds);
    msg_model_put_conditions(&info->conditions, out);
    if (report->library != NULL) {
        text_puts(out, ",\"library\":{");
        msg_library_put(report->library, out);
        text_puts(out, "}");
    }
    if (report->file != NULL) {
        text_puts(out, ",");
        put_string(out, "file", report->file);
    }
    text_puts(out, "}\n");
}

void train_report_close(struct train_report *report)
{
    fit_report_close(&report->fit);
}

static void put_device(const struct device_report *device, struct text *out)
{
    const struct metrics *m = &device->metrics;
    const struct member members[] = {
        {"r",                   m->r                       },
        {"rmse_ms",             m->rmse                    },
        {"mae_ms",              m->mae                     },
        {"mape",                m->mape                    },
        {"within_10_percent",   m->within_10_percent       },
        {"spearman",            m->spearman                },
        {"kendall",             m->kendall                 },
        {"rmse_reference_unit", m->rmse / REFERENCE_UNIT_MS},
        {"mae_reference_unit",  m->mae / REFERENCE_UNIT_MS },
    };

    text_puts(out, "{");
    put_string(out, "device", device->name);
    text_printf(out, ",\"n\":%zu", m->n);
    put_members(out, members, sizeof members / sizeof *members);
    text_puts(out, "}");
}

void msg_test_encode(const struct test_report *report, struct text *out)
{
    text_puts(out, "{");
    put_string(out, "search_space", report->space->name);
    text_puts(out, ",");
    put_string(out, "predictor", report->predictor);
    text_printf(out, ",\"holdout\":%s", report->is_holdout ? "true" : "false");
    if (report->n_calibrate > 0) {
        text_printf(out, ",\"calibrate\":%zu", report->n_calibrate);
    }
    text_puts(out, ",\"devices\":[");
    for (size_t i = 0; i < report->n_devices; i++) {
        text_puts(out, i > 0 ? "," : "");
        put_device(&report->devices[i], out);
    }
    text_puts(out, "]}\n");
}

void test_report_close(struct test_report *report)
{
    for (size_t i = 0; i < report->n_devices; i++) {
        mem_free(report->devices[i].predicted_ms);
        mem_free(report->devices[i].points);
    }
    mem_free(report->devices);
    memset(report, 0, sizeof *report);
}

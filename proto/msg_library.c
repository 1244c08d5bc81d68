#include "proto/msg_library.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"

/* Adds a figure to a mean, where it is one. */
static void add(double figure, double *sum, size_t *n)
{
    if (!isnan(figure)) {
        *sum += figure;
        ++*n;
    }
}

static double mean_of(double sum, size_t n)
{
    return n > 0 ? sum / (double)n : (double)NAN;
}

struct library_figures library_report_mean(const struct library_report *report)
{
    struct library_figures mean;

    for (size_t s = 0; s < LIBRARY_N_SIZES; s++) {
        double sums[3] = {0.0};
        size_t counts[3] = {0};
        for (size_t d = 0; d < report->n_devices; d++) {
            const struct library_figures *figures = &report->devices[d].figures;
            add(figures->at[s].spearman, &sums[0], &counts[0]);
            add(figures->at[s].r, &sums[1], &counts[1]);
            add(figures->at[s].rmse_ms, &sums[2], &counts[2]);
        }
        mean.at[s].spearman = mean_of(sums[0], counts[0]);
        mean.at[s].r = mean_of(sums[1], counts[1]);
        mean.at[s].rmse_ms = mean_of(sums[2], counts[2]);
    }
    return mean;
}

static void put_figures(const struct library_figures *figures, struct text *out)
{
    text_puts(out, "[");
    for (size_t s = 0; s < LIBRARY_N_SIZES; s++) {
        text_printf(out, "%s{\"measurements\":%zu,\"spearman\":", s > 0 ? "," : "",
                    library_sizes[s]);
        text_put_json_number(out, figures->at[s].spearman);
        text_puts(out, ",\"r\":");
        text_put_json_number(out, figures->at[s].r);
        text_puts(out, ",\"rmse_ms\":");
        text_put_json_number(out, figures->at[s].rmse_ms);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

void msg_library_put(const struct library_report *report, struct text *out)
{
    const struct library_figures mean = library_report_mean(report);

    text_printf(out, "\"n_rows\":%zu,\"n_draws\":%zu,\"devices\":[", report->n_rows,
                report->n_draws);
    for (size_t d = 0; d < report->n_devices; d++) {
        const struct library_device_report *device = &report->devices[d];
        text_puts(out, d > 0 ? ",{\"device\":" : "{\"device\":");
        text_put_json_string(out, device->name);
        text_printf(out, ",\"n_rows\":%zu,\"has_sheet\":%s,\"figures\":", device->n_rows,
                    device->has_sheet ? "true" : "false");
        put_figures(&device->figures, out);
        text_puts(out, "}");
    }
    text_puts(out, "],\"mean\":");
    put_figures(&mean, out);
}

void msg_library_put_test(const struct space *space, const struct model *model,
                          const struct library_report *report, struct text *out)
{
    text_puts(out, "{\"search_space\":");
    text_put_json_string(out, space->name);
    if (model != NULL && model->predictor != NULL) {
        text_printf(out, ",\"predictor\":\"%s\",\"version\":\"%s\"", model->predictor->kind->name,
                    model->info.version);
    } else {
        text_puts(out, ",\"predictor\":null,\"version\":null");
    }
    text_puts(out, ",\"holdout\":\"devices\",");
    msg_library_put(report, out);
}

void library_report_close(struct library_report *report)
{
    mem_free(report->devices);
    memset(report, 0, sizeof *report);
}

#include "proto/prometheus.h"

#include <assert.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/utf8.h"

enum { MAX_LABELS = 9, NAME_BYTES = 128 };

void prom_family(struct text *text, const char *name, const char *type, const char *help)
{
    text_printf(text, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

/* Backslash, quote and line feed are what the format escapes. */
static void put_value(struct text *text, const char *value)
{
    while (*value != '\0') {
        size_t length = utf8_length(value);
        if (length == 0) {
            text_puts(text, "\xef\xbf\xbd"); /* the replacement character */
            length = 1;
        } else if (*value == '\\' || *value == '"') {
            text_put(text, "\\", 1);
            text_put(text, value, 1);
        } else if (*value == '\n') {
            text_puts(text, "\\n");
        } else {
            text_put(text, value, length);
        }
        value += length;
    }
}

static void put_series(struct text *text, const char *name, const struct prom_label *labels,
                       size_t n_labels)
{
    text_puts(text, name);
    for (size_t i = 0; i < n_labels; i++) {
        text_puts(text, i == 0 ? "{" : ",");
        text_puts(text, labels[i].name);
        text_puts(text, "=\"");
        put_value(text, labels[i].value);
        text_puts(text, "\"");
    }
    text_puts(text, n_labels > 0 ? "} " : " ");
}

void prom_whole(struct text *text, const char *name, const struct prom_label *labels,
                size_t n_labels, uint64_t value)
{
    put_series(text, name, labels, n_labels);
    text_printf(text, "%" PRIu64 "\n", value);
}

void prom_real(struct text *text, const char *name, const struct prom_label *labels,
               size_t n_labels, double value)
{
    put_series(text, name, labels, n_labels);
    if (isfinite(value)) {
        text_printf(text, "%.17g\n", value);
    } else {
        text_puts(text, isnan(value) ? "NaN\n" : value > 0 ? "+Inf\n" : "-Inf\n");
    }
}

void prom_single(struct text *text, const char *name, const char *type, const char *help,
                 double value)
{
    prom_family(text, name, type, help);
    prom_real(text, name, NULL, 0, value);
}

void prom_histogram(struct text *text, const char *name, const struct prom_label *labels,
                    size_t n_labels, const struct prom_histogram *histogram)
{
    struct prom_label all[MAX_LABELS];
    char series[NAME_BYTES];
    char bound[32];
    uint64_t n = 0;

    assert(n_labels < MAX_LABELS && strlen(name) < NAME_BYTES - sizeof "_bucket");
    for (size_t i = 0; i < n_labels; i++) {
        all[i] = labels[i];
    }
    all[n_labels] = (struct prom_label){"le", bound};
    (void)snprintf(series, sizeof series, "%s_bucket", name);
    for (size_t i = 0; i <= histogram->n_bounds; i++) {
        n += histogram->counts[i];
        if (i < histogram->n_bounds) {
            (void)snprintf(bound, sizeof bound, "%.9g", histogram->bounds[i]);
        } else {
            (void)snprintf(bound, sizeof bound, "+Inf");
        }
        prom_whole(text, series, all, n_labels + 1, n);
    }
    (void)snprintf(series, sizeof series, "%s_sum", name);
    prom_real(text, series, labels, n_labels, histogram->sum);
    (void)snprintf(series, sizeof series, "%s_count", name);
    prom_whole(text, series, labels, n_labels, n);
}

/* Metrics in the text format of Prometheus, version 0.0.4. A family comes first, then its samples,
 * one after another. Thread-safe: all state is the caller's text. */
#ifndef DGLD_PROTO_PROMETHEUS_H
#define DGLD_PROTO_PROMETHEUS_H

#include <stddef.h>
#include <stdint.h>

#include "proto/text.h"

#define PROMETHEUS_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* `value` may be any text: it is escaped, and what is not UTF-8 in it replaced. */
struct prom_label {
    const char *name;
    const char *value;
};

/* The lines HELP and TYPE ("counter", "gauge", "histogram"). `help` is one line without backslashes.
 */
void prom_family(struct text *text, const char *name, const char *type, const char *help);

/* A sample: a whole number, or a real one in full precision. */
void prom_whole(struct text *text, const char *name, const struct prom_label *labels,
                size_t n_labels, uint64_t value);
void prom_real(struct text *text, const char *name, const struct prom_label *labels,
               size_t n_labels, double value);

/* A family of one sample without labels. */
void prom_single(struct text *text, const char *name, const char *type, const char *help,
                 double value);

/* What prom_histogram() writes: how many values lay in (bounds[i-1], bounds[i]], and in the last
 * place beyond all bounds; and their sum. */
struct prom_histogram {
    const double *bounds;   /* (n_bounds), ascending */
    const uint64_t *counts; /* (n_bounds + 1) */
    size_t n_bounds;
    double sum;
};

/* The samples <name>_bucket, cumulated, <name>_sum and <name>_count. At most 8 labels. */
void prom_histogram(struct text *text, const char *name, const struct prom_label *labels,
                    size_t n_labels, const struct prom_histogram *histogram);

#endif

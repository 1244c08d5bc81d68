#include "core/dataset.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "core/rng.h"
#include "core/stats.h"
#include "core/table.h"

static enum err row_to_genes(const struct space *space, const double *row, int32_t *genes,
                             struct error *err)
{
    for (size_t i = 0; i < space->n_genes; i++) {
        if (row[i] != floor(row[i]) || fabs(row[i]) > 1e9) {
            return error_set(err, ERR_INVALID, "gene %zu of %s must be a whole number, not %.12g",
                             i + 1, space->name, row[i]);
        }
        genes[i] = (int32_t)row[i];
    }
    return space_validate(space, genes, NULL, err);
}

enum err dataset_load(const struct space *space, const char *net_path, struct dataset *out,
                      struct error *err)
{
    struct table table = {0};
    struct dataset dataset = {.space = space};
    enum err rc = table_read(net_path, space->n_genes, &table, err);

    if (rc != ERR_OK) {
        return rc;
    }
    dataset.n_rows = table.n_rows;
    dataset.genes = mem_calloc(table.n_rows, space->n_genes * sizeof *dataset.genes);
    if (dataset.genes == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for the architectures of %s", net_path);
    }
    for (size_t i = 0; rc == ERR_OK && i < table.n_rows; i++) {
        rc = row_to_genes(space, table.values + i * space->n_genes,
                          dataset.genes + i * space->n_genes, err);
        if (rc != ERR_OK) {
            error_wrap(err, "%s:%zu", net_path, i + 1);
        }
    }
    table_close(&table);
    if (rc != ERR_OK) {
        dataset_close(&dataset);
        return rc;
    }
    *out = dataset;
    return ERR_OK;
}

void dataset_close(struct dataset *dataset)
{
    mem_free(dataset->genes);
    dataset->genes = NULL;
    dataset->n_rows = 0;
}

static uint64_t hash_genes(const int32_t *genes, size_t n_genes)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < n_genes; i++) { /* FNV-1a over whole genes, then mixed */
        hash = (hash ^ (uint32_t)genes[i]) * UINT64_C(0x100000001b3);
    }
    return hash ^ (hash >> 32);
}

enum err dataset_group(const struct space *space, const int32_t *genes, size_t n_rows,
                       size_t *group, size_t *n_groups, struct error *err)
{
    const size_t n_genes = space->n_genes;
    const size_t row_bytes = n_genes * sizeof *genes;
    size_t n_slots = 16;
    size_t *slots; /* open addressing; holds row + 1 of the group's first row, 0 where free */
    size_t n = 0;

    while (n_slots < 2 * n_rows) {
        n_slots *= 2;
    }
    slots = mem_calloc(n_slots, sizeof *slots);
    if (slots == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to group %zu architectures", n_rows);
    }
    for (size_t i = 0; i < n_rows; i++) {
        size_t slot = (size_t)hash_genes(genes + i * n_genes, n_genes) & (n_slots - 1);
        while (slots[slot] != 0 &&
               memcmp(genes + (slots[slot] - 1) * n_genes, genes + i * n_genes, row_bytes) != 0) {
            slot = (slot + 1) & (n_slots - 1);
        }
        if (slots[slot] == 0) {
            slots[slot] = i + 1;
            group[i] = n++;
        } else {
            group[i] = group[slots[slot] - 1];
        }
    }
    mem_free(slots);
    *n_groups = n;
    return ERR_OK;
}

enum err dataset_fold(const struct space *space, const int32_t *genes, size_t n_rows,
                      size_t n_folds, uint64_t seed, size_t *fold, struct error *err)
{
    struct rng rng;
    size_t n_groups;
    size_t *order;
    enum err rc = dataset_group(space, genes, n_rows, fold, &n_groups, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (n_groups < n_folds) {
        return error_set(err, ERR_INVALID,
                         "%zu distinct architectures cannot be split into %zu folds", n_groups,
                         n_folds);
    }
    order = mem_calloc(2 * n_groups, sizeof *order);
    if (order == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to split %zu architectures", n_rows);
    }
    for (size_t g = 0; g < n_groups; g++) {
        order[g] = g;
    }
    rng_init(&rng, seed);
    rng_shuffle(&rng, order, n_groups);
    for (size_t place = 0; place < n_groups; place++) {
        order[n_groups + order[place]] = place % n_folds; /* second half: fold of each group */
    }
    for (size_t i = 0; i < n_rows; i++) {
        fold[i] = order[n_groups + fold[i]];
    }
    mem_free(order);
    return ERR_OK;
}

/* Work space of the fit of A. `residual` is (n_devices, n_rows): log(latency / k). */
struct parameter_fit {
    size_t n_devices, n_rows;
    const double *factors; /* (n_devices), NaN: unknown */
    double *residual;
    double *offset;  /* (n_devices): b */
    double *log_a;   /* (n_rows) */
    double *column;  /* (n_devices) */
    double *scratch; /* (n_devices * n_rows) */
};

static void fill_column(const struct parameter_fit *f, size_t row)
{
    for (size_t d = 0; d < f->n_devices; d++) {
        f->column[d] = f->residual[d * f->n_rows + row] - f->offset[d];
    }
}

/* The median offset of the devices whose hardware is known: what the others are measured by. */
static double centre_of_offsets(struct parameter_fit *f)
{
    size_t n = 0;

    for (size_t d = 0; d < f->n_devices; d++) {
        if (!isnan(f->factors[d])) {
            f->column[n++] = f->offset[d];
        }
    }
    return stats_median(f->column, n);
}

/* Alternates medians over devices and over rows until the offsets stand still. */
static void polish_medians(struct parameter_fit *f)
{
    for (int iteration = 0; iteration < 50; iteration++) {
        double moved = 0.0;
        double centre;
        for (size_t i = 0; i < f->n_rows; i++) {
            fill_column(f, i);
            f->log_a[i] = stats_median(f->column, f->n_devices);
        }
        for (size_t d = 0; d < f->n_devices; d++) {
            double offset;
            for (size_t i = 0; i < f->n_rows; i++) {
                f->scratch[i] = f->residual[d * f->n_rows + i] - f->log_a[i];
            }
            offset = stats_median(f->scratch, f->n_rows);
            moved = fmax(moved, fabs(offset - f->offset[d]));
            f->offset[d] = offset;
        }
        centre = centre_of_offsets(f);
        for (size_t d = 0; d < f->n_devices; d++) {
            f->offset[d] -= centre;
        }
        if (moved < 1e-9) {
            break;
        }
    }
}

/* Robust spread of what rows and offsets leave over, 0 for a single device. */
static double residual_scale(struct parameter_fit *f)
{
    size_t n = f->n_devices * f->n_rows;

    for (size_t d = 0; d < f->n_devices; d++) {
        for (size_t i = 0; i < f->n_rows; i++) {
            f->scratch[d * f->n_rows + i] =
                fabs(f->residual[d * f->n_rows + i] - f->offset[d] - f->log_a[i]);
        }
    }
    return 1.4826 * stats_median(f->scratch, n); /* the factor makes it a standard deviation */
}

enum err dataset_fit_parameter(const double *latency_ms, const double *factors, size_t n_devices,
                               size_t n_rows, double *a, struct error *err)
{
    struct parameter_fit f = {.n_devices = n_devices, .n_rows = n_rows, .factors = factors};
    double *block = mem_calloc(2 * n_devices * n_rows + 3 * n_devices + n_rows, sizeof *block);
    double scale;

    if (block == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu latencies of %zu devices", n_rows,
                         n_devices);
    }
    f.residual = block;
    f.scratch = f.residual + n_devices * n_rows;
    f.offset = f.scratch + n_devices * n_rows;
    f.column = f.offset + n_devices;
    f.log_a = f.column + n_devices;
    for (size_t d = 0; d < n_devices; d++) {
        const double factor = isnan(factors[d]) ? 1.0 : factors[d]; /* the offset makes up for it */
        for (size_t i = 0; i < n_rows; i++) {
            f.residual[d * n_rows + i] = log(latency_ms[d * n_rows + i] / factor);
        }
    }
    polish_medians(&f);
    scale = residual_scale(&f);
    for (size_t i = 0; i < n_rows; i++) {
        fill_column(&f, i);
        a[i] = exp(stats_biweight(f.column, n_devices, scale, f.scratch));
    }
    mem_free(block);
    return ERR_OK;
}

/* The measured data that calibrations are judged on, read in place, and what the tests and the
 * evaluation program compute of it alike: draws of measurements, and errors on the rest.
 *
 * Header only. Single-threaded; what is loaded stays until the program ends. */
#ifndef DGLD_TESTS_SUPPORT_CALIBRATION_DATA_H
#define DGLD_TESTS_SUPPORT_CALIBRATION_DATA_H

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/calibration.h"
#include "core/dataset.h"
#include "core/interval.h"
#include "core/mem.h"
#include "core/metrics.h"
#include "core/predictor.h"
#include "core/rng.h"
#include "core/table.h"

enum { DATA_PATH_BYTES = 512, DATA_MAX_ROWS = 5000, N_PHONES = 9, N_LIBRARY = 9 };

/* "" where the data lie, or NULL where they do not. */
static inline const char *data_path(const char *name)
{
    static char path[DATA_PATH_BYTES];
    const char *base = getenv("DGLD_TEST_SHARED");

    (void)snprintf(path, sizeof path, "%s/data/%s", base != NULL ? base : "../shared", name);
    return access(path, R_OK) == 0 ? path : NULL;
}

/* Everything that was measured of a device, and what predicts it without measurements. */
struct device_data {
    const char *name;
    const struct space *space;
    bool has_hardware;
    struct hardware hardware;
    size_t n;
    int32_t *genes;     /* (n, n_genes) */
    double *latency_ms; /* (n) */
    double *a[2];  /* (n) of the predictor `cost`: held out (10-fold), and seen in training ... */
    double *sd[2]; /* ... and the standard deviations */
};

enum { BASE_HELD_OUT, BASE_SEEN };

/* ---- the phones of REFERENCE.md -------------------------------------------------------------- */

/* With the RMSE that ten measurements are to give, in ms. */
static const struct {
    const char *space, *name;
    double rmse_ms;
} phone_list[N_PHONES] = {
    {"nasbench201", "Huawei Mate 20",      52.0 },
    {"nasbench201", "Samsung Galaxy A10s", 190.0},
    {"nasbench201", "Xiaomi Redmi 5 Plus", 129.0},
    {"nasbench201", "Sony Xperia XZ2",     85.0 },
    {"nasbench201", "Motorola Moto E6s",   194.0},
    {"fbnetv3",     "Asus ROG Phone 3",    10.5 },
    {"fbnetv3",     "Oppo A5",             73.0 },
    {"fbnetv3",     "Xiaomi Mi 8 Lite",    19.0 },
    {"fbnetv3",     "Samsung Galaxy S8+",  23.5 },
};

/* What all phones of a space share. */
struct space_data {
    const struct space *space;
    struct dataset architectures;
    double *a[2], *sd[2];
    struct predictor *predictor; /* that has seen them all */
};

static inline enum err load_space(const char *name, struct space_data *out, struct error *err)
{
    const struct fit_options options = {0};
    const char *path;
    char file[128];
    double *a = NULL;
    size_t *fold = NULL;
    size_t n;
    enum err rc;

    memset(out, 0, sizeof *out);
    out->space = space_find(name);
    (void)snprintf(file, sizeof file, "dgl/%s/net.txt", name);
    path = data_path(file);
    if (path == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s is absent", file);
    }
    rc = dataset_load(out->space, path, &out->architectures, err);
    n = out->architectures.n_rows;
    (void)snprintf(file, sizeof file, "dgl/%s/a.txt", name);
    path = data_path(file);
    if (rc != ERR_OK || path == NULL) {
        return rc != ERR_OK ? rc : error_set(err, ERR_NOT_FOUND, "%s is absent", file);
    }
    rc = table_read_positive(path, n, &a, NULL, err);
    fold = mem_calloc(n, sizeof *fold);
    for (int base = 0; base < 2; base++) {
        out->a[base] = mem_calloc(n, sizeof(double));
        out->sd[base] = mem_calloc(n, sizeof(double));
    }
    rc =
        rc != ERR_OK ? rc : dataset_fold(out->space, out->architectures.genes, n, 10, 0, fold, err);
    if (rc == ERR_OK) {
        rc = predictor_cross_validate(&predictor_kind_cost, out->space, out->architectures.genes, a,
                                      n, fold, 10, &options, out->a[BASE_HELD_OUT],
                                      out->sd[BASE_HELD_OUT], err);
    }
    if (rc == ERR_OK) {
        rc = predictor_fit(&predictor_kind_cost, out->space, out->architectures.genes, a, n,
                           &options, &out->predictor, NULL, err);
    }
    if (rc == ERR_OK) {
        rc = predictor_predict(out->predictor, out->architectures.genes, n, out->a[BASE_SEEN],
                               out->sd[BASE_SEEN], err);
    }
    mem_free(a);
    mem_free(fold);
    return rc;
}

static inline void close_space(struct space_data *data)
{
    dataset_close(&data->architectures);
    for (int base = 0; base < 2; base++) {
        mem_free(data->a[base]);
        mem_free(data->sd[base]);
    }
    predictor_destroy(data->predictor);
    memset(data, 0, sizeof *data);
}

/* Borrows the space's arrays; owns latency_ms. */
static inline enum err load_phone(const struct space_data *space, const char *name,
                                  struct device_data *out, struct error *err)
{
    char file[160];
    const char *path;
    double vector[HARDWARE_N_FIELDS];
    enum err rc;

    *out = (struct device_data){
        .name = name,
        .space = space->space,
        .has_hardware = true,
        .n = space->architectures.n_rows,
        .genes = space->architectures.genes,
        .a = {space->a[0],  space->a[1] },
        .sd = {space->sd[0], space->sd[1]},
    };
    (void)snprintf(file, sizeof file, "dgl/%s/hardware/%s.txt", space->space->name, name);
    path = data_path(file);
    if (path == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s is absent", file);
    }
    rc = table_read_values(path, HARDWARE_N_FIELDS, vector, NULL, err);
    out->hardware = hardware_from_vector(vector);
    (void)snprintf(file, sizeof file, "dgl/%s/latency/%s.txt", space->space->name, name);
    path = data_path(file);
    if (rc != ERR_OK || path == NULL) {
        return rc != ERR_OK ? rc : error_set(err, ERR_NOT_FOUND, "%s is absent", file);
    }
    return table_read_positive(path, out->n, &out->latency_ms, NULL, err);
}

/* ---- the library ----------------------------------------------------------------------------- */

static const struct {
    const char *name;
    double hardware[HARDWARE_N_FIELDS]; /* zeros where there is no data sheet */
} library_list[N_LIBRARY] = {
    {"1080ti_1",       {0}               },
    {"1080ti_32",      {0}               },
    {"1080ti_256",     {0}               },
    {"silver_4114",    {0}               },
    {"silver_4210r",   {0}               },
    {"samsung_a50",    {2.3, 4, 1, 14.9} },
    {"samsung_s7",     {2.6, 4, 2, 28.7} },
    {"essential_ph_1", {2.45, 4, 2, 29.8}},
    {"pixel3",         {2.8, 5, 2, 29.8} },
};

/* Reads architecture,latency_ms; A is that of `predictor`. Everything is owned. */
static inline enum err load_measured(const char *file, const struct space *space,
                                     const struct predictor *predictor, struct device_data *out,
                                     struct error *err)
{
    const char *path = data_path(file);
    FILE *fp = path != NULL ? fopen(path, "r") : NULL;
    char line[256];
    enum err rc = ERR_OK;

    if (fp == NULL) {
        return error_set(err, ERR_NOT_FOUND, "%s is absent", file);
    }
    out->space = space;
    out->genes = mem_calloc(DATA_MAX_ROWS * space->n_genes, sizeof *out->genes);
    out->latency_ms = mem_calloc(DATA_MAX_ROWS, sizeof(double));
    out->a[BASE_SEEN] = mem_calloc(DATA_MAX_ROWS, sizeof(double));
    out->sd[BASE_SEEN] = mem_calloc(DATA_MAX_ROWS, sizeof(double));
    while (rc == ERR_OK && out->n < DATA_MAX_ROWS && fgets(line, sizeof line, fp) != NULL) {
        char *comma = strrchr(line, ',');
        if (comma != NULL && line[0] != 'a') {
            rc = space_parse(space, line, (size_t)(comma - line),
                             out->genes + out->n * space->n_genes, NULL, err);
            out->latency_ms[out->n++] = strtod(comma + 1, NULL);
        }
    }
    (void)fclose(fp);
    if (rc == ERR_OK) {
        rc = predictor_predict(predictor, out->genes, out->n, out->a[BASE_SEEN], out->sd[BASE_SEEN],
                               err);
    }
    return rc;
}

static inline void close_measured(struct device_data *device)
{
    mem_free(device->genes);
    mem_free(device->latency_ms);
    mem_free(device->a[BASE_SEEN]);
    mem_free(device->sd[BASE_SEEN]);
    memset(device, 0, sizeof *device);
}

/* The nine devices of data/library/nasbench201. */
static inline enum err load_library(const struct predictor *predictor,
                                    struct device_data devices[N_LIBRARY], struct error *err)
{
    enum err rc = ERR_OK;

    memset(devices, 0, N_LIBRARY * sizeof *devices);
    for (size_t d = 0; rc == ERR_OK && d < N_LIBRARY; d++) {
        char file[128];
        (void)snprintf(file, sizeof file, "library/nasbench201/%s.csv", library_list[d].name);
        devices[d].name = library_list[d].name;
        devices[d].has_hardware = library_list[d].hardware[0] > 0.0;
        devices[d].hardware = hardware_from_vector(library_list[d].hardware);
        rc = load_measured(file, &space_nasbench201, predictor, &devices[d], err);
    }
    return rc;
}

/* ---- a space that is no more than its genes -------------------------------------------------- */

enum { FBNET_N_GENES = 22, FBNET_N_VALUES = 9, N_FBNET = 6 };

static const char *const fbnet_list[N_FBNET] = {"1080ti_1",  "essential_ph_1", "eyeriss",
                                                "gold_6240", "samsung_a50",    "silver_4114"};

static struct gene fbnet_genes[FBNET_N_GENES];

static struct space fbnet_space = {
    .name = "fbnet",
    .notation = "write its 22 genes",
    .genes = fbnet_genes,
    .n_genes = FBNET_N_GENES,
};

/* The six devices of data/library/fbnet. Nothing predicts A there: it is 1. */
static inline enum err load_fbnet(struct device_data devices[N_FBNET], struct error *err)
{
    struct dataset architectures = {0};
    const char *path = data_path("library/fbnet/net.txt");
    enum err rc = ERR_OK;

    memset(devices, 0, N_FBNET * sizeof *devices);
    for (size_t g = 0; g < FBNET_N_GENES; g++) {
        fbnet_genes[g] = (struct gene){"layer", 1, 1, FBNET_N_VALUES, NULL};
    }
    if (path == NULL) {
        return error_set(err, ERR_NOT_FOUND, "library/fbnet/net.txt is absent");
    }
    rc = dataset_load(&fbnet_space, path, &architectures, err);
    for (size_t d = 0; rc == ERR_OK && d < N_FBNET; d++) {
        const size_t n = architectures.n_rows;
        char file[128];
        (void)snprintf(file, sizeof file, "library/fbnet/latency/%s.txt", fbnet_list[d]);
        path = data_path(file);
        devices[d] = (struct device_data){.name = fbnet_list[d], .space = &fbnet_space, .n = n};
        devices[d].genes = mem_calloc(n * FBNET_N_GENES, sizeof(int32_t));
        devices[d].a[BASE_SEEN] = mem_calloc(n, sizeof(double));
        devices[d].sd[BASE_SEEN] = mem_calloc(n, sizeof(double));
        memcpy(devices[d].genes, architectures.genes, n * FBNET_N_GENES * sizeof(int32_t));
        for (size_t i = 0; i < n; i++) {
            devices[d].a[BASE_SEEN][i] = 1.0;
        }
        rc = path == NULL ? error_set(err, ERR_NOT_FOUND, "%s is absent", file)
                          : table_read_positive(path, n, &devices[d].latency_ms, NULL, err);
    }
    dataset_close(&architectures);
    return rc;
}

/* What the library without one of its devices teaches; `left_out` at or beyond n leaves none out.
 */
static inline enum err learn_library(const struct device_data *devices, size_t n, size_t left_out,
                                     struct calibration_prior **out, struct error *err)
{
    struct library_device list[LIBRARY_MAX_DEVICES];
    size_t n_used = 0;

    for (size_t d = 0; d < n; d++) {
        if (d != left_out) {
            list[n_used++] = (struct library_device){
                .name = devices[d].name,
                .genes = devices[d].genes,
                .latency_ms = devices[d].latency_ms,
                .n = devices[d].n,
                .hardware = devices[d].has_hardware ? &devices[d].hardware : NULL,
            };
        }
    }
    return calibration_prior_fit(devices[0].space, list, n_used, NULL, out, err);
}

/* ---- measuring some, predicting the rest ----------------------------------------------------- */

/* One trial: n rows of a device are measured, the others are predicted. */
struct trial {
    const struct device_data *device;
    int base;
    const struct calibration_prior *prior;
    size_t n;
    const size_t *rows; /* (n) to be measured, or NULL: drawn by `seed` */
    uint64_t seed;
    double wild;  /* the first measurement is multiplied by that; 0: as it is */
    double level; /* of the intervals; 0: none */
};

struct trial_result {
    struct metrics metrics; /* on the rest */
    double coverage;        /* share of the rest within its interval ... */
    double log_width;       /* ... and mean log(high / low) */
};

static inline void order_at_random(uint64_t seed, size_t n, size_t *order)
{
    struct rng rng;

    rng_init(&rng, seed);
    for (size_t i = 0; i < n; i++) {
        order[i] = i;
    }
    rng_shuffle(&rng, order, n);
}

/* Puts the rows to be measured first. */
static inline void order_rows_of(const struct trial *trial, size_t *order)
{
    static bool is_first[DATA_MAX_ROWS];
    size_t at = trial->n;

    if (trial->rows == NULL) {
        order_at_random(1000 * trial->seed + trial->n, trial->device->n, order);
        return;
    }
    memset(is_first, 0, sizeof is_first);
    for (size_t i = 0; i < trial->n; i++) {
        order[i] = trial->rows[i];
        is_first[order[i]] = true;
    }
    for (size_t i = 0; i < trial->device->n; i++) {
        if (!is_first[i]) {
            order[at++] = i;
        }
    }
}

static inline void score_trial(const struct trial *trial, const double *latency_ms,
                               const double *spread, const double *measured_ms, size_t n,
                               struct trial_result *out)
{
    const double level = trial->level > 0.0 ? trial->level : 0.9;

    (void)metrics_compute(latency_ms, measured_ms, n, &out->metrics, NULL);
    out->coverage = 0.0;
    out->log_width = 0.0;
    for (size_t i = 0; i < n; i++) {
        double low;
        double high;
        interval_bounds(&latency_ms[i], &spread[i], 1, level, &low, &high);
        out->coverage += measured_ms[i] >= low && measured_ms[i] <= high ? 1.0 / (double)n : 0.0;
        out->log_width += log(high / low) / (double)n;
    }
}

static inline enum err run_trial(const struct trial *trial, struct trial_result *out,
                                 struct error *err)
{
    const struct device_data *d = trial->device;
    const size_t n_genes = d->space->n_genes;
    static size_t order[DATA_MAX_ROWS];
    static int32_t genes[DATA_MAX_ROWS * 32];
    static double a[DATA_MAX_ROWS], sd[DATA_MAX_ROWS], measured_ms[DATA_MAX_ROWS];
    static double latency_ms[DATA_MAX_ROWS], spread[DATA_MAX_ROWS];
    struct measured measured = {genes, a, sd, measured_ms, trial->n};
    struct calibration *calibration = NULL;
    const size_t n = trial->n;
    enum err rc;

    order_rows_of(trial, order);
    for (size_t i = 0; i < d->n; i++) {
        memcpy(genes + i * n_genes, d->genes + order[i] * n_genes, n_genes * sizeof *genes);
        a[i] = d->a[trial->base][order[i]];
        sd[i] = d->sd[trial->base][order[i]];
        measured_ms[i] = d->latency_ms[order[i]];
    }
    if (n == 0) {
        for (size_t i = 0; i < d->n; i++) {
            latency_ms[i] = a[i] * hardware_factor(&d->hardware);
            spread[i] = interval_spread(d->space, a[i], sd[i]);
        }
        score_trial(trial, latency_ms, spread, measured_ms, d->n, out);
        return ERR_OK;
    }
    measured_ms[0] *= trial->wild > 0.0 ? trial->wild : 1.0;
    rc = calibration_fit(d->space, trial->prior, d->has_hardware ? &d->hardware : NULL, &measured,
                         &calibration, err);
    if (rc == ERR_OK) {
        calibration_predict(calibration, genes + n * n_genes, a + n, sd + n, d->n - n, latency_ms,
                            spread);
        score_trial(trial, latency_ms, spread, measured_ms + n, d->n - n, out);
    }
    calibration_destroy(calibration);
    return rc;
}

#endif

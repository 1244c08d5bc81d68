#include "server/training_set.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "core/stats.h"

static const char paper_devices[] =
    "Galaxy A9,Honor 9C,iQOO 5 Pro,Samsung Galaxy A80,Samsung Galaxy A90 5G,Samsung Galaxy M30s,"
    "Samsung Galaxy S20+ 5G,Samsung Galaxy Note10,Xiaomi Redmi 10X Pro 5G,Xiaomi Redmi K20 Pro,"
    "Honor V30 Pro,VIVO NEX";

enum err training_find_device(const struct data_tree *tree, const struct space *space,
                              const char *name, struct device_sheet *out, bool *has_sheet,
                              struct error *err)
{
    struct names measured = {0};
    enum err rc = data_find_device(tree, space, name, out, err);

    *has_sheet = rc == ERR_OK;
    if (rc != ERR_NOT_FOUND || space->declaration == NULL) {
        return rc;
    }
    if (data_list_measured(tree, space, &measured, NULL) == ERR_OK &&
        names_contain(&measured, name)) {
        memset(out, 0, sizeof *out);
        (void)snprintf(out->name, sizeof out->name, "%s", name);
        rc = ERR_OK;
    }
    names_close(&measured);
    return rc;
}

/* All that were measured and have a sheet. A sheet that is malformed is not passed over. */
static enum err list_known(const struct data_tree *tree, const struct space *space,
                           struct names *out, struct error *err)
{
    struct names measured = {0};
    enum err rc = data_list_measured(tree, space, &measured, err);

    for (size_t i = 0; rc == ERR_OK && i < measured.n; i++) {
        struct device_sheet sheet;
        rc = data_find_device(tree, space, measured.items[i], &sheet, err);
        rc = rc == ERR_NOT_FOUND ? ERR_OK
                                 : (rc != ERR_OK ? rc : names_add(out, measured.items[i], err));
    }
    names_close(&measured);
    if (rc == ERR_OK && out->n == 0) {
        rc = error_set(err, ERR_NOT_FOUND,
                       "no device of %s has both measured latencies in latency/ and a data sheet; "
                       "write its four numbers F D C M to hardware/<device>.txt of the space's "
                       "data, or a sheet to data/devices",
                       space->name);
    }
    return rc;
}

enum err training_default_devices(const struct data_tree *tree, const struct space *space,
                                  struct names *out, struct error *err)
{
    enum err rc;

    if (space->declaration == NULL) {
        return names_split(paper_devices, out, err);
    }
    rc = list_known(tree, space, out, err);
    if (rc != ERR_OK) {
        names_close(out);
    }
    return rc;
}

/* Latencies of all training devices, or the name of the first that has none. */
struct latencies {
    double *values;  /* (n_devices, n_rows), owned */
    double *factors; /* (n_devices), owned; NaN of a device without a sheet */
    const char *missing;
};

/* Reads one device into row d. ERR_NOT_FOUND where it has no latency file. */
static enum err load_device(const struct data_tree *tree, const struct training_set *set, size_t d,
                            struct latencies *out, struct error *err)
{
    const size_t n_rows = set->architectures.n_rows;
    double *column = NULL;
    enum err rc = data_load_latency(tree, set->architectures.space, set->devices.items[d], n_rows,
                                    &column, err);

    if (rc == ERR_OK) {
        memcpy(out->values + d * n_rows, column, n_rows * sizeof *column);
        mem_free(column);
    }
    return rc;
}

static enum err load_latencies(const struct data_tree *tree, const struct training_set *set,
                               struct latencies *out, struct error *err)
{
    enum err rc = ERR_OK;

    out->values = mem_calloc(set->devices.n, set->architectures.n_rows * sizeof *out->values);
    if (out->values == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the latencies of %zu devices",
                         set->devices.n);
    }
    for (size_t d = 0; rc == ERR_OK && d < set->devices.n; d++) {
        rc = load_device(tree, set, d, out, err);
        if (rc == ERR_NOT_FOUND) {
            out->missing = set->devices.items[d];
            return ERR_OK;
        }
    }
    return rc;
}

/* Looks all devices up, keeps their names as they are spelled there, and computes their factors. */
static enum err find_devices(const struct data_tree *tree, const struct space *space,
                             const struct names *devices, struct training_set *set,
                             struct latencies *latencies, struct error *err)
{
    size_t n_known = 0;

    latencies->factors = mem_calloc(devices->n, sizeof *latencies->factors);
    if (latencies->factors == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu devices", devices->n);
    }
    for (size_t d = 0; d < devices->n; d++) {
        struct device_sheet sheet;
        bool has_sheet;
        enum err rc = training_find_device(tree, space, devices->items[d], &sheet, &has_sheet, err);
        if (rc == ERR_OK && names_contain(&set->devices, sheet.name)) {
            rc = error_set(err, ERR_INVALID, "%s is named twice", sheet.name);
        }
        if (rc == ERR_OK) {
            rc = names_add(&set->devices, sheet.name, err);
        }
        if (rc != ERR_OK) {
            return rc;
        }
        latencies->factors[d] = has_sheet ? hardware_factor(&sheet.hardware) : (double)NAN;
        n_known += has_sheet ? 1 : 0;
    }
    return n_known > 0
               ? ERR_OK
               : error_set(err, ERR_INVALID,
                           "none of the training devices has a data sheet; one at least has "
                           "to tell what its latencies stand for: write its four numbers F "
                           "D C M to hardware/<device>.txt of the space's data, or a sheet "
                           "to data/devices");
}

static enum err fill_parameter(const struct data_tree *tree, const struct latencies *latencies,
                               struct training_set *set, struct error *err)
{
    const size_t n_rows = set->architectures.n_rows;

    if (latencies->missing != NULL) {
        set->source = "a.txt";
        (void)snprintf(set->reason, sizeof set->reason,
                       "there is no latency file of the training device %s", latencies->missing);
        return data_load_parameter(tree, set->architectures.space, n_rows, &set->a, err);
    }
    set->source = "latency";
    (void)snprintf(set->reason, sizeof set->reason, "all %zu training devices have latency files",
                   set->devices.n);
    set->a = mem_calloc(n_rows, sizeof *set->a);
    if (set->a == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu architectures", n_rows);
    }
    return dataset_fit_parameter(latencies->values, latencies->factors, set->devices.n, n_rows,
                                 set->a, err);
}

static void digest_set(struct training_set *set)
{
    const struct dataset *rows = &set->architectures;
    const struct digest_part parts[] = {
        {rows->genes, rows->n_rows * rows->space->n_genes * sizeof *rows->genes},
        {set->a,      rows->n_rows * sizeof *set->a                            },
    };

    digest_hex(parts, 2, set->sha256);
}

enum err training_set_load(const struct data_tree *tree, const struct space *space,
                           const struct names *devices, struct training_set *out, struct error *err)
{
    struct training_set set = {0};
    struct latencies latencies = {0};
    enum err rc = data_load_architectures(tree, space, &set.architectures, err);

    if (rc == ERR_OK) {
        rc = find_devices(tree, space, devices, &set, &latencies, err);
    }
    if (rc == ERR_OK) {
        rc = load_latencies(tree, &set, &latencies, err);
    }
    if (rc == ERR_OK) {
        rc = fill_parameter(tree, &latencies, &set, err);
    }
    mem_free(latencies.values);
    mem_free(latencies.factors);
    if (rc != ERR_OK) {
        training_set_close(&set);
        return rc;
    }
    digest_set(&set);
    *out = set;
    return ERR_OK;
}

/* ---- a library alone --------------------------------------------------------------------------- */

/* How many rows of a device are used where there may be rows_max of all. */
static size_t count_used(const struct device_library *library, size_t d, size_t rows_max)
{
    const size_t most = rows_max / library->n > 0 ? rows_max / library->n : 1;

    return library->n_rows <= rows_max || library->rows[d].n <= most ? library->rows[d].n : most;
}

static enum err alloc_rows(const struct space *space, size_t n, struct training_set *set,
                           struct error *err)
{
    set->architectures = (struct dataset){
        .space = space,
        .n_rows = n,
        .genes = mem_calloc(n, space->n_genes * sizeof *set->architectures.genes),
    };
    set->a = mem_calloc(n, sizeof *set->a);
    return set->architectures.genes != NULL && set->a != NULL
               ? ERR_OK
               : error_set(err, ERR_NOMEM, "no memory for %zu measurements", n);
}

/* The log of A of an architecture whose latency is that of the level. */
static double level_of_a(const struct calibration_prior *prior)
{
    double levels[LIBRARY_MAX_DEVICES];
    double log_ms;
    double sd;

    if (calibration_prior_level(prior, 1.0, &log_ms, &sd)) {
        return log_ms;
    }
    memcpy(levels, prior->level, prior->n_devices * sizeof *levels);
    return stats_median(levels, prior->n_devices);
}

static enum err fill_of_library(const struct device_library *library,
                                const struct calibration_prior *prior, size_t rows_max,
                                struct training_set *set, struct error *err)
{
    const size_t n_genes = prior->space->n_genes;
    const double level = level_of_a(prior);
    size_t at = 0;
    enum err rc = ERR_OK;

    for (size_t d = 0; rc == ERR_OK && d < library->n; d++) {
        const struct measured_rows *rows = &library->rows[d];
        const size_t n = count_used(library, d, rows_max);
        const double to_a = exp(level - prior->level[d]);
        for (size_t i = 0; i < n; i++, at++) {
            const size_t row = i * rows->n / n;
            memcpy(set->architectures.genes + at * n_genes, rows->genes + row * n_genes,
                   n_genes * sizeof *rows->genes);
            set->a[at] = rows->latency_ms[row] * to_a;
        }
        rc = names_add(&set->devices, library->names.items[d], err);
    }
    return rc;
}

enum err training_set_of_library(const struct device_library *library, const struct space *space,
                                 size_t rows_max, struct training_set *out, struct error *err)
{
    struct calibration_prior *prior = NULL;
    struct training_set set = {.source = TRAINING_OF_LIBRARY};
    size_t n = 0;
    enum err rc = calibration_prior_fit(space, library->devices, library->n, NULL, &prior, err);

    for (size_t d = 0; d < library->n; d++) {
        n += count_used(library, d, rows_max);
    }
    rc = rc != ERR_OK ? rc : alloc_rows(space, n, &set, err);
    rc = rc != ERR_OK ? rc : fill_of_library(library, prior, rows_max, &set, err);
    calibration_prior_destroy(prior);
    if (rc != ERR_OK) {
        training_set_close(&set);
        return rc;
    }
    (void)snprintf(set.reason, sizeof set.reason,
                   "there is nothing to train on but the library: what its %zu devices measured, "
                   "one after the other, each brought to one level",
                   library->n);
    digest_set(&set);
    *out = set;
    return ERR_OK;
}

enum err training_check_unseen(const struct names *train_devices, const struct names *test_devices,
                               struct error *err)
{
    for (size_t t = 0; t < test_devices->n; t++) {
        char tested[DEVICE_NAME_BYTES];
        for (size_t d = 0; d < train_devices->n; d++) {
            char trained[DEVICE_NAME_BYTES];
            if (device_name_fold(test_devices->items[t], tested) &&
                device_name_fold(train_devices->items[d], trained) &&
                strcmp(tested, trained) == 0) {
                return error_set(
                    err, ERR_INVALID,
                    "%s is both a training device and a test device; a device that was "
                    "trained on is not unseen",
                    test_devices->items[t]);
            }
        }
    }
    return ERR_OK;
}

void training_set_close(struct training_set *set)
{
    dataset_close(&set->architectures);
    mem_free(set->a);
    names_close(&set->devices);
    memset(set, 0, sizeof *set);
}

#include "core/calibration_prior.h"

#include <math.h>
#include <string.h>

#include "core/belief.h"
#include "core/matrix.h"
#include "core/mem.h"
#include "core/predictor.h"
#include "core/residual.h"
#include "core/robust_fit.h"
#include "core/space_nasbench201.h"
#include "core/stats.h"

/* A device of hundreds of measurements is let go where they lead. */
#define FUNCTION_FREEDOM 4.0 /* times what other devices may differ by */
#define FUNCTION_LEVEL   1.0
#define LONE_LEVEL_SD    1.0 /* where one device alone has a data sheet */
#define ROOT_MIN         0.05

/* What is learned is within these, and what is loaded has to be. */
#define LEVEL_MAX       100.0 /* of the log of milliseconds: no device is as fast or slow */
#define COEFFICIENT_MAX 1e3

static const struct robust_options function_options = {
    .noise_scale = 0.05,
    .noise_rows = 2.0,
    .noise_min = 0.001,
    .n_updates = 12,
    .n_soft_updates = 6,
};

void calibration_prior_destroy(struct calibration_prior *prior)
{
    if (prior != NULL) {
        mem_free((void *)prior->functions);
        mem_free(prior);
    }
}

/* All numbers stand in one block, which `functions` begins. While it is made, its maker may write.
 */
struct draft {
    struct calibration_prior *prior;
    double *functions, *level, *hardware;
};

static bool draft_create(struct draft *draft, const struct space *space, size_t n_devices,
                         size_t n_coefficients)
{
    struct calibration_prior *prior = mem_calloc(1, sizeof *prior);
    double *block = mem_calloc(n_devices, (n_coefficients + 1 + HARDWARE_N_FIELDS) * sizeof *block);

    if (prior == NULL || block == NULL) {
        mem_free(prior);
        mem_free(block);
        return false;
    }
    *draft = (struct draft){
        .prior = prior,
        .functions = block,
        .level = block + n_devices * n_coefficients,
        .hardware = block + n_devices * (n_coefficients + 1),
    };
    *prior = (struct calibration_prior){
        .space = space,
        .n_devices = n_devices,
        .n_coefficients = n_coefficients,
        .functions = draft->functions,
        .level = draft->level,
        .hardware = draft->hardware,
    };
    return true;
}

const struct calibration_prior *calibration_prior_shipped(const struct space *space)
{
    return space == &space_nasbench201 ? &nasbench201_calibration_prior : NULL;
}

/* ---- learning -------------------------------------------------------------------------------- */

static enum err check_device(const struct library_device *device, struct error *err)
{
    if (device->n == 0 || device->n > LIBRARY_MAX_ROWS) {
        return error_set(err, ERR_INVALID, "%s: a device has 1 to %zu measurements, not %zu",
                         device->name, LIBRARY_MAX_ROWS, device->n);
    }
    for (size_t i = 0; i < device->n; i++) {
        if (!(device->latency_ms[i] > 0.0 && isfinite(device->latency_ms[i]))) {
            return error_set(err, ERR_INVALID, "%s: measurement %zu: latency_ms is %g",
                             device->name, i + 1, device->latency_ms[i]);
        }
    }
    return device->hardware != NULL ? hardware_validate(device->hardware, NULL, err) : ERR_OK;
}

static size_t list_groups(const struct space_residuals *residuals, struct robust_group *groups)
{
    groups[0] = (struct robust_group){1, FUNCTION_LEVEL * FUNCTION_LEVEL, INFINITY};
    for (size_t g = 0; g < residuals->n_groups; g++) {
        double sd = FUNCTION_FREEDOM * residuals->groups[g].other_kind;
        groups[g + 1] = (struct robust_group){residuals->groups[g].size,
                                              sd * sd / (double)residuals->groups[g].size, 1.0};
    }
    return 1 + residuals->n_groups;
}

/* Fills phi and target, of fit->n rows evenly taken; returns the middle root, which the target is
 * in units of. */
static double fill_rows(struct robust_fit *fit, const struct residual_basis *basis,
                        const struct library_device *device)
{
    double unit;

    for (size_t i = 0; i < fit->n; i++) {
        const size_t at = i * device->n / fit->n;
        double x[RESIDUAL_MAX_WIDTH];
        residual_describe(basis, device->genes + at * basis->space->n_genes, x);
        fit->phi[i * fit->p] = 1.0;
        for (size_t j = 0; j < basis->p; j++) {
            fit->phi[i * fit->p + 1 + j] =
                (x[RESIDUAL_FIRST + j] - basis->mean[j]) * basis->inverse[j];
        }
        fit->target[i] = sqrt(device->latency_ms[at]);
        fit->scratch[i] = fit->target[i];
    }
    unit = stats_median(fit->scratch, fit->n);
    for (size_t i = 0; i < fit->n; i++) {
        fit->target[i] = fit->target[i] / unit - 1.0;
    }
    return unit;
}

/* Latencies may be any positive numbers, but a file of what came of some could not be loaded. */
static enum err check_learned(double level, const double *coefficients, size_t n, struct error *err)
{
    bool is_within = fabs(level) <= LEVEL_MAX; /* not of NaN */

    for (size_t j = 0; j < n; j++) {
        is_within = is_within && fabs(coefficients[j]) <= COEFFICIENT_MAX;
    }
    return is_within ? ERR_OK
                     : error_set(err, ERR_NUMERIC,
                                 "the latencies are beyond those that can be learned from, %g ms "
                                 "in the middle",
                                 exp(level));
}

/* Fits the function of one device: its coefficients, of mean 1, and its level. */
static enum err learn_device(const struct residual_basis *basis,
                             const struct library_device *device, double *coefficients,
                             double *level, struct error *err)
{
    const size_t n = device->n < LIBRARY_USED_ROWS ? device->n : LIBRARY_USED_ROWS;
    struct robust_group groups[ROBUST_FIT_MAX_GROUPS];
    struct robust_fit fit;
    enum err rc =
        robust_fit_init_smaller(&fit, n, groups, list_groups(&basis->residuals, groups), err);
    double unit;
    double mean;

    if (rc != ERR_OK) {
        goto done;
    }
    unit = fill_rows(&fit, basis, device);
    rc = robust_fit_run(&fit, &function_options, NULL, err);
    if (rc != ERR_OK) {
        goto done;
    }
    mean = 1.0 + fit.root[0] * fit.solution[0];
    if (!(mean > ROOT_MIN && isfinite(mean))) {
        rc = error_set(err, ERR_NUMERIC, "the latencies do not tell a level");
        goto done;
    }
    coefficients[0] = 1.0;
    for (size_t j = 1; j < fit.p; j++) {
        coefficients[j] = fit.root[j] * fit.solution[j] / mean;
    }
    *level = 2.0 * log(unit * mean);
    rc = check_learned(*level, coefficients, fit.p, err);
done:
    robust_fit_close(&fit);
    return rc;
}

static enum err learn_all(const struct draft *draft, const struct residual_basis *basis,
                          const struct library_device *devices, const struct fit_hooks *hooks,
                          struct error *err)
{
    const struct calibration_prior *prior = draft->prior;
    enum err rc = ERR_OK;

    for (size_t d = 0; rc == ERR_OK && d < prior->n_devices; d++) {
        const struct fit_progress progress = {
            .stage = "library",
            .percent = 100.0 * (double)d / (double)prior->n_devices,
            .loss = NAN,
        };
        rc = fit_tell(hooks, &progress, err);
        if (rc != ERR_OK) {
            return rc;
        }
        rc = learn_device(basis, &devices[d], draft->functions + d * prior->n_coefficients,
                          &draft->level[d], err);
        if (rc != ERR_OK) {
            (void)error_wrap(err, "%s", devices[d].name);
        }
        if (devices[d].hardware != NULL) {
            hardware_to_vector(devices[d].hardware, draft->hardware + d * HARDWARE_N_FIELDS);
        }
    }
    return rc;
}

enum err calibration_prior_fit(const struct space *space, const struct library_device *devices,
                               size_t n_devices, const struct fit_hooks *hooks,
                               struct calibration_prior **out, struct error *err)
{
    struct residual_basis basis;
    struct draft draft;
    enum err rc = ERR_OK;

    if (n_devices == 0 || n_devices > LIBRARY_MAX_DEVICES) {
        return error_set(err, ERR_LIMIT, "a library has 1 to %d devices, not %zu",
                         LIBRARY_MAX_DEVICES, n_devices);
    }
    for (size_t d = 0; rc == ERR_OK && d < n_devices; d++) {
        rc = check_device(&devices[d], err);
    }
    if (rc == ERR_OK) {
        rc = residual_basis_init(&basis, space, err);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    if (!draft_create(&draft, space, n_devices, 1 + basis.p)) {
        return error_set(err, ERR_NOMEM, "no memory for a library of %zu devices", n_devices);
    }
    rc = learn_all(&draft, &basis, devices, hooks, err);
    if (rc != ERR_OK) {
        calibration_prior_destroy(draft.prior);
        return rc;
    }
    *out = draft.prior;
    return ERR_OK;
}

/* ---- tensors --------------------------------------------------------------------------------- */

static const char functions_name[] = "library_functions";
static const char level_name[] = "library_level";
static const char hardware_name[] = "library_hardware";

static struct tensor describe(const char *name, size_t rows, size_t columns, const double *data)
{
    struct tensor t = {
        .type = TENSOR_F64,
        .n_dims = columns > 0 ? 2 : 1,
        .shape = {rows, columns},
        .data = data,
    };

    memcpy(t.name, name, strlen(name) + 1);
    return t;
}

size_t calibration_prior_tensors(const struct calibration_prior *prior, struct tensor *tensors)
{
    tensors[0] =
        describe(functions_name, prior->n_devices, prior->n_coefficients, prior->functions);
    tensors[1] = describe(level_name, prior->n_devices, 0, prior->level);
    tensors[2] = describe(hardware_name, prior->n_devices, HARDWARE_N_FIELDS, prior->hardware);
    return CALIBRATION_PRIOR_N_TENSORS;
}

bool calibration_prior_is_among(const struct tensor *tensors, size_t n_tensors)
{
    return tensor_find(tensors, n_tensors, functions_name) != NULL;
}

static bool has_hardware(const struct calibration_prior *prior, size_t device)
{
    return prior->hardware[device * HARDWARE_N_FIELDS] > 0.0;
}

/* Beyond being finite, which reading them has checked. */
static enum err check_loaded(const struct calibration_prior *prior, struct error *err)
{
    for (size_t d = 0; d < prior->n_devices; d++) {
        struct hardware hw = hardware_from_vector(prior->hardware + d * HARDWARE_N_FIELDS);
        if (has_hardware(prior, d) && hardware_validate(&hw, NULL, err) != ERR_OK) {
            return error_wrap(err, "the tensor \"%s\", row %zu", hardware_name, d + 1);
        }
        if (fabs(prior->level[d]) > LEVEL_MAX) {
            return error_set(err, ERR_INVALID, "the tensor \"%s\" holds %g, which is no level",
                             level_name, prior->level[d]);
        }
        for (size_t j = 0; j < prior->n_coefficients; j++) {
            double c = prior->functions[d * prior->n_coefficients + j];
            if (fabs(c) > COEFFICIENT_MAX || (j == 0 && fabs(c - 1.0) > 1e-6)) {
                return error_set(err, ERR_INVALID, "the tensor \"%s\" holds %g in row %zu",
                                 functions_name, c, d + 1);
            }
        }
    }
    return ERR_OK;
}

static enum err read_tensors(const struct draft *draft, const struct tensor *tensors,
                             size_t n_tensors, struct error *err)
{
    const size_t n = draft->prior->n_devices;
    enum err rc = tensor_read(tensors, n_tensors, functions_name, n * draft->prior->n_coefficients,
                              draft->functions, err);

    if (rc == ERR_OK) {
        rc = tensor_read(tensors, n_tensors, level_name, n, draft->level, err);
    }
    if (rc == ERR_OK) {
        rc = tensor_read(tensors, n_tensors, hardware_name, n * HARDWARE_N_FIELDS, draft->hardware,
                         err);
    }
    return rc == ERR_OK ? check_loaded(draft->prior, err) : rc;
}

enum err calibration_prior_load(const struct space *space, const struct tensor *tensors,
                                size_t n_tensors, struct calibration_prior **out, struct error *err)
{
    const struct tensor *functions = tensor_find(tensors, n_tensors, functions_name);
    const size_t n_coefficients = 1 + residual_count(space);
    struct draft draft;
    enum err rc;

    if (functions == NULL) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" is missing", functions_name);
    }
    if (functions->n_dims != 2 || functions->shape[0] == 0 ||
        functions->shape[0] > LIBRARY_MAX_DEVICES || functions->shape[1] != n_coefficients) {
        return error_set(err, ERR_INVALID, "the tensor \"%s\" must be of 1 to %d rows of %zu",
                         functions_name, LIBRARY_MAX_DEVICES, n_coefficients);
    }
    if (!draft_create(&draft, space, functions->shape[0], n_coefficients)) {
        return error_set(err, ERR_NOMEM, "no memory for a library of devices");
    }
    rc = read_tensors(&draft, tensors, n_tensors, err);
    if (rc != ERR_OK) {
        calibration_prior_destroy(draft.prior);
        return rc;
    }
    *out = draft.prior;
    return ERR_OK;
}

/* ---- the next device ------------------------------------------------------------------------- */

bool calibration_prior_level(const struct calibration_prior *prior, double factor, double *log_ms,
                             double *sd)
{
    double sum = 0.0;
    double squares = 0.0;
    double n = 0.0;

    for (size_t d = 0; d < prior->n_devices; d++) {
        if (has_hardware(prior, d)) {
            struct hardware hw = hardware_from_vector(prior->hardware + d * HARDWARE_N_FIELDS);
            double level = prior->level[d] - log(hardware_factor(&hw));
            sum += level;
            squares += level * level;
            n += 1.0;
        }
    }
    if (!(n > 0.0)) {
        return false;
    }
    *log_ms = log(factor) + sum / n;
    *sd = n > 1.0 ? sqrt(fmax(squares - sum * sum / n, 0.0) / (n - 1.0)) : LONE_LEVEL_SD;
    return true;
}

/* The level of a device without a sheet, and how far off that may be. */
static void middle_level(const struct calibration_prior *prior, double *log_ms, double *sd)
{
    double levels[LIBRARY_MAX_DEVICES];

    memcpy(levels, prior->level, prior->n_devices * sizeof *levels);
    *log_ms = stats_median(levels, prior->n_devices);
    *sd = LONE_LEVEL_SD;
}

/* Median and spread of one architecture under a belief that nothing has revised. */
static void predict_unrevised(const struct belief *belief, const double *x, size_t q, double log_ms,
                              double level_sd, double *latency_ms, double *spread)
{
    double mean = 0.0;
    double variance = 2.0 * belief->noise_scale * belief->noise_scale;
    size_t column = 1; /* the first is the level's */

    for (size_t j = 0; j < q; j++) {
        mean += belief->mean[j] * x[j];
    }
    mean = fmax(mean, ROOT_MIN);
    for (size_t g = 1; g < belief->n_groups; g++) {
        for (size_t end = column + belief->groups[g].size; column < end; column++) {
            double value = 0.0;
            for (size_t j = 0; j < q; j++) {
                value += belief->columns[column * q + j] * x[j];
            }
            variance += belief->groups[g].variance * value * value;
        }
    }
    *latency_ms = exp(log_ms + 2.0 * log(mean));
    if (spread != NULL) {
        *spread = sqrt(level_sd * level_sd + 4.0 * variance / (mean * mean));
    }
}

enum err calibration_prior_predict(const struct calibration_prior *prior,
                                   const struct hardware *hardware, const int32_t *genes, size_t n,
                                   double *latency_ms, double *spread, struct error *err)
{
    struct residual_basis basis;
    struct belief belief = {0};
    struct belief_ground ground = {.numbers = &belief_numbers, .basis = &basis, .prior = prior};
    double log_ms;
    double level_sd;
    enum err rc = residual_basis_init(&basis, prior->space, err);

    if (rc == ERR_OK) {
        rc = belief_init(&belief, BELIEF_LIBRARY, &ground, err);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    if (hardware == NULL ||
        !calibration_prior_level(prior, hardware_factor(hardware), &log_ms, &level_sd)) {
        middle_level(prior, &log_ms, &level_sd);
    }
    for (size_t i = 0; i < n; i++) {
        double x[RESIDUAL_MAX_WIDTH];
        residual_describe(&basis, genes + i * prior->space->n_genes, x);
        predict_unrevised(&belief, x, basis.q, log_ms, level_sd, &latency_ms[i],
                          spread != NULL ? &spread[i] : NULL);
    }
    belief_close(&belief);
    return ERR_OK;
}

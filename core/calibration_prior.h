/* What a library of measured devices teaches about the next device.
 *
 * The root of each device's latency is a function of the architecture, linear in the residual
 * features of the space (core/residual.h), fitted to however many architectures were measured of
 * it. A new device is believed to be their mean, times a level of its own, plus deviations such as
 * they show among each other: the functions less their mean are the latent factors, with standard
 * normal weights, and each feature may differ a little besides. Where a device has a data sheet,
 * the levels of those that have one tell its level: log level = log k + what it is on average, k of
 * core/device.h. (That the sheet tells more, how the operators compare, was tried and did not
 * help.) Roots, since latencies add up while their scatter grows with them: between the two, the
 * scatter of roots is about the same everywhere, and a latency near zero is no outlier.
 *
 * A prior is immutable once made, so any number of threads may use one; who made it ends it with
 * calibration_prior_destroy(). */
#ifndef DGLD_CORE_CALIBRATION_PRIOR_H
#define DGLD_CORE_CALIBRATION_PRIOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/device.h"
#include "core/error.h"
#include "core/space.h"
#include "core/tensor.h"

enum { LIBRARY_MAX_DEVICES = 64, CALIBRATION_PRIOR_N_TENSORS = 3 };

struct fit_hooks;

/* Of more than LIBRARY_USED_ROWS measurements of a device, evenly chosen ones are used. */
#define LIBRARY_MAX_ROWS  ((size_t)200000)
#define LIBRARY_USED_ROWS ((size_t)20000)

/* One device's measurements, borrowed. */
struct library_device {
    const char *name;                /* for messages */
    const int32_t *genes;            /* (n, n_genes), valid */
    const double *latency_ms;        /* (n), positive */
    size_t n;                        /* 1 to LIBRARY_MAX_ROWS */
    const struct hardware *hardware; /* NULL where there is no data sheet */
};

struct calibration_prior {
    const struct space *space;
    size_t n_devices;
    size_t n_coefficients;   /* 1 + residual features */
    const double *functions; /* (n_devices, n_coefficients): the root of latency over its mean, on 1
                                and the standardised features */
    const double *level;     /* (n_devices): log ms of the squared mean */
    const double *hardware; /* (n_devices, HARDWARE_N_FIELDS); zeros where there is no data sheet */
};

/* The one that ships with the space, learned from the public measurements of nine devices (phones,
 * servers, GPUs; 32x32 input) for nasbench201, or NULL. It is static: not to be destroyed. */
const struct calibration_prior *calibration_prior_shipped(const struct space *space);

/* Learns from 1 to LIBRARY_MAX_DEVICES devices, in the order given. `hooks` (may be NULL) are told
 * of the stage "library". ERR_INVALID names a device whose numbers are not acceptable; ERR_LIMIT;
 * ERR_NOMEM; ERR_NUMERIC; ERR_CANCELED. */
enum err calibration_prior_fit(const struct space *space, const struct library_device *devices,
                               size_t n_devices, const struct fit_hooks *hooks,
                               struct calibration_prior **out, struct error *err);

/* Describes the prior: `tensors` has room for CALIBRATION_PRIOR_N_TENSORS, named "library_...",
 * their data stay the prior's. Returns how many there are. */
size_t calibration_prior_tensors(const struct calibration_prior *prior, struct tensor *tensors);

/* Whether there are tensors of a prior among these. */
bool calibration_prior_is_among(const struct tensor *tensors, size_t n_tensors);

/* Makes a prior of such tensors (others may be among them), trusting nothing. ERR_INVALID names the
 * tensor; ERR_NOMEM. */
enum err calibration_prior_load(const struct space *space, const struct tensor *tensors,
                                size_t n_tensors, struct calibration_prior **out,
                                struct error *err);

/* Log ms at which a device of that factor k is believed to be, and its standard deviation, from the
 * devices with a data sheet. False where there are none. */
bool calibration_prior_level(const struct calibration_prior *prior, double factor, double *log_ms,
                             double *sd);

/* What the library says of a device of which nothing was measured: latency_ms (n), and spread (n;
 * may be NULL) as calibration_predict() gives it. Without `hardware` (NULL) the level is that of
 * the middle device, and the order of architectures is what it is good for. ERR_NOMEM. */
enum err calibration_prior_predict(const struct calibration_prior *prior,
                                   const struct hardware *hardware, const int32_t *genes, size_t n,
                                   double *latency_ms, double *spread, struct error *err);

/* Accepts NULL. */
void calibration_prior_destroy(struct calibration_prior *prior);

#endif

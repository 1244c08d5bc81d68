/* A device as the method knows it: four numbers of its data sheet, and the factor they give.
 *
 *     latency_ms(architecture, device) = A(architecture) * k(device)
 *     k = (1/D + 1/(sqrt(C) * M)) / F
 *
 * Source: Wang and Zhang, "DGL: Device Generic Latency Model for Neural Architecture Search on
 * Mobile Devices", IEEE TMC 23(2), 2024. Plain data; all functions are pure and thread-safe. */
#ifndef DGLD_CORE_DEVICE_H
#define DGLD_CORE_DEVICE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

enum { HARDWARE_N_FIELDS = 4 };

/* In the order F, D, C, M of the data files and of the vectors that clients post. */
struct hardware {
    double frequency_ghz;        /* F, clock of the big core */
    double dispatch_width;       /* D, micro-operations a cycle */
    double cache_mb;             /* C, last-level cache */
    double memory_bandwidth_gbs; /* M, GB/s */
};

/* Name, letter, unit, and the bounds a sane data sheet keeps: wide, there to catch a value in the
 * wrong unit or place and to keep every product finite. */
struct hardware_field {
    const char *name;
    const char *letter;
    const char *unit;
    double min, max;
};

extern const struct hardware_field hardware_fields[HARDWARE_N_FIELDS];

/* Between the struct and the vector F, D, C, M. */
struct hardware hardware_from_vector(const double vector[HARDWARE_N_FIELDS]);
void hardware_to_vector(const struct hardware *hw, double vector[HARDWARE_N_FIELDS]);

/* ERR_INVALID names the field, its value and what is allowed; `bad_field` (may be NULL) receives
 * its position. */
enum err hardware_validate(const struct hardware *hw, size_t *bad_field, struct error *err);

/* k(device) of the formula above, in ms per unit of A. `hw` is valid. */
double hardware_factor(const struct hardware *hw);

/* Device names become file names, so they are 1 to 100 bytes of UTF-8 without control characters
 * and without , / \ : * ? " < > |, do not begin with a dot or a blank and do not end with a blank.
 */
enum { DEVICE_NAME_BYTES = 101 };
enum err device_name_validate(const char *name, struct error *err);

/* Folds a name for comparison: letters to lower case, the digits 0 and 1 to the letters o and l
 * that they are mistaken for, runs of blanks to one. Returns false where `folded` would not fit. */
bool device_name_fold(const char *name, char folded[DEVICE_NAME_BYTES]);

#endif

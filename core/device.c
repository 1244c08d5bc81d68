#include "core/device.h"

#include <ctype.h>
#include <math.h>
#include <string.h>

#include "core/utf8.h"

const struct hardware_field hardware_fields[HARDWARE_N_FIELDS] = {
    {"frequency_ghz",        "F", "GHz",                      0.001,  1000.0   },
    {"dispatch_width",       "D", "micro-operations a cycle", 0.01,   100000.0 },
    {"cache_mb",             "C", "MB",                       0.0001, 1000000.0},
    {"memory_bandwidth_gbs", "M", "GB/s",                     0.001,  1000000.0},
};

struct hardware hardware_from_vector(const double vector[HARDWARE_N_FIELDS])
{
    struct hardware hw = {
        .frequency_ghz = vector[0],
        .dispatch_width = vector[1],
        .cache_mb = vector[2],
        .memory_bandwidth_gbs = vector[3],
    };
    return hw;
}

void hardware_to_vector(const struct hardware *hw, double vector[HARDWARE_N_FIELDS])
{
    vector[0] = hw->frequency_ghz;
    vector[1] = hw->dispatch_width;
    vector[2] = hw->cache_mb;
    vector[3] = hw->memory_bandwidth_gbs;
}

enum err hardware_validate(const struct hardware *hw, size_t *bad_field, struct error *err)
{
    double vector[HARDWARE_N_FIELDS];

    hardware_to_vector(hw, vector);
    for (size_t i = 0; i < HARDWARE_N_FIELDS; i++) {
        const struct hardware_field *field = &hardware_fields[i];
        if (!(vector[i] >= field->min && vector[i] <= field->max)) { /* catches NaN too */
            if (bad_field != NULL) {
                *bad_field = i;
            }
            return error_set(err, ERR_INVALID,
                             "%s (%s, in %s) must be a positive number from %g to %g, not %.12g",
                             field->name, field->letter, field->unit, field->min, field->max,
                             vector[i]);
        }
    }
    return ERR_OK;
}

double hardware_factor(const struct hardware *hw)
{
    double memory = sqrt(hw->cache_mb) * hw->memory_bandwidth_gbs;

    return (1.0 / hw->dispatch_width + 1.0 / memory) / hw->frequency_ghz;
}

enum err device_name_validate(const char *name, struct error *err)
{
    size_t length = strlen(name);
    size_t step;

    if (length == 0) {
        return error_set(err, ERR_INVALID, "a device name must not be empty");
    }
    if (length >= DEVICE_NAME_BYTES) {
        return error_set(err, ERR_INVALID, "a device name has at most %d bytes, not %zu",
                         DEVICE_NAME_BYTES - 1, length);
    }
    if (name[0] == '.' || name[0] == ' ' || name[length - 1] == ' ') {
        return error_set(
            err, ERR_INVALID,
            "a device name must not begin with a dot or a blank, nor end with a blank");
    }
    for (size_t i = 0; i < length; i += step) {
        unsigned char c = (unsigned char)name[i];
        unsigned char next = (unsigned char)name[i + 1];
        step = utf8_length(name + i);
        if (step == 0) {
            return error_set(err, ERR_INVALID, "a device name must be UTF-8; byte %zu is not",
                             i + 1);
        }
        bool is_control = c < 0x20 || c == 0x7f || (step == 2 && c == 0xc2 && next < 0xa0);
        if (is_control || strchr("/\\:*?\"<>|,", c) != NULL) {
            return error_set(err, ERR_INVALID,
                             "a device name must not hold control characters nor any of / \\ : * ? "
                             "\" < > | and comma; byte %zu is one",
                             i + 1);
        }
    }
    return ERR_OK;
}

bool device_name_fold(const char *name, char folded[DEVICE_NAME_BYTES])
{
    size_t n = 0;

    for (const char *c = name; *c != '\0'; c++) {
        char out = (char)tolower((unsigned char)*c);
        if (out == ' ' && (n == 0 || folded[n - 1] == ' ')) {
            continue;
        }
        out = out == '0' ? 'o' : out;
        out = out == '1' ? 'l' : out;
        if (n + 1 >= DEVICE_NAME_BYTES) {
            return false;
        }
        folded[n++] = out;
    }
    folded[n] = '\0';
    return true;
}

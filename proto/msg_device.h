/* Device sheets and hardware vectors as JSON. Thread-safe. */
#ifndef DGLD_PROTO_MSG_DEVICE_H
#define DGLD_PROTO_MSG_DEVICE_H

#include <stdbool.h>

#include "core/device.h"
#include "proto/json_spec.h"

enum { SHEET_TEXT_BYTES = 200 };

struct device_sheet {
    char name[DEVICE_NAME_BYTES];
    struct hardware hardware;
    bool is_estimated; /* some number of the data sheet is less than sure */
    char chip[SHEET_TEXT_BYTES];
    char source[SHEET_TEXT_BYTES];
};

/* Reads a hardware vector [F, D, C, M] or the object {"frequency_ghz", "dispatch_width",
 * "cache_mb", "memory_bandwidth_gbs"} and validates it; what is wrong goes to the reader's errors.
 */
void msg_hardware_read(const struct json_reader *reader, struct json_view value,
                       struct hardware *out);

/* Parses the bytes of a sheet file: {"hardware": {...}, "chip", "estimated", "source"}. `name` is
 * left as it is. */
enum err msg_device_decode(const char *bytes, size_t size, struct device_sheet *out,
                           struct error *err);

#endif

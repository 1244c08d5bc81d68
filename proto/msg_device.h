/* Devices, their sheets and hardware vectors as JSON. Thread-safe. */
#ifndef DGLD_PROTO_MSG_DEVICE_H
#define DGLD_PROTO_MSG_DEVICE_H

#include <stdbool.h>

#include "core/device.h"
#include "core/space.h"
#include "proto/json_spec.h"
#include "proto/text.h"

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

/* Appends the object, on one line; reading it gives the same hardware. */
void msg_hardware_put(const struct hardware *hardware, struct text *out);

/* Reads a device's name into `out`, which stays as it is where it is none: false, and added to the
 * reader's errors. */
bool msg_device_name_read(const struct json_reader *reader, struct json_view value,
                          char out[DEVICE_NAME_BYTES]);

/* Reads the body of a PUT, {"hardware", "chip", "estimated", "source"}, where chip and source may be
 * null. ERR_SYNTAX where it is no JSON; ERR_INVALID where it is not acceptable: then `errors` says
 * why by pointer. The caller ends `errors` in every case; `name` is left as it is. */
enum err msg_device_decode_body(const char *bytes, size_t size, struct device_sheet *out,
                                struct field_errors *errors, struct error *err);

/* Parses the bytes of a sheet file: {"hardware": {...}, "chip", "estimated", "source"}. `name` is
 * left as it is. */
enum err msg_device_decode(const char *bytes, size_t size, struct device_sheet *out,
                           struct error *err);

/* Appends the bytes of a sheet file, laid out for people. */
void msg_device_encode_sheet(const struct device_sheet *sheet, struct text *out);

/* What is known of a device for one search space. */
struct device_in_space {
    const struct space *space;
    bool has_hardware; /* somebody says what the device is ... */
    struct hardware hardware;
    size_t n_measurements;
    bool has_latency;             /* there is a file of latencies row for row with net.txt */
    char error[ERROR_TEXT_BYTES]; /* what is wrong with a file of that space; "" */
};

/* A device as clients see it. */
struct device_view {
    char name[DEVICE_NAME_BYTES];
    bool has_sheet;
    struct device_sheet sheet;    /* zeroes where there is none */
    char error[ERROR_TEXT_BYTES]; /* what is wrong with the sheet; "" */
    struct device_in_space spaces[SPACES_MAX];
    size_t n_spaces;
};

/* Appends {"name", "hardware", "chip", "estimated", "source", "search_spaces": {"nasbench201":
 * {"hardware", "n_measurements", "has_latency"}, ...}}; a member "error" is there where something
 * is wrong. */
void msg_device_encode(const struct device_view *device, struct text *out);

#endif

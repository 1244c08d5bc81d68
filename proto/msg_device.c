#include "proto/msg_device.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* Reads a JSON number into vector[field]. */
static void read_number(const struct json_reader *reader, struct json_view value, size_t field,
                        double *vector)
{
    if (json_view_kind(value) != JSON_KIND_NUMBER) {
        field_errors_add(reader->errors, 0, reader->pointer, "%s must be a number, not %s",
                         hardware_fields[field].name, json_view_kind_name(value));
        return;
    }
    vector[field] = json_view_number(value);
}

static void read_frequency(const struct json_reader *reader, struct json_view value)
{
    read_number(reader, value, 0, reader->out);
}

static void read_dispatch_width(const struct json_reader *reader, struct json_view value)
{
    read_number(reader, value, 1, reader->out);
}

static void read_cache(const struct json_reader *reader, struct json_view value)
{
    read_number(reader, value, 2, reader->out);
}

static void read_memory_bandwidth(const struct json_reader *reader, struct json_view value)
{
    read_number(reader, value, 3, reader->out);
}

/* In the order of hardware_fields. */
static const struct json_field object_fields[HARDWARE_N_FIELDS] = {
    {"frequency_ghz",        true, read_frequency       },
    {"dispatch_width",       true, read_dispatch_width  },
    {"cache_mb",             true, read_cache           },
    {"memory_bandwidth_gbs", true, read_memory_bandwidth},
};

static void read_vector(const struct json_reader *reader, struct json_view value, double *vector)
{
    struct json_view item;
    size_t n = json_view_count(value);
    size_t i = 0;

    if (n != HARDWARE_N_FIELDS) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "hardware must be 4 numbers (frequency in GHz, dispatch width, cache in "
                         "MB, memory bandwidth in GB/s), not %zu",
                         n);
        return;
    }
    for (bool more = json_view_first(value, &item); more; more = json_view_next(&item), i++) {
        char at[JSON_POINTER_BYTES];
        struct json_reader inner = {vector, reader->errors, at};
        if (json_view_kind(item) == JSON_KIND_NUMBER) {
            vector[i] = json_view_number(item);
            continue; /* the pointer is written only where there is something to point at */
        }
        (void)snprintf(at, sizeof at, "%.*s/%zu", JSON_POINTER_BYTES - 24, reader->pointer, i);
        read_number(&inner, item, i, vector);
    }
}

void msg_hardware_read(const struct json_reader *reader, struct json_view value,
                       struct hardware *out)
{
    double vector[HARDWARE_N_FIELDS] = {0};
    size_t n_errors = reader->errors->n;
    size_t bad_field = 0;
    struct error why;

    if (json_view_kind(value) == JSON_KIND_ARRAY) {
        read_vector(reader, value, vector);
    } else if (json_view_kind(value) == JSON_KIND_OBJECT) {
        json_spec_read(value, object_fields, HARDWARE_N_FIELDS, reader->pointer, vector,
                       reader->errors);
    } else {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "hardware must be a vector of 4 numbers or an object, not %s",
                         json_view_kind_name(value));
    }
    if (reader->errors->n > n_errors || reader->errors->has_failed) {
        return;
    }
    *out = hardware_from_vector(vector);
    if (hardware_validate(out, &bad_field, &why) != ERR_OK) {
        char at[JSON_POINTER_BYTES];
        char place[24];
        (void)snprintf(place, sizeof place, "%zu", bad_field);
        (void)snprintf(at, sizeof at, "%.*s/%s", JSON_POINTER_BYTES - 32, reader->pointer,
                       json_view_kind(value) == JSON_KIND_ARRAY ? place
                                                                : hardware_fields[bad_field].name);
        field_errors_add(reader->errors, 0, at, "%s", why.text);
    }
}

bool msg_device_name_read(const struct json_reader *reader, struct json_view value,
                          char out[DEVICE_NAME_BYTES])
{
    struct error why;
    char name[512]; /* room for more than any name */

    if (json_view_kind(value) != JSON_KIND_STRING) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a device's name, not %s",
                         json_view_kind_name(value));
        return false;
    }
    if (!json_view_text(value, name, sizeof name) && strlen(name) < DEVICE_NAME_BYTES) {
        name[0] = '\x01'; /* a NUL cut it: as little welcome as any control character */
    }
    if (device_name_validate(name, &why) != ERR_OK) {
        field_errors_add(reader->errors, 0, reader->pointer, "%s", why.text);
        return false;
    }
    (void)snprintf(out, DEVICE_NAME_BYTES, "%.*s", DEVICE_NAME_BYTES - 1, name);
    return true;
}

static void read_hardware(const struct json_reader *reader, struct json_view value)
{
    struct device_sheet *sheet = reader->out;

    msg_hardware_read(reader, value, &sheet->hardware);
}

/* null is what a reply says of a text that is not there, so that a reply can be sent back. */
static void read_text(const struct json_reader *reader, struct json_view value, char *out)
{
    if (!json_view_is_null(value) && !json_view_text(value, out, SHEET_TEXT_BYTES)) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a string of at most %d bytes, or null", SHEET_TEXT_BYTES - 1);
    }
}

static void read_chip(const struct json_reader *reader, struct json_view value)
{
    read_text(reader, value, ((struct device_sheet *)reader->out)->chip);
}

static void read_source(const struct json_reader *reader, struct json_view value)
{
    read_text(reader, value, ((struct device_sheet *)reader->out)->source);
}

static void read_estimated(const struct json_reader *reader, struct json_view value)
{
    struct device_sheet *sheet = reader->out;

    if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be true or false, not %s",
                         json_view_kind_name(value));
        return;
    }
    sheet->is_estimated = json_view_is_true(value);
}

static const struct json_field sheet_fields[] = {
    {"hardware",  true,  read_hardware },
    {"chip",      false, read_chip     },
    {"estimated", false, read_estimated},
    {"source",    false, read_source   },
};

enum err msg_device_decode_body(const char *bytes, size_t size, struct device_sheet *out,
                                struct field_errors *errors, struct error *err)
{
    struct device_sheet sheet = {0};
    struct json_view root;
    enum err rc = json_view_check(bytes, size, &root, err);

    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, sheet_fields, sizeof sheet_fields / sizeof *sheet_fields, "", &sheet,
                   errors);
    rc = field_errors_conclude(errors, "the device sheet", err);
    if (rc != ERR_OK) {
        return rc;
    }
    memcpy(sheet.name, out->name, sizeof sheet.name);
    *out = sheet;
    return ERR_OK;
}

enum err msg_device_decode(const char *bytes, size_t size, struct device_sheet *out,
                           struct error *err)
{
    struct field_errors errors = {0};
    enum err rc = msg_device_decode_body(bytes, size, out, &errors, err);

    field_errors_close(&errors);
    return rc;
}

/* `open`, `between` and `close` are the blanks and braces around and between the four members. */
static void put_hardware(const struct hardware *hardware, const char *open, const char *between,
                         const char *colon, const char *close, struct text *out)
{
    double vector[HARDWARE_N_FIELDS];

    hardware_to_vector(hardware, vector);
    for (size_t i = 0; i < HARDWARE_N_FIELDS; i++) {
        text_puts(out, i > 0 ? between : open);
        text_puts(out, "\"");
        text_puts(out, hardware_fields[i].name);
        text_puts(out, colon);
        text_put_json_number_exact(out, vector[i]);
    }
    text_puts(out, close);
}

void msg_hardware_put(const struct hardware *hardware, struct text *out)
{
    put_hardware(hardware, "{", ",", "\":", "}", out);
}

void msg_device_encode_sheet(const struct device_sheet *sheet, struct text *out)
{
    text_puts(out, "{\n  \"hardware\": ");
    put_hardware(&sheet->hardware, "{\n    ", ",\n    ", "\": ", "\n  }", out);
    if (sheet->chip[0] != '\0') {
        text_puts(out, ",\n  \"chip\": ");
        text_put_json_string(out, sheet->chip);
    }
    text_puts(out, sheet->is_estimated ? ",\n  \"estimated\": true" : ",\n  \"estimated\": false");
    if (sheet->source[0] != '\0') {
        text_puts(out, ",\n  \"source\": ");
        text_put_json_string(out, sheet->source);
    }
    text_puts(out, "\n}\n");
}

static void put_hardware_member(bool has_hardware, const struct hardware *hardware,
                                struct text *out)
{
    text_puts(out, "\"hardware\":");
    if (has_hardware) {
        msg_hardware_put(hardware, out);
    } else {
        text_puts(out, "null");
    }
}

/* ,"name":"value"; null for "". */
static void put_text_member(const char *name, const char *value, struct text *out)
{
    text_puts(out, ",\"");
    text_puts(out, name);
    text_puts(out, "\":");
    if (value[0] != '\0') {
        text_put_json_string(out, value);
    } else {
        text_puts(out, "null");
    }
}

static void put_error(const char *error, struct text *out)
{
    if (error[0] != '\0') {
        put_text_member("error", error, out);
    }
}

static void put_in_space(const struct device_in_space *in, struct text *out)
{
    text_printf(out, "\"%s\":{", in->space->name);
    put_hardware_member(in->has_hardware, &in->hardware, out);
    text_printf(out, ",\"n_measurements\":%zu,\"has_latency\":%s", in->n_measurements,
                in->has_latency ? "true" : "false");
    put_error(in->error, out);
    text_puts(out, "}");
}

void msg_device_encode(const struct device_view *device, struct text *out)
{
    text_puts(out, "{\"name\":");
    text_put_json_string(out, device->name);
    text_puts(out, ",");
    put_hardware_member(device->has_sheet, &device->sheet.hardware, out);
    put_text_member("chip", device->sheet.chip, out);
    text_puts(out, device->sheet.is_estimated ? ",\"estimated\":true" : ",\"estimated\":false");
    put_text_member("source", device->sheet.source, out);
    text_puts(out, ",\"search_spaces\":{");
    for (size_t i = 0; i < device->n_spaces; i++) {
        text_puts(out, i > 0 ? "," : "");
        put_in_space(&device->spaces[i], out);
    }
    text_puts(out, "}");
    put_error(device->error, out);
    text_puts(out, "}");
}

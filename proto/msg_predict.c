#include "proto/msg_predict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/msg_device.h"
#include "proto/msg_measurements.h"
#include "proto/msg_model.h"
#include "proto/msg_space.h"

/* A call that is wrong throughout is not answered with a sentence for every architecture. */
enum { MOST_REPORTED = 64 };

/* What on_error: null lets pass is listed, so it has a bound too: a body of nothing but bad
 * architectures would take a hundred times its size. */
enum { MOST_SKIPPED = 65536 };

/* Room for any name or notation that can be right, and for enough of a wrong one to tell it by. */
enum { TEXT_BYTES = 512 };

static void report_memory(const struct json_reader *reader)
{
    reader->errors->has_failed = true;
}

static void read_search_space(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;

    request->space = msg_space_read(reader, value);
}

static void read_on_error(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;
    char text[TEXT_BYTES];

    if (!json_view_text(value, text, sizeof text) ||
        (strcmp(text, "null") != 0 && strcmp(text, "refuse") != 0)) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be \"null\" (answer null for a bad architecture) or \"refuse\" "
                         "(refuse the call, the default)");
        return;
    }
    request->is_null_on_error = strcmp(text, "null") == 0;
}

/* Makes room for the targets; false where another field gave some already. */
static bool begin_targets(const struct json_reader *reader, size_t n)
{
    struct predict_request *request = reader->out;

    if (request->targets != NULL) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "give only one of hardware, device and devices");
        return false;
    }
    request->targets = mem_calloc(n, sizeof *request->targets);
    if (request->targets == NULL) {
        report_memory(reader);
        return false;
    }
    request->n_targets = n;
    return true;
}

static void read_target_name(const struct json_reader *reader, struct json_view value,
                             struct predict_target *target)
{
    if (msg_device_name_read(reader, value, target->name)) {
        target->is_named = true;
        (void)snprintf(target->pointer, sizeof target->pointer, "%s", reader->pointer);
    }
}

static void read_hardware(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;

    if (begin_targets(reader, 1)) {
        msg_hardware_read(reader, value, &request->targets[0].hardware);
    }
}

static void read_device(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;

    if (begin_targets(reader, 1)) {
        read_target_name(reader, value, &request->targets[0]);
    }
}

static void read_devices(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;
    bool is_list = json_view_kind(value) == JSON_KIND_ARRAY;
    size_t n = is_list ? json_view_count(value) : 0;
    struct json_view item;
    size_t i = 0;

    if (n == 0 || n > PREDICT_MAX_DEVICES) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of 1 to %d device names or hardware vectors",
                         PREDICT_MAX_DEVICES);
        return;
    }
    if (!begin_targets(reader, n)) {
        return;
    }
    request->has_device_list = true;
    for (bool more = json_view_first(value, &item); more && reader->errors->n < MOST_REPORTED;
         more = json_view_next(&item), i++) {
        char at[JSON_POINTER_BYTES];
        struct json_reader inner = {request, reader->errors, at};
        (void)snprintf(at, sizeof at, "/devices/%zu", i);
        if (json_view_kind(item) == JSON_KIND_STRING) {
            read_target_name(&inner, item, &request->targets[i]);
        } else {
            msg_hardware_read(&inner, item, &request->targets[i].hardware);
        }
    }
}

/* Reads one architecture given as a list of genes. */
static enum err read_genes(const struct space *space, struct json_view list, int32_t *genes,
                           size_t *bad_gene, struct error *err)
{
    size_t n = json_view_count(list);
    struct json_view item;
    size_t i = 0;

    if (n != space->n_genes) {
        return error_set(err, ERR_INVALID, "an architecture of %s has %zu genes, not %zu",
                         space->name, space->n_genes, n);
    }
    for (bool more = json_view_first(list, &item); more; more = json_view_next(&item), i++) {
        int64_t gene;
        if (!json_view_whole(item, &gene)) {
            bool is_number = json_view_kind(item) == JSON_KIND_NUMBER;
            *bad_gene = i;
            return error_set(err, ERR_INVALID, "gene %zu of %s must be a whole number, not %s",
                             i + 1, space->name,
                             is_number ? "a fraction" : json_view_kind_name(item));
        }
        gene = gene > INT32_MAX ? INT32_MAX : gene;
        genes[i] = (int32_t)(gene < INT32_MIN ? INT32_MIN : gene);
    }
    return space_validate(space, genes, bad_gene, err);
}

/* Reads one that is written as text. A string has no places inside that a pointer could name. */
static enum err read_notation(const struct space *space, struct json_view value, int32_t *genes,
                              struct error *err)
{
    char decoded[TEXT_BYTES];
    const char *text = decoded;
    size_t length;

    if (!json_view_string_plain(value, &text, &length)) {
        length = json_view_string(value, decoded, sizeof decoded);
        if (length >= sizeof decoded) {
            return error_set(err, ERR_INVALID, "an architecture's text has at most %d bytes",
                             TEXT_BYTES - 1);
        }
    }
    return space_parse(space, text, length, genes, NULL, err);
}

enum err msg_architecture_read(const struct space *space, struct json_view value, int32_t *genes,
                               size_t *bad_gene, struct error *err)
{
    *bad_gene = SIZE_MAX;
    switch (json_view_kind(value)) {
    case JSON_KIND_ARRAY:
        return read_genes(space, value, genes, bad_gene, err);
    case JSON_KIND_STRING:
        return read_notation(space, value, genes, err);
    default:
        return error_set(err, ERR_INVALID,
                         "an architecture must be a list of genes or a string, not %s",
                         json_view_kind_name(value));
    }
}

void msg_architectures_read(const struct json_reader *reader, struct json_view value,
                            const struct space *space, size_t n_max, int32_t **genes, size_t *n)
{
    bool is_list = json_view_kind(value) == JSON_KIND_ARRAY;
    size_t n_given = is_list ? json_view_count(value) : 0;
    struct json_view item;
    size_t i = 0;

    if (n_given == 0 || n_given > n_max) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of 1 to %zu architectures", n_max);
        return;
    }
    if (space == NULL) {
        return; /* reported already */
    }
    *genes = mem_calloc(n_given, space->n_genes * sizeof **genes);
    if (*genes == NULL) {
        report_memory(reader);
        return;
    }
    *n = n_given;
    for (bool more = json_view_first(value, &item); more && reader->errors->n < MOST_REPORTED;
         more = json_view_next(&item), i++) {
        char at[JSON_POINTER_BYTES];
        struct error why;
        size_t bad_gene;
        if (msg_architecture_read(space, item, *genes + i * space->n_genes, &bad_gene, &why) ==
            ERR_OK) {
            continue;
        }
        (void)snprintf(at, sizeof at, bad_gene != SIZE_MAX ? "%s/%zu/%zu" : "%s/%zu",
                       reader->pointer, i, bad_gene);
        field_errors_add(reader->errors, i, at, "%s", why.text);
    }
}

/* Notes a bad architecture and puts a valid one in its place, so that later steps need no
 * exception. */
static void note_bad(struct predict_request *request, const struct json_reader *reader, size_t i,
                     size_t bad_gene, const struct error *why)
{
    char at[JSON_POINTER_BYTES];

    if (bad_gene != SIZE_MAX) {
        (void)snprintf(at, sizeof at, "/architectures/%zu/%zu", i, bad_gene);
    } else {
        (void)snprintf(at, sizeof at, "/architectures/%zu", i);
    }
    field_errors_add(request->is_null_on_error ? &request->skipped : reader->errors, i, at, "%s",
                     why->text);
    request->is_bad[i] = true;
    for (size_t g = 0; g < request->space->n_genes; g++) {
        request->genes[i * request->space->n_genes + g] = request->space->genes[g].first;
    }
}

/* Makes room for n architectures; false, and reported, where they are too many. */
static bool begin_architectures(const struct json_reader *reader, size_t n)
{
    struct predict_request *request = reader->out;
    size_t n_targets = request->n_targets > 0 ? request->n_targets : 1;

    if (n > request->values_max / n_targets) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "%zu architectures on %zu devices are more latencies than batch_max lets "
                         "one call ask for, which is %zu here",
                         n, n_targets, request->values_max);
        request->is_over_limit = true;
        return false;
    }
    if (request->space == NULL) {
        return false; /* reported already; without a space nothing more can be said */
    }
    request->genes = mem_calloc(n, request->space->n_genes * sizeof *request->genes);
    request->is_bad = mem_calloc(n, sizeof *request->is_bad);
    if (request->genes == NULL || request->is_bad == NULL) {
        report_memory(reader);
        return false;
    }
    request->n_architectures = n;
    return true;
}

static void read_architectures(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;
    struct json_view item;
    size_t i = 0;

    if (json_view_kind(value) != JSON_KIND_ARRAY) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of architectures, not %s", json_view_kind_name(value));
        return;
    }
    if (!begin_architectures(reader, json_view_count(value))) {
        return;
    }
    for (bool more = json_view_first(value, &item); more && reader->errors->n < MOST_REPORTED;
         more = json_view_next(&item), i++) {
        struct error why;
        size_t bad_gene;
        if (msg_architecture_read(request->space, item,
                                  request->genes + i * request->space->n_genes, &bad_gene,
                                  &why) == ERR_OK) {
            continue;
        }
        if (request->skipped.n == MOST_SKIPPED) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "more than %d architectures are bad; so many are not passed over",
                             MOST_SKIPPED);
            return;
        }
        note_bad(request, reader, i, bad_gene, &why);
    }
}

static void read_model(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;

    (void)msg_model_name_read(reader, value, request->model);
}

static void read_measurements(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;
    struct measurements rows;

    if (request->has_device_list) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "measurements are of one device: give hardware or device, not devices");
        return;
    }
    if (request->space != NULL &&
        msg_measurements_read(reader, value, request->space, PREDICT_MAX_MEASUREMENTS, &rows)) {
        request->measured_genes = rows.genes; /* handed over */
        request->measured_ms = rows.latency_ms;
        request->n_measured = rows.n_rows;
    }
}

/* Measurements alone may tell what the device is. */
static void complete_targets(struct predict_request *request)
{
    const struct json_reader reader = {request, &request->errors, "/measurements"};

    if (request->targets == NULL && request->n_measured > 0 && begin_targets(&reader, 1)) {
        request->targets[0].lacks_hardware = true;
    }
}

static void read_calibrate(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;

    if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be true (measurements count, the default) or false, not %s",
                         json_view_kind_name(value));
        return;
    }
    request->is_uncalibrated = !json_view_is_true(value);
    if (request->is_uncalibrated && request->n_measured > 0) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must not be false beside measurements, which are there to be used");
    }
}

static void read_interval(const struct json_reader *reader, struct json_view value)
{
    struct predict_request *request = reader->out;
    const bool is_number = json_view_kind(value) == JSON_KIND_NUMBER;
    const double level = is_number ? json_view_number(value) : 0.0;

    if (level > 0.0 && level < 1.0) {
        request->level = level;
    } else if (is_number) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be above 0 and below 1, 0.9 say, not %.12g", level);
    } else {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a number above 0 and below 1, 0.9 say, not %s",
                         json_view_kind_name(value));
    }
}

static const struct json_field fields[] = {
    {"search_space",  true,  read_search_space },
    {"on_error",      false, read_on_error     },
    {"hardware",      false, read_hardware     },
    {"device",        false, read_device       },
    {"devices",       false, read_devices      },
    {"model",         false, read_model        },
    {"measurements",  false, read_measurements },
    {"calibrate",     false, read_calibrate    },
    {"interval",      false, read_interval     },
    {"architectures", true,  read_architectures},
};

enum err msg_predict_decode(const char *bytes, size_t size, size_t values_max,
                            struct predict_request *out, struct error *err)
{
    struct json_view root;
    enum err rc;

    memset(out, 0, sizeof *out);
    out->values_max = values_max;
    rc = json_view_check(bytes, size, &root, err);
    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, fields, sizeof fields / sizeof *fields, "", out, &out->errors);
    complete_targets(out);
    if (out->targets == NULL && out->errors.n == 0 && !out->errors.has_failed) {
        field_errors_add(&out->errors, 0, "",
                         "say for which device: hardware (four numbers), device (a name) or "
                         "devices; or give measurements of it");
    }
    if (out->errors.has_failed || out->skipped.has_failed) {
        return error_set(err, ERR_NOMEM, "no memory to read the request");
    }
    if (out->errors.n > 0) {
        return error_set(err, out->is_over_limit ? ERR_LIMIT : ERR_INVALID, "%s%s%s",
                         out->errors.items[0].pointer, out->errors.items[0].pointer[0] ? ": " : "",
                         out->errors.items[0].detail);
    }
    return ERR_OK;
}

void msg_predict_close(struct predict_request *request)
{
    field_errors_close(&request->errors);
    field_errors_close(&request->skipped);
    mem_free(request->targets);
    mem_free(request->genes);
    mem_free(request->is_bad);
    mem_free(request->measured_genes);
    mem_free(request->measured_ms);
    memset(request, 0, sizeof *request);
}

/* The latencies of target `t`. */
static void put_latencies(const struct predict_reply *reply, size_t t, struct text *out)
{
    const struct predict_request *request = reply->request;
    const size_t n = request->n_architectures;
    const double *made = reply->latency_ms != NULL ? reply->latency_ms + t * n : NULL;
    const double factor = reply->factors[t];

    text_put(out, "[", 1);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            text_put(out, ",", 1);
        }
        text_put_json_number(
            out, request->is_bad[i] ? NAN : (made != NULL ? made[i] : reply->rate[i] * factor));
    }
    text_put(out, "]", 1);
}

static void put_bounds(const struct predict_reply *reply, size_t t, struct text *out)
{
    const struct predict_request *request = reply->request;
    const size_t n = request->n_architectures;

    text_put(out, "[", 1);
    for (size_t i = 0; i < n; i++) {
        if (i > 0) {
            text_put(out, ",", 1);
        }
        if (request->is_bad[i]) {
            text_puts(out, "null");
            continue;
        }
        text_put(out, "[", 1);
        text_put_json_number(out, reply->low_ms[t * n + i]);
        text_put(out, ",", 1);
        text_put_json_number(out, reply->high_ms[t * n + i]);
        text_put(out, "]", 1);
    }
    text_put(out, "]", 1);
}

static void put_calibration(const struct predict_reply *reply, size_t t, struct text *out)
{
    const struct predict_calibration *calibration = &reply->calibrations[t];

    if (calibration->n_measurements == 0) {
        text_puts(out, "null");
    } else {
        text_printf(out, "{\"n_measurements\":%zu,\"n_distrusted\":%zu}",
                    calibration->n_measurements, calibration->n_distrusted);
    }
}

/* A member with what `put` writes of each target; with "devices" a list of those. */
static void put_by_target(const struct predict_reply *reply, const char *name,
                          void (*put)(const struct predict_reply *, size_t, struct text *),
                          struct text *out)
{
    const struct predict_request *request = reply->request;

    text_puts(out, ",\"");
    text_puts(out, name);
    text_puts(out, "\":");
    if (request->has_device_list) {
        text_put(out, "[", 1);
    }
    for (size_t t = 0; t < request->n_targets; t++) {
        if (t > 0) {
            text_put(out, ",", 1);
        }
        put(reply, t, out);
    }
    if (request->has_device_list) {
        text_put(out, "]", 1);
    }
}

static void put_skipped(const struct field_errors *skipped, struct text *out)
{
    text_puts(out, ",\"errors\":[");
    for (size_t i = 0; i < skipped->n; i++) {
        text_printf(out, "%s{\"index\":%zu,\"pointer\":\"%s\",\"detail\":", i > 0 ? "," : "",
                    skipped->items[i].index, skipped->items[i].pointer);
        text_put_json_string(out, skipped->items[i].detail);
        text_put(out, "}", 1);
    }
    text_put(out, "]", 1);
}

void msg_predict_encode(const struct predict_reply *reply, struct text *out)
{
    const struct predict_request *request = reply->request;
    const struct space *space = request->space;

    text_reserve(out, 256 + 12 * request->n_architectures * request->n_targets);
    /* piece by piece: printf would take longer than the prediction */
    text_puts(out, "{\"search_space\":\"");
    text_puts(out, space->name);
    text_puts(out, "\",\"model\":{\"version\":\"");
    text_puts(out, reply->version);
    text_puts(out, "\",\"predictor\":\"");
    text_puts(out, reply->predictor);
    text_puts(out, "\"}");
    msg_model_put_all_conditions(space, reply->info, out);
    put_by_target(reply, "latency_ms", put_latencies, out);
    if (reply->low_ms != NULL) {
        put_by_target(reply, "interval_ms", put_bounds, out);
    }
    if (reply->calibrations != NULL) {
        put_by_target(reply, "calibration", put_calibration, out);
    }
    if (request->is_null_on_error) {
        put_skipped(&request->skipped, out);
    }
    text_put(out, "}\n", 2);
}

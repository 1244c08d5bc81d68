#include "proto/msg_predict.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include <jansson.h>

#include "core/mem.h"
#include "proto/json_spec.h"
#include "proto/msg_device.h"

/* A call that is wrong throughout is not answered with a sentence for every architecture. */
enum { MOST_REPORTED = 64 };

/* What on_error: null lets pass is listed, so it has a bound too: a body of nothing but bad architectures
 * would take a hundred times its size. */
enum { MOST_SKIPPED = 65536 };

static void report_memory(const struct json_reader *reader)
{
    reader->errors->has_failed = true;
}

static void read_search_space(const struct json_reader *reader, const json_t *value)
{
    struct predict_request *request = reader->out;

    if (!json_is_string(value)) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a string, not %s",
                         json_spec_kind(value));
        return;
    }
    request->space = space_find(json_string_value(value));
    if (request->space == NULL) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "there is no search space \"%.64s\"; there are %s",
                         json_string_value(value), space_names());
    }
}

static void read_on_error(const struct json_reader *reader, const json_t *value)
{
    struct predict_request *request = reader->out;
    const char *text = json_string_value(value);

    if (text == NULL || (strcmp(text, "null") != 0 && strcmp(text, "refuse") != 0)) {
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

static void read_target_name(const struct json_reader *reader, const json_t *value,
                             struct predict_target *target)
{
    struct error why;

    if (!json_is_string(value)) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a device's name, not %s",
                         json_spec_kind(value));
        return;
    }
    if (device_name_validate(json_string_value(value), &why) != ERR_OK) {
        field_errors_add(reader->errors, 0, reader->pointer, "%s", why.text);
        return;
    }
    target->is_named = true;
    (void)snprintf(target->name, sizeof target->name, "%s", json_string_value(value));
    (void)snprintf(target->pointer, sizeof target->pointer, "%s", reader->pointer);
}

static void read_hardware(const struct json_reader *reader, const json_t *value)
{
    struct predict_request *request = reader->out;

    if (begin_targets(reader, 1)) {
        msg_hardware_read(reader, value, &request->targets[0].hardware);
    }
}

static void read_device(const struct json_reader *reader, const json_t *value)
{
    struct predict_request *request = reader->out;

    if (begin_targets(reader, 1)) {
        read_target_name(reader, value, &request->targets[0]);
    }
}

static void read_devices(const struct json_reader *reader, const json_t *value)
{
    struct predict_request *request = reader->out;
    size_t n = json_array_size(value);

    if (!json_is_array(value) || n == 0 || n > PREDICT_MAX_DEVICES) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of 1 to %d device names or hardware vectors",
                         PREDICT_MAX_DEVICES);
        return;
    }
    if (!begin_targets(reader, n)) {
        return;
    }
    request->has_device_list = true;
    for (size_t i = 0; i < n && reader->errors->n < MOST_REPORTED; i++) {
        const json_t *item = json_array_get(value, i);
        char at[JSON_POINTER_BYTES];
        struct json_reader inner = {request, reader->errors, at};
        (void)snprintf(at, sizeof at, "/devices/%zu", i);
        if (json_is_string(item)) {
            read_target_name(&inner, item, &request->targets[i]);
        } else {
            msg_hardware_read(&inner, item, &request->targets[i].hardware);
        }
    }
}

/* Reads one architecture given as a list of genes. */
static enum err read_genes(const struct space *space, const json_t *list, int32_t *genes,
                           size_t *bad_gene, struct error *err)
{
    *bad_gene = SIZE_MAX;
    if (json_array_size(list) != space->n_genes) {
        return error_set(err, ERR_INVALID, "an architecture of %s has %zu genes, not %zu",
                         space->name, space->n_genes, json_array_size(list));
    }
    for (size_t i = 0; i < space->n_genes; i++) {
        const json_t *value = json_array_get(list, i);
        json_int_t gene;
        if (!json_spec_integer(value, &gene)) {
            *bad_gene = i;
            return error_set(err, ERR_INVALID, "gene %zu of %s must be a whole number, not %s",
                             i + 1, space->name,
                             json_is_real(value) ? "a fraction" : json_spec_kind(value));
        }
        gene = gene > INT32_MAX ? INT32_MAX : gene;
        genes[i] = (int32_t)(gene < INT32_MIN ? INT32_MIN : gene);
    }
    return space_validate(space, genes, bad_gene, err);
}

static enum err read_architecture(const struct space *space, const json_t *value, int32_t *genes,
                                  size_t *bad_gene, struct error *err)
{
    *bad_gene = SIZE_MAX;
    if (json_is_array(value)) {
        return read_genes(space, value, genes, bad_gene, err);
    }
    if (json_is_string(value)) {
        enum err rc = space_parse(space, json_string_value(value), json_string_length(value), genes,
                                  bad_gene, err);
        *bad_gene = SIZE_MAX; /* a string has no places inside that a pointer could name */
        return rc;
    }
    return error_set(err, ERR_INVALID,
                     "an architecture must be a list of genes or a string, not %s",
                     json_spec_kind(value));
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

static void read_architectures(const struct json_reader *reader, const json_t *value)
{
    struct predict_request *request = reader->out;
    const struct space *space = request->space;
    size_t n = json_array_size(value);
    size_t n_targets = request->n_targets > 0 ? request->n_targets : 1;

    if (!json_is_array(value)) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of architectures, not %s", json_spec_kind(value));
        return;
    }
    if (n > PREDICT_MAX_VALUES / n_targets) {
        field_errors_add(
            reader->errors, 0, reader->pointer,
            "%zu architectures on %zu devices are more than the %zu latencies that one "
            "call may ask for",
            n, n_targets, PREDICT_MAX_VALUES);
        return;
    }
    if (space == NULL) {
        return; /* reported already; without a space nothing more can be said */
    }
    request->genes = mem_calloc(n, space->n_genes * sizeof *request->genes);
    request->is_bad = mem_calloc(n, sizeof *request->is_bad);
    if (request->genes == NULL || request->is_bad == NULL) {
        report_memory(reader);
        return;
    }
    request->n_architectures = n;
    for (size_t i = 0; i < n && reader->errors->n < MOST_REPORTED; i++) {
        struct error why;
        size_t bad_gene;
        if (request->skipped.n > MOST_SKIPPED) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "more than %d architectures are bad; so many are not passed over",
                             MOST_SKIPPED);
            return;
        }
        if (read_architecture(space, json_array_get(value, i), request->genes + i * space->n_genes,
                              &bad_gene, &why) != ERR_OK) {
            note_bad(request, reader, i, bad_gene, &why);
        }
    }
}

static void read_model(const struct json_reader *reader, const json_t *value)
{
    struct predict_request *request = reader->out;
    struct error why;

    if (!json_is_string(value)) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a model's name, not %s",
                         json_spec_kind(value));
    } else if (model_name_validate(json_string_value(value), &why) != ERR_OK) {
        field_errors_add(reader->errors, 0, reader->pointer, "%s", why.text);
    } else {
        (void)snprintf(request->model, sizeof request->model, "%s", json_string_value(value));
    }
}

static const struct json_field fields[] = {
    {"search_space",  true,  read_search_space },
    {"on_error",      false, read_on_error     },
    {"hardware",      false, read_hardware     },
    {"device",        false, read_device       },
    {"devices",       false, read_devices      },
    {"model",         false, read_model        },
    {"architectures", true,  read_architectures},
};

enum err msg_predict_decode(const char *bytes, size_t size, struct predict_request *out,
                            struct error *err)
{
    json_t *root;
    enum err rc;

    memset(out, 0, sizeof *out);
    rc = json_spec_load(bytes, size, &root, err);
    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, fields, sizeof fields / sizeof *fields, "", out, &out->errors);
    if (out->targets == NULL && out->errors.n == 0) {
        field_errors_add(
            &out->errors, 0, "",
            "say for which device: hardware (four numbers), device (a name) or devices");
    }
    json_decref(root);
    if (out->errors.has_failed || out->skipped.has_failed) {
        return error_set(err, ERR_NOMEM, "no memory to read the request");
    }
    if (out->errors.n > 0) {
        return error_set(err, ERR_INVALID, "%s%s%s", out->errors.items[0].pointer,
                         out->errors.items[0].pointer[0] ? ": " : "", out->errors.items[0].detail);
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
    memset(request, 0, sizeof *request);
}

static void put_row(const struct predict_reply *reply, double factor, struct text *out)
{
    const struct predict_request *request = reply->request;

    text_put(out, "[", 1);
    for (size_t i = 0; i < request->n_architectures; i++) {
        if (i > 0) {
            text_put(out, ",", 1);
        }
        text_put_json_number(out, request->is_bad[i] ? NAN : reply->parameter[i] * factor);
    }
    text_put(out, "]", 1);
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
    text_puts(out, "\"},\"conditions\":{\"input\":\"");
    text_puts(out, space->input);
    text_puts(out, "\",\"batch\":");
    text_put_json_number(out, space->batch);
    text_puts(out, "},\"latency_ms\":");
    if (request->has_device_list) {
        text_put(out, "[", 1);
    }
    for (size_t t = 0; t < request->n_targets; t++) {
        if (t > 0) {
            text_put(out, ",", 1);
        }
        put_row(reply, reply->factors[t], out);
    }
    if (request->has_device_list) {
        text_put(out, "]", 1);
    }
    if (request->is_null_on_error) {
        put_skipped(&request->skipped, out);
    }
    text_put(out, "}\n", 2);
}

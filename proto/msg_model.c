#include "proto/msg_model.h"

#include <inttypes.h>
#include <string.h>

#include "proto/json_spec.h"
#include "proto/timestamp.h"

static void put_string(struct text *out, const char *name, const char *value)
{
    text_printf(out, ",\"%s\":", name);
    text_put_json_string(out, value);
}

static void put_list(struct text *out, const char *name, char *const *items, size_t n)
{
    text_printf(out, ",\"%s\":[", name);
    for (size_t i = 0; i < n; i++) {
        text_puts(out, i > 0 ? "," : "");
        text_put_json_string(out, items[i]);
    }
    text_puts(out, "]");
}

void msg_model_put_conditions(const struct model_conditions *own, struct text *out)
{
    const char *separator = "";

    if (own->input[0] == '\0' && own->batch == 0 && own->runtime[0] == '\0') {
        return;
    }
    text_puts(out, ",\"conditions\":{");
    if (own->input[0] != '\0') {
        text_puts(out, "\"input\":");
        text_put_json_string(out, own->input);
        separator = ",";
    }
    if (own->batch > 0) {
        text_printf(out, "%s\"batch\":%d", separator, own->batch);
        separator = ",";
    }
    if (own->runtime[0] != '\0') {
        text_printf(out, "%s\"runtime\":", separator);
        text_put_json_string(out, own->runtime);
    }
    text_puts(out, "}");
}

void msg_model_put_all_conditions(const struct space *space, const struct model_info *info,
                                  struct text *out)
{
    static const struct model_info none;
    const struct conditions_view view = model_conditions_of(space, info != NULL ? info : &none);

    text_puts(out, ",\"conditions\":{\"input\":");
    text_put_json_string(out, view.input);
    text_puts(out, ",\"batch\":");
    text_put_json_number(out, view.batch);
    if (view.runtime != NULL) {
        text_puts(out, ",\"runtime\":");
        text_put_json_string(out, view.runtime);
    }
    text_puts(out, "}");
}

static void put_library(struct text *out, const struct model_library *library)
{
    if (library->n_devices == 0) {
        return;
    }
    text_printf(out, ",\"library\":{\"n_rows\":%zu", library->n_rows);
    put_list(out, "devices", library->devices, library->n_devices);
    text_puts(out, ",\"spearman\":{");
    for (size_t i = 0; i < LIBRARY_N_SIZES; i++) {
        text_printf(out, "%s\"%zu\":", i > 0 ? "," : "", library_sizes[i]);
        text_put_json_number(out, library->spearman[i]);
    }
    text_puts(out, "}}");
}

static void put_info(struct text *out, const struct model_info *info)
{
    put_string(out, "source", info->source);
    text_printf(out, ",\"n_rows\":%zu", info->n_rows);
    put_list(out, "devices", info->devices, info->n_devices);
    put_string(out, "data_sha256", info->data_sha256);
    text_printf(out, ",\"seed\":%" PRIu64, info->seed);
    put_string(out, "validation", info->validation);
    text_puts(out, ",\"r_held_out\":");
    text_put_json_number(out, info->r_held_out);
    msg_model_put_conditions(&info->conditions, out);
    put_library(out, &info->library);
}

static void put_file(struct text *out, const struct model_view *view)
{
    char stamp[TIMESTAMP_BYTES];

    if (!view->has_file) {
        text_puts(out, ",\"size_bytes\":null,\"modified_at\":null");
        return;
    }
    timestamp_format(view->modified, stamp);
    text_printf(out, ",\"size_bytes\":%" PRIu64 ",\"modified_at\":\"%s\"", view->size_bytes, stamp);
}

void msg_model_encode(const struct model_view *view, struct text *out)
{
    if (view == NULL) {
        text_puts(out, "null");
        return;
    }
    text_puts(out, "{\"version\":");
    if (view->info != NULL) {
        text_put_json_string(out, view->info->version);
        put_string(out, "predictor", view->predictor);
    } else {
        text_puts(out, "null,\"predictor\":null");
    }
    put_list(out, "names", view->names, view->n_names);
    text_printf(out, ",\"is_served\":%s", view->is_served ? "true" : "false");
    if (view->info != NULL) {
        put_info(out, view->info);
    } else {
        put_string(out, "error", view->error);
    }
    put_file(out, view);
    text_puts(out, "}");
}

bool msg_model_name_read(const struct json_reader *reader, struct json_view value,
                         char out[MODEL_NAME_BYTES])
{
    char name[MODEL_NAME_BYTES];
    struct error why;

    if (json_view_kind(value) != JSON_KIND_STRING) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a version or the name of a model, not %s",
                         json_view_kind_name(value));
        return false;
    }
    if (!json_view_text(value, name, sizeof name)) {
        name[0] = '\0'; /* too long, or cut by a NUL: no name either way */
    }
    if (model_name_validate(name, &why) != ERR_OK) {
        field_errors_add(reader->errors, 0, reader->pointer, "%s", why.text);
        return false;
    }
    memcpy(out, name, MODEL_NAME_BYTES);
    return true;
}

static void read_version(const struct json_reader *reader, struct json_view value)
{
    struct activate_request *request = reader->out;

    (void)msg_model_name_read(reader, value, request->version);
}

enum err msg_activate_decode(const char *bytes, size_t size, struct activate_request *out,
                             struct field_errors *errors, struct error *err)
{
    static const struct json_field fields[] = {
        {"version", true, read_version}
    };
    struct json_view body;
    enum err rc;

    memset(out, 0, sizeof *out);
    rc = json_view_check(bytes, size, &body, err);
    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(body, fields, sizeof fields / sizeof *fields, "", out, errors);
    return field_errors_conclude(errors, "the request", err);
}

#include "proto/msg_repository.h"

#include <string.h>

#include "proto/json_spec.h"

enum { NAME_BYTES = 64 };

static void read_ready(const struct json_reader *reader, struct json_view value)
{
    bool *only_ready = reader->out;

    if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be true or false, not %s",
                         json_view_kind_name(value));
        return;
    }
    *only_ready = json_view_is_true(value);
}

static void refuse_config(const struct json_reader *reader, struct json_view value)
{
    (void)value;
    field_errors_add(reader->errors, 0, reader->pointer,
                     "a model is loaded with its own configuration; there is no other");
}

static void read_dependents(const struct json_reader *reader, struct json_view value)
{
    if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be true or false, not %s",
                         json_view_kind_name(value));
    }
}

static const struct json_field order_parameters[] = {
    {"config",            false, refuse_config  },
    {"unload_dependents", false, read_dependents},
};

static void read_parameters(const struct json_reader *reader, struct json_view value)
{
    struct json_member member;

    json_spec_read_open(value, order_parameters, sizeof order_parameters / sizeof *order_parameters,
                        reader->pointer, NULL, reader->errors);
    if (json_view_kind(value) != JSON_KIND_OBJECT) {
        return;
    }
    for (bool more = json_view_first_member(value, &member); more;
         more = json_view_next_member(&member)) {
        char name[NAME_BYTES];
        (void)json_view_string(member.name, name, sizeof name);
        if (strncmp(name, "file:", strlen("file:")) == 0) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "\"%s\": files are not taken with the request; put them into the "
                             "result tree",
                             name);
            return;
        }
    }
}

static const struct json_field index_fields[] = {
    {"ready", false, read_ready},
};

static const struct json_field order_fields[] = {
    {"parameters", false, read_parameters},
};

/* Reads a body that may be empty by a table of one field. */
static enum err read_body(const char *bytes, size_t size, const struct json_field *field, void *out,
                          struct error *err)
{
    struct field_errors errors = {0};
    struct json_view root;
    enum err rc;

    if (size == 0) {
        return ERR_OK;
    }
    rc = json_view_check(bytes, size, &root, err);
    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read_open(root, field, 1, "", out, &errors);
    rc = field_errors_conclude(&errors, "the request", err);
    field_errors_close(&errors);
    return rc;
}

enum err msg_repository_index_decode(const char *bytes, size_t size, bool *only_ready,
                                     struct error *err)
{
    *only_ready = false;
    return read_body(bytes, size, index_fields, only_ready, err);
}

enum err msg_repository_order_check(const char *bytes, size_t size, struct error *err)
{
    return read_body(bytes, size, order_fields, NULL, err);
}

void msg_repository_index_encode(const struct repository_entry *entries, size_t n, struct text *out)
{
    text_puts(out, "[");
    for (size_t i = 0; i < n; i++) {
        text_printf(out, "%s{\"name\":\"%s\",", i > 0 ? "," : "", entries[i].name);
        if (entries[i].version != NULL) {
            text_printf(out, "\"version\":\"%s\",\"state\":\"READY\",", entries[i].version);
        } else {
            text_puts(out, "\"state\":\"UNAVAILABLE\",");
        }
        text_puts(out, "\"reason\":");
        text_put_json_string(out, entries[i].reason);
        text_puts(out, "}");
    }
    text_puts(out, "]\n");
}

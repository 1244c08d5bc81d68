#include "proto/msg_accuracy.h"

#include <math.h>
#include <string.h>

#include "core/mem.h"
#include "proto/json_spec.h"
#include "proto/msg_predict.h"

static void read_architectures(const struct json_reader *reader, struct json_view value)
{
    struct accuracy_request *request = reader->out;

    if (json_view_kind(value) == JSON_KIND_ARRAY && json_view_count(value) > request->n_max) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "%zu architectures are more than batch_max lets one call ask for, which "
                         "is %zu here",
                         json_view_count(value), request->n_max);
        request->is_over_limit = true;
        return;
    }
    msg_architectures_read(reader, value, request->space, request->n_max, &request->genes,
                           &request->n);
}

static const struct json_field fields[] = {
    {"architectures", true, read_architectures},
};

enum err msg_accuracy_decode(const char *bytes, size_t size, const struct space *space,
                             size_t n_max, struct accuracy_request *out, struct error *err)
{
    struct json_view root;
    enum err rc;

    *out = (struct accuracy_request){.space = space, .n_max = n_max};
    rc = json_view_check(bytes, size, &root, err);
    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, fields, sizeof fields / sizeof *fields, "", out, &out->errors);
    rc = field_errors_conclude(&out->errors, "the request", err);
    return rc == ERR_INVALID && out->is_over_limit
               ? error_set(err, ERR_LIMIT, "%s: %s", out->errors.items[0].pointer,
                           out->errors.items[0].detail)
               : rc;
}

void msg_accuracy_close(struct accuracy_request *request)
{
    field_errors_close(&request->errors);
    mem_free(request->genes);
    memset(request, 0, sizeof *request);
}

void msg_accuracy_encode(const struct space *space, const char *source, const double *accuracy,
                         size_t n, struct text *out)
{
    text_reserve(out, 1024 + 10 * n);
    text_puts(out, "{\"search_space\":");
    text_put_json_string(out, space->name);
    text_puts(out, ",\"source\":");
    text_puts(out, source);
    text_puts(out, ",\"accuracy\":[");
    for (size_t i = 0; i < n; i++) {
        text_puts(out, i > 0 ? "," : "");
        if (isfinite(accuracy[i])) {
            text_put_json_number(out, accuracy[i]);
        } else {
            text_puts(out, "null");
        }
    }
    text_puts(out, "]}\n");
}

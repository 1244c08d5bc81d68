#include "proto/msg_suggest.h"

#include <string.h>

#include "core/mem.h"
#include "proto/json_spec.h"
#include "proto/msg_model.h"
#include "proto/msg_predict.h"
#include "proto/msg_space.h"

static void read_search_space(const struct json_reader *reader, struct json_view value)
{
    struct suggest_request *request = reader->out;

    request->space = msg_space_read(reader, value);
}

static void read_n(const struct json_reader *reader, struct json_view value)
{
    struct suggest_request *request = reader->out;

    (void)json_read_whole(reader, value, 1, SUGGEST_MAX_N, &request->n);
}

static void read_seed(const struct json_reader *reader, struct json_view value)
{
    struct suggest_request *request = reader->out;

    (void)json_read_whole(reader, value, 0, INT64_MAX, &request->seed);
}

static void read_architectures(const struct json_reader *reader, struct json_view value)
{
    struct suggest_request *request = reader->out;

    msg_architectures_read(reader, value, request->space, SUGGEST_MAX_GIVEN, &request->genes,
                           &request->n_given);
}

static void read_model(const struct json_reader *reader, struct json_view value)
{
    struct suggest_request *request = reader->out;

    (void)msg_model_name_read(reader, value, request->model);
}

static const struct json_field fields[] = {
    {"search_space",  true,  read_search_space },
    {"n",             false, read_n            },
    {"seed",          false, read_seed         },
    {"architectures", false, read_architectures},
    {"model",         false, read_model        },
};

enum err msg_suggest_decode(const char *bytes, size_t size, struct suggest_request *out,
                            struct error *err)
{
    struct json_view root;
    enum err rc;

    *out = (struct suggest_request){.n = SUGGEST_DEFAULT_N};
    rc = json_view_check(bytes, size, &root, err);
    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, fields, sizeof fields / sizeof *fields, "", out, &out->errors);
    return field_errors_conclude(&out->errors, "the request", err);
}

void msg_suggest_close(struct suggest_request *request)
{
    field_errors_close(&request->errors);
    mem_free(request->genes);
    memset(request, 0, sizeof *request);
}

/* A list of the architectures, in the customary notation or in that of measurements. */
static void put_list(const struct suggest_reply *reply, bool is_customary, struct text *out)
{
    const struct space *space = reply->space;

    text_put(out, "[", 1);
    for (size_t i = 0; i < reply->n; i++) {
        const int32_t *genes = reply->genes + i * space->n_genes;
        char text[SPACE_TEXT_BYTES];
        if (is_customary) {
            space_print(space, genes, text);
        } else {
            (void)space_print_genes(space, genes, text);
        }
        text_puts(out, i > 0 ? "," : "");
        text_put_json_string(out, text);
    }
    text_put(out, "]", 1);
}

void msg_suggest_encode_json(const struct suggest_reply *reply, struct text *out)
{
    text_puts(out, "{\"device\":");
    text_put_json_string(out, reply->device);
    text_puts(out, ",\"search_space\":");
    text_put_json_string(out, reply->space->name);
    text_printf(out, ",\"has_hardware\":%s,\"n_measurements\":%zu,\"architectures\":",
                reply->has_hardware ? "true" : "false", reply->n_measurements);
    put_list(reply, false, out);
    text_puts(out, ",\"notations\":");
    put_list(reply, true, out);
    text_puts(out, "}\n");
}

void msg_suggest_encode_csv(const struct suggest_reply *reply, const char *line_end,
                            struct text *out)
{
    text_puts(out, "architecture,latency_ms");
    text_puts(out, line_end);
    for (size_t i = 0; i < reply->n; i++) {
        char text[SPACE_TEXT_BYTES];
        (void)space_print_genes(reply->space, reply->genes + i * reply->space->n_genes, text);
        text_puts(out, text);
        text_put(out, ",", 1);
        text_puts(out, line_end);
    }
}

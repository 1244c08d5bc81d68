#include "proto/msg_infer.h"

#include <stdio.h>
#include <string.h>

#include "core/device.h"
#include "proto/json_spec.h"

enum {
    MOST_REPORTED = 4, /* only the first is told; reading ends after so many */
    NAME_BYTES = 64,
    MAX_DIMS = 2,
    N_HEADER_DIGITS = 18, /* more is no length that a body could have */
};

/* An input as it is read, before it is known which it is. */
struct draft {
    char name[NAME_BYTES];
    enum infer_type type;
    int64_t shape[MAX_DIMS];
    size_t n_dims;
    int64_t binary_size;   /* -1: no binary data */
    struct json_view data; /* NULL: no JSON data */
};

/* What one body is read with. */
struct decoder {
    const struct space *space;
    struct infer_request *request;
    const unsigned char *binary; /* what follows the JSON and is not assigned yet ... */
    size_t n_binary;             /* ... so many bytes */
    size_t n_json;
    bool has_header;
    bool is_output_binary; /* by the request's parameter ... */
    int output_binary;     /* ... and by the output's own: -1 not said */
    bool has_output;
    struct field_errors errors;
};

/* ---- values ---------------------------------------------------------------------------------- */

/* A string that fits `out`; a longer one is cut, which makes it no name that is known. */
static bool read_text(const struct json_reader *reader, struct json_view value, char *out,
                      size_t size)
{
    if (json_view_kind(value) != JSON_KIND_STRING) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a string, not %s",
                         json_view_kind_name(value));
        out[0] = '\0';
        return false;
    }
    (void)json_view_string(value, out, size);
    return true;
}

static bool read_boolean(const struct json_reader *reader, struct json_view value)
{
    if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be true or false, not %s",
                         json_view_kind_name(value));
        return false;
    }
    return json_view_is_true(value);
}

/* Reads the parameters that are known, and checks that the others are such. */
static void read_parameters(const struct json_reader *reader, struct json_view value,
                            const struct json_field *known, size_t n_known)
{
    struct json_member member;

    json_spec_read_open(value, known, n_known, reader->pointer, reader->out, reader->errors);
    if (json_view_kind(value) != JSON_KIND_OBJECT) {
        return;
    }
    for (bool more = json_view_first_member(value, &member);
         more && reader->errors->n < MOST_REPORTED; more = json_view_next_member(&member)) {
        enum json_kind kind = json_view_kind(member.value);
        if (kind != JSON_KIND_STRING && kind != JSON_KIND_NUMBER && kind != JSON_KIND_BOOLEAN) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "a parameter is a string, a number or a boolean, not %s",
                             json_view_kind_name(member.value));
        }
    }
}

static void refuse_shared_memory(const struct json_reader *reader, struct json_view value)
{
    (void)value;
    field_errors_add(reader->errors, 0, reader->pointer, "shared memory is not offered here");
}

/* ---- inputs ---------------------------------------------------------------------------------- */

static void read_input_name(const struct json_reader *reader, struct json_view value)
{
    struct draft *draft = reader->out;

    (void)read_text(reader, value, draft->name, sizeof draft->name);
}

static void read_datatype(const struct json_reader *reader, struct json_view value)
{
    struct draft *draft = reader->out;
    char name[NAME_BYTES];

    if (read_text(reader, value, name, sizeof name)) {
        draft->type = infer_type_find(name);
        if (draft->type == INFER_N_TYPES) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "must be UINT8, INT32 or INT64 for " INFER_ARCHITECTURE
                             ", FP32 or FP64 for " INFER_HARDWARE ", not \"%s\"",
                             name);
        }
    }
}

static void read_shape(const struct json_reader *reader, struct json_view value)
{
    struct draft *draft = reader->out;
    struct json_view item;

    if (json_view_kind(value) != JSON_KIND_ARRAY) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be an array of whole numbers, not %s", json_view_kind_name(value));
        return;
    }
    for (bool more = json_view_first(value, &item); more; more = json_view_next(&item)) {
        int64_t size;
        if (draft->n_dims == MAX_DIMS) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "has more than the %d dimensions that an input here has", MAX_DIMS);
            return;
        }
        if (!json_view_whole(item, &size) || size < 0) {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "dimension %zu must be a whole number from 0", draft->n_dims + 1);
            return;
        }
        draft->shape[draft->n_dims++] = size;
    }
}

static void read_binary_size(const struct json_reader *reader, struct json_view value)
{
    struct draft *draft = reader->out;

    if (!json_view_whole(value, &draft->binary_size) || draft->binary_size < 0) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be the number of bytes of the tensor");
        draft->binary_size = 0;
    }
}

static const struct json_field input_parameters[] = {
    {"binary_data_size",        false, read_binary_size    },
    {"shared_memory_region",    false, refuse_shared_memory},
    {"shared_memory_offset",    false, refuse_shared_memory},
    {"shared_memory_byte_size", false, refuse_shared_memory},
};

static void read_input_parameters(const struct json_reader *reader, struct json_view value)
{
    read_parameters(reader, value, input_parameters,
                    sizeof input_parameters / sizeof *input_parameters);
}

static void read_data(const struct json_reader *reader, struct json_view value)
{
    struct draft *draft = reader->out;

    if (json_view_kind(value) != JSON_KIND_ARRAY) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be an array, not %s",
                         json_view_kind_name(value));
    }
    draft->data = value;
}

static const struct json_field input_fields[] = {
    {"name",       true,  read_input_name      },
    {"datatype",   true,  read_datatype        },
    {"shape",      true,  read_shape           },
    {"parameters", false, read_input_parameters},
    {"data",       false, read_data            },
};

/* What the protocol's names mean here. */
struct input_kind {
    const char *name;
    enum infer_type first_type, last_type;
    size_t n_columns;
    bool may_be_vector;
    struct infer_tensor *tensor; /* its name is set once it was given */
};

static void print_shape(const struct draft *draft, char *out, size_t size)
{
    if (draft->n_dims == MAX_DIMS) {
        (void)snprintf(out, size, "[%lld, %lld]", (long long)draft->shape[0],
                       (long long)draft->shape[1]);
    } else if (draft->n_dims == 1) {
        (void)snprintf(out, size, "[%lld]", (long long)draft->shape[0]);
    } else {
        (void)snprintf(out, size, "[]");
    }
}

static bool check_shape(const struct draft *draft, const struct input_kind *kind, const char *at,
                        struct decoder *decoder)
{
    const int64_t columns = draft->n_dims > 0 ? draft->shape[draft->n_dims - 1] : -1;
    char shape[64];

    if (columns == (int64_t)kind->n_columns && (draft->n_dims == 2 || kind->may_be_vector)) {
        return true;
    }
    print_shape(draft, shape, sizeof shape);
    if (kind->may_be_vector) {
        field_errors_add(&decoder->errors, 0, at,
                         "the shape of %s must be [%zu], [1, %zu] or [N, %zu], not %s", kind->name,
                         kind->n_columns, kind->n_columns, kind->n_columns, shape);
    } else {
        field_errors_add(&decoder->errors, 0, at, "the shape of %s must be [N, %zu], not %s",
                         kind->name, kind->n_columns, shape);
    }
    return false;
}

/* Takes an input's bytes from behind the JSON. */
static bool take_binary(const struct draft *draft, struct infer_tensor *tensor, const char *at,
                        struct decoder *decoder)
{
    const size_t row_bytes = tensor->n_columns * infer_type_bytes(tensor->type);
    const size_t size = (size_t)draft->binary_size;

    if (!decoder->has_header) {
        field_errors_add(&decoder->errors, 0, at,
                         "binary data needs the header Inference-Header-Content-Length, the length "
                         "of the JSON before it");
        return false;
    }
    if (size / row_bytes != tensor->n_rows || size % row_bytes != 0) {
        char shape[64];
        print_shape(draft, shape, sizeof shape);
        field_errors_add(&decoder->errors, 0, at,
                         "binary_data_size is %zu; %s of %s has %zu bytes a row", size, shape,
                         infer_type_name(tensor->type), row_bytes);
        return false;
    }
    if (size > decoder->n_binary) {
        field_errors_add(&decoder->errors, 0, at,
                         "binary_data_size is %zu, and the body has %zu bytes left for it", size,
                         decoder->n_binary);
        return false;
    }
    tensor->bytes = decoder->binary;
    decoder->binary += size;
    decoder->n_binary -= size;
    return true;
}

/* Fills the tensor of an input whose fields were read. */
static void take_input(const struct draft *draft, const struct input_kind *kind, const char *at,
                       struct decoder *decoder)
{
    struct infer_tensor *tensor = kind->tensor;
    const bool is_vector = draft->n_dims == 1;
    const bool is_binary = draft->binary_size >= 0;

    if (draft->type < kind->first_type || draft->type > kind->last_type) {
        field_errors_add(&decoder->errors, 0, at, "%s must not be of datatype %s", kind->name,
                         infer_type_name(draft->type));
        return;
    }
    if (!check_shape(draft, kind, at, decoder)) {
        return;
    }
    if (is_binary == (draft->data.at != NULL)) {
        field_errors_add(&decoder->errors, 0, at,
                         is_binary ? "has both data and binary_data_size"
                                   : "has neither data nor the parameter binary_data_size");
        return;
    }
    *tensor = (struct infer_tensor){
        .name = kind->name,
        .type = draft->type,
        .n_rows = is_vector ? 1 : (size_t)draft->shape[0],
        .n_columns = kind->n_columns,
        .is_vector = is_vector,
        .data = draft->data,
    };
    /* An element of JSON takes two characters. This bounds what a shape alone can ask for. */
    if (!is_binary && tensor->n_rows > decoder->n_json / 2 / tensor->n_columns) {
        field_errors_add(&decoder->errors, 0, at,
                         "data has not as many elements as [%zu, %zu] asks for", tensor->n_rows,
                         tensor->n_columns);
    } else if (is_binary) {
        (void)take_binary(draft, tensor, at, decoder);
    }
}

/* Finds out which input it is. */
static void place_input(const struct draft *draft, const char *at, struct decoder *decoder)
{
    const struct input_kind kinds[] = {
        {INFER_ARCHITECTURE, INFER_UINT8, INFER_INT64, decoder->space->n_genes, false,
         &decoder->request->architecture},
        {INFER_HARDWARE,     INFER_FP32,  INFER_FP64,  HARDWARE_N_FIELDS,       true,
         &decoder->request->hardware    },
    };

    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        if (strcmp(draft->name, kinds[i].name) != 0) {
            continue;
        }
        if (kinds[i].tensor->name != NULL) {
            field_errors_add(&decoder->errors, 0, at, "%s is given twice", kinds[i].name);
        } else {
            take_input(draft, &kinds[i], at, decoder);
        }
        return;
    }
    field_errors_add(&decoder->errors, 0, at,
                     "there is no input \"%s\"; there are " INFER_ARCHITECTURE
                     " and " INFER_HARDWARE,
                     draft->name);
}

static void read_inputs(const struct json_reader *reader, struct json_view value)
{
    struct decoder *decoder = reader->out;
    struct json_view item;
    size_t i = 0;

    if (json_view_kind(value) != JSON_KIND_ARRAY) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be an array of inputs, not %s",
                         json_view_kind_name(value));
        return;
    }
    for (bool more = json_view_first(value, &item); more && reader->errors->n < MOST_REPORTED;
         more = json_view_next(&item), i++) {
        struct draft draft = {.binary_size = -1};
        const size_t n_before = reader->errors->n;
        char at[JSON_POINTER_BYTES];
        (void)snprintf(at, sizeof at, "%s/%zu", reader->pointer, i);
        json_spec_read_open(item, input_fields, sizeof input_fields / sizeof *input_fields, at,
                            &draft, reader->errors);
        if (reader->errors->n == n_before) {
            place_input(&draft, at, decoder);
        }
    }
}

/* ---- outputs and the rest -------------------------------------------------------------------- */

static void read_output_name(const struct json_reader *reader, struct json_view value)
{
    struct decoder *decoder = reader->out;
    char name[NAME_BYTES];

    if (!read_text(reader, value, name, sizeof name)) {
        return;
    }
    if (strcmp(name, INFER_LATENCY) != 0) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "there is no output \"%s\"; there is " INFER_LATENCY, name);
    } else if (decoder->has_output) {
        field_errors_add(reader->errors, 0, reader->pointer, INFER_LATENCY " is given twice");
    }
    decoder->has_output = true;
}

static void read_binary_data(const struct json_reader *reader, struct json_view value)
{
    struct decoder *decoder = reader->out;

    decoder->output_binary = read_boolean(reader, value) ? 1 : 0;
}

static void refuse_classification(const struct json_reader *reader, struct json_view value)
{
    (void)value;
    field_errors_add(reader->errors, 0, reader->pointer,
                     "classification is not offered here: " INFER_LATENCY " is no distribution");
}

static const struct json_field output_parameters[] = {
    {"binary_data",             false, read_binary_data     },
    {"classification",          false, refuse_classification},
    {"shared_memory_region",    false, refuse_shared_memory },
    {"shared_memory_offset",    false, refuse_shared_memory },
    {"shared_memory_byte_size", false, refuse_shared_memory },
};

static void read_output_parameters(const struct json_reader *reader, struct json_view value)
{
    read_parameters(reader, value, output_parameters,
                    sizeof output_parameters / sizeof *output_parameters);
}

static const struct json_field output_fields[] = {
    {"name",       true,  read_output_name      },
    {"parameters", false, read_output_parameters},
};

static void read_outputs(const struct json_reader *reader, struct json_view value)
{
    struct json_view item;
    size_t i = 0;

    if (json_view_kind(value) != JSON_KIND_ARRAY) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be an array of outputs, not %s",
                         json_view_kind_name(value));
        return;
    }
    for (bool more = json_view_first(value, &item); more && reader->errors->n < MOST_REPORTED;
         more = json_view_next(&item), i++) {
        char at[JSON_POINTER_BYTES];
        (void)snprintf(at, sizeof at, "%s/%zu", reader->pointer, i);
        json_spec_read_open(item, output_fields, sizeof output_fields / sizeof *output_fields, at,
                            reader->out, reader->errors);
    }
}

static void read_binary_output(const struct json_reader *reader, struct json_view value)
{
    struct decoder *decoder = reader->out;

    decoder->is_output_binary = read_boolean(reader, value);
}

static const struct json_field request_parameters[] = {
    {"binary_data_output", false, read_binary_output},
};

static void read_request_parameters(const struct json_reader *reader, struct json_view value)
{
    read_parameters(reader, value, request_parameters,
                    sizeof request_parameters / sizeof *request_parameters);
}

static void read_id(const struct json_reader *reader, struct json_view value)
{
    struct decoder *decoder = reader->out;

    if (json_view_kind(value) != JSON_KIND_STRING) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a string, not %s",
                         json_view_kind_name(value));
        return;
    }
    decoder->request->id = value.at;
    decoder->request->id_size = json_view_size(value);
}

static const struct json_field request_fields[] = {
    {"id",         false, read_id                },
    {"parameters", false, read_request_parameters},
    {"inputs",     true,  read_inputs            },
    {"outputs",    false, read_outputs           },
};

/* ---- the whole ------------------------------------------------------------------------------- */

/* The length of the JSON: the whole body, or what the header says. */
static enum err find_json(const char *header_length, size_t size, size_t *n_json, struct error *err)
{
    size_t length = 0;
    size_t n_digits = header_length != NULL ? strspn(header_length, "0123456789") : 0;

    if (header_length == NULL) {
        *n_json = size;
        return ERR_OK;
    }
    if (n_digits == 0 || header_length[n_digits] != '\0') {
        return error_set(err, ERR_SYNTAX,
                         "Inference-Header-Content-Length must be a whole number, not \"%.40s\"",
                         header_length);
    }
    for (size_t i = 0; i < n_digits && n_digits <= N_HEADER_DIGITS; i++) {
        length = 10 * length + (size_t)(header_length[i] - '0');
    }
    if (n_digits > N_HEADER_DIGITS || length > size) {
        return error_set(err, ERR_SYNTAX,
                         "Inference-Header-Content-Length is %.40s, and the body has %zu bytes",
                         header_length, size);
    }
    *n_json = length;
    return ERR_OK;
}

/* What no field alone can tell. */
static void check_whole(struct decoder *decoder)
{
    const struct infer_request *request = decoder->request;
    struct field_errors *errors = &decoder->errors;

    if (request->architecture.name == NULL || request->hardware.name == NULL) {
        field_errors_add(errors, 0, "/inputs", "the input %s is missing",
                         request->hardware.name == NULL ? INFER_HARDWARE : INFER_ARCHITECTURE);
    } else if (!request->hardware.is_vector && request->hardware.n_rows != 1 &&
               request->hardware.n_rows != request->architecture.n_rows) {
        field_errors_add(errors, 0, "/inputs",
                         "hardware has %zu rows for %zu architectures; it must be [4], [1, 4], or "
                         "have a row for each",
                         request->hardware.n_rows, request->architecture.n_rows);
    } else if (decoder->n_binary > 0) {
        field_errors_add(errors, 0, "", "%zu bytes of the body belong to no input",
                         decoder->n_binary);
    }
}

enum err msg_infer_decode(const struct space *space, const char *bytes, size_t size,
                          const char *header_length, struct infer_request *out, struct error *err)
{
    struct decoder decoder = {
        .space = space,
        .request = out,
        .has_header = header_length != NULL,
        .output_binary = -1,
    };
    struct json_view root;
    enum err rc = find_json(header_length, size, &decoder.n_json, err);

    memset(out, 0, sizeof *out);
    rc = rc != ERR_OK ? rc : json_view_check(bytes, decoder.n_json, &root, err);
    if (rc != ERR_OK) {
        return rc;
    }
    decoder.binary = (const unsigned char *)bytes + decoder.n_json;
    decoder.n_binary = size - decoder.n_json;
    json_spec_read_open(root, request_fields, sizeof request_fields / sizeof *request_fields, "",
                        &decoder, &decoder.errors);
    if (decoder.errors.n == 0) {
        check_whole(&decoder);
    }
    out->n = out->architecture.n_rows;
    out->is_binary =
        decoder.output_binary >= 0 ? decoder.output_binary == 1 : decoder.is_output_binary;
    rc = field_errors_conclude(&decoder.errors, "the request", err);
    field_errors_close(&decoder.errors);
    return rc;
}

void msg_infer_encode(const struct infer_reply *reply, struct text *out)
{
    const struct infer_request *request = reply->request;

    text_reserve(out, 256 + request->id_size + (reply->latency_ms != NULL ? 12 * request->n : 0));
    text_puts(out, "{\"model_name\":\"");
    text_puts(out, reply->model_name);
    text_puts(out, "\",\"model_version\":\"");
    text_puts(out, reply->model_version);
    text_puts(out, "\"");
    if (request->id != NULL) {
        text_puts(out, ",\"id\":");
        text_put(out, request->id, request->id_size);
    }
    text_puts(out, ",\"outputs\":[{\"name\":\"" INFER_LATENCY "\",\"datatype\":\"FP32\",");
    text_printf(out, "\"shape\":[%zu],", request->n);
    if (reply->latency_ms == NULL) {
        text_printf(out, "\"parameters\":{\"binary_data_size\":%zu}}]}",
                    request->n * infer_type_bytes(INFER_FP32));
        return;
    }
    text_puts(out, "\"data\":[");
    for (size_t i = 0; i < request->n; i++) {
        if (i > 0) {
            text_put(out, ",", 1);
        }
        text_put_json_number(out, (double)reply->latency_ms[i]);
    }
    text_puts(out, "]}]}");
}

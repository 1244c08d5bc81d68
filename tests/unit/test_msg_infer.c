/* proto/msg_infer.h and proto/infer_tensor.h: inference requests, their tensors, and the reply. */
#include <jansson.h>

#include "core/rng.h"
#include "proto/msg_infer.h"
#include "tests/support/check.h"

#define ARCHITECTURE                                                                         \
    "{\"name\":\"architecture\",\"shape\":[2,6],\"datatype\":\"INT64\",\"data\":[4,4,4,2,4," \
    "4,1,2,3,4,5,1]}"
#define HARDWARE \
    "{\"name\":\"hardware\",\"shape\":[4],\"datatype\":\"FP64\",\"data\":[2.0,3,1,7.46]}"
#define INPUTS "\"inputs\":[" ARCHITECTURE "," HARDWARE "]"

static const int32_t two_cells[] = {4, 4, 4, 2, 4, 4, 1, 2, 3, 4, 5, 1};

static enum err decode(const char *body, struct infer_request *request, struct error *err)
{
    return msg_infer_decode(&space_nasbench201, body, strlen(body), NULL, request, err);
}

/* Decodes a JSON body that must be right. */
static struct infer_request decode_right(const char *body)
{
    struct infer_request request;
    struct error err = {0};

    assert_ok(decode(body, &request, &err), &err);
    return request;
}

/* Reads all rows of a tensor of genes, so many at a time. */
static enum err read_genes(const struct infer_tensor *tensor, size_t step, int32_t *genes,
                           struct error *err)
{
    struct infer_rows rows;
    enum err rc = ERR_OK;

    infer_rows_begin(&rows, tensor);
    while (rc == ERR_OK && rows.next < tensor->n_rows) {
        size_t left = tensor->n_rows - rows.next;
        rc = infer_rows_genes(&rows, left < step ? left : step,
                              genes + rows.next * tensor->n_columns, err);
    }
    return rc != ERR_OK ? rc : infer_rows_end(&rows, err);
}

static enum err read_numbers(const struct infer_tensor *tensor, double *numbers, struct error *err)
{
    struct infer_rows rows;
    enum err rc;

    infer_rows_begin(&rows, tensor);
    rc = infer_rows_numbers(&rows, tensor->n_rows, numbers, err);
    return rc != ERR_OK ? rc : infer_rows_end(&rows, err);
}

/* ---- JSON ------------------------------------------------------------------------------------ */

static void a_request_in_json_is_read_whole(void **state)
{
    struct infer_request request =
        decode_right("{\"id\":\"a\\u0041\\n\",\"parameters\":{\"any\":1,\"priority\":0}," INPUTS
                     ",\"outputs\":[{\"name\":\"latency_ms\",\"parameters\":{\"x\":\"y\"}}],"
                     "\"model_name\":\"nasbench201\"}");
    int32_t genes[12];
    double hardware[4];

    (void)state;
    assert_int_equal(request.id_size, strlen("\"a\\u0041\\n\""));
    assert_memory_equal(request.id, "\"a\\u0041\\n\"", request.id_size);
    assert_int_equal(request.n, 2);
    assert_false(request.is_binary || request.architecture.is_vector);
    assert_true(request.hardware.is_vector && request.hardware.n_rows == 1);
    assert_ok(read_genes(&request.architecture, 1, genes, NULL), NULL);
    assert_memory_equal(genes, two_cells, sizeof genes);
    assert_ok(read_numbers(&request.hardware, hardware, NULL), NULL);
    assert_true(hardware[0] == 2.0 && hardware[1] == 3.0 && hardware[3] == 7.46);
}

static void data_is_flat_or_nested(void **state)
{
    static const char *const forms[] = {
        "[4,4,4,2,4,4,1,2,3,4,5,1]",
        "[[4,4,4,2,4,4],[1,2,3,4,5,1]]",
        " [ [ 4 , 4,4.0,2,4e0,4 ] ,\n[1,2,3,4,5,1] ] ",
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        for (size_t step = 1; step <= 3; step++) {
            char body[512];
            struct infer_request request;
            int32_t genes[12] = {0};
            (void)snprintf(body, sizeof body,
                           "{\"inputs\":[" HARDWARE ",{\"data\":%s,\"name\":\"architecture\","
                           "\"datatype\":\"INT32\",\"shape\":[2,6]}]}",
                           forms[i]);
            request = decode_right(body);
            assert_ok(read_genes(&request.architecture, step, genes, NULL), NULL);
            assert_memory_equal(genes, two_cells, sizeof genes);
        }
    }
}

static void hardware_has_one_row_or_one_for_each(void **state)
{
    static const struct {
        const char *shape, *data;
        size_t n_rows;
    } forms[] = {
        {"[4]",   "[1,2,3,4]",             1},
        {"[1,4]", "[1,2,3,4]",             1},
        {"[1,4]", "[[1,2,3,4]]",           1},
        {"[2,4]", "[1,2,3,4,5,6,7,8]",     2},
        {"[2,4]", "[[1,2,3,4],[5,6,7,8]]", 2},
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        char body[512];
        struct infer_request request;
        double numbers[8] = {0};
        (void)snprintf(body, sizeof body,
                       "{\"inputs\":[" ARCHITECTURE ",{\"name\":\"hardware\",\"shape\":%s,"
                       "\"datatype\":\"FP32\",\"data\":%s}]}",
                       forms[i].shape, forms[i].data);
        request = decode_right(body);
        assert_int_equal(request.hardware.n_rows, forms[i].n_rows);
        assert_ok(read_numbers(&request.hardware, numbers, NULL), NULL);
        for (size_t k = 0; k < 4 * forms[i].n_rows; k++) {
            assert_true(numbers[k] == (double)(k + 1));
        }
    }
}

static void no_architecture_is_a_request_too(void **state)
{
    static const char *const forms[] = {"[4],\"data\":[2,3,1,7]", "[0,4],\"data\":[]"};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(forms); i++) {
        char body[512];
        struct infer_request request;
        (void)snprintf(body, sizeof body,
                       "{\"inputs\":[{\"name\":\"architecture\",\"shape\":[0,6],\"datatype\":"
                       "\"UINT8\",\"data\":[]},{\"name\":\"hardware\",\"datatype\":\"FP64\","
                       "\"shape\":%s}]}",
                       forms[i]);
        request = decode_right(body);
        assert_int_equal(request.n, 0);
        assert_ok(read_genes(&request.architecture, 1, NULL, NULL), NULL);
    }
}

/* ---- what is wrong --------------------------------------------------------------------------- */

#define INPUT(shape, type, rest) \
    "{\"name\":\"architecture\",\"shape\":" shape ",\"datatype\":\"" type "\"" rest "}"
#define WITH(input)     "{\"inputs\":[" input "," HARDWARE "]}"
#define DEVICE(rest)    "{\"inputs\":[" ARCHITECTURE ",{\"name\":\"hardware\"," rest "}]}"
#define DATA            ",\"data\":[4,4,4,2,4,4]"
#define OUTPUTS(text)   "{" INPUTS ",\"outputs\":" text "}"
#define PARAMETERS(map) "{" INPUTS ",\"parameters\":" map "}"

/* Rows: body, phrase of the error. */
/* clang-format off */
static const struct {
    const char *body, *phrase;
} wrong[] = {
    {"[]", "must be an object, not an array"},
    {"{}", "/inputs: inputs is missing"},
    {"{\"inputs\":{}}", "/inputs: must be an array of inputs, not an object"},
    {"{\"inputs\":[]}", "/inputs: the input hardware is missing"},
    {"{\"inputs\":[" HARDWARE "]}", "/inputs: the input architecture is missing"},
    {"{\"inputs\":[7]}", "/inputs/0: must be an object, not a number"},
    {"{\"inputs\":[{}]}", "/inputs/0/name: name is missing"},
    {"{" INPUTS "," INPUTS "}", "/inputs: inputs is given twice"},
    {"{\"inputs\":[" HARDWARE "," HARDWARE "]}", "/inputs/1: hardware is given twice"},
    {"{\"id\":7," INPUTS "}", "/id: must be a string, not a number"},
    {"{\"inputs\":[{\"name\":\"x\",\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
     "/inputs/0: there is no input \"x\"; there are architecture and hardware"},
    {"{\"inputs\":[{\"name\":7,\"shape\":[1],\"datatype\":\"FP32\",\"data\":[1]}]}",
     "/inputs/0/name: must be a string"},
    {WITH(INPUT("[1,6]", "INT16", DATA)), "/inputs/0/datatype: must be UINT8, INT32 or INT64"},
    {WITH(INPUT("[1,6]", "int64", DATA)), "not \"int64\""},
    {WITH(INPUT("[1,6]", "FP32", DATA)), "/inputs/0: architecture must not be of datatype FP32"},
    {WITH(INPUT("[6]", "INT64", DATA)), "the shape of architecture must be [N, 6], not [6]"},
    {WITH(INPUT("[]", "INT64", DATA)), "the shape of architecture must be [N, 6], not []"},
    {WITH(INPUT("[1,5]", "INT64", DATA)), "must be [N, 6], not [1, 5]"},
    {WITH(INPUT("[6,1]", "INT64", DATA)), "must be [N, 6], not [6, 1]"},
    {WITH(INPUT("[1,6,1]", "INT64", DATA)), "/inputs/0/shape: has more than the 2 dimensions"},
    {WITH(INPUT("[-1,6]", "INT64", DATA)), "/inputs/0/shape: dimension 1 must be a whole number"},
    {WITH(INPUT("[1.5,6]", "INT64", DATA)), "/inputs/0/shape: dimension 1 must be a whole number"},
    {WITH(INPUT("[1,\"6\"]", "INT64", DATA)), "/inputs/0/shape: dimension 2 must be a whole"},
    {WITH(INPUT("{}", "INT64", DATA)), "/inputs/0/shape: must be an array of whole numbers"},
    {WITH(INPUT("[1,6]", "INT64", "")), "/inputs/0: has neither data nor the parameter binary"},
    {WITH(INPUT("[1,6]", "INT64", ",\"data\":\"444244\"")), "/inputs/0/data: must be an array"},
    {WITH(INPUT("[1000000,6]", "INT64", DATA)), "data has not as many elements as [1000000, 6]"},
    {WITH(INPUT("[1e30,6]", "INT64", DATA)), "data has not as many elements as"},
    {WITH(INPUT("[3074457345618258603,6]", "INT64", DATA)), "data has not as many elements as"},
    {WITH(INPUT("[1,6]", "INT64", DATA ",\"parameters\":{\"binary_data_size\":48}")),
     "/inputs/0: has both data and binary_data_size"},
    {WITH(INPUT("[1,6]", "INT64", ",\"parameters\":{\"binary_data_size\":48}")),
     "/inputs/0: binary data needs the header Inference-Header-Content-Length"},
    {WITH(INPUT("[1,6]", "INT64", ",\"parameters\":{\"binary_data_size\":-1}")),
     "/inputs/0/parameters/binary_data_size: must be the number of bytes"},
    {WITH(INPUT("[1,6]", "INT64", ",\"parameters\":{\"binary_data_size\":\"48\"}")),
     "/inputs/0/parameters/binary_data_size: must be the number of bytes"},
    {WITH(INPUT("[1,6]", "INT64", ",\"parameters\":{\"shared_memory_region\":\"r\"}")),
     "/inputs/0/parameters/shared_memory_region: shared memory is not offered"},
    {WITH(INPUT("[1,6]", "INT64", DATA ",\"parameters\":[]")),
     "/inputs/0/parameters: must be an object"},
    {WITH(INPUT("[1,6]", "INT64", DATA ",\"parameters\":{\"x\":null}")),
     "a parameter is a string, a number or a boolean, not null"},
    {DEVICE("\"shape\":[5],\"datatype\":\"FP64\",\"data\":[1,2,3,4,5]"),
     "/inputs/1: the shape of hardware must be [4], [1, 4] or [N, 4], not [5]"},
    {DEVICE("\"shape\":[4,1],\"datatype\":\"FP64\",\"data\":[1,2,3,4]"), "not [4, 1]"},
    {DEVICE("\"shape\":[3,4],\"datatype\":\"FP64\",\"data\":[1,2,3,4,1,2,3,4,1,2,3,4]"),
     "/inputs: hardware has 3 rows for 2 architectures"},
    {DEVICE("\"shape\":[0,4],\"datatype\":\"FP64\",\"data\":[]"), "hardware has 0 rows for 2 arch"},
    {DEVICE("\"shape\":[4],\"datatype\":\"INT64\",\"data\":[1,2,3,4]"),
     "/inputs/1: hardware must not be of datatype INT64"},
    {OUTPUTS("{}"), "/outputs: must be an array of outputs"},
    {OUTPUTS("[7]"), "/outputs/0: must be an object"},
    {OUTPUTS("[{}]"), "/outputs/0/name: name is missing"},
    {OUTPUTS("[{\"name\":\"accuracy\"}]"), "/outputs/0/name: there is no output \"accuracy\""},
    {OUTPUTS("[{\"name\":\"latency_ms\"},{\"name\":\"latency_ms\"}]"),
     "/outputs/1/name: latency_ms is given twice"},
    {OUTPUTS("[{\"name\":\"latency_ms\",\"parameters\":{\"classification\":3}}]"),
     "/outputs/0/parameters/classification: classification is not offered"},
    {OUTPUTS("[{\"name\":\"latency_ms\",\"parameters\":{\"binary_data\":1}}]"),
     "/outputs/0/parameters/binary_data: must be true or false, not a number"},
    {OUTPUTS("[{\"name\":\"latency_ms\",\"parameters\":{\"shared_memory_region\":\"a\"}}]"),
     "shared memory is not offered"},
    {PARAMETERS("{\"binary_data_output\":\"true\"}"),
     "/parameters/binary_data_output: must be true or false, not a string"},
    {PARAMETERS("{\"x\":{\"y\":1}}"), "a parameter is a string, a number or a boolean, not an obj"},
    {PARAMETERS("7"), "/parameters: must be an object"},
};
/* clang-format on */

static void each_wrong_field_is_told_with_its_pointer(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        struct infer_request request;
        struct error err = {0};
        assert_error(decode(wrong[i].body, &request, &err), ERR_INVALID, &err, wrong[i].phrase);
    }
}

static void what_is_no_json_is_told(void **state)
{
    struct infer_request request;
    struct error err = {0};

    (void)state;
    assert_error(decode("", &request, &err), ERR_SYNTAX, &err, "empty where JSON is expected");
    assert_error(decode("{\"inputs\":", &request, &err), ERR_SYNTAX, &err, "line 1, column 11");
    assert_error(decode("{" INPUTS "} x", &request, &err), ERR_SYNTAX, &err, "the text goes on");
}

/* Rows: shape, data, phrase: found only when the rows are read. */
static void wrong_elements_are_named(void **state)
{
    /* clang-format off */
    static const struct {
        const char *shape, *data, *phrase;
    } rows[] = {
        {"[2,6]", "[1,1,1,1,1,1,1,1,1,1,1]", "architecture: data ends after 11 of the 12 elem"},
        {"[2,6]", "[1,1,1,1,1,1,1,1,1,1,1,1,1]", "data has more than the 12 elements"},
        {"[2,6]", "[]", "data ends after 0 of the 12 elements"},
        {"[0,6]", "[1]", "data has more than the 0 elements"},
        {"[2,6]", "[[1,1,1,1,1,1]]", "data ends after 6 of the 12 elements"},
        {"[1,6]", "[[1,1,1,1,1,1],[1]]", "data has more than the 6 elements"},
        {"[2,6]", "[[1,1,1,1,1,1],[1,1,1]]", "architecture[1]: has 3 elements, and 6 by its"},
        {"[2,6]", "[[1,1,1,1,1,1,1],[1]]", "architecture[0]: has 7 elements, and 6 by its"},
        {"[2,6]", "[[1,1,1,1,1,1],1,1,1,1,1]", "architecture[1]: must be an array as the rows"},
        {"[2,6]", "[[1,1,1,1,1,1],[1,1,1,1,[1],1]]", "architecture[1][4]: must be a whole number"},
        {"[2,6]", "[1,1,1,1,1,1,[1,1,1,1,1,1]]", "architecture: data ends after 7 of the 12"},
        {"[2,6]", "[1,1,1,1,1,1,[1],1,1,1,1,1]", "architecture[1][0]: must be a whole number, n"},
        {"[1,6]", "[1,1,1.5,1,1,1]", "architecture[0][2]: must be a whole number, not a fraction"},
        {"[1,6]", "[1,1,\"1\",1,1,1]", "architecture[0][2]: must be a whole number, not a string"},
        {"[1,6]", "[true,1,1,1,1,1]", "architecture[0][0]: must be a whole number, not a boolean"},
    };
    /* clang-format on */

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char body[512];
        struct infer_request request;
        int32_t genes[12];
        struct error err = {0};
        (void)snprintf(body, sizeof body, WITH(INPUT("%s", "UINT8", ",\"data\":%s")), rows[i].shape,
                       rows[i].data);
        request = decode_right(body);
        assert_error(read_genes(&request.architecture, 2, genes, &err), ERR_INVALID, &err,
                     rows[i].phrase);
    }
}

static void wrong_numbers_are_named(void **state)
{
    static const struct {
        const char *shape, *data, *phrase;
    } rows[] = {
        {"[4]",   "[1,2,\"3\",4]",            "hardware[2]: must be a number, not a string"  },
        {"[4]",   "[[1,2,3,4]]",              "hardware: data ends after 1 of the 4 elements"},
        {"[4]",   "[[1],2,3,4]",              "hardware[0]: must be a number, not an array"  },
        {"[2,4]", "[[1,2,3,4],[1,2,3,null]]", "hardware[1][3]: must be a number, not null"   },
        {"[1,4]", "[1,2,3,4,5]",              "hardware: data has more than the 4 elements"  },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char body[512];
        struct infer_request request;
        double numbers[8];
        struct error err = {0};
        (void)snprintf(body, sizeof body, DEVICE("\"shape\":%s,\"datatype\":\"FP64\",\"data\":%s"),
                       rows[i].shape, rows[i].data);
        request = decode_right(body);
        assert_error(read_numbers(&request.hardware, numbers, &err), ERR_INVALID, &err,
                     rows[i].phrase);
    }
}

/* ---- binary ---------------------------------------------------------------------------------- */

/* A body of JSON and bytes, in a block of its very size, so that a sanitizer sees a step beyond. */
struct body {
    char *bytes;
    size_t size;
    char header[32];
};

static struct body make_body(const char *json, const void *binary, size_t n_binary)
{
    size_t n_json = strlen(json);
    struct body body = {.bytes = mem_calloc(n_json + n_binary, 1), .size = n_json + n_binary};

    assert_non_null(body.bytes);
    memcpy(body.bytes, json, n_json);
    if (n_binary > 0) {
        memcpy(body.bytes + n_json, binary, n_binary);
    }
    (void)snprintf(body.header, sizeof body.header, "%zu", n_json);
    return body;
}

static enum err decode_body(const struct body *body, struct infer_request *request,
                            struct error *err)
{
    return msg_infer_decode(&space_nasbench201, body->bytes, body->size, body->header, request,
                            err);
}

#define BINARY_INPUT(name, shape, type, size)                                     \
    "{\"name\":\"" name "\",\"shape\":" shape ",\"datatype\":\"" type "\",\"para" \
    "meters\":{\"binary_data_size\":" size "}}"
#define BINARY_JSON                                                \
    "{\"inputs\":[" BINARY_INPUT("architecture", "[2,6]", "UINT8", \
                                 "12") "," BINARY_INPUT("hardware", "[4]", "FP32", "16") "]}"

static const float phone[] = {2.0F, 3.0F, 1.0F, 7.46F};

static size_t two_cells_as(enum infer_type type, unsigned char *out)
{
    for (size_t i = 0; i < COUNT_OF(two_cells); i++) {
        int64_t wide = two_cells[i]; /* little-endian: its first bytes are the narrower number */
        memcpy(out + i * infer_type_bytes(type), &wide, infer_type_bytes(type));
    }
    return COUNT_OF(two_cells) * infer_type_bytes(type);
}

static void binary_tensors_of_every_type_are_read(void **state)
{
    static const double exact[] = {2.0, 3.0, 1.0, 7.46};

    (void)state;
    for (unsigned genes_type = INFER_UINT8; genes_type <= INFER_INT64; genes_type++) {
        for (unsigned type = INFER_FP32; type <= INFER_FP64; type++) {
            unsigned char binary[256];
            size_t n_genes = two_cells_as((enum infer_type)genes_type, binary);
            size_t n_hardware = 4 * infer_type_bytes((enum infer_type)type);
            char json[512];
            struct body body;
            struct infer_request request;
            struct infer_rows rows;
            struct error err = {0};
            int32_t genes[12];
            uint8_t scratch[12];
            const uint8_t *narrow;
            double numbers[4];
            memcpy(binary + n_genes, type == INFER_FP32 ? (const void *)phone : exact, n_hardware);
            (void)snprintf(
                json, sizeof json,
                "{\"parameters\":{\"binary_data_output\":true},\"inputs\":[" BINARY_INPUT(
                    "architecture", "[2,6]", "%s", "%zu") "," BINARY_INPUT("hardware", "[1,4]",
                                                                           "%s", "%zu") "]}",
                infer_type_name((enum infer_type)genes_type), n_genes,
                infer_type_name((enum infer_type)type), n_hardware);
            body = make_body(json, binary, n_genes + n_hardware);
            assert_ok(decode_body(&body, &request, &err), &err);
            assert_true(request.is_binary && request.n == 2);
            assert_ok(read_genes(&request.architecture, 1, genes, &err), &err);
            assert_memory_equal(genes, two_cells, sizeof genes);
            infer_rows_begin(&rows, &request.architecture);
            for (size_t i = 0; i < 2; i++) {
                narrow = infer_rows_bytes(&rows, 1, scratch);
                assert_non_null(narrow);
                assert_int_equal(rows.next, i + 1);
                for (size_t g = 0; g < 6; g++) {
                    assert_int_equal(narrow[g], two_cells[i * 6 + g]);
                }
            }
            assert_ok(read_numbers(&request.hardware, numbers, &err), &err);
            assert_near_relative(numbers[3], 7.46, type == INFER_FP32 ? 1e-7 : 1e-16);
            mem_free(body.bytes);
        }
    }
}

/* The order of the bytes is that of the inputs, whichever comes first; JSON and binary mix. */
static void bytes_belong_to_the_inputs_in_their_order(void **state)
{
    static const char *const jsons[] = {
        "{\"inputs\":[" BINARY_INPUT("hardware", "[4]", "FP32", "16") "," BINARY_INPUT(
            "architecture", "[2,6]", "UINT8", "12") "]}",
        "{\"inputs\":[" HARDWARE "," BINARY_INPUT("architecture", "[2,6]", "UINT8", "12") "]}",
    };
    unsigned char binary[28];

    (void)state;
    memcpy(binary, phone, sizeof phone);
    (void)two_cells_as(INFER_UINT8, binary + 16);
    for (size_t i = 0; i < COUNT_OF(jsons); i++) {
        struct body body = make_body(jsons[i], binary + 16 * i, 28 - 16 * i);
        struct infer_request request;
        int32_t genes[12];
        double numbers[4];
        struct error err = {0};
        assert_ok(decode_body(&body, &request, &err), &err);
        assert_ok(read_genes(&request.architecture, 2, genes, &err), &err);
        assert_memory_equal(genes, two_cells, sizeof genes);
        assert_ok(read_numbers(&request.hardware, numbers, &err), &err);
        assert_near_relative(numbers[3], 7.46, 1e-7);
        mem_free(body.bytes);
    }
}

/* An output's own parameter goes before the request's. */
static void the_output_is_binary_where_it_is_asked_for(void **state)
{
    static const char *const said[] = {"", "\"parameters\":{\"binary_data\":false},",
                                       "\"parameters\":{\"binary_data\":true},"};
    static const char *const all[] = {"", "\"parameters\":{\"binary_data_output\":false},",
                                      "\"parameters\":{\"binary_data_output\":true},"};

    (void)state;
    for (size_t i = 0; i < 9; i++) {
        char body[600];
        struct infer_request request;
        (void)snprintf(body, sizeof body,
                       "{%s\"outputs\":[{%s\"name\":\"latency_ms\"}]," INPUTS "}", all[i / 3],
                       said[i % 3]);
        request = decode_right(body);
        assert_int_equal(request.is_binary, i % 3 == 2 || (i % 3 == 0 && i / 3 == 2));
    }
}

/* Genes that no byte holds are read as genes, cut to what int32_t holds, never as other bytes. */
static void wide_genes_are_no_bytes(void **state)
{
    static const int64_t values[] = {
        256, -1, 260, INT32_MAX, INT64_MAX, INT64_MIN, (int64_t)1 << 32, ((int64_t)1 << 32) + 4};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(values); i++) {
        int64_t wide[6] = {1, 1, values[i], 1, 1, 1};
        struct infer_tensor tensor = {.name = "architecture",
                                      .type = INFER_INT64,
                                      .n_rows = 1,
                                      .n_columns = 6,
                                      .bytes = (const unsigned char *)wide};
        struct infer_rows rows;
        int32_t genes[6];
        uint8_t scratch[6];
        infer_rows_begin(&rows, &tensor);
        assert_null(infer_rows_bytes(&rows, 1, scratch));
        assert_int_equal(rows.next, 0);
        assert_ok(infer_rows_genes(&rows, 1, genes, NULL), NULL);
        assert_int_equal(genes[2], values[i] > INT32_MAX   ? INT32_MAX
                                   : values[i] < INT32_MIN ? INT32_MIN
                                                           : values[i]);
    }
}

static void every_truncation_is_refused(void **state)
{
    unsigned char binary[28];
    struct body body;

    (void)state;
    (void)two_cells_as(INFER_UINT8, binary);
    memcpy(binary + 12, phone, sizeof phone);
    body = make_body(BINARY_JSON, binary, sizeof binary);
    for (size_t size = 0; size <= body.size; size++) {
        char *cut = mem_calloc(size, 1);
        struct infer_request request;
        struct error err = {0};
        enum err rc;
        memcpy(cut, body.bytes, size);
        rc = msg_infer_decode(&space_nasbench201, cut, size, body.header, &request, &err);
        if (size == body.size) {
            assert_ok(rc, &err);
        } else if (size < strlen(BINARY_JSON)) {
            assert_error(rc, ERR_SYNTAX, &err, "Inference-Header-Content-Length is");
        } else {
            assert_error(rc, ERR_INVALID, &err, "bytes left for it");
        }
        mem_free(cut);
    }
    mem_free(body.bytes);
}

/* Every length but the right one. */
static void every_other_header_length_is_refused(void **state)
{
    unsigned char binary[28] = {0};
    struct body body = make_body(BINARY_JSON, binary, sizeof binary);

    (void)state;
    for (size_t length = 0; length <= body.size + 2; length++) {
        struct infer_request request;
        struct error err = {0};
        char header[32];
        enum err rc;
        (void)snprintf(header, sizeof header, "%zu", length);
        rc = msg_infer_decode(&space_nasbench201, body.bytes, body.size, header, &request, &err);
        assert_int_equal(rc, length == strlen(BINARY_JSON) ? ERR_OK : ERR_SYNTAX);
    }
    mem_free(body.bytes);
}

static void a_hostile_header_length_is_refused(void **state)
{
    static const char *const lengths[] = {
        "",
        " ",
        "-1",
        "+3",
        "1e3",
        "0x10",
        "12 ",
        " 12",
        "12,12",
        "4294967296",
        "18446744073709551616",
        "18446744073709551716",
        "99999999999999999999999999999999999999",
    };
    struct body body = make_body(BINARY_JSON, "", 0);

    (void)state;
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        struct infer_request request;
        struct error err = {0};
        assert_error(
            msg_infer_decode(&space_nasbench201, body.bytes, body.size, lengths[i], &request, &err),
            ERR_SYNTAX, &err, "Inference-Header-Content-Length");
    }
    mem_free(body.bytes);
}

/* Rows: shape and binary_data_size of UINT8 genes, with 28 bytes behind the JSON. */
static void sizes_that_do_not_fit_are_refused(void **state)
{
    /* clang-format off */
    static const struct {
        const char *shape, *size, *phrase;
    } rows[] = {
        {"[2,6]", "11", "binary_data_size is 11; [2, 6] of UINT8 has 6 bytes a row"},
        {"[2,6]", "13", "binary_data_size is 13; [2, 6] of UINT8"},
        {"[2,6]", "18", "binary_data_size is 18"},
        {"[2,6]", "0", "binary_data_size is 0"},
        {"[3,6]", "12", "binary_data_size is 12; [3, 6]"},
        {"[2,7]", "14", "must be [N, 6], not [2, 7]"},
        {"[0,6]", "12", "binary_data_size is 12; [0, 6]"},
        {"[0,6]", "0", "28 bytes of the body belong to no input"},
        {"[1,6]", "6", "22 bytes of the body belong to no input"},
        {"[5,6]", "30", "binary_data_size is 30, and the body has 28 bytes left"},
        {"[1000000,6]", "6000000", "and the body has 28 bytes left"},
        {"[3074457345618258603,6]", "2",
         "binary_data_size is 2"}, /* the product is 2 by overflow */
        {"[1537228672809129301,6]", "9223372036854775806",
         "binary_data_size is 9223372036854775806, and the body has 28 bytes left"},
        {"[1e30,6]", "12", "binary_data_size is 12"},
        {"[2,6]", "1e30", "binary_data_size is 9223372036854775807"},
        {"[2,6]", "12.5", "must be the number of bytes"},
    };
    /* clang-format on */
    unsigned char binary[28] = {0};

    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char json[512];
        struct body body;
        struct infer_request request;
        struct error err = {0};
        (void)snprintf(json, sizeof json,
                       "{\"inputs\":[" HARDWARE
                       "," BINARY_INPUT("architecture", "%s", "UINT8", "%s") "]}",
                       rows[i].shape, rows[i].size);
        body = make_body(json, binary, sizeof binary);
        assert_error(decode_body(&body, &request, &err), ERR_INVALID, &err, rows[i].phrase);
        mem_free(body.bytes);
    }
}

/* Bodies with some bytes changed: refused or read, never past their end. */
static void mutations_are_read_or_refused(void **state)
{
    unsigned char binary[28];
    struct body body;
    struct rng rng;
    size_t n_read = 0;

    (void)state;
    (void)two_cells_as(INFER_UINT8, binary);
    memcpy(binary + 12, phone, sizeof phone);
    body = make_body(BINARY_JSON, binary, sizeof binary);
    rng_init(&rng, 3);
    for (size_t n = 0; n < 40000; n++) {
        static const char likely[] = "{}[]\",:\\0123456789.eE-truefalsn \n";
        struct infer_request request;
        struct error err = {0};
        int32_t genes[64];
        double numbers[64];
        char *copy = mem_calloc(body.size, 1);
        memcpy(copy, body.bytes, body.size);
        for (size_t m = 1 + rng_below(&rng, 2); m > 0; m--) {
            copy[rng_below(&rng, body.size)] = likely[rng_below(&rng, sizeof likely - 1)];
        }
        if (msg_infer_decode(&space_nasbench201, copy, body.size, body.header, &request, &err) ==
            ERR_OK) {
            assert_true(request.architecture.n_rows <= 4 && request.hardware.n_rows <= 4);
            (void)read_genes(&request.architecture, 1, genes, &err);
            (void)read_numbers(&request.hardware, numbers, &err);
            n_read++;
        }
        mem_free(copy);
    }
    assert_true(n_read > 1000);
    mem_free(body.bytes);
}

static enum err decode_wrong_once(void *context, struct error *err)
{
    struct infer_request request;
    enum err rc = decode("{\"inputs\":[7]}", &request, err);

    (void)context;
    return rc == ERR_INVALID ? ERR_OK : rc; /* what is wrong takes memory to tell */
}

static void every_failing_allocation_is_reported(void **state)
{
    (void)state;
    fail_each_allocation(decode_wrong_once, NULL);
}

/* ---- the reply ------------------------------------------------------------------------------- */

/* Its fields, and no others; `n_data` -1: the output is binary. */
static void check_reply(const struct text *text, const char *id, int n, int n_data)
{
    json_error_t why;
    json_t *root = json_loadb(text->bytes, text->size, 0, &why);
    json_t *output = json_array_get(json_object_get(root, "outputs"), 0);

    assert_non_null(root);
    assert_int_equal(json_object_size(root), id != NULL ? 4 : 3);
    assert_string_equal(json_string_value(json_object_get(root, "model_name")), "nasbench201");
    assert_string_equal(json_string_value(json_object_get(root, "model_version")), "cost-1");
    if (id != NULL) {
        assert_string_equal(json_string_value(json_object_get(root, "id")), id);
    }
    assert_int_equal(json_array_size(json_object_get(root, "outputs")), 1);
    assert_int_equal(json_object_size(output), 4);
    assert_string_equal(json_string_value(json_object_get(output, "name")), "latency_ms");
    assert_string_equal(json_string_value(json_object_get(output, "datatype")), "FP32");
    assert_int_equal(json_array_size(json_object_get(output, "shape")), 1);
    assert_int_equal(json_integer_value(json_array_get(json_object_get(output, "shape"), 0)), n);
    if (n_data >= 0) {
        assert_int_equal(json_array_size(json_object_get(output, "data")), n_data);
    } else {
        json_t *parameters = json_object_get(output, "parameters");
        assert_int_equal(json_object_size(parameters), 1);
        assert_int_equal(json_integer_value(json_object_get(parameters, "binary_data_size")),
                         4 * n);
    }
    json_decref(root);
}

static void the_reply_has_the_fields_of_the_protocol(void **state)
{
    static const float latency_ms[] = {4127.04736F, 0.1F};
    struct infer_request request = decode_right("{\"id\":\"\\u0034\\\"2\"," INPUTS "}");
    struct infer_reply reply = {&request, "nasbench201", "cost-1", latency_ms};
    struct text text = {0};

    (void)state;
    msg_infer_encode(&reply, &text);
    check_reply(&text, "4\"2", 2, 2);
    assert_contains(text.bytes, "\"data\":[4127.04736,0.100000001]");
    text_close(&text);
    reply.latency_ms = NULL;
    request.id = NULL;
    msg_infer_encode(&reply, &text);
    check_reply(&text, NULL, 2, -1);
    text_close(&text);
    request.n = 0;
    reply.latency_ms = latency_ms;
    msg_infer_encode(&reply, &text);
    check_reply(&text, NULL, 0, 0);
    text_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_request_in_json_is_read_whole),
        counted_test(data_is_flat_or_nested),
        counted_test(hardware_has_one_row_or_one_for_each),
        counted_test(no_architecture_is_a_request_too),
        counted_test(each_wrong_field_is_told_with_its_pointer),
        counted_test(what_is_no_json_is_told),
        counted_test(wrong_elements_are_named),
        counted_test(wrong_numbers_are_named),
        counted_test(binary_tensors_of_every_type_are_read),
        counted_test(bytes_belong_to_the_inputs_in_their_order),
        counted_test(the_output_is_binary_where_it_is_asked_for),
        counted_test(wide_genes_are_no_bytes),
        counted_test(every_truncation_is_refused),
        counted_test(every_other_header_length_is_refused),
        counted_test(a_hostile_header_length_is_refused),
        counted_test(sizes_that_do_not_fit_are_refused),
        counted_test(mutations_are_read_or_refused),
        counted_test(every_failing_allocation_is_reported),
        counted_test(the_reply_has_the_fields_of_the_protocol),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}

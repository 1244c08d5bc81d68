/* proto/msg_measurements.h: measured latencies as JSON and CSV, read from anybody and written back.
 */
#include "core/rng.h"
#include "proto/msg_measurements.h"
#include "tests/support/check.h"

#define NASBENCH &space_nasbench201
#define CELL                                                                                      \
    "|nor_conv_3x3~0|+|nor_conv_3x3~0|nor_conv_3x3~1|+|skip_connect~0|nor_conv_3x3~1|nor_conv_3x" \
    "3~2|"

typedef enum err decoder(const struct space *space, const char *bytes, size_t size,
                         struct measurements *out, struct field_errors *errors, struct error *err);

/* Decodes bytes of exactly that size, so that a sanitizer sees a read beyond. */
static enum err decode(decoder *decode_bytes, const struct space *space, const char *text,
                       size_t size, struct measurements *out, struct field_errors *errors,
                       struct error *err)
{
    char *exact = malloc(size > 0 ? size : 1);
    enum err rc;

    assert_non_null(exact);
    memcpy(exact, text, size);
    rc = decode_bytes(space, exact, size, out, errors, err);
    free(exact);
    return rc;
}

static void expect_rows(decoder *decode_bytes, const struct space *space, const char *text,
                        const char *csv)
{
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct text written = {0};
    struct error err = {0};

    if (decode(decode_bytes, space, text, strlen(text), &rows, &errors, &err) != ERR_OK) {
        fail_msg("%s: %s", text, err.text);
    }
    msg_measurements_encode_csv(&rows, "\n", &written);
    assert_false(written.has_failed);
    assert_string_equal(written.bytes, csv);
    text_close(&written);
    field_errors_close(&errors);
    measurements_close(&rows);
}

#define TWO_ROWS "architecture,latency_ms\n444244,12.5\n111111,3\n"

static void csv_is_read_in_every_usual_form(void **state)
{
    static const char *const rows[] = {
        TWO_ROWS,
        "architecture,latency_ms\r\n444244,12.5\r\n111111,3\r\n",
        "\xef\xbb\xbf" TWO_ROWS,
        "architecture,latency_ms\n444244,12.5\n111111,3",
        "architecture,latency_ms\r\n444244,12.5\r\n111111,3\r",
        "444244,12.5\n111111,3\n",
        "\xef\xbb\xbf"
        "444244,12.5\n111111,3\n",
        "\"Architecture\" , LATENCY_MS\n 444244 ,\t12.5 \n111111,3.000\n",
        "architecture,latency_ms\n\n444244,1.25e1\n \n\n111111,+3\n\r\n\n",
        "architecture,latency_ms\n\"[4,4,4,2,4,4]\",12.5\n\"[1, 1, 1, 1, 1, 1]\",\"3\"\n",
        "architecture,latency_ms\n" CELL ",12.5\n1 1 1 1 1 1,3\n",
        "architecture,latency_ms\n\"444244\" ,.125e2\n\"111111\"\t,3.\n",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        expect_rows(msg_measurements_decode_csv, NASBENCH, rows[i], TWO_ROWS);
    }
}

static void an_architecture_may_come_twice(void **state)
{
    (void)state;
    expect_rows(msg_measurements_decode_csv, NASBENCH, "444244,12\n444244,13\n444244,12\n",
                "architecture,latency_ms\n444244,12\n444244,13\n444244,12\n");
}

static void genes_of_many_digits_are_separated_by_blanks(void **state)
{
    char genes[SPACE_TEXT_BYTES] = "";
    char csv[512];
    char json[512];
    size_t used = 0;
    (void)state;
    for (size_t g = 0; g < space_fbnetv3.n_genes; g++) {
        used += (size_t)snprintf(genes + used, sizeof genes - used, g > 0 ? " %d" : "%d",
                                 space_fbnetv3.genes[g].first);
    }
    (void)snprintf(csv, sizeof csv, "architecture,latency_ms\n%s,7.25\n", genes);
    expect_rows(msg_measurements_decode_csv, &space_fbnetv3, csv, csv);
    (void)snprintf(json, sizeof json, "{\"architectures\":[\"%s\"],\"latency_ms\":[7.25]}", genes);
    expect_rows(msg_measurements_decode_json, &space_fbnetv3, json, csv);
    for (char *c = genes; *c != '\0'; c++) {
        *c = *c == ' ' ? ',' : *c;
    }
    (void)snprintf(json, sizeof json, "{\"architectures\":[[%s]],\"latency_ms\":[7.25]}", genes);
    expect_rows(msg_measurements_decode_json, &space_fbnetv3, json, csv);
    (void)snprintf(json, sizeof json, "\"[%s]\",7.25", genes);
    expect_rows(msg_measurements_decode_csv, &space_fbnetv3, json, csv);
}

struct bad_csv {
    const char *text;
    enum err code;
    const char *detail;
};

/* clang-format off */
static const struct bad_csv bad_csv[] = {
    {"",                                         ERR_INVALID, "line 1: there is no row"},
    {"architecture,latency_ms\n",                ERR_INVALID, "line 1: there is no row"},
    {"\xef\xbb\xbf",                             ERR_INVALID, "line 1: there is no row"},
    {TWO_ROWS "444294,1\n",                      ERR_INVALID, "line 4: gene 5 of nasbench201 must be 1 to 5, not 9"},
    {TWO_ROWS "4442,1\n",                        ERR_INVALID, "line 4: an architecture of nasbench201 has 6 genes"},
    {TWO_ROWS ",1\n",                            ERR_INVALID, "line 4: an architecture of nasbench201 has 6 genes"},
    {TWO_ROWS "444244\n",                        ERR_INVALID, "line 4: 1 fields where 2 are expected"},
    {TWO_ROWS "[4,4,4,2,4,4],1\n",               ERR_INVALID, "line 4: 7 fields where 2 are expected, architecture,latency_ms; an architecture with commas is written in double quotes"},
    {TWO_ROWS "444244,1,\n",                     ERR_INVALID, "line 4: 3 fields"},
    {TWO_ROWS "444244;1\n",                      ERR_INVALID, "line 4: 1 fields"},
    {TWO_ROWS "\n\n444244,0\n",                  ERR_INVALID, "line 6: latency_ms must be a positive number of milliseconds, at most 1e7, not 0"},
    {"\"444244\",0\n",                           ERR_INVALID, "line 1: latency_ms must be"},
    {TWO_ROWS "444244,-1\n",                     ERR_INVALID, "line 4: latency_ms must be a positive number of milliseconds, at most 1e7, not -1"},
    {TWO_ROWS "444244,1.1e7\n",                  ERR_INVALID, "at most 1e7, not 11000000"},
    {TWO_ROWS "444244,1e999\n",                  ERR_INVALID, "not inf"},
    {TWO_ROWS "444244,\n",                       ERR_INVALID, "line 4: latency_ms \"\" is not a number"},
    {TWO_ROWS "444244,nan\n",                    ERR_INVALID, "line 4: latency_ms \"nan\" is not a number"},
    {TWO_ROWS "444244,inf\n",                    ERR_INVALID, "is not a number"},
    {TWO_ROWS "444244,0x10\n",                   ERR_INVALID, "is not a number"},
    {TWO_ROWS "444244,1 2\n",                    ERR_INVALID, "latency_ms \"1 2\" is not a number"},
    {TWO_ROWS "444244,12ms\n",                   ERR_INVALID, "latency_ms \"12ms\" is not a number"},
    {TWO_ROWS "444244,1\r2\n",                   ERR_INVALID, "latency_ms \"1?2\" is not a number"},
    {TWO_ROWS "444244,1e\n",                     ERR_INVALID, "is not a number"},
    {TWO_ROWS "444244,\xff\n",                   ERR_INVALID, "latency_ms \"?\" is not a number"},
    {"arch,ms\n444244,1\n",                      ERR_INVALID, "line 1: "},
    {"latency_ms,architecture\n444244,1\n",     ERR_INVALID, "line 1: "},
    {TWO_ROWS "architecture,latency_ms\n",       ERR_INVALID, "line 4: "},
    {TWO_ROWS "\"444244,1\n111111,2\n",          ERR_SYNTAX,  "line 4: a double quote is opened and not closed"},
    {TWO_ROWS "\"444244\"x,1\n",                 ERR_SYNTAX,  "line 4: a comma or the end of the line must follow"},
    {TWO_ROWS "\"444\n244\" x,1\n",              ERR_SYNTAX,  "line 5: a comma"},
    {TWO_ROWS "\"444\n244\",1\n",                ERR_INVALID, "line 4: "},
    {TWO_ROWS "444\"244,1\n",                    ERR_SYNTAX,  "line 4: a double quote stands inside of a field"},
    {TWO_ROWS "\"444\"\"244\",1\n",              ERR_INVALID, "line 4: \"444\"244\" is no architecture"},
    {TWO_ROWS "\"",                              ERR_SYNTAX,  "line 4: a double quote is opened"},
    {TWO_ROWS "\"\"\"",                          ERR_SYNTAX,  "line 4: a double quote is opened"},
};
/* clang-format on */

static void each_wrong_line_of_csv_is_named(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_csv); i++) {
        struct measurements rows = {0};
        struct field_errors errors = {0};
        struct error err = {0};
        size_t n = 77;
        size_t size = strlen(bad_csv[i].text);
        assert_error(decode(msg_measurements_decode_csv, NASBENCH, bad_csv[i].text, size, &rows,
                            &errors, &err),
                     bad_csv[i].code, &err, bad_csv[i].detail);
        assert_int_equal(errors.n, bad_csv[i].code == ERR_INVALID ? 1 : 0);
        if (errors.n == 1) {
            assert_string_equal(errors.items[0].pointer, "");
            assert_string_equal(errors.items[0].detail, err.text);
        }
        assert_null(rows.genes);
        field_errors_close(&errors);
        assert_error(msg_measurements_count_csv(NASBENCH, bad_csv[i].text, size, &n, &err),
                     bad_csv[i].code, &err, bad_csv[i].detail);
        assert_int_equal(n, 77);
    }
}

static void all_wrong_lines_are_told_up_to_a_bound(void **state)
{
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    struct text body = {0};
    (void)state;
    assert_error(decode(msg_measurements_decode_csv, NASBENCH, "4,1\n444244,1\n444244,x\n", 21,
                        &rows, &errors, &err),
                 ERR_INVALID, &err, "line 1: ");
    assert_int_equal(errors.n, 2);
    assert_contains(errors.items[1].detail, "line 3: latency_ms \"x\"");
    field_errors_close(&errors);
    for (int i = 0; i < 1000; i++) {
        text_puts(&body, "x,y\n");
    }
    assert_error(
        decode(msg_measurements_decode_csv, NASBENCH, body.bytes, body.size, &rows, &errors, &err),
        ERR_INVALID, &err, "line 1: ");
    assert_int_equal(errors.n, 64);
    field_errors_close(&errors);
    text_close(&body);
}

/* Wrong rows can be shorter than any that is right, so that there are more of them than there is room. */
static void what_stands_behind_many_short_wrong_lines_is_not_kept(void **state)
{
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    struct text body = {0};
    (void)state;
    for (int i = 0; i < 60; i++) {
        text_puts(&body, ",\n");
    }
    text_puts(&body, "444244,1\n444244,2\n");
    assert_error(
        decode(msg_measurements_decode_csv, NASBENCH, body.bytes, body.size, &rows, &errors, &err),
        ERR_INVALID, &err, "line 1: ");
    assert_int_equal(errors.n, 60);
    field_errors_close(&errors);
    text_close(&body);
}

static void an_empty_body_has_no_row(void **state)
{
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    (void)state;
    assert_error(msg_measurements_decode_csv(NASBENCH, NULL, 0, &rows, &errors, &err), ERR_INVALID,
                 &err, "there is no row");
    field_errors_close(&errors);
}

static void a_nul_is_no_text(void **state)
{
    static const char text[] = "444244,1\n444\0004,2\n444244,3\0\n";
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    (void)state;
    assert_error(
        decode(msg_measurements_decode_csv, NASBENCH, text, sizeof text - 1, &rows, &errors, &err),
        ERR_INVALID, &err, "line 2: ");
    assert_int_equal(errors.n, 2);
    field_errors_close(&errors);
}

static void too_many_rows_are_refused_with_the_bound(void **state)
{
    enum { ROW_BYTES = 9 };
    size_t n = MEASUREMENTS_MAX_ROWS + 1;
    char *bytes = malloc(n * ROW_BYTES);
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct error err = {0};
    size_t counted = 0;
    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < n; i++) {
        memcpy(bytes + i * ROW_BYTES, "444244,1\n", ROW_BYTES);
    }
    assert_error(msg_measurements_decode_csv(NASBENCH, bytes, n * ROW_BYTES, &rows, &errors, &err),
                 ERR_LIMIT, &err, "at most 1048576 measurements");
    assert_error(msg_measurements_count_csv(NASBENCH, bytes, n * ROW_BYTES, &counted, &err),
                 ERR_LIMIT, &err, "at most 1048576 measurements");
    assert_ok(msg_measurements_count_csv(NASBENCH, bytes, (n - 1) * ROW_BYTES, &counted, &err),
              &err);
    assert_int_equal(counted, MEASUREMENTS_MAX_ROWS);
    assert_ok(
        msg_measurements_decode_csv(NASBENCH, bytes, (n - 1) * ROW_BYTES, &rows, &errors, &err),
        &err);
    assert_int_equal(rows.n_rows, MEASUREMENTS_MAX_ROWS);
    measurements_close(&rows);
    field_errors_close(&errors);
    free(bytes);
}

static void json_is_read_in_every_notation(void **state)
{
    (void)state;
    expect_rows(
        msg_measurements_decode_json, NASBENCH,
        "{\"latency_ms\":[12.5, 3, 1e-3],\"architectures\":[[4,4,4,2,4,4],\"111111\",\"" CELL
        "\"]}",
        "architecture,latency_ms\n444244,12.5\n111111,3\n444244,0.001\n");
}

struct bad_json {
    const char *text;
    enum err code;
    const char *pointer, *detail;
};

/* clang-format off */
static const struct bad_json bad_json[] = {
    {"",                                                      ERR_SYNTAX,  NULL,                 "line 1"},
    {"{",                                                     ERR_SYNTAX,  NULL,                 "line 1"},
    {"[]",                                                    ERR_INVALID, "",                   "must be an object"},
    {"{}",                                                    ERR_INVALID, "/architectures",     "architectures is missing"},
    {"{\"architectures\":[\"444244\"]}",                      ERR_INVALID, "/latency_ms",        "latency_ms is missing"},
    {"{\"architectures\":[],\"latency_ms\":[]}",              ERR_INVALID, "/architectures",     "at least one"},
    {"{\"architectures\":3,\"latency_ms\":[1]}",              ERR_INVALID, "/architectures",     "must be a list"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":1}",     ERR_INVALID, "/latency_ms",        "must be a list of numbers, not a number"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[1,2]}", ERR_INVALID, "/latency_ms",        "one number for each of the 1 architectures, not 2"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[0]}",   ERR_INVALID, "/latency_ms/0",      "not 0"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[-0.5]}", ERR_INVALID, "/latency_ms/0",     "not -0.5"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[1e400]}", ERR_INVALID, "/latency_ms/0",    "not inf"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[null]}", ERR_INVALID, "/latency_ms/0",     "not null"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[\"1\"]}", ERR_INVALID, "/latency_ms/0",    "not a string"},
    {"{\"architectures\":[\"444944\"],\"latency_ms\":[1]}",   ERR_INVALID, "/architectures/0",   "gene 4 of nasbench201"},
    {"{\"architectures\":[[4,4,4,9,4,4]],\"latency_ms\":[1]}", ERR_INVALID, "/architectures/0/3", "gene 4 of nasbench201"},
    {"{\"architectures\":[444244],\"latency_ms\":[1]}",       ERR_INVALID, "/architectures/0",   "a list of genes or a string"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[1],\"device\":\"x\"}", ERR_INVALID, "/device", "is not a field here"},
    {"{\"architectures\":[\"444244\"],\"latency_ms\":[NaN]}", ERR_SYNTAX,  NULL,                 "line 1"},
};
/* clang-format on */

static void each_wrong_field_of_json_is_pointed_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT_OF(bad_json); i++) {
        const struct bad_json *row = &bad_json[i];
        struct measurements rows = {0};
        struct field_errors errors = {0};
        struct error err = {0};
        assert_error(decode(msg_measurements_decode_json, NASBENCH, row->text, strlen(row->text),
                            &rows, &errors, &err),
                     row->code, &err, row->detail);
        assert_int_equal(errors.n > 0, row->pointer != NULL);
        if (row->pointer != NULL) {
            assert_string_equal(errors.items[0].pointer, row->pointer);
            assert_contains(errors.items[0].detail, row->detail);
        }
        assert_null(rows.genes);
        field_errors_close(&errors);
    }
}

/* Numbers of any size and number of digits come back as they were. */
static void what_is_written_is_read_back_exactly(void **state)
{
    enum { N_ROWS = 500 };
    int32_t genes[N_ROWS * 6];
    double latency_ms[N_ROWS];
    const struct measurements rows = {NASBENCH, genes, latency_ms, N_ROWS};
    struct measurements back = {0};
    struct field_errors errors = {0};
    struct text text = {0};
    struct error err = {0};
    struct rng rng;
    (void)state;
    rng_init(&rng, 5);
    for (size_t i = 0; i < N_ROWS; i++) {
        space_unrank(NASBENCH, (i * 7919) % 15625, genes + i * 6);
        latency_ms[i] = exp(30.0 * rng_uniform(&rng) - 14.0);
    }
    latency_ms[0] = 1e7;
    latency_ms[1] = 5e-324;
    latency_ms[2] = 0.1 + 0.2;
    latency_ms[3] = 34.1;
    msg_measurements_encode_csv(&rows, "\r\n", &text);
    assert_ok(msg_measurements_decode_csv(NASBENCH, text.bytes, text.size, &back, &errors, &err),
              &err);
    assert_int_equal(back.n_rows, N_ROWS);
    assert_memory_equal(back.genes, genes, sizeof genes);
    assert_memory_equal(back.latency_ms, latency_ms, sizeof latency_ms);
    measurements_close(&back);
    text_close(&text);
}

static void json_is_written_with_where_it_comes_from(void **state)
{
    int32_t genes[] = {4, 4, 4, 2, 4, 4, 1, 1, 1, 1, 1, 1};
    double latency_ms[] = {12.5, 0.30000000000000004};
    const struct measurements rows = {NASBENCH, genes, latency_ms, 2};
    struct text text = {0};
    (void)state;
    msg_measurements_encode_json(&rows, "A \"phone\"", "measurements", &text);
    assert_string_equal(
        text.bytes,
        "{\"device\":\"A "
        "\\\"phone\\\"\",\"search_space\":\"nasbench201\",\"source\":\"measurements\","
        "\"architectures\":[\"444244\",\"111111\"],\"latency_ms\":[12.5,0.30000000000000004]}\n");
    text_close(&text);
}

struct call {
    decoder *decode_bytes;
    const char *text;
    enum err expected;
};

static enum err call_decoder(void *context, struct error *err)
{
    const struct call *call = context;
    struct measurements rows = {0};
    struct field_errors errors = {0};
    enum err rc = call->decode_bytes(NASBENCH, call->text, strlen(call->text), &rows, &errors, err);

    measurements_close(&rows);
    field_errors_close(&errors);
    return rc == call->expected ? ERR_OK : rc;
}

static void no_memory_is_told_and_leaves_nothing(void **state)
{
    struct call calls[] = {
        {msg_measurements_decode_csv,  TWO_ROWS,                                              ERR_OK     },
        {msg_measurements_decode_csv,  "4,1\n444244,0\n",                                     ERR_INVALID},
        {msg_measurements_decode_json, "{\"architectures\":[\"444244\"],\"latency_ms\":[1]}",
         ERR_OK                                                                                          },
        {msg_measurements_decode_json, "{\"architectures\":[\"4\"],\"latency_ms\":[0]}",
         ERR_INVALID                                                                                     },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(calls); i++) {
        fail_each_allocation(call_decoder, &calls[i]);
    }
}

/* Every prefix of a body, and every byte of it changed, is read or refused and nothing else. */
static void spoilt_bodies_do_no_harm(void **state)
{
    static const char csv[] = "\xef\xbb\xbf"
                              "architecture,latency_ms\r\n\"[4,4,4,2,4,4]\",12.5\r\n" CELL ",1\n";
    static const char json[] =
        "{\"architectures\":[\"444244\",[1,1,1,1,1,1]],\"latency_ms\":[1,2.5]}";
    static const struct {
        decoder *decode_bytes;
        const char *text;
    } bodies[] = {
        {msg_measurements_decode_csv,  csv },
        {msg_measurements_decode_json, json},
    };
    static const char put_in[] = {'\0', '"', ',', '\n', '\r', '9', '-', '\xff'};
    (void)state;
    for (size_t b = 0; b < COUNT_OF(bodies); b++) {
        size_t size = strlen(bodies[b].text);
        for (size_t i = 0; i < size * (COUNT_OF(put_in) + 1); i++) {
            struct measurements rows = {0};
            struct field_errors errors = {0};
            struct error err = {0};
            char body[256];
            size_t at = i % size;
            size_t kind = i / size;
            enum err rc;
            memcpy(body, bodies[b].text, size);
            body[at] = kind < COUNT_OF(put_in) ? put_in[kind] : body[at];
            rc = decode(bodies[b].decode_bytes, NASBENCH, body, kind < COUNT_OF(put_in) ? size : at,
                        &rows, &errors, &err);
            assert_true(rc == ERR_OK || rc == ERR_SYNTAX || rc == ERR_INVALID);
            assert_true(rc != ERR_OK || rows.n_rows > 0);
            measurements_close(&rows);
            field_errors_close(&errors);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(csv_is_read_in_every_usual_form),
        counted_test(an_architecture_may_come_twice),
        counted_test(genes_of_many_digits_are_separated_by_blanks),
        counted_test(each_wrong_line_of_csv_is_named),
        counted_test(all_wrong_lines_are_told_up_to_a_bound),
        counted_test(what_stands_behind_many_short_wrong_lines_is_not_kept),
        counted_test(an_empty_body_has_no_row),
        counted_test(a_nul_is_no_text),
        counted_test(too_many_rows_are_refused_with_the_bound),
        counted_test(json_is_read_in_every_notation),
        counted_test(each_wrong_field_of_json_is_pointed_at),
        counted_test(what_is_written_is_read_back_exactly),
        counted_test(json_is_written_with_where_it_comes_from),
        counted_test(no_memory_is_told_and_leaves_nothing),
        counted_test(spoilt_bodies_do_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

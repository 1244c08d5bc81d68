/* Measured latencies as JSON and as CSV: what is read is written in both forms, and read the same.
 *
 * An input is the space's initial (n, f) and the form's (j, c), then the body. */
#include "proto/msg_measurements.h"
#include "server/measured_rows.h"
#include "tests/fuzz/fuzz.h"

typedef enum err decode(const struct space *space, const char *bytes, size_t size,
                        struct measurements *out, struct field_errors *errors, struct error *err);

static void require_same(const struct measurements *a, const struct measurements *b)
{
    const size_t n_genes = a->space->n_genes;

    require(a->n_rows == b->n_rows);
    require(memcmp(a->genes, b->genes, a->n_rows * n_genes * sizeof *a->genes) == 0);
    require(memcmp(a->latency_ms, b->latency_ms, a->n_rows * sizeof *a->latency_ms) == 0);
}

static void check_again(const struct measurements *rows, decode *read, const struct text *text)
{
    struct measurements again = {0};
    struct field_errors errors = {0};
    struct error err = {0};

    require(!text->has_failed);
    require(read(rows->space, text->bytes, text->size, &again, &errors, &err) == ERR_OK);
    require_same(rows, &again);
    measurements_close(&again);
    field_errors_close(&errors);
}

/* The reply is the body's two members and others: those alone are read again. */
static void check_json(const struct measurements *rows)
{
    struct text text = {0}, body = {0};
    const char *members;

    msg_measurements_encode_json(rows, "x", "y", &text);
    require_json_text(&text);
    members = strstr(text.bytes, "\"architectures\"");
    require(members != NULL);
    text_puts(&body, "{");
    text_puts(&body, members);
    check_again(rows, msg_measurements_decode_json, &body);
    text_close(&body);
    text_close(&text);
}

static void check_csv(const struct measurements *rows)
{
    struct text text = {0};
    struct measured_rows stored = {0};
    struct error err = {0};
    size_t n = 0;

    msg_measurements_encode_csv(rows, rows->n_rows % 2 == 0 ? "\n" : "\r\n", &text);
    check_again(rows, msg_measurements_decode_csv, &text);
    require(msg_measurements_count_csv(rows->space, text.bytes, text.size, &n, &err) == ERR_OK);
    require(n == rows->n_rows);
    require(measured_rows_parse(rows->space, text.bytes, text.size, &stored, &err) == ERR_OK);
    require(stored.n == rows->n_rows);
    measured_rows_close(&stored);
    text_close(&text);
}

static void run(const char *bytes, size_t size)
{
    struct measurements rows = {0};
    struct field_errors errors = {0};
    struct error err = {0}, counted = {0};
    const struct space *space;
    decode *read;
    size_t n = 0;
    enum err rc;

    if (size < 2) {
        return;
    }
    space = bytes[0] == 'n' ? &space_nasbench201 : &space_fbnetv3;
    read = bytes[1] == 'j' ? msg_measurements_decode_json : msg_measurements_decode_csv;
    rc = read(space, bytes + 2, size - 2, &rows, &errors, &err);
    require_told(rc, &err, &errors);
    if (bytes[1] != 'j') {
        require(msg_measurements_count_csv(space, bytes + 2, size - 2, &n, &counted) == rc);
        require(rc != ERR_OK || n == rows.n_rows);
    }
    if (rc == ERR_OK) {
        require(rows.n_rows >= 1 && rows.n_rows <= MEASUREMENTS_MAX_ROWS);
        for (size_t i = 0; i < rows.n_rows; i++) {
            require(rows.latency_ms[i] > 0 && rows.latency_ms[i] <= MEASUREMENTS_MAX_MS);
        }
        check_json(&rows);
        check_csv(&rows);
    }
    measurements_close(&rows);
    field_errors_close(&errors);
}

FUZZ_TARGET(run)

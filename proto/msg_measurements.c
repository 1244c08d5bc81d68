#include "proto/msg_measurements.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "core/mem.h"
#include "proto/json_spec.h"
#include "proto/msg_predict.h"

/* A body that is wrong throughout is not answered with a sentence for every row. */
enum { MOST_REPORTED = 64 };

/* Room for any notation that can be right, and for enough of a wrong one to tell it by. */
enum { FIELD_BYTES = 512 };

static const char header[] = "architecture,latency_ms";

static enum err begin_rows(struct measurements *m, size_t n, struct error *err)
{
    m->genes = mem_calloc(n, m->space->n_genes * sizeof *m->genes);
    m->latency_ms = mem_calloc(n, sizeof *m->latency_ms);
    if (m->genes == NULL || m->latency_ms == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu measurements", n);
    }
    return ERR_OK;
}

static enum err report_limit(struct error *err)
{
    return error_set(err, ERR_LIMIT, "a device has at most %zu measurements of a search space",
                     MEASUREMENTS_MAX_ROWS);
}

static bool is_latency(double ms)
{
    return ms > 0.0 && ms <= MEASUREMENTS_MAX_MS; /* not of NaN */
}

#define LATENCY_DOMAIN "latency_ms must be a positive number of milliseconds, at most 1e7"

/* ---- JSON ------------------------------------------------------------------------------------ */

struct json_body {
    struct measurements rows;
    size_t max_rows;
    enum err rc; /* what is no matter of a field: memory, the bound on rows */
    struct error err;
};

static void read_architectures(const struct json_reader *reader, struct json_view value)
{
    struct json_body *body = reader->out;
    const struct space *space = body->rows.space;
    bool is_list = json_view_kind(value) == JSON_KIND_ARRAY;
    size_t n = is_list ? json_view_count(value) : 0;
    struct json_view item;
    size_t i = 0;

    if (n == 0) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of at least one architecture");
        return;
    }
    if (n > body->max_rows && body->max_rows < MEASUREMENTS_MAX_ROWS) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be a list of at most %zu architectures here, not %zu",
                         body->max_rows, n);
        return;
    }
    body->rc =
        n > body->max_rows ? report_limit(&body->err) : begin_rows(&body->rows, n, &body->err);
    if (body->rc != ERR_OK) {
        return;
    }
    body->rows.n_rows = n;
    for (bool more = json_view_first(value, &item); more && reader->errors->n < MOST_REPORTED;
         more = json_view_next(&item), i++) {
        char at[JSON_POINTER_BYTES];
        struct error why;
        size_t bad_gene;
        if (msg_architecture_read(space, item, body->rows.genes + i * space->n_genes, &bad_gene,
                                  &why) == ERR_OK) {
            continue;
        }
        (void)snprintf(at, sizeof at, bad_gene != SIZE_MAX ? "%s/%zu/%zu" : "%s/%zu",
                       reader->pointer, i, bad_gene);
        field_errors_add(reader->errors, i, at, "%s", why.text);
    }
}

static void read_latencies(const struct json_reader *reader, struct json_view value)
{
    struct json_body *body = reader->out;
    struct json_view item;
    size_t i = 0;

    if (json_view_kind(value) != JSON_KIND_ARRAY) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a list of numbers, not %s",
                         json_view_kind_name(value));
        return;
    }
    if (body->rows.n_rows == 0) {
        return; /* reported already */
    }
    if (json_view_count(value) != body->rows.n_rows) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must have one number for each of the %zu architectures, not %zu",
                         body->rows.n_rows, json_view_count(value));
        return;
    }
    for (bool more = json_view_first(value, &item); more && reader->errors->n < MOST_REPORTED;
         more = json_view_next(&item), i++) {
        char at[JSON_POINTER_BYTES];
        bool is_number = json_view_kind(item) == JSON_KIND_NUMBER;
        double ms = is_number ? json_view_number(item) : 0.0;
        if (is_latency(ms)) {
            body->rows.latency_ms[i] = ms;
            continue;
        }
        (void)snprintf(at, sizeof at, "%s/%zu", reader->pointer, i);
        if (is_number) {
            field_errors_add(reader->errors, i, at, LATENCY_DOMAIN ", not %.12g", ms);
        } else {
            field_errors_add(reader->errors, i, at, LATENCY_DOMAIN ", not %s",
                             json_view_kind_name(item));
        }
    }
}

static const struct json_field fields[] = {
    {"architectures", true, read_architectures},
    {"latency_ms",    true, read_latencies    },
};

enum err msg_measurements_decode_json(const struct space *space, const char *bytes, size_t size,
                                      struct measurements *out, struct field_errors *errors,
                                      struct error *err)
{
    struct json_body body = {.rows = {.space = space}, .max_rows = MEASUREMENTS_MAX_ROWS};
    struct json_view root;
    enum err rc = json_view_check(bytes, size, &root, err);

    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, fields, sizeof fields / sizeof *fields, "", &body, errors);
    if (body.rc != ERR_OK) {
        rc = error_set(err, body.rc, "%s", body.err.text);
    } else {
        rc = field_errors_conclude(errors, "the measurements", err);
    }
    if (rc != ERR_OK) {
        measurements_close(&body.rows);
        return rc;
    }
    *out = body.rows;
    return ERR_OK;
}

bool msg_measurements_read(const struct json_reader *reader, struct json_view value,
                           const struct space *space, size_t max_rows, struct measurements *out)
{
    struct json_body body = {.rows = {.space = space}, .max_rows = max_rows};
    const size_t n_before = reader->errors->n;

    json_spec_read(value, fields, sizeof fields / sizeof *fields, reader->pointer, &body,
                   reader->errors);
    reader->errors->has_failed = reader->errors->has_failed || body.rc == ERR_NOMEM;
    if (body.rc != ERR_OK || reader->errors->n > n_before || reader->errors->has_failed) {
        measurements_close(&body.rows);
        return false;
    }
    *out = body.rows;
    return true;
}

/* ---- CSV ------------------------------------------------------------------------------------- */

struct csv {
    const char *at, *end;
    size_t line;        /* where `at` stands, from 1 */
    size_t record_line; /* where the record began */
};

/* A field: where its text stands, in the body or, unquoted, in `buffer`. */
struct csv_field {
    const char *text;
    size_t length; /* FIELD_BYTES or more: it was too long, and is cut */
    char buffer[FIELD_BYTES];
};

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static void skip_blanks(struct csv *csv)
{
    while (csv->at < csv->end && is_blank(*csv->at)) {
        csv->at++;
    }
}

/* Whether a line ends here; a CR counts before a LF and at the very end. */
static bool at_line_end(const struct csv *csv)
{
    return csv->at == csv->end || *csv->at == '\n' ||
           (*csv->at == '\r' && (csv->at + 1 == csv->end || csv->at[1] == '\n'));
}

static void next_line(struct csv *csv)
{
    csv->at += csv->at < csv->end && *csv->at == '\r' ? 1 : 0;
    csv->at += csv->at < csv->end ? 1 : 0;
    csv->line++;
}

static enum err read_quoted(struct csv *csv, struct csv_field *field, struct error *err)
{
    size_t opened = csv->line;

    field->text = field->buffer;
    field->length = 0;
    for (csv->at++; csv->at < csv->end; csv->at++) {
        if (*csv->at == '"') {
            if (csv->at + 1 == csv->end || csv->at[1] != '"') {
                break;
            }
            csv->at++; /* two quotes stand for one */
        }
        csv->line += *csv->at == '\n' ? 1 : 0;
        if (field->length < FIELD_BYTES) {
            field->buffer[field->length++] = *csv->at;
        }
    }
    if (csv->at == csv->end) {
        return error_set(err, ERR_SYNTAX, "line %zu: a double quote is opened and not closed",
                         opened);
    }
    csv->at++;
    skip_blanks(csv);
    if (!at_line_end(csv) && *csv->at != ',') {
        return error_set(err, ERR_SYNTAX,
                         "line %zu: a comma or the end of the line must follow the closing quote",
                         csv->line);
    }
    return ERR_OK;
}

static enum err read_plain(struct csv *csv, struct csv_field *field, struct error *err)
{
    field->text = csv->at;
    while (!at_line_end(csv) && *csv->at != ',') {
        if (*csv->at == '"') {
            return error_set(err, ERR_SYNTAX,
                             "line %zu: a double quote stands inside of a field; a field with "
                             "quotes is written in quotes, and each of them twice",
                             csv->line);
        }
        csv->at++;
    }
    field->length = (size_t)(csv->at - field->text);
    while (field->length > 0 && is_blank(field->text[field->length - 1])) {
        field->length--;
    }
    return ERR_OK;
}

/* Reads a record: its first two fields, and how many there are. */
static enum err read_record(struct csv *csv, struct csv_field fields_read[2], size_t *n_fields,
                            struct error *err)
{
    struct csv_field surplus;

    csv->record_line = csv->line;
    for (*n_fields = 0;; csv->at++) {
        struct csv_field *field = *n_fields < 2 ? &fields_read[*n_fields] : &surplus;
        enum err rc;
        skip_blanks(csv);
        rc = csv->at < csv->end && *csv->at == '"' ? read_quoted(csv, field, err)
                                                   : read_plain(csv, field, err);
        if (rc != ERR_OK) {
            return rc;
        }
        ++*n_fields;
        if (at_line_end(csv)) {
            next_line(csv);
            return ERR_OK;
        }
    }
}

static bool field_is(const struct csv_field *field, const char *word)
{
    return field->length == strlen(word) && strncasecmp(field->text, word, field->length) == 0;
}

static enum err read_latency(const struct csv_field *field, double *ms, struct error *err)
{
    char word[64];
    char *end = word;
    size_t length = field->length < sizeof word ? field->length : sizeof word - 1;

    memcpy(word, field->text, length);
    word[length] = '\0';
    /* no NaN, infinity or hexadecimal, which strtod would take */
    if (field->length == length && strspn(word, "0123456789+-.eE") == length) {
        *ms = strtod(word, &end);
    }
    if (end == word || *end != '\0') {
        for (char *c = word; *c != '\0'; c++) { /* the message must stay printable */
            *c = (*c >= 0x20 && *c < 0x7f) ? *c : '?';
        }
        return error_set(err, ERR_INVALID, "latency_ms \"%.40s\" is not a number", word);
    }
    return is_latency(*ms) ? ERR_OK
                           : error_set(err, ERR_INVALID, LATENCY_DOMAIN ", not %.12g", *ms);
}

static enum err read_row(const struct space *space, const struct csv_field *row, size_t n_fields,
                         int32_t *genes, double *ms, struct error *err)
{
    enum err rc;

    if (n_fields != 2) {
        return error_set(err, ERR_INVALID,
                         "%zu fields where 2 are expected, %s; an architecture with commas is "
                         "written in double quotes",
                         n_fields, header);
    }
    if (row[0].length >= FIELD_BYTES) {
        return error_set(err, ERR_INVALID, "an architecture's text has at most %d bytes",
                         FIELD_BYTES - 1);
    }
    rc = space_parse(space, row[0].text, row[0].length, genes, NULL, err);
    return rc != ERR_OK ? rc : read_latency(&row[1], ms, err);
}

/* The most rows that so many bytes can hold. */
static size_t most_rows(const struct space *space, const char *bytes, size_t size)
{
    size_t n_lines = 1;
    size_t n_fit = size / (space->n_genes + 2) + 1; /* a byte a gene, a comma, a digit */

    for (const char *c = bytes; c != NULL && n_lines < n_fit; n_lines++) {
        c = memchr(c, '\n', (size_t)(bytes + size - c));
        c = c != NULL ? c + 1 : NULL;
    }
    n_lines = n_lines < n_fit ? n_lines : n_fit;
    return n_lines < MEASUREMENTS_MAX_ROWS ? n_lines : MEASUREMENTS_MAX_ROWS;
}

/* Goes through all rows. A row that is wrong goes to `errors`; `rows` keeps those before the first such
 * row, since those behind it may be more than most_rows(). */
static enum err read_rows(const struct space *space, struct csv *csv, struct measurements *rows,
                          size_t *n_rows, struct field_errors *errors, struct error *err)
{
    struct csv_field row[2];
    bool is_first = true;

    *n_rows = 0;
    while (csv->at < csv->end && errors->n < MOST_REPORTED && !errors->has_failed) {
        int32_t genes[SPACE_MAX_GENES];
        double ms = 0.0;
        size_t n_fields;
        struct error why;
        enum err rc = read_record(csv, row, &n_fields, err);
        if (rc != ERR_OK) {
            return rc;
        }
        if (n_fields == 1 && row[0].length == 0) {
            continue; /* an empty line */
        }
        if (is_first) {
            is_first = false;
            if (n_fields == 2 && field_is(&row[0], "architecture") &&
                field_is(&row[1], "latency_ms")) {
                continue;
            }
        }
        if (*n_rows == MEASUREMENTS_MAX_ROWS) {
            return report_limit(err);
        }
        if (read_row(space, row, n_fields, genes, &ms, &why) != ERR_OK) {
            field_errors_add(errors, csv->record_line, "", "line %zu: %s", csv->record_line,
                             why.text);
        } else if (rows != NULL && errors->n == 0) {
            memcpy(rows->genes + *n_rows * space->n_genes, genes, space->n_genes * sizeof *genes);
            rows->latency_ms[*n_rows] = ms;
        }
        ++*n_rows;
    }
    return ERR_OK;
}

static enum err scan_csv(const struct space *space, const char *bytes, size_t size,
                         struct measurements *rows, size_t *n_rows, struct field_errors *errors,
                         struct error *err)
{
    bool has_mark = size >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0;
    struct csv csv = {.at = bytes + (has_mark ? 3 : 0), .end = bytes + size, .line = 1};
    enum err rc = read_rows(space, &csv, rows, n_rows, errors, err);

    if (rc == ERR_OK && *n_rows == 0) {
        field_errors_add(errors, 1, "", "line 1: there is no row; the form is %s", header);
    }
    return rc != ERR_OK ? rc : field_errors_conclude(errors, "the measurements", err);
}

enum err msg_measurements_decode_csv(const struct space *space, const char *bytes, size_t size,
                                     struct measurements *out, struct field_errors *errors,
                                     struct error *err)
{
    struct measurements rows = {.space = space};
    enum err rc;

    bytes = size > 0 ? bytes : ""; /* of an empty body there is no address */
    rc = begin_rows(&rows, most_rows(space, bytes, size), err);
    rc = rc != ERR_OK ? rc : scan_csv(space, bytes, size, &rows, &rows.n_rows, errors, err);
    if (rc != ERR_OK) {
        measurements_close(&rows);
        return rc;
    }
    *out = rows;
    return ERR_OK;
}

enum err msg_measurements_count_csv(const struct space *space, const char *bytes, size_t size,
                                    size_t *n_rows, struct error *err)
{
    struct field_errors errors = {0};
    size_t n = 0;
    enum err rc = scan_csv(space, bytes, size, NULL, &n, &errors, err);

    field_errors_close(&errors);
    if (rc == ERR_OK) {
        *n_rows = n;
    }
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

void msg_measurements_encode_json(const struct measurements *measurements, const char *device,
                                  const char *source, struct text *out)
{
    const struct space *space = measurements->space;

    text_reserve(out, 256 + measurements->n_rows * (3 * space->n_genes + 12));
    text_puts(out, "{\"device\":");
    text_put_json_string(out, device);
    text_printf(out, ",\"search_space\":\"%s\",\"source\":\"%s\",\"architectures\":[", space->name,
                source);
    for (size_t i = 0; i < measurements->n_rows; i++) {
        char text[SPACE_TEXT_BYTES];
        size_t length = space_print_genes(space, measurements->genes + i * space->n_genes, text);
        text_puts(out, i > 0 ? ",\"" : "\"");
        text_put(out, text, length);
        text_put(out, "\"", 1);
    }
    text_puts(out, "],\"latency_ms\":[");
    for (size_t i = 0; i < measurements->n_rows; i++) {
        text_puts(out, i > 0 ? "," : "");
        text_put_json_number_exact(out, measurements->latency_ms[i]);
    }
    text_puts(out, "]}\n");
}

void msg_measurements_encode_csv(const struct measurements *measurements, const char *line_end,
                                 struct text *out)
{
    const struct space *space = measurements->space;

    text_reserve(out, 64 + measurements->n_rows * (2 * space->n_genes + 12));
    text_puts(out, header);
    text_puts(out, line_end);
    for (size_t i = 0; i < measurements->n_rows; i++) {
        char text[SPACE_TEXT_BYTES];
        size_t length = space_print_genes(space, measurements->genes + i * space->n_genes, text);
        text_put(out, text, length);
        text_put(out, ",", 1);
        text_put_json_number_exact(out, measurements->latency_ms[i]);
        text_puts(out, line_end);
    }
}

void measurements_close(struct measurements *measurements)
{
    mem_free(measurements->genes);
    mem_free(measurements->latency_ms);
    memset(measurements, 0, sizeof *measurements);
}

#include "core/table.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"

/* Position in a file that is read word by word. */
struct scanner {
    const char *path;
    const char *at, *end;
    size_t line;
};

enum { NUMBER_BYTES = 64 };

static bool is_blank(char c)
{
    return c == ' ' || c == '\t' || c == '\v' || c == '\f';
}

/* Moves past blanks. True where the line (or the file) ends here; CR counts as part of CRLF only.
 */
static bool at_line_end(struct scanner *s)
{
    while (s->at < s->end && is_blank(*s->at)) {
        s->at++;
    }
    return s->at == s->end || *s->at == '\n' ||
           (*s->at == '\r' && (s->at + 1 == s->end || s->at[1] == '\n'));
}

static void next_line(struct scanner *s)
{
    while (s->at < s->end && *s->at != '\n') {
        s->at++;
    }
    if (s->at < s->end) {
        s->at++;
        s->line++;
    }
}

static size_t skip_digits(const char *word, size_t i)
{
    while (word[i] >= '0' && word[i] <= '9') {
        i++;
    }
    return i;
}

/* Plain decimal only: strtod alone would also take "0x10", "inf" and "nan". */
static bool is_decimal(const char *word)
{
    size_t start = word[0] == '-' || word[0] == '+' ? 1 : 0;
    size_t i = skip_digits(word, start);
    size_t n_digits = i - start;

    if (word[i] == '.') {
        size_t fraction = i + 1;
        i = skip_digits(word, fraction);
        n_digits += i - fraction;
    }
    if (n_digits == 0) {
        return false;
    }
    if (word[i] == 'e' || word[i] == 'E') {
        size_t exponent = i + 1 + (word[i + 1] == '-' || word[i + 1] == '+' ? 1 : 0);
        i = skip_digits(word, exponent);
        if (i == exponent) {
            return false;
        }
    }
    return word[i] == '\0';
}

static enum err scan_number(struct scanner *s, double *value, struct error *err)
{
    char word[NUMBER_BYTES] = {0};
    const char *start = s->at;
    size_t length;

    while (s->at < s->end && !is_blank(*s->at) && *s->at != '\n' && *s->at != '\r') {
        s->at++;
    }
    length = (size_t)(s->at - start);
    if (length == 0) { /* a CR in the middle of a line */
        return error_set(err, ERR_SYNTAX, "%s:%zu: a carriage return stands inside the line",
                         s->path, s->line);
    }
    memcpy(word, start, length < sizeof word ? length : sizeof word - 1);
    if (length >= sizeof word || strlen(word) != length || !is_decimal(word)) {
        for (char *c = word; *c != '\0'; c++) { /* the message must stay printable */
            *c = (*c >= 0x20 && *c < 0x7f) ? *c : '?';
        }
        return error_set(err, ERR_SYNTAX, "%s:%zu: \"%s\" is not a number", s->path, s->line, word);
    }
    *value = strtod(word, NULL);
    if (!isfinite(*value)) {
        return error_set(err, ERR_INVALID, "%s:%zu: %s is too large for a number", s->path, s->line,
                         word);
    }
    return ERR_OK;
}

/* Opens the scanner; `*bytes` is to be freed by the caller. */
static enum err open_scanner(const char *path, struct scanner *s, char **bytes, struct error *err)
{
    size_t size;
    enum err rc = file_read(path, TABLE_MAX_FILE_BYTES, bytes, &size, err);

    if (rc != ERR_OK) {
        return rc;
    }
    s->path = path;
    s->at = *bytes;
    s->end = *bytes + size;
    s->line = 1;
    if (size >= 3 && memcmp(s->at, "\xef\xbb\xbf", 3) == 0) {
        s->at += 3;
    }
    return ERR_OK;
}

static enum err scan_row(struct scanner *s, size_t n_columns, double *row, struct error *err)
{
    size_t n = 0;

    while (!at_line_end(s)) {
        double value;
        enum err rc = scan_number(s, &value, err);
        if (rc != ERR_OK) {
            return rc;
        }
        if (n < n_columns) {
            row[n] = value;
        }
        n++;
    }
    if (n != n_columns) {
        return error_set(err, ERR_SYNTAX, "%s:%zu: %zu numbers where %zu are expected", s->path,
                         s->line, n, n_columns);
    }
    next_line(s);
    return ERR_OK;
}

/* True where nothing but blanks and line ends is left. */
static bool only_blanks_left(const struct scanner *s)
{
    for (const char *c = s->at; c < s->end; c++) {
        if (!is_blank(*c) && *c != '\n' && *c != '\r') {
            return false;
        }
    }
    return true;
}

static size_t count_lines(const struct scanner *s)
{
    size_t n = 1;

    for (const char *c = s->at; c < s->end; c++) {
        n += *c == '\n' ? 1 : 0;
    }
    return n;
}

enum err table_read(const char *path, size_t n_columns, struct table *out, struct error *err)
{
    struct scanner s;
    struct table table = {.n_columns = n_columns};
    char *bytes = NULL;
    enum err rc = open_scanner(path, &s, &bytes, err);

    if (rc != ERR_OK) {
        return rc;
    }
    table.values = mem_calloc(count_lines(&s), n_columns * sizeof *table.values);
    if (table.values == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for the numbers of %s", path);
    }
    while (rc == ERR_OK && !only_blanks_left(&s)) {
        rc = scan_row(&s, n_columns, table.values + table.n_rows * n_columns, err);
        table.n_rows++;
    }
    if (rc == ERR_OK && table.n_rows == 0) {
        rc = error_set(err, ERR_SYNTAX, "%s:1: the file is empty", path);
    }
    mem_free(bytes);
    if (rc != ERR_OK) {
        table_close(&table);
        return rc;
    }
    *out = table;
    return ERR_OK;
}

enum err table_read_values(const char *path, size_t n_values, double *values, size_t *lines,
                           struct error *err)
{
    struct scanner s;
    char *bytes = NULL;
    size_t n = 0;
    enum err rc = open_scanner(path, &s, &bytes, err);

    while (rc == ERR_OK && !only_blanks_left(&s)) {
        double value;
        if (at_line_end(&s)) {
            next_line(&s);
            continue;
        }
        rc = scan_number(&s, &value, err);
        if (rc == ERR_OK && n < n_values) {
            values[n] = value;
            if (lines != NULL) {
                lines[n] = s.line;
            }
        }
        n++;
    }
    if (rc == ERR_OK && n != n_values) {
        rc = error_set(err, ERR_SYNTAX, "%s:%zu: %zu numbers where %zu are expected", path, s.line,
                       n, n_values);
    }
    mem_free(bytes);
    return rc;
}

enum err table_read_positive(const char *path, size_t n_rows, double **values, size_t *n_read,
                             struct error *err)
{
    struct table table = {0};
    enum err rc = table_read(path, 1, &table, err);

    if (rc != ERR_OK) {
        return rc;
    }
    if (n_rows != 0 && table.n_rows != n_rows) {
        rc = error_set(err, ERR_INVALID,
                       "%s:%zu: the file has %zu rows where net.txt has %zu; they must go row for "
                       "row",
                       path, table.n_rows, table.n_rows, n_rows);
    }
    for (size_t i = 0; rc == ERR_OK && i < table.n_rows; i++) {
        if (!(table.values[i] > 0.0)) {
            rc = error_set(err, ERR_INVALID, "%s:%zu: %g must be a positive number", path, i + 1,
                           table.values[i]);
        }
    }
    if (rc != ERR_OK) {
        table_close(&table);
        return rc;
    }
    *values = table.values; /* handed over */
    if (n_read != NULL) {
        *n_read = table.n_rows;
    }
    return ERR_OK;
}

void table_close(struct table *table)
{
    mem_free(table->values);
    table->values = NULL;
    table->n_rows = 0;
}

#include "core/space.h"

#include <stdio.h>
#include <string.h>

#include "core/space_declared.h"

static int32_t list_index(const struct gene *gene, int32_t value)
{
    int32_t low = 0;
    int32_t high = gene->n_values;

    while (low < high) {
        int32_t middle = low + (high - low) / 2;
        if (gene->values[middle] < value) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < gene->n_values && gene->values[low] == value ? low : -1;
}

int32_t gene_index(const struct gene *gene, int32_t value)
{
    int64_t offset = (int64_t)value - gene->first;

    if (gene->values != NULL) {
        return list_index(gene, value);
    }
    if (offset < 0 || offset % gene->step != 0 || offset / gene->step >= gene->n_values) {
        return -1;
    }
    return (int32_t)(offset / gene->step);
}

int32_t gene_value(const struct gene *gene, int32_t index)
{
    return gene->values != NULL ? gene->values[index] : gene->first + index * gene->step;
}

/* "16, 24, 40 or 96"; of a long list the first values and the last. */
static void print_list(const struct gene *gene, char *text, size_t size)
{
    enum { MOST_PRINTED = 8 };
    const int32_t last = gene->n_values - 1;
    size_t used = 0;

    for (int32_t i = 0; i < last && i < MOST_PRINTED && used < size; i++) {
        int n = snprintf(text + used, size - used, i > 0 ? ", %d" : "%d", gene->values[i]);
        used += n > 0 ? (size_t)n : 0;
    }
    if (used < size) {
        (void)snprintf(text + used, size - used, last > MOST_PRINTED ? ", ... or %d" : " or %d",
                       gene->values[last]);
    }
}

static void print_domain(const struct gene *gene, char *text, size_t size)
{
    int32_t last = gene_value(gene, gene->n_values - 1);

    if (gene->values != NULL) {
        print_list(gene, text, size);
    } else if (gene->n_values == 1) {
        (void)snprintf(text, size, "%d", gene->first);
    } else if (gene->n_values == 2) {
        (void)snprintf(text, size, "%d or %d", gene->first, last);
    } else if (gene->step == 1) {
        (void)snprintf(text, size, "%d to %d", gene->first, last);
    } else {
        (void)snprintf(text, size, "%d to %d in steps of %d", gene->first, last, gene->step);
    }
}

enum err space_validate(const struct space *space, const int32_t *genes, size_t *bad_gene,
                        struct error *err)
{
    for (size_t i = 0; i < space->n_genes; i++) {
        const struct gene *gene = &space->genes[i];
        if (gene_index(gene, genes[i]) < 0) {
            char domain[128];
            if (bad_gene != NULL) {
                *bad_gene = i;
            }
            print_domain(gene, domain, sizeof domain);
            return error_set(err, ERR_INVALID, "gene %zu of %s must be %s, not %d (it is the %s)",
                             i + 1, space->name, domain, genes[i], gene->name);
        }
    }
    return ERR_OK;
}

static bool is_digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool is_separator(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

static bool has_one_digit(const struct gene *gene)
{
    return gene->first >= 0 && gene_value(gene, gene->n_values - 1) <= 9;
}

/* "444244": only where every gene of the space has one digit. */
static bool parse_digits(const struct space *space, const char *text, size_t length, int32_t *genes)
{
    if (length != space->n_genes) {
        return false;
    }
    for (size_t i = 0; i < length; i++) {
        if (!is_digit(text[i]) || !has_one_digit(&space->genes[i])) {
            return false;
        }
        genes[i] = text[i] - '0';
    }
    return true;
}

/* Reads one whole number at *at; a value beyond int32_t is cut to its bound, which no domain has.
 */
static bool parse_integer(const char *text, size_t length, size_t *at, int32_t *value)
{
    bool is_negative = *at < length && text[*at] == '-';
    int64_t magnitude = 0;
    size_t start;

    *at += is_negative ? 1 : 0;
    start = *at;
    while (*at < length && is_digit(text[*at])) {
        magnitude = magnitude * 10 + (text[*at] - '0');
        magnitude = magnitude > INT32_MAX ? INT32_MAX : magnitude;
        (*at)++;
    }
    *value = (int32_t)(is_negative ? -magnitude : magnitude);
    return *at > start;
}

static enum err parse_list(const struct space *space, const char *text, size_t length,
                           int32_t *genes, struct error *err)
{
    size_t n = 0;
    size_t at = 0;

    if (length >= 2 && text[0] == '[' && text[length - 1] == ']') {
        text++;
        length -= 2;
    }
    for (;;) {
        int32_t value;
        while (at < length && is_separator(text[at])) {
            at++;
        }
        if (at == length) {
            break;
        }
        if (!parse_integer(text, length, &at, &value) || (at < length && !is_separator(text[at]))) {
            return error_set(err, ERR_SYNTAX, "\"%.*s\" is no architecture of %s: %s",
                             (int)(length < 80 ? length : 80), text, space->name, space->notation);
        }
        if (n < space->n_genes) {
            genes[n] = value;
        }
        n++;
    }
    if (n != space->n_genes) {
        return error_set(err, ERR_SYNTAX, "an architecture of %s has %zu genes, not %zu: %s",
                         space->name, space->n_genes, n, space->notation);
    }
    return ERR_OK;
}

enum err space_read(const struct space *space, const char *text, size_t length, int32_t *genes,
                    struct error *err)
{
    enum err rc = ERR_NOT_FOUND;

    if (parse_digits(space, text, length, genes)) {
        return ERR_OK;
    }
    if (space->parse_own != NULL) {
        rc = space->parse_own(text, length, genes, err);
    }
    return rc == ERR_NOT_FOUND ? parse_list(space, text, length, genes, err) : rc;
}

enum err space_parse(const struct space *space, const char *text, size_t length, int32_t *genes,
                     size_t *bad_gene, struct error *err)
{
    enum err rc = space_read(space, text, length, genes, err);

    if (rc != ERR_OK) {
        if (bad_gene != NULL) {
            *bad_gene = SIZE_MAX;
        }
        return rc;
    }
    return space_validate(space, genes, bad_gene, err);
}

/* Writes a number in decimal; returns how many bytes. Files of a million rows are written by it. */
static size_t put_number(int32_t value, char *text)
{
    char digits[12];
    size_t n = 0;
    size_t used = 0;
    int64_t rest = value;

    if (rest < 0) {
        text[used++] = '-';
        rest = -rest;
    }
    do {
        digits[n++] = (char)('0' + rest % 10);
        rest /= 10;
    } while (rest > 0);
    while (n > 0) {
        text[used++] = digits[--n];
    }
    return used;
}

size_t space_print_genes(const struct space *space, const int32_t *genes, char *text)
{
    bool is_dense = true;
    size_t used = 0;

    for (size_t i = 0; i < space->n_genes; i++) {
        is_dense = is_dense && has_one_digit(&space->genes[i]);
    }
    for (size_t i = 0; i < space->n_genes && used + 13 < SPACE_TEXT_BYTES; i++) {
        if (i > 0 && !is_dense) {
            text[used++] = ' ';
        }
        used += put_number(genes[i], text + used);
    }
    text[used] = '\0';
    return used;
}

void space_print(const struct space *space, const int32_t *genes, char *text)
{
    if (space->print_own != NULL) {
        space->print_own(genes, text);
    } else {
        (void)space_print_genes(space, genes, text);
    }
}

enum err space_check_countable(const struct space *space, const int32_t *genes, struct error *err)
{
    if (space->check_countable == NULL) {
        return error_set(err, ERR_INVALID, "nothing is known of what networks of %s cost",
                         space->name);
    }
    return space->check_countable(genes, err);
}

bool space_tells(const struct space *space, enum space_table table)
{
    return space->declaration == NULL || space->declaration->has_table[table];
}

enum err space_count(const struct space *space, const int32_t *genes, struct cost *cost,
                     struct error *err)
{
    enum err rc;

    if (space->declaration != NULL) {
        return space_declaration_count(space, genes, cost, err);
    }
    rc = space_check_countable(space, genes, err);
    if (rc != ERR_OK) {
        return rc;
    }
    memset(cost, 0, sizeof *cost);
    space->count(genes, cost);
    return ERR_OK;
}

bool space_is_among(const struct space *space, const int32_t *rows, size_t n, const int32_t *genes)
{
    for (size_t i = 0; i < n; i++) {
        if (memcmp(rows + i * space->n_genes, genes, space->n_genes * sizeof *genes) == 0) {
            return true;
        }
    }
    return false;
}

size_t space_rank(const struct space *space, const int32_t *genes)
{
    size_t rank = 0;

    for (size_t i = 0; i < space->n_genes; i++) {
        rank = rank * (size_t)space->genes[i].n_values +
               (size_t)gene_index(&space->genes[i], genes[i]);
    }
    return rank;
}

void space_unrank(const struct space *space, size_t rank, int32_t *genes)
{
    for (size_t i = space->n_genes; i-- > 0;) {
        size_t n_values = (size_t)space->genes[i].n_values;
        genes[i] = gene_value(&space->genes[i], (int32_t)(rank % n_values));
        rank /= n_values;
    }
}

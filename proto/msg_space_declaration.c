#include "proto/msg_space_declaration.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/digest.h"
#include "proto/json_spec.h"

/* More errors than this are not told of: what is read may be anything, and long. */
enum { MOST_TOLD = 16, ITEM_POINTER_BYTES = JSON_POINTER_BYTES };

/* ---- parts ----------------------------------------------------------------------------------- */

static bool is_enough(const struct field_errors *errors)
{
    return errors->n >= MOST_TOLD || errors->has_failed;
}

static void point_at(const char *pointer, size_t item, char at[ITEM_POINTER_BYTES])
{
    (void)snprintf(at, ITEM_POINTER_BYTES, "%.*s/%zu", ITEM_POINTER_BYTES - 24, pointer, item);
}

/* A whole number of least to most into `out`; else false, and the error is told. */
static bool read_whole(struct field_errors *errors, const char *pointer, struct json_view value,
                       int64_t least, int64_t most, int64_t *out)
{
    int64_t number;

    if (!json_view_whole(value, &number) || number < least || number > most) {
        field_errors_add(errors, 0, pointer, "must be a whole number of %" PRId64 " to %" PRId64,
                         least, most);
        return false;
    }
    *out = number;
    return true;
}

/* Text for people: what would move a terminal's cursor is refused. */
static void read_text(const struct json_reader *reader, struct json_view value, char *out,
                      size_t size, bool may_be_empty)
{
    if (!json_view_text(value, out, size) || (out[0] == '\0' && !may_be_empty)) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a string of %d to %zu bytes",
                         may_be_empty ? 0 : 1, size - 1);
        return;
    }
    for (const char *c = out; *c != '\0'; c++) {
        if ((unsigned char)*c < ' ' || *c == '\x7f') {
            field_errors_add(reader->errors, 0, reader->pointer,
                             "must not hold control characters");
            return;
        }
    }
}

/* ---- genes ----------------------------------------------------------------------------------- */

/* A blank and two digits come behind the name of a gene that is repeated. */
enum { REPEATED_NAME_BYTES = SPACE_GENE_NAME_BYTES - 1 - 3 };

/* One item of "genes", before it is repeated. */
struct gene_draft {
    char name[SPACE_GENE_NAME_BYTES];
    int64_t repeat;
    bool has_values, has_range;
    int64_t first, step, n_range;
    size_t n_values; /* 0 as long as there are none, or wrong ones */
    int32_t values[SPACE_GENE_MAX_VALUES];
    bool has_table[SPACE_N_TABLES];
    uint64_t costs[SPACE_N_TABLES][SPACE_GENE_MAX_VALUES];
};

static void read_gene_name(const struct json_reader *reader, struct json_view value)
{
    struct gene_draft *gene = reader->out;

    read_text(reader, value, gene->name, sizeof gene->name, false);
}

static void read_repeat(const struct json_reader *reader, struct json_view value)
{
    struct gene_draft *gene = reader->out;

    (void)read_whole(reader->errors, reader->pointer, value, 1, SPACE_MAX_GENES, &gene->repeat);
}

/* Whether the value is a list of 1 to 256 items. */
static bool check_list(const struct json_reader *reader, struct json_view value)
{
    const bool is_array = json_view_kind(value) == JSON_KIND_ARRAY;
    const size_t n = is_array ? json_view_count(value) : 0;

    if (n < 1 || n > SPACE_GENE_MAX_VALUES) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a list of 1 to %d numbers",
                         SPACE_GENE_MAX_VALUES);
        return false;
    }
    return true;
}

static void read_values(const struct json_reader *reader, struct json_view value)
{
    struct gene_draft *gene = reader->out;
    struct json_view item;
    int64_t before = INT64_MIN;
    size_t n = 0;
    size_t i = 0;

    gene->has_values = true;
    if (!check_list(reader, value)) {
        return;
    }
    for (bool more = json_view_first(value, &item); more && !is_enough(reader->errors);
         more = json_view_next(&item), i++) {
        char at[ITEM_POINTER_BYTES];
        int64_t number;
        point_at(reader->pointer, i, at);
        if (!read_whole(reader->errors, at, item, -SPACE_MAX_VALUE, SPACE_MAX_VALUE, &number)) {
            continue;
        }
        if (number <= before) {
            field_errors_add(reader->errors, 0, at,
                             "values must ascend; %" PRId64 " follows %" PRId64, number, before);
        }
        before = number;
        gene->values[n++] = (int32_t)number;
    }
    gene->n_values = n == i ? n : 0;
}

static void read_first(const struct json_reader *reader, struct json_view value)
{
    struct gene_draft *gene = reader->out;

    gene->has_range = true;
    (void)read_whole(reader->errors, reader->pointer, value, -SPACE_MAX_VALUE, SPACE_MAX_VALUE,
                     &gene->first);
}

static void read_step(const struct json_reader *reader, struct json_view value)
{
    struct gene_draft *gene = reader->out;

    gene->has_range = true;
    (void)read_whole(reader->errors, reader->pointer, value, 1, 2 * (int64_t)SPACE_MAX_VALUE,
                     &gene->step);
}

/* The last of the three: makes the values of them. */
static void read_n_values(const struct json_reader *reader, struct json_view value)
{
    struct gene_draft *gene = reader->out;

    gene->has_range = true;
    if (!read_whole(reader->errors, reader->pointer, value, 1, SPACE_GENE_MAX_VALUES,
                    &gene->n_range)) {
        return;
    }
    if (gene->first + (gene->n_range - 1) * gene->step > SPACE_MAX_VALUE) {
        field_errors_add(reader->errors, 0, reader->pointer, "the last value is beyond %d",
                         SPACE_MAX_VALUE);
        return;
    }
    if (!gene->has_values) {
        gene->n_values = (size_t)gene->n_range;
        for (size_t i = 0; i < gene->n_values; i++) {
            gene->values[i] = (int32_t)(gene->first + (int64_t)i * gene->step);
        }
    }
}

/* What the values cost, one number each. */
static void read_costs(const struct json_reader *reader, struct json_view value,
                       enum space_table table)
{
    struct gene_draft *gene = reader->out;
    struct json_view item;
    size_t i = 0;

    if (!check_list(reader, value)) {
        return;
    }
    if (gene->n_values > 0 && json_view_count(value) != gene->n_values) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must have one number for each of the %zu values, not %zu", gene->n_values,
                         json_view_count(value));
        return;
    }
    gene->has_table[table] = true;
    for (bool more = json_view_first(value, &item); more && !is_enough(reader->errors);
         more = json_view_next(&item), i++) {
        char at[ITEM_POINTER_BYTES];
        int64_t number = 0;
        point_at(reader->pointer, i, at);
        (void)read_whole(reader->errors, at, item, 0, SPACE_MAX_COST, &number);
        gene->costs[table][i] = (uint64_t)number;
    }
}

static void read_macs(const struct json_reader *reader, struct json_view value)
{
    read_costs(reader, value, SPACE_MACS);
}

static void read_traffic_bytes(const struct json_reader *reader, struct json_view value)
{
    read_costs(reader, value, SPACE_TRAFFIC_BYTES);
}

static void read_params(const struct json_reader *reader, struct json_view value)
{
    read_costs(reader, value, SPACE_PARAMS);
}

/* Tables rely on the values before them, n_values on first and step. */
static const struct json_field gene_fields[] = {
    {"name",          true,  read_gene_name    },
    {"repeat",        false, read_repeat       },
    {"values",        false, read_values       },
    {"first",         false, read_first        },
    {"step",          false, read_step         },
    {"n_values",      false, read_n_values     },
    {"macs",          false, read_macs         },
    {"traffic_bytes", false, read_traffic_bytes},
    {"params",        false, read_params       },
};

/* What no single field shows. */
static void check_gene(const struct gene_draft *gene, const char *pointer,
                       struct field_errors *errors)
{
    if (gene->has_values && gene->has_range) {
        field_errors_add(errors, 0, pointer,
                         "has both a list of values and first, step or n_values; give one");
    } else if (!gene->has_values && gene->n_range == 0) {
        field_errors_add(errors, 0, pointer,
                         "has no values: give a list of them, or first, step and n_values");
    }
    if (gene->repeat > 1 && strlen(gene->name) > REPEATED_NAME_BYTES) {
        field_errors_add(errors, 0, pointer,
                         "is repeated, so its name has at most %d bytes: a number is added",
                         REPEATED_NAME_BYTES);
    }
}

static bool has_name(const struct space_declaration *d, const char *name)
{
    for (size_t g = 0; g < d->n_genes; g++) {
        if (strcmp(d->genes[g].name, name) == 0) {
            return true;
        }
    }
    return false;
}

/* Appends the k-th gene of a draft; there is room. */
static void append_gene(struct space_declaration *d, const struct gene_draft *draft, int64_t k,
                        const char *pointer, struct field_errors *errors)
{
    struct declared_gene *gene = &d->genes[d->n_genes];
    char name[SPACE_GENE_NAME_BYTES];

    if (draft->repeat > 1) {
        (void)snprintf(name, sizeof name, "%.*s %d", REPEATED_NAME_BYTES, draft->name, (int)k);
    } else {
        (void)snprintf(name, sizeof name, "%s", draft->name);
    }
    if (has_name(d, name)) {
        field_errors_add(errors, 0, pointer, "two genes are called \"%s\"", name);
        return;
    }
    memcpy(gene->name, name, strlen(name) + 1);
    gene->first_value = d->n_values;
    gene->n_values = draft->n_values;
    memcpy(gene->has_table, draft->has_table, sizeof gene->has_table);
    memcpy(d->values + d->n_values, draft->values, draft->n_values * sizeof *draft->values);
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        d->has_table[t] = d->has_table[t] || draft->has_table[t];
        memcpy(d->costs[t] + d->n_values, draft->costs[t],
               draft->n_values * sizeof *draft->costs[t]);
    }
    d->n_values += draft->n_values;
    d->n_genes++;
}

static void append_repeated(struct space_declaration *d, const struct gene_draft *draft,
                            const char *pointer, struct field_errors *errors)
{
    if (d->n_genes + (size_t)draft->repeat > SPACE_MAX_GENES) {
        field_errors_add(errors, 0, pointer, "a search space has at most %d genes",
                         SPACE_MAX_GENES);
        return;
    }
    if (d->n_values + (size_t)draft->repeat * draft->n_values > SPACE_MAX_VALUES) {
        field_errors_add(errors, 0, pointer, "all genes together have at most %d values",
                         SPACE_MAX_VALUES);
        return;
    }
    for (int64_t k = 1; k <= draft->repeat && !is_enough(errors); k++) {
        append_gene(d, draft, k, pointer, errors);
    }
}

static void read_gene(struct space_declaration *d, struct json_view value, const char *pointer,
                      struct field_errors *errors)
{
    struct gene_draft draft = {.repeat = 1, .step = 1};
    const size_t n_before = errors->n;

    json_spec_read(value, gene_fields, sizeof gene_fields / sizeof *gene_fields, pointer, &draft,
                   errors);
    if (errors->n == n_before) {
        check_gene(&draft, pointer, errors);
    }
    if (errors->n == n_before) {
        append_repeated(d, &draft, pointer, errors);
    }
}

static void read_genes(const struct json_reader *reader, struct json_view value)
{
    const bool is_array = json_view_kind(value) == JSON_KIND_ARRAY;
    const size_t n = is_array ? json_view_count(value) : 0;
    struct json_view item;
    size_t i = 0;

    if (n < 1 || n > SPACE_MAX_GENES) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a list of 1 to %d genes",
                         SPACE_MAX_GENES);
        return;
    }
    for (bool more = json_view_first(value, &item); more && !is_enough(reader->errors);
         more = json_view_next(&item), i++) {
        char at[ITEM_POINTER_BYTES];
        point_at(reader->pointer, i, at);
        read_gene(reader->out, item, at, reader->errors);
    }
}

/* ---- the whole ------------------------------------------------------------------------------- */

static void read_name(const struct json_reader *reader, struct json_view value)
{
    const struct space_declaration *d = reader->out;
    char name[SPACE_NAME_BYTES];

    if (!json_view_text(value, name, sizeof name) || strcmp(name, d->name) != 0) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "must be \"%s\", as the file or the address has it", d->name);
    }
}

static void read_about(const struct json_reader *reader, struct json_view value)
{
    struct space_declaration *d = reader->out;

    read_text(reader, value, d->about, sizeof d->about, true);
}

static void read_input(const struct json_reader *reader, struct json_view value)
{
    struct space_declaration *d = reader->out;

    read_text(reader, value, d->input, sizeof d->input, false);
}

static void read_batch(const struct json_reader *reader, struct json_view value)
{
    struct space_declaration *d = reader->out;
    int64_t batch = 1;

    (void)read_whole(reader->errors, reader->pointer, value, 1, SPACE_MAX_BATCH, &batch);
    d->batch = (int)batch;
}

static void read_fixed_cost(const struct json_reader *reader, struct json_view value,
                            enum space_table table)
{
    struct space_declaration *d = reader->out;
    int64_t number = 0;

    if (!d->has_table[table]) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "no gene tells what its values cost in %s", space_table_names[table]);
    } else if (read_whole(reader->errors, reader->pointer, value, 0, SPACE_MAX_COST, &number)) {
        d->fixed[table] = (uint64_t)number;
    }
}

static void read_fixed_macs(const struct json_reader *reader, struct json_view value)
{
    read_fixed_cost(reader, value, SPACE_MACS);
}

static void read_fixed_traffic_bytes(const struct json_reader *reader, struct json_view value)
{
    read_fixed_cost(reader, value, SPACE_TRAFFIC_BYTES);
}

static void read_fixed_params(const struct json_reader *reader, struct json_view value)
{
    read_fixed_cost(reader, value, SPACE_PARAMS);
}

static const struct json_field fixed_fields[] = {
    {"macs",          false, read_fixed_macs         },
    {"traffic_bytes", false, read_fixed_traffic_bytes},
    {"params",        false, read_fixed_params       },
};

static void read_fixed(const struct json_reader *reader, struct json_view value)
{
    json_spec_read(value, fixed_fields, sizeof fixed_fields / sizeof *fixed_fields, reader->pointer,
                   reader->out, reader->errors);
}

/* The fixed part comes after the genes, which say what tables there are. */
static const struct json_field fields[] = {
    {"name",  false, read_name },
    {"about", false, read_about},
    {"input", false, read_input},
    {"batch", false, read_batch},
    {"genes", true,  read_genes},
    {"fixed", false, read_fixed},
};

/* The logarithm of a sum is a feature, so there must be one. */
static void check_sums(const struct space_declaration *d, struct field_errors *errors)
{
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        if (d->has_table[t] && space_declaration_least(d, (enum space_table)t) == 0) {
            char at[64];
            (void)snprintf(at, sizeof at, "/fixed/%s", space_table_names[t]);
            field_errors_add(errors, 0, at,
                             "the smallest network would cost nothing; tell here what all "
                             "networks have in common");
        }
    }
}

/* What a predictor depends on: names and words may change. */
static enum err make_digest(struct space_declaration *d, struct error *err)
{
    struct text text = {0};
    struct digest_part part;

    for (size_t g = 0; g < d->n_genes; g++) {
        const struct declared_gene *gene = &d->genes[g];
        text_printf(&text, "gene %zu\n", gene->n_values);
        for (size_t i = 0; i < gene->n_values; i++) {
            const size_t at = gene->first_value + i;
            text_printf(&text, "%" PRId32, d->values[at]);
            for (int t = 0; t < SPACE_N_TABLES; t++) {
                text_printf(&text, " %" PRIu64, d->costs[t][at]);
            }
            text_puts(&text, "\n");
        }
    }
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        text_printf(&text, "table %d %" PRIu64 "\n", d->has_table[t], d->fixed[t]);
    }
    part = (struct digest_part){text.bytes, text.size};
    if (!text.has_failed) {
        digest_hex(&part, 1, d->digest);
    }
    text_close(&text);
    return d->digest[0] != '\0' ? ERR_OK
                                : error_set(err, ERR_NOMEM, "no memory to read a search space");
}

static enum err decode(const char *bytes, size_t size, struct space_declaration *d,
                       struct field_errors *errors, struct error *err)
{
    struct json_view root;
    enum err rc = json_view_check(bytes, size, &root, err);

    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, fields, sizeof fields / sizeof *fields, "", d, errors);
    if (errors->n == 0) {
        check_sums(d, errors);
    }
    rc = field_errors_conclude(errors, "the search space", err);
    return rc != ERR_OK ? rc : make_digest(d, err);
}

enum err msg_space_declaration_decode(const char *bytes, size_t size, const char *name,
                                      struct space_declaration **out, struct field_errors *errors,
                                      struct error *err)
{
    struct space_declaration *d;
    enum err rc;

    if (size > SPACE_DECLARATION_MAX_BYTES) {
        return error_set(err, ERR_LIMIT,
                         "the declaration of a search space has at most %zu bytes, not %zu",
                         SPACE_DECLARATION_MAX_BYTES, size);
    }
    d = mem_calloc(1, sizeof *d);
    if (d == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to read a search space");
    }
    (void)snprintf(d->name, sizeof d->name, "%s", name);
    (void)snprintf(d->input, sizeof d->input, "unspecified");
    d->batch = 1;
    rc = decode(bytes, size, d, errors, err);
    if (rc != ERR_OK) {
        mem_free(d);
        return rc;
    }
    *out = d;
    return ERR_OK;
}

/* ---- writing --------------------------------------------------------------------------------- */

static void put_values(const struct space_declaration *d, const struct declared_gene *gene,
                       struct text *out)
{
    text_puts(out, ",\"values\":[");
    for (size_t i = 0; i < gene->n_values; i++) {
        text_printf(out, i > 0 ? ",%" PRId32 : "%" PRId32, d->values[gene->first_value + i]);
    }
    text_puts(out, "]");
}

static void put_costs(const struct space_declaration *d, const struct declared_gene *gene,
                      enum space_table table, struct text *out)
{
    text_printf(out, ",\"%s\":[", space_table_names[table]);
    for (size_t i = 0; i < gene->n_values; i++) {
        text_printf(out, i > 0 ? ",%" PRIu64 : "%" PRIu64, d->costs[table][gene->first_value + i]);
    }
    text_puts(out, "]");
}

static void put_gene(const struct space_declaration *d, const struct declared_gene *gene,
                     struct text *out)
{
    text_puts(out, "{\"name\":");
    text_put_json_string(out, gene->name);
    put_values(d, gene, out);
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        if (gene->has_table[t]) {
            put_costs(d, gene, (enum space_table)t, out);
        }
    }
    text_puts(out, "}");
}

static void put_fixed(const struct space_declaration *d, struct text *out)
{
    bool is_first = true;

    text_puts(out, "\"fixed\":{");
    for (int t = 0; t < SPACE_N_TABLES; t++) {
        if (d->has_table[t]) {
            text_printf(out, "%s\"%s\":%" PRIu64, is_first ? "" : ",", space_table_names[t],
                        d->fixed[t]);
            is_first = false;
        }
    }
    text_puts(out, "}");
}

void msg_space_declaration_encode(const struct space_declaration *declaration, bool is_file,
                                  struct text *out)
{
    const struct space_declaration *d = declaration;
    const char *between = is_file ? ",\n " : ",";

    text_puts(out, "{\"about\":");
    text_put_json_string(out, d->about);
    text_puts(out, ",\"input\":");
    text_put_json_string(out, d->input);
    text_printf(out, ",\"batch\":%d%s\"genes\":[", d->batch, between);
    for (size_t g = 0; g < d->n_genes; g++) {
        text_puts(out, g > 0 ? between : "");
        put_gene(d, &d->genes[g], out);
    }
    text_puts(out, "]");
    text_puts(out, between);
    put_fixed(d, out);
    text_puts(out, is_file ? "}\n" : "}");
}

#include "proto/msg_space.h"

#include "proto/msg_space_declaration.h"

static void put_gene(const struct gene *gene, struct text *out)
{
    text_puts(out, "{\"name\":");
    text_put_json_string(out, gene->name);
    text_printf(out, ",\"first\":%d,\"step\":", gene->first);
    if (gene->values == NULL) {
        text_printf(out, "%d", gene->step);
    } else {
        text_puts(out, "null");
    }
    text_printf(out, ",\"n_values\":%d,\"values\":[", gene->n_values);
    for (int32_t i = 0; i < gene->n_values; i++) {
        text_printf(out, i > 0 ? ",%d" : "%d", gene_value(gene, i));
    }
    text_puts(out, "]}");
}

/* An architecture from the middle of every domain. */
static void put_example(const struct space *space, struct text *out)
{
    int32_t genes[SPACE_MAX_GENES];
    char notation[SPACE_TEXT_BYTES];

    text_puts(out, ",\"example\":{\"genes\":[");
    for (size_t i = 0; i < space->n_genes; i++) {
        const struct gene *gene = &space->genes[i];
        genes[i] = gene_value(gene, gene->n_values / 2);
        text_printf(out, i > 0 ? ",%d" : "%d", genes[i]);
    }
    space_print(space, genes, notation);
    text_puts(out, "],\"notation\":");
    text_put_json_string(out, notation);
    text_puts(out, "}");
}

/* How well intervals hold, or null. */
static void put_coverage(const struct space *space, struct text *out)
{
    text_puts(out, ",\"interval_coverage\":");
    if (space->coverage == NULL) {
        text_puts(out, "null");
        return;
    }
    text_printf(out, "{\"level\":%g,\"measured\":[", SPACE_COVERAGE_LEVEL);
    for (size_t i = 0; i < SPACE_N_COVERAGES; i++) {
        text_printf(out, "%s{\"n_measurements\":%zu,\"share\":%g}", i > 0 ? "," : "",
                    space->coverage[i].n_measurements, space->coverage[i].share);
    }
    text_puts(out, "]}");
}

void msg_space_encode(const struct space *space, const char *model, bool is_whole, struct text *out)
{
    text_puts(out, "{\"name\":");
    text_put_json_string(out, space->name);
    text_puts(out, ",\"about\":");
    text_put_json_string(out, space->about);
    text_puts(out, ",\"notation\":");
    text_put_json_string(out, space->notation);
    text_printf(out, ",\"n_genes\":%zu,\"genes\":[", space->n_genes);
    for (size_t i = 0; i < space->n_genes; i++) {
        text_puts(out, i > 0 ? "," : "");
        put_gene(&space->genes[i], out);
    }
    if (space->n_architectures > 0) {
        text_printf(out, "],\"n_architectures\":%zu", space->n_architectures);
    } else {
        text_puts(out, "],\"n_architectures\":null");
    }
    text_puts(out, ",\"conditions\":{\"input\":");
    text_put_json_string(out, space->input);
    text_printf(out, ",\"batch\":%d}", space->batch);
    put_example(space, out);
    text_puts(out, space->declaration != NULL ? ",\"declared\":true" : ",\"declared\":false");
    if (space->declaration != NULL && is_whole) {
        text_puts(out, ",\"declaration\":");
        msg_space_declaration_encode(space->declaration, false, out);
    }
    put_coverage(space, out);
    text_puts(out, ",\"model\":");
    text_puts(out, model);
    text_puts(out, "}");
}

const struct space *msg_space_read(const struct json_reader *reader, struct json_view value)
{
    const struct space *space = NULL;
    char name[512]; /* enough of a wrong one to tell it by */

    if (json_view_kind(value) != JSON_KIND_STRING) {
        field_errors_add(reader->errors, 0, reader->pointer, "must be a string, not %s",
                         json_view_kind_name(value));
        return NULL;
    }
    space = json_view_text(value, name, sizeof name) ? space_find(name) : NULL;
    if (space == NULL) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "there is no search space \"%.64s\"; there are %s", name, space_names());
    }
    return space;
}

#include "proto/contract.h"

#include <ctype.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "core/version.h"

/* proto/openapi.yaml, terminated; the Makefile puts it in. */
extern const char embedded_openapi_yaml[];

/* A mapping or sequence that is open. */
struct level {
    bool is_mapping;
    bool is_value_due; /* of a mapping: its key was written */
    size_t n_written;  /* items, or keys */
};

struct writer {
    struct text *out;
    struct level levels[CONTRACT_MAX_DEPTH];
    size_t depth;
    size_t n_documents;
};

static enum err refuse(const yaml_event_t *event, const char *what, struct error *err)
{
    return error_set(err, ERR_SYNTAX, "line %zu: %s", event->start_mark.line + 1, what);
}

/* ---- scalars --------------------------------------------------------------------------------- */

static bool is_one_of(const char *text, const char *const *words)
{
    while (*words != NULL && strcmp(text, *words) != 0) {
        words++;
    }
    return *words != NULL;
}

static const char *skip_digits(const char *c)
{
    while (isdigit((unsigned char)*c)) {
        c++;
    }
    return c;
}

/* [-+]? ( "." [0-9]+ | [0-9]+ ( "." [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?, the core schema's numbers */
static bool is_decimal(const char *text)
{
    const char *start = text + strspn(text, "-+");
    const char *c = skip_digits(start);
    bool has_digits = c > start;

    if (start > text + 1) {
        return false;
    }
    if (*c == '.') {
        start = c + 1;
        c = skip_digits(start);
        has_digits = has_digits || c > start;
    }
    if (has_digits && (*c == 'e' || *c == 'E')) {
        start = c + 1;
        start += *start == '-' || *start == '+' ? 1 : 0;
        c = skip_digits(start);
        has_digits = c > start;
    }
    return has_digits && *c == '\0';
}

/* A decimal in JSON's form: no plus, no zeros in front, digits on both sides of a point. */
static void put_decimal(const char *text, struct text *out)
{
    if (*text == '-') {
        text_put(out, "-", 1);
    }
    text += strspn(text, "-+");
    while (*text == '0' && isdigit((unsigned char)text[1])) {
        text++;
    }
    if (!isdigit((unsigned char)*text)) {
        text_put(out, "0", 1);
    }
    for (; *text != '\0'; text++) {
        text_put(out, text, 1);
        if (*text == '.' && !isdigit((unsigned char)text[1])) {
            text_put(out, "0", 1);
        }
    }
}

/* 0o17 and 0xff; false where the text is neither, or too large. */
static bool put_other_base(const char *text, struct text *out)
{
    int base = strncmp(text, "0o", 2) == 0 ? 8 : strncmp(text, "0x", 2) == 0 ? 16 : 0;
    unsigned long long value;
    char *end;

    if (base == 0 || !isxdigit((unsigned char)text[2])) {
        return false;
    }
    errno = 0;
    value = strtoull(text + 2, &end, base);
    if (*end != '\0' || errno != 0) {
        return false;
    }
    text_printf(out, "%llu", value);
    return true;
}

/* A scalar without quotes is what the core schema takes it for. */
static enum err put_plain(const yaml_event_t *event, const char *text, struct text *out,
                          struct error *err)
{
    static const char *const nulls[] = {"", "~", "null", "Null", "NULL", NULL};
    static const char *const trues[] = {"true", "True", "TRUE", NULL};
    static const char *const falses[] = {"false", "False", "FALSE", NULL};
    static const char *const others[] = {".inf",  ".Inf",  ".INF",  "+.inf", "+.Inf",
                                         "+.INF", "-.inf", "-.Inf", "-.INF", ".nan",
                                         ".NaN",  ".NAN",  NULL};

    if (is_one_of(text, nulls)) {
        text_puts(out, "null");
    } else if (is_one_of(text, trues)) {
        text_puts(out, "true");
    } else if (is_one_of(text, falses)) {
        text_puts(out, "false");
    } else if (is_one_of(text, others)) {
        return refuse(event, "JSON has neither infinities nor NaN", err);
    } else if (is_decimal(text)) {
        put_decimal(text, out);
    } else if (!put_other_base(text, out)) {
        text_put_json_string(out, text);
    }
    return ERR_OK;
}

/* ---- structure ------------------------------------------------------------------------------- */

/* What comes before a value: nothing, or what parts it from the one before. */
static void begin_value(struct writer *writer, bool *is_key)
{
    struct level *level = writer->depth > 0 ? &writer->levels[writer->depth - 1] : NULL;

    *is_key = level != NULL && level->is_mapping && !level->is_value_due;
    if (level == NULL) {
        return;
    }
    if (level->is_mapping && level->is_value_due) {
        text_put(writer->out, ":", 1);
    } else {
        text_put(writer->out, ",", level->n_written > 0 ? 1 : 0);
        level->n_written++;
    }
    level->is_value_due = *is_key;
}

static enum err put_scalar(struct writer *writer, const yaml_event_t *event, struct error *err)
{
    const char *text = (const char *)event->data.scalar.value;
    bool is_plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    bool is_key;

    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL) {
        return refuse(event, "anchors and tags are not understood", err);
    }
    if (strlen(text) != event->data.scalar.length) {
        return refuse(event, "a scalar must not hold a NUL", err);
    }
    begin_value(writer, &is_key);
    if (strcmp(text, CONTRACT_VERSION) == 0) {
        text = DGLD_VERSION;
        is_plain = false;
    }
    if (is_plain && !is_key) {
        return put_plain(event, text, writer->out, err);
    }
    text_put_json_string(writer->out, text);
    return ERR_OK;
}

static enum err open_level(struct writer *writer, const yaml_event_t *event, bool is_mapping,
                           bool has_extras, struct error *err)
{
    bool is_key;

    if (has_extras) {
        return refuse(event, "anchors and tags are not understood", err);
    }
    begin_value(writer, &is_key);
    if (is_key) {
        return refuse(event, "a key must be a scalar", err);
    }
    if (writer->depth == CONTRACT_MAX_DEPTH) {
        return refuse(event, "the document is nested too deeply", err);
    }
    writer->levels[writer->depth++] = (struct level){.is_mapping = is_mapping};
    text_puts(writer->out, is_mapping ? "{" : "[");
    return ERR_OK;
}

static void close_level(struct writer *writer, const char *end)
{
    writer->depth--;
    text_puts(writer->out, end);
}

static enum err take(struct writer *writer, const yaml_event_t *event, struct error *err)
{
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return writer->n_documents++ == 0 ? ERR_OK : refuse(event, "one document is enough", err);
    case YAML_SCALAR_EVENT:
        return put_scalar(writer, event, err);
    case YAML_MAPPING_START_EVENT:
        return open_level(
            writer, event, true,
            event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL, err);
    case YAML_SEQUENCE_START_EVENT:
        return open_level(writer, event, false,
                          event->data.sequence_start.anchor != NULL ||
                              event->data.sequence_start.tag != NULL,
                          err);
    case YAML_MAPPING_END_EVENT:
        close_level(writer, "}");
        return ERR_OK;
    case YAML_SEQUENCE_END_EVENT:
        close_level(writer, "]");
        return ERR_OK;
    case YAML_ALIAS_EVENT:
        return refuse(event, "aliases are not understood", err);
    default:
        return ERR_OK;
    }
}

static enum err convert(yaml_parser_t *parser, struct writer *writer, struct error *err)
{
    for (;;) {
        yaml_event_t event;
        bool is_end;
        enum err rc;
        if (yaml_parser_parse(parser, &event) == 0) {
            return parser->error == YAML_MEMORY_ERROR
                       ? error_set(err, ERR_NOMEM, "no memory to read YAML")
                       : error_set(err, ERR_SYNTAX, "line %zu: %s", parser->problem_mark.line + 1,
                                   parser->problem != NULL ? parser->problem : "this is no YAML");
        }
        is_end = event.type == YAML_STREAM_END_EVENT;
        rc = take(writer, &event, err);
        yaml_event_delete(&event);
        if (rc != ERR_OK || is_end) {
            return rc;
        }
    }
}

enum err contract_convert(const char *yaml, size_t size, struct text *out, struct error *err)
{
    struct writer writer = {.out = out};
    yaml_parser_t parser;
    enum err rc;

    if (yaml_parser_initialize(&parser) == 0) {
        return error_set(err, ERR_NOMEM, "no memory to read YAML");
    }
    yaml_parser_set_input_string(&parser, (const unsigned char *)yaml, size);
    rc = convert(&parser, &writer, err);
    yaml_parser_delete(&parser);
    if (rc == ERR_OK && writer.n_documents == 0) {
        return error_set(err, ERR_SYNTAX, "line 1: there is nothing in it");
    }
    return rc == ERR_OK && out->has_failed ? error_set(err, ERR_NOMEM, "no memory for the contract")
                                           : rc;
}

enum err contract_write(struct text *out, struct error *err)
{
    enum err rc = contract_convert(embedded_openapi_yaml, strlen(embedded_openapi_yaml), out, err);

    if (rc != ERR_OK) {
        error_wrap(err, "openapi.yaml");
    }
    return rc;
}

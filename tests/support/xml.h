/* What the C tests ask of XML that the program writes: that it is well-formed, as far as it goes in
 * what we write (elements, attributes in double quotes, text, the five named entities and numbers),
 * and what an attribute holds. Header only. */
#ifndef DGLD_TESTS_SUPPORT_XML_H
#define DGLD_TESTS_SUPPORT_XML_H

#include "core/utf8.h"
#include "tests/support/check.h"

enum { XML_MAX_DEPTH = 32, XML_NAME_BYTES = 32 };

static inline size_t xml_name_length(const char *at)
{
    return strspn(at, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:");
}

/* Moves past characters up to the end's, all of them such as may stand there. */
static inline const char *xml_skip_text(const char *at, char end)
{
    static const char *const entities[] = {"&amp;", "&lt;", "&gt;", "&quot;", "&#39;"};

    while (*at != end && *at != '\0') {
        const size_t length = utf8_length(at);
        bool is_entity = *at != '&';
        for (size_t i = 0; i < COUNT_OF(entities); i++) {
            is_entity = is_entity || strncmp(at, entities[i], strlen(entities[i])) == 0;
        }
        if (!is_entity || length == 0 || *at == '<' ||
            (length == 1 && (unsigned char)*at < 0x20 && *at != '\n') ||
            strncmp(at, "\xef\xbf\xbe", 3) == 0 || strncmp(at, "\xef\xbf\xbf", 3) == 0) {
            fail_msg("\"%.40s\" cannot stand in a document", at);
        }
        at += length;
    }
    return at;
}

/* Moves past an element's start, its name read; *is_open: its end is to come. */
static inline const char *xml_skip_start(const char *at, char name[XML_NAME_BYTES], bool *is_open)
{
    const size_t length = xml_name_length(++at);

    assert_in_range(length, 1, XML_NAME_BYTES - 1);
    (void)snprintf(name, XML_NAME_BYTES, "%.*s", (int)length, at);
    at += length;
    while (*at == ' ') {
        const size_t n = xml_name_length(++at);
        assert_true(n > 0 && at[n] == '=' && at[n + 1] == '"');
        at = xml_skip_text(at + n + 2, '"');
        assert_int_equal(*at++, '"');
    }
    *is_open = *at != '/';
    at += *is_open ? 0 : 1;
    assert_int_equal(*at, '>');
    return at + 1;
}

/* One element that holds all of the text. */
static inline void assert_well_formed(const char *text)
{
    char open[XML_MAX_DEPTH][XML_NAME_BYTES];
    size_t depth = 0;
    const char *at = text;

    assert_int_equal(*at, '<');
    do {
        if (at[0] == '<' && at[1] == '/') {
            const size_t length = xml_name_length(at + 2);
            assert_true(depth > 0 && strlen(open[depth - 1]) == length &&
                        strncmp(at + 2, open[--depth], length) == 0);
            at += length + 2;
            assert_int_equal(*at++, '>');
        } else if (*at == '<') {
            bool is_open;
            assert_true(depth < XML_MAX_DEPTH);
            at = xml_skip_start(at, open[depth], &is_open);
            depth += is_open;
        } else {
            at = xml_skip_text(at, '<');
        }
    } while (depth > 0 && *at != '\0');
    assert_int_equal(depth, 0);
    assert_string_equal(at, "\n");
}

static inline size_t count_phrase(const char *text, const char *phrase)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, phrase)) != NULL; at += strlen(phrase)) {
        n++;
    }
    return n;
}

/* The points of a path of dots, "M1 2h0m3-4h0": (n, 2), at most `most`. Returns n. */
static inline size_t read_dots(const char *path, double *out, size_t most)
{
    double x = 0;
    double y = 0;
    size_t n = 0;

    for (const char *at = path; *at == 'M' || *at == 'm'; n++) {
        char *end;
        x += strtod(at + 1, &end);
        y += strtod(end, &end);
        assert_int_equal(strncmp(end, "h0", 2), 0);
        assert_true(n < most);
        out[2 * n] = x;
        out[2 * n + 1] = y;
        at = end + 2;
    }
    return n;
}

#endif

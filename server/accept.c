#include "server/accept.h"

#include <assert.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>

/* How a range fits a type: not, as * / *, as type / *, or exactly. */
enum fit { FIT_NONE, FIT_ANY, FIT_FAMILY, FIT_EXACT };

static enum fit fit_of(const char *range, size_t length, const char *type)
{
    const char *slash = strchr(type, '/');
    size_t family = (size_t)(slash - type) + 1; /* with the slash */

    if (length == strlen(type) && strncasecmp(range, type, length) == 0) {
        return FIT_EXACT;
    }
    if (length == family + 1 && strncasecmp(range, type, family) == 0 && range[family] == '*') {
        return FIT_FAMILY;
    }
    return length == 3 && memcmp(range, "*/*", 3) == 0 ? FIT_ANY : FIT_NONE;
}

static const char *skip_blanks(const char *c)
{
    return c + strspn(c, " \t");
}

/* The end of a parameter: a semicolon or comma outside of quotes, or the end of all. */
static const char *parameter_end(const char *c)
{
    bool is_quoted = false;

    while (*c != '\0' && (is_quoted || (*c != ';' && *c != ','))) {
        is_quoted = *c == '"' ? !is_quoted : is_quoted;
        c += is_quoted && *c == '\\' && c[1] != '\0' ? 2 : 1;
    }
    return c;
}

/* "0.75" in thousandths, -1 where it is no weight. */
static int parse_weight(const char *c, const char *end)
{
    int weight;
    int digit = 100;

    while (end > c && (end[-1] == ' ' || end[-1] == '\t')) {
        end--;
    }
    if (c == end || (*c != '0' && *c != '1')) {
        return -1;
    }
    weight = *c++ == '1' ? 1000 : 0;
    if (c < end && *c++ != '.') {
        return -1;
    }
    for (; c < end; c++, digit /= 10) {
        if (*c < '0' || *c > '9' || digit == 0) {
            return -1;
        }
        weight += (*c - '0') * digit;
    }
    return weight <= 1000 ? weight : -1;
}

/* Reads the parameters of an item and moves behind them; returns the weight. */
static int read_weight(const char **at)
{
    const char *c = *at;
    int weight = 1000;

    while (*c == ';') {
        const char *name = skip_blanks(c + 1);
        c = parameter_end(name);
        if ((name[0] == 'q' || name[0] == 'Q') && name[1] == '=') {
            weight = parse_weight(name + 2, c);
        }
    }
    *at = parameter_end(c);
    return weight;
}

size_t accept_choose(const char *accept, const char *const *types, size_t n_types)
{
    enum fit fits[ACCEPT_MAX_TYPES] = {FIT_NONE};
    int weights[ACCEPT_MAX_TYPES] = {0};
    size_t best = n_types;

    assert(n_types <= ACCEPT_MAX_TYPES);
    if (accept == NULL || *skip_blanks(accept) == '\0') {
        return 0;
    }
    for (const char *c = accept; *c != '\0';) {
        const char *range = c = skip_blanks(c);
        size_t length = strcspn(c, " \t;,");
        int weight;
        c = skip_blanks(c + length);
        weight = read_weight(&c);
        for (size_t i = 0; i < n_types && weight >= 0; i++) {
            enum fit fit = fit_of(range, length, types[i]);
            if (fit > fits[i]) {
                fits[i] = fit;
                weights[i] = weight;
            }
        }
        while (*c == ';') { /* an item that read_weight() could not end */
            c = parameter_end(c + 1);
        }
        c += *c == ',' ? 1 : 0;
    }
    for (size_t i = 0; i < n_types; i++) {
        if (weights[i] > 0 && (best == n_types || weights[i] > weights[best])) {
            best = i;
        }
    }
    return best;
}

int accept_coding_weight(const char *accepted, const char *coding)
{
    const size_t wanted = strlen(coding);

    for (const char *c = accepted; *c != '\0';) {
        const char *name = c + strspn(c, ", \t");
        const size_t length = strcspn(name, " \t;,");
        int weight;
        c = skip_blanks(name + length);
        weight = read_weight(&c);
        if (length == wanted && strncasecmp(name, coding, length) == 0) {
            return weight > 0 ? weight : 0;
        }
    }
    return -1;
}

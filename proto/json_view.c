#include "proto/json_view.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"

/* ---- check ----------------------------------------------------------------------------------- */

/* A text that is being checked. The first thing wrong with it stays in `problem`. */
struct checker {
    const char *bytes, *at, *end;
    const char *problem;
    int depth;
};

static bool fail(struct checker *c, const char *problem)
{
    c->problem = problem;
    return false;
}

static void skip_blanks(struct checker *c)
{
    while (c->at < c->end &&
           (*c->at == ' ' || *c->at == '\n' || *c->at == '\r' || *c->at == '\t')) {
        c->at++;
    }
}

static bool is_digit(char ch)
{
    return ch >= '0' && ch <= '9';
}

static bool check_digits(struct checker *c)
{
    if (c->at == c->end || !is_digit(*c->at)) {
        return fail(c, "a digit is expected");
    }
    while (c->at < c->end && is_digit(*c->at)) {
        c->at++;
    }
    return true;
}

static bool check_number(struct checker *c)
{
    c->at += *c->at == '-' ? 1 : 0;
    if (c->at < c->end && *c->at == '0') {
        c->at++;
        if (c->at < c->end && is_digit(*c->at)) {
            return fail(c, "a number does not begin with 0");
        }
    } else if (!check_digits(c)) {
        return false;
    }
    if (c->at < c->end && *c->at == '.') {
        c->at++;
        if (!check_digits(c)) {
            return false;
        }
    }
    if (c->at < c->end && (*c->at == 'e' || *c->at == 'E')) {
        c->at++;
        c->at += c->at < c->end && (*c->at == '+' || *c->at == '-') ? 1 : 0;
        return check_digits(c);
    }
    return true;
}

/* Four hexadecimal digits at `at`; -1 where they are not. */
static int hex4(const char *at, const char *end)
{
    int value = 0;

    if (end - at < 4) {
        return -1;
    }
    for (int i = 0; i < 4; i++) {
        static const char digits[] = "0123456789abcdef";
        const char *found = at[i] != '\0' ? strchr(digits, at[i] | 0x20) : NULL;
        if (found == NULL || (at[i] < '0')) {
            return -1;
        }
        value = value * 16 + (int)(found - digits);
    }
    return value;
}

static bool is_high_surrogate(int unit)
{
    return unit >= 0xd800 && unit < 0xdc00;
}

static bool is_low_surrogate(int unit)
{
    return unit >= 0xdc00 && unit < 0xe000;
}

/* An escape; `at` stands behind the backslash. */
static bool check_escape(struct checker *c)
{
    int unit;

    if (c->at == c->end || *c->at == '\0' || strchr("\"\\/bfnrtu", *c->at) == NULL) {
        return fail(c, "there is no such escape");
    }
    if (*c->at++ != 'u') {
        return true;
    }
    unit = hex4(c->at, c->end);
    if (unit < 0) {
        return fail(c, "\\u needs four hexadecimal digits");
    }
    c->at += 4;
    if (is_high_surrogate(unit)) {
        if (c->end - c->at < 6 || c->at[0] != '\\' || c->at[1] != 'u' ||
            !is_low_surrogate(hex4(c->at + 2, c->end))) {
            return fail(c, "half of a surrogate pair is missing");
        }
        c->at += 6;
    } else if (is_low_surrogate(unit)) {
        return fail(c, "half of a surrogate pair is missing");
    }
    return true;
}

/* A character beyond ASCII, which must not reach over the end. */
static bool check_character(struct checker *c)
{
    char padded[5] = {0};
    size_t left = (size_t)(c->end - c->at);
    size_t length;

    memcpy(padded, c->at, left < 4 ? left : 4);
    length = utf8_length(padded);
    if (length == 0 || length > left) {
        return fail(c, "the text is not UTF-8");
    }
    c->at += length;
    return true;
}

static bool check_string(struct checker *c)
{
    c->at++;
    while (c->at < c->end && *c->at != '"') {
        unsigned char ch = (unsigned char)*c->at;
        if (ch < 0x20) {
            return fail(c, "a control character in a string must be escaped");
        }
        if (ch == '\\') {
            c->at++;
            if (!check_escape(c)) {
                return false;
            }
        } else if (ch < 0x80) {
            c->at++;
        } else if (!check_character(c)) {
            return false;
        }
    }
    if (c->at == c->end) {
        return fail(c, "the text ends inside of a string");
    }
    c->at++;
    return true;
}

static bool check_word(struct checker *c, const char *word)
{
    size_t length = strlen(word);

    if ((size_t)(c->end - c->at) < length || memcmp(c->at, word, length) != 0) {
        return fail(c, "a value is expected");
    }
    c->at += length;
    return true;
}

static bool check_value(struct checker *c);

/* One item of an array, or one member of an object. */
static bool check_item(struct checker *c, bool is_object)
{
    skip_blanks(c);
    if (is_object) {
        if (c->at == c->end || *c->at != '"') {
            return fail(c, "a member's name in quotes is expected");
        }
        if (!check_string(c)) {
            return false;
        }
        skip_blanks(c);
        if (c->at == c->end || *c->at != ':') {
            return fail(c, "a colon is expected");
        }
        c->at++;
    }
    return check_value(c);
}

static bool check_container(struct checker *c, char close)
{
    const bool is_object = close == '}';

    if (++c->depth > JSON_MAX_DEPTH) {
        return fail(c, "the text is nested too deep");
    }
    c->at++;
    skip_blanks(c);
    if (c->at < c->end && *c->at == close) {
        c->at++;
        c->depth--;
        return true;
    }
    for (;;) {
        if (!check_item(c, is_object)) {
            return false;
        }
        skip_blanks(c);
        if (c->at < c->end && *c->at == close) {
            c->at++;
            c->depth--;
            return true;
        }
        if (c->at == c->end || *c->at != ',') {
            return fail(c, is_object ? "a comma or } is expected" : "a comma or ] is expected");
        }
        c->at++;
    }
}

static bool check_value(struct checker *c)
{
    skip_blanks(c);
    if (c->at == c->end) {
        return fail(c, "the text ends where a value is expected");
    }
    switch (*c->at) {
    case '{':
        return check_container(c, '}');
    case '[':
        return check_container(c, ']');
    case '"':
        return check_string(c);
    case 't':
        return check_word(c, "true");
    case 'f':
        return check_word(c, "false");
    case 'n':
        return check_word(c, "null");
    default:
        return *c->at == '-' || is_digit(*c->at) ? check_number(c) : fail(c, "a value is expected");
    }
}

static enum err syntax_error(const struct checker *c, struct error *err)
{
    size_t line = 1;
    size_t column = 1;

    for (const char *at = c->bytes; at < c->at; at++) {
        line += *at == '\n' ? 1 : 0;
        column = *at == '\n' ? 1 : column + 1;
    }
    return error_set(err, ERR_SYNTAX, "line %zu, column %zu: %s", line, column, c->problem);
}

enum err json_view_check(const char *bytes, size_t size, struct json_view *out, struct error *err)
{
    struct checker c;
    bool is_good;

    if (size == 0) { /* `bytes` may be NULL, from where there is no counting */
        return error_set(err, ERR_SYNTAX, "line 1, column 1: empty where JSON is expected");
    }
    c = (struct checker){.bytes = bytes, .at = bytes, .end = bytes + size};
    skip_blanks(&c);
    out->at = c.at;
    is_good = check_value(&c);
    if (is_good) {
        skip_blanks(&c);
        is_good = c.at == c.end || fail(&c, "the value ends, and the text goes on");
    }
    return is_good ? ERR_OK : syntax_error(&c, err);
}

/* ---- values of checked text ------------------------------------------------------------------ */

enum json_kind json_view_kind(struct json_view value)
{
    switch (*value.at) {
    case '{':
        return JSON_KIND_OBJECT;
    case '[':
        return JSON_KIND_ARRAY;
    case '"':
        return JSON_KIND_STRING;
    case 't':
    case 'f':
        return JSON_KIND_BOOLEAN;
    case 'n':
        return JSON_KIND_NULL;
    default:
        return JSON_KIND_NUMBER;
    }
}

const char *json_view_kind_name(struct json_view value)
{
    static const char *const names[] = {
        [JSON_KIND_NULL] = "null",       [JSON_KIND_BOOLEAN] = "a boolean",
        [JSON_KIND_NUMBER] = "a number", [JSON_KIND_STRING] = "a string",
        [JSON_KIND_ARRAY] = "an array",  [JSON_KIND_OBJECT] = "an object",
    };

    return names[json_view_kind(value)];
}

bool json_view_is_null(struct json_view value)
{
    return *value.at == 'n';
}

bool json_view_is_true(struct json_view value)
{
    return *value.at == 't';
}

/* A number of at most 15 digits and no exponent, the common case: digits and power of ten are exact
 * as doubles, so that their quotient is the nearest double, as strtod would give it. */
static bool read_short_decimal(const char *at, double *out)
{
    static const double powers[] = {1,   1e1, 1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                    1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
    bool is_negative = *at == '-';
    const char *begin = at + is_negative;
    const char *point = NULL;
    int64_t digits = 0;
    size_t n = 0;

    for (at = begin; (*at >= '0' && *at <= '9') || (*at == '.' && point == NULL); at++) {
        if (*at == '.') {
            point = at;
            continue;
        }
        if (++n > 15) {
            return false;
        }
        digits = digits * 10 + (*at - '0');
    }
    if (*at == 'e' || *at == 'E') {
        return false;
    }
    *out = (double)digits / powers[point != NULL ? at - point - 1 : 0];
    *out = is_negative ? -*out : *out;
    return true;
}

double json_view_number(struct json_view value)
{
    double number;

    /* checked text holds nothing that only strtod takes for a number */
    return read_short_decimal(value.at, &number) ? number : strtod(value.at, NULL);
}

enum { SAFE_DIGITS = 18 }; /* so many always fit */

/* Digits alone keep every one of them, which a double has no room for; a number that is too large is
 * cut to what fits. False where there is a fraction or exponent. */
static bool plain_whole(const char *at, int64_t *out)
{
    const char *const start = at;
    bool is_negative = *at == '-';
    int64_t magnitude = 0;
    int n = 0;

    at += is_negative ? 1 : 0;
    while (n <= SAFE_DIGITS && is_digit(at[n])) {
        magnitude = n < SAFE_DIGITS ? magnitude * 10 + (at[n] - '0') : 0;
        n++;
    }
    if (n > SAFE_DIGITS) {
        n += (int)strspn(at + n, "0123456789");
    }
    if (n == 0 || at[n] == '.' || at[n] == 'e' || at[n] == 'E') {
        return false;
    }
    *out = n > SAFE_DIGITS ? strtoll(start, NULL, 10) : is_negative ? -magnitude : magnitude;
    return true;
}

bool json_view_whole(struct json_view value, int64_t *out)
{
    double number;

    if (json_view_kind(value) != JSON_KIND_NUMBER) {
        return false;
    }
    if (plain_whole(value.at, out)) {
        return true;
    }
    number = json_view_number(value);
    if (number != floor(number)) {
        return false;
    }
    if (fabs(number) < 0x1p63) {
        *out = (int64_t)number;
    } else {
        *out = number > 0.0 ? INT64_MAX : INT64_MIN;
    }
    return true;
}

static const char *end_of_string(const char *at)
{
    at++;
    while (*at != '"') {
        at += *at == '\\' ? 2 : 1;
    }
    return at + 1;
}

static bool ends_scalar(char ch)
{
    return ch == ',' || ch == ']' || ch == '}' || ch == ' ' || ch == '\t' || ch == '\r' ||
           ch == '\n';
}

/* Behind a value, whatever it is. */
static const char *end_of_value(const char *at)
{
    size_t depth = 0;

    do {
        switch (*at) {
        case '"':
            at = end_of_string(at);
            break;
        case '{':
        case '[':
            depth++;
            at++;
            break;
        case '}':
        case ']':
            depth--;
            at++;
            break;
        default:
            at++;
            while (depth == 0 && !ends_scalar(*at)) {
                at++;
            }
            break;
        }
    } while (depth > 0);
    return at;
}

size_t json_view_size(struct json_view value)
{
    return (size_t)(end_of_value(value.at) - value.at);
}

static const char *past_blanks(const char *at)
{
    while (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t') {
        at++;
    }
    return at;
}

bool json_view_string_plain(struct json_view value, const char **text, size_t *length)
{
    const char *at = value.at + 1;

    while (*at != '"') {
        if (*at == '\\') {
            return false;
        }
        at++;
    }
    *text = value.at + 1;
    *length = (size_t)(at - *text);
    return true;
}

/* Writes a code point as UTF-8; returns its length. */
static size_t put_utf8(unsigned long code, char out[4])
{
    if (code < 0x80) {
        out[0] = (char)code;
        return 1;
    }
    if (code < 0x800) {
        out[0] = (char)(0xc0 | code >> 6);
        out[1] = (char)(0x80 | (code & 0x3f));
        return 2;
    }
    if (code < 0x10000) {
        out[0] = (char)(0xe0 | code >> 12);
        out[1] = (char)(0x80 | (code >> 6 & 0x3f));
        out[2] = (char)(0x80 | (code & 0x3f));
        return 3;
    }
    out[0] = (char)(0xf0 | code >> 18);
    out[1] = (char)(0x80 | (code >> 12 & 0x3f));
    out[2] = (char)(0x80 | (code >> 6 & 0x3f));
    out[3] = (char)(0x80 | (code & 0x3f));
    return 4;
}

/* Decodes one character at *at, escape or not, and moves past it. Returns its length in UTF-8. */
static size_t decode_character(const char **at, char out[4])
{
    static const char escapes[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *c = *at;
    size_t length;
    unsigned long code;

    if (*c != '\\') {
        length = utf8_length(c);
        memcpy(out, c, length);
        *at = c + length;
        return length;
    }
    if (c[1] != 'u') {
        out[0] = meanings[strchr(escapes, c[1]) - escapes];
        *at = c + 2;
        return 1;
    }
    code = (unsigned long)hex4(c + 2, c + 6);
    *at = c + 6;
    if (is_high_surrogate((int)code)) {
        unsigned long low = (unsigned long)hex4(c + 8, c + 12);
        code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
        *at = c + 12;
    }
    return put_utf8(code, out);
}

size_t json_view_string(struct json_view value, char *out, size_t size)
{
    const char *at = value.at + 1;
    const char *plain;
    size_t written = 0;
    size_t whole = 0;

    if (json_view_string_plain(value, &plain, &whole) && whole < size) {
        memcpy(out, plain, whole);
        out[whole] = '\0';
        return whole;
    }
    whole = 0;
    while (*at != '"') {
        char character[4];
        size_t length = decode_character(&at, character);
        if (whole == written && written + length < size) { /* nothing was left out yet */
            memcpy(out + written, character, length);
            written += length;
        }
        whole += length;
    }
    out[written] = '\0';
    return whole;
}

/* ---- walking --------------------------------------------------------------------------------- */

bool json_view_first(struct json_view container, struct json_view *item)
{
    item->at = past_blanks(container.at + 1);
    return *item->at != ']' && *item->at != '}';
}

bool json_view_next(struct json_view *item)
{
    const char *at = past_blanks(end_of_value(item->at));

    if (*at != ',') {
        return false;
    }
    item->at = past_blanks(at + 1);
    return true;
}

size_t json_view_count(struct json_view array)
{
    struct json_view item;
    size_t n = 0;

    for (bool more = json_view_first(array, &item); more; more = json_view_next(&item)) {
        n++;
    }
    return n;
}

/* The value behind the name and the colon. */
static void find_value(struct json_member *member)
{
    const char *colon = past_blanks(end_of_string(member->name.at));

    member->value.at = past_blanks(colon + 1);
}

bool json_view_first_member(struct json_view object, struct json_member *member)
{
    if (!json_view_first(object, &member->name)) {
        return false;
    }
    find_value(member);
    return true;
}

bool json_view_next_member(struct json_member *member)
{
    struct json_view next = member->value;

    if (!json_view_next(&next)) {
        return false;
    }
    member->name = next;
    find_value(member);
    return true;
}

bool json_view_text(struct json_view value, char *out, size_t size)
{
    size_t length;

    out[0] = '\0';
    if (json_view_kind(value) != JSON_KIND_STRING) {
        return false;
    }
    length = json_view_string(value, out, size);
    return length < size && length == strlen(out);
}

bool json_view_find(struct json_view object, const char *name, struct json_view *out)
{
    struct json_member member;

    if (json_view_kind(object) != JSON_KIND_OBJECT) {
        return false;
    }
    for (bool more = json_view_first_member(object, &member); more;
         more = json_view_next_member(&member)) {
        char text[64];
        if (json_view_text(member.name, text, sizeof text) && strcmp(text, name) == 0) {
            *out = member.value;
            return true;
        }
    }
    return false;
}

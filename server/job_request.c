#include "server/job_request.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* ---- numbers --------------------------------------------------------------------------------- */

bool digits_parse(const char *text, int64_t *out)
{
    int64_t value = 0;

    if (*text == '\0') {
        return false;
    }
    for (; *text != '\0'; text++) {
        if (!isdigit((unsigned char)*text)) {
            return false;
        }
        value = value > (INT64_MAX - 9) / 10 ? INT64_MAX : value * 10 + (*text - '0');
    }
    *out = value;
    return true;
}

/* ---- preferences ----------------------------------------------------------------------------- */

enum { PREFERENCE_BYTES = 32 };

/* A preference of the list: its name and value. What does not fit is none that is known here. */
struct preferred {
    char name[PREFERENCE_BYTES], value[PREFERENCE_BYTES];
};

static const char *skip_blanks(const char *at)
{
    return at + strspn(at, " \t");
}

/* The end of a token or of a quoted string at `at`. */
static const char *skip_word(const char *at)
{
    if (*at != '"') {
        return at + strcspn(at, "=,; \t");
    }
    for (at++; *at != '\0' && *at != '"'; at++) {
        at += at[0] == '\\' && at[1] != '\0';
    }
    return *at == '"' ? at + 1 : at;
}

/* Copies a word without its quotes; what holds escapes means nothing here. */
static void copy_word(const char *start, const char *end, char out[PREFERENCE_BYTES])
{
    if (end - start >= 2 && *start == '"' && end[-1] == '"') {
        start++;
        end--;
    }
    (void)snprintf(out, PREFERENCE_BYTES, "%.*s", (int)(end - start), start);
}

/* Reads `name [= value] *(; parameter)` and returns where the next one begins. */
static const char *read_preferred(const char *at, struct preferred *out)
{
    const char *end = skip_word(at);

    memset(out, 0, sizeof *out);
    copy_word(at, end, out->name);
    at = skip_blanks(end);
    if (*at == '=') {
        at = skip_blanks(at + 1);
        end = skip_word(at);
        copy_word(at, end, out->value);
        at = end;
    }
    while (*at != '\0' && *at != ',') { /* parameters, and what is malformed */
        end = skip_word(at);
        at = end > at ? end : at + 1;
    }
    return at;
}

void preference_parse(const char *field, struct preference *out)
{
    struct preferred item;

    *out = (struct preference){0};
    for (const char *at = field; at != NULL && *at != '\0';) {
        at += strspn(at, ", \t");
        if (*at == '\0') {
            return;
        }
        at = read_preferred(at, &item);
        if (strcasecmp(item.name, "respond-async") == 0) {
            out->is_async = true;
        } else if (strcasecmp(item.name, "wait") == 0 && !out->has_wait) {
            int64_t wait_s;
            if (digits_parse(item.value, &wait_s)) {
                out->has_wait = true;
                out->wait_s = wait_s < JOB_WAIT_MAX_S ? (int)wait_s : JOB_WAIT_MAX_S;
            }
        }
    }
}

/* ---- idempotency keys ------------------------------------------------------------------------ */

enum err idempotency_key_parse(const char *field, char out[JOB_KEY_BYTES], struct error *err)
{
    size_t length = strlen(field);

    if (length >= 2 && field[0] == '"' && field[length - 1] == '"') {
        field++;
        length -= 2;
    }
    if (length < 1 || length >= JOB_KEY_BYTES) {
        return error_set(err, ERR_INVALID, "Idempotency-Key must have 1 to %d characters, not %zu",
                         JOB_KEY_BYTES - 1, length);
    }
    for (size_t i = 0; i < length; i++) {
        if (!(field[i] > ' ' && field[i] <= '~')) {
            return error_set(err, ERR_INVALID,
                             "Idempotency-Key must be visible characters of ASCII; character %zu "
                             "is none",
                             i + 1);
        }
    }
    memcpy(out, field, length);
    out[length] = '\0';
    return ERR_OK;
}

/* ---- cursors --------------------------------------------------------------------------------- */

void cursor_format(int64_t before_seq, char out[JOB_CURSOR_BYTES])
{
    (void)snprintf(out, JOB_CURSOR_BYTES, "j%llx", (unsigned long long)before_seq);
}

bool cursor_parse(const char *text, int64_t *before_seq)
{
    char again[JOB_CURSOR_BYTES];
    unsigned long long value;

    if (text[0] != 'j') {
        return false;
    }
    value = strtoull(text + 1, NULL, 16);
    if (value == 0 || value > INT64_MAX) {
        return false;
    }
    cursor_format((int64_t)value, again); /* one text for each number */
    if (strcmp(again, text) != 0) {
        return false;
    }
    *before_seq = (int64_t)value;
    return true;
}

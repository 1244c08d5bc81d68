#include "server/tokens.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "core/mem.h"
#include "proto/field_error.h"
#include "proto/json_spec.h"
#include "proto/json_view.h"

static const char token_prefix[] = "dgld_";

enum { RANDOM_BYTES = 32, HEX_DIGITS = DIGEST_HEX_BYTES - 1 };

/* ---- entries --------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum role role;
} role_names[] = {
    {"predict",  ROLE_PREDICT },
    {"operator", ROLE_OPERATOR}
};

enum { N_ROLES = sizeof role_names / sizeof *role_names };

enum role role_find(const char *name)
{
    for (size_t i = 0; i < N_ROLES; i++) {
        if (strcmp(role_names[i].name, name) == 0) {
            return role_names[i].role;
        }
    }
    return ROLE_NONE;
}

const char *role_name(enum role role)
{
    for (size_t i = 0; i < N_ROLES; i++) {
        if (role_names[i].role == role) {
            return role_names[i].name;
        }
    }
    return "none";
}

/* Names go into logs and onto command lines. */
static bool is_name(const char *name)
{
    static const char allowed[] =
        "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-";
    size_t length = strlen(name);

    return length > 0 && length < TOKEN_NAME_BYTES && strspn(name, allowed) == length;
}

static void read_name(const struct json_reader *reader, struct json_view value)
{
    struct token *token = reader->out;

    if (!json_view_text(value, token->name, sizeof token->name) || !is_name(token->name)) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "a token's name has 1 to %d characters: letters, digits, '.', '_', '-'",
                         TOKEN_NAME_BYTES - 1);
    }
}

static void read_role(const struct json_reader *reader, struct json_view value)
{
    struct token *token = reader->out;
    char name[16];

    token->role = json_view_text(value, name, sizeof name) ? role_find(name) : ROLE_NONE;
    if (token->role == ROLE_NONE) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "role must be \"predict\" or \"operator\"");
    }
}

static void read_sha256(const struct json_reader *reader, struct json_view value)
{
    struct token *token = reader->out;

    if (!json_view_text(value, token->sha256, sizeof token->sha256) ||
        strspn(token->sha256, "0123456789abcdefABCDEF") != HEX_DIGITS) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "sha256 must be %d hexadecimal digits: the SHA-256 of the token",
                         HEX_DIGITS);
        return;
    }
    for (char *c = token->sha256; *c != '\0'; c++) {
        *c = (char)(*c >= 'A' && *c <= 'F' ? *c - 'A' + 'a' : *c);
    }
}

static const struct json_field entry_fields[] = {
    {"name",   true, read_name  },
    {"role",   true, read_role  },
    {"sha256", true, read_sha256},
};

/* ---- sets ------------------------------------------------------------------------------------ */

/* Why `token` cannot be in the set beside those before it, or NULL. */
static const char *find_conflict(const struct token_set *set, const struct token *token)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->tokens[i].name, token->name) == 0) {
            return "there is a token of that name already";
        }
        if (strcmp(set->tokens[i].sha256, token->sha256) == 0) {
            return "there is an entry for the same token already";
        }
    }
    return NULL;
}

static void read_tokens(const struct json_reader *reader, struct json_view value)
{
    struct token_set *set = reader->out;
    struct json_view item;
    size_t n = json_view_kind(value) == JSON_KIND_ARRAY ? json_view_count(value) : SIZE_MAX;

    if (n > TOKENS_MAX) {
        field_errors_add(reader->errors, 0, reader->pointer,
                         "tokens must be a list of at most %d entries", TOKENS_MAX);
        return;
    }
    set->tokens = mem_calloc(n, sizeof *set->tokens);
    if (set->tokens == NULL) {
        reader->errors->has_failed = true;
        return;
    }
    for (bool more = json_view_first(value, &item); more; more = json_view_next(&item)) {
        struct token *token = &set->tokens[set->n];
        char at[JSON_POINTER_BYTES];
        const char *conflict;
        (void)snprintf(at, sizeof at, "%.200s/%zu", reader->pointer, set->n);
        json_spec_read(item, entry_fields, sizeof entry_fields / sizeof *entry_fields, at, token,
                       reader->errors);
        if (reader->errors->n > 0) {
            return; /* one fault is enough to refuse the file */
        }
        conflict = find_conflict(set, token);
        if (conflict != NULL) {
            field_errors_add(reader->errors, 0, at, "%s: %s", token->name, conflict);
            return;
        }
        set->n++;
    }
}

static const struct json_field file_fields[] = {
    {"tokens", true, read_tokens}
};

enum err token_set_decode(const char *bytes, size_t size, struct token_set *out, struct error *err)
{
    struct token_set set = {0};
    struct field_errors errors = {0};
    struct json_view root;
    enum err rc = json_view_check(bytes, size, &root, err);

    if (rc != ERR_OK) {
        return rc;
    }
    json_spec_read(root, file_fields, 1, "", &set, &errors);
    if (errors.n > 0) {
        rc = error_set(err, ERR_INVALID, "%s%s%s", errors.items[0].pointer,
                       errors.items[0].pointer[0] != '\0' ? ": " : "", errors.items[0].detail);
    } else if (errors.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for the tokens");
    }
    field_errors_close(&errors);
    if (rc != ERR_OK) {
        token_set_close(&set);
        return rc;
    }
    *out = set;
    return ERR_OK;
}

void token_encode(const struct token *token, struct text *text)
{
    text_printf(text, "{\"name\": \"%s\", \"role\": \"%s\", \"sha256\": \"%s\"}", token->name,
                role_name(token->role), token->sha256);
}

void token_set_encode(const struct token_set *set, struct text *text)
{
    text_puts(text, "{\"tokens\": [");
    for (size_t i = 0; i < set->n; i++) {
        text_puts(text, i > 0 ? ",\n  " : "\n  ");
        token_encode(&set->tokens[i], text);
    }
    text_puts(text, "\n]}\n");
}

enum err token_set_add(struct token_set *set, const struct token *token, struct error *err)
{
    const char *conflict = find_conflict(set, token);
    struct token *grown;

    if (!is_name(token->name)) {
        return error_set(err, ERR_INVALID,
                         "a token's name has 1 to %d characters: letters, digits, '.', '_', '-'",
                         TOKEN_NAME_BYTES - 1);
    }
    if (conflict != NULL) {
        return error_set(err, ERR_INVALID, "%s: %s", token->name, conflict);
    }
    if (set->n >= TOKENS_MAX) {
        return error_set(err, ERR_LIMIT, "there are %zu tokens already, which is the most", set->n);
    }
    grown = mem_resize(set->tokens, set->n + 1, sizeof *grown);
    if (grown == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for a token");
    }
    set->tokens = grown;
    set->tokens[set->n++] = *token;
    return ERR_OK;
}

enum err token_set_remove(struct token_set *set, const char *name, struct error *err)
{
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->tokens[i].name, name) == 0) {
            set->n--;
            memmove(&set->tokens[i], &set->tokens[i + 1], (set->n - i) * sizeof *set->tokens);
            return ERR_OK;
        }
    }
    return error_set(err, ERR_NOT_FOUND, "there is no token of the name %.60s", name);
}

/* 0 where the digests are the same; looks at all of both, whatever they hold. */
static unsigned difference(const char *a, const char *b)
{
    unsigned bits = 0;

    for (size_t i = 0; i < HEX_DIGITS; i++) {
        bits |= (unsigned char)a[i] ^ (unsigned char)b[i];
    }
    return bits;
}

const struct token *token_set_find(const struct token_set *set, const char *token, size_t size)
{
    char sha256[DIGEST_HEX_BYTES];
    size_t found = set->n;

    digest_hex(&(struct digest_part){token, size}, 1, sha256);
    for (size_t i = 0; i < set->n; i++) { /* all of them, whichever it is */
        found = difference(set->tokens[i].sha256, sha256) == 0 ? i : found;
    }
    return found < set->n ? &set->tokens[found] : NULL;
}

void token_set_close(struct token_set *set)
{
    mem_free(set->tokens);
    memset(set, 0, sizeof *set);
}

/* ---- fresh tokens ---------------------------------------------------------------------------- */

/* base64url (RFC 4648 §5) without padding; returns the number of characters. */
static size_t encode_base64url(const uint8_t *bytes, size_t size, char *out)
{
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint32_t bits = 0;
    unsigned n_bits = 0;
    size_t n = 0;

    for (size_t i = 0; i < size; i++) {
        bits = bits << 8 | bytes[i];
        for (n_bits += 8; n_bits >= 6; n_bits -= 6) {
            out[n++] = digits[bits >> (n_bits - 6) & 63];
        }
    }
    if (n_bits > 0) {
        out[n++] = digits[bits << (6 - n_bits) & 63];
    }
    return n;
}

enum err token_draw(char *out, char sha256[DIGEST_HEX_BYTES], struct error *err)
{
    uint8_t random[RANDOM_BYTES];
    size_t prefix = sizeof token_prefix - 1;
    size_t length;

    if (getrandom(random, sizeof random, 0) != (ssize_t)sizeof random) {
        return error_sys(err, errno, "cannot draw random bytes");
    }
    memcpy(out, token_prefix, prefix);
    length = prefix + encode_base64url(random, sizeof random, out + prefix);
    out[length] = '\0';
    digest_hex(&(struct digest_part){out, length}, 1, sha256);
    return ERR_OK;
}

/* Bearer tokens: a file that names them by their SHA-256, and the set that it makes.
 *
 *     {"tokens": [{"name": "ci", "role": "operator", "sha256": "<64 hexadecimal digits>"}]}
 *
 * The tokens themselves are kept nowhere: they are drawn at random, so their digest needs no salt.
 * A set is immutable once decoded, so any number of threads may look in it. */
#ifndef DGLD_SERVER_TOKENS_H
#define DGLD_SERVER_TOKENS_H

#include <stddef.h>

#include "core/error.h"
#include "proto/digest.h"
#include "proto/text.h"
#include "server/role.h"

enum {
    TOKEN_NAME_BYTES = 64, /* with the terminator */
    TOKEN_BYTES = 49,      /* of a fresh token, with the terminator */
    TOKENS_MAX = 1024,
    TOKENS_FILE_MAX_BYTES = 1 << 20,
};

struct token {
    char name[TOKEN_NAME_BYTES];
    enum role role;
    char sha256[DIGEST_HEX_BYTES]; /* lower case */
};

struct token_set {
    struct token *tokens; /* (n), owned */
    size_t n;
};

/* Reads what the file holds. ERR_SYNTAX for what is no JSON, ERR_INVALID names the entry and what
 * is wrong with it: a name or a digest that stands there twice is an error too. An empty list is
 * none: it keeps everyone out. The caller ends the set with token_set_close(). */
enum err token_set_decode(const char *bytes, size_t size, struct token_set *out, struct error *err);

/* The file of a set, an entry a line. */
void token_set_encode(const struct token_set *set, struct text *text);
void token_encode(const struct token *token, struct text *text);

/* Adds a copy of `token`. ERR_INVALID where its name is no name or is taken, ERR_LIMIT where the
 * set is full. */
enum err token_set_add(struct token_set *set, const struct token *token, struct error *err);

/* Takes the entry of that name away; the order of the others stays. ERR_NOT_FOUND. */
enum err token_set_remove(struct token_set *set, const char *name, struct error *err);

/* The entry of a token (size), or NULL. How long it takes tells nothing about the digests. */
const struct token *token_set_find(const struct token_set *set, const char *token, size_t size);

/* Accepts a zeroed struct. */
void token_set_close(struct token_set *set);

/* Draws a token of 256 random bits, "dgld_" and 43 characters of base64url, into `out` (TOKEN_BYTES)
 * and its digest into `sha256`. ERR_IO where the system has no randomness to give. */
enum err token_draw(char *out, char sha256[DIGEST_HEX_BYTES], struct error *err);

#endif

/* The tokens file, and who comes with an Authorization. An input is the file, and after a line "--"
 * the header. */
#include "server/auth.h"
#include "server/tokens.h"
#include "tests/fuzz/fuzz.h"

static void check_again(const struct token_set *set)
{
    struct token_set again = {0};
    struct text text = {0};
    struct error err = {0};

    token_set_encode(set, &text);
    require_json_text(&text);
    require(token_set_decode(text.bytes, text.size, &again, &err) == ERR_OK);
    require(again.n == set->n);
    for (size_t i = 0; i < set->n; i++) {
        require(memcmp(&set->tokens[i], &again.tokens[i], sizeof *set->tokens) == 0);
    }
    token_set_close(&again);
    text_close(&text);
}

/* An entry can be taken out and put back, once. */
static void check_change(struct token_set *set)
{
    const size_t n = set->n;
    struct token token;

    if (n == 0) {
        return;
    }
    token = set->tokens[0];
    require(token_set_add(set, &token, NULL) != ERR_OK);
    require(token_set_remove(set, token.name, NULL) == ERR_OK && set->n == n - 1);
    require(token_set_remove(set, token.name, NULL) == ERR_NOT_FOUND);
    require(token_set_add(set, &token, NULL) == ERR_OK && set->n == n);
}

static void check_caller(struct token_set *set, const char *header)
{
    struct auth auth;
    char client[TOKEN_NAME_BYTES];
    enum auth_verdict verdict;

    require(auth_init(&auth, NULL) == ERR_OK);
    auth.is_on = true;
    auth.set = *set; /* handed over */
    memset(set, 0, sizeof *set);
    verdict = auth_check(&auth, ROLE_OPERATOR, header, client);
    require((verdict == AUTH_MISSING) == (header == NULL));
    require((client[0] != '\0') == (verdict == AUTH_GRANTED || verdict == AUTH_FORBIDDEN));
    auth_close(&auth);
}

static void run(const char *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts(bytes, size);
    size_t length;
    char *file = fuzz_next(&parts, "\n--\n", &length);
    char *header = fuzz_next(&parts, "\n--\n", NULL);
    struct token_set set = {0};
    struct error err = {0};
    enum err rc = token_set_decode(file, length, &set, &err);

    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(set.n <= TOKENS_MAX);
        check_again(&set);
        check_change(&set);
        check_caller(&set, header);
    }
    token_set_close(&set);
    free(header);
    free(file);
}

FUZZ_TARGET(run)

/* server/tokens.h: the file of tokens, and finding one. */
#include "server/tokens.h"
#include "tests/support/check.h"

#define SHA_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" /* of "a" */
#define SHA_B "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d" /* of "b" */

#define ENTRY(name, role, sha) \
    "{\"name\":\"" name "\",\"role\":\"" role "\",\"sha256\":\"" sha "\"}"

static enum err decode(const char *text, struct token_set *out, struct error *err)
{
    return token_set_decode(text, strlen(text), out, err);
}

static void a_token_is_found_by_what_it_is(void **state)
{
    struct token_set set = {0};
    struct error err = {0};
    const struct token *found;
    (void)state;
    assert_ok(decode("{\"tokens\": [" ENTRY("one", "predict", SHA_A) ", " ENTRY("two", "operator",
                                                                                SHA_B) "]}",
                     &set, &err),
              &err);
    assert_int_equal(set.n, 2);
    found = token_set_find(&set, "a", 1);
    assert_non_null(found);
    assert_string_equal(found->name, "one");
    assert_int_equal(found->role, ROLE_PREDICT);
    found = token_set_find(&set, "bxyz", 1);
    assert_non_null(found);
    assert_string_equal(found->name, "two");
    assert_int_equal(found->role, ROLE_OPERATOR);
    assert_null(token_set_find(&set, "c", 1));
    assert_null(token_set_find(&set, "ab", 2));
    assert_null(token_set_find(&set, "", 0));
    assert_null(token_set_find(&set, SHA_A, strlen(SHA_A))); /* the digest is no token */
    token_set_close(&set);
}

static void digests_may_be_written_in_capitals(void **state)
{
    struct token_set set = {0};
    struct error err = {0};
    char capitals[] = "{\"tokens\": [" ENTRY("one", "predict", SHA_A) "]}";
    (void)state;
    for (char *c = strstr(capitals, "ca97"); *c != '"'; c++) {
        *c = (char)(*c >= 'a' && *c <= 'f' ? *c - 'a' + 'A' : *c);
    }
    assert_ok(decode(capitals, &set, &err), &err);
    assert_non_null(token_set_find(&set, "a", 1));
    token_set_close(&set);
}

static void an_empty_list_lets_nobody_in(void **state)
{
    struct token_set set = {0};
    struct error err = {0};
    (void)state;
    assert_ok(decode("{\"tokens\": []}", &set, &err), &err);
    assert_int_equal(set.n, 0);
    assert_null(token_set_find(&set, "a", 1));
    token_set_close(&set);
}

static void a_wrong_file_is_refused_by_entry_and_reason(void **state)
{
    static const struct {
        const char *text, *phrase;
        enum err code;
        /* clang-format off */
    } rows[] = {
        {"", "JSON", ERR_SYNTAX},
        {"{\"tokens\": [", "line 1", ERR_SYNTAX},
        {"[]", "must be an object", ERR_INVALID},
        {"{}", "/tokens: tokens is missing", ERR_INVALID},
        {"{\"tokens\": {}}", "/tokens: tokens must be a list", ERR_INVALID},
        {"{\"tokens\": [], \"more\": 1}", "\"more\" is not a field", ERR_INVALID},
        {"{\"tokens\": [1]}", "/tokens/0: must be an object", ERR_INVALID},
        {"{\"tokens\": [{\"name\": \"x\", \"role\": \"predict\"}]}",
         "/tokens/0/sha256: sha256 is missing", ERR_INVALID},
        {"{\"tokens\": [" ENTRY("", "predict", SHA_A) "]}", "/tokens/0/name: a token's name",
         ERR_INVALID},
        {"{\"tokens\": [" ENTRY("a b", "predict", SHA_A) "]}", "/tokens/0/name: a token's name",
         ERR_INVALID},
        {"{\"tokens\": [" ENTRY("x", "predict", SHA_A) "," ENTRY("y", "admin", SHA_B) "]}",
         "/tokens/1/role: role must be \"predict\" or \"operator\"", ERR_INVALID},
        {"{\"tokens\": [" ENTRY("x", "none", SHA_A) "]}", "/tokens/0/role", ERR_INVALID},
        {"{\"tokens\": [" ENTRY("x", "predict", "ca97") "]}", "64 hexadecimal digits", ERR_INVALID},
        {"{\"tokens\": [" ENTRY("x", "predict", SHA_A "0") "]}", "64 hexadecimal digits",
         ERR_INVALID},
        {"{\"tokens\": [" ENTRY("x", "predict", SHA_A) "," ENTRY("x", "predict", SHA_B) "]}",
         "/tokens/1: x: there is a token of that name", ERR_INVALID},
        {"{\"tokens\": [" ENTRY("x", "predict", SHA_A) "," ENTRY("y", "operator", SHA_A) "]}",
         "/tokens/1: y: there is an entry for the same token", ERR_INVALID},
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct token_set set = {0};
        struct error err = {0};
        assert_error(decode(rows[i].text, &set, &err), rows[i].code, &err, rows[i].phrase);
        assert_null(set.tokens);
    }
}

static void a_list_beyond_the_bound_is_refused(void **state)
{
    struct token_set set = {0};
    struct error err = {0};
    struct text text = {0};
    (void)state;
    text_puts(&text, "{\"tokens\": [0");
    for (int i = 0; i < TOKENS_MAX; i++) {
        text_puts(&text, ",0");
    }
    text_puts(&text, "]}");
    assert_error(token_set_decode(text.bytes, text.size, &set, &err), ERR_INVALID, &err,
                 "at most 1024");
    text_close(&text);
}

static void every_truncation_is_refused(void **state)
{
    static const char text[] = "{\"tokens\": [" ENTRY("x", "predict", SHA_A) "]}";
    (void)state;
    for (size_t size = 0; size + 1 < sizeof text; size++) {
        struct token_set set = {0};
        struct error err = {0};
        assert_error(token_set_decode(text, size, &set, &err), ERR_SYNTAX, &err, "");
    }
}

static void what_is_encoded_is_decoded_again(void **state)
{
    struct token_set set = {0};
    struct token_set again = {0};
    struct error err = {0};
    struct text text = {0};
    (void)state;
    assert_ok(token_set_add(&set, &(struct token){"ci", ROLE_PREDICT, SHA_A}, &err), &err);
    assert_ok(token_set_add(&set, &(struct token){"ops.1", ROLE_OPERATOR, SHA_B}, &err), &err);
    token_set_encode(&set, &text);
    assert_false(text.has_failed);
    assert_ok(token_set_decode(text.bytes, text.size, &again, &err), &err);
    assert_int_equal(again.n, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_string_equal(set.tokens[i].name, again.tokens[i].name);
        assert_int_equal(set.tokens[i].role, again.tokens[i].role);
        assert_string_equal(set.tokens[i].sha256, again.tokens[i].sha256);
    }
    text_close(&text);
    token_set_close(&set);
    token_set_close(&again);
}

static void what_cannot_be_added_leaves_the_set(void **state)
{
    struct token_set set = {0};
    struct error err = {0};
    (void)state;
    assert_ok(token_set_add(&set, &(struct token){"ci", ROLE_PREDICT, SHA_A}, &err), &err);
    assert_error(token_set_add(&set, &(struct token){"ci", ROLE_PREDICT, SHA_B}, &err), ERR_INVALID,
                 &err, "ci: there is a token of that name already");
    assert_error(token_set_add(&set, &(struct token){"no/name", ROLE_PREDICT, SHA_B}, &err),
                 ERR_INVALID, &err, "a token's name has 1 to 63 characters");
    assert_int_equal(set.n, 1);
    token_set_close(&set);
}

static void fresh_tokens_differ_and_fit_their_digest(void **state)
{
    enum { N = 64 };
    char tokens[N][TOKEN_BYTES];
    (void)state;
    for (size_t i = 0; i < N; i++) {
        struct token_set set = {0};
        struct error err = {0};
        struct token entry = {.name = "x", .role = ROLE_PREDICT};
        assert_ok(token_draw(tokens[i], entry.sha256, &err), &err);
        assert_int_equal(strlen(tokens[i]), TOKEN_BYTES - 1);
        assert_int_equal(strncmp(tokens[i], "dgld_", 5), 0);
        assert_ok(token_set_add(&set, &entry, &err), &err);
        assert_non_null(token_set_find(&set, tokens[i], strlen(tokens[i])));
        assert_null(token_set_find(&set, tokens[i], strlen(tokens[i]) - 1));
        token_set_close(&set);
        for (size_t k = 0; k < i; k++) {
            assert_string_not_equal(tokens[i], tokens[k]);
        }
    }
}

static enum err decode_one(void *context, struct error *err)
{
    struct token_set set = {0};
    enum err rc = decode(context, &set, err);
    token_set_close(&set);
    return rc;
}

static void running_out_of_memory_is_told(void **state)
{
    char text[] = "{\"tokens\": [" ENTRY("x", "predict", SHA_A) "]}";
    (void)state;
    fail_each_allocation(decode_one, text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(a_token_is_found_by_what_it_is),
        counted_test(digests_may_be_written_in_capitals),
        counted_test(an_empty_list_lets_nobody_in),
        counted_test(a_wrong_file_is_refused_by_entry_and_reason),
        counted_test(a_list_beyond_the_bound_is_refused),
        counted_test(every_truncation_is_refused),
        counted_test(what_is_encoded_is_decoded_again),
        counted_test(what_cannot_be_added_leaves_the_set),
        counted_test(fresh_tokens_differ_and_fit_their_digest),
        counted_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

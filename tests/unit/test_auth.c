/* server/auth.h: what a request's Authorization allows. */
#include <stdatomic.h>

#include "server/auth.h"
#include "tests/support/check.h"

#define SHA_A "ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb" /* of "a" */
#define SHA_B "3e23e8160039594a33894f6564e1b1348bbd7a0088d42c4acb73eeaed59c009d" /* of "b" */

static const char both[] =
    "{\"tokens\": ["
    "{\"name\": \"reader\", \"role\": \"predict\", \"sha256\": \"" SHA_A "\"},"
    "{\"name\": \"admin\", \"role\": \"operator\", \"sha256\": \"" SHA_B "\"}]}";
static const char only_a[] = "{\"tokens\": [{\"name\": \"reader\", \"role\": \"operator\", "
                             "\"sha256\": \"" SHA_A "\"}]}";

static void verdicts_follow_token_and_role(void **state)
{
    static const struct {
        enum role role;
        const char *authorization;
        enum auth_verdict verdict;
        const char *client;
        /* clang-format off */
    } rows[] = {
        {ROLE_PREDICT,  NULL,          AUTH_MISSING,   ""      },
        {ROLE_OPERATOR, NULL,          AUTH_MISSING,   ""      },
        {ROLE_PREDICT,  "Bearer a",    AUTH_GRANTED,   "reader"},
        {ROLE_PREDICT,  "bearer a",    AUTH_GRANTED,   "reader"},
        {ROLE_PREDICT,  "BEARER   a",  AUTH_GRANTED,   "reader"},
        {ROLE_OPERATOR, "Bearer a",    AUTH_FORBIDDEN, "reader"},
        {ROLE_PREDICT,  "Bearer b",    AUTH_GRANTED,   "admin" },
        {ROLE_OPERATOR, "Bearer b",    AUTH_GRANTED,   "admin" },
        {ROLE_PREDICT,  "Bearer c",    AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "Bearer a ",   AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "Bearer ab",   AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "Bearer ",     AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "Bearer",      AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "Bearera",     AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "",            AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "a",           AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "Basic YTph",  AUTH_INVALID,   ""      },
        {ROLE_PREDICT,  "Bearer a, b", AUTH_INVALID,   ""      },
        {ROLE_OPERATOR, "Bearer " SHA_B, AUTH_INVALID, ""      },
    };
    /* clang-format on */
    struct auth auth;
    struct error err = {0};
    size_t n = 0;
    (void)state;
    assert_ok(auth_init(&auth, &err), &err);
    assert_false(auth.is_on);
    assert_ok(auth_load(&auth, write_text("tokens.json", both), &n, &err), &err);
    assert_true(auth.is_on);
    assert_int_equal(n, 2);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char client[TOKEN_NAME_BYTES] = "x";
        assert_int_equal(auth_check(&auth, rows[i].role, rows[i].authorization, client),
                         rows[i].verdict);
        assert_string_equal(client, rows[i].client);
    }
    auth_close(&auth);
}

static void a_file_that_is_loaded_again_takes_the_place_of_the_one_before(void **state)
{
    struct auth auth;
    struct error err = {0};
    char client[TOKEN_NAME_BYTES];
    (void)state;
    assert_ok(auth_init(&auth, &err), &err);
    assert_ok(auth_load(&auth, write_text("tokens.json", both), NULL, &err), &err);
    assert_ok(auth_load(&auth, write_text("tokens.json", only_a), NULL, &err), &err);
    assert_int_equal(auth_check(&auth, ROLE_OPERATOR, "Bearer a", client), AUTH_GRANTED);
    assert_int_equal(auth_check(&auth, ROLE_PREDICT, "Bearer b", client), AUTH_INVALID);
    auth_close(&auth);
}

static void a_wrong_file_leaves_the_tokens(void **state)
{
    struct auth auth;
    struct error err = {0};
    char client[TOKEN_NAME_BYTES];
    (void)state;
    assert_ok(auth_init(&auth, &err), &err);
    assert_error(auth_load(&auth, own_path("absent.json"), NULL, &err), ERR_NOT_FOUND, &err,
                 "absent.json");
    assert_false(auth.is_on);
    assert_ok(auth_load(&auth, write_text("tokens.json", both), NULL, &err), &err);
    assert_error(auth_load(&auth, write_text("tokens.json", "{\"tokens\": 5}"), NULL, &err),
                 ERR_INVALID, &err, "tokens.json: /tokens: tokens must be a list");
    assert_int_equal(auth_check(&auth, ROLE_OPERATOR, "Bearer b", client), AUTH_GRANTED);
    assert_true(auth.is_on);
    auth_close(&auth);
}

struct checker {
    struct auth *auth;
    atomic_bool is_done;
    atomic_size_t n_wrong, n_checks;
};

static void *check_on(void *context)
{
    struct checker *checker = context;
    char client[TOKEN_NAME_BYTES];

    while (!atomic_load(&checker->is_done)) { /* "a" is a token in both files */
        bool is_granted =
            auth_check(checker->auth, ROLE_PREDICT, "Bearer a", client) == AUTH_GRANTED;
        atomic_fetch_add(&checker->n_wrong, !is_granted || strcmp(client, "reader") != 0);
        atomic_fetch_add(&checker->n_checks, 1);
    }
    return NULL;
}

static void tokens_are_swapped_under_requests(void **state)
{
    struct auth auth;
    struct error err = {0};
    struct checker checker = {.auth = &auth};
    pthread_t thread;
    (void)state;
    assert_ok(auth_init(&auth, &err), &err);
    (void)write_text("both.json", both);
    (void)write_text("only.json", only_a);
    assert_ok(auth_load(&auth, own_path("both.json"), NULL, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, check_on, &checker), 0);
    for (int i = 0; i < 300 || atomic_load(&checker.n_checks) < 1000; i++) {
        assert_ok(auth_load(&auth, own_path(i % 2 ? "both.json" : "only.json"), NULL, &err), &err);
    }
    atomic_store(&checker.is_done, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(atomic_load(&checker.n_wrong), 0);
    auth_close(&auth);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(verdicts_follow_token_and_role),
        directory_test(a_file_that_is_loaded_again_takes_the_place_of_the_one_before),
        directory_test(a_wrong_file_leaves_the_tokens),
        directory_test(tokens_are_swapped_under_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

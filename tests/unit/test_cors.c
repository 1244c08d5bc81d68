/* server/cors.h: whose pages may read replies. */
#include "server/cors.h"
#include "tests/support/check.h"

static void nothing_configured_allows_nobody(void **state)
{
    static const char *const lists[] = {"", "  ", "\t"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct cors cors;
        struct error err = {0};
        memset(&cors, 0xff, sizeof cors);
        assert_ok(cors_parse(lists[i], &cors, &err), &err);
        assert_false(cors_is_on(&cors));
        assert_null(cors_allow(&cors, "https://a.example"));
    }
}

static void listed_origins_are_allowed_and_no_others(void **state)
{
    static const struct {
        const char *origin, *allowed;
        /* clang-format off */
    } rows[] = {
        {"https://a.example", "https://a.example"},
        {"HTTPS://A.example", "https://a.example"},
        {"http://localhost:3000", "http://localhost:3000"},
        {"http://[::1]:8080", "http://[::1]:8080"},
        {"http://a.example", NULL},
        {"https://a.example:443", NULL},
        {"https://a.example.evil.example", NULL},
        {"https://evil.a.example", NULL},
        {"https://a.exampl", NULL},
        {"null", NULL},
        {"", NULL},
        {"*", NULL},
        {NULL, NULL},
    };
    /* clang-format on */
    struct cors cors;
    struct error err = {0};
    (void)state;
    assert_ok(
        cors_parse(" Https://A.Example ,http://localhost:3000,\thttp://[::1]:8080", &cors, &err),
        &err);
    assert_true(cors_is_on(&cors));
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const char *allowed = cors_allow(&cors, rows[i].origin);
        assert_int_equal(allowed == NULL, rows[i].allowed == NULL);
        if (allowed != NULL) {
            assert_string_equal(allowed, rows[i].allowed);
        }
    }
}

static void a_star_allows_everyone(void **state)
{
    struct cors cors;
    struct error err = {0};
    (void)state;
    assert_ok(cors_parse(" * ", &cors, &err), &err);
    assert_true(cors_is_on(&cors));
    assert_string_equal(cors_allow(&cors, "https://a.example"), "*");
    assert_string_equal(cors_allow(&cors, NULL), "*");
}

static void what_is_no_origin_is_refused_by_name(void **state)
{
    /* clang-format off */
    static const char *const lists[] = {
        "a.example",           "https://",          "https://a.example/", "https://a.example/x",
        "ftp://a.example",     "https://a b",       "null",               "https://a.example,,http://b",
        "https://a.example,",  ",",                 "https://u@a",        "https://a?x",
        "https://a.example\r\nX: y", "https://a:", "**",
    };
    /* clang-format on */
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lists); i++) {
        struct cors cors = {.n = 7};
        struct error err = {0};
        assert_error(cors_parse(lists[i], &cors, &err), ERR_INVALID, &err, "is no origin");
        assert_int_equal(cors.n, 7);
    }
}

static void a_star_stands_alone(void **state)
{
    struct cors cors;
    struct error err = {0};
    (void)state;
    assert_error(cors_parse("*,https://a.example", &cors, &err), ERR_INVALID, &err, "either");
}

static void the_bounds_are_kept(void **state)
{
    struct cors cors;
    struct error err = {0};
    char list[4096] = "";
    (void)state;
    for (size_t i = 0; i < CORS_MAX_ORIGINS; i++) {
        (void)snprintf(list + strlen(list), sizeof list - strlen(list), "%shttp://h%zu",
                       i > 0 ? "," : "", i);
    }
    assert_ok(cors_parse(list, &cors, &err), &err);
    assert_int_equal(cors.n, CORS_MAX_ORIGINS);
    assert_string_equal(cors_allow(&cors, "http://h15"), "http://h15");
    strcat(list, ",http://h16");
    assert_error(cors_parse(list, &cors, &err), ERR_LIMIT, &err, "at most 16");
    memset(list, 'a', CORS_ORIGIN_BYTES);
    memcpy(list, "http://", 7);
    list[CORS_ORIGIN_BYTES] = '\0';
    assert_error(cors_parse(list, &cors, &err), ERR_LIMIT, &err, "127 bytes");
    list[CORS_ORIGIN_BYTES - 1] = '\0';
    assert_ok(cors_parse(list, &cors, &err), &err);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(nothing_configured_allows_nobody),
        counted_test(listed_origins_are_allowed_and_no_others),
        counted_test(a_star_allows_everyone),
        counted_test(what_is_no_origin_is_refused_by_name),
        counted_test(a_star_stands_alone),
        counted_test(the_bounds_are_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/routes.h: the table of addresses. */
#include "server/routes.h"
#include "tests/support/check.h"

static struct route_match match(const char *method, const char *path)
{
    struct route_match found;

    memset(&found, 0xff, sizeof found); /* whatever was there before */
    route_match(method, path, &found);
    return found;
}

/* A path that fits a pattern: each place is filled with "x". */
static void fill(const char *pattern, char *path)
{
    while (*pattern != '\0') {
        if (*pattern == '{') {
            pattern += strcspn(pattern, "}") + 1;
            *path++ = 'x';
        } else {
            *path++ = *pattern++;
        }
    }
    *path = '\0';
}

static void every_route_is_matched_by_its_own_method_and_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        char path[256];
        struct route_match found;
        fill(routes[i].path, path);
        found = match(routes[i].method, path);
        assert_ptr_equal(found.route, &routes[i]);
        assert_string_equal(found.allow, "");
        assert_non_null(routes[i].handle);
        assert_int_equal(routes[i].path[0], '/');
    }
}

static void another_method_is_told_what_is_allowed(void **state)
{
    static const char *const methods[] = {"PATCH", "OPTIONS", "get", "TRACE", ""};
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        char path[256];
        fill(routes[i].path, path);
        for (size_t m = 0; m < COUNT_OF(methods); m++) {
            struct route_match found = match(methods[m], path);
            assert_null(found.route);
            assert_contains(found.allow, routes[i].method);
            assert_contains(found.allow, "OPTIONS");
        }
    }
}

static void head_is_served_where_get_is_and_only_there(void **state)
{
    struct route_match found = match("HEAD", "/healthz");
    (void)state;
    assert_non_null(found.route);
    found = match("HEAD", "/v1/predict");
    assert_null(found.route);
    assert_string_equal(found.allow, "POST, OPTIONS");
    found = match("POST", "/healthz");
    assert_null(found.route);
    assert_string_equal(found.allow, "GET, HEAD, OPTIONS");
}

static void other_paths_are_unknown(void **state)
{
    static const char *const paths[] = {"",          "/healthz/", "/HEALTHZ",      "/healthz?x",
                                        "*",         "/v1",       "/v1/predictor", "/v1/predict/",
                                        "//healthz", "healthz"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        struct route_match found = match("GET", paths[i]);
        assert_null(found.route);
        assert_string_equal(found.allow, "");
    }
}

static void the_addresses_of_the_service_are_there(void **state)
{
    struct route_match found = match("POST", "/v1/predict");
    (void)state;
    assert_true(found.route->body == BODY_JSON && found.route->handle == predict_post);
    assert_int_equal(found.route->role, ROLE_PREDICT);
    found = match("GET", "/healthz");
    assert_true(found.route->body == BODY_NONE && found.route->handle == health_get_live);
    assert_int_equal(found.route->role, ROLE_NONE);
    found = match("GET", "/readyz");
    assert_true(found.route->body == BODY_NONE && found.route->handle == health_get_ready);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_route_is_matched_by_its_own_method_and_path),
        counted_test(another_method_is_told_what_is_allowed),
        counted_test(head_is_served_where_get_is_and_only_there),
        counted_test(other_paths_are_unknown),
        counted_test(the_addresses_of_the_service_are_there),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

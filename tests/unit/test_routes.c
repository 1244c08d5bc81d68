/* server/routes.h: the table of addresses. */
#include "server/routes.h"
#include "tests/support/check.h"

static void every_route_is_matched_by_its_own_method_and_path(void **state)
{
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        const char *allow = "?";
        assert_ptr_equal(route_match(routes[i].method, routes[i].path, &allow), &routes[i]);
        assert_null(allow);
        assert_non_null(routes[i].handle);
        assert_int_equal(routes[i].path[0], '/');
    }
}

static void another_method_is_told_what_is_allowed(void **state)
{
    static const char *const methods[] = {"PUT", "DELETE", "PATCH", "OPTIONS", "get", ""};
    (void)state;
    for (size_t i = 0; i < n_routes; i++) {
        for (size_t m = 0; m < COUNT_OF(methods); m++) {
            const char *allow = NULL;
            assert_null(route_match(methods[m], routes[i].path, &allow));
            assert_non_null(allow);
            assert_contains(allow, routes[i].method);
        }
    }
}

static void head_is_served_where_get_is_and_only_there(void **state)
{
    const char *allow = NULL;
    (void)state;
    assert_non_null(route_match("HEAD", "/healthz", &allow));
    assert_null(route_match("HEAD", "/v1/predict", &allow));
    assert_string_equal(allow, "POST");
    assert_null(route_match("POST", "/healthz", &allow));
    assert_string_equal(allow, "GET, HEAD");
}

static void other_paths_are_unknown(void **state)
{
    static const char *const paths[] = {
        "",  "/",   "/healthz/",     "/HEALTHZ", "/healthz?x", "/v1/predict/",
        "*", "/v1", "/v1/predictor", "healthz",  "//healthz"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        const char *allow = "?";
        assert_null(route_match("GET", paths[i], &allow));
        assert_null(allow);
    }
}

static void the_addresses_of_the_service_are_there(void **state)
{
    const char *allow;
    const struct route *route = route_match("POST", "/v1/predict", &allow);
    (void)state;
    assert_true(route != NULL && route->body == BODY_JSON && route->handle == predict_post);
    route = route_match("GET", "/healthz", &allow);
    assert_true(route != NULL && route->body == BODY_NONE && route->handle == health_get_live);
    route = route_match("GET", "/readyz", &allow);
    assert_true(route != NULL && route->body == BODY_NONE && route->handle == health_get_ready);
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

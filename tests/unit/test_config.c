/* server/config.h: the table of settings. */
#include "server/config.h"
#include "tests/support/check.h"

static enum err load(const char *text, struct config *config, struct error *err)
{
    return config_load(write_text("dgld.json", text), config, err);
}

static void every_default_lies_in_its_range(void **state)
{
    struct config config;
    (void)state;
    config_init(&config);
    assert_string_equal(config.bind, "127.0.0.1");
    assert_int_equal(config.port, 8080);
    assert_false(config.insecure);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        assert_true(strlen(key->help) > 0);
        assert_true(key->type != CONFIG_WHOLE ||
                    (key->preset >= key->min && key->preset <= key->max));
    }
}

static void the_shipped_file_holds_the_defaults(void **state)
{
    struct config presets;
    struct config config;
    struct error err = {0};
    (void)state;
    config_init(&presets);
    config_init(&config);
    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].type == CONFIG_WHOLE) { /* so that a key that the file misses shows */
            *(_Atomic int64_t *)((char *)&config + config_keys[i].offset) = -7;
        }
    }
    assert_ok(config_load("config/dgld.json", &config, &err), &err);
    assert_memory_equal(&config, &presets, sizeof config);
}

static void given_keys_are_set_and_others_stay(void **state)
{
    struct config config;
    struct error err = {0};
    (void)state;
    config_init(&config);
    assert_ok(load("{\"port\": 0, \"bind\": \"::1\", \"insecure\": true}", &config, &err), &err);
    assert_int_equal(config.port, 0);
    assert_string_equal(config.bind, "::1");
    assert_true(config.insecure);
    assert_int_equal(config.idle_timeout_s, 60);
    assert_ok(load("{}", &config, &err), &err);
    assert_int_equal(config.port, 0);
}

static void the_bounds_of_every_number_are_kept(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        const int64_t values[] = {key->min, key->max, key->min - 1, key->max + 1};
        for (size_t v = 0; key->type == CONFIG_WHOLE && v < COUNT_OF(values); v++) {
            struct config config;
            struct error err = {0};
            char text[200];
            config_init(&config);
            (void)snprintf(text, sizeof text, "{\"%s\": %lld}", key->name, (long long)values[v]);
            assert_error(load(text, &config, &err), v < 2 ? ERR_OK : ERR_INVALID, &err, key->name);
            assert_int_equal(*(_Atomic int64_t *)((char *)&config + key->offset),
                             v < 2 ? values[v] : key->preset);
        }
    }
}

static void a_wrong_file_is_refused_and_changes_nothing(void **state)
{
    static const char *const rows[][2] = {
        {"{\"port\": 1, \"prot\": 2}",     "there is no setting \"prot\""      },
        {"{\"port\": 1, \"bind\": 7}",     "bind must be a string"             },
        {"{\"port\": 1, \"insecure\": 1}", "insecure must be true or false"    },
        {"{\"port\": \"1\"}",              "port must be a whole number from 0"},
        {"{\"port\": 1.5}",                "port must be a whole number from 0"},
        {"{\"port\": 1, \"port\": 2}",     "given twice"                       },
        {"{\"port\": 1",                   "line 1"                            },
        {"[]",                             "must be an object, not an array"   },
        {"",                               "line 1"                            },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config config;
        struct config before;
        struct error err = {0};
        enum err rc;
        config_init(&before);
        config_init(&config);
        rc = load(rows[i][0], &config, &err);
        assert_true(rc == ERR_INVALID || rc == ERR_SYNTAX);
        assert_contains(err.text, "dgld.json: ");
        assert_contains(err.text, rows[i][1]);
        assert_memory_equal(&config, &before, sizeof config);
    }
}

static void a_bind_of_256_bytes_is_too_long(void **state)
{
    (void)state;
    for (size_t length = CONFIG_TEXT_BYTES - 1; length <= CONFIG_TEXT_BYTES; length++) {
        char bind[CONFIG_TEXT_BYTES + 1] = {0};
        char text[400];
        struct config config;
        config_init(&config);
        memset(bind, '1', length);
        (void)snprintf(text, sizeof text, "{\"bind\": \"%s\"}", bind);
        assert_int_equal(load(text, &config, NULL),
                         length < CONFIG_TEXT_BYTES ? ERR_OK : ERR_INVALID);
    }
}

static void a_missing_file_is_not_found(void **state)
{
    struct config config;
    struct error err = {0};
    (void)state;
    config_init(&config);
    assert_error(config_load(own_path("none.json"), &config, &err), ERR_NOT_FOUND, &err,
                 "none.json");
}

static void only_loopback_needs_no_leave_to_listen(void **state)
{
    static const struct {
        const char *bind;
        bool is_loopback;
    } rows[] = {
        {"127.0.0.1", true },
        {"127.9.9.9", true },
        {"::1",       true },
        {"0.0.0.0",   false},
        {"10.0.0.1",  false},
        {"::",        false},
        {"128.0.0.1", false},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config config;
        struct error err = {0};
        config_init(&config);
        (void)snprintf(config.bind, sizeof config.bind, "%s", rows[i].bind);
        assert_error(config_check(&config, &err), rows[i].is_loopback ? ERR_OK : ERR_INVALID, &err,
                     "\"insecure\": true");
        config.insecure = true;
        assert_ok(config_check(&config, &err), &err);
    }
}

static void a_bind_that_is_no_address_is_refused_with_or_without_leave(void **state)
{
    static const char *const texts[] = {"localhost", "", "127.0.0.1.1", "127.0.0.1:80"};
    (void)state;
    for (size_t i = 0; i < 2 * COUNT_OF(texts); i++) {
        struct config config;
        struct error err = {0};
        config_init(&config);
        config.insecure = i % 2 == 1;
        (void)snprintf(config.bind, sizeof config.bind, "%s", texts[i / 2]);
        assert_error(config_check(&config, &err), ERR_INVALID, &err,
                     "bind must be an IPv4 or IPv6 address");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(a_bind_that_is_no_address_is_refused_with_or_without_leave),
        directory_test(every_default_lies_in_its_range),
        directory_test(the_shipped_file_holds_the_defaults),
        directory_test(given_keys_are_set_and_others_stay),
        directory_test(the_bounds_of_every_number_are_kept),
        directory_test(a_wrong_file_is_refused_and_changes_nothing),
        directory_test(a_bind_of_256_bytes_is_too_long),
        directory_test(a_missing_file_is_not_found),
        directory_test(only_loopback_needs_no_leave_to_listen),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

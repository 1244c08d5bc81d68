/* server/config.h: the table of settings. */
#include "server/config.h"
#include "server/log.h"
#include "server/spelling.h"
#include "tests/support/check.h"

/* Sets a key by the text of a JSON value. */
static enum err set_json(struct config *config, const char *name, const char *text,
                         struct error *err)
{
    struct json_view value;

    assert_ok(json_view_check(text, strlen(text), &value, err), err);
    return config_set_json(config, config_find(name), value, err);
}

static void assert_value(const struct config *config, const struct config_key *key,
                         const char *expected)
{
    char value[CONFIG_TEXT_BYTES];

    config_value(config, key, value);
    assert_string_equal(value, expected);
}

static void every_row_of_the_table_is_whole(void **state)
{
    struct config config;
    (void)state;
    config_init(&config);
    assert_string_equal(config.bind, "127.0.0.1");
    assert_int_equal(config.port, 8080);
    assert_int_equal(config.log_level, LOG_INFO);
    assert_false(config.insecure);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char bounds[CONFIG_BOUNDS_BYTES];
        config_bounds(key, bounds);
        assert_true(strlen(key->help) > 0 && strpbrk(key->help, "|\n") == NULL);
        assert_true(strlen(bounds) < CONFIG_BOUNDS_BYTES - 1);
        assert_true(strlen(key->name) < SPELLING_MAX_LENGTH - strlen("DGLD_"));
        assert_int_equal(strspn(key->name, "abcdefghijklmnopqrstuvwxyz_"), strlen(key->name));
        assert_ptr_equal(config_find(key->name), key);
        assert_true(key->preset >= key->min && key->preset <= key->max);
        assert_true((key->type == CONFIG_TEXT) == (key->preset_text != NULL));
        assert_true(key->type != CONFIG_TEXT || !key->is_live); /* texts are read without a lock */
    }
    assert_ok(config_check(&config, NULL, NULL), &(struct error){0});
}

static void every_value_is_read_back_as_it_is_shown(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        struct config config;
        struct config copy;
        struct error err = {0};
        char shown[CONFIG_TEXT_BYTES];
        config_init(&config);
        config_init(&copy);
        if (key->type == CONFIG_TEXT) {
            assert_ok(config_set_text(&config, key, "x", "\xc3\xa4 \"b\"", &err), &err);
        } else {
            char most[32];
            (void)snprintf(most, sizeof most, "%lld", (long long)key->max);
            assert_ok(config_set_text(&config, key, "x",
                                      key->type == CONFIG_WHOLE    ? most
                                      : key->type == CONFIG_CHOICE ? key->choices[key->max]
                                                                   : "true",
                                      &err),
                      &err);
        }
        assert_false(config_is_equal(&config, &copy, key));
        config_value(&config, key, shown);
        assert_ok(config_set_text(&copy, key, "x", shown, &err), &err);
        assert_true(config_is_equal(&config, &copy, key));
        config_init(&copy);
        config_copy(&copy, &config, key);
        for (size_t k = 0; k < config_n_keys; k++) { /* the others stay at their defaults */
            assert_true(config_is_equal(&config, &copy, &config_keys[k]));
        }
    }
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
            char text[32];
            char preset[32];
            config_init(&config);
            (void)snprintf(text, sizeof text, "%lld", (long long)values[v]);
            (void)snprintf(preset, sizeof preset, "%lld", (long long)key->preset);
            assert_error(set_json(&config, key->name, text, &err), v < 2 ? ERR_OK : ERR_INVALID,
                         &err, key->name);
            assert_value(&config, key, v < 2 ? text : preset);
            config_init(&config);
            assert_error(config_set_text(&config, key, "here", text, &err),
                         v < 2 ? ERR_OK : ERR_INVALID, &err, v < 2 ? "" : "here must be");
            assert_value(&config, key, v < 2 ? text : preset);
        }
    }
}

static void text_of_another_type_is_refused(void **state)
{
    static const char *const rows[][3] = {
        {"port",      "",                     "x must be a whole number from 0 to 65535, not \"\""},
        {"port",      "80 ",                  "not \"80 \""                                       },
        {"port",      " 80",                  "a whole number"                                    },
        {"port",      "+80",                  "a whole number"                                    },
        {"port",      "0x50",                 "a whole number"                                    },
        {"port",      "1e3",                  "a whole number"                                    },
        {"port",      "-",                    "a whole number"                                    },
        {"port",      "8.0",                  "a whole number"                                    },
        {"port",      "99999999999999999999", "a whole number"                                    },
        {"insecure",  "1",                    "x must be true or false, not \"1\""                },
        {"insecure",  "True",                 "x must be true or false"                           },
        {"insecure",  "",                     "x must be true or false"                           },
        {"log_level", "loud",                 "one of error, warning, info, debug, not \"loud\""  },
        {"log_level", "",                     "one of error"                                      },
        {"log_level", "2",                    "one of error"                                      },
        {"bind",      "a\nb",                 "without control characters"                        },
        {"bind",      "a\x7f",                "without control characters"                        },
        {"bind",      "a\xff",                "UTF-8"                                             },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct config_key *key = config_find(rows[i][0]);
        struct config config;
        struct config before;
        struct error err = {0};
        config_init(&config);
        config_init(&before);
        assert_error(config_set_text(&config, key, "x", rows[i][1], &err), ERR_INVALID, &err,
                     rows[i][2]);
        assert_true(config_is_equal(&config, &before, key));
    }
}

static void json_of_another_type_is_refused(void **state)
{
    static const char *const rows[][3] = {
        {"port",      "\"1\"",         "port must be a whole number from 0"         },
        {"port",      "1.5",           "port must be a whole number from 0"         },
        {"port",      "null",          "port must be a whole number from 0"         },
        {"insecure",  "1",             "insecure must be true or false"             },
        {"insecure",  "\"true\"",      "insecure must be true or false"             },
        {"bind",      "7",             "bind must be a string of at most 1023 bytes"},
        {"bind",      "\"a\\u0000b\"", "bind must be a string"                      },
        {"bind",      "\"a\\u0007b\"", "bind must be a string"                      },
        {"log_level", "2",             "log_level must be one of error"             },
        {"log_level", "\"INFO\"",      "log_level must be one of error"             },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        const struct config_key *key = config_find(rows[i][0]);
        struct config config;
        struct config before;
        struct error err = {0};
        config_init(&config);
        config_init(&before);
        assert_error(set_json(&config, rows[i][0], rows[i][1], &err), ERR_INVALID, &err,
                     rows[i][2]);
        assert_true(config_is_equal(&config, &before, key));
    }
}

static void the_levels_are_those_of_the_log(void **state)
{
    static const char *const names[] = {"error", "warning", "info", "debug"};
    static const int levels[] = {LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        struct config config;
        struct error err = {0};
        config_init(&config);
        assert_ok(config_set_text(&config, config_find("log_level"), "x", names[i], &err), &err);
        assert_int_equal(config.log_level, levels[i]);
    }
}

static void a_text_may_fill_its_field_and_no_more(void **state)
{
    (void)state;
    for (size_t length = CONFIG_TEXT_BYTES - 1; length <= CONFIG_TEXT_BYTES; length++) {
        char bind[CONFIG_TEXT_BYTES + 1] = {0};
        char text[CONFIG_TEXT_BYTES + 8];
        struct config config;
        struct error err = {0};
        enum err expected = length < CONFIG_TEXT_BYTES ? ERR_OK : ERR_INVALID;
        config_init(&config);
        memset(bind, '1', length);
        (void)snprintf(text, sizeof text, "\"%s\"", bind);
        assert_error(set_json(&config, "bind", text, &err), expected, &err, "");
        assert_string_equal(config.bind, expected == ERR_OK ? bind : "127.0.0.1");
        config_init(&config);
        assert_error(config_set_text(&config, config_find("bind"), "x", bind, &err), expected, &err,
                     "");
        assert_string_equal(config.bind, expected == ERR_OK ? bind : "127.0.0.1");
    }
}

static void a_near_name_is_offered(void **state)
{
    (void)state;
    assert_string_equal(config_nearest("prot"), "port");
    assert_string_equal(config_nearest("Port"), "port");
    assert_string_equal(config_nearest("body-max-byte"), "body_max_bytes");
    assert_string_equal(config_nearest("drain_timeout_s"), "drain_timeout_ms");
    assert_null(config_nearest("colour"));
    assert_null(config_nearest(""));
    assert_null(config_find("Port"));
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
        enum err expected = rows[i].is_loopback ? ERR_OK : ERR_INVALID;
        const struct config_key *key = NULL;
        config_init(&config);
        (void)snprintf(config.bind, sizeof config.bind, "%s", rows[i].bind);
        assert_error(config_check(&config, &key, &err), expected, &err, "\"insecure\": true");
        assert_ptr_equal(key, expected == ERR_OK ? NULL : config_find("bind"));
        config.insecure = true;
        assert_ok(config_check(&config, NULL, &err), &err);
        config.insecure = false;
        (void)snprintf(config.tokens_file, sizeof config.tokens_file, "config/tokens");
        assert_ok(config_check(&config, NULL, &err), &err);
    }
}

static void a_certificate_and_its_key_go_together(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        struct config config;
        struct error err = {0};
        const struct config_key *key = NULL;
        bool has_certificate = (i & 1) != 0;
        bool has_key = (i & 2) != 0;
        config_init(&config);
        (void)snprintf(config.tls_certificate_file, CONFIG_TEXT_BYTES, "%s",
                       has_certificate ? "a.pem" : "");
        (void)snprintf(config.tls_key_file, CONFIG_TEXT_BYTES, "%s", has_key ? "b.pem" : "");
        if (has_certificate == has_key) {
            assert_ok(config_check(&config, &key, &err), &err);
            continue;
        }
        assert_error(config_check(&config, &key, &err), ERR_INVALID, &err,
                     has_key ? "tls_key_file is set and tls_certificate_file is not"
                             : "tls_certificate_file is set and tls_key_file is not");
        assert_string_equal(key->name, has_key ? "tls_key_file" : "tls_certificate_file");
    }
}

static void origins_are_written_as_browsers_send_them(void **state)
{
    static const struct {
        const char *origins, *reason; /* NULL: good */
    } rows[] = {
  /* clang-format off */
        {"", NULL},
        {"*", NULL},
        {"https://a.example", NULL},
        {"http://localhost:5173", NULL},
        {"https://a.example,https://b-c.example:8443", NULL},
        {"http://[::1]:3000", NULL},
        {"http://127.0.0.1:1", NULL},
        {"http://a:65535", NULL},
        {"http://a:443", NULL},
        {"https://a:80", NULL},
        {"https://a:8443", NULL},
        {"chrome-extension://abcdef", "\"chrome-extension://abcdef\" is no origin"},
        {"https://a,ftp://b", "\"ftp://b\" is no origin"},
        {"http://a,http://b,http://c,http://d,http://e,http://f,http://g,http://h,http://i,http://j,"
         "http://k,http://l,http://m,http://n,http://o,http://p,http://q",
         "at most 16 origins"},
        {"*,https://a", "\"*\" is none"},
        {"https://a,", "\"\" is none"},
        {",https://a", "\"\" is none"},
        {"https://a,,https://b", "\"\" is none"},
        {"https://a, https://b", "\" https://b\" is none"},
        {"https://a/", "\"https://a/\" is none"},
        {"https://a/path", "is none"},
        {"https://", "is none"},
        {"https://A.example", "lower case"},
        {"https://a:", "is none"},
        {"https://a:0", "is none"},
        {"https://a:080", "is none"},
        {"https://a:65536", "is none"},
        {"https://a:100000", "is none"},
        {"https://u@a", "is none"},
        {"https://a?b", "is none"},
        {"https://*.a", "is none"},
        {"https://[::1", "is none"},
        {"https://[]", "is none"},
        {"//a", "is none"},
        {"1a://a", "is none"},
        {"a.example", "is none"},
        {"null", "is none"},
        {"http://a:80", "leave it out"},
        {"https://b,https://a:443", "leave the port of \"https://a:443\" out"},
  /* clang-format on */
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config config;
        struct error err = {0};
        const struct config_key *key = NULL;
        config_init(&config);
        (void)snprintf(config.cors_origins, CONFIG_TEXT_BYTES, "%s", rows[i].origins);
        if (rows[i].reason == NULL) {
            assert_ok(config_check(&config, &key, &err), &err);
        } else {
            assert_error(config_check(&config, &key, &err), ERR_INVALID, &err, rows[i].reason);
            assert_string_equal(key->name, "cors_origins");
        }
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
        assert_error(config_check(&config, NULL, &err), ERR_INVALID, &err,
                     "bind must be an IPv4 or IPv6 address");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(every_row_of_the_table_is_whole),
        counted_test(every_value_is_read_back_as_it_is_shown),
        counted_test(the_bounds_of_every_number_are_kept),
        counted_test(text_of_another_type_is_refused),
        counted_test(json_of_another_type_is_refused),
        counted_test(the_levels_are_those_of_the_log),
        counted_test(a_text_may_fill_its_field_and_no_more),
        counted_test(a_near_name_is_offered),
        counted_test(only_loopback_needs_no_leave_to_listen),
        counted_test(a_certificate_and_its_key_go_together),
        counted_test(origins_are_written_as_browsers_send_them),
        counted_test(a_bind_that_is_no_address_is_refused_with_or_without_leave),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

/* server/config_source.h: default < file < environment < flag, and reloads. */
#include "server/config_source.h"
#include "server/options.h"
#include "tests/support/check.h"

/* A source of a file with this text (NULL: none) and nothing else. */
static void make_source(struct config_source *source, const char *text)
{
    memset(source, 0, sizeof *source);
    source->is_path_given = text != NULL;
    (void)snprintf(source->path, sizeof source->path, "%s",
                   text != NULL ? write_text("own.json", text) : own_path("none.json"));
}

static size_t index_of(const char *name)
{
    return (size_t)(config_find(name) - config_keys);
}

static void assert_same(const struct config *a, const struct config *b)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        assert_true(config_is_equal(a, b, &config_keys[i]));
    }
}

/* A good value that is not the default. */
static void other_value(const struct config_key *key, char *out)
{
    switch (key->type) {
    case CONFIG_WHOLE:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%lld",
                       (long long)(key->preset < key->max ? key->preset + 1 : key->min));
        break;
    case CONFIG_CHOICE:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%s", key->choices[key->preset == 0 ? 1 : 0]);
        break;
    case CONFIG_BOOLEAN:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%s", key->preset == 0 ? "true" : "false");
        break;
    default:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%s", strcmp(key->name, "bind") == 0 ? "::1" : "*");
        break;
    }
}

static void without_a_file_all_is_default(void **state)
{
    struct config_source source;
    struct config config;
    struct config presets;
    struct config_origins origins;
    struct error err = {0};
    (void)state;
    make_source(&source, NULL);
    config_init(&presets);
    assert_ok(config_read(&source, &config, &origins, &err), &err);
    assert_same(&config, &presets);
    assert_false(origins.has_file);
    for (size_t i = 0; i < config_n_keys; i++) {
        assert_int_equal(origins.of[i], CONFIG_FROM_DEFAULT);
    }
    source.is_path_given = true;
    assert_error(config_read(&source, &config, &origins, &err), ERR_NOT_FOUND, &err, "none.json");
}

static void the_shipped_file_holds_every_default(void **state)
{
    struct config_source source;
    struct config config;
    struct config presets;
    struct config_origins origins;
    struct error err = {0};
    (void)state;
    make_source(&source, NULL);
    (void)snprintf(source.path, sizeof source.path, "config/dgld.json");
    config_init(&presets);
    assert_ok(config_read(&source, &config, &origins, &err), &err);
    assert_same(&config, &presets);
    for (size_t i = 0; i < config_n_keys; i++) {
        assert_int_equal(origins.of[i], CONFIG_FROM_FILE);
    }
}

static void a_flag_wins_over_the_environment_and_that_over_the_file(void **state)
{
    static char variables[][32] = {
        "HOME=/",     "DGLD_PORT=2", "DGLD_IDLE_TIMEOUT_S=2", "DGLD_TEST_SHARED=x", "DGLDPORT=9",
        "DGLD_URL=x", "DGLD_TOKEN="};
    char *environment[] = {variables[0], variables[1], variables[2], variables[3],
                           variables[4], variables[5], variables[6], NULL};
    struct config_source source;
    struct config config;
    struct config_origins origins;
    struct error err = {0};
    char place[PATH_BYTES];
    (void)state;
    make_source(&source, "{\"port\": 1, \"idle_timeout_s\": 1, \"drain_delay_ms\": 1}");
    source.environment = environment;
    source.flags[index_of("port")] = "3";
    assert_ok(config_read(&source, &config, &origins, &err), &err);
    assert_int_equal(config.port, 3);
    assert_int_equal(config.idle_timeout_s, 2);
    assert_int_equal(config.drain_delay_ms, 1);
    assert_int_equal(config.batch_max, 8388608);
    assert_int_equal(origins.of[index_of("port")], CONFIG_FROM_FLAG);
    assert_int_equal(origins.of[index_of("idle_timeout_s")], CONFIG_FROM_ENVIRONMENT);
    assert_int_equal(origins.of[index_of("drain_delay_ms")], CONFIG_FROM_FILE);
    assert_int_equal(origins.of[index_of("batch_max")], CONFIG_FROM_DEFAULT);
    config_origin_place(&source, config_find("drain_timeout_ms"), CONFIG_FROM_FLAG, place);
    assert_string_equal(place, "--drain-timeout-ms");
    config_origin_place(&source, config_find("drain_timeout_ms"), CONFIG_FROM_ENVIRONMENT, place);
    assert_string_equal(place, "DGLD_DRAIN_TIMEOUT_MS");
    config_origin_place(&source, config_find("drain_timeout_ms"), CONFIG_FROM_FILE, place);
    assert_string_equal(place, source.path);
    config_origin_place(&source, config_find("drain_timeout_ms"), CONFIG_FROM_DEFAULT, place);
    assert_string_equal(place, "");
}

static void every_key_can_be_set_by_its_variable(void **state)
{
    static char certificate[] = "DGLD_TLS_CERTIFICATE_FILE=*";
    static char key_file[] = "DGLD_TLS_KEY_FILE=*";
    (void)state;
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char value[CONFIG_TEXT_BYTES];
        char held[CONFIG_TEXT_BYTES];
        char variable[2 * CONFIG_TEXT_BYTES];
        char *environment[] = {variable, certificate, key_file,
                               NULL}; /* these two need each other */
        struct config_source source;
        struct config_origins origins;
        struct config config;
        struct error err = {0};
        make_source(&source, NULL);
        source.environment = environment;
        other_value(key, value);
        (void)snprintf(variable, sizeof variable, "DGLD_%s=%s", key->name, value);
        for (char *c = variable; *c != '='; c++) {
            *c = *c >= 'a' && *c <= 'z' ? (char)(*c - 'a' + 'A') : *c;
        }
        assert_ok(config_read(&source, &config, &origins, &err), &err);
        assert_int_equal(origins.of[i], CONFIG_FROM_ENVIRONMENT);
        config_value(&config, key, held);
        assert_string_equal(held, value);
    }
}

static void a_wrong_file_is_refused_and_writes_nothing(void **state)
{
    static const char *const rows[][2] = {
        {"{\"port\": 1, \"prot\": 2}",     "there is no setting \"prot\"; did you mean \"port\"?"},
        {"{\"port\": 1, \"colour\": 2}",   "there is no setting \"colour\""                      },
        {"{\"\": 1}",                      "there is no setting \"\""                            },
        {"{\"port\\u0000\": 1}",           "there is no setting"                                 },
        {"{\"port\": 1, \"bind\": 7}",     "bind must be a string"                               },
        {"{\"port\": 1, \"insecure\": 1}", "insecure must be true or false"                      },
        {"{\"log_level\": \"loud\"}",      "log_level must be one of error, warning, info, debug"},
        {"{\"port\": \"1\"}",              "port must be a whole number from 0"                  },
        {"{\"port\": 1, \"port\": 2}",     "the setting port is given twice"                     },
        {"{\"bind\": \"0.0.0.0\"}",        "bind is 0.0.0.0, where anyone could call"            },
        {"{\"tls_key_file\": \"k\"}",      "tls_key_file is set and tls_certificate_file is not" },
        {"{\"cors_origins\": \"a\"}",      "\"a\" is none"                                       },
        {"{\"port\": 1",                   "line 1"                                              },
        {"[]",                             "must be an object, not an array"                     },
        {"",                               "empty"                                               },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct config_source source;
        struct config config;
        struct config before;
        struct config_origins origins = {.has_file = true};
        struct error err = {0};
        enum err rc;
        config_init(&before);
        config_init(&config);
        make_source(&source, rows[i][0]);
        rc = config_read(&source, &config, &origins, &err);
        assert_true(rc == ERR_INVALID || rc == ERR_SYNTAX);
        assert_int_equal(err.code, rc);
        assert_contains(err.text, "own.json: ");
        assert_contains(err.text, rows[i][1]);
        assert_same(&config, &before);
        assert_true(origins.has_file);
    }
}

static void a_wrong_variable_is_refused_by_name(void **state)
{
    static const char *const rows[][2] = {
        {"DGLD_PORT=x",                "environment: DGLD_PORT must be a whole number from 0 to 65535, not \"x\""},
        {"DGLD_PORT=",                 "DGLD_PORT must be a whole number"                                        },
        {"DGLD_INSECURE=1",            "DGLD_INSECURE must be true or false"                                     },
        {"DGLD_PROT=1",                "no setting for the variable DGLD_PROT; did you mean DGLD_PORT?"          },
        {"DGLD_port=1",                "no setting for the variable DGLD_port; did you mean DGLD_PORT?"          },
        {"DGLD_PORTS=1",               "no setting for the variable DGLD_PORTS; did you mean DGLD_PORT?"         },
        {"DGLD_POR=1",                 "did you mean DGLD_PORT?"                                                 },
        {"DGLD_=1",                    "no setting for the variable DGLD_"                                       },
        {"DGLD_URLS=1",                "no setting for the variable DGLD_URLS"                                   },
        {"DGLD_TOKE=1",                "no setting for the variable DGLD_TOKE"                                   },
        {"DGLD_TEST=1",                "no setting for the variable DGLD_TEST"                                   },
        {"DGLD_BIND=0.0.0.0",          "DGLD_BIND: bind is 0.0.0.0"                                              },
        {"DGLD_SERVICE_HOST=10.0.0.1", "enableServiceLinks: false"                                               },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        char variable[64];
        char *environment[] = {variable, NULL};
        struct config_source source;
        struct config config;
        struct error err = {0};
        make_source(&source, NULL);
        (void)snprintf(variable, sizeof variable, "%s", rows[i][0]);
        source.environment = environment;
        assert_error(config_read(&source, &config, NULL, &err), ERR_INVALID, &err, rows[i][1]);
    }
}

static void options_give_file_and_flags(void **state)
{
    char *argv[] = {"dgld", "serve", "--root", "/r", "--body_max_bytes", "2048", "--insecure"};
    struct options options;
    struct config_source source;
    struct error err = {0};
    (void)state;
    assert_ok(options_parse(COUNT_OF(argv), argv, &options, &err), &err);
    assert_ok(config_source_init(&source, &options, &err), &err);
    assert_string_equal(source.path, "/r/config/dgld.json");
    assert_false(source.is_path_given);
    assert_string_equal(source.flags[index_of("body_max_bytes")], "2048");
    assert_string_equal(source.flags[index_of("insecure")], "true");
    assert_null(source.flags[index_of("port")]);
    options.config = "own.json";
    assert_ok(config_source_init(&source, &options, &err), &err);
    assert_string_equal(source.path, "own.json");
    assert_true(source.is_path_given);
    options_close(&options);
}

static void a_reload_stores_what_is_live_and_tells_the_rest(void **state)
{
    struct config_source source;
    struct config live;
    struct config_changes changes;
    struct error err = {0};
    (void)state;
    make_source(&source, "{\"port\": 1, \"log_level\": \"error\", \"batch_max\": 7}");
    source.flags[index_of("drain_delay_ms")] = "5";
    assert_ok(config_read(&source, &live, NULL, &err), &err);
    (void)write_text("own.json", "{\"port\": 2, \"log_level\": \"debug\", \"batch_max\": 7, "
                                 "\"bind\": \"::1\", \"drain_delay_ms\": 6}");
    assert_ok(config_reload(&live, &source, &changes, &err), &err);
    assert_int_equal(live.log_level, 3);
    assert_int_equal(live.port, 1);
    assert_string_equal(live.bind, "127.0.0.1");
    assert_int_equal(live.drain_delay_ms, 5); /* the flag still wins */
    for (size_t i = 0; i < config_n_keys; i++) {
        assert_int_equal(changes.is_different[i], i == index_of("port") || i == index_of("bind") ||
                                                      i == index_of("log_level"));
    }
    assert_int_equal(changes.before.log_level, 0);
    assert_int_equal(changes.after.log_level, 3);
    assert_int_equal(changes.before.port, 1);
    assert_int_equal(changes.after.port, 2);
    assert_ok(config_reload(&live, &source, &changes, &err), &err);
    assert_false(changes.is_different[index_of("log_level")]);
    assert_true(changes.is_different[index_of("port")]); /* said again until it is in effect */
}

static void every_live_key_is_changed_by_a_reload_and_no_other(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        const char *quote = key->type == CONFIG_TEXT || key->type == CONFIG_CHOICE ? "\"" : "";
        struct config_source source;
        struct config live;
        struct config presets;
        struct config_changes changes;
        struct error err = {0};
        char value[CONFIG_TEXT_BYTES];
        char text[2 * CONFIG_TEXT_BYTES];
        if (strncmp(key->name, "tls_", 4) == 0) {
            continue; /* neither goes without the other, and no text is live */
        }
        other_value(key, value);
        (void)snprintf(text, sizeof text, "{\"%s\": %s%s%s}", key->name, quote, value, quote);
        config_init(&live);
        config_init(&presets);
        make_source(&source, text);
        assert_ok(config_reload(&live, &source, &changes, &err), &err);
        for (size_t k = 0; k < config_n_keys; k++) {
            assert_int_equal(changes.is_different[k], k == i);
            assert_int_equal(config_is_equal(&live, &presets, &config_keys[k]),
                             k != i || !key->is_live);
        }
    }
}

static void a_reload_of_a_wrong_file_changes_nothing(void **state)
{
    static const char *const texts[] = {
        "{\"log_level\": \"debug\", \"prot\": 1}",
        "{\"log_level\": \"debug\"",
        "{\"log_level\": \"debug\", \"bind\": \"0.0.0.0\"}",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct config_source source;
        struct config live;
        struct config presets;
        struct config_changes changes = {.is_different = {true}};
        struct error err = {0};
        config_init(&live);
        config_init(&presets);
        make_source(&source, texts[i]);
        assert_true(config_reload(&live, &source, &changes, &err) != ERR_OK);
        assert_contains(err.text, "own.json");
        assert_same(&live, &presets);
        assert_true(changes.is_different[0]);
        config_reload_logged(&live, &source);
        assert_same(&live, &presets);
    }
}

static enum err read_it(void *context, struct error *err)
{
    struct config config;

    return config_read(context, &config, NULL, err);
}

static void no_memory_is_said(void **state)
{
    struct config_source source;
    (void)state;
    make_source(&source, "{\"port\": 1}");
    fail_each_allocation(read_it, &source);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(without_a_file_all_is_default),
        directory_test(the_shipped_file_holds_every_default),
        directory_test(a_flag_wins_over_the_environment_and_that_over_the_file),
        directory_test(every_key_can_be_set_by_its_variable),
        directory_test(a_wrong_file_is_refused_and_writes_nothing),
        directory_test(a_wrong_variable_is_refused_by_name),
        directory_test(options_give_file_and_flags),
        directory_test(a_reload_stores_what_is_live_and_tells_the_rest),
        directory_test(every_live_key_is_changed_by_a_reload_and_no_other),
        directory_test(a_reload_of_a_wrong_file_changes_nothing),
        directory_test(no_memory_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

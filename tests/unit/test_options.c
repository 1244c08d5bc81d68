/* server/options.h: the command line. */
#include "server/config_source.h"
#include "server/options.h"
#include "tests/support/check.h"

enum { MOST_WORDS = 16 };

/* Parses words separated by one blank each; `line` lives until the next call. */
static enum err parse(const char *words, struct options *options, struct error *err)
{
    static char line[512];
    static char *argv[MOST_WORDS + 1];
    int argc = 0;

    (void)snprintf(line, sizeof line, "dgld %s", words);
    for (char *word = line; word != NULL && argc < MOST_WORDS;) {
        char *blank = strchr(word, ' ');
        argv[argc++] = word;
        word = blank != NULL ? blank + 1 : NULL;
        if (blank != NULL) {
            *blank = '\0';
        }
    }
    argc -= words[0] == '\0' ? 1 : 0;
    return options_parse(argc, argv, options, err);
}

static struct options parse_right(const char *words)
{
    struct options options = {0};
    struct error err = {0};

    assert_ok(parse(words, &options, &err), &err);
    return options;
}

static void flags_are_spelled_with_dashes_or_underscores_and_with_equals_or_blank(void **state)
{
    static const char *const lines[] = {
        "train --search_space fbnetv3 --data_path x --seed 7",
        "train --search-space fbnetv3 --data-path x --seed 7",
        "train --search-space=fbnetv3 --data_path=x --seed=7",
        "--search_space fbnetv3 --seed 7 --data-path=x train",
        "--mode train --search_space=fbnetv3 --seed 7 --data-path=x",
        "train --mode=train --search_space=fbnetv3 --seed 7 --data-path=x",
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        struct options options = parse_right(lines[i]);
        assert_int_equal(options.command, COMMAND_TRAIN);
        assert_string_equal(options.search_space, "fbnetv3");
        assert_string_equal(options.data_path, "x");
        assert_int_equal(options.seed, 7);
        options_close(&options);
    }
}

static void what_is_not_given_has_its_default(void **state)
{
    struct options options = parse_right("serve");
    (void)state;
    assert_int_equal(options.command, COMMAND_SERVE);
    assert_string_equal(options.root, ".");
    for (size_t i = 0; i < CONFIG_MAX_KEYS; i++) {
        assert_null(options.settings[i]);
    }
    assert_int_equal(options.seed, 0);
    assert_null(options.data_path);
    assert_null(options.without_effect);
    assert_false(options.is_json || options.is_holdout || options.is_help || options.is_version);
    options_close(&options);
}

static void an_empty_value_after_equals_is_a_value(void **state)
{
    struct options options = parse_right("train --train-devices= --search_space=a=b");
    (void)state;
    assert_string_equal(options.train_devices, "");
    assert_string_equal(options.search_space, "a=b");
    options_close(&options);
}

static void architectures_are_what_is_left_over(void **state)
{
    struct options options = parse_right("predict 444244 --json 111111 -- --x -h");
    (void)state;
    assert_int_equal(options.n_words, 4);
    assert_string_equal(options.words[0], "444244");
    assert_string_equal(options.words[1], "111111");
    assert_string_equal(options.words[2], "--x");
    assert_string_equal(options.words[3], "-h");
    assert_true(options.is_json && !options.is_help);
    options_close(&options);
}

static void jobs_takes_an_action_and_how_to_reach_the_service(void **state)
{
    struct options options = parse_right(
        "jobs list --url=http://x --token_file t --cacert c --state queued --kind nas --limit 7");
    (void)state;
    assert_int_equal(options.command, COMMAND_JOBS);
    assert_int_equal(options.n_words, 1);
    assert_string_equal(options.words[0], "list");
    assert_string_equal(options.url, "http://x");
    assert_string_equal(options.token_file, "t");
    assert_string_equal(options.ca_file, "c");
    assert_string_equal(options.state, "queued");
    assert_string_equal(options.kind, "nas");
    assert_int_equal(options.limit, 7);
    options_close(&options);
    options = parse_right("jobs show x");
    assert_null(options.url);
    assert_null(options.token_file);
    assert_int_equal(options.limit, 0);
    options_close(&options);
}

static void flags_without_effect_are_told(void **state)
{
    struct options options = parse_right("train --gpu 0 --main_path x --save-path=y");
    (void)state;
    assert_string_equal(options.without_effect, "gpu");
    options_close(&options);
}

static void help_and_version_need_no_command(void **state)
{
    struct options options = parse_right("--help");
    (void)state;
    assert_true(options.is_help && options.command == COMMAND_NONE);
    options_close(&options);
    options = parse_right("-h");
    assert_true(options.is_help);
    options_close(&options);
    options = parse_right("--version");
    assert_true(options.is_version);
    options_close(&options);
    options = parse_right("serve --help");
    assert_true(options.is_help && options.command == COMMAND_SERVE);
    options_close(&options);
}

static const char *setting(const struct options *options, const char *name)
{
    return options->settings[config_find(name) - config_keys];
}

static void every_setting_is_a_flag_of_the_service(void **state)
{
    static const char *const values[] = {[CONFIG_TEXT] = "a",
                                         [CONFIG_WHOLE] = "1024",
                                         [CONFIG_CHOICE] = "error",
                                         [CONFIG_BOOLEAN] = "false"};
    static const char *const commands[] = {"serve", "config"};
    (void)state;
    for (size_t i = 0; i < 2 * config_n_keys; i++) {
        const struct config_key *key = &config_keys[i / 2];
        const char *value = key->type == CONFIG_WHOLE && key->max < 1024 ? "1" : values[key->type];
        char flag[CONFIG_FLAG_BYTES];
        char line[200];
        struct options options;
        config_flag_name(key->name, flag);
        assert_null(strchr(flag, '_'));
        (void)snprintf(line, sizeof line, "%s %s %s", commands[i % 2], flag, value);
        options = parse_right(line);
        assert_string_equal(setting(&options, key->name), value);
        options_close(&options);
        (void)snprintf(line, sizeof line, "--%s=%s %s", key->name, value, commands[i % 2]);
        options = parse_right(line);
        assert_string_equal(setting(&options, key->name), value);
        options_close(&options);
    }
}

static void no_setting_hides_another_flag(void **state)
{
    (void)state;
    for (size_t i = 0; i < config_n_keys; i++) {
        char line[200];
        struct options options = {0};
        struct error err = {0};
        (void)snprintf(line, sizeof line, "train --%s=%s", config_keys[i].name,
                       config_keys[i].type == CONFIG_BOOLEAN  ? "true"
                       : config_keys[i].type == CONFIG_CHOICE ? "error"
                       : config_keys[i].max < 1024            ? "1"
                                                              : "1024");
        assert_error(parse(line, &options, &err), ERR_USAGE, &err, "is not a flag of train");
    }
}

static void a_boolean_alone_is_true(void **state)
{
    static const struct {
        const char *line, *expected;
    } rows[] = {
        {"serve --insecure",                  "true" },
        {"serve --insecure --port 1",         "true" },
        {"serve --insecure true",             "true" },
        {"serve --insecure false",            "false"},
        {"serve --insecure=false",            "false"},
        {"--insecure serve",                  "true" },
        {"serve --insecure --insecure=false", "false"},
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct options options = parse_right(rows[i].line);
        assert_string_equal(setting(&options, "insecure"), rows[i].expected);
        assert_int_equal(options.command, COMMAND_SERVE);
        options_close(&options);
    }
}

static void wrong_usage_is_told_with_the_flag(void **state)
{
    static const char *const rows[][2] = {
        {"",                                 "say what to do"                                         },
        {"fly",                              "there is no command \"fly\""                            },
        {"--mode fly",                       "there is no command \"fly\""                            },
        {"train --mode test",                "train and test cannot be done in one call"              },
        {"train --fly 1",                    "there is no flag --fly"                                 },
        {"train --",                         NULL                                                     },
        {"train --see 1",                    "there is no flag --see"                                 },
        {"train --seeds 1",                  "there is no flag --seeds"                               },
        {"train --=1",                       "there is no flag --"                                    },
        {"train --seed",                     "--seed needs a value: N"                                },
        {"train --seed x",                   "--seed must be a whole number from 0 to 9223372036854"  },
        {"train --seed -1",                  "not \"-1\""                                             },
        {"train --seed 1x",                  "not \"1x\""                                             },
        {"train --seed=",                    "not \"\""                                               },
        {"train --seed 9223372036854775808", "--seed must be"                                         },
        {"serve --port 65536",               "--port must be a whole number from 0 to 65535"          },
        {"test --json=yes",                  "--json takes no value"                                  },
        {"config --json --markdown",         "exclude each other"                                     },
        {"config --defaults --json",         "exclude each other"                                     },
        {"serve --defaults",                 "--defaults is not a flag of serve"                      },
        {"train --port 1",                   "--port is not a flag of train"                          },
        {"train --insecure",                 "--insecure is not a flag of train"                      },
        {"serve --prot 1",                   "there is no flag --prot; did you mean --port?"          },
        {"test --prot a.svg",                "did you mean --plot?"                                   },
        {"test --plot=",                     "--plot needs a value: FILE.svg"                         },
        {"train --plot a.svg",               "--plot is not a flag of train"                          },
        {"serve --body_max_byte 1",          "did you mean --body-max-bytes?"                         },
        {"serve --port",                     "--port needs a value: N"                                },
        {"serve --port=",                    "--port must be a whole number from 0 to 65535, not \"\""},
        {"serve --log-level loud",
         "--log-level must be one of error, warning, info, debug, not \"loud\""                       },
        {"serve --body_max_bytes=1",         "--body-max-bytes must be a whole number from 1024"      },
        {"serve --insecure=yes",             "--insecure must be true or false, not \"yes\""          },
        {"serve --insecure yes",             "serve does not take \"yes\""                            },
        {"serve --json",                     "--json is not a flag of serve"                          },
        {"train --holdout",                  "--holdout is not a flag of train"                       },
        {"predict --seed 1",                 "--seed is not a flag of predict"                        },
        {"train 444244",                     "train does not take \"444244\""                         },
        {"serve -x",                         "serve does not take \"-x\""                             },
        {"--json",                           "say what to do"                                         },
    };
    (void)state;
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        struct options options = {0};
        struct error err = {0};
        enum err rc = parse(rows[i][0], &options, &err);
        assert_error(rc, rows[i][1] != NULL ? ERR_USAGE : ERR_OK, &err, rows[i][1]);
        options_close(&options);
    }
}

static enum err parse_once(void *context, struct error *err)
{
    struct options options = {0};
    enum err rc = parse(context, &options, err);

    options_close(&options);
    return rc;
}

static void running_out_of_memory_is_told_and_leaks_nothing(void **state)
{
    (void)state;
    fail_each_allocation(parse_once, (void *)"predict 444244");
}

static void the_help_of_a_command_lists_its_flags_only(void **state)
{
    char text[8192] = {0};
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    (void)state;
    assert_non_null(out);
    options_print_help(COMMAND_SERVE, out);
    assert_int_equal(fclose(out), 0);
    assert_contains(text, "dgld serve");
    assert_contains(text, "--port N");
    assert_contains(text, "--root DIR");
    for (size_t i = 0; i < config_n_keys; i++) {
        assert_contains(text, config_keys[i].help);
    }
    assert_null(strstr(text, "--holdout"));
    assert_null(strstr(text, "dgld train"));
}

static void every_command_is_named_in_the_general_help(void **state)
{
    static const enum command commands[] = {COMMAND_SERVE,   COMMAND_TRAIN, COMMAND_TEST,
                                            COMMAND_PREDICT, COMMAND_COSTS, COMMAND_CONFIG};
    char text[8192] = {0};
    FILE *out = fmemopen(text, sizeof text - 1, "w");
    (void)state;
    assert_non_null(out);
    options_print_help(COMMAND_NONE, out);
    assert_int_equal(fclose(out), 0);
    for (size_t i = 0; i < COUNT_OF(commands); i++) {
        char phrase[32];
        struct options options = parse_right(command_name(commands[i]));
        assert_int_equal(options.command, commands[i]);
        options_close(&options);
        (void)snprintf(phrase, sizeof phrase, "dgld %s", command_name(commands[i]));
        assert_contains(text, phrase);
    }
}

static void an_optional_value_is_the_next_word_that_is_no_flag(void **state)
{
    static const struct {
        const char *words, *holdout, *library;
    } cases[] = {
        {"test --holdout",                       "",        NULL},
        {"test --holdout --json",                "",        NULL},
        {"test --holdout devices --library",     "devices", ""  },
        {"test --holdout=devices --library x",   "devices", "x" },
        {"--holdout test",                       "",        NULL},
        {"--mode test --holdout rows --seed 1",  "rows",    NULL},
        {"test --library --holdout --library=y", "",        "y" },
    };

    (void)state;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct options options = parse_right(cases[i].words);
        assert_int_equal(options.command, COMMAND_TEST);
        assert_true(options.is_holdout);
        assert_string_equal(options.holdout, cases[i].holdout);
        if (cases[i].library != NULL) {
            assert_string_equal(options.library, cases[i].library);
        } else {
            assert_null(options.library);
        }
        options_close(&options);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        counted_test(flags_are_spelled_with_dashes_or_underscores_and_with_equals_or_blank),
        counted_test(what_is_not_given_has_its_default),
        counted_test(an_empty_value_after_equals_is_a_value),
        counted_test(architectures_are_what_is_left_over),
        counted_test(jobs_takes_an_action_and_how_to_reach_the_service),
        counted_test(flags_without_effect_are_told),
        counted_test(help_and_version_need_no_command),
        counted_test(every_setting_is_a_flag_of_the_service),
        counted_test(no_setting_hides_another_flag),
        counted_test(a_boolean_alone_is_true),
        counted_test(wrong_usage_is_told_with_the_flag),
        counted_test(running_out_of_memory_is_told_and_leaks_nothing),
        counted_test(the_help_of_a_command_lists_its_flags_only),
        counted_test(every_command_is_named_in_the_general_help),
        counted_test(an_optional_value_is_the_next_word_that_is_no_flag),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

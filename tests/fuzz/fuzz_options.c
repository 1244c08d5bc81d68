/* The command line. An input is the arguments, one a line. */
#include "server/command.h"
#include "server/config.h"
#include "server/names.h"
#include "server/options.h"
#include "server/untrusted.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_ARGUMENTS = 64 };

/* What commands read from their options. */
static void check_values(const struct options *options)
{
    const struct predictor_kind *kind = NULL;
    struct fit_options fit = {0};
    struct hardware hardware;
    struct names names = {0};
    struct error err = {0};
    enum err rc = command_fit_options(options, NULL, &kind, &fit, &err);

    require_told(rc, &err, NULL);
    require(rc != ERR_OK || kind != NULL);
    if (options->hardware != NULL) {
        rc = command_hardware(options->hardware, &hardware, &err);
        require_told(rc, &err, NULL);
        require(rc != ERR_OK || hardware_validate(&hardware, NULL, NULL) == ERR_OK);
    }
    if (options->test_devices != NULL) {
        rc = names_split(options->test_devices, &names, &err);
        require_told(rc, &err, NULL);
        for (size_t i = 0; rc == ERR_OK && i < names.n; i++) {
            require(device_name_validate(names.items[i], NULL) == ERR_OK);
            require(names_contain(&names, names.items[i]));
        }
        names_close(&names);
    }
}

static void check_settings(const struct options *options)
{
    static struct config config;
    struct error err = {0};

    config_init(&config);
    for (size_t i = 0; i < config_n_keys; i++) {
        if (options->settings[i] != NULL) { /* "checked" by the parser */
            require(config_set_text(&config, &config_keys[i], "x", options->settings[i], &err) ==
                    ERR_OK);
        }
    }
}

/* What goes to a terminal has no controls. */
static void check_printing(const char *text)
{
    struct text out = {0};

    untrusted_put(&out, text, false);
    for (size_t i = 0; i < out.size; i++) {
        require((unsigned char)out.bytes[i] >= ' ' && out.bytes[i] != 127);
    }
    text_close(&out);
}

static void run(const char *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts(bytes, size);
    char *arguments[MAX_ARGUMENTS + 2] = {(char *)"dgld"};
    struct options options = {0};
    struct error err = {0};
    int n = 1;
    enum err rc;

    while (n <= MAX_ARGUMENTS && (arguments[n] = fuzz_next(&parts, "\n", NULL)) != NULL) {
        check_printing(arguments[n++]);
    }
    arguments[n] = NULL;
    rc = options_parse(n, arguments, &options, &err);
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        require(options.n_words < (size_t)n);
        check_values(&options);
        check_settings(&options);
    } else {
        require(rc == ERR_USAGE);
    }
    options_close(&options);
    while (n > 1) {
        free(arguments[--n]);
    }
}

FUZZ_TARGET(run)

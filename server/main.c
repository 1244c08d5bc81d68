/* The program: reads the command line, runs one command, and turns its error into a line and a
 * code. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "core/version.h"
#include "server/command.h"
#include "server/options.h"
#include "server/shipped.h"

enum exit_code { EXIT_DONE = 0, EXIT_FAILED = 1, EXIT_USAGE = 2, EXIT_INFEASIBLE = 3 };

static enum exit_code exit_code_of(enum err rc)
{
    switch (rc) {
    case ERR_OK:
        return EXIT_DONE;
    case ERR_USAGE:
        return EXIT_USAGE;
    case ERR_INFEASIBLE:
        return EXIT_INFEASIBLE;
    default:
        return EXIT_FAILED;
    }
}

static const struct {
    enum command command;
    enum err (*run)(const struct options *options, struct error *err);
} runners[] = {
    {COMMAND_SERVE,   command_serve  },
    {COMMAND_TRAIN,   command_train  },
    {COMMAND_TEST,    command_test   },
    {COMMAND_PREDICT, command_predict},
    {COMMAND_SUGGEST, command_suggest},
    {COMMAND_COSTS,   command_costs  },
    {COMMAND_CONFIG,  command_config },
    {COMMAND_ROUTES,  command_routes },
    {COMMAND_TOKEN,   command_token  },
    {COMMAND_JOBS,    command_jobs   },
    {COMMAND_HEALTH,  command_health },
    {COMMAND_EXPORT,  command_export },
    {COMMAND_NAS,     command_nas    },
    {COMMAND_BACKUP,  command_backup },
};

static enum err run(const struct options *options, struct error *err)
{
    if (options->without_effect != NULL) {
        (void)fprintf(stderr, "dgld: --%s is read and has no effect here\n",
                      options->without_effect);
    }
    if (shipped_init(options->shipped, err) != ERR_OK) {
        error_wrap(err, "--shipped");
        return ERR_USAGE;
    }
    for (size_t i = 0; i < sizeof runners / sizeof *runners; i++) {
        if (runners[i].command == options->command) {
            return runners[i].run(options, err);
        }
    }
    return error_set(err, ERR_INTERNAL, "the command has no runner");
}

/* A full disk or a closed pipe under standard output must not look like success. */
static enum err flush_output(struct error *err)
{
    if (fflush(stdout) != 0 || ferror(stdout) != 0) {
        return error_sys(err, errno, "cannot write standard output");
    }
    return ERR_OK;
}

int main(int argc, char **argv)
{
    struct options options;
    struct error err = {0};
    enum err rc = options_parse(argc, argv, &options, &err);

    (void)signal(SIGXFSZ,
                 SIG_IGN); /* a file that may not grow further fails as on a full disk does */
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "dgld: %s\nTry: dgld --help\n", err.text);
        return exit_code_of(rc);
    }
    if (options.is_version) {
        (void)puts("dgld " DGLD_VERSION);
    } else if (options.is_help) {
        options_print_help(options.command, stdout);
    } else {
        rc = run(&options, &err);
    }
    options_close(&options);
    rc = rc != ERR_OK ? rc : flush_output(&err);
    if (rc != ERR_OK) {
        (void)fprintf(stderr, "dgld: %s\n", err.text);
    }
    return exit_code_of(rc);
}

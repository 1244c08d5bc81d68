#include "server/options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"

/* Commands as bits, for the table of flags. */
enum {
    SERVE = 1 << COMMAND_SERVE,
    TRAIN = 1 << COMMAND_TRAIN,
    TEST = 1 << COMMAND_TEST,
    PREDICT = 1 << COMMAND_PREDICT,
    COSTS = 1 << COMMAND_COSTS,
    TOKEN = 1 << COMMAND_TOKEN,
    RUNS = TRAIN | TEST,
    ALL = SERVE | TRAIN | TEST | PREDICT | COSTS | TOKEN,
};

static const struct {
    enum command command;
    const char *name, *arguments, *help;
} commands[] = {
  /* clang-format off */
    {COMMAND_SERVE, "serve", "", "run the service"},
    {COMMAND_TRAIN, "train", "", "train a predictor and put it in the served one's place"},
    {COMMAND_TEST, "test", "", "compare predictions with what was measured on unseen devices"},
    {COMMAND_PREDICT, "predict", "[ARCHITECTURE ...]", "predict latencies on one device"},
    {COMMAND_COSTS, "costs", "[ARCHITECTURE ...]", "count MACs, parameters and memory traffic"},
    {COMMAND_TOKEN, "token", "", "draw a token for a client of the service"},
  /* clang-format on */
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

enum flag_kind {
    FLAG_TEXT,
    FLAG_PATH,
    FLAG_WHOLE,
    FLAG_POSITIVE,
    FLAG_SWITCH,
    FLAG_MODE,
    FLAG_IGNORED
};

struct flag {
    const char *name; /* with dashes; underscores are taken for them */
    enum flag_kind kind;
    size_t offset; /* in struct options */
    unsigned commands;
    int64_t min, max; /* of FLAG_WHOLE */
    const char *value, *help;
};

#define AT(field) offsetof(struct options, field)

/* clang-format off */
static const struct flag flags[] = {
    {"search-space", FLAG_TEXT, AT(search_space), RUNS | PREDICT | COSTS, 0, 0, "NAME",
     "nasbench201 or fbnetv3"},
    {"mode", FLAG_MODE, 0, RUNS, 0, 0, "MODE", "train or test, instead of the command's name"},
    {"root", FLAG_PATH, AT(root), ALL, 0, 0, "DIR",
     "where data/, result/ and config/ are; default: the current directory"},
    {"data-path", FLAG_PATH, AT(data_path), ALL & ~TOKEN, 0, 0, "DIR",
     "the data of the space, or a folder that holds it; default: data/ of the root"},
    {"train-devices", FLAG_TEXT, AT(train_devices), RUNS, 0, 0, "A,B,...",
     "devices to learn from; default: the paper's twelve phones"},
    {"test-devices", FLAG_TEXT, AT(test_devices), RUNS, 0, 0, "A,B,...",
     "unseen devices to test on; default for test: all that were measured and not trained on"},
    {"load-path", FLAG_PATH, AT(load_path), TEST | PREDICT, 0, 0, "FILE",
     "predictor to use; default: the served one"},
    {"predictor", FLAG_TEXT, AT(predictor), RUNS, 0, 0, "KIND",
     "kind of predictor: cost (default) or mlp, the paper's"},
    {"epoch", FLAG_WHOLE, AT(epoch), RUNS, 1, 1000000000, "N",
     "epochs of mlp, default 50000; selects mlp where --predictor is not given"},
    {"lr", FLAG_POSITIVE, AT(learning_rate), RUNS, 0, 0, "X",
     "learning rate of mlp, default 0.1; selects mlp likewise"},
    {"name", FLAG_TEXT, AT(name), TRAIN | TOKEN, 0, 0, "NAME",
     "of a model to write beside the served one, which stays as it is; of a token: who holds it"},
    {"model", FLAG_TEXT, AT(model), TEST | PREDICT, 0, 0, "NAME",
     "a named model or a version, instead of the served one"},
    {"seed", FLAG_WHOLE, AT(seed), RUNS, 0, INT64_MAX, "N",
     "of whatever is drawn at random; default: 0"},
    {"holdout", FLAG_SWITCH, AT(is_holdout), TEST, 0, 0, "",
     "predict each architecture by a model that never saw it (10-fold)"},
    {"hardware", FLAG_TEXT, AT(hardware), PREDICT, 0, 0, "F,D,C,M",
     "clock in GHz, dispatch width, last-level cache in MB, memory bandwidth in GB/s"},
    {"device", FLAG_TEXT, AT(device), PREDICT, 0, 0, "NAME", "a device whose data sheet is known"},
    {"architectures", FLAG_PATH, AT(architectures_file), PREDICT | COSTS, 0, 0, "FILE",
     "architectures one a line; - reads standard input"},
    {"role", FLAG_TEXT, AT(role), TOKEN, 0, 0, "ROLE",
     "predict, or operator, who may also change things"},
    {"file", FLAG_PATH, AT(file), TOKEN, 0, 0, "FILE",
     "tokens file to add the token to, relative to the root; default: its entry is printed"},
    {"json", FLAG_SWITCH, AT(is_json), RUNS | PREDICT | COSTS | TOKEN, 0, 0, "", "answer in JSON"},
    {"bind", FLAG_TEXT, AT(bind), SERVE, 0, 0, "ADDRESS",
     "address to listen on; default: 127.0.0.1"},
    {"port", FLAG_WHOLE, AT(port), SERVE, 0, 65535, "N",
     "port to listen on, 0 for any free one; default: 8080"},
    {"config", FLAG_PATH, AT(config), SERVE, 0, 0, "FILE",
     "settings; default: config/dgld.json of the root, where it exists"},
    {"help", FLAG_SWITCH, AT(is_help), ALL, 0, 0, "", "print this"},
    {"version", FLAG_SWITCH, AT(is_version), ALL, 0, 0, "", "print the program's version"},
    {"gpu", FLAG_IGNORED, 0, RUNS, 0, 0, "N", "read and without effect, as are the next two"},
    {"main-path", FLAG_IGNORED, 0, RUNS, 0, 0, "DIR", ""},
    {"save-path", FLAG_IGNORED, 0, RUNS, 0, 0, "DIR", ""},
};
/* clang-format on */

enum { N_FLAGS = sizeof flags / sizeof *flags };

const char *command_name(enum command command)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (commands[i].command == command) {
            return commands[i].name;
        }
    }
    return "";
}

static enum command find_command(const char *name)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0) {
            return commands[i].command;
        }
    }
    return COMMAND_NONE;
}

/* Compares `length` characters of a given name with a flag's, underscores taken for dashes. */
static const struct flag *find_flag(const char *given, size_t length)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        size_t k = 0;
        while (k < length && flags[i].name[k] != '\0' &&
               (given[k] == '_' ? '-' : given[k]) == flags[i].name[k]) {
            k++;
        }
        if (k == length && flags[i].name[k] == '\0') {
            return &flags[i];
        }
    }
    return NULL;
}

static enum err set_command(struct options *options, const char *name, struct error *err)
{
    enum command command = find_command(name);

    if (command == COMMAND_NONE) {
        return error_set(err, ERR_USAGE, "there is no command \"%.60s\"", name);
    }
    if (options->command != COMMAND_NONE && options->command != command) {
        return error_set(err, ERR_USAGE, "%s and %s cannot be done in one call",
                         command_name(options->command), name);
    }
    options->command = command;
    return ERR_OK;
}

static enum err parse_whole(const struct flag *flag, const char *text, int64_t *out,
                            struct error *err)
{
    char *end;
    long long value;

    errno = 0;
    value = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || errno != 0 || value < flag->min || value > flag->max) {
        return error_set(err, ERR_USAGE,
                         "--%s must be a whole number from %lld to %lld, not \"%.60s\"", flag->name,
                         (long long)flag->min, (long long)flag->max, text);
    }
    *out = value;
    return ERR_OK;
}

static enum err parse_positive(const struct flag *flag, const char *text, double *out,
                               struct error *err)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value > 0.0 && isfinite(value))) {
        return error_set(err, ERR_USAGE, "--%s must be a positive number, not \"%.60s\"",
                         flag->name, text);
    }
    *out = value;
    return ERR_OK;
}

static enum err set_flag(struct options *options, const struct flag *flag, const char *value,
                         struct error *err)
{
    void *field = (char *)options + flag->offset;

    switch (flag->kind) {
    case FLAG_PATH:
        if (value[0] == '\0') { /* it would mean the file system's root */
            return error_set(err, ERR_USAGE, "--%s needs a value: %s", flag->name, flag->value);
        }
        *(const char **)field = value;
        return ERR_OK;
    case FLAG_TEXT:
        *(const char **)field = value;
        return ERR_OK;
    case FLAG_WHOLE:
        return parse_whole(flag, value, field, err);
    case FLAG_POSITIVE:
        return parse_positive(flag, value, field, err);
    case FLAG_SWITCH:
        *(bool *)field = true;
        return ERR_OK;
    case FLAG_MODE:
        return set_command(options, value, err);
    default:
        options->without_effect =
            options->without_effect != NULL ? options->without_effect : flag->name;
        return ERR_OK;
    }
}

/* Reads the flag at argv[*at] and its value; `seen` gathers flags for the check of the command. */
static enum err parse_flag(int argc, char **argv, int *at, struct options *options, bool *seen,
                           struct error *err)
{
    const char *given = argv[*at] + 2;
    const char *equals = strchr(given, '=');
    size_t length = equals != NULL ? (size_t)(equals - given) : strlen(given);
    const struct flag *flag = find_flag(given, length);
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (flag == NULL) {
        return error_set(err, ERR_USAGE, "there is no flag --%.*s",
                         (int)(length < 60 ? length : 60), given);
    }
    if (flag->kind == FLAG_SWITCH && value != NULL) {
        return error_set(err, ERR_USAGE, "--%s takes no value", flag->name);
    }
    if (flag->kind != FLAG_SWITCH && value == NULL) {
        if (*at + 1 >= argc) {
            return error_set(err, ERR_USAGE, "--%s needs a value: %s", flag->name, flag->value);
        }
        value = argv[++*at];
    }
    seen[flag - flags] = true;
    return set_flag(options, flag, value, err);
}

static enum err check_flags(const struct options *options, const bool *seen, struct error *err)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        if (seen[i] && (flags[i].commands & (1U << options->command)) == 0) {
            return error_set(err, ERR_USAGE, "--%s is not a flag of %s", flags[i].name,
                             command_name(options->command));
        }
    }
    if (options->n_architectures > 0 && options->command != COMMAND_PREDICT &&
        options->command != COMMAND_COSTS) {
        return error_set(err, ERR_USAGE, "%s does not take \"%.60s\"",
                         command_name(options->command), options->architectures[0]);
    }
    return ERR_OK;
}

enum err options_parse(int argc, char **argv, struct options *out, struct error *err)
{
    struct options options = {.root = ".", .port = -1};
    bool seen[N_FLAGS] = {false};
    bool is_flags_end = false;
    enum err rc = ERR_OK;

    options.architectures = mem_calloc((size_t)argc, sizeof *options.architectures);
    if (options.architectures == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the command line");
    }
    for (int i = 1; rc == ERR_OK && i < argc; i++) {
        if (!is_flags_end && strcmp(argv[i], "--") == 0) {
            is_flags_end = true;
        } else if (!is_flags_end && strcmp(argv[i], "-h") == 0) {
            options.is_help = true;
        } else if (!is_flags_end && strncmp(argv[i], "--", 2) == 0) {
            rc = parse_flag(argc, argv, &i, &options, seen, err);
        } else if (options.command == COMMAND_NONE) {
            rc = set_command(&options, argv[i], err);
        } else {
            options.architectures[options.n_architectures++] = argv[i];
        }
    }
    if (rc == ERR_OK && options.command == COMMAND_NONE && !options.is_help &&
        !options.is_version) {
        rc = error_set(err, ERR_USAGE,
                       "say what to do: serve, train, test, predict, costs or token");
    }
    if (rc == ERR_OK && options.command != COMMAND_NONE) {
        rc = check_flags(&options, seen, err);
    }
    if (rc != ERR_OK) {
        options_close(&options);
        return rc;
    }
    *out = options;
    return ERR_OK;
}

void options_close(struct options *options)
{
    mem_free(options->architectures);
    options->architectures = NULL;
}

void options_print_help(enum command command, FILE *out)
{
    for (size_t i = 0; i < N_COMMANDS; i++) {
        if (command == COMMAND_NONE || command == commands[i].command) {
            (void)fprintf(out, "dgld %-8s %-20s %s\n", commands[i].name, commands[i].arguments,
                          commands[i].help);
        }
    }
    if (command == COMMAND_NONE) {
        (void)fprintf(out,
                      "\ndgld COMMAND --help tells the flags of a command.\n"
                      "Exit codes: 0 done, 1 failed, 2 wrong usage, 3 no architecture meets the "
                      "limit.\n");
        return;
    }
    (void)fputc('\n', out);
    for (size_t i = 0; i < N_FLAGS; i++) {
        if ((flags[i].commands & (1U << command)) != 0) {
            char left[64];
            (void)snprintf(left, sizeof left, "--%s %s", flags[i].name, flags[i].value);
            (void)fprintf(out, "  %-26s %s\n", left, flags[i].help);
        }
    }
}

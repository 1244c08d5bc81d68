#include "server/options.h"

#include <errno.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "core/mem.h"
#include "core/space.h"
#include "core/space_declared.h"
#include "proto/job.h"
#include "server/config_source.h"
#include "server/spelling.h"

/* Commands as bits, for the table of flags. */
enum {
    SERVE = 1 << COMMAND_SERVE,
    TRAIN = 1 << COMMAND_TRAIN,
    TEST = 1 << COMMAND_TEST,
    PREDICT = 1 << COMMAND_PREDICT,
    COSTS = 1 << COMMAND_COSTS,
    CONFIG = 1 << COMMAND_CONFIG,
    ROUTES = 1 << COMMAND_ROUTES,
    TOKEN = 1 << COMMAND_TOKEN,
    JOBS = 1 << COMMAND_JOBS,
    EXPORT = 1 << COMMAND_EXPORT,
    NAS = 1 << COMMAND_NAS,
    SUGGEST = 1 << COMMAND_SUGGEST,
    BACKUP = 1 << COMMAND_BACKUP,
    HEALTH = 1 << COMMAND_HEALTH,
    FITS = TRAIN | TEST,
    RUNS = FITS | NAS,                          /* the reference's modes */
    SERVICE = SERVE | CONFIG | BACKUP | HEALTH, /* these take the settings too */
    ROOTED =
        SERVICE | RUNS | PREDICT | SUGGEST | COSTS | TOKEN, /* these look at the root's files */
    LOADS = SERVE | RUNS | PREDICT | SUGGEST, /* of these, predictors and device sheets */
    ALL = ROOTED | ROUTES | JOBS | EXPORT,
    WORDS =
        PREDICT | SUGGEST | COSTS | JOBS | EXPORT | BACKUP, /* these take positional arguments */
};

static const struct {
    enum command command;
    const char *name, *arguments, *help;
} commands[] = {
  /* clang-format off */
    {COMMAND_SERVE, "serve", "", "run the service"},
    {COMMAND_TRAIN, "train", "", "train a predictor and put it in the served one's place"},
    {COMMAND_TEST, "test", "", "compare predictions with what was measured on unseen devices"},
    {COMMAND_NAS, "nas", "", "search the best network under a latency limit"},
    {COMMAND_PREDICT, "predict", "[ARCHITECTURE ...]", "predict latencies on one device"},
    {COMMAND_SUGGEST, "suggest", "[ARCHITECTURE ...]",
     "choose which architectures to measure of a device"},
    {COMMAND_COSTS, "costs", "[ARCHITECTURE ...]", "count MACs, parameters and memory traffic"},
    {COMMAND_EXPORT, "export", "ARCHITECTURE", "write the network of an architecture as a file"},
    {COMMAND_CONFIG, "config", "", "print the settings that serve would run with, and their origins"},
    {COMMAND_ROUTES, "routes", "", "list the service's addresses, and the role that each demands"},
    {COMMAND_TOKEN, "token", "", "draw a token for a client of the service"},
    {COMMAND_JOBS, "jobs", "ACTION [ID|FILE]",
     "list, show ID, wait ID, cancel ID, submit FILE: jobs of a running service"},
    {COMMAND_BACKUP, "backup", "DIRECTORY",
     "copy jobs, results, data and settings of a root that may be served meanwhile"},
    {COMMAND_HEALTH, "health", "", "ask a running service whether it is ready; 0 where it is, else 1"},
  /* clang-format on */
};

enum { N_COMMANDS = sizeof commands / sizeof *commands };

enum flag_kind {
    FLAG_TEXT,
    FLAG_PATH,
    FLAG_WHOLE,
    FLAG_POSITIVE,
    FLAG_SWITCH,
    FLAG_OPTIONAL, /* a text, or alone and then "" */
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
    {"search-space", FLAG_TEXT, AT(search_space), RUNS | PREDICT | SUGGEST | COSTS | EXPORT, 0, 0, "NAME",
     "nasbench201, fbnetv3, or one that config/spaces/NAME.json declares (export knows no network of such a one)"},
    {"mode", FLAG_MODE, 0, RUNS, 0, 0, "MODE", "train, test or nas, instead of the command's name"},
    {"root", FLAG_PATH, AT(root), ROOTED, 0, 0, "DIR",
     "where data/, result/ and config/ are; default: the current directory"},
    {"shipped", FLAG_PATH, AT(shipped), LOADS, 0, 0, "DIR",
      "predictors and device sheets to read where the root has none, laid out as a root; default: "
      "share/dgld beside the program's own directory, where it is installed"},
    {"data-path", FLAG_PATH, AT(data_path), ROOTED & ~(TOKEN | BACKUP | HEALTH), 0, 0, "DIR",
     "the data of the space, or a folder that holds it; default: data/ of the root"},
    {"train-devices", FLAG_TEXT, AT(train_devices), FITS, 0, 0, "A,B,...",
     "devices to learn from; default: the paper's twelve phones, of a declared space all that have "
     "latencies and a sheet"},
    {"test-devices", FLAG_TEXT, AT(test_devices), FITS, 0, 0, "A,B,...",
     "unseen devices to test on; default for test: all that were measured and not trained on"},
    {"load-path", FLAG_PATH, AT(load_path), TEST | PREDICT | SUGGEST | NAS, 0, 0, "FILE",
     "predictor to use; default: the served one"},
    {"predictor", FLAG_TEXT, AT(predictor), FITS, 0, 0, "KIND",
     "kind of predictor: cost (default) or mlp, the paper's"},
    {"epoch", FLAG_WHOLE, AT(epoch), FITS, 1, 1000000000, "N",
     "epochs of mlp, default 50000; selects mlp where --predictor is not given"},
    {"lr", FLAG_POSITIVE, AT(learning_rate), FITS, 0, 0, "X",
     "learning rate of mlp, default 0.1; selects mlp likewise"},
    {"target", FLAG_TEXT, AT(target), TRAIN, 0, 0, "WHAT",
     "what to learn to predict: latency (default) or accuracy"},
    {"accuracy-data", FLAG_PATH, AT(accuracy_data), TRAIN, 0, 0, "DIR",
     "networks with their accuracy to learn from; default: NAS/ of the space's data"},
    {"name", FLAG_TEXT, AT(name), TRAIN | TOKEN, 0, 0, "NAME",
     "of a model to write beside the served one, which stays as it is; of a token: who holds it"},
    {"model", FLAG_TEXT, AT(model), TEST | PREDICT | SUGGEST | NAS, 0, 0, "NAME",
     "a named model or a version, instead of the served one"},
    {"seed", FLAG_WHOLE, AT(seed), RUNS | EXPORT | SUGGEST, 0, INT64_MAX, "N",
     "of whatever is drawn at random; default: 0"},
    {"holdout", FLAG_OPTIONAL, AT(holdout), TEST, 0, 0, "[WHAT]",
     "rows, or without a word: predict each architecture by a model that never saw it (10-fold); "
     "devices: predict each device of the library with what the others teach"},
    {"calibrate", FLAG_OPTIONAL, AT(calibrate), TEST | NAS, 0, 0, "[N]",
     "of test: N random rows of each device's latencies calibrate its predictions and are not "
     "scored; of nas, without N: the stored measurements of the targets correct their latencies"},
    {"library", FLAG_OPTIONAL, AT(library), FITS, 0, 0, "[DIR]",
     "learn besides from a library of devices, so that a new one needs few measurements: "
     "<device>.csv (architecture,latency_ms) in DIR; default: measurements/ of the space. Of test "
     "--holdout devices: the library"},
    {"library-devices", FLAG_TEXT, AT(library_devices), FITS, 0, 0, "A,B,...",
     "those of the library alone"},
    {"input", FLAG_TEXT, AT(input), TRAIN, 0, 0, "SHAPE",
     "what the latencies are measured with, 1x3x32x32 say; default: as the space has it"},
    {"batch", FLAG_WHOLE, AT(batch), TRAIN, 1, SPACE_MAX_BATCH, "N", "likewise the batch size"},
    {"runtime", FLAG_TEXT, AT(runtime), TRAIN, 0, 0, "NAME", "likewise the runtime, TFLite say"},
    {"hardware", FLAG_TEXT, AT(hardware), PREDICT | NAS, 0, 0, "F,D,C,M",
     "clock in GHz, dispatch width, last-level cache in MB, memory bandwidth in GB/s"},
    {"device", FLAG_TEXT, AT(device), PREDICT | SUGGEST, 0, 0, "NAME",
     "a device whose data sheet or measurements are known; to suggest for, any"},
    {"interval", FLAG_TEXT, AT(interval), PREDICT, 0, 0, "LEVEL",
     "bounds, too, that hold a latency with this probability, 0.9 say"},
    {"measurements", FLAG_PATH, AT(measurements), PREDICT | NAS, 0, 0, "FILE",
     "architecture,latency_ms as CSV: what was measured of the one device, which then needs no data "
     "sheet, instead of what is stored of it; - reads standard input"},
    {"no-calibration", FLAG_SWITCH, AT(is_uncalibrated), PREDICT, 0, 0, "",
     "predict from the data sheet alone, whatever is measured of the device"},
    {"n", FLAG_WHOLE, AT(n), SUGGEST, 1, 100, "N", "how many architectures to choose, default 10"},
    {"architectures", FLAG_PATH, AT(architectures_file), PREDICT | SUGGEST | COSTS, 0, 0, "FILE",
     "architectures one a line; - reads standard input"},
    {"role", FLAG_TEXT, AT(role), TOKEN, 0, 0, "ROLE",
     "predict, or operator, who may also change things"},
    {"file", FLAG_PATH, AT(file), TOKEN | EXPORT, 0, 0, "FILE",
     "of token: the tokens file to add it to, relative to the root; default: its entry is printed; "
     "of export: the file to write, whose ending names the format: .onnx or .pt"},
    {"remove", FLAG_SWITCH, AT(is_removal), TOKEN, 0, 0, "",
     "take the entry of that name out of the file instead, whose token opens nothing any more"},
    {"nas-target-device", FLAG_TEXT, AT(nas_target_device), NAS, 0, 0, "A,B,...",
     "the phone to search for; of several the network holds on all"},
    {"latency-constraint", FLAG_TEXT, AT(latency_constraint), NAS, 0, 0, "X,...",
     "limit in the reference's unit, hundreds of ms for nasbench201 and ms for fbnetv3; one for all "
     "phones or as many as phones"},
    {"latency-constraint-ms", FLAG_TEXT, AT(latency_constraint_ms), NAS, 0, 0, "MS,...",
     "the same in milliseconds, for every space"},
    {"objective", FLAG_TEXT, AT(objective), NAS, 0, 0, "NAME",
     "accuracy (default): the most accurate under the limit; pareto: the front of accuracy and "
     "latency, with or without a limit"},
    {"confidence", FLAG_TEXT, AT(confidence), NAS, 0, 0, "SHARE",
     "the upper bound of that interval, 0.9 say, keeps the limit rather than the median"},
    {"macs-max", FLAG_TEXT, AT(macs_max), NAS, 0, 0, "N", "most multiply-accumulates"},
    {"params-max", FLAG_TEXT, AT(params_max), NAS, 0, 0, "N", "most parameters"},
    {"method", FLAG_TEXT, AT(method), NAS, 0, 0, "NAME",
     "exhaustive or genetic; default: exhaustive where all architectures can be listed, as those of "
     "a table of accuracies; genetic looks at such a table's rows alone, too"},
    {"population-size", FLAG_TEXT, AT(population_size), NAS, 0, 0, "N",
     "of the genetic search, default 100, of nasbench201 50, and fewer the smaller a declared space is; "
     "each of these selects it"},
    {"generations", FLAG_TEXT, AT(generations), NAS, 0, 0, "N",
     "likewise, default 100, of nasbench201 40"},
    {"crossover-rate", FLAG_TEXT, AT(crossover_rate), NAS, 0, 0, "X",
     "likewise, default 2: above 1 means always"},
    {"mutation-rate", FLAG_TEXT, AT(mutation_rate), NAS, 0, 0, "X", "likewise, a gene, default 0.05"},
    {"POPULATION-SIZE", FLAG_TEXT, AT(population_size), NAS, 0, 0, "N",
     "the reference's names of these four, and its GENE_LENGTH, which is checked"},
    {"EPOCH", FLAG_TEXT, AT(generations), NAS, 0, 0, "N", ""},
    {"CROSSOVER-RATE", FLAG_TEXT, AT(crossover_rate), NAS, 0, 0, "X", ""},
    {"MUTATION-RATE", FLAG_TEXT, AT(mutation_rate), NAS, 0, 0, "X", ""},
    {"GENE-LENGTH", FLAG_WHOLE, AT(gene_length), NAS, 1, SPACE_MAX_GENES, "N", ""},
    {"export", FLAG_TEXT, AT(export_formats), NAS, 0, 0, "A,B",
     "files of the network that is found: onnx,torchscript (default), one of them, or none"},
    {"plot", FLAG_PATH, AT(plot), TEST | NAS, 0, 0, "FILE.svg",
     "draw a picture besides: of test, predicted against measured latencies; of nas, latency against "
     "accuracy of what was looked at, with the limits and the network that is found"},
    {"url", FLAG_TEXT, AT(url), JOBS | HEALTH, 0, 0, "URL",
     "of the service; default of jobs: DGLD_URL of the environment, or http://127.0.0.1:8080; of health: "
     "the one on this machine that these settings start, whatever its certificate is called"},
    {"token-file", FLAG_PATH, AT(token_file), JOBS, 0, 0, "FILE",
     "file that holds the token to show; default: DGLD_TOKEN of the environment, or none"},
    {"cacert", FLAG_PATH, AT(ca_file), JOBS | HEALTH, 0, 0, "FILE",
     "certificates that an https service is believed by; default: those of the system"},
    {"live", FLAG_SWITCH, AT(is_live), HEALTH, 0, 0, "",
     "ask whether it lives (/healthz), be it loading or stopping, rather than whether it is ready (/readyz)"},
    {"state", FLAG_TEXT, AT(state), JOBS, 0, 0, "STATE",
     "to list: " JOB_STATE_NAMES},
    {"kind", FLAG_TEXT, AT(kind), JOBS, 0, 0, "KIND", "to list: one of " JOB_KIND_NAMES},
    {"limit", FLAG_WHOLE, AT(limit), JOBS, 1, 10000000, "N",
     "how many jobs to list, the newest first; default: 100"},
    {"json", FLAG_SWITCH, AT(is_json), RUNS | PREDICT | SUGGEST | COSTS | CONFIG | TOKEN | JOBS | EXPORT | BACKUP,
     0, 0,
     "", "answer in JSON"},
    {"markdown", FLAG_SWITCH, AT(is_markdown), CONFIG, 0, 0, "",
     "print the table of all settings, as config/README.md has it"},
    {"defaults", FLAG_SWITCH, AT(is_defaults), CONFIG, 0, 0, "",
     "print a settings file with every default, as config/dgld.json is"},
    {"config", FLAG_PATH, AT(config), SERVICE, 0, 0, "FILE",
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

/* Whether these `length` characters are the name, dashes and underscores taken for each other. */
static bool is_flag_name(const char *given, size_t length, const char *name)
{
    size_t k = 0;

    while (k < length && name[k] != '\0' &&
           (given[k] == '_' ? '-' : given[k]) == (name[k] == '_' ? '-' : name[k])) {
        k++;
    }
    return k == length && name[k] == '\0';
}

static const struct flag *find_flag(const char *given, size_t length)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        if (is_flag_name(given, length, flags[i].name)) {
            return &flags[i];
        }
    }
    return NULL;
}

static const struct config_key *find_setting(const char *given, size_t length)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        if (is_flag_name(given, length, config_keys[i].name)) {
            return &config_keys[i];
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
    case FLAG_OPTIONAL:
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

/* What stands for the value of a setting in messages. */
static const char *setting_value(const struct config_key *key)
{
    static const char *const values[] = {[CONFIG_TEXT] = "TEXT",
                                         [CONFIG_WHOLE] = "N",
                                         [CONFIG_CHOICE] = "NAME",
                                         [CONFIG_BOOLEAN] = "[true|false]"};

    return values[key->type];
}

/* Offers the flags of those commands, as bits. */
static void offer_flags(unsigned offered, struct spelling *spelling)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        if ((flags[i].commands & offered) != 0) {
            spelling_offer(spelling, flags[i].name);
        }
    }
    for (size_t i = 0; (SERVICE & offered) != 0 && i < config_n_keys; i++) {
        spelling_offer(spelling, config_keys[i].name);
    }
}

/* Of flags that are equally near, that of the command is meant. */
static enum err refuse_flag(const struct options *options, const char *given, size_t length,
                            struct error *err)
{
    char name[SPELLING_MAX_LENGTH + 1];
    struct spelling spelling = {.given = name};
    char meant[CONFIG_FLAG_BYTES] = "";

    (void)snprintf(name, sizeof name, "%.*s", (int)(length < 60 ? length : 60), given);
    offer_flags(1U << options->command, &spelling);
    offer_flags(ALL, &spelling);
    if (spelling.nearest != NULL) {
        config_flag_name(spelling.nearest, meant);
    }
    return error_set(err, ERR_USAGE, "there is no flag --%s%s%s%s", name,
                     spelling.nearest != NULL ? "; did you mean " : "", meant,
                     spelling.nearest != NULL ? "?" : "");
}

/* The argument that is to be read next; `at` is moved over what was taken. */
struct arguments {
    int argc;
    char **argv;
    int at;
};

static bool is_truth(const char *text)
{
    return strcmp(text, "true") == 0 || strcmp(text, "false") == 0;
}

/* The value of a setting's flag: after an equals sign, or the next argument. A boolean alone is
 * true. */
static enum err parse_setting(const struct config_key *key, const char *value,
                              struct arguments *arguments, struct options *options,
                              struct error *err)
{
    const char *next =
        arguments->at + 1 < arguments->argc ? arguments->argv[arguments->at + 1] : NULL;
    char label[CONFIG_FLAG_BYTES];
    struct config scratch;

    config_flag_name(key->name, label);
    if (value == NULL && key->type == CONFIG_BOOLEAN && (next == NULL || !is_truth(next))) {
        value = "true";
    } else if (value == NULL && next == NULL) {
        return error_set(err, ERR_USAGE, "%s needs a value: %s", label, setting_value(key));
    } else if (value == NULL) {
        value = next;
        arguments->at++;
    }
    if (config_set_text(&scratch, key, label, value, err) != ERR_OK) {
        if (err != NULL) {
            err->code = ERR_USAGE;
        }
        return ERR_USAGE;
    }
    options->settings[key - config_keys] = value;
    return ERR_OK;
}

/* Whether a word stands behind the flag at hand: no flag, and not the command itself. */
static bool has_word_behind(const struct arguments *arguments, const struct options *options)
{
    return options->command != COMMAND_NONE && arguments->at + 1 < arguments->argc &&
           arguments->argv[arguments->at + 1][0] != '-';
}

/* Reads the flag at hand and its value; `seen` gathers flags for the check of the command. */
static enum err parse_flag(struct arguments *arguments, struct options *options, bool *seen,
                           struct error *err)
{
    const char *given = arguments->argv[arguments->at] + 2;
    const char *equals = strchr(given, '=');
    size_t length = equals != NULL ? (size_t)(equals - given) : strlen(given);
    const struct flag *flag = find_flag(given, length);
    const struct config_key *key = find_setting(given, length);
    const char *value = equals != NULL ? equals + 1 : NULL;

    if (key != NULL) {
        return parse_setting(key, value, arguments, options, err);
    }
    if (flag == NULL) {
        return refuse_flag(options, given, length, err);
    }
    if (flag->kind == FLAG_SWITCH && value != NULL) {
        return error_set(err, ERR_USAGE, "--%s takes no value", flag->name);
    }
    if (flag->kind == FLAG_OPTIONAL && value == NULL) {
        value = has_word_behind(arguments, options) ? arguments->argv[++arguments->at] : "";
    }
    if (flag->kind != FLAG_SWITCH && value == NULL) {
        if (arguments->at + 1 >= arguments->argc) {
            return error_set(err, ERR_USAGE, "--%s needs a value: %s", flag->name, flag->value);
        }
        value = arguments->argv[++arguments->at];
    }
    seen[flag - flags] = true;
    return set_flag(options, flag, value, err);
}

/* Settings are flags of the service alone. */
static enum err check_settings(const struct options *options, struct error *err)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        char label[CONFIG_FLAG_BYTES];
        if (options->settings[i] != NULL && ((1U << options->command) & SERVICE) == 0) {
            config_flag_name(config_keys[i].name, label);
            return error_set(err, ERR_USAGE, "%s is not a flag of %s", label,
                             command_name(options->command));
        }
    }
    if (options->is_json + options->is_markdown + options->is_defaults > 1) {
        return error_set(err, ERR_USAGE, "--json, --markdown and --defaults exclude each other");
    }
    return ERR_OK;
}

static enum err check_flags(const struct options *options, const bool *seen, struct error *err)
{
    for (size_t i = 0; i < N_FLAGS; i++) {
        if (seen[i] && (flags[i].commands & (1U << options->command)) == 0) {
            return error_set(err, ERR_USAGE, "--%s is not a flag of %s", flags[i].name,
                             command_name(options->command));
        }
    }
    if (options->n_words > 0 && (WORDS & (1U << options->command)) == 0) {
        return error_set(err, ERR_USAGE, "%s does not take \"%.60s\"",
                         command_name(options->command), options->words[0]);
    }
    return check_settings(options, err);
}

enum err options_parse(int argc, char **argv, struct options *out, struct error *err)
{
    struct options options = {.root = ".", .arguments = argv};
    struct arguments arguments = {.argc = argc, .argv = argv, .at = 1};
    bool seen[N_FLAGS] = {false};
    bool is_flags_end = false;
    enum err rc = ERR_OK;

    options.words = mem_calloc((size_t)argc, sizeof *options.words);
    if (options.words == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the command line");
    }
    for (; rc == ERR_OK && arguments.at < argc; arguments.at++) {
        const char *argument = argv[arguments.at];
        if (!is_flags_end && strcmp(argument, "--") == 0) {
            is_flags_end = true;
        } else if (!is_flags_end && strcmp(argument, "-h") == 0) {
            options.is_help = true;
        } else if (!is_flags_end && strncmp(argument, "--", 2) == 0) {
            rc = parse_flag(&arguments, &options, seen, err);
        } else if (options.command == COMMAND_NONE) {
            rc = set_command(&options, argument, err);
        } else {
            options.words[options.n_words++] = argument;
        }
    }
    if (rc == ERR_OK && options.command == COMMAND_NONE && !options.is_help &&
        !options.is_version) {
        rc = error_set(
            err, ERR_USAGE,
            "say what to do: serve, train, test, nas, predict, suggest, costs, export, config, "
            "token, jobs, backup or health");
    }
    if (rc == ERR_OK && options.command != COMMAND_NONE) {
        rc = check_flags(&options, seen, err);
    }
    if (rc != ERR_OK) {
        options_close(&options);
        return rc;
    }
    options.is_holdout = options.holdout != NULL;
    *out = options;
    return ERR_OK;
}

void options_close(struct options *options)
{
    mem_free(options->words);
    options->words = NULL;
}

static void print_settings(FILE *out)
{
    struct config presets;

    config_init(&presets);
    (void)fputs("\nSettings, which may also stand in the file (as body_max_bytes) and in the "
                "environment (as\nDGLD_BODY_MAX_BYTES); a flag wins over the environment, the "
                "environment over the file:\n\n",
                out);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char name[CONFIG_FLAG_BYTES];
        char left[2 * CONFIG_FLAG_BYTES];
        char preset[CONFIG_TEXT_BYTES];
        char bounds[CONFIG_BOUNDS_BYTES];
        config_flag_name(key->name, name);
        config_value(&presets, key, preset);
        config_bounds(key, bounds);
        (void)snprintf(left, sizeof left, "%s %s", name, setting_value(key));
        (void)fprintf(out, "  %-34s %s (%s%sdefault %s%s%s)\n", left, key->help, bounds,
                      bounds[0] != '\0' ? "; " : "", preset[0] != '\0' ? preset : "none",
                      key->type == CONFIG_WHOLE && key->unit[0] != '\0' ? " " : "",
                      key->type == CONFIG_WHOLE ? key->unit : "");
    }
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
    if (((1U << command) & SERVICE) != 0) {
        print_settings(out);
    }
}

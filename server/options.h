/* The command line: one table of flags that parses, documents and checks; the settings of the
 * service are flags by their own table. Single-threaded. */
#ifndef DGLD_SERVER_OPTIONS_H
#define DGLD_SERVER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "core/error.h"
#include "server/config.h"
#include "server/names.h"

enum command {
    COMMAND_NONE,
    COMMAND_SERVE,
    COMMAND_TRAIN,
    COMMAND_TEST,
    COMMAND_PREDICT,
    COMMAND_COSTS,
    COMMAND_CONFIG,
    COMMAND_ROUTES,
    COMMAND_TOKEN,
    COMMAND_JOBS,
    COMMAND_EXPORT,
    COMMAND_NAS,
    COMMAND_SUGGEST,
    COMMAND_BACKUP,
    COMMAND_HEALTH,
};

/* Texts are borrowed from argv. A text that was not given is NULL, unless the table has a default.
 */
struct options {
    enum command command;
    bool is_help, is_version;
    char *const *arguments; /* main()'s, the program's name first */
    const char *root, *shipped, *data_path, *search_space;
    const char *load_path, *train_devices, *test_devices, *predictor;
    const char *hardware, *device, *architectures_file;
    const char *config;
    const char *settings[CONFIG_MAX_KEYS]; /* by key of the table of settings, checked */
    int64_t seed;
    int64_t epoch;        /* 0 where it was not given */
    double learning_rate; /* likewise */
    const char *name, *model;
    const char *target, *accuracy_data; /* of train */
    const char *role, *file;            /* of token; `file` of export too */
    bool is_removal;                    /* of token */
    const char *url, *token_file, *ca_file, *state,
        *kind;     /* of jobs; the first and third of health */
    int64_t limit; /* 0 where it was not given */
    /* of nas; numbers as text, which the command reads */
    const char *nas_target_device, *latency_constraint, *latency_constraint_ms;
    const char *objective, *method, *confidence, *macs_max, *params_max, *export_formats;
    const char *population_size, *generations, *crossover_rate, *mutation_rate;
    int64_t gene_length;  /* 0 where it was not given */
    const char *interval; /* of predict */
    bool is_uncalibrated; /* likewise */
    int64_t n;            /* of suggest; 0 where it was not given */
    const char *plot;     /* of test and nas */
    const char *holdout;  /* "": alone; NULL: not given */
    const char *library;  /* likewise */
    const char *library_devices, *input, *runtime;
    int64_t batch;            /* 0 where it was not given */
    const char *calibrate;    /* NULL: not given; a number of test */
    const char *measurements; /* of predict and nas */
    bool is_holdout;          /* holdout was given */
    bool is_live;             /* of health */
    bool is_json, is_markdown, is_defaults;
    const char *without_effect; /* the first flag given that is read and has no effect */
    const char **words;         /* (n_words), owned; positional arguments */
    size_t n_words;
};

/* ERR_USAGE says what is wrong and with which flag. */
enum err options_parse(int argc, char **argv, struct options *out, struct error *err);
void options_close(struct options *options);

/* Prints the commands, or the flags of one. */
void options_print_help(enum command command, FILE *out);

const char *command_name(enum command command);

#endif

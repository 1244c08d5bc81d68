/* The commands of the command line, and what they share. Each returns an error for main() to print;
 * `exit_code` of main() follows from its kind. */
#ifndef DGLD_SERVER_COMMAND_H
#define DGLD_SERVER_COMMAND_H

#include "core/device.h"
#include "core/error.h"
#include "core/predictor.h"
#include "core/space.h"
#include "proto/model_file.h"
#include "proto/text.h"
#include "server/data_tree.h"
#include "server/device_library.h"
#include "server/options.h"

enum err command_serve(const struct options *options, struct error *err);
enum err command_train(const struct options *options, struct error *err);
/* `dgld train --target accuracy`, which command_train() hands over to. */
enum err command_train_accuracy(const struct options *options, struct error *err);
enum err command_test(const struct options *options, struct error *err);
enum err command_predict(const struct options *options, struct error *err);
enum err command_suggest(const struct options *options, struct error *err);
enum err command_token(const struct options *options, struct error *err);
enum err command_costs(const struct options *options, struct error *err);
enum err command_config(const struct options *options, struct error *err);
enum err command_routes(const struct options *options, struct error *err);
enum err command_jobs(const struct options *options, struct error *err);
enum err command_backup(const struct options *options, struct error *err);
enum err command_export(const struct options *options, struct error *err);
/* ERR_IO where the service is not ready, or not there. */
enum err command_health(const struct options *options, struct error *err);
/* ERR_INFEASIBLE where no architecture keeps the limits; the answer is printed all the same. */
enum err command_nas(const struct options *options, struct error *err);

/* The space that --search_space names; ERR_USAGE where it is missing or unknown. */
enum err command_space(const struct options *options, const struct space **out, struct error *err);

/* The architectures of the arguments and of --architectures: (n, n_genes), to be mem_free()d. With
 * `is_domain_free`, genes outside of the domain are read too, as long as they can be counted. */
enum err command_architectures(const struct options *options, const struct space *space,
                               bool is_domain_free, int32_t **genes, size_t *n, struct error *err);

/* Loads the model to use: that of --load_path or --model, or the served one. ERR_NOT_FOUND where
 * there is none, with what to do. Says on standard error where a sibling of the named file is
 * used. The caller ends it with model_close(). */
enum err command_load_model(const struct options *options, const struct space *space,
                            struct model *out, struct error *err);

/* Whether --library or --library_devices was given; and the library that they name, to be ended with
 * device_library_close(). ERR_USAGE for names that are none, or of which nothing is measured. */
bool command_wants_library(const struct options *options);
enum err command_library(const struct options *options, const struct data_tree *tree,
                         const struct space *space, struct device_library *out, struct error *err);

/* A number as the command line has them, plain and decimal: .5 and 5e-1, and no 0x1, inf or nan. False
 * where `text` is none. */
bool command_number(const char *text, double *out);

/* The value of --hardware: "2,3,1,7.46", separated by commas or blanks. ERR_USAGE. */
enum err command_hardware(const char *text, struct hardware *out, struct error *err);

/* Reads a file whole, "-" being standard input; a block to be mem_free()d. Errors as of
 * file_read(). */
enum err command_read(const char *path, size_t max_bytes, char **bytes, size_t *size,
                      struct error *err);

/* Whether --plot, where it was given, names a file that can be written: before anything that takes
 * long. ERR_USAGE where it is no .svg; errors of result_stage(). */
enum err command_check_plot(const struct options *options, struct error *err);

/* Prints a text to standard output and ends it. ERR_NOMEM where writing the text had failed. */
enum err command_print(struct text *text, struct error *err);

/* The kind of predictor to train, and its options. Without --predictor it is `preset`, or where
 * that is NULL the one that the other flags are for: epochs and learning rate belong to mlp. */
enum err command_fit_options(const struct options *options, const struct predictor_kind *preset,
                             const struct predictor_kind **kind, struct fit_options *out,
                             struct error *err);

#endif

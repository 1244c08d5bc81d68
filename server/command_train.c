#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/matrix.h"
#include "server/checkpoint.h"
#include "server/command.h"
#include "server/data_tree.h"
#include "server/model_store.h"
#include "server/names.h"
#include "server/progress.h"
#include "server/run_library.h"
#include "server/run_train.h"
#include "server/training_set.h"

static void print_rows(const struct fit_report *fit)
{
    enum { MOST_PRINTED = 20 };

    (void)printf("distrusted rows   %zu", fit->n_distrusted);
    for (size_t i = 0; i < fit->n_distrusted && i < MOST_PRINTED; i++) {
        (void)printf("%s%zu", i == 0 ? ": " : ", ", fit->distrusted[i] + 1);
    }
    (void)printf("%s\n", fit->n_distrusted > MOST_PRINTED ? ", ..." : "");
}

static void print_library(const struct library_report *library)
{
    const struct library_figures mean = library_report_mean(library);

    (void)printf("library           %zu devices, %zu measurements; each from the others, Spearman "
                 "in the mean",
                 library->n_devices, library->n_rows);
    for (size_t s = 0; s < LIBRARY_N_SIZES; s++) {
        (void)printf("%s %.4f after %zu", s > 0 ? "," : "", mean.at[s].spearman, library_sizes[s]);
    }
    (void)printf(" measurements\n");
}

static void print_report(const struct train_report *report)
{
    const struct model_info *info = &report->model->info;

    (void)printf("search space      %s\n", report->model->predictor->space->name);
    (void)printf("predictor         %s, version %s\n", report->model->predictor->kind->name,
                 info->version);
    (void)printf("learned from      %s, %zu rows (%s)\n",
                 strcmp(info->source, "latency") == 0 ? "latency/ of the training devices"
                 : strcmp(info->source, TRAINING_OF_LIBRARY) == 0 ? "the library alone"
                                                                  : "a.txt",
                 info->n_rows, report->reason);
    print_rows(&report->fit);
    if (report->is_validated && isnan(report->held_out.r)) {
        (void)printf("held-out R(A)     unknown: A, or what is predicted of it, is the same in all "
                     "%zu trusted rows\n",
                     report->held_out.n);
    } else if (report->is_validated) {
        (void)printf("held-out R(A)     %.4f on %zu trusted rows, %.4f on all (%s)\n",
                     report->held_out.r, report->held_out.n, report->r_all_rows, info->validation);
    } else if (!isnan(info->r_held_out)) {
        (void)printf("held-out R(A)     %.4f (%s) when it was trained\n", info->r_held_out,
                     info->validation);
    } else {
        (void)printf("held-out R(A)     unknown: too few distinct architectures\n");
    }
    (void)printf("fit took          %.3f s\n", report->fit_seconds);
    if (report->library != NULL) {
        print_library(report->library);
    }
    (void)printf("written to        %s\n", report->file);
}

static enum err print_json(const struct train_report *report, struct error *err)
{
    struct text text = {0};

    msg_train_encode(report, &text);
    return command_print(&text, err);
}

/* The training devices of the command line, checked against its test devices. */
static enum err read_devices(const struct options *options, const struct data_tree *tree,
                             const struct space *space, struct names *out, struct error *err)
{
    struct names tested = {0};
    enum err rc = options->train_devices != NULL ? names_split(options->train_devices, out, err)
                                                 : training_default_devices(tree, space, out, err);

    if (rc != ERR_OK && options->train_devices != NULL) {
        error_wrap(err, "--train_devices");
        return ERR_USAGE;
    }
    if (rc != ERR_OK) {
        return rc;
    }
    if (options->test_devices != NULL) {
        rc = names_split(options->test_devices, &tested, err);
        if (rc == ERR_OK) {
            rc = training_check_unseen(out, &tested, err);
        }
        names_close(&tested);
    }
    return rc == ERR_OK ? ERR_OK : ERR_USAGE;
}

/* What the hooks of a long fit work on. */
struct watch {
    struct progress progress;
    struct checkpoint checkpoint;
    struct fit_hooks hooks;
};

static bool show_progress(void *context, const struct fit_progress *now)
{
    struct watch *watch = context;

    if (now->n_epochs > 0) {
        progress_show(&watch->progress, now);
    }
    return true;
}

static enum err save_state(void *context, const struct tensor *state, size_t n, struct error *err)
{
    struct watch *watch = context;

    return checkpoint_save(&watch->checkpoint, state, n, err);
}

/* Trains with progress and checkpoints, where the kind takes long enough for them. */
static enum err train_watched(const struct options *options, const struct training_set *set,
                              const struct predictor_kind *kind, struct fit_options *fit_options,
                              struct watch *watch, struct model *model, struct train_report *report,
                              struct error *err)
{
    char directory[PATH_BYTES];
    enum err rc;

    if (!kind->has_epochs) {
        return run_train(set, kind, fit_options, model, report, err);
    }
    rc = path_format(directory, err, "%s/result/%s", options->root, set->architectures.space->name);
    rc = rc != ERR_OK ? rc
                      : checkpoint_open(&watch->checkpoint, directory, set, kind, fit_options, err);
    if (rc != ERR_OK) {
        return rc;
    }
    watch->hooks = (struct fit_hooks){
        .context = watch,
        .progress = show_progress,
        .save = save_state,
        .state = watch->checkpoint.state.tensors,
        .n_state = watch->checkpoint.state.n_tensors,
    };
    if (watch->hooks.n_state > 0) {
        (void)fprintf(stderr, "dgld: going on from %s\n", watch->checkpoint.path);
    }
    fit_options->hooks = &watch->hooks;
    progress_start(&watch->progress);
    rc = run_train(set, kind, fit_options, model, report, err);
    progress_end(&watch->progress);
    return rc;
}

/* A training, from the flags to the file. */
struct training {
    const struct options *options;
    const struct space *space;
    struct data_tree tree;
    const struct predictor_kind *kind;
    struct fit_options fit_options;
    struct names devices;
    struct training_set set;
    struct model_conditions conditions;
    bool has_library;
    struct device_library library;
    struct library_report library_report;
    struct watch watch;
    char reason[256]; /* of a predictor that is taken over */
    bool is_taken_over;
    struct model model;
    struct train_report report;
};

static void training_close(struct training *t)
{
    train_report_close(&t->report);
    library_report_close(&t->library_report);
    model_close(&t->model);
    checkpoint_close(&t->watch.checkpoint);
    device_library_close(&t->library);
    training_set_close(&t->set);
    names_close(&t->devices);
}

/* A condition of the flags into `out`. */
static enum err read_condition(const char *flag, const char *text, char out[MODEL_CONDITION_BYTES],
                               struct error *err)
{
    if (text != NULL && model_condition_validate(text, err) != ERR_OK) {
        error_wrap(err, "--%s", flag);
        return ERR_USAGE;
    }
    if (text != NULL) {
        memcpy(out, text, strlen(text) + 1);
    }
    return ERR_OK;
}

static enum err read_conditions(struct training *t, struct error *err)
{
    enum err rc = read_condition("input", t->options->input, t->conditions.input, err);

    t->conditions.batch = (int)t->options->batch;
    return rc != ERR_OK
               ? rc
               : read_condition("runtime", t->options->runtime, t->conditions.runtime, err);
}

/* The library, before anything is trained: what is wrong with it is told at once. */
static enum err load_library(struct training *t, struct error *err)
{
    enum err rc = command_library(t->options, &t->tree, t->space, &t->library, err);
    t->has_library = rc == ERR_OK;
    return rc;
}

/* What a predictor learns from; where there is nothing, and a library is learned from, the served
 * one is taken over, or else the library teaches it, too. */
static enum err load_set(struct training *t, struct error *err)
{
    enum err rc = read_devices(t->options, &t->tree, t->space, &t->devices, err);

    rc = rc != ERR_OK ? rc : training_set_load(&t->tree, t->space, &t->devices, &t->set, err);
    if (rc == ERR_NOT_FOUND && t->has_library && t->options->train_devices == NULL) {
        const struct error why = *err;
        rc = run_library_take_over(t->options->root, t->space, t->kind, &why, t->reason, &t->model,
                                   &t->report, err);
        t->is_taken_over = rc == ERR_OK;
        if (rc == ERR_NOT_FOUND) {
            rc =
                training_set_of_library(&t->library, t->space, t->kind->fit_rows_max, &t->set, err);
        }
    }
    return rc;
}

static enum err train(struct training *t, struct error *err)
{
    enum err rc = ERR_OK;

    if (!t->is_taken_over) {
        rc = train_watched(t->options, &t->set, t->kind, &t->fit_options, &t->watch, &t->model,
                           &t->report, err);
    }
    if (rc == ERR_OK && t->has_library) {
        rc = run_library_learn(&t->library, t->fit_options.seed, NULL, &t->model,
                               &t->library_report, err);
        t->report.library = &t->library_report;
    }
    run_train_set_conditions(&t->conditions, &t->model);
    return rc;
}

static enum err save_and_print(struct training *t, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = model_store_save(t->options->root, t->options->name, &t->model, path, err);

    if (rc == ERR_OK && t->kind->has_epochs && !t->is_taken_over) {
        checkpoint_remove(&t->watch.checkpoint);
    }
    if (rc == ERR_OK) {
        t->report.file = path;
        if (t->options->is_json) {
            rc = print_json(&t->report, err);
        } else {
            print_report(&t->report);
        }
        t->report.file = NULL;
    }
    return rc;
}

/* Whether --target says accuracy. ERR_USAGE for a word that is none, and where what it is to learn
 * from goes with the other target. */
static enum err read_target(const struct options *options, bool *is_accuracy, struct error *err)
{
    *is_accuracy = options->target != NULL && strcmp(options->target, "accuracy") == 0;
    if (options->target != NULL && !*is_accuracy && strcmp(options->target, "latency") != 0) {
        return error_set(err, ERR_USAGE, "--target must be latency or accuracy, not \"%.60s\"",
                         options->target);
    }
    if (options->accuracy_data != NULL && !*is_accuracy) {
        return error_set(err, ERR_USAGE, "--accuracy_data goes with --target accuracy");
    }
    return ERR_OK;
}

enum err command_train(const struct options *options, struct error *err)
{
    struct training t = {.options = options};
    bool is_accuracy;
    enum err rc = read_target(options, &is_accuracy, err);

    if (rc == ERR_OK && is_accuracy) {
        return command_train_accuracy(options, err);
    }
    rc = rc != ERR_OK ? rc : command_space(options, &t.space, err);
    rc = rc != ERR_OK ? rc : command_fit_options(options, NULL, &t.kind, &t.fit_options, err);
    if (rc == ERR_OK && options->name != NULL &&
        model_name_validate(options->name, err) != ERR_OK) {
        error_wrap(err, "--name");
        rc = ERR_USAGE;
    }
    rc = rc != ERR_OK ? rc : read_conditions(&t, err);
    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : data_tree_init(&t.tree, options->root, options->data_path, err);
    if (rc == ERR_OK && command_wants_library(options)) {
        rc = load_library(&t, err);
    }
    rc = rc != ERR_OK ? rc : load_set(&t, err);
    rc = rc != ERR_OK ? rc : train(&t, err);
    rc = rc != ERR_OK ? rc : save_and_print(&t, err);
    training_close(&t);
    return rc;
}

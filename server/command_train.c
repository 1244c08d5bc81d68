#include <stdio.h>
#include <string.h>

#include "core/matrix.h"
#include "server/checkpoint.h"
#include "server/command.h"
#include "server/data_tree.h"
#include "server/model_store.h"
#include "server/names.h"
#include "server/progress.h"
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

static void print_report(const struct train_report *report)
{
    const struct model_info *info = &report->model->info;

    (void)printf("search space      %s\n", report->model->predictor->space->name);
    (void)printf("predictor         %s, version %s\n", report->model->predictor->kind->name,
                 info->version);
    (void)printf("learned from      %s, %zu rows (%s)\n",
                 strcmp(info->source, "latency") == 0 ? "latency/ of the training devices"
                                                      : "a.txt",
                 info->n_rows, report->reason);
    print_rows(&report->fit);
    if (report->is_validated) {
        (void)printf("held-out R(A)     %.4f on %zu trusted rows, %.4f on all (%s)\n",
                     report->held_out.r, report->held_out.n, report->r_all_rows, info->validation);
    } else {
        (void)printf("held-out R(A)     unknown: too few distinct architectures\n");
    }
    (void)printf("fit took          %.3f s\n", report->fit_seconds);
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

static enum err train_and_save(const struct options *options, const struct training_set *set,
                               const struct predictor_kind *kind, struct fit_options *fit_options,
                               struct error *err)
{
    struct watch watch = {0};
    struct model model = {0};
    struct train_report report = {0};
    char path[PATH_BYTES];
    enum err rc = train_watched(options, set, kind, fit_options, &watch, &model, &report, err);

    if (rc != ERR_OK) {
        checkpoint_close(&watch.checkpoint);
        return rc;
    }
    rc = model_store_save(options->root, options->name, &model, path, err);
    if (rc == ERR_OK && kind->has_epochs) {
        checkpoint_remove(&watch.checkpoint);
    }
    checkpoint_close(&watch.checkpoint);
    if (rc == ERR_OK) {
        report.file = path;
        if (options->is_json) {
            rc = print_json(&report, err);
        } else {
            print_report(&report);
        }
    }
    train_report_close(&report);
    model_close(&model);
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
    const struct predictor_kind *kind;
    struct fit_options fit_options;
    const struct space *space;
    struct data_tree tree;
    struct names devices = {0};
    struct training_set set = {0};
    bool is_accuracy;
    enum err rc = read_target(options, &is_accuracy, err);

    if (rc == ERR_OK && is_accuracy) {
        return command_train_accuracy(options, err);
    }
    rc = rc != ERR_OK ? rc : command_space(options, &space, err);
    rc = rc != ERR_OK ? rc : command_fit_options(options, NULL, &kind, &fit_options, err);
    if (rc == ERR_OK && options->name != NULL &&
        model_name_validate(options->name, err) != ERR_OK) {
        error_wrap(err, "--name");
        rc = ERR_USAGE;
    }
    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : data_tree_init(&tree, options->root, options->data_path, err);
    rc = rc != ERR_OK ? rc : read_devices(options, &tree, space, &devices, err);
    rc = rc != ERR_OK ? rc : training_set_load(&tree, space, &devices, &set, err);
    rc = rc != ERR_OK ? rc : train_and_save(options, &set, kind, &fit_options, err);
    training_set_close(&set);
    names_close(&devices);
    return rc;
}

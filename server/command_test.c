#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/matrix.h"
#include "server/command.h"
#include "server/data_tree.h"
#include "server/run_library.h"
#include "server/run_test.h"
#include "server/training_set.h"

/* The predictor to test; a held-out test trains its own and needs none. */
static enum err load_model(const struct options *options, struct test_subject *s, struct error *err)
{
    enum err rc = command_load_model(options, s->space, &s->model, err);

    if (rc == ERR_NOT_FOUND && options->is_holdout && options->load_path == NULL &&
        options->model == NULL) {
        return ERR_OK; /* a held-out test trains its own models */
    }
    return rc;
}

/* Devices that were trained on: those of the model, unless it is not the one that predicts; and the
 * named ones, or else, where there is no model, those that a training would take. */
static enum err find_train_devices(const struct options *options, struct test_subject *s,
                                   struct error *err)
{
    const bool has_model = s->model.predictor != NULL;
    const char *named = options->train_devices;
    enum err rc = ERR_OK;

    if (named != NULL) {
        rc = names_split(named, &s->train_devices, err);
        if (rc != ERR_OK) {
            error_wrap(err, "--train_devices");
            return ERR_USAGE;
        }
    } else if (!has_model) {
        rc = training_default_devices(s->tree, s->space, &s->train_devices, err);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    if (has_model && (named == NULL || !options->is_holdout)) {
        rc = test_add_model_devices(s, err);
    }
    return rc;
}

static enum err find_test_devices(const struct options *options, struct test_subject *s,
                                  struct error *err)
{
    enum err rc;

    if (options->test_devices == NULL) {
        return test_find_unseen(s, err);
    }
    rc = names_split(options->test_devices, &s->test_devices, err);
    if (rc != ERR_OK) {
        error_wrap(err, "--test_devices");
        return ERR_USAGE;
    }
    return training_check_unseen(&s->train_devices, &s->test_devices, err) == ERR_OK ? ERR_OK
                                                                                     : ERR_USAGE;
}

/* Without --holdout nothing is trained: a flag of training would promise what is not done. */
static enum err check_flags(const struct options *options, const struct test_subject *s,
                            struct error *err)
{
    if (options->is_holdout || options->predictor == NULL ||
        strcmp(options->predictor, s->model.predictor->kind->name) == 0) {
        if (!options->is_holdout && (options->epoch > 0 || options->learning_rate > 0.0)) {
            (void)fprintf(stderr, "dgld: --epoch and --lr have no effect on a test without "
                                  "--holdout, which trains nothing\n");
        }
        return ERR_OK;
    }
    return error_set(err, ERR_USAGE,
                     "the model to test is of kind %s, not %.40s; name another one with --model or "
                     "--load_path, or train held-out ones with --holdout",
                     s->model.predictor->kind->name, options->predictor);
}

/* A of every row by models that never saw it. */
static enum err hold_out_rows(const struct options *options, struct test_subject *s,
                              struct error *err)
{
    const struct predictor_kind *kind;
    struct fit_options fit_options;
    const char *source = "";
    size_t n_folds = 0;
    enum err rc;

    rc = command_fit_options(options, s->model.predictor != NULL ? s->model.predictor->kind : NULL,
                             &kind, &fit_options, err);
    rc = rc != ERR_OK ? rc : test_hold_out(s, kind, &fit_options, &n_folds, &source, err);
    if (rc == ERR_OK && !options->is_json) {
        (void)printf("held out: each architecture is predicted by a model that never saw it "
                     "(%zu-fold), trained on %s\n",
                     n_folds, source);
    }
    return rc;
}

static void print_table(const struct test_report *report)
{
    (void)printf("%s, predictor %s, %s architectures, unseen devices, ", report->space->name,
                 report->predictor, report->is_holdout ? "held-out" : "seen and unseen");
    if (report->n_calibrate > 0) {
        (void)printf("%zu measurements each, which are not scored\n", report->n_calibrate);
    } else {
        (void)printf("no measurement\n");
    }
    (void)printf("%-28s %5s %7s %9s %9s %7s %7s %9s %8s\n", "device", "n", "R", "RMSE ms", "MAE ms",
                 "MAPE", "in 10%", "Spearman", "Kendall");
    for (size_t i = 0; i < report->n_devices; i++) {
        const struct metrics *m = &report->devices[i].metrics;
        (void)printf("%-28s %5zu %7.4f %9.2f %9.2f %6.1f%% %6.1f%% %9.4f %8.4f\n",
                     report->devices[i].name, m->n, m->r, m->rmse, m->mae, 100.0 * m->mape,
                     100.0 * m->within_10_percent, m->spearman, m->kendall);
    }
}

static enum err print_json(const struct test_report *report, struct error *err)
{
    struct text text = {0};

    msg_test_encode(report, &text);
    return command_print(&text, err);
}

/* All of the files, or none where one cannot be written. */
static enum err save(const struct options *options, const struct test_report *report,
                     struct error *err)
{
    struct result_batch batch = {0};
    char directory[PATH_BYTES];
    enum err rc = path_format(directory, err, "%s/result/%s", options->root, report->space->name);

    rc = rc != ERR_OK ? rc : run_test_stage(directory, report, &batch, err);
    if (rc == ERR_OK && options->plot != NULL) {
        rc = run_test_stage_plot(options->plot, report, &batch, err);
    }
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    return rc;
}

static enum err test_and_save(const struct options *options, const struct test_subject *s,
                              struct error *err)
{
    struct test_report report;
    enum err rc = run_test(s, &report, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = save(options, &report, err);
    if (rc == ERR_OK && options->is_json) {
        rc = print_json(&report, err);
    } else if (rc == ERR_OK) {
        print_table(&report);
        (void)printf("predictions are in %s/result/%s/<device>_timepre.txt\n", options->root,
                     s->space->name);
        if (options->plot != NULL) {
            (void)printf("the picture is %s\n", options->plot);
        }
    }
    test_report_close(&report);
    return rc;
}

/* ---- devices of a library -------------------------------------------------------------------- */

static void print_library(const struct space *space, const struct model *model,
                          const struct library_report *report)
{
    const struct library_figures mean = library_report_mean(report);

    (void)printf("%s, predictor %s: each device of the library by what the others teach, means of "
                 "%zu draws of measurements\n",
                 space->name, model->predictor != NULL ? model->predictor->kind->name : "none",
                 report->n_draws);
    (void)printf("%-28s %6s %12s %9s %7s %9s\n", "device", "n", "measurements", "Spearman", "R",
                 "RMSE ms");
    for (size_t d = 0; d <= report->n_devices; d++) {
        const bool is_mean = d == report->n_devices;
        const struct library_figures *figures = is_mean ? &mean : &report->devices[d].figures;
        for (size_t s = 0; s < LIBRARY_N_SIZES; s++) {
            (void)printf("%-28s %6zu %12zu", is_mean ? "mean" : report->devices[d].name,
                         is_mean ? report->n_rows : report->devices[d].n_rows, library_sizes[s]);
            if (isnan(figures->at[s].rmse_ms)) {
                (void)printf(" %9s %7s %9s\n", "-", "-",
                             "-"); /* too few measurements, or devices */
            } else {
                (void)printf(" %9.4f %7.4f %9.2f\n", figures->at[s].spearman, figures->at[s].r,
                             figures->at[s].rmse_ms);
            }
        }
    }
}

static enum err print_library_json(const struct space *space, const struct model *model,
                                   const struct library_report *report, struct error *err)
{
    struct text text = {0};

    msg_library_put_test(space, model, report, &text);
    text_puts(&text, "}\n");
    return command_print(&text, err);
}

/* What has no part in it would promise what is not done. */
static enum err check_library_flags(const struct options *options, struct error *err)
{
    const struct {
        const char *flag;
        bool is_given;
    } others[] = {
        {"train_devices", options->train_devices != NULL},
        {"test_devices",  options->test_devices != NULL },
        {"predictor",     options->predictor != NULL    },
        {"epoch",         options->epoch > 0            },
        {"lr",            options->learning_rate > 0.0  },
        {"calibrate",     options->calibrate != NULL    },
        {"plot",          options->plot != NULL         },
    };

    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        if (others[i].is_given) {
            return error_set(err, ERR_USAGE, "--%s has no part in --holdout devices",
                             others[i].flag);
        }
    }
    return ERR_OK;
}

static enum err test_library(const struct options *options, const struct data_tree *tree,
                             struct test_subject *s, struct error *err)
{
    struct device_library library = {0};
    struct library_report report = {0};
    enum err rc = check_library_flags(options, err);

    rc = rc != ERR_OK ? rc : load_model(options, s, err);
    rc = rc != ERR_OK ? rc : command_library(options, tree, s->space, &library, err);
    rc = rc != ERR_OK ? rc
                      : run_library_evaluate(s->space, s->model.predictor, &library,
                                             (uint64_t)options->seed, NULL, &report, err);
    if (rc == ERR_OK && options->is_json) {
        rc = print_library_json(s->space, &s->model, &report, err);
    } else if (rc == ERR_OK) {
        print_library(s->space, &s->model, &report);
    }
    library_report_close(&report);
    device_library_close(&library);
    return rc;
}

/* What is held out. ERR_USAGE for another word than there are. */
static enum err read_holdout(const struct options *options, bool *is_devices, struct error *err)
{
    const char *what = options->holdout != NULL ? options->holdout : "";

    *is_devices = strcmp(what, "devices") == 0;
    if (!*is_devices && what[0] != '\0' && strcmp(what, "rows") != 0) {
        return error_set(err, ERR_USAGE, "--holdout holds out rows or devices, not \"%.60s\"",
                         what);
    }
    if (!*is_devices && command_wants_library(options)) {
        return error_set(err, ERR_USAGE, "--library goes with --holdout devices");
    }
    return ERR_OK;
}

/* --calibrate N. */
static enum err read_calibrate(const struct options *options, size_t *n, struct error *err)
{
    const char *text = options->calibrate;
    const size_t length = text != NULL ? strlen(text) : 0;
    const long value = length > 0 && length <= 5 && strspn(text, "0123456789") == length
                           ? strtol(text, NULL, 10)
                           : 0;

    if (text != NULL && (value < 1 || value > 10000)) {
        return error_set(err, ERR_USAGE,
                         "--calibrate must be a whole number from 1 to 10000, not \"%.60s\"", text);
    }
    *n = (size_t)value;
    return ERR_OK;
}

enum err command_test(const struct options *options, struct error *err)
{
    struct data_tree tree;
    struct test_subject s = {
        .tree = &tree,
        .is_holdout = options->is_holdout,
        .seed = (uint64_t)options->seed,
    };
    bool is_devices;
    enum err rc = read_holdout(options, &is_devices, err);

    rc = rc != ERR_OK ? rc : read_calibrate(options, &s.n_calibrate, err);
    rc = rc != ERR_OK ? rc : command_space(options, &s.space, err);
    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : data_tree_init(&tree, options->root, options->data_path, err);
    if (rc == ERR_OK && is_devices) {
        rc = test_library(options, &tree, &s, err);
        test_subject_close(&s);
        return rc;
    }
    rc = rc != ERR_OK ? rc : load_model(options, &s, err);
    rc = rc != ERR_OK ? rc : check_flags(options, &s, err);
    rc = rc != ERR_OK ? rc : find_train_devices(options, &s, err);
    rc = rc != ERR_OK ? rc : find_test_devices(options, &s, err);
    rc = rc != ERR_OK ? rc : command_check_plot(options, err);
    if (rc == ERR_OK) {
        rc = options->is_holdout ? hold_out_rows(options, &s, err) : test_predict(&s, err);
    }
    rc = rc != ERR_OK ? rc : test_and_save(options, &s, err);
    test_subject_close(&s);
    return rc;
}

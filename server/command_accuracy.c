/* dgld train --target accuracy: learns what accuracy networks reach, from networks whose accuracy is
 * known. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/matrix.h"
#include "server/accuracy_data.h"
#include "server/accuracy_source.h"
#include "server/clock.h"
#include "server/command.h"
#include "server/data_tree.h"

static void print_rows(const struct accuracy_report *report)
{
    enum { MOST_PRINTED = 20 };

    (void)printf("distrusted rows   %zu", report->n_distrusted);
    for (size_t i = 0; i < report->n_distrusted && i < MOST_PRINTED; i++) {
        (void)printf("%s%zu", i == 0 ? ": " : ", ", report->distrusted[i] + 1);
    }
    (void)printf("%s\n", report->n_distrusted > MOST_PRINTED ? ", ..." : "");
}

static void print_held_out(const struct accuracy_info *info)
{
    if (info->n_held_out == 0) {
        (void)printf("held out          nothing: too few networks\n");
    } else if (info->n_train > 0) {
        (void)printf("held out          Kendall tau %.4f, RMSE %.3f %% on the %zu networks left "
                     "by training on %zu (mean, %s)\n",
                     info->kendall, info->rmse, info->n_held_out, info->n_train, info->validation);
    } else {
        (void)printf("held out          Kendall tau %.4f, RMSE %.3f %% on %zu trusted networks "
                     "(%s)\n",
                     info->kendall, info->rmse, info->n_held_out, info->validation);
    }
    if (isfinite(info->kendall_fitted)) {
        (void)printf("fitted            Kendall tau %.4f, RMSE %.3f %% on the networks it learned "
                     "from\n",
                     info->kendall_fitted, info->rmse_fitted);
    }
}

static void print_report(const struct accuracy_model *model, const struct accuracy_report *report,
                         double seconds, const char *path)
{
    const struct accuracy_kind *kind = model->predictor->kind;

    (void)printf("search space      %s\n", kind->space->name);
    (void)printf("predictor         %s, version %s\n", kind->name, model->info.version);
    (void)printf("what it is        %s\n", kind->about);
    (void)printf("learned from      %zu networks (%s, %s)\n", model->info.n_rows,
                 model->info.learned_from, model->info.dataset);
    print_rows(report);
    print_held_out(&model->info);
    (void)printf("training took     %.3f s\n", seconds);
    (void)printf("written to        %s\n", path);
}

static enum err print_json(const struct accuracy_model *model, double seconds, const char *path,
                           struct error *err)
{
    struct text text = {0};

    text_puts(&text, "{\"search_space\":");
    text_put_json_string(&text, model->predictor->kind->space->name);
    text_puts(&text, ",\"target\":\"accuracy\",");
    accuracy_model_put_json(model, &text);
    text_puts(&text, ",\"seconds\":");
    text_put_json_number(&text, seconds);
    text_puts(&text, ",\"file\":");
    text_put_json_string(&text, path);
    text_puts(&text, "}\n");
    return command_print(&text, err);
}

/* What the flags of the other target have nothing to do with. */
static enum err check_flags(const struct options *options, struct error *err)
{
    const struct {
        bool is_given;
        const char *name;
    } flags[] = {
        {options->train_devices != NULL, "--train_devices"},
        {options->test_devices != NULL,  "--test_devices" },
        {options->predictor != NULL,     "--predictor"    },
        {options->epoch != 0,            "--epoch"        },
        {options->learning_rate != 0.0,  "--lr"           },
        {options->name != NULL,          "--name"         },
    };

    for (size_t i = 0; i < sizeof flags / sizeof *flags; i++) {
        if (flags[i].is_given) {
            return error_set(err, ERR_USAGE, "%s does not go with --target accuracy",
                             flags[i].name);
        }
    }
    return ERR_OK;
}

/* The directory to learn from: that of --accuracy_data, or NAS/ of the space's data. */
static enum err find_directory(const struct options *options, const struct space *space, char *out,
                               struct error *err)
{
    struct data_tree tree;
    enum err rc;

    if (options->accuracy_data != NULL) {
        return path_format(out, err, "%s", options->accuracy_data);
    }
    rc = data_tree_init(&tree, options->root, options->data_path, err);
    return rc != ERR_OK ? rc : data_place_dir(&tree, space, DATA_NAS, out, err);
}

enum err command_train_accuracy(const struct options *options, struct error *err)
{
    const struct space *space;
    struct accuracy_data data = {0};
    struct accuracy_model model = {0};
    struct accuracy_report report = {0};
    char path[PATH_BYTES];
    double start = monotonic_seconds();
    enum err rc = command_space(options, &space, err);

    rc = rc != ERR_OK ? rc : check_flags(options, err);
    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : find_directory(options, space, path, err);
    rc = rc != ERR_OK ? rc : accuracy_data_load(space, path, &data, err);
    rc = rc != ERR_OK ? rc
                      : accuracy_data_train(&data, (uint64_t)options->seed, &model, &report, err);
    rc = rc != ERR_OK ? rc : accuracy_store_save(options->root, &model, path, err);
    if (rc == ERR_OK && options->is_json) {
        rc = print_json(&model, monotonic_seconds() - start, path, err);
    } else if (rc == ERR_OK) {
        print_report(&model, &report, monotonic_seconds() - start, path);
    }
    accuracy_report_close(&report);
    accuracy_model_close(&model);
    accuracy_data_close(&data);
    return rc;
}

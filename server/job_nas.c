/* The job that searches for the most accurate architecture under a latency limit: among those whose
 * accuracy is known, all of which it looks at. */
#include <assert.h>
#include <math.h>

#include "core/mem.h"
#include "core/search.h"
#include "proto/msg_report.h"
#include "server/job_kinds.h"
#include "server/model_store.h"

#define RESULT_FILE "result.json"

/* Where in the job's course the predictions end, in percent. */
#define PREDICTED_PERCENT 98.0

/* What a check looks at and a run works on. */
struct search {
    const struct job_env *env;
    const struct data_tree *tree;
    const struct job_order *order;
    struct device_sheet sheet; /* its name is "" where the order gives the hardware alone */
    struct accuracy_table table;
    struct model loaded;       /* where nothing is served */
    const struct model *model; /* that predicts */
    double *latency_ms;        /* (n_rows), owned */
};

static void search_close(struct search *s)
{
    accuracy_table_close(&s->table);
    if (s->model != NULL && s->model != &s->loaded) {
        s->env->release_served(s->env->context, s->model);
    }
    model_close(&s->loaded);
    mem_free(s->latency_ms);
}

/* ---- what it is about, which a check and a run find out alike --------------------------------- */

static enum err find_device(struct search *s, struct field_errors *errors, struct error *err)
{
    const struct job_nas_params *params = &s->order->params.nas;

    if (params->device[0] == '\0') {
        s->sheet = (struct device_sheet){.hardware = params->hardware};
        return ERR_OK;
    }
    return data_find_device(s->tree, s->order->space, params->device, &s->sheet, err) == ERR_OK
               ? ERR_OK
               : job_check_blame(s->tree, "/params/device", errors, err);
}

/* The model that is served, in the service that of its memory. */
static enum err find_model(struct search *s, struct error *err)
{
    const struct space *space = s->order->space;
    char path[PATH_BYTES];
    enum err rc = ERR_OK;

    if (s->env->acquire_served != NULL) {
        s->model = s->env->acquire_served(s->env->context, space);
    } else {
        rc = model_store_path(s->tree->root, space, path, err);
        rc = rc != ERR_OK ? rc : model_store_load(path, space, &s->loaded, NULL, err);
        s->model = rc == ERR_OK ? &s->loaded : NULL;
    }
    if (rc == ERR_NOT_FOUND || (rc == ERR_OK && s->model == NULL)) {
        rc = error_set(err, ERR_NOT_FOUND,
                       "there is no served model of %s to predict latencies with; train one",
                       space->name);
    }
    return rc;
}

/* What belongs to the space: the model, and architectures with their accuracy. */
static enum err load_space(struct search *s, struct error *err)
{
    enum err rc = find_model(s, err);

    return rc != ERR_OK ? rc : data_load_accuracy(s->tree, s->order->space, &s->table, err);
}

/* ERR_INVALID where there are field errors. */
static enum err prepare(const struct job_env *env, const struct job_order *order, struct search *s,
                        struct field_errors *errors, struct error *err)
{
    enum err rc;

    s->env = env;
    s->tree = env->tree;
    s->order = order;
    if (order->space != &space_nasbench201) {
        field_errors_add(errors, 0, "/search_space",
                         "search over %s comes with a later version; %s can be searched",
                         order->space->name, space_nasbench201.name);
        return field_errors_conclude(errors, "the job", err);
    }
    rc = find_device(s, errors, err);
    if (rc == ERR_OK && load_space(s, err) != ERR_OK) {
        rc = job_check_blame(env->tree, "/search_space", errors, err);
    }
    return rc != ERR_OK ? rc : field_errors_conclude(errors, "the job", err);
}

enum err job_nas_check(const struct job_env *env, const struct job_order *order,
                       struct field_errors *errors, struct error *err)
{
    struct search s = {0};
    enum err rc = prepare(env, order, &s, errors, err);

    search_close(&s);
    return rc;
}

/* ---- run ------------------------------------------------------------------------------------- */

static enum err predict(struct search *s, const struct fit_hooks *hooks, struct error *err)
{
    const struct dataset *rows = &s->table.architectures;
    const double factor = hardware_factor(&s->sheet.hardware);
    struct fit_part predicting;
    enum err rc;

    assert(s->model != NULL); /* what prepare() lets pass has one */
    s->latency_ms = mem_calloc(rows->n_rows, sizeof *s->latency_ms);
    if (s->latency_ms == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for %zu predictions", rows->n_rows);
    }
    fit_part_init(&predicting, hooks, NULL, 0.0, PREDICTED_PERCENT);
    rc = predictor_predict_told(s->model->predictor, rows->genes, rows->n_rows, &predicting.hooks,
                                s->latency_ms, NULL, err);
    for (size_t i = 0; rc == ERR_OK && i < rows->n_rows; i++) {
        s->latency_ms[i] *= factor; /* A so far */
    }
    return rc;
}

static void search(const struct search *s, struct search_report *report)
{
    const struct job_nas_params *params = &s->order->params.nas;
    const struct dataset *rows = &s->table.architectures;
    const struct search_candidates candidates = {
        .space = s->order->space,
        .n = rows->n_rows,
        .genes = rows->genes,
        .accuracy = s->table.accuracy,
        .latency_ms = s->latency_ms,
    };
    const struct search_result found =
        search_exhaustive(&candidates, params->latency_constraint_ms);

    *report = (struct search_report){
        .space = s->order->space,
        .device = s->sheet.name[0] != '\0' ? s->sheet.name : NULL,
        .hardware = s->sheet.hardware,
        .latency_constraint_ms = params->latency_constraint_ms,
        .seed = params->seed,
        .lowest_latency_ms = found.lowest_latency_ms,
        .n_evaluated = rows->n_rows,
        .predictor = s->model->predictor->kind->name,
        .version = s->model->info.version,
    };
    if (found.is_feasible) {
        report->architecture = rows->genes + found.best * s->order->space->n_genes;
        report->accuracy = s->table.accuracy[found.best];
        report->latency_ms = s->latency_ms[found.best];
    }
}

/* Puts the report in place as a file, and appends it with that file to the result. */
static enum err save(const struct job_env *env, const struct search_report *report,
                     const struct fit_hooks *hooks, struct text *result, struct error *err)
{
    static const struct fit_progress writing = {
        .stage = "writing", .percent = PREDICTED_PERCENT, .loss = NAN};
    struct result_batch batch = {0};
    struct text text = {0};
    char directory[PATH_BYTES];
    char path[PATH_BYTES];
    enum err rc = fit_tell(hooks, &writing, err);

    msg_search_encode(report, &text);
    if (rc == ERR_OK && text.has_failed) {
        rc = error_set(err, ERR_NOMEM, "no memory for the result");
    }
    rc = rc != ERR_OK ? rc : job_directory(env->tree->root, report->space, env->id, directory, err);
    rc = rc != ERR_OK ? rc : path_format(path, err, "%s/" RESULT_FILE, directory);
    rc = rc != ERR_OK ? rc : result_stage(&batch, path, text.bytes, text.size, err);
    rc = rc != ERR_OK ? rc : job_commit(env, &batch, err);
    result_close(&batch);
    if (rc == ERR_OK) {
        text_put(result, text.bytes, text.size - 2); /* without the end of object and line */
        text_puts(result, ",\"files\":[");
        job_put_file(env, report->space, RESULT_FILE, true, result);
        text_puts(result, "]}");
    }
    text_close(&text);
    return rc;
}

enum err job_nas_run(const struct job_env *env, const struct job_order *order, struct text *result,
                     struct error *err)
{
    static const struct fit_progress loading = {.stage = "loading", .loss = NAN};
    const struct fit_hooks hooks = job_fit_hooks(&env);
    struct search s = {0};
    struct search_report report;
    struct field_errors errors = {0};
    enum err rc = fit_tell(&hooks, &loading, err);

    /* what a run that was killed has left */
    rc = rc != ERR_OK ? rc : job_files_remove(env->tree->root, order->space, env->id, err);
    rc = rc != ERR_OK ? rc : prepare(env, order, &s, &errors, err);
    rc = rc != ERR_OK ? rc : predict(&s, &hooks, err);
    if (rc == ERR_OK) {
        search(&s, &report);
        rc = save(env, &report, &hooks, result, err);
    }
    if (rc != ERR_OK) {
        (void)job_files_remove(env->tree->root, order->space, env->id, NULL);
    }
    field_errors_close(&errors);
    search_close(&s);
    return rc;
}

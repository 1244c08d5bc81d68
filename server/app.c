#include "server/app.h"

#include <pthread.h>

#include "core/matrix.h"
#include "core/mem.h"
#include "server/jobs.h"
#include "server/log.h"
#include "server/options.h"

/* What a supervisor hands over is served instead of the settings' address. */
static enum err inherit_sockets(struct app *app, struct error *err)
{
    enum err rc = listeners_inherit(&app->listeners, err);

    rc = rc != ERR_OK ? rc : listeners_check(&app->listeners, &app->config, err);
    if (rc == ERR_OK && app->listeners.is_inherited) {
        bool is_of_supervisor = app->handover.tell_fd < 0 || !app->handover.are_sockets_own;
        log_write(LOG_INFO, "%zu sockets are the %s's; bind and port are not looked at",
                  app->listeners.n, is_of_supervisor ? "supervisor" : "predecessor");
        app->listeners.is_inherited = is_of_supervisor;
    }
    return rc;
}

/* What may be closed in whichever state it is. */
static void close_rest(struct app *app)
{
    job_keys_close(&app->job_keys);
    infer_stats_close(&app->infer_stats);
    security_close(&app->security);
    listeners_close(&app->listeners);
    handover_close(&app->handover);
    counters_destroy(app->counters);
    mem_free(app);
}

enum err app_create(const struct options *options, struct app **out, struct error *err)
{
    struct app *app = mem_calloc(1, sizeof *app);
    enum err rc;

    if (app == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the service");
    }
    job_keys_init(&app->job_keys);
    rc = handover_init(&app->handover, options->arguments, err);
    rc = rc != ERR_OK ? rc : config_source_init(&app->config_source, options, err);
    rc = rc != ERR_OK ? rc : config_read(&app->config_source, &app->config, NULL, err);
    log_set_level((enum log_level)app->config.log_level);
    rc = rc != ERR_OK ? rc : inherit_sockets(app, err);
    rc = rc != ERR_OK ? rc : matrix_init(err);
    rc = rc != ERR_OK ? rc : data_tree_init(&app->tree, options->root, options->data_path, err);
    rc = rc != ERR_OK ? rc : space_tree_init(&app->spaces, options->root, err);
    rc = rc != ERR_OK ? rc : device_cache_init(&app->devices, err);
    rc = rc != ERR_OK ? rc : calibration_cache_init(&app->calibrations, err);
    rc = rc != ERR_OK ? rc : accuracy_cache_init(&app->accuracies, err);
    rc = rc != ERR_OK ? rc
                      : security_init(&app->security, &app->config, options->root,
                                      listeners_exposed(&app->listeners, &app->config), err);
    rc = rc != ERR_OK ? rc : model_registry_init(&app->models, err);
    rc = rc != ERR_OK ? rc : infer_stats_init(&app->infer_stats, err);
    rc = rc != ERR_OK ? rc : serving_init(&app->serving, err);
    rc = rc != ERR_OK ? rc : counters_create(&app->counters, err);
    if (rc != ERR_OK) {
        close_rest(app);
        return rc;
    }
    *out = app;
    return ERR_OK;
}

/* ---- what is served -------------------------------------------------------------------------- */

/* Loads what is served. A space without a predictor is no error, a malformed file is; but for a
 * declared space, which may have been declared otherwise since. */
static enum err load_models(struct app *app, struct error *err)
{
    struct space_list list;

    space_list_get(&list);
    for (size_t i = 0; i < list.n; i++) {
        const bool is_declared = list.items[i]->declaration != NULL;
        enum err rc = serving_load(app, list.items[i], err);
        if (rc == ERR_NOT_FOUND || (rc == ERR_INVALID && is_declared)) {
            log_write(LOG_WARNING, "%s is not served: %s", list.items[i]->name, err->text);
        } else if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

/* What jobs_open() and jobs_begin() return. A place that cannot be read or written is no reason to
 * predict nothing; a store that is there and not ours, or damaged, is: its jobs were promised. */
static enum err accept_no_jobs(struct app *app, enum err rc, const struct error *err)
{
    if (rc != ERR_IO && rc != ERR_NOT_FOUND) {
        return rc;
    }
    app->jobs_error = *err;
    data_localize(&app->tree, &app->jobs_error);
    log_write(LOG_WARNING, "there are no jobs: %s", err->text);
    return ERR_OK;
}

static enum err open_jobs(struct app *app, struct error *err)
{
    if (app->config.job_store[0] == '\0') {
        return ERR_OK;
    }
    return accept_no_jobs(app, jobs_open(app, &app->jobs, err), err);
}

static enum err begin_jobs(struct app *app, struct error *err)
{
    enum err rc = app->jobs != NULL ? jobs_begin(app->jobs, err) : ERR_OK;

    if (rc != ERR_OK) {
        jobs_stop(app->jobs);
        app->jobs = NULL;
    }
    return accept_no_jobs(app, rc, err);
}

/* Declares the spaces of the root's files; what comes later is served as it comes. A file that is
 * malformed, or a directory that cannot be read, is said in the log, and is no reason not to start. */
static void declare_spaces(struct app *app)
{
    struct error err;

    (void)space_tree_refresh(&app->spaces, &err);
    app->spaces.on_change = serving_follow_space;
    app->spaces.context = app;
}

/* Loads models in a thread of its own. */
struct model_loading {
    struct app *app;
    enum err rc;
    struct error err;
};

static void *run_model_loading(void *cls)
{
    struct model_loading *loading = cls;

    loading->rc = load_models(loading->app, &loading->err);
    return NULL;
}

/* Models are loaded while the job store is opened: these take most of a start, and neither needs
 * the other. */
enum err app_load(struct app *app, struct error *err)
{
    struct model_loading loading = {.app = app};
    pthread_t loader;
    bool is_beside;
    enum err rc;

    declare_spaces(app);
    is_beside = pthread_create(&loader, NULL, run_model_loading, &loading) == 0;
    rc = open_jobs(app, err);
    if (is_beside) {
        (void)pthread_join(loader, NULL);
    } else {
        (void)run_model_loading(&loading);
    }
    if (loading.rc != ERR_OK) {
        *err = loading.err;
        return loading.rc;
    }
    return rc != ERR_OK ? rc : begin_jobs(app, err);
}

void app_destroy(struct app *app)
{
    if (app == NULL) {
        return;
    }
    jobs_stop(app->jobs);
    serving_close(&app->serving);
    model_registry_close(&app->models);
    calibration_cache_close(&app->calibrations);
    device_cache_close(&app->devices);
    space_tree_close(&app->spaces);
    accuracy_cache_close(&app->accuracies);
    close_rest(app);
}

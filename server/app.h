/* The service's long-lived objects. Filled before the server starts, and constant from then on but
 * for what is atomic or has a lock of its own.
 *
 * The main thread creates, loads and destroys the app; between the last two the HTTP server runs. */
#ifndef DGLD_SERVER_APP_H
#define DGLD_SERVER_APP_H

#include <stdatomic.h>

#include "server/accuracy_cache.h"
#include "server/calibration_cache.h"
#include "server/config.h"
#include "server/config_source.h"
#include "server/counters.h"
#include "server/data_tree.h"
#include "server/device_cache.h"
#include "server/handover.h"
#include "server/infer_stats.h"
#include "server/job_keys.h"
#include "server/job_totals.h"
#include "server/listeners.h"
#include "server/model_registry.h"
#include "server/security.h"
#include "server/serving.h"
#include "server/space_tree.h"

struct http_server;
struct jobs;
struct options;

struct app {
    struct config config;
    struct config_source config_source; /* for a reload */
    struct data_tree tree;
    struct space_tree spaces; /* those that are declared in files */
    struct device_cache devices;
    struct calibration_cache calibrations;
    struct accuracy_cache accuracies;
    struct model_registry models;
    struct serving serving;
    struct infer_stats infer_stats;
    struct security security;
    struct listeners listeners; /* of the main thread, while the server runs */
    struct handover handover;   /* likewise */
    struct counters *counters;  /* owned */
    struct http_server *http;   /* set while it runs */
    struct jobs *jobs;          /* NULL where no jobs are kept ... */
    struct error jobs_error;    /* ... for this reason; ERR_OK where none are wanted */
    struct job_keys job_keys;   /* of submissions on their way */
    struct job_totals job_totals;
    atomic_long n_event_streams; /* bounded by event_streams_max */
    atomic_bool is_ready;        /* a predictor is loaded */
    atomic_bool is_draining;     /* a stop was asked for, or ... */
    atomic_bool has_successor;   /* ... another process serves at the same sockets by now */
};

/* Reads settings, tokens and certificates, and takes the sockets that were handed over. `options`
 * are borrowed until app_destroy(). What is wrong with the settings, or what they name, is an error. */
enum err app_create(const struct options *options, struct app **out, struct error *err);

/* Declares the spaces of the root's files, loads the predictors that are served, and begins to run
 * jobs. Errors where a served file is malformed, or the job store is no store. */
enum err app_load(struct app *app, struct error *err);

/* Puts jobs that run back into the queue, and ends everything. Once the HTTP server is stopped.
 * Accepts NULL. */
void app_destroy(struct app *app);

/* Whether who asks at these sockets can be served: by this process, or by that which follows it. */
static inline bool app_is_ready(const struct app *app)
{
    return atomic_load(&app->is_ready) &&
           (!atomic_load(&app->is_draining) || atomic_load(&app->has_successor));
}

#endif

/* GET /metrics. */
#include <stdlib.h>

#include "core/version.h"
#include "proto/prometheus.h"
#include "server/app.h"
#include "server/http.h"
#include "server/jobs.h"
#include "server/log.h"
#include "server/pool.h"
#include "server/process.h"
#include "server/respond.h"

static void encode_build(const struct app *app, struct text *text)
{
    const struct prom_label label = {"version", DGLD_VERSION};

    prom_family(text, "dgld_build_info", "gauge", "The program's version, as a label.");
    prom_whole(text, "dgld_build_info", &label, 1, 1);
    prom_single(text, "dgld_ready", "gauge", "1 where /readyz answers 200, else 0.",
                app_is_ready(app));
    prom_single(text, "dgld_log_lines_lost_total", "counter",
                "Log lines that were left out: too many warnings, or nobody read.",
                (double)log_n_lost());
}

/* What is going on just now. The thread that does this is none that works. */
static void encode_present(struct app *app, const struct request *request, struct text *text)
{
    struct pool *pool = http_pool(app->http);
    size_t n_busy = pool_n_busy(pool) - (request->is_on_pool ? 1 : 0);

    prom_single(text, "dgld_http_requests_in_flight", "gauge",
                "Requests that have begun and are not answered whole, this one among them.",
                (double)http_in_flight(app->http));
    prom_single(text, "dgld_http_connections", "gauge", "Open connections.",
                (double)http_n_connections(app->http));
    prom_single(text, "dgld_http_held_bytes", "gauge",
                "Bytes of large request bodies and replies that are held; transfer_max_bytes is "
                "their bound.",
                (double)http_held_bytes(app->http));
    prom_single(text, "dgld_pool_queue_length", "gauge",
                "Requests that wait for the pool; pool_queue_max is their bound.",
                (double)pool_n_queued(pool));
    prom_single(text, "dgld_pool_busy_threads", "gauge", "Threads of the pool that work.",
                (double)n_busy);
    prom_single(text, "dgld_event_streams", "gauge",
                "Clients that follow a job's events; event_streams_max is their bound.",
                (double)atomic_load(&app->n_event_streams));
}

/* Bounds that alerts compare the figures above with, under their settings' names. */
static void encode_bounds(const struct app *app, struct text *text)
{
    static const char *const settings[] = {"pool_queue_max", "connections_max",
                                           "transfer_max_bytes", "event_streams_max",
                                           "job_queue_max"};
    char value[CONFIG_TEXT_BYTES];

    prom_family(text, "dgld_bound", "gauge", "What a setting bounds something to, by its name.");
    for (size_t i = 0; i < sizeof settings / sizeof *settings; i++) {
        const struct prom_label label = {"setting", settings[i]};
        config_value(&app->config, config_find(settings[i]), value);
        prom_real(text, "dgld_bound", &label, 1, strtod(value, NULL));
    }
}

static void encode_certificate(const struct app *app, struct text *text)
{
    if (app->security.has_tls) {
        prom_single(text, "dgld_tls_certificate_expiry_timestamp_seconds", "gauge",
                    "Until when the certificate that is presented is valid, in seconds since 1970.",
                    (double)atomic_load(&app->security.certificate_until_s));
    }
}

/* Nothing where no jobs are wanted. */
static void encode_jobs(struct app *app, struct text *text)
{
    bool is_up = app->jobs != NULL && jobs_is_healthy(app->jobs, NULL);

    if (app->jobs != NULL || app->jobs_error.code != ERR_OK) {
        prom_single(text, "dgld_job_store_up", "gauge",
                    "1 where jobs can be stored, else 0; /readyz says why.", is_up ? 1 : 0);
    }
    if (app->jobs != NULL) {
        job_totals_encode(&app->job_totals, text);
    }
}

static void encode_models(struct app *app, struct text *text)
{
    struct space_list list;

    space_list_get(&list);
    prom_family(text, "dgld_model_info", "gauge",
                "The served predictor of a search space, its version and kind as labels.");
    for (size_t i = 0; i < list.n; i++) {
        const struct space *space = list.items[i];
        const struct model *model = model_registry_acquire(&app->models, space);
        if (model != NULL) {
            const struct prom_label labels[] = {
                {"search_space", space->name                 },
                {"version",      model->info.version         },
                {"predictor",    model->predictor->kind->name}
            };
            prom_whole(text, "dgld_model_info", labels, sizeof labels / sizeof *labels, 1);
            model_registry_release(&app->models, model);
        }
    }
}

/* Under the names that Prometheus' own client libraries use. */
static void encode_process(struct text *text)
{
    struct process_figures figures;

    if (!process_read(&figures)) {
        return;
    }
    prom_single(text, "process_cpu_seconds_total", "counter",
                "User and system time of all threads.", figures.cpu_s);
    prom_single(text, "process_resident_memory_bytes", "gauge", "Resident memory.",
                (double)figures.resident_bytes);
    prom_single(text, "process_virtual_memory_bytes", "gauge", "Virtual memory.",
                (double)figures.virtual_bytes);
    prom_single(text, "process_threads", "gauge", "Threads.", (double)figures.n_threads);
    prom_single(text, "process_open_fds", "gauge", "Open file descriptors.",
                (double)figures.n_open_fds);
    prom_single(text, "process_max_fds", "gauge", "Bound on open file descriptors.",
                (double)figures.max_fds);
    prom_single(text, "process_start_time_seconds", "gauge",
                "When the process started, in seconds since 1970.", figures.start_time_s);
}

void metrics_get(struct app *app, const struct request *request, struct reply *reply)
{
    struct text text = {0};

    if (app->jobs != NULL && !job_totals_count(app, request)) {
        reply->is_deferred = true;
        return;
    }
    encode_build(app, &text);
    encode_present(app, request, &text);
    encode_bounds(app, &text);
    encode_certificate(app, &text);
    counters_encode(app->counters, &text);
    encode_models(app, &text);
    encode_jobs(app, &text);
    encode_process(&text);
    respond_text(reply, 200, PROMETHEUS_TYPE, &text);
}

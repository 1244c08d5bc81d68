#include <malloc.h>
#include <signal.h>
#include <stdio.h>

#include <jansson.h>

#include "server/app.h"
#include "server/command.h"
#include "server/http.h"
#include "server/jobs.h"
#include "server/log.h"
#include "server/loop.h"
#include "server/trace.h"

/* The app exists; runs it until it is told to stop. */
static enum err run_app(struct app *app, struct error *err)
{
    struct http_server *http = NULL;
    struct loop *loop = NULL;
    enum err rc = loop_open(app, &loop, err);

    rc = rc != ERR_OK ? rc : app_load(app, err);
    rc = rc != ERR_OK ? rc : http_start(app, &http, err);
    if (rc == ERR_OK) {
        char addresses[LISTENERS_TEXT_BYTES];
        char status[LISTENERS_TEXT_BYTES + 32];
        listeners_print(&app->listeners, app->security.has_tls, addresses);
        (void)snprintf(status, sizeof status, "listening on %s", addresses);
        log_write(LOG_INFO, "%s", status);
        rc = loop_run(loop, http, status, err);
    }
    if (app->jobs != NULL) {
        jobs_drain(app->jobs); /* nobody waits for a job any more */
    }
    http_stop(http);
    loop_close(loop);
    return rc;
}

/* Large blocks go back to the system when they are freed: the C library would else learn from the
 * first large batch to keep the next ones. */
static void keep_memory_small(void)
{
    (void)mallopt(M_MMAP_THRESHOLD, 1 << 20);
    (void)mallopt(M_TRIM_THRESHOLD, 2 << 20);
}

enum err command_serve(const struct options *options, struct error *err)
{
    struct app *app = NULL;
    enum err rc;

    (void)signal(SIGPIPE, SIG_IGN);
    (void)signal(SIGXFSZ, SIG_IGN); /* a file that may not grow is an error like others */
    keep_memory_small();
    json_object_seed(0); /* before the first thread: jansson's hash must not race for its seed */
    trace_init();
    rc = app_create(options, &app, err);
    rc = rc != ERR_OK ? rc : run_app(app, err);
    app_destroy(app);
    if (rc == ERR_OK) {
        log_write(LOG_INFO, "stopped");
    }
    return rc;
}

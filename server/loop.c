#include "server/loop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <uv.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/http.h"
#include "server/jobs.h"
#include "server/log.h"
#include "server/notify.h"
#include "server/pool.h"

/* The first look waits for requests that are in a socket but not in the library yet. */
enum { FIRST_POLL_MS = 20, POLL_MS = 5, ACCEPT_PAUSE_MS = 100 };

/* What ending takes at most, once requests are answered: threads that compute are waited for. */
enum { AFTER_DRAIN_MS = 10000 };

/* How often deadlines of connections are looked at. */
enum { REAP_MS = 250 };

/* How long a successor has to begin to serve. */
enum { SUCCESSOR_MS = 60000 };

struct loop {
    struct app *app;
    struct http_server *http;
    uv_loop_t uv;
    uv_signal_t on_term, on_int, on_hangup, on_usr2;
    uv_timer_t drain_timer, accept_timer, reap_timer, model_timer, watchdog_timer;
    uv_timer_t successor_timer;
    uv_poll_t successor;                /* its pipe, while it is waited for */
    uv_poll_t listeners[LISTENERS_MAX]; /* those of the app, in its order */
    struct pool_job refresh_job;        /* on the pool while is_refreshing */
    atomic_bool is_refreshing;
    atomic_bool is_reloading; /* the supervisor waits to hear that it is done */
    const char *status;
    uint64_t drain_deadline_ms;
};

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle)) {
        uv_close(handle, NULL);
    }
}

static void close_handles(struct loop *loop)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&loop->on_term,     (uv_handle_t *)&loop->on_int,
        (uv_handle_t *)&loop->drain_timer, (uv_handle_t *)&loop->accept_timer,
        (uv_handle_t *)&loop->reap_timer,  (uv_handle_t *)&loop->model_timer,
        (uv_handle_t *)&loop->on_hangup,   (uv_handle_t *)&loop->watchdog_timer,
        (uv_handle_t *)&loop->on_usr2,     (uv_handle_t *)&loop->successor_timer,
        (uv_handle_t *)&loop->successor,
    };

    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        close_handle(handles[i]);
    }
    for (size_t i = 0; i < LISTENERS_MAX; i++) {
        close_handle((uv_handle_t *)&loop->listeners[i]);
    }
}

static void on_listener(uv_poll_t *handle, int status, int events);

static int start_accepting(struct loop *loop)
{
    int rc = 0;

    for (size_t i = 0; i < loop->app->listeners.n && rc == 0; i++) {
        rc = uv_poll_start(&loop->listeners[i], UV_READABLE, on_listener);
    }
    return rc;
}

static void stop_accepting(struct loop *loop)
{
    for (size_t i = 0; i < loop->app->listeners.n; i++) {
        (void)uv_poll_stop(&loop->listeners[i]);
    }
}

static void resume_accepting(uv_timer_t *timer)
{
    (void)start_accepting(timer->data);
}

static void on_listener(uv_poll_t *handle, int status, int events)
{
    struct loop *loop = handle->data;

    (void)status;
    (void)events;
    if (!http_accept(loop->http, loop->app->listeners.items[handle - loop->listeners].fd)) {
        stop_accepting(loop);
        (void)uv_timer_start(&loop->accept_timer, resume_accepting, ACCEPT_PAUSE_MS, 0);
    }
}

static void reap(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    size_t n = http_reap(loop->http);

    if (n > 0) {
        log_write(LOG_INFO, "closed %zu connections that took too long", n);
    }
}

static void run_refresh(struct pool_job *job)
{
    struct loop *loop = (struct loop *)(void *)((char *)job - offsetof(struct loop, refresh_job));
    struct error err;

    (void)space_tree_refresh(&loop->app->spaces, &err); /* it has logged what it could not do */
    serving_refresh(loop->app);
    if (atomic_exchange(&loop->is_reloading, false)) {
        notify_ready(loop->status);
    }
    atomic_store(&loop->is_refreshing, false);
}

/* Files are looked at on the pool: loading one would hold up who connects meanwhile. */
static void refresh_models(struct loop *loop)
{
    if (!atomic_exchange(&loop->is_refreshing, true)) {
        loop->refresh_job.run = run_refresh;
        if (!pool_submit(http_pool(loop->http), &loop->refresh_job, SIZE_MAX)) {
            atomic_store(&loop->is_refreshing, false);
        }
    }
}

static void on_model_timer(uv_timer_t *timer)
{
    refresh_models(timer->data);
}

/* Anew after a reload, which may have changed the period. */
static void start_model_timer(struct loop *loop)
{
    uint64_t period_ms = (uint64_t)loop->app->config.model_poll_ms;

    (void)uv_timer_stop(&loop->model_timer);
    if (period_ms > 0) {
        (void)uv_timer_start(&loop->model_timer, on_model_timer, period_ms, period_ms);
    }
}

static void on_hangup(uv_signal_t *handle, int number)
{
    struct loop *loop = handle->data;

    (void)number;
    log_write(LOG_INFO, "SIGHUP: reloading");
    notify_reloading();
    config_reload_logged(&loop->app->config, &loop->app->config_source);
    log_set_level((enum log_level)loop->app->config.log_level);
    security_reload(&loop->app->security);
    atomic_store(&loop->is_reloading, true);
    start_model_timer(loop);
    refresh_models(loop);
}

static void on_watchdog_timer(uv_timer_t *timer)
{
    (void)timer;
    notify_watchdog();
}

/* ---- stop ------------------------------------------------------------------------------------ */

/* The end that waits for nobody. */
static void end_now(void)
{
    log_write(LOG_INFO, "stopped");
    _exit(EXIT_SUCCESS);
}

static void poll_drained(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    size_t n_left = http_in_flight(loop->http);
    bool is_over = uv_now(&loop->uv) >= loop->drain_deadline_ms;

    http_close_idle(loop->http, loop->app->config.drain_idle_ms);
    if (n_left == 0 && (is_over || http_n_open(loop->http) == 0)) {
        uv_stop(&loop->uv);
    } else if (is_over) {
        log_write(LOG_WARNING, "%zu requests are still in flight after drain_timeout_ms; stopping",
                  n_left);
        end_now();
    }
}

/* Takes no connection any more, and waits for the requests in flight, and for those that clients may
 * have sent on connections that they kept: each is the last one of its connection. Who waits to be
 * accepted is served still where the socket goes with us; one that others have stays, for them. */
static void refuse_connections(struct loop *loop)
{
    const struct listeners *listeners = &loop->app->listeners;
    bool is_shared = listeners->is_inherited || atomic_load(&loop->app->has_successor);

    (void)uv_timer_stop(&loop->accept_timer);
    stop_accepting(loop);
    for (size_t i = 0; i < listeners->n && !is_shared; i++) {
        (void)http_accept(loop->http, listeners->items[i].fd);
    }
    http_quiesce(loop->http);
    if (loop->app->jobs != NULL) {
        jobs_drain(loop->app->jobs);
    }
    loop->drain_deadline_ms = uv_now(&loop->uv) + (uint64_t)loop->app->config.drain_timeout_ms;
    (void)uv_timer_start(&loop->drain_timer, poll_drained, FIRST_POLL_MS, POLL_MS);
}

static void on_delay_over(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    log_write(LOG_INFO, "connections are refused from now on; %zu requests are in flight",
              http_in_flight(loop->http));
    refuse_connections(loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop *loop = handle->data;
    const char *name = number == SIGTERM ? "SIGTERM" : "SIGINT";
    uint64_t delay_ms = (uint64_t)loop->app->config.drain_delay_ms;

    if (atomic_exchange(&loop->app->is_draining, true)) {
        log_write(LOG_WARNING, "a second signal: stopping now");
        end_now();
    }
    handover_signal(&loop->app->handover, SIGTERM); /* nobody is to take over any more */
    notify_stopping("answering what is in flight",
                    delay_ms + (uint64_t)loop->app->config.drain_timeout_ms + AFTER_DRAIN_MS);
    if (delay_ms > 0) {
        log_write(LOG_INFO, "%s: stopping; connections are refused in %llu ms", name,
                  (unsigned long long)delay_ms);
        (void)uv_timer_start(&loop->drain_timer, on_delay_over, delay_ms, 0);
    } else {
        log_write(LOG_INFO, "%s: stopping", name);
        refuse_connections(loop);
    }
}

/* ---- hand-over ------------------------------------------------------------------------------- */

static void begin_handing_over(struct loop *loop)
{
    long pid = (long)loop->app->handover.successor;

    log_write(LOG_INFO, "process %ld serves from now on; stopping", pid);
    notify_main_pid(pid, loop->status);
    atomic_store(&loop->app->has_successor, true);
    atomic_store(&loop->app->is_draining, true);
    refuse_connections(loop);
}

/* Its pipe is watched no more, so that another successor's may be. */
static void hear_successor(uv_handle_t *handle)
{
    struct loop *loop = handle->data;
    struct error err;
    bool is_serving = handover_hear(&loop->app->handover, &err);

    handle->type = UV_UNKNOWN_HANDLE;
    if (atomic_load(&loop->app->is_draining)) { /* both were told to stop */
        return;
    }
    if (is_serving) {
        begin_handing_over(loop);
    } else {
        log_write(LOG_ERROR, "nobody takes over, this process goes on: %s", err.text);
    }
}

static void on_successor(uv_poll_t *handle, int status, int events)
{
    struct loop *loop = handle->data;

    (void)status;
    (void)events;
    (void)uv_timer_stop(&loop->successor_timer);
    (void)uv_poll_stop(handle);
    uv_close((uv_handle_t *)handle, hear_successor);
}

static void on_successor_late(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    log_write(LOG_ERROR, "process %ld does not serve after %d s and is killed",
              (long)loop->app->handover.successor, SUCCESSOR_MS / 1000);
    handover_signal(&loop->app->handover, SIGKILL); /* on_successor() finds its end */
}

static void on_usr2(uv_signal_t *handle, int number)
{
    struct loop *loop = handle->data;
    struct handover *handover = &loop->app->handover;
    struct error err = {0};
    enum err rc;

    (void)number;
    if (atomic_load(&loop->app->is_draining)) {
        log_write(LOG_WARNING, "SIGUSR2: the service is stopping, and starts no other");
        return;
    }
    rc = handover_start(handover, &loop->app->listeners, &err);
    if (rc != ERR_OK) {
        log_write(LOG_ERROR, "SIGUSR2: nobody takes over: %s", err.text);
        return;
    }
    log_write(LOG_INFO, "SIGUSR2: %s is started as process %ld, to take over", handover->program,
              (long)handover->successor);
    (void)uv_poll_init(&loop->uv, &loop->successor, handover->hear_fd);
    loop->successor.data = loop;
    (void)uv_poll_start(&loop->successor, UV_READABLE | UV_DISCONNECT, on_successor);
    (void)uv_timer_start(&loop->successor_timer, on_successor_late, SUCCESSOR_MS, 0);
}

enum err loop_open(struct app *app, struct loop **out, struct error *err)
{
    struct loop *loop = mem_calloc(1, sizeof *loop);
    int rc;

    if (loop == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the main loop");
    }
    rc = uv_loop_init(&loop->uv);
    if (rc != 0) {
        mem_free(loop);
        return error_set(err, ERR_INTERNAL, "libuv: %s", uv_strerror(rc));
    }
    loop->app = app;
    loop->on_term.data = loop->on_int.data = loop->drain_timer.data = loop;
    loop->accept_timer.data = loop->on_usr2.data = loop->successor_timer.data = loop;
    loop->reap_timer.data = loop->model_timer.data = loop->on_hangup.data = loop;
    /* initialising these cannot fail, and starting a signal only for want of memory */
    (void)uv_signal_init(&loop->uv, &loop->on_term);
    (void)uv_signal_init(&loop->uv, &loop->on_int);
    (void)uv_signal_init(&loop->uv, &loop->on_hangup);
    (void)uv_signal_init(&loop->uv, &loop->on_usr2);
    (void)uv_timer_init(&loop->uv, &loop->successor_timer);
    (void)uv_timer_init(&loop->uv, &loop->drain_timer);
    (void)uv_timer_init(&loop->uv, &loop->reap_timer);
    (void)uv_timer_init(&loop->uv, &loop->model_timer);
    (void)uv_timer_init(&loop->uv, &loop->accept_timer);
    (void)uv_timer_init(&loop->uv, &loop->watchdog_timer);
    rc = uv_signal_start(&loop->on_term, on_signal, SIGTERM);
    rc = rc != 0 ? rc : uv_signal_start(&loop->on_int, on_signal, SIGINT);
    /* from now on: a signal that comes while models load waits until the loop runs */
    rc = rc != 0 ? rc : uv_signal_start(&loop->on_hangup, on_hangup, SIGHUP);
    rc = rc != 0 ? rc : uv_signal_start(&loop->on_usr2, on_usr2, SIGUSR2);
    if (rc != 0) {
        loop_close(loop);
        return error_set(err, ERR_INTERNAL, "libuv: %s", uv_strerror(rc));
    }
    *out = loop;
    return ERR_OK;
}

static int watch_listeners(struct loop *loop)
{
    int rc = 0;

    for (size_t i = 0; i < loop->app->listeners.n && rc == 0; i++) {
        rc = uv_poll_init(&loop->uv, &loop->listeners[i], loop->app->listeners.items[i].fd);
        loop->listeners[i].data = loop;
    }
    return rc != 0 ? rc : start_accepting(loop);
}

enum err loop_run(struct loop *loop, struct http_server *http, const char *status,
                  struct error *err)
{
    uint64_t watchdog_ms = notify_watchdog_period_ms();
    int rc = watch_listeners(loop);

    if (rc != 0) {
        return error_set(err, ERR_INTERNAL, "libuv: %s", uv_strerror(rc));
    }
    loop->http = http;
    loop->status = status;
    (void)uv_timer_start(&loop->reap_timer, reap, REAP_MS, REAP_MS);
    start_model_timer(loop);
    if (watchdog_ms > 0) {
        (void)uv_timer_start(&loop->watchdog_timer, on_watchdog_timer, watchdog_ms, watchdog_ms);
    }
    notify_ready(status);
    handover_tell_ready(&loop->app->handover);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    return ERR_OK;
}

void loop_close(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    close_handles(loop);
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT); /* until the handles are closed */
    (void)uv_loop_close(&loop->uv);
    mem_free(loop);
}

#include "server/loop.h"

#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <string.h>

#include <uv.h>

#include "core/mem.h"
#include "server/app.h"
#include "server/http.h"
#include "server/log.h"
#include "server/pool.h"

/* The first look waits for requests that are in a socket but not in the library yet. */
enum { FIRST_POLL_MS = 20, POLL_MS = 5, ACCEPT_PAUSE_MS = 100 };

/* How often deadlines of connections are looked at. */
enum { REAP_MS = 250 };

struct loop {
    struct app *app;
    struct http_server *http;
    uv_loop_t uv;
    uv_signal_t on_term, on_int, on_hangup;
    uv_timer_t drain_timer, accept_timer, reap_timer, model_timer;
    uv_poll_t listener;
    struct pool_job refresh_job; /* on the pool while is_refreshing */
    atomic_bool is_refreshing;
    uint64_t drain_deadline_ms;
};

static void close_handles(struct loop *loop)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&loop->on_term,     (uv_handle_t *)&loop->on_int,
        (uv_handle_t *)&loop->drain_timer, (uv_handle_t *)&loop->accept_timer,
        (uv_handle_t *)&loop->reap_timer,  (uv_handle_t *)&loop->model_timer,
        (uv_handle_t *)&loop->on_hangup,   (uv_handle_t *)&loop->listener,
    };

    for (size_t i = 0; i < sizeof handles / sizeof *handles; i++) {
        if (handles[i]->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handles[i])) {
            uv_close(handles[i], NULL);
        }
    }
}

static void on_listener(uv_poll_t *handle, int status, int events);

static void resume_accepting(uv_timer_t *timer)
{
    struct loop *loop = timer->data;

    (void)uv_poll_start(&loop->listener, UV_READABLE, on_listener);
}

static void on_listener(uv_poll_t *handle, int status, int events)
{
    struct loop *loop = handle->data;

    (void)status;
    (void)events;
    if (!http_accept(loop->http)) {
        (void)uv_poll_stop(handle);
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

    serving_refresh(loop->app);
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

static void on_hangup(uv_signal_t *handle, int number)
{
    struct loop *loop = handle->data;

    (void)number;
    log_write(LOG_INFO, "SIGHUP: reloading");
    security_reload(&loop->app->security);
    refresh_models(loop);
}

static void poll_drained(uv_timer_t *timer)
{
    struct loop *loop = timer->data;
    size_t n_left = http_in_flight(loop->http);

    if (n_left == 0) {
        uv_stop(&loop->uv);
    } else if (uv_now(&loop->uv) >= loop->drain_deadline_ms) {
        log_write(LOG_WARNING, "%zu requests are still in flight after drain_timeout_ms; stopping",
                  n_left);
        uv_stop(&loop->uv);
    }
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct loop *loop = handle->data;

    if (atomic_exchange(&loop->app->is_draining, true)) {
        log_write(LOG_WARNING, "a second signal: stopping now");
        uv_stop(&loop->uv);
        return;
    }
    log_write(LOG_INFO, "%s: stopping", number == SIGTERM ? "SIGTERM" : "SIGINT");
    (void)uv_timer_stop(&loop->accept_timer);
    (void)uv_poll_stop(&loop->listener);
    (void)http_accept(loop->http); /* who waits already is served still */
    http_quiesce(loop->http);
    loop->drain_deadline_ms = uv_now(&loop->uv) + (uint64_t)loop->app->config.drain_timeout_ms;
    (void)uv_timer_start(&loop->drain_timer, poll_drained, FIRST_POLL_MS, POLL_MS);
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
    loop->accept_timer.data = loop->listener.data = loop;
    loop->reap_timer.data = loop->model_timer.data = loop->on_hangup.data = loop;
    /* initialising these cannot fail, and starting a signal only for want of memory */
    (void)uv_signal_init(&loop->uv, &loop->on_term);
    (void)uv_signal_init(&loop->uv, &loop->on_int);
    (void)uv_signal_init(&loop->uv, &loop->on_hangup);
    (void)uv_timer_init(&loop->uv, &loop->drain_timer);
    (void)uv_timer_init(&loop->uv, &loop->reap_timer);
    (void)uv_timer_init(&loop->uv, &loop->model_timer);
    (void)uv_timer_init(&loop->uv, &loop->accept_timer);
    rc = uv_signal_start(&loop->on_term, on_signal, SIGTERM);
    rc = rc != 0 ? rc : uv_signal_start(&loop->on_int, on_signal, SIGINT);
    rc = rc != 0 ? rc : uv_signal_start(&loop->on_hangup, on_hangup, SIGHUP); /* before we listen */
    if (rc != 0) {
        loop_close(loop);
        return error_set(err, ERR_INTERNAL, "libuv: %s", uv_strerror(rc));
    }
    *out = loop;
    return ERR_OK;
}

enum err loop_run(struct loop *loop, struct http_server *http, struct error *err)
{
    int rc = uv_poll_init(&loop->uv, &loop->listener, http_listen_fd(http));

    rc = rc != 0 ? rc : uv_poll_start(&loop->listener, UV_READABLE, on_listener);
    if (rc != 0) {
        return error_set(err, ERR_INTERNAL, "libuv: %s", uv_strerror(rc));
    }
    loop->http = http;
    (void)uv_timer_start(&loop->reap_timer, reap, REAP_MS, REAP_MS);
    if (loop->app->config.model_poll_ms > 0) {
        uint64_t period_ms = (uint64_t)loop->app->config.model_poll_ms;
        (void)uv_timer_start(&loop->model_timer, on_model_timer, period_ms, period_ms);
    }
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

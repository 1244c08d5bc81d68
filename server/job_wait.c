#include "server/job_wait.h"

#include <stddef.h>
#include <stdio.h>

#include "server/app.h"
#include "server/clock.h"
#include "server/http.h"

/* On the pool. */
static void read_job(struct pool_job *job)
{
    struct job_wait *wait =
        (struct job_wait *)(void *)((char *)job - offsetof(struct job_wait, pool_job));

    wait->rc = jobs_get(wait->app->jobs, wait->watch.id, &wait->job, &wait->err);
    request_resume(wait->request);
}

/* With the board's lock held. */
static void on_wake(struct job_watch *watch)
{
    struct job_wait *wait = (struct job_wait *)watch;
    size_t queue_max = (size_t)wait->app->config.pool_queue_max;

    wait->pool_job.run = read_job;
    if (!pool_submit(http_pool(wait->app->http), &wait->pool_job, queue_max)) {
        wait->rc = error_set(&wait->err, ERR_LIMIT,
                             "the queue is full: as many requests wait as pool_queue_max, which is "
                             "%zu here",
                             queue_max);
        request_resume(wait->request);
    }
}

void job_wait_begin(struct job_wait *wait, struct app *app, const struct request *request,
                    const char *id, int64_t after_revision, bool is_for_end, int64_t limit_ms)
{
    job_wait_close(wait);
    wait->app = app;
    wait->request = request;
    (void)snprintf(wait->watch.id, sizeof wait->watch.id, "%s", id);
    wait->watch.after_revision = after_revision;
    wait->watch.is_for_end = is_for_end;
    wait->watch.until_ms = monotonic_ms() + limit_ms;
    wait->watch.wake = on_wake;
    jobs_watch(app->jobs, &wait->watch);
}

void job_wait_close(struct job_wait *wait)
{
    job_close(&wait->job);
    *wait = (struct job_wait){0};
}

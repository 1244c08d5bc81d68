#include "server/job_totals.h"

#include <stddef.h>

#include "proto/prometheus.h"
#include "server/app.h"
#include "server/http.h"
#include "server/jobs.h"
#include "server/routes.h"

/* What cannot be counted now stays as it was; /readyz tells why. */
static void count(struct app *app)
{
    size_t counts[JOB_N_KINDS][JOB_N_STATES];

    if (jobs_count(app->jobs, counts, NULL) != ERR_OK) {
        return;
    }
    for (size_t kind = 0; kind < JOB_N_KINDS; kind++) {
        for (size_t state = 0; state < JOB_N_STATES; state++) {
            atomic_store_explicit(&app->job_totals.counts[kind][state], counts[kind][state],
                                  memory_order_relaxed);
        }
    }
}

static void run_recount(struct pool_job *job)
{
    struct app *app =
        (struct app *)(void *)((char *)job - offsetof(struct app, job_totals.recount));

    count(app);
    atomic_store(&app->job_totals.is_recounting, false);
}

bool job_totals_count(struct app *app, const struct request *request)
{
    struct job_totals *totals = &app->job_totals;
    struct pool *pool = http_pool(app->http);

    if (request->is_on_pool) {
        count(app);
        return true;
    }
    if (pool_n_queued(pool) == 0) {
        return false;
    }
    if (!atomic_exchange(&totals->is_recounting, true)) {
        totals->recount.run = run_recount;
        if (!pool_submit(pool, &totals->recount, (size_t)app->config.pool_queue_max)) {
            atomic_store(&totals->is_recounting, false);
        }
    }
    return true;
}

void job_totals_encode(const struct job_totals *totals, struct text *text)
{
    prom_family(text, "dgld_jobs", "gauge", "Jobs that are kept, by kind and state.");
    for (enum job_kind kind = 0; kind < JOB_N_KINDS; kind++) {
        for (enum job_state state = 0; state < JOB_N_STATES; state++) {
            const struct prom_label labels[] = {
                {"kind",  job_kind_name(kind)  },
                {"state", job_state_name(state)},
            };
            prom_whole(text, "dgld_jobs", labels, sizeof labels / sizeof *labels,
                       atomic_load_explicit(&totals->counts[kind][state], memory_order_relaxed));
        }
    }
}

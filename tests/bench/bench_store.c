/* What a job store takes, for whoever plans a machine:
 *
 *     bench_store PLACE [N]
 *
 * submits N jobs (10,000) through the writer's batches as a service under load does, begins and ends
 * some, each in transactions of its own as workers do, and reads. PLACE is the path of a file that is
 * not there yet, or the URI of a database whose jobs may be added to; jobs stay in it. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/clock.h"
#include "server/job_writer.h"

enum { N_RUN = 500, N_GOT = 2000, N_LISTED = 200, LEASE_MS = 60000 };

static char owner[JOB_OWNER_BYTES];
static atomic_long n_done, n_failed;

struct submission {
    struct job_write write;
    char id[JOB_ID_BYTES];
    struct job job;
};

static enum err run_submission(struct job_write *write, struct job_store *store, struct error *err)
{
    struct submission *s = (struct submission *)write;
    const struct job_draft draft = {
        .id = s->id,
        .kind = JOB_NAS,
        .space = "nasbench201",
        .submitted_ms = job_store_now_ms(store),
        .params = "{\"device\":\"Samsung Galaxy A10s\",\"latency_constraint_ms\":4000,\"seed\":1}",
        .client = "",
        .queue_max = SIZE_MAX / 2,
    };
    enum submit_result result;

    job_close(&s->job);
    return job_store_submit(store, &draft, &result, &s->job, err);
}

static void end_submission(struct job_write *write)
{
    n_failed += write->rc != ERR_OK;
    n_done++;
}

static void report(const char *what, long n, double begun_s)
{
    double s = monotonic_seconds() - begun_s;

    printf("%-24s %8ld in %7.3f s: %9.0f a second\n", what, n, s, (double)n / s);
}

static void submit_all(struct job_writer *writer, struct submission *all, long n)
{
    double begun_s = monotonic_seconds();

    for (long i = 0; i < n; i++) {
        all[i].write = (struct job_write){.run = run_submission, .done = end_submission};
        (void)snprintf(all[i].id, sizeof all[i].id, "%08x-%04x-7000-8000-%012u",
                       (unsigned)(realtime_ms() & 0xffffffff), (unsigned)getpid() & 0xffff,
                       (unsigned)i);
        job_writer_submit(writer, &all[i].write);
    }
    while (n_done < n) {
        pause_ms(1);
    }
    report("submitted", n, begun_s);
}

static enum err run_one(struct job_store *store, struct error *err)
{
    static const enum job_kind kinds[] = {JOB_NAS};
    struct job job = {0};
    bool is_found = false, is_held = false;
    enum err rc = job_store_begin(store, err);
    int64_t now_ms = job_store_now_ms(store);
    const struct job_lease lease = {owner, now_ms, now_ms + LEASE_MS};

    rc = rc == ERR_OK ? job_store_claim(store, &lease, kinds, 1, &is_found, &job, err) : rc;
    rc = rc == ERR_OK ? job_store_commit(store, err) : rc;
    if (rc == ERR_OK && is_found) {
        const struct job_report done = {job.id, owner, job.attempt, job.revision, NULL};
        rc = job_store_begin(store, err);
        rc = rc == ERR_OK ? job_store_end(store, &done, JOB_SUCCEEDED, "{}", NULL,
                                          job_store_now_ms(store), &is_held, err)
                          : rc;
        rc = rc == ERR_OK ? job_store_commit(store, err) : rc;
    }
    job_close(&job);
    return rc;
}

static enum err run_some(struct job_store *store, struct error *err)
{
    double begun_s = monotonic_seconds();
    enum err rc = ERR_OK;

    for (int i = 0; rc == ERR_OK && i < N_RUN; i++) {
        rc = run_one(store, err);
    }
    report("begun and ended", N_RUN, begun_s);
    return rc;
}

static enum err read_some(struct job_store *store, const struct submission *all, long n,
                          struct error *err)
{
    const struct job_filter filter = {.has_state = true, .state = JOB_QUEUED, .limit = 100};
    double begun_s = monotonic_seconds();
    enum err rc = ERR_OK;

    for (int i = 0; rc == ERR_OK && i < N_GOT; i++) {
        struct job job = {0};
        rc = job_store_get(store, all[i % n].id, &job, err);
        job_close(&job);
    }
    report("read", N_GOT, begun_s);
    begun_s = monotonic_seconds();
    for (int i = 0; rc == ERR_OK && i < N_LISTED; i++) {
        struct job_list list = {0};
        rc = job_store_list(store, &filter, &list, err);
        job_list_close(&list);
    }
    report("listed, 100 each", N_LISTED, begun_s);
    return rc;
}

int main(int argc, char **argv)
{
    long n = argc > 2 ? strtol(argv[2], NULL, 10) : 10000;
    struct submission *all = n > 0 ? mem_calloc((size_t)n, sizeof *all) : NULL;
    struct job_writer *writer = NULL;
    struct job_store *store = NULL;
    struct error err = {0};

    if (argc < 2 || all == NULL) {
        fprintf(stderr, "usage: bench_store PLACE [N]\n");
        return 2;
    }
    if (job_store_open(argv[1], &store, owner, &err) == ERR_OK &&
        job_writer_start(store, &writer, &err) == ERR_OK) {
        submit_all(writer, all, n);
        (void)(run_some(store, &err) == ERR_OK && read_some(store, all, n, &err) == ERR_OK);
    }
    job_writer_stop(writer);
    job_store_close(store);
    for (long i = 0; i < n; i++) {
        job_close(&all[i].job);
    }
    mem_free(all);
    if (err.code != ERR_OK || n_failed > 0) {
        fprintf(stderr, "bench_store: %ld submissions failed; %s\n", n_failed, err.text);
        return 1;
    }
    return 0;
}

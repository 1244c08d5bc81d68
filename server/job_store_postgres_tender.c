/* The thread that looks after the job store's connections, and hears what other processes write.
 *
 *   away:  connect the listener, wait longer after each failure; then it is there
 *   there: connect readers that were lost, and wait for notifications. The listener is asked now
 *          and then, and when another connection was lost, whether the server still answers */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/clock.h"
#include "server/job_store_postgres.h"
#include "server/log.h"

enum {
    RETRY_MIN_MS = 100,
    RETRY_MAX_MS = 2000,
    ASK_MS = 5000, /* time between questions to a server that says nothing */
    NEWS_BYTES = 128,
};

/* ---- whether it is there --------------------------------------------------------------------- */

static void wake(const struct pg_job_store *store)
{
    const uint64_t one = 1;

    (void)!write(store->wake_fd, &one, sizeof one);
}

bool pg_job_is_there(struct pg_job_store *store, struct error *err)
{
    bool is_there;

    (void)pthread_mutex_lock(&store->lock);
    is_there = !store->is_away;
    if (!is_there && err != NULL) {
        *err = store->failure;
    }
    (void)pthread_mutex_unlock(&store->lock);
    return is_there;
}

void pg_job_set_away(struct pg_job_store *store, const struct error *why)
{
    bool was_away;

    (void)pthread_mutex_lock(&store->lock);
    was_away = store->is_away;
    store->is_away = true;
    store->failure = *why;
    (void)pthread_cond_broadcast(&store->has_reader);
    (void)pthread_mutex_unlock(&store->lock);
    if (!was_away) {
        log_write(LOG_WARNING, "%s", why->text);
    }
    wake(store);
}

static void set_there(struct pg_job_store *store)
{
    bool was_away;

    (void)pthread_mutex_lock(&store->lock);
    was_away = store->is_away;
    store->is_away = false;
    (void)pthread_cond_broadcast(&store->has_reader);
    (void)pthread_mutex_unlock(&store->lock);
    if (was_away) {
        log_write(LOG_INFO, "the job store in PostgreSQL can be used again");
    }
}

/* ---- news ------------------------------------------------------------------------------------ */

/* What NOTIFY_... of server/job_store_postgres_sql.c say; but whoever may use the database may notify
 * of anything. */
static bool parse_news(const char *payload, struct job_news *out)
{
    char end = '\0';
    int ended = 0;

    memset(out, 0, sizeof *out);
    if (strcmp(payload, "q") == 0) {
        out->what = JOB_NEWS_QUEUED;
        return true;
    }
    if (sscanf(payload, "x %36s%c", out->id, &end) == 1) {
        out->what = JOB_NEWS_CANCEL;
        return job_id_is_valid(out->id);
    }
    if (sscanf(payload, "c %36s %19" SCNd64 " %1d%c", out->id, &out->revision, &ended, &end) == 3) {
        out->what = JOB_NEWS_CHANGED;
        out->has_ended = ended != 0;
        return job_id_is_valid(out->id);
    }
    return false;
}

static void tell(struct pg_job_store *store, const struct job_news *news)
{
    (void)pthread_mutex_lock(&store->news_lock);
    if (store->tell != NULL) {
        store->tell(store->context, news);
    }
    (void)pthread_mutex_unlock(&store->news_lock);
}

/* Hands on what others have written; what this process wrote, it knows. */
static void hear(struct pg_job_store *store)
{
    char payload[NEWS_BYTES];
    int sender = 0;

    while (postgres_next_notice(&store->listener, &sender, payload, sizeof payload)) {
        struct job_news news;
        if (sender != atomic_load(&store->writer_session) && parse_news(payload, &news)) {
            tell(store, &news);
        }
    }
}

/* ---- connections ----------------------------------------------------------------------------- */

/* Readers that nobody uses were connected to a server that has gone. */
static void drop_readers(struct pg_job_store *store)
{
    (void)pthread_mutex_lock(&store->lock);
    for (size_t i = 0; i < JOB_N_READERS; i++) {
        if (store->states[i] == PG_READER_IDLE) {
            store->states[i] = PG_READER_AWAY;
            postgres_close(&store->readers[i]);
        }
    }
    (void)pthread_mutex_unlock(&store->lock);
}

static void lose_listener(struct pg_job_store *store, const struct error *why)
{
    postgres_close(&store->listener);
    drop_readers(store);
    pg_job_set_away(store, why);
}

/* One that is away is this thread's alone. */
static enum err restore_readers(struct pg_job_store *store, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < JOB_N_READERS; i++) {
        bool is_away;
        (void)pthread_mutex_lock(&store->lock);
        is_away = store->states[i] == PG_READER_AWAY;
        (void)pthread_mutex_unlock(&store->lock);
        if (!is_away) {
            continue;
        }
        rc = postgres_open(&store->readers[i], &pg_job_schema, pg_job_read_sql, JOB_N_READS, err);
        if (rc == ERR_OK) {
            (void)pthread_mutex_lock(&store->lock);
            store->states[i] = PG_READER_IDLE;
            (void)pthread_cond_broadcast(&store->has_reader);
            (void)pthread_mutex_unlock(&store->lock);
        }
    }
    return rc;
}

static enum err connect_listener(struct pg_job_store *store, struct error *err)
{
    enum err rc = postgres_open(&store->listener, &pg_job_schema, NULL, 0, err);

    rc = rc == ERR_OK ? postgres_run(&store->listener, "LISTEN dgld", NULL, err) : rc;
    rc = rc == ERR_OK ? restore_readers(store, err) : rc;
    if (rc != ERR_OK) {
        postgres_close(&store->listener);
    }
    return rc;
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void drain_wakes(const struct pg_job_store *store)
{
    uint64_t n;

    (void)!read(store->wake_fd, &n, sizeof n);
}

/* Some more or less, so that replicas do not come all at once. */
static int64_t spread_ms(int64_t ms)
{
    return ms / 2 + (int64_t)((uint64_t)monotonic_ms() * 2654435761U % (uint64_t)ms);
}

/* Tries until there is a connection, or it is time to stop. */
static void reach(struct pg_job_store *store)
{
    int64_t retry_ms = RETRY_MIN_MS;
    struct error why = {0};

    while (!atomic_load(&store->is_stopping) && connect_listener(store, &why) != ERR_OK) {
        pg_job_set_away(store, &why);
        for (int64_t until_ms = monotonic_ms() + spread_ms(retry_ms);
             !atomic_load(&store->is_stopping) && monotonic_ms() < until_ms;) {
            pause_ms(20);
        }
        retry_ms = 2 * retry_ms < RETRY_MAX_MS ? 2 * retry_ms : RETRY_MAX_MS;
    }
    if (postgres_is_open(&store->listener)) {
        const struct job_news may_wait = {.what = JOB_NEWS_QUEUED};
        set_there(store);
        tell(store, &may_wait); /* what was notified of meanwhile was not heard */
    }
}

/* Waits for news; asks the server whether it lives where it was silent, or somebody doubts it. */
static void attend(struct pg_job_store *store, int64_t *ask_ms)
{
    struct error why = {0};
    enum err rc = postgres_wait(&store->listener, store->wake_fd, *ask_ms, &why);

    drain_wakes(store);
    if (rc == ERR_OK && (monotonic_ms() >= *ask_ms || !pg_job_is_there(store, NULL))) {
        rc = postgres_run(&store->listener, "SELECT 1", NULL, &why);
        rc = rc == ERR_OK ? restore_readers(store, &why) : rc;
        *ask_ms = monotonic_ms() + ASK_MS;
        if (rc == ERR_OK) {
            set_there(store);
        }
    }
    if (rc != ERR_OK) {
        lose_listener(store, &why);
        return;
    }
    hear(store);
}

static void *run(void *argument)
{
    struct pg_job_store *store = argument;
    int64_t ask_ms = 0;

    while (!atomic_load(&store->is_stopping)) {
        if (!postgres_is_open(&store->listener)) {
            reach(store);
            ask_ms = monotonic_ms() + ASK_MS;
        } else {
            attend(store, &ask_ms);
        }
    }
    return NULL;
}

enum err pg_job_tender_start(struct pg_job_store *store, struct error *err)
{
    int failed;

    store->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (store->wake_fd < 0) {
        return error_set(err, ERR_IO, "no descriptor is left for the job store");
    }
    failed = pthread_create(&store->tender, NULL, run, store);
    store->has_tender = failed == 0;
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot start a thread");
}

void pg_job_tender_stop(struct pg_job_store *store)
{
    if (store->has_tender) {
        atomic_store(&store->is_stopping, true);
        wake(store);
        (void)pthread_join(store->tender, NULL);
        store->has_tender = false;
    }
    if (store->wake_fd >= 0) {
        (void)close(store->wake_fd);
        store->wake_fd = -1;
    }
}

#include "server/job_writer.h"

#include <pthread.h>
#include <time.h>

#include "core/mem.h"

enum {
    BATCH_MAX = 256, /* writes of a transaction: some 10 ms of work */
    PROBE_S = 1,     /* after a failure, time without a write until one is tried */
};

struct job_writer {
    struct job_store *store; /* borrowed */
    pthread_t thread;
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_work;
    struct job_write *first, **end;
    bool is_stopping;
    bool has_failed;
    struct error failure; /* why */
};

/* ---- transactions, in the writer's thread ---------------------------------------------------- */

static void note_outcome(struct job_writer *writer, enum err rc, const struct error *err)
{
    (void)pthread_mutex_lock(&writer->lock);
    writer->has_failed = rc != ERR_OK;
    if (rc != ERR_OK) {
        writer->failure = *err;
        writer->failure.code = rc;
    }
    (void)pthread_mutex_unlock(&writer->lock);
}

/* Tells the owner, whose the struct is again. */
static void finish(struct job_write *write, enum err rc, const struct error *err)
{
    write->rc = rc;
    if (rc != ERR_OK) {
        write->err = *err;
    }
    write->done(write);
}

static void finish_all(struct job_write *first, enum err rc, const struct error *err)
{
    while (first != NULL) {
        struct job_write *next = first->next;
        finish(first, rc, err);
        first = next;
    }
}

/* Runs the writes from `first` up to (without) `until` in one transaction. `is_run_failed` tells
 * whether it was one of them that failed, not the store. */
static enum err transact(struct job_writer *writer, struct job_write *first,
                         const struct job_write *until, bool *is_run_failed, struct error *err)
{
    enum err rc = job_store_begin(writer->store, err);

    *is_run_failed = false;
    if (rc == ERR_OK) {
        for (struct job_write *w = first; w != until && rc == ERR_OK; w = w->next) {
            rc = w->run(w, writer->store, err);
        }
        *is_run_failed = rc != ERR_OK;
        if (rc == ERR_OK) {
            rc = job_store_commit(writer->store, err);
        } else {
            job_store_rollback(writer->store);
        }
    }
    note_outcome(writer, rc, err);
    return rc;
}

/* Each in a transaction of its own, so that the one that fails does so alone. Where the store
 * itself fails there is no use in trying the others, each of which might wait for seconds. */
static void run_singly(struct job_writer *writer, struct job_write *first)
{
    while (first != NULL) {
        struct job_write *next = first->next;
        struct error err = {0};
        bool is_run_failed;
        enum err rc = transact(writer, first, next, &is_run_failed, &err);
        if (rc != ERR_OK && !is_run_failed) {
            finish_all(first, rc, &err);
            return;
        }
        finish(first, rc, &err);
        first = next;
    }
}

static void run_batch(struct job_writer *writer, struct job_write *first)
{
    struct error err = {0};
    bool is_run_failed;
    enum err rc = transact(writer, first, NULL, &is_run_failed, &err);

    if (rc != ERR_OK && is_run_failed && first->next != NULL) {
        run_singly(writer, first);
    } else {
        finish_all(first, rc, &err);
    }
}

static enum err run_probe(struct job_write *write, struct job_store *store, struct error *err)
{
    (void)write;
    return job_store_probe(store, err);
}

static void probe(struct job_writer *writer)
{
    struct job_write write = {.run = run_probe};
    struct error err = {0};
    bool is_run_failed;

    (void)transact(writer, &write, NULL, &is_run_failed, &err);
}

/* ---- the thread ------------------------------------------------------------------------------ */

/* Waits until there is something to write; false where after a failure nothing came for a while.
 * The lock is held. */
static bool wait_for_work(struct job_writer *writer)
{
    struct timespec until;

    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += PROBE_S;
    while (writer->first == NULL && !writer->is_stopping) {
        if (!writer->has_failed) {
            (void)pthread_cond_wait(&writer->has_work, &writer->lock);
        } else if (pthread_cond_timedwait(&writer->has_work, &writer->lock, &until) != 0) {
            return writer->first != NULL;
        }
    }
    return true;
}

/* What is queued, up to a batch. The lock is held. */
static struct job_write *take_batch(struct job_writer *writer)
{
    struct job_write *first = writer->first;
    struct job_write **at = &first;

    for (int n = 0; n < BATCH_MAX && *at != NULL; n++) {
        at = &(*at)->next;
    }
    writer->first = *at;
    *at = NULL;
    if (writer->first == NULL) {
        writer->end = &writer->first;
    }
    return first;
}

static void *work(void *argument)
{
    struct job_writer *writer = argument;

    (void)pthread_mutex_lock(&writer->lock);
    for (;;) {
        bool has_work = wait_for_work(writer);
        struct job_write *first = take_batch(writer);
        if (has_work && first == NULL) {
            break; /* it is being stopped */
        }
        (void)pthread_mutex_unlock(&writer->lock);
        if (first != NULL) {
            run_batch(writer, first);
        } else {
            probe(writer);
        }
        (void)pthread_mutex_lock(&writer->lock);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return NULL;
}

/* ---- from outside ---------------------------------------------------------------------------- */

static void release(struct job_writer *writer)
{
    (void)pthread_cond_destroy(&writer->has_work);
    (void)pthread_mutex_destroy(&writer->lock);
    mem_free(writer);
}

enum err job_writer_start(struct job_store *store, struct job_writer **out, struct error *err)
{
    struct job_writer *writer = mem_calloc(1, sizeof *writer);
    pthread_condattr_t attributes;
    int failed;

    if (writer == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the writer of the job store");
    }
    writer->store = store;
    writer->end = &writer->first;
    (void)pthread_mutex_init(&writer->lock, NULL); /* cannot fail on Linux */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&writer->has_work, &attributes);
    (void)pthread_condattr_destroy(&attributes);
    failed = pthread_create(&writer->thread, NULL, work, writer);
    if (failed != 0) {
        release(writer);
        return error_sys(err, failed, "cannot start a thread");
    }
    *out = writer;
    return ERR_OK;
}

void job_writer_submit(struct job_writer *writer, struct job_write *write)
{
    struct error err = {0};
    bool is_taken;

    (void)pthread_mutex_lock(&writer->lock);
    is_taken = !writer->is_stopping;
    if (is_taken) {
        write->next = NULL;
        *writer->end = write;
        writer->end = &write->next;
        (void)pthread_cond_signal(&writer->has_work);
    }
    (void)pthread_mutex_unlock(&writer->lock);
    if (!is_taken) {
        finish(write, error_set(&err, ERR_IO, "the service is being stopped"), &err);
    }
}

/* A write that somebody waits for. */
struct awaited {
    struct job_write write;
    struct job_write *inner; /* the caller's */
    pthread_mutex_t lock;    /* of is_done */
    pthread_cond_t changed;
    bool is_done;
};

static enum err run_inner(struct job_write *write, struct job_store *store, struct error *err)
{
    struct awaited *awaited = (struct awaited *)write;

    return awaited->inner->run(awaited->inner, store, err);
}

static void wake(struct job_write *write)
{
    struct awaited *awaited = (struct awaited *)write;

    awaited->inner->rc = write->rc;
    awaited->inner->err = write->err;
    if (awaited->inner->done != NULL) {
        awaited->inner->done(awaited->inner);
    }
    (void)pthread_mutex_lock(&awaited->lock);
    awaited->is_done = true;
    (void)pthread_cond_signal(&awaited->changed);
    (void)pthread_mutex_unlock(&awaited->lock);
}

enum err job_writer_run(struct job_writer *writer, struct job_write *write, struct error *err)
{
    struct awaited awaited = {
        .write = {.run = run_inner, .done = wake},
          .inner = write
    };

    (void)pthread_mutex_init(&awaited.lock, NULL);
    (void)pthread_cond_init(&awaited.changed, NULL);
    job_writer_submit(writer, &awaited.write);
    (void)pthread_mutex_lock(&awaited.lock);
    while (!awaited.is_done) {
        (void)pthread_cond_wait(&awaited.changed, &awaited.lock);
    }
    (void)pthread_mutex_unlock(&awaited.lock);
    (void)pthread_cond_destroy(&awaited.changed);
    (void)pthread_mutex_destroy(&awaited.lock);
    if (write->rc != ERR_OK && err != NULL) {
        *err = write->err;
    }
    return write->rc;
}

bool job_writer_has_failed(struct job_writer *writer, struct error *err)
{
    bool has_failed;

    (void)pthread_mutex_lock(&writer->lock);
    has_failed = writer->has_failed;
    if (has_failed && err != NULL) {
        *err = writer->failure;
    }
    (void)pthread_mutex_unlock(&writer->lock);
    return has_failed;
}

void job_writer_stop(struct job_writer *writer)
{
    if (writer == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&writer->lock);
    writer->is_stopping = true;
    (void)pthread_cond_signal(&writer->has_work);
    (void)pthread_mutex_unlock(&writer->lock);
    (void)pthread_join(writer->thread, NULL);
    release(writer);
}

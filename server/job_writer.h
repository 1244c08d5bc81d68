/* The thread that writes into the job store: what is asked of it at about the same time becomes one
 * transaction, so that many submissions share the wait for the disk. Thread-safe. */
#ifndef DGLD_SERVER_JOB_WRITER_H
#define DGLD_SERVER_JOB_WRITER_H

#include "core/error.h"
#include "server/job_store.h"

/* Something to write; lives in a struct of its owner's until `done` is called. */
struct job_write {
    /* Writes, within a transaction. Its error rolls back the whole of it; then each of the writes
     * is run again in a transaction of its own, so that only those fail which have to. So it may be
     * called twice, and begins by dropping what an earlier call has left in the struct. */
    enum err (*run)(struct job_write *write, struct job_store *store, struct error *err);
    /* The transaction is over: what was written is durable (`rc` ERR_OK) or never happened. In the
     * writer's thread, so for microseconds; the struct is the owner's again. */
    void (*done)(struct job_write *write);
    enum err rc;
    struct error err;       /* why, where it failed */
    struct job_write *next; /* the writer's */
};

struct job_writer;

/* The store is borrowed. */
enum err job_writer_start(struct job_store *store, struct job_writer **out, struct error *err);

/* Queues a write; the order is kept. After job_writer_stop() began, `done` is called with ERR_IO,
 * in the caller's thread. */
void job_writer_submit(struct job_writer *writer, struct job_write *write);

/* Submits, and waits. `done`, which may be NULL here, is called before this returns, and before that
 * of any write behind it: by then whoever comes later finds what this write was for. */
enum err job_writer_run(struct job_writer *writer, struct job_write *write, struct error *err);

/* Whether the last transaction failed, and why (`err`; may be NULL): for the health page. After a
 * failure something is written each second to find out, where nothing else is. */
bool job_writer_has_failed(struct job_writer *writer, struct error *err);

/* Writes what was queued, and ends the thread. Accepts NULL. */
void job_writer_stop(struct job_writer *writer);

#endif

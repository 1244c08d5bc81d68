/* Running the job store's statements in SQLite. Who reads does so on connections of its own, which
 * are lent to threads in turn: readers do not wait for the writer's disk. */
#include "server/job_store_sqlite.h"

/* ---- connections ----------------------------------------------------------------------------- */

static size_t borrow(struct sqlite_job_store *store)
{
    size_t i;

    (void)pthread_mutex_lock(&store->lock);
    for (;;) {
        for (i = 0; i < JOB_N_READERS && store->is_lent[i]; i++) {
        }
        if (i < JOB_N_READERS) {
            break;
        }
        (void)pthread_cond_wait(&store->has_reader, &store->lock);
    }
    store->is_lent[i] = true;
    (void)pthread_mutex_unlock(&store->lock);
    return i;
}

static void give_back(struct sqlite_job_store *store, size_t i)
{
    (void)pthread_mutex_lock(&store->lock);
    store->is_lent[i] = false;
    (void)pthread_cond_signal(&store->has_reader);
    (void)pthread_mutex_unlock(&store->lock);
}

/* ---- statements ------------------------------------------------------------------------------ */

static struct sqlite_query *of(struct job_query *base)
{
    return &((struct sqlite_job_query *)base)->query;
}

static const struct sqlite_query *of_const(const struct job_query *base)
{
    return &((const struct sqlite_job_query *)base)->query;
}

static void put_int(struct job_query *base, int64_t value)
{
    sqlite_query_put_int(of(base), value);
}

static void put_text(struct job_query *base, const char *text)
{
    sqlite_query_put_text(of(base), text);
}

static enum err step(struct job_query *base, bool *has_row, struct error *err)
{
    return sqlite_query_step(of(base), has_row, err);
}

static int64_t get_int(const struct job_query *base, int column)
{
    return sqlite_query_int(of_const(base), column);
}

static const char *get_text(const struct job_query *base, int column)
{
    return sqlite_query_text(of_const(base), column);
}

static enum err copy_text(const struct job_query *base, int column, char **out, struct error *err)
{
    return sqlite_query_copy_text(of_const(base), column, out, err);
}

static enum err damaged(const struct job_query *base, struct error *err, const char *how)
{
    return sqlite_damaged(of_const(base)->db, err, how);
}

static void close_query(struct job_query *base)
{
    struct sqlite_job_query *query = (struct sqlite_job_query *)base;
    struct sqlite_job_store *store = query->store;

    sqlite_query_close(&query->query);
    if (query != &store->writing) {
        give_back(store, (size_t)(query - store->reading));
    }
}

static const struct job_query_kind kind = {
    .put_int = put_int,
    .put_text = put_text,
    .step = step,
    .get_int = get_int,
    .get_text = get_text,
    .copy_text = copy_text,
    .damaged = damaged,
    .close = close_query,
};

struct job_query *job_sqlite_open_write(struct job_store *base, size_t number)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;

    store->writing = (struct sqlite_job_query){
        .base = {&kind}, .store = store, .query = sqlite_query_open(&store->writer, number)};
    return &store->writing.base;
}

/* Cannot fail; waits for a connection as long as it takes: a reader has it for milliseconds. */
enum err job_sqlite_open_read(struct job_store *base, size_t number, struct job_query **out,
                              struct error *err)
{
    struct sqlite_job_store *store = (struct sqlite_job_store *)base;
    size_t i = borrow(store);

    (void)err;
    store->reading[i] = (struct sqlite_job_query){
        .base = {&kind}, .store = store, .query = sqlite_query_open(&store->readers[i], number)};
    *out = &store->reading[i].base;
    return ERR_OK;
}

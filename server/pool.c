#include "server/pool.h"

#include <errno.h>
#include <pthread.h>
#include <sys/resource.h>

#include "core/mem.h"

/* Of the scheduler: below the I/O threads, above nothing else of ours. */
enum { POOL_NICE = 10 };

struct pool {
    pthread_mutex_t lock; /* of all below */
    pthread_cond_t has_work;
    struct pool_job *first, **end;
    size_t n_queued, n_busy;
    bool is_stopping;
    pthread_t *threads; /* (n_threads), owned */
    unsigned n_threads;
};

static struct pool_job *take(struct pool *pool)
{
    struct pool_job *job = pool->first;

    pool->first = job->next;
    if (pool->first == NULL) {
        pool->end = &pool->first;
    }
    pool->n_queued--;
    pool->n_busy++;
    return job;
}

static void *work(void *argument)
{
    struct pool *pool = argument;

    /* of this thread alone, as Linux has it */
    (void)setpriority(PRIO_PROCESS, 0, getpriority(PRIO_PROCESS, 0) + POOL_NICE);
    (void)pthread_mutex_lock(&pool->lock);
    for (;;) {
        while (pool->first == NULL && !pool->is_stopping) {
            (void)pthread_cond_wait(&pool->has_work, &pool->lock);
        }
        if (pool->first == NULL) {
            break;
        }
        struct pool_job *job = take(pool);
        (void)pthread_mutex_unlock(&pool->lock);
        job->run(job);
        (void)pthread_mutex_lock(&pool->lock);
        pool->n_busy--;
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return NULL;
}

enum err pool_start(unsigned n_threads, struct pool **out, struct error *err)
{
    struct pool *pool = mem_calloc(1, sizeof *pool);
    pthread_t *threads = mem_calloc(n_threads, sizeof *threads);
    int failed = 0;

    if (pool == NULL || threads == NULL) {
        mem_free(threads);
        mem_free(pool);
        return error_set(err, ERR_NOMEM, "no memory for %u threads", n_threads);
    }
    pool->threads = threads;
    pool->end = &pool->first;
    (void)pthread_mutex_init(&pool->lock, NULL); /* cannot fail on Linux with no attributes */
    (void)pthread_cond_init(&pool->has_work, NULL);
    while (failed == 0 && pool->n_threads < n_threads) {
        failed = pthread_create(&threads[pool->n_threads], NULL, work, pool);
        pool->n_threads += failed == 0;
    }
    if (failed != 0) {
        pool_destroy(pool);
        return error_sys(err, failed, "cannot start a thread");
    }
    *out = pool;
    return ERR_OK;
}

bool pool_submit(struct pool *pool, struct pool_job *job, size_t queue_max)
{
    bool is_taken;

    (void)pthread_mutex_lock(&pool->lock);
    is_taken = !pool->is_stopping && pool->n_queued < queue_max;
    if (is_taken) {
        job->next = NULL;
        *pool->end = job;
        pool->end = &job->next;
        pool->n_queued++;
        (void)pthread_cond_signal(&pool->has_work);
    }
    (void)pthread_mutex_unlock(&pool->lock);
    return is_taken;
}

size_t pool_n_queued(struct pool *pool)
{
    size_t n;

    (void)pthread_mutex_lock(&pool->lock);
    n = pool->n_queued;
    (void)pthread_mutex_unlock(&pool->lock);
    return n;
}

size_t pool_n_busy(struct pool *pool)
{
    size_t n;

    (void)pthread_mutex_lock(&pool->lock);
    n = pool->n_busy;
    (void)pthread_mutex_unlock(&pool->lock);
    return n;
}

void pool_stop(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&pool->lock);
    pool->is_stopping = true;
    (void)pthread_cond_broadcast(&pool->has_work);
    (void)pthread_mutex_unlock(&pool->lock);
    for (unsigned i = 0; i < pool->n_threads; i++) {
        (void)pthread_join(pool->threads[i], NULL);
    }
    pool->n_threads = 0;
}

void pool_destroy(struct pool *pool)
{
    if (pool == NULL) {
        return;
    }
    pool_stop(pool);
    (void)pthread_cond_destroy(&pool->has_work);
    (void)pthread_mutex_destroy(&pool->lock);
    mem_free(pool->threads);
    mem_free(pool);
}

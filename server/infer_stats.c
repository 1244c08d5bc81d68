#include "server/infer_stats.h"

#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "core/mem.h"
#include "proto/model_file.h"

/* What is counted of a batch size, and, under another name, of a version. */
struct compute_counts {
    atomic_uint_fast64_t n, input_ns, infer_ns, output_ns;
};

struct batch_counts {
    atomic_uint_fast64_t key; /* size + 1; 0: the place is free. Set once */
    struct compute_counts compute;
};

struct infer_counts {
    atomic_bool is_known;              /* the version is written, and stays */
    char version[MODEL_VERSION_BYTES]; /* written under the lock, before is_known */
    atomic_uint_fast64_t n_failed, failed_ns;
    atomic_uint_fast64_t success_ns, queue_ns;
    atomic_uint_fast64_t n_inferences, last_ms;
    struct compute_counts compute; /* its n is the number of successes */
    struct batch_counts batches[INFER_STATS_BATCHES];
};

static struct infer_counts *counts_of(const struct infer_stats *stats, const struct space *space)
{
    return stats->counts + (size_t)space->slot * INFER_STATS_VERSIONS;
}

enum err infer_stats_init(struct infer_stats *stats, struct error *err)
{
    int failed;

    memset(stats, 0, sizeof *stats);
    stats->counts = mem_calloc((size_t)SPACE_N_SLOTS * INFER_STATS_VERSIONS, sizeof *stats->counts);
    if (stats->counts == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for statistics");
    }
    failed = pthread_mutex_init(&stats->lock, NULL);
    if (failed != 0) {
        mem_free(stats->counts);
        stats->counts = NULL;
        return error_sys(err, failed, "cannot create a mutex");
    }
    return ERR_OK;
}

void infer_stats_close(struct infer_stats *stats)
{
    if (stats->counts != NULL) {
        (void)pthread_mutex_destroy(&stats->lock);
        mem_free(stats->counts);
        stats->counts = NULL;
    }
}

/* ---- counting -------------------------------------------------------------------------------- */

static void add(atomic_uint_fast64_t *count, uint64_t more)
{
    (void)atomic_fetch_add_explicit(count, more, memory_order_relaxed);
}

static uint64_t get(const atomic_uint_fast64_t *count)
{
    return atomic_load_explicit(count, memory_order_relaxed);
}

/* The entry of that version among those that are known, or the first that is not;
 * INFER_STATS_VERSIONS where there is neither. */
static size_t find_version(const struct infer_counts *counts, const char *version)
{
    size_t i = 0;

    while (i < INFER_STATS_VERSIONS &&
           atomic_load_explicit(&counts[i].is_known, memory_order_acquire) &&
           strcmp(counts[i].version, version) != 0) {
        i++;
    }
    return i;
}

/* The entry of a version; it is made where there is none yet. The last place is for all others. */
static struct infer_counts *entry_of(struct infer_stats *stats, const struct space *space,
                                     const char *version)
{
    struct infer_counts *counts = counts_of(stats, space);
    const size_t last = INFER_STATS_VERSIONS - 1;
    size_t i = find_version(counts, version);

    if (i < INFER_STATS_VERSIONS &&
        atomic_load_explicit(&counts[i].is_known, memory_order_acquire)) {
        return &counts[i];
    }
    (void)pthread_mutex_lock(&stats->lock);
    i = find_version(counts, version); /* another thread may have made it */
    i = i < last ? i : last;
    if (!atomic_load_explicit(&counts[i].is_known, memory_order_relaxed)) {
        (void)snprintf(counts[i].version, sizeof counts[i].version, "%s",
                       i < last ? version : "others");
        atomic_store_explicit(&counts[i].is_known, true, memory_order_release);
    }
    (void)pthread_mutex_unlock(&stats->lock);
    return &counts[i];
}

/* The place of a batch size; NULL where all are taken by others. Places fill from the first and are
 * never given back, so two threads cannot make two of one size. */
static struct batch_counts *batch_of(struct infer_counts *counts, uint64_t size)
{
    for (size_t i = 0; i < INFER_STATS_BATCHES; i++) {
        uint_fast64_t key = 0;
        if (atomic_compare_exchange_strong(&counts->batches[i].key, &key, size + 1) ||
            key == size + 1) {
            return &counts->batches[i];
        }
    }
    return NULL;
}

static void add_compute(struct compute_counts *compute, const struct infer_record *record)
{
    add(&compute->n, 1);
    add(&compute->input_ns, record->input_ns);
    add(&compute->infer_ns, record->infer_ns);
    add(&compute->output_ns, record->output_ns);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

void infer_stats_add(struct infer_stats *stats, const struct space *space, const char *version,
                     const struct infer_record *record)
{
    struct infer_counts *counts = entry_of(stats, space, version);
    struct batch_counts *batch;

    atomic_store_explicit(&counts->last_ms, now_ms(), memory_order_relaxed);
    if (!record->is_success) {
        add(&counts->n_failed, 1);
        add(&counts->failed_ns, record->total_ns);
        return;
    }
    add(&counts->success_ns, record->total_ns);
    add(&counts->queue_ns, record->queue_ns);
    add(&counts->n_inferences, record->n_inferences);
    add_compute(&counts->compute, record);
    batch = batch_of(counts, record->n_inferences);
    if (batch != NULL) {
        add_compute(&batch->compute, record);
    }
}

void infer_stats_know(struct infer_stats *stats, const struct space *space, const char *version)
{
    (void)entry_of(stats, space, version);
}

/* ---- telling --------------------------------------------------------------------------------- */

static void put_duration(struct text *out, const char *name, uint64_t count, uint64_t ns)
{
    text_printf(out, "\"%s\":{\"count\":%llu,\"ns\":%llu}", name, (unsigned long long)count,
                (unsigned long long)ns);
}

static void put_compute(struct text *out, const struct compute_counts *compute)
{
    const uint64_t n = get(&compute->n);

    put_duration(out, "compute_input", n, get(&compute->input_ns));
    text_puts(out, ",");
    put_duration(out, "compute_infer", n, get(&compute->infer_ns));
    text_puts(out, ",");
    put_duration(out, "compute_output", n, get(&compute->output_ns));
}

static void put_batches(struct text *out, const struct infer_counts *counts)
{
    text_puts(out, "\"batch_stats\":[");
    for (size_t i = 0; i < INFER_STATS_BATCHES && get(&counts->batches[i].key) > 0; i++) {
        text_printf(out, "%s{\"batch_size\":%llu,", i > 0 ? "," : "",
                    (unsigned long long)get(&counts->batches[i].key) - 1);
        put_compute(out, &counts->batches[i].compute);
        text_puts(out, "}");
    }
    text_puts(out, "]");
}

static void put_entry(struct text *out, const struct space *space,
                      const struct infer_counts *counts)
{
    const uint64_t n = get(&counts->compute.n);

    text_printf(out, "{\"name\":\"%s\",\"version\":\"%s\",\"last_inference\":%llu,", space->name,
                counts->version, (unsigned long long)get(&counts->last_ms));
    text_printf(out, "\"inference_count\":%llu,\"execution_count\":%llu,\"inference_stats\":{",
                (unsigned long long)get(&counts->n_inferences), (unsigned long long)n);
    put_duration(out, "success", n, get(&counts->success_ns));
    text_puts(out, ",");
    put_duration(out, "fail", get(&counts->n_failed), get(&counts->failed_ns));
    text_puts(out, ",");
    put_duration(out, "queue", n, get(&counts->queue_ns));
    text_puts(out, ",");
    put_compute(out, &counts->compute);
    text_puts(out, ",\"cache_hit\":{\"count\":0,\"ns\":0},\"cache_miss\":{\"count\":0,\"ns\":0}},");
    put_batches(out, counts);
    text_puts(out, "}");
}

void infer_stats_encode(struct infer_stats *stats, const struct space *space, const char *version,
                        struct text *out)
{
    struct space_list list;
    bool is_first = true;

    space_list_get(&list);
    text_puts(out, "{\"model_stats\":[");
    for (size_t s = 0; s < list.n; s++) {
        const struct space *told = list.items[s];
        const struct infer_counts *counts = counts_of(stats, told);
        for (size_t i = 0; i < INFER_STATS_VERSIONS &&
                           atomic_load_explicit(&counts[i].is_known, memory_order_acquire);
             i++) {
            if ((space == NULL || space == told) &&
                (version == NULL || strcmp(version, counts[i].version) == 0)) {
                text_puts(out, is_first ? "" : ",");
                put_entry(out, told, &counts[i]);
                is_first = false;
            }
        }
    }
    text_puts(out, "]}\n");
}

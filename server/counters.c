#include "server/counters.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "core/mem.h"
#include "proto/prometheus.h"
#include "server/routes.h"

/* Upper bounds of the buckets, in nanoseconds: 10 us to 10 s. */
/* clang-format off */
static const uint64_t duration_bounds_ns[] = {
    10000,    25000,    50000,     100000,    250000,    500000,     1000000,    2500000,    5000000,
    10000000, 25000000, 50000000,  100000000, 250000000, 500000000,  1000000000, 2500000000, 5000000000,
    10000000000,
};
/* clang-format on */

/* Architectures in a call. */
static const double batch_bounds[] = {1,    4,     16,    64,     256,     1024,
                                      4096, 16384, 65536, 262144, 1048576, 4194304};

/* What a label may say: a client must not be able to make series without end. */
static const char *const methods[] = {"GET",    "HEAD",    "POST",  "PUT",
                                      "DELETE", "OPTIONS", "PATCH", "other"};
static const unsigned codes[] = {200, 201, 202, 204, 206, 301, 304, 307, 308, 400, 401,
                                 403, 404, 405, 406, 408, 409, 411, 412, 413, 414, 415,
                                 416, 422, 429, 431, 499, 500, 501, 503, 504, 0};

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))
#define N_CELLS         ((size_t)N_METHODS * N_CODES) /* of a path */

enum {
    N_METHODS = COUNT_OF(methods),
    N_CODES = COUNT_OF(codes), /* the last stands for all others */
    N_DURATIONS = COUNT_OF(duration_bounds_ns),
    N_BATCHES = COUNT_OF(batch_bounds),
    MAX_KINDS = 4,
    MAX_STATUS = 600,
    MAX_SHARDS = 64,
    CACHE_LINE = 64
};

typedef _Atomic uint64_t counter;

/* Of one path; routes that differ in the method alone share it. */
struct path_counters {
    counter n[N_METHODS][N_CODES];
    counter n_by_duration[N_DURATIONS + 1];
    counter total_ns;
};

/* What a thread counts. The first shard is the one that threads without an own one share. */
struct shard {
    bool is_shared;
    counter n_refused[N_REFUSALS];
    counter n_predictions[SPACE_N_SLOTS][MAX_KINDS];
    counter n_by_batch[N_BATCHES + 1];
    counter n_architectures;
    counter n_activations[SPACE_N_SLOTS];
    counter n_runs[JOB_N_KINDS][N_RUN_OUTCOMES];
    struct path_counters paths[];
};

struct counters {
    size_t n_paths;     /* the last one stands for requests without a route */
    size_t *path_of;    /* (n_routes), where the route's path is counted */
    const char **paths; /* (n_paths), static texts */
    uint8_t code_of[MAX_STATUS];
    _Atomic(struct shard *) shards[MAX_SHARDS]; /* made when their thread first counts */
};

/* Numbers of threads, from 1, over all counters of the program. */
static atomic_uint n_threads;
static _Thread_local unsigned own_thread;

/* ---- counting -------------------------------------------------------------------------------- */

static struct shard *make_shard(const struct counters *counters, bool is_shared)
{
    struct shard *shard =
        mem_calloc(1, sizeof *shard + counters->n_paths * sizeof(struct path_counters) +
                          CACHE_LINE); /* no two threads write to one line */

    if (shard != NULL) {
        shard->is_shared = is_shared;
    }
    return shard;
}

/* The calling thread's shard. Threads beyond MAX_SHARDS, and those for which there is no memory,
 * share the first. */
static struct shard *own_shard(struct counters *counters)
{
    struct shard *shard;

    if (own_thread == 0) {
        unsigned number = atomic_fetch_add(&n_threads, 1) + 1;
        own_thread = number < MAX_SHARDS ? number : MAX_SHARDS;
    }
    if (own_thread >= MAX_SHARDS) {
        return atomic_load_explicit(&counters->shards[0], memory_order_relaxed);
    }
    shard = atomic_load_explicit(&counters->shards[own_thread], memory_order_relaxed);
    if (shard == NULL) {
        shard = make_shard(counters, false);
        if (shard == NULL) {
            return atomic_load_explicit(&counters->shards[0], memory_order_relaxed);
        }
        atomic_store_explicit(&counters->shards[own_thread], shard, memory_order_release);
    }
    return shard;
}

/* A locked addition is only needed where several threads write. */
static void add(const struct shard *shard, counter *to, uint64_t n)
{
    if (shard->is_shared) {
        atomic_fetch_add_explicit(to, n, memory_order_relaxed);
    } else {
        atomic_store_explicit(to, atomic_load_explicit(to, memory_order_relaxed) + n,
                              memory_order_relaxed);
    }
}

static size_t method_index(const char *method)
{
    size_t i = 0;

    while (i < N_METHODS - 1 && strcmp(methods[i], method) != 0) {
        i++;
    }
    return i;
}

void counters_request(struct counters *counters, const struct route *route, const char *method,
                      unsigned status, uint64_t duration_ns)
{
    size_t bucket = 0;
    struct shard *shard;
    struct path_counters *to;
    size_t code;

    if (counters == NULL) {
        return;
    }
    shard = own_shard(counters);
    to = &shard->paths[route != NULL ? counters->path_of[route - routes] : counters->n_paths - 1];
    code = status < MAX_STATUS ? counters->code_of[status] : N_CODES - 1;
    while (bucket < N_DURATIONS && duration_ns > duration_bounds_ns[bucket]) {
        bucket++;
    }
    add(shard, &to->n[method_index(method)][code], 1);
    add(shard, &to->n_by_duration[bucket], 1);
    add(shard, &to->total_ns, duration_ns);
}

static size_t kind_index(const struct predictor_kind *kind)
{
    size_t i = 0;

    while (predictor_kinds[i] != kind) {
        i++;
        assert(i < MAX_KINDS && predictor_kinds[i] != NULL);
    }
    return i;
}

void counters_predicted(struct counters *counters, const struct predictor *predictor,
                        size_t n_architectures, size_t n_targets)
{
    size_t bucket = 0;
    struct shard *shard;
    counter *row;

    if (counters == NULL) {
        return;
    }
    shard = own_shard(counters);
    row = shard->n_predictions[predictor->space->slot];
    while (bucket < N_BATCHES && (double)n_architectures > batch_bounds[bucket]) {
        bucket++;
    }
    add(shard, &row[kind_index(predictor->kind)], n_architectures * n_targets);
    add(shard, &shard->n_by_batch[bucket], 1);
    add(shard, &shard->n_architectures, n_architectures);
}

void counters_activated(struct counters *counters, const struct space *space)
{
    if (counters != NULL) {
        struct shard *shard = own_shard(counters);
        add(shard, &shard->n_activations[space->slot], 1);
    }
}

void counters_refused(struct counters *counters, enum refusal refusal)
{
    if (counters != NULL) {
        struct shard *shard = own_shard(counters);
        add(shard, &shard->n_refused[refusal], 1);
    }
}

void counters_job_run(struct counters *counters, enum job_kind kind, enum run_outcome outcome)
{
    if (counters != NULL) {
        struct shard *shard = own_shard(counters);
        add(shard, &shard->n_runs[kind][outcome], 1);
    }
}

/* ---- adding up ------------------------------------------------------------------------------- */

/* Sum over the shards of the counter that lies `offset` bytes into each. */
static uint64_t sum(const struct counters *counters, size_t offset)
{
    size_t n_used = (size_t)atomic_load(&n_threads) + 1;
    uint64_t total = 0;

    for (size_t i = 0; i < n_used && i < MAX_SHARDS; i++) {
        const struct shard *shard =
            atomic_load_explicit(&counters->shards[i], memory_order_acquire);
        if (shard != NULL) {
            total += atomic_load_explicit((const counter *)((const char *)shard + offset),
                                          memory_order_relaxed);
        }
    }
    return total;
}

#define SUM(counters, member) sum((counters), offsetof(struct shard, member))

static size_t offset_of_path(size_t path)
{
    return offsetof(struct shard, paths) + path * sizeof(struct path_counters);
}

static void encode_requests(const struct counters *counters, struct text *text)
{
    static const char name[] = "dgld_http_requests_total";

    prom_family(text, name, "counter",
                "Requests that have ended, by route, method and status; 499 where the client went "
                "before there was a reply.");
    for (size_t i = 0; i < counters->n_paths * N_CELLS; i++) {
        size_t path = i / N_CELLS;
        size_t cell = i % N_CELLS;
        char code[16];
        const struct prom_label labels[] = {
            {"route",  counters->paths[path]  },
            {"method", methods[cell / N_CODES]},
            {"code",   code                   }
        };
        uint64_t n = sum(counters, offset_of_path(path) + cell * sizeof(counter));
        if (n > 0) {
            unsigned status = codes[cell % N_CODES];
            (void)snprintf(code, sizeof code, status != 0 ? "%u" : "other", status);
            prom_whole(text, name, labels, COUNT_OF(labels), n);
        }
    }
}

static void encode_durations(const struct counters *counters, struct text *text)
{
    static const char name[] = "dgld_http_request_duration_seconds";
    double bounds[N_DURATIONS];
    uint64_t counts[N_DURATIONS + 1];

    for (size_t i = 0; i < N_DURATIONS; i++) {
        bounds[i] = (double)duration_bounds_ns[i] / 1e9;
    }
    prom_family(text, name, "histogram",
                "Time from the headers of a request to the last byte of its reply.");
    for (size_t path = 0; path < counters->n_paths; path++) {
        const struct prom_label label = {"route", counters->paths[path]};
        struct prom_histogram histogram = {bounds, counts, N_DURATIONS, 0};
        size_t offset = offset_of_path(path);
        uint64_t n = 0;
        for (size_t i = 0; i <= N_DURATIONS; i++) {
            counts[i] = sum(counters, offset + offsetof(struct path_counters, n_by_duration) +
                                          i * sizeof(counter));
            n += counts[i];
        }
        histogram.sum =
            (double)sum(counters, offset + offsetof(struct path_counters, total_ns)) / 1e9;
        if (n > 0) {
            prom_histogram(text, name, &label, 1, &histogram);
        }
    }
}

static void encode_refusals(const struct counters *counters, struct text *text)
{
#define REFUSAL_NAME(code, name) name,
    static const char *const reasons[] = {REFUSAL_LIST(REFUSAL_NAME)};
#undef REFUSAL_NAME
    static const char name[] = "dgld_http_connections_refused_total";

    prom_family(text, name, "counter",
                "Connections that were closed at once, by the bound that they hit.");
    for (size_t i = 0; i < N_REFUSALS; i++) {
        const struct prom_label label = {"reason", reasons[i]};
        prom_whole(text, name, &label, 1, SUM(counters, n_refused[i]));
    }
}

static void encode_predictions(const struct counters *counters, struct text *text)
{
    static const char name[] = "dgld_predictions_total";
    uint64_t counts[N_BATCHES + 1];
    struct prom_histogram histogram = {batch_bounds, counts, N_BATCHES, 0};
    struct space_list list;

    space_list_get(&list);
    prom_family(text, name, "counter",
                "Latencies that were predicted, by search space and kind of predictor.");
    for (size_t s = 0; s < list.n; s++) {
        const struct space *space = list.items[s];
        for (size_t k = 0; predictor_kinds[k] != NULL; k++) {
            const struct prom_label labels[] = {
                {"search_space", space->name             },
                {"predictor",    predictor_kinds[k]->name}
            };
            prom_whole(text, name, labels, COUNT_OF(labels),
                       SUM(counters, n_predictions[space->slot][k]));
        }
    }
    for (size_t i = 0; i <= N_BATCHES; i++) {
        counts[i] = SUM(counters, n_by_batch[i]);
    }
    histogram.sum = (double)SUM(counters, n_architectures);
    prom_family(text, "dgld_batch_size", "histogram", "Architectures in a call for predictions.");
    prom_histogram(text, "dgld_batch_size", NULL, 0, &histogram);
}

static void encode_activations(const struct counters *counters, struct text *text)
{
    static const char name[] = "dgld_model_activations_total";
    struct space_list list;

    space_list_get(&list);
    prom_family(text, name, "counter",
                "Predictors that became the served one of their search space, the first included.");
    for (size_t s = 0; s < list.n; s++) {
        const struct space *space = list.items[s];
        const struct prom_label label = {"search_space", space->name};
        prom_whole(text, name, &label, 1, SUM(counters, n_activations[space->slot]));
    }
}

static void encode_runs(const struct counters *counters, struct text *text)
{
#define RUN_OUTCOME_NAME(code, name) name,
    static const char *const outcomes[] = {RUN_OUTCOME_LIST(RUN_OUTCOME_NAME)};
#undef RUN_OUTCOME_NAME
    static const char name[] = "dgld_job_runs_total";

    prom_family(text, name, "counter",
                "Runs of jobs that ended in this process, by kind and by how; lost where the lease "
                "was another's by then.");
    for (enum job_kind kind = 0; kind < JOB_N_KINDS; kind++) {
        for (size_t i = 0; i < N_RUN_OUTCOMES; i++) {
            const struct prom_label labels[] = {
                {"kind",    job_kind_name(kind)},
                {"outcome", outcomes[i]        },
            };
            prom_whole(text, name, labels, COUNT_OF(labels), SUM(counters, n_runs[kind][i]));
        }
    }
}

void counters_encode(const struct counters *counters, struct text *text)
{
    encode_requests(counters, text);
    encode_durations(counters, text);
    encode_refusals(counters, text);
    encode_predictions(counters, text);
    encode_activations(counters, text);
    encode_runs(counters, text);
}

/* ---- making ---------------------------------------------------------------------------------- */

/* Numbers the paths of the table, each once. */
static void number_paths(struct counters *counters)
{
    for (size_t i = 0; i < n_routes; i++) {
        size_t path = 0;
        while (path < counters->n_paths && strcmp(counters->paths[path], routes[i].path) != 0) {
            path++;
        }
        if (path == counters->n_paths) {
            counters->paths[counters->n_paths++] = routes[i].path;
        }
        counters->path_of[i] = path;
    }
    counters->paths[counters->n_paths++] = "(none)";
}

enum err counters_create(struct counters **out, struct error *err)
{
    struct counters *counters = mem_calloc(1, sizeof *counters);
    struct shard *shared = NULL;

    if (counters != NULL) {
        counters->path_of = mem_calloc(n_routes, sizeof *counters->path_of);
        counters->paths = mem_calloc(n_routes + 1, sizeof *counters->paths);
    }
    if (counters != NULL && counters->path_of != NULL && counters->paths != NULL) {
        number_paths(counters);
        shared = make_shard(counters, true);
    }
    if (shared == NULL) {
        counters_destroy(counters);
        return error_set(err, ERR_NOMEM, "no memory for the counters");
    }
    memset(counters->code_of, N_CODES - 1, sizeof counters->code_of);
    for (size_t i = 0; i < N_CODES - 1; i++) {
        counters->code_of[codes[i]] = (uint8_t)i;
    }
    atomic_store(&counters->shards[0], shared);
    *out = counters;
    return ERR_OK;
}

void counters_destroy(struct counters *counters)
{
    if (counters == NULL) {
        return;
    }
    for (size_t i = 0; i < MAX_SHARDS; i++) {
        mem_free(atomic_load(&counters->shards[i]));
    }
    mem_free(counters->path_of);
    mem_free(counters->paths);
    mem_free(counters);
}

/* What Triton's extension "statistics" tells of inference requests: how many there were of each
 * version of each model, and where their time went. Counting costs some additions without a lock,
 * so the numbers of one entry are each right, and need not be of the same moment.
 *
 * All functions may be called from any thread, save init and close. */
#ifndef DGLD_SERVER_INFER_STATS_H
#define DGLD_SERVER_INFER_STATS_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/text.h"

enum {
    INFER_STATS_VERSIONS = 32, /* of a space that are told apart; more are counted as "others" */
    INFER_STATS_BATCHES = 32,  /* batch sizes of a version that are told apart, the first ones */
};

struct infer_counts;

struct infer_stats {
    pthread_mutex_t lock;        /* held while an entry is made */
    struct infer_counts *counts; /* (SPACE_N_SLOTS, INFER_STATS_VERSIONS), owned */
};

/* One request that ended. Only of a success more is counted than the whole time. */
struct infer_record {
    bool is_success;
    uint64_t n_inferences; /* architectures */
    uint64_t total_ns;     /* from its arrival at the handlers' queue to its reply */
    uint64_t queue_ns, input_ns, infer_ns, output_ns;
};

enum err infer_stats_init(struct infer_stats *stats, struct error *err);
/* Accepts a zeroed struct. */
void infer_stats_close(struct infer_stats *stats);

/* Counts a request. */
void infer_stats_add(struct infer_stats *stats, const struct space *space, const char *version,
                     const struct infer_record *record);

/* Makes a version known that was not asked for yet, so that it is told of with zeroes. */
void infer_stats_know(struct infer_stats *stats, const struct space *space, const char *version);

/* Appends $stats_model_response: of one version, or of all of a space (version NULL), or of all
 * spaces (space NULL). */
void infer_stats_encode(struct infer_stats *stats, const struct space *space, const char *version,
                        struct text *out);

#endif

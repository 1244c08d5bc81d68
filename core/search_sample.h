/* Networks that a search looked at, for those who want to see them: all, or of more than
 * SEARCH_SAMPLE_MAX evenly chosen ones, the same for the same search. Belongs to one thread; the
 * creator ends it with search_sample_close(). */
#ifndef DGLD_CORE_SEARCH_SAMPLE_H
#define DGLD_CORE_SEARCH_SAMPLE_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

#define SEARCH_SAMPLE_MAX ((size_t)32768)

struct search_sample {
    size_t n, n_targets;
    double *accuracy;   /* (n), owned; NaN for none */
    double *latency_ms; /* (n, n_targets), owned */
    /* the sample's own */
    size_t capacity;
    size_t n_seen; /* so many were told; of these ... */
    size_t every;  /* ... each `every`-th is here, from the first on */
};

/* `n_targets` latencies a network. Allocates nothing yet. */
void search_sample_init(struct search_sample *sample, size_t n_targets);

/* Tells of one network more: its accuracy in percent (NaN: unknown) and its latencies in ms
 * (n_targets). ERR_NOMEM. */
enum err search_sample_add(struct search_sample *sample, double accuracy, const double *latency_ms,
                           struct error *err);

/* Whether it holds all that it was told of. */
bool search_sample_is_whole(const struct search_sample *sample);

/* Accepts a zeroed struct. */
void search_sample_close(struct search_sample *sample);

#endif

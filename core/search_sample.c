#include "core/search_sample.h"

#include <string.h>

#include "core/mem.h"

enum { FIRST_CAPACITY = 1024 };

void search_sample_init(struct search_sample *sample, size_t n_targets)
{
    *sample = (struct search_sample){.n_targets = n_targets, .every = 1};
}

static enum err grow(struct search_sample *sample, struct error *err)
{
    const size_t capacity = sample->capacity > 0 ? 2 * sample->capacity : FIRST_CAPACITY;
    double *accuracy = mem_resize(sample->accuracy, capacity, sizeof *accuracy);
    double *latency_ms;

    if (accuracy != NULL) {
        sample->accuracy = accuracy;
    }
    latency_ms = accuracy != NULL ? mem_resize(sample->latency_ms, capacity,
                                               sample->n_targets * sizeof *latency_ms)
                                  : NULL;
    if (latency_ms == NULL) {
        return error_set(err, ERR_NOMEM, "no memory to keep %zu networks", capacity);
    }
    sample->latency_ms = latency_ms;
    sample->capacity = capacity;
    return ERR_OK;
}

static void put(struct search_sample *sample, size_t at, double accuracy, const double *latency_ms)
{
    sample->accuracy[at] = accuracy;
    memmove(sample->latency_ms + at * sample->n_targets, latency_ms,
            sample->n_targets * sizeof *latency_ms);
}

/* Keeps every other one. */
static void thin(struct search_sample *sample)
{
    for (size_t i = 0; 2 * i < sample->n; i++) {
        put(sample, i, sample->accuracy[2 * i], sample->latency_ms + 2 * i * sample->n_targets);
    }
    sample->n = (sample->n + 1) / 2;
    sample->every *= 2;
}

enum err search_sample_add(struct search_sample *sample, double accuracy, const double *latency_ms,
                           struct error *err)
{
    const size_t number = sample->n_seen++;
    enum err rc = ERR_OK;

    if (sample->n == SEARCH_SAMPLE_MAX && number % sample->every == 0) {
        thin(sample);
    }
    if (number % sample->every != 0) {
        return ERR_OK;
    }
    if (sample->n == sample->capacity) {
        rc = grow(sample, err);
    }
    if (rc == ERR_OK) {
        put(sample, sample->n++, accuracy, latency_ms);
    }
    return rc;
}

bool search_sample_is_whole(const struct search_sample *sample)
{
    return sample->every == 1;
}

void search_sample_close(struct search_sample *sample)
{
    mem_free(sample->accuracy);
    mem_free(sample->latency_ms);
    memset(sample, 0, sizeof *sample);
}

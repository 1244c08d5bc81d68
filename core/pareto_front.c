#include "core/pareto_front.h"

#include <string.h>

/* How many points are as fast as `latency_ms` or faster. */
static size_t count_as_fast(const struct pareto_front *front, double latency_ms)
{
    size_t low = 0;
    size_t high = front->n;

    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (front->latency_ms[middle] <= latency_ms) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/* Which of n points, with both ends, is the i-th of `max`, fewer than n. */
static size_t pick(size_t i, size_t max, size_t n)
{
    return (i * (n - 1) + (max - 1) / 2) / (max - 1);
}

size_t pareto_front_thin(const struct pareto_front *front, size_t max, double *accuracy,
                         double *latency_ms)
{
    const size_t n = front->n < max ? front->n : max;

    for (size_t i = 0; i < n; i++) {
        const size_t from = front->n <= max ? i : pick(i, max, front->n);
        accuracy[i] = front->accuracy[from];
        latency_ms[i] = front->latency_ms[from];
    }
    return n;
}

/* Puts a point in the place of those from `at` to `end`, which may be none. */
static void replace(struct pareto_front *front, size_t at, size_t end, double accuracy,
                    double latency_ms)
{
    const size_t n_after = front->n - end;

    memmove(front->accuracy + at + 1, front->accuracy + end, n_after * sizeof *front->accuracy);
    memmove(front->latency_ms + at + 1, front->latency_ms + end,
            n_after * sizeof *front->latency_ms);
    front->accuracy[at] = accuracy;
    front->latency_ms[at] = latency_ms;
    front->n = at + 1 + n_after;
    front->n_changes++;
}

void pareto_front_add(struct pareto_front *front, double accuracy, double latency_ms)
{
    size_t at = count_as_fast(front, latency_ms);
    size_t end = at;

    if (at > 0 && front->accuracy[at - 1] >= accuracy) {
        return; /* one that is as fast is as accurate */
    }
    if (at > 0 && front->latency_ms[at - 1] == latency_ms) {
        at--;
    }
    while (end < front->n && front->accuracy[end] <= accuracy) {
        end++;
    }
    if (at == end && front->n == PARETO_FRONT_MAX) { /* in place: what is read stands further on */
        front->n =
            pareto_front_thin(front, PARETO_FRONT_MAX / 2, front->accuracy, front->latency_ms);
        pareto_front_add(front, accuracy, latency_ms);
    } else {
        replace(front, at, end, accuracy, latency_ms);
    }
}

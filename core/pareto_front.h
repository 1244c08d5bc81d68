/* A front of accuracy and latency (core/search_pareto.h) that grows as networks are looked at: to be
 * shown while a search is under way. Of fixed size: adding one costs tens of nanoseconds where it is
 * no part of the front, and never more than a microsecond or so. Belongs to one thread. */
#ifndef DGLD_CORE_PARETO_FRONT_H
#define DGLD_CORE_PARETO_FRONT_H

#include <stddef.h>
#include <stdint.h>

/* A front of more points is thinned to half as many, evenly; from then on it is a rough one. */
enum { PARETO_FRONT_MAX = 1024 };

struct pareto_front { /* starts as zeroes */
    size_t n;
    uint64_t n_changes;                  /* grows with whatever changes the front */
    double latency_ms[PARETO_FRONT_MAX]; /* (n), ascending; ... */
    double accuracy[PARETO_FRONT_MAX];   /* (n), ... so ascending too */
};

/* Takes in a network, whose values are finite; of equal ones the first counts. */
void pareto_front_add(struct pareto_front *front, double accuracy, double latency_ms);

/* Writes at most `max` (2 or more) points of the front, evenly chosen along it with both ends, in its
 * order. Returns how many. */
size_t pareto_front_thin(const struct pareto_front *front, size_t max, double *accuracy,
                         double *latency_ms);

#endif

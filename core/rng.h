/* A seeded random generator with explicit state: the same seed gives the same sequence on every
 * host. xoshiro256** (Blackman and Vigna, 2018), seeded through splitmix64. Not for secrets.
 * A struct rng belongs to one thread. */
#ifndef DGLD_CORE_RNG_H
#define DGLD_CORE_RNG_H

#include <stddef.h>
#include <stdint.h>

struct rng {
    uint64_t state[4];
};

/* Any seed will do, 0 too. */
void rng_init(struct rng *rng, uint64_t seed);

/* Uniform over all 64-bit values. */
uint64_t rng_u64(struct rng *rng);

/* Uniform in [0, 1), 53 bits. */
double rng_uniform(struct rng *rng);

/* Uniform in 0 .. n - 1, without bias; n must be positive. */
size_t rng_below(struct rng *rng, size_t n);

/* Fisher-Yates shuffle of `items` (n) in place. */
void rng_shuffle(struct rng *rng, size_t *items, size_t n);

/* Number i of the sequence that `key` names (splitmix64), without those before it: for values that
 * are drawn in any order, or twice. Here, since weights are drawn by the million. */
static inline uint64_t rng_at(uint64_t key, uint64_t i)
{
    uint64_t z = key + (i + 1) * UINT64_C(0x9e3779b97f4a7c15); /* splitmix64's i-th state */

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

#endif

#include "core/rng.h"

#include <assert.h>

void rng_init(struct rng *rng, uint64_t seed)
{
    for (size_t i = 0; i < 4; i++) {
        rng->state[i] = rng_at(seed, i);
    }
}

static uint64_t rotate_left(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

uint64_t rng_u64(struct rng *rng)
{
    uint64_t *s = rng->state;
    uint64_t result = rotate_left(s[1] * 5, 7) * 9;
    uint64_t t = s[1] << 17;

    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotate_left(s[3], 45);
    return result;
}

double rng_uniform(struct rng *rng)
{
    return (double)(rng_u64(rng) >> 11) * 0x1.0p-53;
}

size_t rng_below(struct rng *rng, size_t n)
{
    uint64_t bound = n;
    uint64_t reject_below; /* 2^64 mod n: values below it would favour small results */
    uint64_t x;

    assert(n > 0);
    reject_below = (0 - bound) % bound;
    do {
        x = rng_u64(rng);
    } while (x < reject_below);
    return (size_t)(x % bound);
}

void rng_shuffle(struct rng *rng, size_t *items, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = rng_below(rng, i);
        size_t kept = items[i - 1];
        items[i - 1] = items[j];
        items[j] = kept;
    }
}

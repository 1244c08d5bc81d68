/* Each bucket is one number (the generic cell rate algorithm): `due_ns` is when the requests so far
 * would have been paid for at the allowed rate. It may run ahead of the clock by a burst. A bucket
 * whose time has passed is full, which is what an address without a bucket has: nothing is lost by
 * forgetting it. */
#include "server/rate_limit.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <string.h>
#include <sys/random.h>

#include "core/mem.h"

#define NS_PER_S UINT64_C(1000000000)

enum { N_SETS = 8192, N_WAYS = 8, N_LOCKS = 64 };

struct bucket {
    uint64_t key;
    uint64_t due_ns; /* 0 where the place is free */
};

struct rate_limit {
    uint64_t secret[2]; /* so that nobody can choose addresses that fall into one set */
    pthread_mutex_t locks[N_LOCKS];
    struct bucket sets[N_SETS][N_WAYS]; /* set i under locks[i % N_LOCKS] */
};

enum err rate_limit_create(struct rate_limit **out, struct error *err)
{
    struct rate_limit *limit = mem_calloc(1, sizeof *limit);

    if (limit == NULL) {
        return error_set(err, ERR_NOMEM, "no memory for the table of request rates");
    }
    if (getrandom(limit->secret, sizeof limit->secret, 0) != (ssize_t)sizeof limit->secret) {
        enum err rc = error_sys(err, errno, "cannot draw random bytes");
        mem_free(limit);
        return rc;
    }
    for (size_t i = 0; i < N_LOCKS; i++) {
        (void)pthread_mutex_init(&limit->locks[i], NULL); /* cannot fail on Linux */
    }
    *out = limit;
    return ERR_OK;
}

void rate_limit_destroy(struct rate_limit *limit)
{
    if (limit == NULL) {
        return;
    }
    for (size_t i = 0; i < N_LOCKS; i++) {
        (void)pthread_mutex_destroy(&limit->locks[i]);
    }
    mem_free(limit);
}

/* What an address is counted under: the /64 of an IPv6 address, and an IPv4 address, also one that
 * is mapped into IPv6, below 1::/16, which is assigned to nobody. */
static uint64_t key_of(const struct sockaddr *address)
{
    const uint64_t v4_prefix = UINT64_C(1) << 48;
    static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    uint64_t key = 0;

    if (address->sa_family == AF_INET) {
        memcpy(&v4, address, sizeof v4);
        return v4_prefix | ntohl(v4.sin_addr.s_addr);
    }
    if (address->sa_family != AF_INET6) {
        return v4_prefix << 1;
    }
    memcpy(&v6, address, sizeof v6);
    if (memcmp(v6.sin6_addr.s6_addr, mapped, sizeof mapped) == 0) {
        for (size_t i = 12; i < 16; i++) {
            key = key << 8 | v6.sin6_addr.s6_addr[i];
        }
        return v4_prefix | key;
    }
    for (size_t i = 0; i < 8; i++) {
        key = key << 8 | v6.sin6_addr.s6_addr[i];
    }
    return key;
}

/* The finaliser of MurmurHash3, with the secret on both sides. */
static size_t set_of(const struct rate_limit *limit, uint64_t key)
{
    uint64_t h = key ^ limit->secret[0];

    h = (h ^ h >> 33) * UINT64_C(0xff51afd7ed558ccd);
    h = (h ^ h >> 33 ^ limit->secret[1]) * UINT64_C(0xc4ceb9fe1a85ec53);
    return (size_t)(h ^ h >> 33) % N_SETS;
}

/* The bucket of a key, or the place that it may have: that of the fullest bucket. */
static struct bucket *find_bucket(struct bucket set[N_WAYS], uint64_t key)
{
    struct bucket *fullest = &set[0];

    for (size_t i = 0; i < N_WAYS; i++) {
        if (set[i].key == key && set[i].due_ns > 0) {
            return &set[i];
        }
        fullest = set[i].due_ns < fullest->due_ns ? &set[i] : fullest;
    }
    fullest->key = key;
    fullest->due_ns = 0;
    return fullest;
}

int rate_limit_take(struct rate_limit *limit, const struct sockaddr *address, int64_t per_second,
                    int64_t burst, uint64_t now_ns)
{
    uint64_t key = key_of(address);
    size_t set = set_of(limit, key);
    uint64_t price_ns = NS_PER_S / (uint64_t)per_second;
    uint64_t ahead_ns = price_ns * (uint64_t)(burst - 1);
    pthread_mutex_t *lock = &limit->locks[set % N_LOCKS];
    uint64_t due_ns;
    uint64_t wait_ns = 0;
    struct bucket *bucket;

    (void)pthread_mutex_lock(lock);
    bucket = find_bucket(limit->sets[set], key);
    due_ns = bucket->due_ns > now_ns ? bucket->due_ns : now_ns;
    if (due_ns - now_ns > ahead_ns) {
        wait_ns = due_ns - now_ns - ahead_ns;
    } else {
        bucket->due_ns = due_ns + price_ns;
    }
    (void)pthread_mutex_unlock(lock);
    return (int)((wait_ns + NS_PER_S - 1) / NS_PER_S);
}

#include "core/mem.h"

#include <malloc.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* Live blocks, counted in parts: threads that allocate at the same time would otherwise pass one
 * cache line to and fro. Each thread has a part, which it may share; a part alone may be negative.
 */
enum { N_PARTS = 16, CACHE_LINE_BYTES = 64 };

static struct {
    _Alignas(CACHE_LINE_BYTES) atomic_long n;
} live_parts[N_PARTS];

static atomic_uint n_threads;
static _Thread_local unsigned own_part; /* 1 + index into live_parts; 0: none yet */

static atomic_long fail_countdown; /* 0: the hook is off */
static atomic_int fail_for_good;

static void count_block(long change)
{
    if (own_part == 0) {
        own_part = 1 + atomic_fetch_add(&n_threads, 1) % N_PARTS;
    }
    atomic_fetch_add_explicit(&live_parts[own_part - 1].n, change, memory_order_relaxed);
}

static int must_fail(void)
{
    long left = atomic_load_explicit(&fail_countdown, memory_order_relaxed);

    if (left == 0) {
        return 0;
    }
    if (left > 1) {
        atomic_store(&fail_countdown, left - 1);
        return 0;
    }
    if (!atomic_load(&fail_for_good)) {
        atomic_store(&fail_countdown, 0);
    }
    return 1;
}

/* calloc checks the product too, but under the address sanitizer it aborts. */
static int overflows(size_t n, size_t size)
{
    return size != 0 && n > SIZE_MAX / size;
}

void *mem_calloc(size_t n, size_t size)
{
    void *block;

    if (overflows(n, size) || must_fail()) {
        return NULL;
    }
    block = calloc(n > 0 ? n : 1, size > 0 ? size : 1);
    if (block != NULL) {
        count_block(1);
    }
    return block;
}

/* ---- large blocks ---------------------------------------------------------------------------- */

/* The system gives a large block page by page as it is written to, which takes longer than writing
 * to it: a body of a million architectures and its reply cost 2,500 page faults, as much time as
 * their predictions. So a few blocks are kept when they are freed, for mem_resize() to hand out. */
enum { N_KEPT = 2 };
#define KEPT_MIN_BYTES ((size_t)1 << 20)
#define KEPT_MAX_BYTES (((size_t)7 << 20) + 8192) /* with what the C library adds */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define KEEPS_BLOCKS 0 /* a sanitizer watches blocks that are freed */
#else
#define KEEPS_BLOCKS 1
#endif

static _Atomic(void *) kept[N_KEPT];

static bool is_kept_size(size_t bytes)
{
    return KEEPS_BLOCKS && bytes >= KEPT_MIN_BYTES && bytes <= KEPT_MAX_BYTES;
}

/* Large enough, and not so large that most of it would lie idle. */
static bool fits(size_t has_bytes, size_t bytes)
{
    return is_kept_size(has_bytes) && has_bytes >= bytes && has_bytes / 8 <= bytes;
}

/* Keeps a block, or frees it where it is not to be kept. */
static void release(void *block)
{
    const bool may_keep = is_kept_size(malloc_usable_size(block));

    for (size_t i = 0; may_keep && i < N_KEPT; i++) {
        void *none = NULL;
        if (atomic_compare_exchange_strong(&kept[i], &none, block)) {
            return;
        }
    }
    free(block);
}

/* A kept block of at least so many bytes, or NULL. */
static void *take_kept(size_t bytes)
{
    for (size_t i = 0; is_kept_size(bytes) && i < N_KEPT; i++) {
        void *block = atomic_exchange(&kept[i], NULL);
        if (block != NULL && fits(malloc_usable_size(block), bytes)) {
            return block;
        }
        if (block != NULL) {
            release(block);
        }
    }
    return NULL;
}

/* realloc(3), by a kept block where one fits. */
static void *resize(void *block, size_t bytes)
{
    const size_t has_bytes = block != NULL ? malloc_usable_size(block) : 0;
    void *taken;

    if (is_kept_size(bytes) && fits(has_bytes, bytes)) {
        return block;
    }
    taken = has_bytes < bytes ? take_kept(bytes) : NULL;
    if (taken == NULL) {
        return realloc(block, bytes);
    }
    if (block != NULL) {
        memcpy(taken, block, has_bytes);
        release(block);
    }
    return taken;
}

void *mem_resize(void *block, size_t n, size_t size)
{
    void *grown;
    size_t bytes;

    if (overflows(n, size) || must_fail()) {
        return NULL;
    }
    bytes = n * size;
    grown = resize(block, bytes > 0 ? bytes : 1);
    if (grown != NULL && block == NULL) {
        count_block(1);
    }
    return grown;
}

char *mem_strndup(const char *text, size_t length)
{
    char *copy = length < SIZE_MAX ? mem_calloc(length + 1, 1) : NULL;

    if (copy != NULL) {
        memcpy(copy, text, length);
    }
    return copy;
}

char *mem_strdup(const char *text)
{
    return mem_strndup(text, strlen(text));
}

void mem_free(void *block)
{
    if (block != NULL) {
        count_block(-1);
        release(block);
    }
}

void mem_fail_after(long countdown, int for_good)
{
    atomic_store(&fail_for_good, for_good);
    atomic_store(&fail_countdown, countdown);
}

long mem_live_blocks(void)
{
    long sum = 0;

    for (size_t i = 0; i < N_PARTS; i++) {
        sum += atomic_load(&live_parts[i].n);
    }
    return sum;
}

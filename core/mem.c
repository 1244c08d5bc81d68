#include "core/mem.h"

#include <stdatomic.h>
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

void *mem_resize(void *block, size_t n, size_t size)
{
    void *grown;
    size_t bytes;

    if (overflows(n, size) || must_fail()) {
        return NULL;
    }
    bytes = n * size;
    grown = realloc(block, bytes > 0 ? bytes : 1);
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
        free(block);
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

/* Memory with checked sizes, and a hook that lets tests fail the n-th allocation.
 *
 * Every allocation of core, proto and server goes through here. What mem_* hands out is ended with
 * mem_free(). All functions may be called from any thread. */
#ifndef DGLD_CORE_MEM_H
#define DGLD_CORE_MEM_H

#include <stddef.h>

/* n * size bytes, zeroed. NULL where the product overflows or memory is out. n = 0 gives a block
 * that may be freed and not read. */
void *mem_calloc(size_t n, size_t size);

/* Grows or shrinks as realloc(3); the product is checked, the new part is not zeroed. On failure
 * returns NULL and leaves `block` as it was. Two freed blocks of 1 to 8 MiB are kept for it, since
 * getting such a block anew takes longer than filling it. */
void *mem_resize(void *block, size_t n, size_t size);

/* A copy of `text`, or of its first `length` bytes and a terminator. NULL on failure. */
char *mem_strdup(const char *text);
char *mem_strndup(const char *text, size_t length);

/* Accepts NULL. */
void mem_free(void *block);

/* Tests only: the `countdown`-th allocation from now on fails (1 is the next one), and all after it
 * too where `for_good` is nonzero. 0 switches the hook off. Not for concurrent use. */
void mem_fail_after(long countdown, int for_good);

/* Blocks allocated less blocks freed since the program began. */
long mem_live_blocks(void);

#endif

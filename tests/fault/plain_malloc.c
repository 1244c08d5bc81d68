/* A library to be preloaded, that has a program allocate as the C library does, whatever it is linked to.
 *
 * For libfaketime: the first allocation of jemalloc asks for the time, libfaketime then looks up symbols,
 * which allocates, and waits for the first for ever. */
#include <dlfcn.h>
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

/* the C library's own, under the names that it keeps for this */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *block, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *block);

void *malloc(size_t size)
{
    return __libc_malloc(size);
}

void *calloc(size_t n, size_t size)
{
    return __libc_calloc(n, size);
}

void *realloc(void *block, size_t size)
{
    return __libc_realloc(block, size);
}

void free(void *block)
{
    __libc_free(block);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return __libc_memalign(alignment, size);
}

void *memalign(size_t alignment, size_t size);
void *memalign(size_t alignment, size_t size)
{
    return __libc_memalign(alignment, size);
}

int posix_memalign(void **out, size_t alignment, size_t size)
{
    void *block = __libc_memalign(alignment, size);

    if (block == NULL) {
        return ENOMEM;
    }
    *out = block;
    return 0;
}

/* It has no other name in the C library, and the next of this name may be another allocator's. */
size_t malloc_usable_size(void *block);
size_t malloc_usable_size(void *block)
{
    static size_t (*usable_size)(void *);

    if (usable_size == NULL) {
        void *library = dlopen("libc.so.6", RTLD_LAZY | RTLD_NOLOAD);
        *(void **)&usable_size = dlsym(library, "malloc_usable_size");
    }
    return usable_size(block);
}

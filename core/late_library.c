#define _GNU_SOURCE /* RTLD_DEFAULT; NOLINT(bugprone-reserved-identifier) */
#include "core/late_library.h"

#include <dlfcn.h>
#include <pthread.h>
#include <stdint.h>
#include <string.h>

/* Held while a library is loaded and its table filled. Nothing of ours is called with it. */
static pthread_mutex_t loading = PTHREAD_MUTEX_INITIALIZER;

static enum err refuse(const struct late_library *library, struct error *err)
{
    const char *reason = dlerror(); /* the thread's own */

    return error_set(err, ERR_INTERNAL,
                     "%s cannot be used (%.200s); install the package %s, or start dgld anew where "
                     "packages were upgraded since it began",
                     library->soname, reason != NULL ? reason : "no reason is known",
                     library->package);
}

/* ISO C has no way from what dlsym() gives to a pointer to a function; by POSIX the bytes are its. */
static bool look_up(const char *name, char *place)
{
    const uintptr_t function = (uintptr_t)dlsym(RTLD_DEFAULT, name);

    memcpy(place, &function, sizeof function);
    return function != 0;
}

/* As if it had been linked: its functions join those of the program, and are looked for among all. */
static enum err load(struct late_library *library, struct error *err)
{
    char *places = library->functions;

    if (dlopen(library->soname, RTLD_NOW | RTLD_GLOBAL) == NULL) {
        return refuse(library, err);
    }
    for (size_t i = 0; i < library->n_functions; i++) {
        if (!look_up(library->names[i], places + i * sizeof(void *))) {
            return refuse(library, err);
        }
    }
    atomic_store_explicit(&library->is_loaded, true, memory_order_release);
    return ERR_OK;
}

enum err late_library_load(struct late_library *library, struct error *err)
{
    enum err rc = ERR_OK;

    if (atomic_load_explicit(&library->is_loaded, memory_order_acquire)) {
        return ERR_OK;
    }
    (void)pthread_mutex_lock(&loading);
    if (!atomic_load_explicit(&library->is_loaded, memory_order_relaxed)) {
        rc = load(library, err);
    }
    (void)pthread_mutex_unlock(&loading);
    return rc;
}

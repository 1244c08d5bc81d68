/* Shared libraries that are loaded when they are first needed, by dlopen(3), not with the program.
 * Few runs need them, and they bring dozens of others, which the dynamic loader would read and bind
 * at every start.
 *
 * Each has a header lib<name>.h. A list there names the functions that are used, each once, as an
 * X-macro, and makes members of a table of them, which have the types of the library's own header:
 *
 *     #define LIBPQ_FUNCTIONS(X) X(PQexec) X(PQclear)
 *     struct libpq { LIBPQ_FUNCTIONS(LATE_MEMBER) };
 *     extern struct libpq libpq;
 *     enum err libpq_load(struct error *err);
 *
 * Once libpq_load() succeeded, libpq.PQexec(...) is the call; before, nobody may call. The
 * Makefile (LATE_LIBRARIES) makes of the same list what is linked to the library: that checks that
 * the functions are there, tells by what name the loader knows the library, and stands for what the
 * program needs where packages and images are made.
 *
 * The functions are those that the program would have been linked to: what is preloaded comes
 * first. Thread-safe. */
#ifndef DGLD_CORE_LATE_LIBRARY_H
#define DGLD_CORE_LATE_LIBRARY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"

#define LATE_MEMBER(function)    __typeof__(&(function)) function;
#define LATE_NAME(function)      #function,
#define LATE_REFERENCE(function) __typeof__(&(function)) late_##function = (function);

struct late_library {
    const char *soname;       /* "libpq.so.5" */
    const char *package;      /* of Debian, that brings it */
    const char *const *names; /* (n_functions) */
    size_t n_functions;
    void *functions; /* (n_functions) pointers to functions: the table; written before is_loaded */
    atomic_bool is_loaded;
};

/* Loads the library and fills the table, unless that is done. It stays for as long as the process.
 * ERR_INTERNAL where it is not installed or lacks a function: the message says what to do. Then the
 * table means nothing, and the next call tries again. */
enum err late_library_load(struct late_library *library, struct error *err);

#endif

/* What went wrong, in two parts: a code that callers branch on, and a sentence that people read.
 *
 * A function that can fail returns enum err and takes a struct error as its last parameter. The
 * struct lives on the caller's stack, starts as zeroes, and may be NULL where nobody will read it.
 * The lowest level states the fact with its numbers; each level above puts in front where it was.
 * Thread-safe: nothing here is shared. */
#ifndef DGLD_CORE_ERROR_H
#define DGLD_CORE_ERROR_H

#include <stddef.h>

/* code, name for machines, title for people */
#define ERR_LIST(X)                                                          \
    X(ERR_OK, "ok", "No error")                                              \
    X(ERR_NOMEM, "out-of-memory", "Out of memory")                           \
    X(ERR_IO, "io", "Input or output failed")                                \
    X(ERR_SYNTAX, "syntax", "Input cannot be parsed")                        \
    X(ERR_INVALID, "invalid", "Input was parsed but is not acceptable")      \
    X(ERR_NOT_FOUND, "not-found", "There is no such thing")                  \
    X(ERR_LIMIT, "limit", "A bound was exceeded")                            \
    X(ERR_USAGE, "usage", "Wrong usage")                                     \
    X(ERR_NUMERIC, "numeric", "A computation did not yield a finite result") \
    X(ERR_CANCELED, "canceled", "Stopped on request")                        \
    X(ERR_INFEASIBLE, "infeasible", "Nothing keeps the limits")              \
    X(ERR_INTERNAL, "internal", "Internal error")

enum err {
#define ERR_ENUM(code, name, title) code,
    ERR_LIST(ERR_ENUM)
#undef ERR_ENUM
};

#define ERROR_TEXT_BYTES 512

struct error {
    enum err code;
    char text[ERROR_TEXT_BYTES]; /* always terminated; cut at the end where too long */
};

/* Fills `err` (which may be NULL) and yields `code`, so that `return error_set(...)` reads well. A
 * macro, so that compilers and analysers see which code is returned. */
#define error_set(error, code, ...) (error_describe((error), (code), __VA_ARGS__), (enum err)(code))

void error_describe(struct error *err, enum err code, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* The same for a failed system call: appends the text of `saved_errno`. ENOENT gives ERR_NOT_FOUND,
 * what the machine or the process has no more of just now (memory, descriptors) ERR_NOMEM, everything
 * else ERR_IO. */
enum err error_sys(struct error *err, int saved_errno, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<where>: " in front of the sentence. Returns the code that `err` holds. */
enum err error_wrap(struct error *err, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Static strings; an unknown code gives those of ERR_INTERNAL. */
const char *err_name(enum err code);
const char *err_title(enum err code);

#endif

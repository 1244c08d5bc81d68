/* What the fuzz targets share.
 *
 * A target is tests/fuzz/fuzz_<name>.c. Its FUZZ_TARGET() is called for every input that libFuzzer
 * makes up, and by replay.c for those that are kept. What does not hold of an input ends the
 * process: a crash, a complaint of a sanitizer, require(), or blocks that were not given back.
 * Inputs are blocks of exactly their size, so that a sanitizer sees who reads beyond.
 *
 * Header only, single-threaded. */
#ifndef DGLD_TESTS_FUZZ_FUZZ_H
#define DGLD_TESTS_FUZZ_FUZZ_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "core/error.h"
#include "core/mem.h"
#include "proto/json_view.h"
#include "proto/msg_problem.h"
#include "proto/text.h"

#define COUNT_OF(array) (sizeof(array) / sizeof *(array))

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define require(claim)                                                                       \
    do {                                                                                     \
        if (!(claim)) {                                                                      \
            (void)fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #claim); \
            abort();                                                                         \
        }                                                                                    \
    } while (0)

/* Defines the target: `run` (bytes, size) is called, and has to give back what it allocates. */
#define FUZZ_TARGET(run)                                          \
    int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size) \
    {                                                             \
        const long n_blocks = mem_live_blocks();                  \
        run((const char *)bytes, size);                           \
        require(mem_live_blocks() == n_blocks);                   \
        return 0;                                                 \
    }

/* ---- inputs ---------------------------------------------------------------------------------- */

/* The bytes as a string of their own, to be free()d; it ends at the first NUL. */
static inline char *fuzz_string(const char *bytes, size_t size)
{
    char *string = malloc(size + 1);

    require(string != NULL);
    if (size > 0) {
        memcpy(string, bytes, size);
    }
    string[size] = '\0';
    return string;
}

/* An input of several parts: what is before the next separator, as a string to be free()d, or NULL
 * where nothing is left. `length` (may be NULL) receives its size, for parts that may hold NULs. */
struct fuzz_parts {
    const char *at;
    size_t left;
    bool has_ended;
};

static inline struct fuzz_parts fuzz_parts(const char *bytes, size_t size)
{
    return (struct fuzz_parts){.at = bytes, .left = size};
}

static inline char *fuzz_next(struct fuzz_parts *parts, const char *separator, size_t *length)
{
    const size_t step = strlen(separator);
    const char *end = parts->left > 0 ? memmem(parts->at, parts->left, separator, step) : NULL;
    const size_t size = end != NULL ? (size_t)(end - parts->at) : parts->left;
    char *part = parts->has_ended ? NULL : fuzz_string(parts->at, size);

    parts->has_ended = end == NULL;
    parts->at = end != NULL ? end + step : parts->at;
    parts->left = end != NULL ? parts->left - size - step : 0;
    if (length != NULL) {
        *length = size;
    }
    return part;
}

/* A file of these bytes that has no name but `path`, to be close()d. */
enum { FUZZ_PATH_BYTES = 64 };

static inline int fuzz_file(const char *bytes, size_t size, char path[FUZZ_PATH_BYTES])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    require(fd >= 0);
    require(size == 0 || write(fd, bytes, size) == (ssize_t)size);
    (void)snprintf(path, FUZZ_PATH_BYTES, "/proc/self/fd/%d", fd);
    return fd;
}

/* ---- claims ---------------------------------------------------------------------------------- */

static inline void require_json(const char *bytes, size_t size)
{
    struct json_view view;
    struct error err;

    if (json_view_check(bytes, size, &view, &err) != ERR_OK) {
        (void)fprintf(stderr, "no JSON: %s\n%.*s\n", err.text, (int)size, bytes);
        abort();
    }
}

static inline void require_json_text(const struct text *text)
{
    require(!text->has_failed && text->size > 0);
    require_json(text->bytes, text->size);
}

static inline void require_same_text(const struct text *a, const struct text *b)
{
    require(!a->has_failed && !b->has_failed);
    if (a->size != b->size || memcmp(a->bytes, b->bytes, a->size) != 0) {
        (void)fprintf(stderr, "these differ:\n%.*s\n%.*s\n", (int)a->size, a->bytes, (int)b->size,
                      b->bytes);
        abort();
    }
}

/* An outcome that has failed says so in words that a client may be sent, and it is not our fault. */
static inline void require_told(enum err rc, const struct error *err,
                                const struct field_errors *errors)
{
    struct text text = {0};

    if (rc == ERR_OK) {
        require(errors == NULL || errors->n == 0);
        return;
    }
    require(rc == err->code && err->text[0] != '\0');
    require(strlen(err->text) < ERROR_TEXT_BYTES);
    require(rc != ERR_INTERNAL && rc != ERR_NOMEM);
    for (size_t i = 0; errors != NULL && i < errors->n; i++) {
        const char *pointer = errors->items[i].pointer;
        require(pointer[0] == '\0' || pointer[0] == '/');
        require(errors->items[i].detail[0] != '\0');
    }
    msg_problem_encode(
        &(struct problem){.status = 422, .detail = err->text, .instance = "/", .errors = errors},
        &text);
    require_json_text(&text);
    text_close(&text);
}

#endif

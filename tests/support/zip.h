/* For tests of what writes zip archives: a sink in memory, and what a reader finds in it. Header
 * only; single-threaded. */
#ifndef DGLD_TESTS_SUPPORT_ZIP_H
#define DGLD_TESTS_SUPPORT_ZIP_H

#include <errno.h>
#include <zip.h>

#include "proto/zip_stream.h"
#include "tests/support/check.h"

struct memory_sink {
    char *bytes; /* to be mem_free()d */
    size_t size;
    size_t room; /* it fails with ENOSPC beyond that, where not 0 */
    size_t capacity;
};

static inline bool put_in_memory(void *sink, uint64_t offset, const char *bytes, size_t size)
{
    struct memory_sink *memory = sink;
    const size_t end = (size_t)offset + size;

    if (memory->room > 0 && end > memory->room) {
        errno = ENOSPC;
        return false;
    }
    if (end > memory->capacity) {
        memory->capacity = 2 * end; /* libzip writes a directory in pieces of four bytes */
        memory->bytes = mem_resize(memory->bytes, memory->capacity, 1);
        assert_non_null(memory->bytes);
    }
    memory->size = end > memory->size ? end : memory->size;
    memcpy(memory->bytes + offset, bytes, size);
    return true;
}

static inline zip_t *read_archive(const struct memory_sink *memory)
{
    zip_source_t *source = zip_source_buffer_create(memory->bytes, memory->size, 0, NULL);
    zip_t *zip = zip_open_from_source(source, ZIP_RDONLY | ZIP_CHECKCONS, NULL);

    assert_non_null(zip);
    return zip;
}

/* The bytes of a stored entry, to be mem_free()d; reading checks their checksum. */
static inline char *read_stored(zip_t *zip, const char *name, size_t *size)
{
    zip_file_t *file = zip_fopen(zip, name, 0);
    zip_stat_t st;
    char *bytes;

    assert_non_null(file);
    assert_int_equal(zip_stat(zip, name, 0, &st), 0);
    assert_int_equal(st.comp_method, ZIP_CM_STORE);
    bytes = mem_calloc((size_t)st.size + 1, 1);
    assert_non_null(bytes);
    assert_int_equal(zip_fread(file, bytes, st.size), st.size);
    assert_int_equal(zip_fread(file, bytes + st.size, 1), 0);
    assert_int_equal(zip_fclose(file), 0);
    *size = (size_t)st.size;
    return bytes;
}

/* Where in the archive the bytes of an entry stand, by its header before them. */
static inline size_t find_entry(const struct memory_sink *memory, const char *name)
{
    const size_t length = strlen(name);
    const unsigned char *bytes = (const unsigned char *)memory->bytes;

    for (size_t at = 0; at + 30 + length < memory->size; at++) {
        if (memcmp(bytes + at, "PK\3\4", 4) == 0 && bytes[at + 26] == length &&
            bytes[at + 27] == 0 && memcmp(bytes + at + 30, name, length) == 0) {
            return at + 30 + length + bytes[at + 28] + ((size_t)bytes[at + 29] << 8);
        }
    }
    fail_msg("%s is not in the archive", name);
    return 0;
}

#endif

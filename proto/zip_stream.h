/* A zip archive of stored (not compressed) entries whose bytes are made while they are written.
 *
 * Entries are declared first, with their sizes; zip_stream_finish() then asks for the bytes of each
 * in turn and hands the archive out in pieces, so that no entry is ever in memory whole. The same
 * entries give the same bytes: times are those of the format's beginning. Belongs to one thread. */
#ifndef DGLD_PROTO_ZIP_STREAM_H
#define DGLD_PROTO_ZIP_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

/* Takes `size` bytes of the archive at `offset`. Pieces come in order but for the entries' headers,
 * which are written again once their checksums are known. False with errno where that fails. */
typedef bool zip_stream_put(void *sink, uint64_t offset, const char *bytes, size_t size);

/* Hands out the next `size` bytes of an entry, fewer only where it ends. */
typedef size_t zip_stream_read(void *source, char *bytes, size_t size);

struct zip_stream;

/* `sink` is borrowed until zip_stream_close(). ERR_NOMEM; ERR_INTERNAL where there is no libzip, which
 * is loaded for the first archive. */
enum err zip_stream_open(zip_stream_put *put, void *sink, struct zip_stream **out,
                         struct error *err);

struct zip_entry {
    const char *name; /* ASCII; copied */
    zip_stream_read *read;
    void *source; /* borrowed until zip_stream_close() */
    uint64_t size;
    uint32_t alignment; /* of its bytes in the archive: a power of 2; 0 or 1 for any */
};

/* Declares an entry. ERR_LIMIT where the archive would have 4 GiB or more, or more than 65,535 entries:
 * those need a format that not every reader knows. ERR_NOMEM. */
enum err zip_stream_add(struct zip_stream *zip, const struct zip_entry *entry, struct error *err);

/* Writes it all; `n_bytes` receives the archive's size. What the sink failed with (error_sys), or
 * ERR_INTERNAL where an entry ends before its size. Nothing but the end may follow. */
enum err zip_stream_finish(struct zip_stream *zip, uint64_t *n_bytes, struct error *err);

/* Accepts NULL. */
void zip_stream_close(struct zip_stream *zip);

#endif

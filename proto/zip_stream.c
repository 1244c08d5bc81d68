/* libzip writes an archive to a "source" of ours, that hands its bytes on to the sink, and reads
 * each entry from another. Both are functions that libzip calls with a command. */
#include "proto/zip_stream.h"

#include <errno.h>
#include <string.h>

#include "core/mem.h"
#include "proto/libzip.h"

enum {
    LOCAL_HEADER_BYTES = 30, /* without name and extra field */
    DIRECTORY_BYTES = 46,    /* an entry of it, without name */
    DIRECTORY_END_BYTES = 22,
    EXTRA_HEADER_BYTES = 4,
    PADDING_ID = 0x4246, /* "FB", as PyTorch marks padding */
    MAX_ALIGNMENT = 4096,
    DOS_DATE = 1 << 5 | 1, /* 1980-01-01 */
};

/* What libzip reads one entry from. Freed by it, and by nobody else once it has taken it. */
struct entry_source {
    zip_stream_read *read;
    void *source;
    uint64_t size, n_read;
    zip_error_t error;
};

struct zip_stream {
    zip_t *zip; /* NULL once it was finished */
    zip_stream_put *put;
    void *sink;
    uint64_t offset, n_bytes; /* where is written next, and how far it ever was */
    uint64_t next_header;     /* where that of the next entry will be */
    uint64_t directory_bytes;
    int failed; /* errno of the sink */
    zip_error_t error;
};

/* ---- an entry -------------------------------------------------------------------------------- */

static zip_int64_t stat_entry(const struct entry_source *entry, void *data)
{
    zip_stat_t *st = data;

    libzip.zip_stat_init(st);
    st->size = entry->size;
    st->valid = ZIP_STAT_SIZE;
    return sizeof *st;
}

static zip_int64_t read_entry(struct entry_source *entry, void *data, zip_uint64_t length)
{
    const uint64_t left = entry->size - entry->n_read;
    const size_t wanted = (size_t)(length < left ? length : left);
    const size_t n = entry->read(entry->source, data, wanted);

    if (n < wanted) { /* its size stands in the headers already */
        libzip.zip_error_set(&entry->error, ZIP_ER_INCONS, 0);
        return -1;
    }
    entry->n_read += n;
    return (zip_int64_t)n;
}

static zip_int64_t serve_entry(void *context, void *data, zip_uint64_t length,
                               zip_source_cmd_t command)
{
    struct entry_source *entry = context;

    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_READABLE;
    case ZIP_SOURCE_OPEN:
    case ZIP_SOURCE_CLOSE:
        return 0;
    case ZIP_SOURCE_STAT:
        return stat_entry(entry, data);
    case ZIP_SOURCE_READ:
        return read_entry(entry, data, length);
    case ZIP_SOURCE_ERROR:
        return libzip.zip_error_to_data(&entry->error, data, length);
    case ZIP_SOURCE_FREE:
        mem_free(entry);
        return 0;
    default:
        libzip.zip_error_set(&entry->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

/* ---- the archive ----------------------------------------------------------------------------- */

static zip_int64_t put_bytes(struct zip_stream *zip, const void *data, zip_uint64_t length)
{
    if (!zip->put(zip->sink, zip->offset, data, (size_t)length)) {
        zip->failed = errno;
        libzip.zip_error_set(&zip->error, ZIP_ER_WRITE, zip->failed);
        return -1;
    }
    zip->offset += length;
    zip->n_bytes = zip->offset > zip->n_bytes ? zip->offset : zip->n_bytes;
    return (zip_int64_t)length;
}

static zip_int64_t seek(struct zip_stream *zip, void *data, zip_uint64_t length)
{
    zip_int64_t offset =
        libzip.zip_source_seek_compute_offset(zip->offset, zip->n_bytes, data, length, &zip->error);

    if (offset < 0) {
        return -1;
    }
    zip->offset = (uint64_t)offset;
    return 0;
}

static zip_int64_t serve_archive(void *context, void *data, zip_uint64_t length,
                                 zip_source_cmd_t command)
{
    struct zip_stream *zip = context;

    switch (command) {
    case ZIP_SOURCE_SUPPORTS:
        return ZIP_SOURCE_SUPPORTS_WRITABLE;
    case ZIP_SOURCE_STAT: /* there is none yet */
        libzip.zip_error_set(&zip->error, ZIP_ER_READ, ENOENT);
        return -1;
    case ZIP_SOURCE_BEGIN_WRITE:
    case ZIP_SOURCE_COMMIT_WRITE:
    case ZIP_SOURCE_ROLLBACK_WRITE:
    case ZIP_SOURCE_FREE:
        return 0;
    case ZIP_SOURCE_WRITE:
        return put_bytes(zip, data, length);
    case ZIP_SOURCE_SEEK_WRITE:
        return seek(zip, data, length);
    case ZIP_SOURCE_TELL_WRITE:
        return (zip_int64_t)zip->offset;
    case ZIP_SOURCE_ERROR:
        return libzip.zip_error_to_data(&zip->error, data, length);
    default:
        libzip.zip_error_set(&zip->error, ZIP_ER_OPNOTSUPP, 0);
        return -1;
    }
}

enum err zip_stream_open(zip_stream_put *put, void *sink, struct zip_stream **out,
                         struct error *err)
{
    struct zip_stream *zip;
    zip_source_t *target = NULL;
    enum err rc = libzip_load(err);

    if (rc != ERR_OK) {
        return rc;
    }
    zip = mem_calloc(1, sizeof *zip);
    if (zip != NULL) {
        zip->put = put;
        zip->sink = sink;
        target = libzip.zip_source_function_create(serve_archive, zip, NULL);
    }
    if (target != NULL) {
        zip->zip = libzip.zip_open_from_source(target, ZIP_CREATE, NULL);
    }
    if (zip == NULL || zip->zip == NULL) {
        libzip.zip_source_free(target);
        mem_free(zip);
        return error_set(err, ERR_NOMEM, "no memory for a zip archive");
    }
    *out = zip;
    return ERR_OK;
}

/* ---- entries --------------------------------------------------------------------------------- */

/* The bytes of an extra field that aligns what follows it; 0 where none is needed. */
static size_t padding_for(uint64_t end_of_header, uint32_t alignment)
{
    size_t over = alignment > 1 ? (size_t)(end_of_header % alignment) : 0;
    size_t n = over > 0 ? alignment - over : 0;

    while (n > 0 && n < EXTRA_HEADER_BYTES) {
        n += alignment;
    }
    return n;
}

/* Declares the entry to libzip; ERR_NOMEM is what can fail there. */
static enum err add(struct zip_stream *zip, const struct zip_entry *entry, size_t padding,
                    struct error *err)
{
    static const zip_uint8_t zeroes[MAX_ALIGNMENT + EXTRA_HEADER_BYTES];
    struct entry_source *from = mem_calloc(1, sizeof *from);
    zip_source_t *source = NULL;
    zip_int64_t index = -1;

    if (from != NULL) {
        *from = (struct entry_source){
            .read = entry->read, .source = entry->source, .size = entry->size};
        source = libzip.zip_source_function(zip->zip, serve_entry, from);
        if (source == NULL) {
            mem_free(from);
        }
    }
    if (source != NULL) {
        index = libzip.zip_file_add(zip->zip, entry->name, source, 0);
        if (index < 0) {
            libzip.zip_source_free(source);
        }
    }
    if (index < 0 ||
        libzip.zip_set_file_compression(zip->zip, (zip_uint64_t)index, ZIP_CM_STORE, 0) != 0 ||
        libzip.zip_file_set_dostime(zip->zip, (zip_uint64_t)index, 0, DOS_DATE, 0) != 0 ||
        (padding > 0 && libzip.zip_file_extra_field_set(
                            zip->zip, (zip_uint64_t)index, PADDING_ID, ZIP_EXTRA_FIELD_NEW, zeroes,
                            (zip_uint16_t)(padding - EXTRA_HEADER_BYTES), ZIP_FL_LOCAL) != 0)) {
        return error_set(err, ERR_NOMEM, "no memory for entry %s of a zip archive", entry->name);
    }
    return ERR_OK;
}

enum err zip_stream_add(struct zip_stream *zip, const struct zip_entry *entry, struct error *err)
{
    const uint64_t end_of_header = zip->next_header + LOCAL_HEADER_BYTES + strlen(entry->name);
    const size_t padding = padding_for(end_of_header, entry->alignment);
    const uint64_t next_header = end_of_header + padding + entry->size;
    const uint64_t directory_bytes = zip->directory_bytes + DIRECTORY_BYTES + strlen(entry->name);
    enum err rc;

    if (next_header + directory_bytes + DIRECTORY_END_BYTES > UINT32_MAX ||
        libzip.zip_get_num_entries(zip->zip, 0) >= UINT16_MAX) {
        return error_set(err, ERR_LIMIT,
                         "a zip archive has less than 4 GiB and at most %d entries, and %s would "
                         "be beyond that",
                         UINT16_MAX, entry->name);
    }
    rc = add(zip, entry, padding, err);
    if (rc == ERR_OK) {
        zip->next_header = next_header;
        zip->directory_bytes = directory_bytes;
    }
    return rc;
}

enum err zip_stream_finish(struct zip_stream *zip, uint64_t *n_bytes, struct error *err)
{
    if (libzip.zip_close(zip->zip) != 0) {
        if (zip->failed != 0) {
            return error_sys(err, zip->failed, "write a zip archive");
        }
        return error_set(err, ERR_INTERNAL, "a zip archive cannot be written: %s",
                         libzip.zip_strerror(zip->zip));
    }
    zip->zip = NULL; /* libzip has freed it */
    *n_bytes = zip->n_bytes;
    return ERR_OK;
}

void zip_stream_close(struct zip_stream *zip)
{
    if (zip != NULL && zip->zip != NULL) {
        libzip.zip_discard(zip->zip);
    }
    mem_free(zip);
}

/* Measured latencies of architectures on a device, as JSON and as CSV.
 *
 *   {"architectures": ["444244", ...], "latency_ms": [12.5, ...]}
 *
 *   architecture,latency_ms
 *   444244,12.5
 *   "[4,4,4,2,4,4]",12.7
 *
 * CSV is read as RFC 4180 has it: fields in double quotes where they hold commas, LF or CRLF line
 * ends. A UTF-8 byte order mark, blanks around fields, empty lines and a missing header are
 * accepted. An architecture may be in any notation of its space, and may come more than once.
 * A struct measurements belongs to its creator; the functions share nothing. */
#ifndef DGLD_PROTO_MSG_MEASUREMENTS_H
#define DGLD_PROTO_MSG_MEASUREMENTS_H

#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "core/space.h"
#include "proto/field_error.h"
#include "proto/json_spec.h"
#include "proto/text.h"

#define MEASUREMENTS_MAX_ROWS       ((size_t)1 << 20)
#define MEASUREMENTS_MAX_FILE_BYTES ((size_t)256 << 20)
#define MEASUREMENTS_MAX_MS         1e7 /* nearly three hours: there to catch another unit */

struct measurements {
    const struct space *space;
    int32_t *genes;     /* (n_rows, space->n_genes), row-major, owned; every row valid */
    double *latency_ms; /* (n_rows), owned; positive, at most MEASUREMENTS_MAX_MS */
    size_t n_rows;      /* 1 .. MEASUREMENTS_MAX_ROWS */
};

/* Read a body. ERR_SYNTAX where it is no JSON or CSV, ERR_LIMIT where there are too many rows,
 * ERR_INVALID where it is not acceptable: then `errors` says why, by pointer for JSON; for CSV the
 * pointer is "", the whole body, and the detail begins with "line <n>: ". The caller ends `errors`
 * in every case, and `out` by measurements_close() on success. */
enum err msg_measurements_decode_json(const struct space *space, const char *bytes, size_t size,
                                      struct measurements *out, struct field_errors *errors,
                                      struct error *err);
enum err msg_measurements_decode_csv(const struct space *space, const char *bytes, size_t size,
                                     struct measurements *out, struct field_errors *errors,
                                     struct error *err);

/* Reads such an object inside of another message, of at most `max_rows`; what is wrong goes to the
 * reader's errors, by pointer below the reader's. True where nothing is: the caller then ends `out`
 * by measurements_close(). */
bool msg_measurements_read(const struct json_reader *reader, struct json_view value,
                           const struct space *space, size_t max_rows, struct measurements *out);

/* Checks CSV and counts its rows without keeping them; the error is the first there is. */
enum err msg_measurements_count_csv(const struct space *space, const char *bytes, size_t size,
                                    size_t *n_rows, struct error *err);

/* Append {"device", "search_space", "source", "architectures", "latency_ms"}, or the CSV with its
 * header and the given line end. Architectures are written by space_print_genes(), latencies so
 * that the very same number is read back. */
void msg_measurements_encode_json(const struct measurements *measurements, const char *device,
                                  const char *source, struct text *out);
void msg_measurements_encode_csv(const struct measurements *measurements, const char *line_end,
                                 struct text *out);

/* Accepts a zeroed struct. */
void measurements_close(struct measurements *measurements);

#endif

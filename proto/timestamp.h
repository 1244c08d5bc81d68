/* Points in time as text, in UTC. Pure functions, thread-safe; independent of the locale. */
#ifndef DGLD_PROTO_TIMESTAMP_H
#define DGLD_PROTO_TIMESTAMP_H

#include <stdbool.h>
#include <time.h>

enum { TIMESTAMP_BYTES = 32, HTTP_DATE_BYTES = 32 };

/* RFC 3339, "2026-01-31T12:00:00.000Z". What lies outside of the years 1970 to 9999 is shown as
 * the nearest that does not. */
void timestamp_format(struct timespec at, char out[TIMESTAMP_BYTES]);

/* HTTP's date (RFC 9110, section 5.6.7), "Sat, 31 Jan 2026 12:00:00 GMT", within the same years. */
void http_date_format(time_t at, char out[HTTP_DATE_BYTES]);

/* Reads any of the three forms that HTTP has for it. False for everything else: then the header
 * that it stands in is to be ignored. */
bool http_date_parse(const char *text, time_t *out);

#endif

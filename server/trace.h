/* What ties a request to others: its id, and its place in a distributed trace (W3C Trace Context,
 * level 2). Thread-safe; nothing here touches the system once trace_init() has run. */
#ifndef DGLD_SERVER_TRACE_H
#define DGLD_SERVER_TRACE_H

#include <stdbool.h>
#include <stddef.h>

/* With terminators; the second is an id of ours. */
enum {
    REQUEST_ID_BYTES = 129,
    REQUEST_ID_MADE_BYTES = 34,
    TRACE_ID_BYTES = 33,
    SPAN_ID_BYTES = 17
};

/* A request of which a client told nothing has an empty trace. */
struct trace {
    char trace_id[TRACE_ID_BYTES]; /* lower-case hexadecimal */
    char parent_id[SPAN_ID_BYTES]; /* of the caller's span */
};

/* Draws what tells this process's ids from those of others. Once, before the first thread starts. */
void trace_init(void);

/* Whether a client's X-Request-Id can be taken: 1 to 128 letters, digits and -_.~:/+=@#, which need
 * no quoting in a header, a log line or a shell. NULL cannot. */
bool request_id_is_fit(const char *text);

/* Makes an id that no other request of this or another process has: "5f0c9a7be1d24c38-1a". */
void request_id_make(char out[REQUEST_ID_MADE_BYTES]);

/* Reads the header traceparent. False where it is absent, malformed, or holds an id of all zeroes:
 * then `out` is empty, as the standard wants it ignored. Versions above 00 are read for what they
 * share with it. */
bool trace_parse(const char *traceparent, struct trace *out);

#endif

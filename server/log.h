/* Structured log: one JSON object a line on standard error, of at most LOG_LINE_BYTES. Thread-safe.
 *
 * A log never holds up who writes it: where standard error takes no more (a pipe that nobody
 * reads), a line is left out, and so are warnings and refused operations beyond LOG_WARNINGS_A_SECOND,
 * which clients could cause without end. The next line that goes through tells how many were. Texts may be anything
 * that clients sent: they are escaped, and cut where they are long. Tokens and bodies are never
 * logged. */
#ifndef DGLD_SERVER_LOG_H
#define DGLD_SERVER_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* In the order of the setting log_level. */
enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

enum { LOG_LINE_BYTES = 4096, LOG_WARNINGS_A_SECOND = 100 };

/* The least severe level that is written, from now on; LOG_INFO at first. */
void log_set_level(enum log_level level);
bool log_is_on(enum log_level level);

/* {"time": "2026-01-31T12:00:00.000Z", "level": "info", "message": "..."} */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* What a line holds besides; one whose text is NULL is a number. */
struct log_field {
    const char *name; /* static, of letters and _ */
    const char *text;
    uint64_t number; /* below 2^63, which every JSON parser takes */
};

/* Fields with an empty text are left out. At most 12 of them. */
void log_write_fields(enum log_level level, const char *message, const struct log_field *fields,
                      size_t n_fields);

/* A request that has ended. Texts are borrowed, and "" where there is nothing to tell. */
struct log_request {
    const char *id;
    const char *trace_id, *parent_id;
    const char *client; /* name of the token that was given */
    const char *address;
    const char *method, *path;
    const char *route;  /* the path's pattern in the table of routes */
    const char *detail; /* what a 5xx told the client: which bound it was, or what failed */
    unsigned status;
    uint64_t duration_us;
    uint64_t bytes;   /* of the reply's body */
    bool is_operator; /* the route is for operators: what was done, or refused, is logged always */
};

/* Whether such a request will be logged: one for operators always, a 5xx as a warning, others for
 * debugging. Cheap, so that what the line needs is only gathered where it is. */
bool log_request_is_on(unsigned status, bool is_operator);

void log_request(const struct log_request *request);

/* Lines that were left out since the start. */
uint64_t log_n_lost(void);

#endif

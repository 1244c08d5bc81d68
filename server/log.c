#include "server/log.h"

#include <inttypes.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/utf8.h"
#include "proto/text.h"

/* Longest texts as they stand in a line, escapes counted. One message, one path, one detail and ten
 * other fields stay within LOG_LINE_BYTES, which is what a pipe takes as one piece (PIPE_BUF). */
enum {
    MESSAGE_BYTES = 1400,
    PATH_TEXT_BYTES = 600,
    DETAIL_TEXT_BYTES = 280,
    TEXT_BYTES = 140,
    MAX_FIELDS = 12
};

static const char *const level_names[] = {"error", "warning", "info", "debug"};

static _Atomic int least_level = LOG_INFO;
static _Atomic uint64_t n_lost;                                 /* since the start */
static pthread_mutex_t stderr_lock = PTHREAD_MUTEX_INITIALIZER; /* guards the rest */
static uint64_t n_lost_told;
static time_t warning_second;
static unsigned n_warnings; /* of that second */

void log_set_level(enum log_level level)
{
    atomic_store_explicit(&least_level, (int)level, memory_order_relaxed);
}

bool log_is_on(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&least_level, memory_order_relaxed);
}

uint64_t log_n_lost(void)
{
    return atomic_load_explicit(&n_lost, memory_order_relaxed);
}

/* ---- lines ----------------------------------------------------------------------------------- */

/* Bytes that a character takes as part of a JSON string. */
static size_t escaped_length(const char *c)
{
    size_t length = utf8_length(c);

    if (length == 0 || (unsigned char)*c < 0x20 || *c == 0x7f) {
        return 6;
    }
    return *c == '"' || *c == '\\' ? 2 : length;
}

/* A JSON string of at most `max` bytes, quotes aside; what does not fit is cut, and dots say so. */
static void put_text(struct text *line, const char *string, size_t max)
{
    static const char dots[] = "...";
    char cut[MESSAGE_BYTES + sizeof dots];
    size_t kept = 0; /* bytes of `string` that fit with the dots behind them */
    size_t used = 0;
    const char *c = string;

    while (*c != '\0' && used + escaped_length(c) <= max) {
        size_t length = utf8_length(c);
        used += escaped_length(c);
        c += length > 0 ? length : 1;
        if (used + sizeof dots - 1 <= max) {
            kept = (size_t)(c - string);
        }
    }
    if (*c == '\0') {
        text_put_json_string(line, string);
        return;
    }
    memcpy(cut, string, kept);
    memcpy(cut + kept, dots, sizeof dots);
    text_put_json_string(line, cut);
}

static void begin_line(struct text *line, const struct timespec *now, enum log_level level,
                       const char *message)
{
    char stamp[32] = "";
    struct tm utc;

    if (gmtime_r(&now->tv_sec, &utc) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    }
    text_reserve(line, LOG_LINE_BYTES);
    text_printf(line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":", stamp,
                now->tv_nsec / 1000000, level_names[level]);
    put_text(line, message, MESSAGE_BYTES);
}

static size_t longest_text(const char *name)
{
    return strcmp(name, "path") == 0     ? PATH_TEXT_BYTES
           : strcmp(name, "detail") == 0 ? DETAIL_TEXT_BYTES
                                         : TEXT_BYTES;
}

static void put_field(struct text *line, const struct log_field *field)
{
    if (field->text == NULL) {
        text_printf(line, ",\"%s\":%" PRIu64, field->name, field->number);
    } else if (field->text[0] != '\0') {
        text_printf(line, ",\"%s\":", field->name);
        put_text(line, field->text, longest_text(field->name));
    }
}

/* ---- standard error -------------------------------------------------------------------------- */

/* Writes a line where that does not have to wait. A reader that is gone is no reason to wait
 * either: then it is the writing that fails. */
static bool put_line(const struct text *line)
{
    struct pollfd standard_error = {.fd = STDERR_FILENO, .events = POLLOUT};

    return !line->has_failed && poll(&standard_error, 1, 0) > 0 &&
           write(STDERR_FILENO, line->bytes, line->size) == (ssize_t)line->size;
}

/* Whether there were too many warnings in this second. */
static bool is_flood(time_t second)
{
    if (second != warning_second) {
        warning_second = second;
        n_warnings = 0;
    }
    return ++n_warnings > LOG_WARNINGS_A_SECOND;
}

/* Says before a line what was left out. */
static void tell_lost(const struct timespec *now)
{
    uint64_t n = atomic_load(&n_lost);
    struct text line = {0};
    char message[80];

    if (n == n_lost_told) {
        return;
    }
    (void)snprintf(message, sizeof message, "%" PRIu64 " lines were left out of this log",
                   n - n_lost_told);
    begin_line(&line, now, LOG_WARNING, message);
    text_puts(&line, "}\n");
    if (put_line(&line)) {
        n_lost_told = n;
    }
    text_close(&line);
}

/* Ends the line and sends it off. `is_bounded`: it is one of those that clients can cause. */
static void end_line(struct text *line, const struct timespec *now, bool is_bounded)
{
    text_puts(line, "}\n");
    (void)pthread_mutex_lock(&stderr_lock);
    if (is_bounded && is_flood(now->tv_sec)) {
        atomic_fetch_add(&n_lost, 1);
    } else {
        tell_lost(now);
        if (!put_line(line)) {
            atomic_fetch_add(&n_lost, 1);
        }
    }
    (void)pthread_mutex_unlock(&stderr_lock);
    text_close(line);
}

/* What a line is about: clients cannot cause audit lines that are not bounded, since what is carried
 * out for them they were allowed to ask. */
enum line_kind { LINE_PLAIN, LINE_AUDIT, LINE_AUDIT_REFUSED };

static void write_line(enum log_level level, const char *message, enum line_kind kind,
                       const struct log_field *fields, size_t n_fields)
{
    struct text line = {0};
    struct timespec now;

    (void)clock_gettime(CLOCK_REALTIME, &now);
    begin_line(&line, &now, level, message);
    if (kind != LINE_PLAIN) {
        text_puts(&line, ",\"audit\":true");
    }
    for (size_t i = 0; i < n_fields && i < MAX_FIELDS; i++) {
        put_field(&line, &fields[i]);
    }
    end_line(&line, &now,
             kind == LINE_AUDIT_REFUSED || (kind == LINE_PLAIN && level == LOG_WARNING));
}

void log_write_fields(enum log_level level, const char *message, const struct log_field *fields,
                      size_t n_fields)
{
    if (log_is_on(level)) {
        write_line(level, message, LINE_PLAIN, fields, n_fields);
    }
}

void log_write(enum log_level level, const char *format, ...)
{
    char message[MESSAGE_BYTES];
    va_list args;

    if (!log_is_on(level)) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    write_line(level, message, LINE_PLAIN, NULL, 0);
}

/* ---- requests -------------------------------------------------------------------------------- */

static enum log_level level_of(unsigned status, bool is_operator)
{
    return status >= 500 ? LOG_WARNING : is_operator ? LOG_INFO : LOG_DEBUG;
}

bool log_request_is_on(unsigned status, bool is_operator)
{
    return is_operator || log_is_on(level_of(status, is_operator));
}

void log_request(const struct log_request *request)
{
    const struct log_field fields[] = {
        {"request_id",  request->id,        0                   },
        {"trace_id",    request->trace_id,  0                   },
        {"parent_id",   request->parent_id, 0                   },
        {"client",      request->client,    0                   },
        {"address",     request->address,   0                   },
        {"method",      request->method,    0                   },
        {"path",        request->path,      0                   },
        {"route",       request->route,     0                   },
        {"detail",      request->detail,    0                   },
        {"status",      NULL,               request->status     },
        {"duration_us", NULL,               request->duration_us},
        {"bytes",       NULL,               request->bytes      },
    };
    enum line_kind kind = !request->is_operator    ? LINE_PLAIN
                          : request->status >= 400 ? LINE_AUDIT_REFUSED
                                                   : LINE_AUDIT;
    const char *message = request->status >= 500   ? "a request failed"
                          : !request->is_operator  ? "a request was answered"
                          : request->status >= 400 ? "an operator's request was refused"
                                                   : "an operator's request was carried out";

    if (log_request_is_on(request->status, request->is_operator)) {
        write_line(level_of(request->status, request->is_operator), message, kind, fields,
                   sizeof fields / sizeof *fields);
    }
}

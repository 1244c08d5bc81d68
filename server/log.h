/* Structured log: one JSON object a line on standard error. Thread-safe: each line is one write. */
#ifndef DGLD_SERVER_LOG_H
#define DGLD_SERVER_LOG_H

enum log_level { LOG_ERROR, LOG_WARNING, LOG_INFO, LOG_DEBUG };

/* {"time": "2026-01-31T12:00:00.000Z", "level": "info", "message": "..."} */
void log_write(enum log_level level, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif

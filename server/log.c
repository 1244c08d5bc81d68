#include "server/log.h"

#include <stdarg.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

#include "proto/text.h"

static const char *const level_names[] = {"error", "warning", "info", "debug"};

void log_write(enum log_level level, const char *format, ...)
{
    char message[1024];
    char stamp[32] = "";
    struct timespec now;
    struct tm utc;
    struct text line = {0};
    va_list args;

    va_start(args, format);
    (void)vsnprintf(message, sizeof message, format, args);
    va_end(args);
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &utc) != NULL) {
        (void)strftime(stamp, sizeof stamp, "%Y-%m-%dT%H:%M:%S", &utc);
    }
    text_printf(&line, "{\"time\":\"%s.%03ldZ\",\"level\":\"%s\",\"message\":", stamp,
                now.tv_nsec / 1000000, level_names[level]);
    text_put_json_string(&line, message);
    text_puts(&line, "}\n");
    if (!line.has_failed) {
        ssize_t written = write(STDERR_FILENO, line.bytes, line.size);
        (void)written; /* nobody could be told */
    }
    text_close(&line);
}

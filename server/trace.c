#include "server/trace.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char hex_digits[] = "0123456789abcdef";

/* ---- request ids ----------------------------------------------------------------------------- */

/* Threads take numbers in runs, so that they seldom meet at the counter. */
enum { RUN = 1024, PREFIX_LENGTH = 16 };

static char prefix[PREFIX_LENGTH + 1] = "0000000000000000";
static _Atomic uint64_t next_run;
static _Thread_local uint64_t next_id, end_of_run;

/* Zero is what a failed read leaves; then the clock and the process id have to do. */
static uint64_t draw_number(void)
{
    uint64_t number = 0;
    struct timespec now;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    if (fd >= 0) {
        ssize_t got = read(fd, &number, sizeof number);
        (void)got;
        (void)close(fd);
    }
    if (number == 0) {
        (void)clock_gettime(CLOCK_REALTIME, &now);
        number = (uint64_t)now.tv_nsec << 34 ^ (uint64_t)now.tv_sec ^ (uint64_t)getpid() << 20;
    }
    return number;
}

void trace_init(void)
{
    uint64_t number = draw_number();

    for (size_t i = 0; i < PREFIX_LENGTH; i++) {
        prefix[i] = hex_digits[number >> (4 * i) & 15];
    }
}

bool request_id_is_fit(const char *text)
{
    static const char fit[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
                              "-_.~:/+=@#";
    size_t length;

    if (text == NULL) {
        return false;
    }
    length = strspn(text, fit);
    return length > 0 && length < REQUEST_ID_BYTES && text[length] == '\0';
}

void request_id_make(char out[REQUEST_ID_MADE_BYTES])
{
    char digits[16];
    size_t n = 0;
    uint64_t rest;

    if (next_id == end_of_run) {
        next_id = atomic_fetch_add_explicit(&next_run, RUN, memory_order_relaxed);
        end_of_run = next_id + RUN;
    }
    rest = next_id++;
    memcpy(out, prefix, PREFIX_LENGTH);
    out += PREFIX_LENGTH;
    *out++ = '-';
    do {
        digits[n++] = hex_digits[rest & 15];
        rest >>= 4;
    } while (rest > 0);
    while (n > 0) {
        *out++ = digits[--n];
    }
    *out = '\0';
}

/* ---- traceparent ----------------------------------------------------------------------------- */

/* version "-" trace-id "-" parent-id "-" flags */
enum { VERSION_AT = 0, TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, TRACEPARENT_LENGTH = 55 };

/* Whether `n` lower-case hexadecimal digits stand there; upper-case ones are malformed. */
static bool is_hex(const char *text, size_t n)
{
    return strspn(text, hex_digits) >= n;
}

static bool is_zero(const char *text, size_t n)
{
    return strspn(text, "0") >= n;
}

static bool is_well_formed(const char *text)
{
    if (strlen(text) < TRACEPARENT_LENGTH || text[TRACE_AT - 1] != '-' ||
        text[PARENT_AT - 1] != '-' || text[FLAGS_AT - 1] != '-') {
        return false;
    }
    if (!is_hex(text + VERSION_AT, 2) || !is_hex(text + TRACE_AT, TRACE_ID_BYTES - 1) ||
        !is_hex(text + PARENT_AT, SPAN_ID_BYTES - 1) || !is_hex(text + FLAGS_AT, 2)) {
        return false;
    }
    if (strncmp(text, "00", 2) == 0) { /* what a later version adds begins with a dash */
        return text[TRACEPARENT_LENGTH] == '\0';
    }
    return strncmp(text, "ff", 2) != 0 &&
           (text[TRACEPARENT_LENGTH] == '\0' || text[TRACEPARENT_LENGTH] == '-');
}

bool trace_parse(const char *traceparent, struct trace *out)
{
    memset(out, 0, sizeof *out);
    if (traceparent == NULL || !is_well_formed(traceparent) ||
        is_zero(traceparent + TRACE_AT, TRACE_ID_BYTES - 1) ||
        is_zero(traceparent + PARENT_AT, SPAN_ID_BYTES - 1)) {
        return false;
    }
    memcpy(out->trace_id, traceparent + TRACE_AT, TRACE_ID_BYTES - 1);
    memcpy(out->parent_id, traceparent + PARENT_AT, SPAN_ID_BYTES - 1);
    return true;
}

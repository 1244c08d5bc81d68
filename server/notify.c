#include "server/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum {
    MESSAGE_BYTES = 512,
    WAIT_MS = 1000, /* for a supervisor that has a queue of messages to read */
};

/* "/run/x", or "@x" for a name in the abstract name space, which begins with a zero byte. */
static bool make_address(const char *name, struct sockaddr_un *out, socklen_t *size)
{
    size_t length = strlen(name);

    memset(out, 0, sizeof *out);
    if ((name[0] != '/' && name[0] != '@') || length < 2 || length >= sizeof out->sun_path) {
        return false;
    }
    out->sun_family = AF_UNIX;
    memcpy(out->sun_path, name, length);
    if (name[0] == '@') {
        out->sun_path[0] = '\0';
    }
    *size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length);
    return true;
}

bool notify_send(const char *assignments, int wait_ms)
{
    const char *name = getenv("NOTIFY_SOCKET");
    size_t length = strlen(assignments);
    const struct timeval wait = {wait_ms / 1000, (suseconds_t)(wait_ms % 1000) * 1000};
    struct sockaddr_un address;
    socklen_t size;
    ssize_t sent;
    int fd;

    if (name == NULL || !make_address(name, &address, &size)) {
        return false;
    }
    fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | (wait_ms == 0 ? SOCK_NONBLOCK : 0), 0);
    if (fd < 0) {
        return false;
    }
    if (wait_ms > 0 && setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait) != 0) {
        (void)close(fd);
        return false; /* it could wait for ever */
    }
    sent = sendto(fd, assignments, length, MSG_NOSIGNAL, (const struct sockaddr *)&address, size);
    (void)close(fd);
    return sent == (ssize_t)length;
}

void notify_ready(const char *status)
{
    char message[MESSAGE_BYTES];

    (void)snprintf(message, sizeof message, "READY=1\nSTATUS=%s", status);
    (void)notify_send(message, WAIT_MS);
}

void notify_main_pid(long pid, const char *status)
{
    char message[MESSAGE_BYTES];

    (void)snprintf(message, sizeof message, "MAINPID=%ld\nREADY=1\nSTATUS=%s", pid, status);
    (void)notify_send(message, WAIT_MS);
}

void notify_reloading(void)
{
    char message[MESSAGE_BYTES];
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    (void)snprintf(message, sizeof message,
                   "RELOADING=1\nMONOTONIC_USEC=%" PRIu64 "\nSTATUS=reading the settings again",
                   (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000);
    (void)notify_send(message, WAIT_MS);
}

void notify_stopping(const char *status, uint64_t longest_ms)
{
    char message[MESSAGE_BYTES];

    (void)snprintf(message, sizeof message,
                   "STOPPING=1\nEXTEND_TIMEOUT_USEC=%" PRIu64 "\nSTATUS=%s", longest_ms * 1000,
                   status);
    (void)notify_send(message, WAIT_MS);
}

void notify_watchdog(void)
{
    (void)notify_send("WATCHDOG=1", 0); /* the next one says the same */
}

/* A whole number above 0, or 0. */
static uint64_t read_number(const char *text)
{
    uint64_t number;
    char *end;

    if (text == NULL || text[0] < '0' || text[0] > '9') {
        return 0;
    }
    errno = 0;
    number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

uint64_t notify_watchdog_period_ms(void)
{
    uint64_t timeout_us = read_number(getenv("WATCHDOG_USEC"));
    const char *pid = getenv("WATCHDOG_PID");

    if (timeout_us == 0 || (pid != NULL && read_number(pid) != (uint64_t)getpid())) {
        return 0;
    }
    return timeout_us >= 2000 ? timeout_us / 2000 : 1;
}

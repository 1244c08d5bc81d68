#define _GNU_SOURCE /* CLOCK_BOOTTIME */ // NOLINT(bugprone-reserved-identifier)
#include "server/clock.h"

#include <time.h>

double monotonic_seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9 * (double)now.tv_nsec;
}

static int64_t milliseconds(clockid_t clock)
{
    struct timespec now;

    (void)clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t realtime_ms(void)
{
    return milliseconds(CLOCK_REALTIME);
}

int64_t monotonic_ms(void)
{
    return milliseconds(CLOCK_MONOTONIC);
}

int64_t boottime_ms(void)
{
    return milliseconds(CLOCK_BOOTTIME);
}

void pause_ms(int64_t ms)
{
    const struct timespec time = {ms / 1000, ms % 1000 * 1000000};

    (void)nanosleep(&time, NULL);
}

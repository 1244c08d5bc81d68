/* Time, for measuring how long something takes and for saying when it was. Thread-safe. */
#ifndef DGLD_SERVER_CLOCK_H
#define DGLD_SERVER_CLOCK_H

#include <stdint.h>

/* Seconds of a clock that only goes forward, from an arbitrary beginning. */
double monotonic_seconds(void);

/* Milliseconds since 1970 (UTC). */
int64_t realtime_ms(void);

/* Milliseconds of the clock of monotonic_seconds(). */
int64_t monotonic_ms(void);

/* Milliseconds of a clock that goes on while the machine sleeps, from an arbitrary beginning: for
 * how long something may have been stopped. */
int64_t boottime_ms(void);

/* Sleeps. */
void pause_ms(int64_t ms);

#endif

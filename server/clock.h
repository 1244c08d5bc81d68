/* Time for measuring how long something takes. Thread-safe. */
#ifndef DGLD_SERVER_CLOCK_H
#define DGLD_SERVER_CLOCK_H

/* Seconds of a clock that only goes forward, from an arbitrary beginning. */
double monotonic_seconds(void);

#endif

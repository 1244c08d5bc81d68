/* What the service tells its supervisor: systemd's notification protocol, sd_notify(3), spoken
 * directly, as that page advises for so few messages. Every function does nothing where the
 * environment names no $NOTIFY_SOCKET. One that is told once waits up to a second for a supervisor whose
 * queue is full: were it lost, a service that is well would be ended. Thread-safe as long as nothing
 * changes the environment. */
#ifndef DGLD_SERVER_NOTIFY_H
#define DGLD_SERVER_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>

/* Clients are served; `status` is a sentence for people, without line breaks. */
void notify_ready(const char *status);

/* Another process serves from now on, and is the one to watch. */
void notify_main_pid(long pid, const char *status);

/* Settings are read again; notify_ready() says when that is done. */
void notify_reloading(void);

/* A stop has begun, which may take `longest_ms`: the supervisor waits that long, even where it was
 * told a shorter time. */
void notify_stopping(const char *status, uint64_t longest_ms);

/* The main loop lives. Never waits. */
void notify_watchdog(void);

/* Sends assignments, "READY=1\nSTATUS=...": what the ones above do. Where the supervisor's queue is full
 * it waits up to `wait_ms`, from 0 on. False where nothing was sent. */
bool notify_send(const char *assignments, int wait_ms);

/* How often notify_watchdog() is to be called: half of what the supervisor waits ($WATCHDOG_USEC),
 * at least 1 ms. 0 where it does not wait for this process. */
uint64_t notify_watchdog_period_ms(void);

#endif

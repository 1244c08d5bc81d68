/* One process takes over from another: the running one starts the program that is at its path by
 * now, with its own arguments, gives it the listening sockets (as a supervisor does, by LISTEN_FDS),
 * and waits to hear that it serves. Until then, and where it fails, nothing has changed. Both share
 * the sockets, so nobody who connects is refused.
 *
 * Of the main thread. */
#ifndef DGLD_SERVER_HANDOVER_H
#define DGLD_SERVER_HANDOVER_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "core/error.h"
#include "server/listeners.h"
#include "server/path.h"

struct handover {
    char program[PATH_BYTES]; /* what is started, by the name that this process was started by */
    char *const *arguments;   /* borrowed: main()'s */
    int tell_fd;              /* where a predecessor waits to hear of us; -1 without one */
    bool are_sockets_own;     /* it had bound them itself: no supervisor keeps them open */
    pid_t successor;          /* 0 without one */
    int hear_fd;              /* readable when the successor serves, or has ended */
};

/* Notes how this process was started, and whether by a predecessor. To be called before the first
 * thread starts. ERR_LIMIT, ERR_IO. */
enum err handover_init(struct handover *handover, char *const *arguments, struct error *err);

/* Tells the predecessor, if there is one, that this process serves. */
void handover_tell_ready(struct handover *handover);

/* Starts a successor; `hear_fd` is to be watched. ERR_IO, ERR_NOMEM; ERR_INVALID where there is one
 * already, or this is process 1, with whose end a container ends. */
enum err handover_start(struct handover *handover, const struct listeners *listeners,
                        struct error *err);

/* When `hear_fd` is readable: true where the successor serves. Else it has ended, and `err` says how;
 * another one may be started then. `hear_fd` is closed in any case. */
bool handover_hear(struct handover *handover, struct error *err);

/* Sends a signal to the successor, if there is one. */
void handover_signal(const struct handover *handover, int number);

/* Before the end of the process, which closes `tell_fd`: its predecessor takes that for the end.
 * Accepts a zeroed struct. */
void handover_close(struct handover *handover);

#endif

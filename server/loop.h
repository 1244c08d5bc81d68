/* The service's main loop: signals, and the orderly stop. libuv, in the main thread. */
#ifndef DGLD_SERVER_LOOP_H
#define DGLD_SERVER_LOOP_H

#include "core/error.h"

struct app;
struct http_server;

struct loop;

/* From here on SIGTERM and SIGINT are taken; one that comes before loop_run() is found by it. Open
 * the loop before the first client can come. `*out` is ended with loop_close(). */
enum err loop_open(struct app *app, struct loop **out, struct error *err);

/* Runs until SIGTERM or SIGINT. Then the service is not ready any more, but answers for
 * `drain_delay_ms` as before, so that who deals out connections gets to notice; after that new
 * connections are refused (or wait, at a supervisor's socket, for the next process), and the call
 * returns when the requests in flight are answered and no connection is left: those that were kept
 * open end with their next reply, or once they have been idle for `drain_idle_ms`. Where requests
 * take longer than `drain_timeout_ms`, or at a second signal, the process ends there and then, as
 * done: threads that compute are not waited for, and files are replaced whole or not at all.
 *
 * The supervisor is told (server/notify.h), `status` in a sentence, which is borrowed for the call. */
enum err loop_run(struct loop *loop, struct http_server *http, const char *status,
                  struct error *err);

/* Accepts NULL. */
void loop_close(struct loop *loop);

#endif

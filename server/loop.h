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

/* Runs until SIGTERM or SIGINT: then new connections are refused, those in flight are answered for
 * at most `drain_timeout_ms`, and the call returns. A second signal cuts the wait short. */
enum err loop_run(struct loop *loop, struct http_server *http, struct error *err);

/* Accepts NULL. */
void loop_close(struct loop *loop);

#endif

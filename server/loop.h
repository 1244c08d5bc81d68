/* The service's main loop: signals, and the orderly stop. libuv, in the main thread. */
#ifndef DGLD_SERVER_LOOP_H
#define DGLD_SERVER_LOOP_H

#include "core/error.h"

struct app;
struct http_server;

/* Runs until SIGTERM or SIGINT: then new connections are refused, those in flight are answered for
 * at most `drain_timeout_ms`, and the call returns. A second signal cuts the wait short. */
enum err loop_run(struct app *app, struct http_server *http, struct error *err);

#endif

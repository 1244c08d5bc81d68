/* The whole service in this process, without a port: connections are ends of socket pairs. It has a
 * root of its own below /tmp, with what ships with the program and a few made-up files, and is begun
 * anew every now and then, so that what inputs leave there does not pile up. Single-threaded. */
#ifndef DGLD_TESTS_FUZZ_SERVICE_H
#define DGLD_TESTS_FUZZ_SERVICE_H

#include <stdbool.h>
#include <stddef.h>

/* The token that a service with tokens knows, of an operator. */
#define SERVICE_TOKEN "dgld_fuzz"

/* To be called for every input. `has_tokens` is that of the first call. */
void service_ready(bool has_tokens);

/* Sends the bytes and half-closes, on a connection of its own. Returns what came back (size), until
 * the service has closed or has been silent for a while; static, until the next call. */
const char *service_talk(const char *bytes, size_t size, size_t *reply_size);

#endif

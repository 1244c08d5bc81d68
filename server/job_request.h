/* What clients say of jobs beside the body: preferences, idempotency keys, how long to wait, where a
 * list goes on. Pure functions, thread-safe. */
#ifndef DGLD_SERVER_JOB_REQUEST_H
#define DGLD_SERVER_JOB_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "proto/job.h"

enum { JOB_WAIT_MAX_S = 60, JOB_CURSOR_BYTES = 24 };

/* What Prefer (RFC 7240) asks for; what else stands there is passed over, as the RFC has it. */
struct preference {
    bool has_wait;
    int wait_s; /* 0 to JOB_WAIT_MAX_S; more is cut to that */
    bool is_async;
};

/* `field` may be NULL. Of a preference that stands there twice, the first counts. */
void preference_parse(const char *field, struct preference *out);

/* A whole number in decimal digits; one that is too large becomes INT64_MAX. False for anything
 * else. */
bool digits_parse(const char *text, int64_t *out);

/* An Idempotency-Key: 1 to 255 visible characters of ASCII, with or without double quotes around
 * them. ERR_INVALID. */
enum err idempotency_key_parse(const char *field, char out[JOB_KEY_BYTES], struct error *err);

/* Where the following part of a list begins, as text that means something here alone; and back:
 * false for what was never given out. */
void cursor_format(int64_t before_seq, char out[JOB_CURSOR_BYTES]);
bool cursor_parse(const char *text, int64_t *before_seq);

#endif

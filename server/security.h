/* What keeps strangers out, as the settings say: tokens, certificate, request rates, origins.
 *
 * Filled before the server starts. Requests read it from any thread; security_reload() may run
 * beside them, in one thread at a time. */
#ifndef DGLD_SERVER_SECURITY_H
#define DGLD_SERVER_SECURITY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "core/error.h"
#include "server/auth.h"
#include "server/config.h"
#include "server/cors.h"
#include "server/path.h"
#include "server/rate_limit.h"

struct security {
    struct auth auth;
    struct cors cors;
    struct rate_limit *rates;
    bool has_tls;
    _Atomic int64_t certificate_until_s; /* since 1970, of the one presented; where has_tls */
    /* "" where there is none */
    char tokens_path[PATH_BYTES], certificate_path[PATH_BYTES], key_path[PATH_BYTES];
};

/* Loads what the settings name, relative to `root`; a file that is absent or wrong stops the start.
 * What is allowed and yet unwise is logged; `exposed` is the address where others than programs of
 * this machine connect, or NULL. The caller ends it with security_close(). */
enum err security_init(struct security *security, const struct config *config, const char *root,
                       const char *exposed, struct error *err);

/* Reads tokens and certificate again. What is wrong is logged with the reason, and what was there
 * stays. Settings are not looked at. */
void security_reload(struct security *security);

/* Once no request runs any more. Accepts a zeroed struct. */
void security_close(struct security *security);

#endif

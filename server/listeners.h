/* The sockets that clients connect to: one that is bound as the settings say, or those that a
 * supervisor hands over, such as systemd's socket units: the protocol of sd_listen_fds(3), spoken
 * directly, as that page advises.
 *
 * A socket that was handed over stays open in the supervisor's hands: closing it here refuses
 * nobody, and who waits there is served by the process that gets it next. The caller owns the
 * struct, zeroed at first, and ends it with listeners_close(). Of one thread. */
#ifndef DGLD_SERVER_LISTENERS_H
#define DGLD_SERVER_LISTENERS_H

#include <stdbool.h>
#include <stddef.h>

#include "core/error.h"
#include "server/config.h"

enum { LISTENERS_MAX = 32, LISTENER_ADDRESS_BYTES = 128, LISTENERS_TEXT_BYTES = 448 };

struct listener {
    int fd;                               /* owned; does not block */
    char address[LISTENER_ADDRESS_BYTES]; /* "127.0.0.1:8080", "[::1]:8080", "unix:/run/x" */
    bool is_unix;
    bool is_local; /* only programs of this machine reach it */
};

struct listeners {
    struct listener items[LISTENERS_MAX];
    size_t n;
    bool is_inherited;
};

/* Takes what $LISTEN_FDS hands over to this process ($LISTEN_PID), and none where it hands over
 * nothing. ERR_INVALID where it does and a number is malformed, or a descriptor is not a listening
 * stream socket of TCP or of the file system. Unsets the variables in any case: to be called before
 * the first thread starts. */
enum err listeners_inherit(struct listeners *out, struct error *err);

/* Binds the address of the settings. ERR_INVALID for an address that is none, ERR_IO where it cannot
 * be bound. */
enum err listeners_bind(const struct config *config, struct listeners *out, struct error *err);

/* The rule of config_check() for sockets that were handed over, by where they truly are: off
 * loopback there has to be a tokens_file or "insecure": true, else ERR_INVALID. */
enum err listeners_check(const struct listeners *listeners, const struct config *config,
                         struct error *err);

/* Where others than programs of this machine can connect, of the sockets that there are or else of
 * the settings; NULL where they cannot. Borrowed from the arguments. */
const char *listeners_exposed(const struct listeners *listeners, const struct config *config);

/* Where clients find them, "http://127.0.0.1:8080, unix:/run/x", cut to LISTENERS_TEXT_BYTES;
 * printable ASCII. */
void listeners_print(const struct listeners *listeners, bool has_tls, char *out);

/* Closes what is open; none are left. */
void listeners_close(struct listeners *listeners);

#endif

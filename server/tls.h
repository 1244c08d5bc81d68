/* The certificate of the service, and what the HTTP library needs to present it.
 *
 * There is one certificate a process, since the library's callback carries nothing of ours: so these
 * functions keep it themselves. tls_load() may be called again at any time, from any thread:
 * handshakes that begin afterwards see the new certificate, and connections that are open, the old.
 */
#ifndef DGLD_SERVER_TLS_H
#define DGLD_SERVER_TLS_H

#include <gnutls/abstract.h>
#include <time.h>

#include "core/error.h"

struct tls_info {
    time_t valid_from, valid_until; /* of the service's own certificate */
};

/* Reads a chain of certificates (PEM, the service's own among them) and its private key (PEM, not
 * encrypted), and presents them from now on. Files that are absent or malformed and a key of another
 * certificate are refused with the reason, and what was presented stays. `info` may be NULL. */
enum err tls_load(const char *certificate_path, const char *key_path, struct tls_info *info,
                  struct error *err);

/* After the last connection. */
void tls_close(void);

/* Of the library's type for MHD_OPTION_HTTPS_CERT_CALLBACK2. */
gnutls_certificate_retrieve_function3 tls_retrieve;

/* TLS 1.2 and 1.3, with forward secrecy and authenticated encryption only. */
extern const char tls_priorities[];

#endif

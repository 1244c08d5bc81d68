#include "server/tls.h"

#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"

/* No groups of numbers modulo a prime: by them a client that computes nothing has the service
 * compute for long. */
const char tls_priorities[] =
    "NORMAL:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:-RSA:-DHE-RSA:-GROUP-DH-ALL:-CIPHER-ALL:"
    "+AES-256-GCM:+CHACHA20-POLY1305:+AES-128-GCM:+AES-256-CCM:"
    "+AES-128-CCM:%SERVER_PRECEDENCE";

#define TLS_FILE_MAX_BYTES ((size_t)1 << 20)

enum { KEY_ID_BYTES = 64 };

/* What is presented. Handshakes get copies, which their sessions own, so that it can be ended as
 * soon as another takes its place. */
struct credentials {
    gnutls_x509_crt_t *chain; /* (n_chain), the service's own first; allocated by the library */
    unsigned n_chain;
    gnutls_x509_privkey_t key;
};

/* Under the lock; so is reading the objects of the library, which does not say that it is safe for
 * several threads. A copy takes some 0.1 ms, the handshake that it is for ten times that. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct credentials current;

static void close_credentials(struct credentials *credentials)
{
    for (unsigned i = 0; i < credentials->n_chain; i++) {
        gnutls_x509_crt_deinit(credentials->chain[i]);
    }
    gnutls_free(credentials->chain);
    if (credentials->key != NULL) {
        gnutls_x509_privkey_deinit(credentials->key);
    }
    memset(credentials, 0, sizeof *credentials);
}

/* ---- loading --------------------------------------------------------------------------------- */

static enum err error_tls(struct error *err, int code, const char *path, const char *what)
{
    return error_set(err, code == GNUTLS_E_MEMORY_ERROR ? ERR_NOMEM : ERR_INVALID, "%s: %s: %s",
                     path, what, gnutls_strerror(code));
}

/* The bytes of a file, to be freed with mem_free(). */
static enum err read_file(const char *path, gnutls_datum_t *out, struct error *err)
{
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(path, TLS_FILE_MAX_BYTES, &bytes, &size, err);

    *out = (gnutls_datum_t){(unsigned char *)bytes, (unsigned)size};
    return rc;
}

static enum err read_chain(const char *path, struct credentials *out, struct error *err)
{
    gnutls_datum_t pem;
    enum err rc = read_file(path, &pem, err);
    int code;

    if (rc != ERR_OK) {
        return rc;
    }
    code = gnutls_x509_crt_list_import2(&out->chain, &out->n_chain, &pem, GNUTLS_X509_FMT_PEM,
                                        GNUTLS_X509_CRT_LIST_SORT);
    mem_free(pem.data);
    if (code < 0) {
        out->chain = NULL;
        out->n_chain = 0;
        return error_tls(err, code, path, "this is no chain of certificates in PEM");
    }
    return ERR_OK;
}

static enum err read_key(const char *path, struct credentials *out, struct error *err)
{
    gnutls_datum_t pem;
    enum err rc = read_file(path, &pem, err);
    int code;

    if (rc != ERR_OK) {
        return rc;
    }
    code = gnutls_x509_privkey_init(&out->key);
    if (code >= 0) {
        code = gnutls_x509_privkey_import2(out->key, &pem, GNUTLS_X509_FMT_PEM, NULL, 0);
    }
    gnutls_memset(pem.data, 0, pem.size); /* a copy of the key less */
    mem_free(pem.data);
    if (code == GNUTLS_E_DECRYPTION_FAILED || code == GNUTLS_E_PKCS11_PIN_ERROR) {
        return error_set(err, ERR_INVALID,
                         "%s: the private key is encrypted; the service has nobody to ask for the "
                         "password",
                         path);
    }
    return code < 0 ? error_tls(err, code, path, "this is no private key in PEM") : ERR_OK;
}

/* Whether the key is that of the first certificate. */
static bool is_pair(const struct credentials *credentials)
{
    unsigned char of_certificate[KEY_ID_BYTES];
    unsigned char of_key[KEY_ID_BYTES];
    size_t n_certificate = sizeof of_certificate;
    size_t n_key = sizeof of_key;

    return gnutls_x509_crt_get_key_id(credentials->chain[0], GNUTLS_KEYID_USE_SHA256,
                                      of_certificate, &n_certificate) >= 0 &&
           gnutls_x509_privkey_get_key_id(credentials->key, GNUTLS_KEYID_USE_SHA256, of_key,
                                          &n_key) >= 0 &&
           n_certificate == n_key && memcmp(of_certificate, of_key, n_key) == 0;
}

enum err tls_load(const char *certificate_path, const char *key_path, struct tls_info *info,
                  struct error *err)
{
    struct credentials fresh = {0};
    struct credentials previous;
    enum err rc = read_chain(certificate_path, &fresh, err);

    rc = rc != ERR_OK ? rc : read_key(key_path, &fresh, err);
    if (rc == ERR_OK && !is_pair(&fresh)) {
        rc = error_set(err, ERR_INVALID, "%s is not the private key of the certificate in %s",
                       key_path, certificate_path);
    }
    if (rc != ERR_OK) {
        close_credentials(&fresh);
        return rc;
    }
    if (info != NULL) {
        info->valid_from = gnutls_x509_crt_get_activation_time(fresh.chain[0]);
        info->valid_until = gnutls_x509_crt_get_expiration_time(fresh.chain[0]);
    }
    (void)pthread_mutex_lock(&lock);
    previous = current;
    current = fresh;
    (void)pthread_mutex_unlock(&lock);
    close_credentials(&previous);
    return ERR_OK;
}

void tls_close(void)
{
    (void)pthread_mutex_lock(&lock);
    close_credentials(&current);
    (void)pthread_mutex_unlock(&lock);
}

/* ---- handshakes ------------------------------------------------------------------------------ */

/* With the lock held: copies of the chain (n_chain) and of the key. False for want of memory. */
static bool copy_credentials(gnutls_pcert_st *chain, unsigned *n_copied, gnutls_privkey_t *key)
{
    for (*n_copied = 0; *n_copied < current.n_chain; ++*n_copied) {
        if (gnutls_pcert_import_x509(&chain[*n_copied], current.chain[*n_copied], 0) < 0) {
            return false;
        }
    }
    if (gnutls_privkey_init(key) < 0) {
        *key = NULL;
        return false;
    }
    return gnutls_privkey_import_x509(*key, current.key, GNUTLS_PRIVKEY_IMPORT_COPY) >= 0;
}

int tls_retrieve(gnutls_session_t session, const struct gnutls_cert_retr_st *info,
                 gnutls_pcert_st **certs, unsigned int *certs_length, gnutls_ocsp_data_st **ocsp,
                 unsigned int *ocsp_length, gnutls_privkey_t *privkey, unsigned int *flags)
{
    gnutls_pcert_st *chain;
    gnutls_privkey_t key = NULL;
    unsigned n_copied = 0;
    bool ok;

    (void)session;
    (void)info;
    (void)pthread_mutex_lock(&lock);
    chain = current.n_chain > 0 ? gnutls_calloc(current.n_chain, sizeof *chain) : NULL;
    ok = chain != NULL && copy_credentials(chain, &n_copied, &key);
    (void)pthread_mutex_unlock(&lock);
    if (!ok) {
        while (n_copied > 0) {
            gnutls_pcert_deinit(&chain[--n_copied]);
        }
        gnutls_free(chain);
        if (key != NULL) {
            gnutls_privkey_deinit(key);
        }
        return -1;
    }
    *certs = chain;
    *certs_length = n_copied;
    *ocsp = NULL;
    *ocsp_length = 0;
    *privkey = key;
    *flags = GNUTLS_CERT_RETR_DEINIT_ALL;
    return 0;
}

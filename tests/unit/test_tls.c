/* server/tls.h: loading certificates, and handshakes with what was loaded. The certificates are made
 * here; both sides of a handshake run in one thread, over a pair of sockets. */
#include <fcntl.h>
#include <gnutls/gnutls.h>
#include <gnutls/x509.h>
#include <sys/socket.h>

#include "server/tls.h"
#include "tests/support/check.h"

static void must(int code)
{
    if (code < 0) {
        fail_msg("GnuTLS: %s", gnutls_strerror(code));
    }
}

static void write_datum(const char *name, const gnutls_datum_t *datum)
{
    (void)write_bytes(name, datum->data, datum->size);
}

/* A certificate "<name>.pem" that it has signed itself, of a key "<name>.key". */
static void make_pair(const char *name, gnutls_pk_algorithm_t algorithm, time_t until)
{
    gnutls_x509_privkey_t key;
    gnutls_x509_crt_t crt;
    gnutls_datum_t pem;
    char file[64];
    unsigned bits =
        algorithm == GNUTLS_PK_RSA ? 2048 : GNUTLS_CURVE_TO_BITS(GNUTLS_ECC_CURVE_SECP256R1);

    must(gnutls_x509_privkey_init(&key));
    must(gnutls_x509_privkey_generate(key, algorithm, bits, 0));
    must(gnutls_x509_crt_init(&crt));
    must(gnutls_x509_crt_set_version(crt, 3));
    must(gnutls_x509_crt_set_serial(crt, "\1", 1));
    must(gnutls_x509_crt_set_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, name,
                                       (unsigned)strlen(name)));
    must(gnutls_x509_crt_set_activation_time(crt, 1700000000));
    must(gnutls_x509_crt_set_expiration_time(crt, until));
    must(gnutls_x509_crt_set_key(crt, key));
    must(gnutls_x509_crt_sign2(crt, crt, key, GNUTLS_DIG_SHA256, 0));
    must(gnutls_x509_crt_export2(crt, GNUTLS_X509_FMT_PEM, &pem));
    (void)snprintf(file, sizeof file, "%s.pem", name);
    write_datum(file, &pem);
    gnutls_free(pem.data);
    must(gnutls_x509_privkey_export2(key, GNUTLS_X509_FMT_PEM, &pem));
    (void)snprintf(file, sizeof file, "%s.key", name);
    write_datum(file, &pem);
    gnutls_free(pem.data);
    gnutls_x509_crt_deinit(crt);
    gnutls_x509_privkey_deinit(key);
}

/* Shakes hands with a client of these priorities. Returns GnuTLS's code, the server's where both
 * failed; `name` receives the common name of the certificate that the client saw, `kept`, where it
 * is not NULL, the server's session, to be ended by the caller. */
static int shake(const char *client_priorities, char name[64], gnutls_session_t *kept)
{
    gnutls_certificate_credentials_t ours, theirs;
    gnutls_session_t server, client;
    int pair[2];
    int of_server = GNUTLS_E_AGAIN, of_client = GNUTLS_E_AGAIN;

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    must(gnutls_certificate_allocate_credentials(&ours));
    must(gnutls_certificate_allocate_credentials(&theirs));
    gnutls_certificate_set_retrieve_function3(ours, tls_retrieve);
    must(gnutls_init(&server, GNUTLS_SERVER | GNUTLS_NO_SIGNAL));
    must(gnutls_init(&client, GNUTLS_CLIENT | GNUTLS_NO_SIGNAL));
    must(gnutls_priority_set_direct(server, tls_priorities, NULL));
    must(gnutls_priority_set_direct(client, client_priorities, NULL));
    must(gnutls_credentials_set(server, GNUTLS_CRD_CERTIFICATE, ours));
    must(gnutls_credentials_set(client, GNUTLS_CRD_CERTIFICATE, theirs));
    gnutls_transport_set_int(server, pair[0]);
    gnutls_transport_set_int(client, pair[1]);
    for (int i = 0; i < 100 && (of_server == GNUTLS_E_AGAIN || of_client == GNUTLS_E_AGAIN); i++) {
        of_client = of_client == GNUTLS_E_AGAIN ? gnutls_handshake(client) : of_client;
        of_server = of_server == GNUTLS_E_AGAIN ? gnutls_handshake(server) : of_server;
        if (gnutls_error_is_fatal(of_server)) {
            break;
        }
    }
    name[0] = '\0';
    if (of_client == 0) {
        unsigned n = 0;
        size_t size = 64;
        const gnutls_datum_t *seen = gnutls_certificate_get_peers(client, &n);
        gnutls_x509_crt_t crt;
        must(gnutls_x509_crt_init(&crt));
        must(gnutls_x509_crt_import(crt, &seen[0], GNUTLS_X509_FMT_DER));
        must(gnutls_x509_crt_get_dn_by_oid(crt, GNUTLS_OID_X520_COMMON_NAME, 0, 0, name, &size));
        gnutls_x509_crt_deinit(crt);
    }
    gnutls_deinit(client);
    if (kept != NULL) {
        *kept = server;
    } else {
        gnutls_deinit(server);
    }
    gnutls_certificate_free_credentials(theirs);
    gnutls_certificate_free_credentials(ours);
    (void)close(pair[0]);
    (void)close(pair[1]);
    return of_server != 0 ? of_server : of_client;
}

static enum err load(const char *certificate, const char *key, struct error *err)
{
    return tls_load(own_path(certificate), own_path(key), NULL, err);
}

static void what_was_loaded_is_presented(void **state)
{
    static const gnutls_pk_algorithm_t algorithms[] = {GNUTLS_PK_ECDSA, GNUTLS_PK_RSA};
    static const char *const clients[] = {"NORMAL:-VERS-ALL:+VERS-TLS1.3",
                                          "NORMAL:-VERS-ALL:+VERS-TLS1.2"};
    (void)state;
    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        struct tls_info info = {0};
        struct error err = {0};
        char name[64];
        make_pair("one", algorithms[i], 2000000000);
        assert_ok(tls_load(own_path("one.pem"), own_path("one.key"), &info, &err), &err);
        assert_int_equal(info.valid_from, 1700000000);
        assert_int_equal(info.valid_until, 2000000000);
        for (size_t c = 0; c < COUNT_OF(clients); c++) {
            must(shake(clients[c], name, NULL));
            assert_string_equal(name, "one");
        }
    }
    tls_close();
}

static void old_versions_and_weak_ciphers_are_refused(void **state)
{
    static const char *const clients[] = {
        "NORMAL:-VERS-ALL:+VERS-TLS1.1",
        "NORMAL:-VERS-ALL:+VERS-TLS1.0",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+RSA",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-CIPHER-ALL:+AES-128-CBC:+AES-256-CBC",
        "NORMAL:-VERS-ALL:+VERS-TLS1.2:-KX-ALL:+ANON-ECDH",
    };
    struct error err = {0};
    char name[64];
    (void)state;
    make_pair("one", GNUTLS_PK_RSA, 2000000000);
    assert_ok(load("one.pem", "one.key", &err), &err);
    for (size_t i = 0; i < COUNT_OF(clients); i++) {
        assert_true(shake(clients[i], name, NULL) < 0);
    }
    must(shake("NORMAL", name, NULL));
    tls_close();
}

static void a_new_certificate_is_for_new_connections(void **state)
{
    gnutls_session_t open;
    struct error err = {0};
    char name[64];
    (void)state;
    make_pair("one", GNUTLS_PK_ECDSA, 2000000000);
    make_pair("two", GNUTLS_PK_RSA, 2000000000);
    assert_ok(load("one.pem", "one.key", &err), &err);
    must(shake("NORMAL", name, &open));
    assert_string_equal(name, "one");
    assert_ok(load("two.pem", "two.key", &err), &err);
    must(shake("NORMAL", name, NULL));
    assert_string_equal(name, "two");
    gnutls_deinit(open); /* it has outlived what it was made with */
    tls_close();
}

static void certificate_and_key_may_stand_in_one_file(void **state)
{
    struct error err = {0};
    char name[64];
    char both[8192];
    FILE *fp;
    size_t n;
    (void)state;
    make_pair("one", GNUTLS_PK_ECDSA, 2000000000);
    fp = fopen(own_path("one.pem"), "rb");
    assert_non_null(fp);
    n = fread(both, 1, sizeof both / 2, fp);
    (void)fclose(fp);
    fp = fopen(own_path("one.key"), "rb");
    assert_non_null(fp);
    n += fread(both + n, 1, sizeof both / 2, fp);
    (void)fclose(fp);
    (void)write_bytes("bundle.pem", both, n); /* certificate and key in one file */
    assert_ok(load("bundle.pem", "bundle.pem", &err), &err);
    must(shake("NORMAL", name, NULL));
    assert_string_equal(name, "one");
    tls_close();
}

static void wrong_files_are_refused_and_the_old_stay(void **state)
{
    static const struct {
        const char *certificate, *key, *phrase;
        enum err code;
    } rows[] = {
        {"two.pem",    "one.key",    "one.key is not the private key of the certificate in", ERR_INVALID  },
        {"absent.pem", "one.key",    "absent.pem",                                           ERR_NOT_FOUND},
        {"one.pem",    "absent.key", "absent.key",                                           ERR_NOT_FOUND},
        {"empty",      "one.key",    "this is no chain of certificates in PEM",              ERR_INVALID  },
        {"one.pem",    "empty",      "this is no private key in PEM",                        ERR_INVALID  },
        {"one.key",    "one.key",    "this is no chain of certificates in PEM",              ERR_INVALID  },
        {"one.pem",    "one.pem",    "this is no private key in PEM",                        ERR_INVALID  },
        {"cut.pem",    "one.key",    "cut.pem: this is no chain",                            ERR_INVALID  },
    };
    struct error err = {0};
    char name[64];
    (void)state;
    make_pair("one", GNUTLS_PK_ECDSA, 2000000000);
    make_pair("two", GNUTLS_PK_ECDSA, 2000000000);
    (void)write_text("empty", "");
    (void)write_text("cut.pem", "-----BEGIN CERTIFICATE-----\nMIIB\n");
    assert_ok(load("one.pem", "one.key", &err), &err);
    for (size_t i = 0; i < COUNT_OF(rows); i++) {
        assert_error(load(rows[i].certificate, rows[i].key, &err), rows[i].code, &err,
                     rows[i].phrase);
        must(shake("NORMAL", name, NULL));
        assert_string_equal(name, "one");
    }
    tls_close();
}

static void an_encrypted_key_is_refused_as_such(void **state)
{
    gnutls_x509_privkey_t key;
    gnutls_datum_t pem;
    char bytes[8192];
    size_t size = sizeof bytes;
    struct error err = {0};
    (void)state;
    make_pair("one", GNUTLS_PK_ECDSA, 2000000000);
    must(gnutls_x509_privkey_init(&key));
    must(gnutls_load_file(own_path("one.key"), &pem));
    must(gnutls_x509_privkey_import(key, &pem, GNUTLS_X509_FMT_PEM));
    must(gnutls_x509_privkey_export_pkcs8(key, GNUTLS_X509_FMT_PEM, "secret",
                                          GNUTLS_PKCS_PBES2_AES_128, bytes, &size));
    (void)write_bytes("locked.key", bytes, size);
    gnutls_free(pem.data);
    gnutls_x509_privkey_deinit(key);
    assert_error(load("one.pem", "locked.key", &err), ERR_INVALID, &err, "key is encrypted");
}

static void without_a_certificate_no_hands_are_shaken(void **state)
{
    char name[64];
    (void)state;
    assert_true(shake("NORMAL", name, NULL) < 0);
}

static enum err load_one(void *context, struct error *err)
{
    (void)context;
    return load("one.pem", "one.key", err);
}

static void running_out_of_memory_is_told(void **state)
{
    (void)state;
    make_pair("one", GNUTLS_PK_ECDSA, 2000000000);
    fail_each_allocation(load_one, NULL);
    tls_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        directory_test(without_a_certificate_no_hands_are_shaken),
        directory_test(what_was_loaded_is_presented),
        directory_test(old_versions_and_weak_ciphers_are_refused),
        directory_test(a_new_certificate_is_for_new_connections),
        directory_test(certificate_and_key_may_stand_in_one_file),
        directory_test(wrong_files_are_refused_and_the_old_stay),
        directory_test(an_encrypted_key_is_refused_as_such),
        directory_test(running_out_of_memory_is_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}

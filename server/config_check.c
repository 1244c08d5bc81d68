#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "server/config.h"
#include "server/cors.h"
#include "server/postgres.h"

#define LOWER  "abcdefghijklmnopqrstuvwxyz"
#define DIGITS "0123456789"

/* False where `address` is none at all. */
static bool read_address(const char *address, bool *is_loopback)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, address, &v4) == 1) {
        *is_loopback = ntohl(v4.s_addr) >> 24 == 127;
        return true;
    }
    if (inet_pton(AF_INET6, address, &v6) == 1) {
        *is_loopback = IN6_IS_ADDR_LOOPBACK(&v6);
        return true;
    }
    return false;
}

bool config_is_loopback(const char *address)
{
    bool is_loopback = false;

    return read_address(address, &is_loopback) && is_loopback;
}

/* ---- origins (RFC 6454, as browsers write them) ---------------------------------------------- */

/* Steps over a host, [IPv6] or name; NULL where there is none. */
static const char *skip_host(const char *at)
{
    size_t length;

    if (*at == '[') {
        length = strspn(at + 1, DIGITS "abcdef:.");
        return length > 0 && at[length + 1] == ']' ? at + length + 2 : NULL;
    }
    length = strspn(at, LOWER DIGITS "-._");
    return length > 0 ? at + length : NULL;
}

/* Steps over ":port" where there is one; NULL where it is no port. */
static const char *skip_port(const char *at)
{
    size_t length;
    long port;

    if (*at != ':') {
        return at;
    }
    length = strspn(at + 1, DIGITS);
    if (length < 1 || length > 5 || at[1] == '0') {
        return NULL;
    }
    port = strtol(at + 1, NULL, 10);
    return port <= 65535 ? at + 1 + length : NULL;
}

/* Steps over "scheme://host[:port]"; NULL where it is none. */
static const char *skip_origin(const char *at)
{
    size_t length = strspn(at, LOWER DIGITS "+-.");

    if (length == 0 || strchr(LOWER, *at) == NULL || strncmp(at + length, "://", 3) != 0) {
        return NULL;
    }
    at = skip_host(at + length + 3);
    return at != NULL ? skip_port(at) : NULL;
}

/* A port that its scheme implies is left out by browsers, so such an origin would never match. */
static bool has_idle_port(const char *origin, size_t length)
{
    static const char *const idle[][2] = {
        {"http://",  ":80" },
        {"https://", ":443"}
    };

    for (size_t i = 0; i < sizeof idle / sizeof *idle; i++) {
        size_t tail = strlen(idle[i][1]);
        if (strncmp(origin, idle[i][0], strlen(idle[i][0])) == 0 && length > tail &&
            strncmp(origin + length - tail, idle[i][1], tail) == 0) {
            return true;
        }
    }
    return false;
}

/* What the service itself can make of the list, in the words of a setting. */
static enum err check_parsed(const char *list, struct error *err)
{
    struct cors parsed;
    struct error why;

    return cors_parse(list, &parsed, &why) == ERR_OK ? ERR_OK
                                                     : error_set(err, ERR_INVALID, "%s", why.text);
}

static enum err check_origins(const char *list, struct error *err)
{
    const char *at = list;

    if (list[0] == '\0' || strcmp(list, "*") == 0) {
        return ERR_OK;
    }
    for (;;) {
        size_t length = strcspn(at, ",");
        if (skip_origin(at) != at + length) {
            return error_set(err, ERR_INVALID,
                             "cors_origins must be * or origins like https://host or "
                             "http://host:port, in lower case, without path or blanks, separated "
                             "by commas; \"%.*s\" is none",
                             (int)(length < 60 ? length : 60), at);
        }
        if (has_idle_port(at, length)) {
            return error_set(err, ERR_INVALID,
                             "cors_origins: browsers leave the port of \"%.*s\" out, so it would "
                             "never match; leave it out here too",
                             (int)(length < 60 ? length : 60), at);
        }
        if (at[length] == '\0') {
            return check_parsed(list, err);
        }
        at += length + 1;
    }
}

/* ---- what one key demands of another --------------------------------------------------------- */

static enum err check_bind(const struct config *config, struct error *err)
{
    bool is_loopback = false;

    if (!read_address(config->bind, &is_loopback)) {
        return error_set(err, ERR_INVALID, "bind must be an IPv4 or IPv6 address, not \"%.60s\"",
                         config->bind);
    }
    if (!is_loopback && config->tokens_file[0] == '\0' && !config->insecure) {
        return error_set(err, ERR_INVALID,
                         "bind is %s, where anyone could call; name a tokens_file, or set "
                         "\"insecure\": true in the settings if that is meant, or listen on "
                         "127.0.0.1",
                         config->bind);
    }
    return ERR_OK;
}

static enum err check_tls(const struct config *config, struct error *err)
{
    bool has_certificate = config->tls_certificate_file[0] != '\0';
    bool has_key = config->tls_key_file[0] != '\0';

    if (has_certificate != has_key) {
        return error_set(err, ERR_INVALID, "%s is set and %s is not; HTTPS needs both",
                         has_key ? "tls_key_file" : "tls_certificate_file",
                         has_key ? "tls_certificate_file" : "tls_key_file");
    }
    return ERR_OK;
}

/* Whether a place that is no URI was meant to be one, or libpq's other form, "host=... password=...":
 * as the name of a file it would be shown, with what is secret in it. */
static bool is_mistaken_for_path(const char *place)
{
    return strstr(place, "://") != NULL || strstr(place, "password=") != NULL ||
           strncasecmp(place, "postgresql:", sizeof "postgresql:" - 1) == 0 ||
           strncasecmp(place, "postgres:", sizeof "postgres:" - 1) == 0;
}

/* What is wrong is not repeated: there may be a password in it. */
static enum err check_job_store(const char *place, struct error *err)
{
    enum err rc;

    if (!postgres_is_uri(place)) {
        return !is_mistaken_for_path(place)
                   ? ERR_OK
                   : error_set(err, ERR_INVALID,
                               "job_store must be the path of a file, or an address that begins "
                               "with postgresql://");
    }
    rc = postgres_check_uri(place, err);
    return rc == ERR_OK ? ERR_OK : error_wrap(err, "job_store");
}

enum err config_check(const struct config *config, const struct config_key **key, struct error *err)
{
    const char *name = "bind";
    enum err rc = check_bind(config, err);

    if (rc == ERR_OK) {
        name = config->tls_key_file[0] != '\0' ? "tls_key_file" : "tls_certificate_file";
        rc = check_tls(config, err);
    }
    if (rc == ERR_OK) {
        name = "cors_origins";
        rc = check_origins(config->cors_origins, err);
    }
    if (rc == ERR_OK) {
        name = "job_store";
        rc = check_job_store(config->job_store, err);
    }
    if (rc != ERR_OK && key != NULL) {
        *key = config_find(name);
    }
    return rc;
}

#include "server/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/json_view.h"
#include "server/log.h"

#define MAX_CONFIG_BYTES ((size_t)1 << 20)
#define MIB              ((int64_t)1 << 20)

/* LIVE ones change at a reload, FIXED ones at the next start. */
enum { FIXED = false, LIVE = true };

#define AT(field) offsetof(struct config, field)

/* A key is called what its field is called. */
#define TEXT(field, preset, help)                                              \
    {                                                                          \
#field, CONFIG_TEXT, FIXED, AT(field), 0, 0, 0, preset, NULL, "", help \
    }
#define WHOLE(field, live, min, max, preset, unit, help)                                \
    {                                                                                   \
#field, CONFIG_WHOLE, live, AT(field), min, max, preset, NULL, NULL, unit, help \
    }
#define CHOICE(field, live, choices, preset, help)                                                \
    {                                                                                             \
#field, CONFIG_CHOICE, live, AT(field), 0, sizeof(choices) / sizeof *(choices)-1, preset, \
            NULL, choices, "", help                                                               \
    }
#define BOOLEAN(field, live, preset, help)                                          \
    {                                                                               \
#field, CONFIG_BOOLEAN, live, AT(field), 0, 1, preset, NULL, NULL, "", help \
    }

static const char *const log_levels[] = {"error", "warning", "info", "debug"};

/* clang-format off */
const struct config_key config_keys[] = {
    TEXT(bind, "127.0.0.1",
         "IPv4 or IPv6 address to listen on; off loopback it needs tokens_file or insecure"),
    WHOLE(port, FIXED, 0, 65535, 8080, "",
          "port to listen on; 0 takes any free one"),
    WHOLE(http_threads, FIXED, 0, 256, 0, "threads",
          "threads that read and answer requests; 0 is one a core"),
    WHOLE(pool_threads, FIXED, 0, 256, 0, "threads",
          "threads that run large batches and what touches files; 0 is one a core"),
    WHOLE(pool_queue_max, LIVE, 1, 1000000, 1024, "requests",
          "requests that wait for the pool; one beyond them is answered 503"),
    WHOLE(batch_timeout_ms, LIVE, 1, 3600000, 30000, "ms",
          "longest time of a request on the pool, its wait included; beyond it is answered 503"),
    WHOLE(batch_max, LIVE, 1, 256 * MIB, 8 * MIB, "latencies",
          "latencies asked in one call, devices times architectures; more is answered 413"),
    WHOLE(body_max_bytes, LIVE, 1024, 1024 * MIB, 32 * MIB, "bytes",
          "largest request body; a larger one is answered 413"),
    WHOLE(transfer_max_bytes, LIVE, 1024, MIB * MIB, 512 * MIB, "bytes",
          "request bodies and replies held at a time, over all connections; a request beyond it is answered 503"),
    WHOLE(connections_max, FIXED, 1, 1000000, 10000, "connections",
          "open connections in all"),
    WHOLE(connections_per_address_max, FIXED, 1, 1000000, 1024, "connections",
          "open connections of one address"),
    WHOLE(idle_timeout_s, FIXED, 1, 3600, 60, "s",
          "time after which an idle connection is closed"),
    WHOLE(header_timeout_s, LIVE, 1, 3600, 10, "s",
          "longest time from the first byte of a request to the end of its headers"),
    WHOLE(body_timeout_s, LIVE, 1, 86400, 60, "s",
          "longest time to receive the body of a request"),
    WHOLE(reply_timeout_s, LIVE, 1, 86400, 300, "s",
          "longest time to send a reply"),
    WHOLE(request_rate_max, LIVE, 0, 1000000, 0, "requests/s",
          "requests of one address in the long run, beyond which it is answered 429; 0 sets no bound"),
    WHOLE(request_burst_max, LIVE, 1, 1000000, 100, "requests",
          "requests of one address at once, where request_rate_max is set"),
    WHOLE(drain_delay_ms, LIVE, 0, 600000, 0, "ms",
          "time at a stop in which /readyz is 503 already and requests are still taken"),
    WHOLE(drain_timeout_ms, LIVE, 0, 600000, 10000, "ms",
          "longest wait at a stop for requests in flight"),
    WHOLE(compression_min_bytes, LIVE, 0, 1024 * MIB, 1400, "bytes",
          "smallest reply that is compressed for a client that accepts it; 0 compresses none"),
    WHOLE(model_poll_ms, LIVE, 10, 3600000, 1000, "ms",
          "time between looks at whether a served model's file has changed"),
    TEXT(tokens_file, "",
         "file of the tokens that clients must show, relative to the root; read again on SIGHUP"),
    TEXT(tls_certificate_file, "",
         "certificate chain (PEM) to serve HTTPS with, relative to the root; read again on SIGHUP"),
    TEXT(tls_key_file, "",
         "private key (PEM) of the certificate, relative to the root; read again on SIGHUP"),
    TEXT(cors_origins, "",
         "origins whose pages may call, separated by commas, or *"),
    CHOICE(log_level, LIVE, log_levels, LOG_INFO,
           "least severe lines that are logged"),
    BOOLEAN(insecure, FIXED, false,
            "listen off loopback without tokens, where anyone could call"),
};
/* clang-format on */

const size_t config_n_keys = sizeof config_keys / sizeof *config_keys;

void config_init(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        void *field = (char *)config + key->offset;
        switch (key->type) {
        case CONFIG_TEXT:
            (void)snprintf(field, CONFIG_TEXT_BYTES, "%s", key->preset_text);
            break;
        case CONFIG_BOOLEAN:
            atomic_store((_Atomic bool *)field, key->preset != 0);
            break;
        default:
            atomic_store((_Atomic int64_t *)field, key->preset);
            break;
        }
    }
}

static enum err set_key(struct config *config, const struct config_key *key, struct json_view value,
                        struct error *err)
{
    void *field = (char *)config + key->offset;
    char text[CONFIG_TEXT_BYTES];
    int64_t whole;

    switch (key->type) {
    case CONFIG_TEXT:
        if (!json_view_text(value, text, sizeof text)) {
            return error_set(err, ERR_INVALID, "%s must be a string of at most %d bytes", key->name,
                             CONFIG_TEXT_BYTES - 1);
        }
        (void)snprintf(field, CONFIG_TEXT_BYTES, "%s", text);
        return ERR_OK;
    case CONFIG_WHOLE:
        if (!json_view_whole(value, &whole) || whole < key->min || whole > key->max) {
            return error_set(err, ERR_INVALID, "%s must be a whole number from %lld to %lld",
                             key->name, (long long)key->min, (long long)key->max);
        }
        atomic_store((_Atomic int64_t *)field, whole);
        return ERR_OK;
    case CONFIG_CHOICE:
        (void)json_view_text(value, text, sizeof text);
        for (int64_t i = 0; json_view_kind(value) == JSON_KIND_STRING && i <= key->max; i++) {
            if (strcmp(text, key->choices[i]) == 0) {
                atomic_store((_Atomic int64_t *)field, i);
                return ERR_OK;
            }
        }
        return error_set(err, ERR_INVALID, "%s must be one of error, warning, info, debug",
                         key->name);
    default:
        if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
            return error_set(err, ERR_INVALID, "%s must be true or false", key->name);
        }
        atomic_store((_Atomic bool *)field, json_view_is_true(value));
        return ERR_OK;
    }
}

static const struct config_key *find_key(const char *name)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        if (strcmp(config_keys[i].name, name) == 0) {
            return &config_keys[i];
        }
    }
    return NULL;
}

static enum err apply_object(struct json_view root, struct config *config, struct error *err)
{
    struct json_member member;
    bool is_seen[sizeof config_keys / sizeof *config_keys] = {false};

    if (json_view_kind(root) != JSON_KIND_OBJECT) {
        return error_set(err, ERR_INVALID, "the settings must be an object, not %s",
                         json_view_kind_name(root));
    }
    for (bool more = json_view_first_member(root, &member); more;
         more = json_view_next_member(&member)) {
        char name[CONFIG_TEXT_BYTES];
        const struct config_key *key =
            json_view_text(member.name, name, sizeof name) ? find_key(name) : NULL;
        enum err rc;
        if (key == NULL) {
            return error_set(err, ERR_INVALID, "there is no setting \"%.60s\"", name);
        }
        if (is_seen[key - config_keys]) {
            return error_set(err, ERR_INVALID, "the setting %s is given twice", name);
        }
        is_seen[key - config_keys] = true;
        rc = set_key(config, key, member.value, err);
        if (rc != ERR_OK) {
            return rc;
        }
    }
    return ERR_OK;
}

enum err config_load(const char *path, struct config *config, struct error *err)
{
    struct config changed = *config;
    struct json_view root;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(path, MAX_CONFIG_BYTES, &bytes, &size, err);

    if (rc != ERR_OK) {
        return rc;
    }
    rc = json_view_check(bytes, size, &root, err);
    if (rc == ERR_OK) {
        rc = apply_object(root, &changed, err);
    }
    mem_free(bytes);
    if (rc != ERR_OK) {
        error_wrap(err, "%s", path);
        return rc;
    }
    *config = changed;
    return ERR_OK;
}

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

enum err config_check(const struct config *config, struct error *err)
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
    if ((config->tls_certificate_file[0] == '\0') != (config->tls_key_file[0] == '\0')) {
        return error_set(err, ERR_INVALID,
                         "tls_certificate_file and tls_key_file go together: %s is not set",
                         config->tls_key_file[0] == '\0' ? "tls_key_file" : "tls_certificate_file");
    }
    return ERR_OK;
}

bool config_is_loopback(const struct config *config)
{
    bool is_loopback = false;

    return read_address(config->bind, &is_loopback) && is_loopback;
}

#include "server/config.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/json_view.h"

#define MAX_CONFIG_BYTES ((size_t)1 << 20)
#define MIB              ((int64_t)1 << 20)

#define AT(field) offsetof(struct config, field)

/* clang-format off */
const struct config_key config_keys[] = {
    {"bind", CONFIG_TEXT, AT(bind), 0, 0, 0, "127.0.0.1", "IPv4 or IPv6 address to listen on"},
    {"port", CONFIG_WHOLE, AT(port), 0, 65535, 8080, NULL,
     "port to listen on; 0 takes any free one"},
    {"http_threads", CONFIG_WHOLE, AT(http_threads), 0, 256, 0, NULL,
     "threads that answer requests; 0 is one a core"},
    {"body_max_bytes", CONFIG_WHOLE, AT(body_max_bytes), 1024, 1024 * MIB, 32 * MIB, NULL,
     "largest request body"},
    {"transfer_max_bytes", CONFIG_WHOLE, AT(transfer_max_bytes), 1024, MIB * MIB, 512 * MIB,
     NULL, "request bodies and replies held at a time, over all connections"},
    {"connections_max", CONFIG_WHOLE, AT(connections_max), 1, 1000000, 10000, NULL,
     "open connections in all"},
    {"connections_per_address_max", CONFIG_WHOLE, AT(connections_per_address_max), 1, 1000000, 1024, NULL,
     "open connections of one address"},
    {"idle_timeout_s", CONFIG_WHOLE, AT(idle_timeout_s), 1, 3600, 60, NULL,
     "seconds after which an idle connection is closed"},
    {"drain_timeout_ms", CONFIG_WHOLE, AT(drain_timeout_ms), 0, 600000, 10000, NULL,
     "longest wait at a stop for requests in flight"},
    {"insecure", CONFIG_BOOLEAN, AT(insecure), 0, 0, 0, NULL,
     "listen off loopback although anyone could call"},
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
        case CONFIG_WHOLE:
            *(int64_t *)field = key->preset;
            break;
        default:
            *(bool *)field = key->preset != 0;
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
        *(int64_t *)field = whole;
        return ERR_OK;
    default:
        if (json_view_kind(value) != JSON_KIND_BOOLEAN) {
            return error_set(err, ERR_INVALID, "%s must be true or false", key->name);
        }
        *(bool *)field = json_view_is_true(value);
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
    if (!is_loopback && !config->insecure) {
        return error_set(err, ERR_INVALID,
                         "bind is %s, where anyone could call; set \"insecure\": true in the "
                         "settings if that is meant, or listen on 127.0.0.1",
                         config->bind);
    }
    return ERR_OK;
}

#include "server/config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/utf8.h"
#include "server/log.h"
#include "server/postgres.h"
#include "server/spelling.h"

#define MIB ((int64_t)1 << 20)

/* LIVE ones change at a reload, FIXED ones at the next start. */
enum { FIXED = false, LIVE = true };

#define AT(field) offsetof(struct config, field)
/* The same of a field of exactly that type: one that a reload changes has to be atomic. */
#define AT_TYPE(type, field) \
    (AT(field) + 0 * sizeof(_Generic(&((struct config *)NULL)->field, type * : 1)))

/* A key is called what its field is called. */
#define TEXT(field, preset, unit, help)                                          \
    {                                                                            \
#field, CONFIG_TEXT, FIXED, AT(field), 0, 0, 0, preset, NULL, unit, help \
    }
#define WHOLE(field, live, min, max, preset, unit, help)                                           \
    {                                                                                              \
#field, CONFIG_WHOLE, live, AT_TYPE(_Atomic int64_t, field), min, max, preset, NULL, NULL, \
            unit, help                                                                             \
    }
#define CHOICE(field, live, choices, preset, help)                                 \
    {                                                                              \
#field, CONFIG_CHOICE, live, AT_TYPE(_Atomic int64_t, field), 0,           \
            sizeof(choices) / sizeof *(choices)-1, preset, NULL, choices, "", help \
    }
#define BOOLEAN(field, live, preset, help)                                                        \
    {                                                                                             \
#field, CONFIG_BOOLEAN, live, AT_TYPE(_Atomic bool, field), 0, 1, preset, NULL, NULL, "", \
            help                                                                                  \
    }

static const char *const log_levels[] = {
    [LOG_ERROR] = "error", [LOG_WARNING] = "warning", [LOG_INFO] = "info", [LOG_DEBUG] = "debug"};

/* clang-format off */
const struct config_key config_keys[] = {
    TEXT(bind, "127.0.0.1", "address",
         "IPv4 or IPv6 address to listen on; off loopback it needs tokens_file or insecure"),
    WHOLE(port, FIXED, 0, 65535, 8080, "",
          "port to listen on; 0 takes any free one"),
    WHOLE(http_threads, FIXED, 0, 256, 0, "threads",
          "threads that read and answer requests; 0 is one a core but one, at least one"),
    WHOLE(pool_threads, FIXED, 0, 256, 0, "threads",
          "threads that run large batches and what touches files; 0 is one a core"),
    WHOLE(pool_queue_max, LIVE, 1, 1000000, 1024, "requests",
          "requests that wait for the pool; one beyond them is answered 503"),
    WHOLE(batch_timeout_ms, LIVE, 1, 3600000, 30000, "ms",
          "longest wait of a request for the pool; one that waited longer is answered 503"),
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
          "longest time to the end of a request's headers, from the connection on, or else from the end of idle_timeout_s on"),
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
    WHOLE(drain_idle_ms, LIVE, 0, 600000, 1000, "ms",
          "time at a stop, or a hand-over, after which a connection that was kept open and asks nothing is closed; "
          "what it asks before is answered, with Connection: close"),
    WHOLE(drain_timeout_ms, LIVE, 0, 600000, 10000, "ms",
          "longest wait at a stop for requests in flight"),
    WHOLE(compression_min_bytes, LIVE, 0, 1024 * MIB, 1400, "bytes",
          "smallest reply that is compressed for a client that accepts it; 0 compresses none"),
    WHOLE(model_poll_ms, LIVE, 0, 3600000, 1000, "ms",
          "time between looks at whether a served model's file has changed; 0 looks on SIGHUP only"),
    TEXT(job_store, "result/.jobs.sqlite", "path or URI",
         "file that jobs are kept in, relative to the root, or postgresql://user@host/database; with none there are no jobs"),
    WHOLE(job_workers, FIXED, 0, 256, 0, "threads",
          "threads that run jobs, at idle priority; one is left to each kind of job; 0 is one a core and two"),
    WHOLE(job_queue_max, LIVE, 1, 1000000, 10000, "jobs",
          "jobs that wait; one beyond them is answered 503"),
    WHOLE(job_attempts_max, LIVE, 1, 1000, 20, "attempts",
          "times that a job is begun, stops in order included, after which it has failed where the service dies with it"),
    WHOLE(job_lease_ms, LIVE, 1000, 3600000, 10000, "ms",
          "time after which a job is taken from a runner that gives no sign of life"),
    WHOLE(job_retention_s, LIVE, 1, 315360000, 604800, "s",
          "time for which ended jobs and their files are kept"),
    WHOLE(job_ended_max, LIVE, 1, 10000000, 100000, "jobs",
          "ended jobs that are kept; beyond them the oldest go early"),
    WHOLE(event_streams_max, LIVE, 1, 1000000, 256, "streams",
          "clients that follow events at a time; one beyond them is answered 503"),
    TEXT(tokens_file, "", "path",
         "file of the tokens that clients must show, relative to the root; SIGHUP reads it anew"),
    TEXT(tls_certificate_file, "", "path",
         "certificate chain (PEM) to serve HTTPS with, relative to the root; SIGHUP reads it anew"),
    TEXT(tls_key_file, "", "path",
         "private key (PEM) of the certificate, relative to the root; SIGHUP reads it anew"),
    WHOLE(hsts_max_age_s, LIVE, 0, 63072000, 86400, "s",
          "time for which a browser that came by HTTPS shall come to this host, on all its ports, by HTTPS alone; 0 asks no such thing"),
    TEXT(cors_origins, "", "origins",
         "origins whose pages may call, as https://a.example,https://b.example, or *"),
    CHOICE(log_level, LIVE, log_levels, LOG_INFO,
           "least severe lines that are logged"),
    BOOLEAN(insecure, FIXED, false,
            "listen off loopback without tokens, where anyone could call"),
};
/* clang-format on */

const size_t config_n_keys = sizeof config_keys / sizeof *config_keys;

_Static_assert(sizeof config_keys / sizeof *config_keys <= CONFIG_MAX_KEYS, "CONFIG_MAX_KEYS");

static void *field_of(struct config *config, const struct config_key *key)
{
    return (char *)config + key->offset;
}

static const void *field_in(const struct config *config, const struct config_key *key)
{
    return (const char *)config + key->offset;
}

static void store(struct config *config, const struct config_key *key, int64_t value)
{
    if (key->type == CONFIG_BOOLEAN) {
        atomic_store((_Atomic bool *)field_of(config, key), value != 0);
    } else {
        atomic_store((_Atomic int64_t *)field_of(config, key), value);
    }
}

static int64_t load(const struct config *config, const struct config_key *key)
{
    return key->type == CONFIG_BOOLEAN
               ? atomic_load((const _Atomic bool *)field_in(config, key))
               : atomic_load((const _Atomic int64_t *)field_in(config, key));
}

static void store_text(struct config *config, const struct config_key *key, const char *text)
{
    (void)snprintf(field_of(config, key), CONFIG_TEXT_BYTES, "%s", text);
}

void config_init(struct config *config)
{
    memset(config, 0, sizeof *config);
    for (size_t i = 0; i < config_n_keys; i++) {
        if (config_keys[i].type == CONFIG_TEXT) {
            store_text(config, &config_keys[i], config_keys[i].preset_text);
        } else {
            store(config, &config_keys[i], config_keys[i].preset);
        }
    }
}

const struct config_key *config_find(const char *name)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        if (strcmp(config_keys[i].name, name) == 0) {
            return &config_keys[i];
        }
    }
    return NULL;
}

const char *config_nearest(const char *name)
{
    struct spelling spelling = {.given = name};

    for (size_t i = 0; i < config_n_keys; i++) {
        spelling_offer(&spelling, config_keys[i].name);
    }
    return spelling.nearest;
}

/* ---- setting --------------------------------------------------------------------------------- */

/* `given` is quoted where it is not NULL. */
static enum err refuse(const struct config_key *key, const char *label, const char *given,
                       struct error *err)
{
    char bounds[CONFIG_BOUNDS_BYTES];
    char not_given[80] = "";

    config_bounds(key, bounds);
    if (given != NULL && key->type != CONFIG_TEXT) {
        (void)snprintf(not_given, sizeof not_given, ", not \"%.60s\"", given);
    }
    switch (key->type) {
    case CONFIG_TEXT:
        return error_set(err, ERR_INVALID,
                         "%s must be a string of at most %d bytes of UTF-8 without control "
                         "characters",
                         label, CONFIG_TEXT_BYTES - 1);
    case CONFIG_WHOLE:
        return error_set(err, ERR_INVALID, "%s must be a whole number from %s%s", label, bounds,
                         not_given);
    case CONFIG_CHOICE:
        return error_set(err, ERR_INVALID, "%s must be one of %s%s", label, bounds, not_given);
    default:
        return error_set(err, ERR_INVALID, "%s must be true or false%s", label, not_given);
    }
}

/* Texts are logged, printed and used as paths. */
static bool is_clean(const char *text)
{
    if (strlen(text) >= CONFIG_TEXT_BYTES) {
        return false;
    }
    while (*text != '\0') {
        size_t length = utf8_length(text);
        if (length == 0 || (unsigned char)*text < 0x20 || *text == 0x7f) {
            return false;
        }
        text += length;
    }
    return true;
}

static bool find_choice(const struct config_key *key, const char *text, int64_t *out)
{
    for (int64_t i = 0; i <= key->max; i++) {
        if (strcmp(text, key->choices[i]) == 0) {
            *out = i;
            return true;
        }
    }
    return false;
}

enum err config_set_json(struct config *config, const struct config_key *key,
                         struct json_view value, struct error *err)
{
    char text[CONFIG_TEXT_BYTES] = "";
    int64_t whole = 0;
    bool is_good;

    switch (key->type) {
    case CONFIG_TEXT:
        is_good = json_view_text(value, text, sizeof text) && is_clean(text);
        break;
    case CONFIG_WHOLE:
        is_good = json_view_whole(value, &whole) && whole >= key->min && whole <= key->max;
        break;
    case CONFIG_CHOICE:
        is_good = json_view_text(value, text, sizeof text) && find_choice(key, text, &whole);
        break;
    default:
        is_good = json_view_kind(value) == JSON_KIND_BOOLEAN;
        whole = is_good && json_view_is_true(value);
        break;
    }
    if (!is_good) {
        return refuse(key, key->name, NULL, err);
    }
    if (key->type == CONFIG_TEXT) {
        store_text(config, key, text);
    } else {
        store(config, key, whole);
    }
    return ERR_OK;
}

/* Digits and a minus only: strtoll() would take blanks and a plus besides. */
static bool read_whole(const char *text, int64_t *out)
{
    const char *digits = text + (text[0] == '-');

    if (digits[0] == '\0' || digits[strspn(digits, "0123456789")] != '\0') {
        return false;
    }
    errno = 0;
    *out = strtoll(text, NULL, 10);
    return errno == 0;
}

enum err config_set_text(struct config *config, const struct config_key *key, const char *label,
                         const char *text, struct error *err)
{
    int64_t whole = 0;
    bool is_good;

    switch (key->type) {
    case CONFIG_TEXT:
        is_good = is_clean(text);
        break;
    case CONFIG_WHOLE:
        is_good = read_whole(text, &whole) && whole >= key->min && whole <= key->max;
        break;
    case CONFIG_CHOICE:
        is_good = find_choice(key, text, &whole);
        break;
    default:
        whole = strcmp(text, "true") == 0;
        is_good = whole || strcmp(text, "false") == 0;
        break;
    }
    if (!is_good) {
        return refuse(key, label, text, err);
    }
    if (key->type == CONFIG_TEXT) {
        store_text(config, key, text);
    } else {
        store(config, key, whole);
    }
    return ERR_OK;
}

void config_copy(struct config *to, const struct config *from, const struct config_key *key)
{
    if (key->type == CONFIG_TEXT) {
        store_text(to, key, field_in(from, key));
    } else {
        store(to, key, load(from, key));
    }
}

bool config_is_equal(const struct config *a, const struct config *b, const struct config_key *key)
{
    return key->type == CONFIG_TEXT ? strcmp(field_in(a, key), field_in(b, key)) == 0
                                    : load(a, key) == load(b, key);
}

/* ---- showing --------------------------------------------------------------------------------- */

void config_value(const struct config *config, const struct config_key *key, char *out)
{
    switch (key->type) {
    case CONFIG_TEXT:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%s", (const char *)field_in(config, key));
        break;
    case CONFIG_WHOLE:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%lld", (long long)load(config, key));
        break;
    case CONFIG_CHOICE:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%s", key->choices[load(config, key)]);
        break;
    default:
        (void)snprintf(out, CONFIG_TEXT_BYTES, "%s", load(config, key) != 0 ? "true" : "false");
        break;
    }
}

void config_shown(const struct config *config, const struct config_key *key, char *out)
{
    config_value(config, key, out);
    if (key->type == CONFIG_TEXT && postgres_is_uri(out)) {
        postgres_redact_uri(field_in(config, key), out, CONFIG_TEXT_BYTES);
    }
}

void config_bounds(const struct config_key *key, char *out)
{
    size_t used = 0;

    out[0] = '\0';
    if (key->type == CONFIG_WHOLE) {
        (void)snprintf(out, CONFIG_BOUNDS_BYTES, "%lld to %lld", (long long)key->min,
                       (long long)key->max);
    }
    for (int64_t i = 0; key->type == CONFIG_CHOICE && i <= key->max; i++) {
        (void)snprintf(out + used, CONFIG_BOUNDS_BYTES - used, "%s%s", i == 0 ? "" : ", ",
                       key->choices[i]);
        used = strlen(out);
    }
}

const char *config_type_name(enum config_type type)
{
    static const char *const names[] = {
        [CONFIG_TEXT] = "text",
        [CONFIG_WHOLE] = "whole number",
        [CONFIG_CHOICE] = "choice",
        [CONFIG_BOOLEAN] = "true or false",
    };

    return names[type];
}

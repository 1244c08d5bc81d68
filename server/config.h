/* Settings of the service: one table gives names, types, bounds, defaults, units and help.
 * A struct config is filled before the first thread starts. From then on texts are constant; the
 * whole numbers, choices and booleans are atomic, since a reload changes those that are live while
 * requests read them. Where settings come from is told by config_source.h. */
#ifndef DGLD_SERVER_CONFIG_H
#define DGLD_SERVER_CONFIG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"
#include "proto/json_view.h"

enum { CONFIG_TEXT_BYTES = 1024, CONFIG_MAX_KEYS = 64, CONFIG_BOUNDS_BYTES = 128 };

/* What the fields mean stands in the table, config.c. */
struct config {
    char bind[CONFIG_TEXT_BYTES];
    _Atomic int64_t port;
    _Atomic int64_t http_threads; /* 0: one a core but one */
    _Atomic int64_t pool_threads; /* 0: one a core */
    _Atomic int64_t pool_queue_max;
    _Atomic int64_t batch_timeout_ms;
    _Atomic int64_t batch_max;
    _Atomic int64_t body_max_bytes;
    _Atomic int64_t transfer_max_bytes;
    _Atomic int64_t connections_max;
    _Atomic int64_t connections_per_address_max;
    _Atomic int64_t idle_timeout_s;
    _Atomic int64_t header_timeout_s;
    _Atomic int64_t body_timeout_s;
    _Atomic int64_t reply_timeout_s;
    _Atomic int64_t request_rate_max; /* requests a second; 0: no bound */
    _Atomic int64_t request_burst_max;
    _Atomic int64_t drain_delay_ms;
    _Atomic int64_t drain_idle_ms;
    _Atomic int64_t drain_timeout_ms;
    _Atomic int64_t compression_min_bytes; /* 0: never */
    _Atomic int64_t model_poll_ms;
    char job_store[CONFIG_TEXT_BYTES]; /* path, relative to the root, or URI, which may hold a
                                          password; "": no jobs */
    _Atomic int64_t job_workers;       /* 0: one a core and two */
    _Atomic int64_t job_queue_max;
    _Atomic int64_t job_attempts_max;
    _Atomic int64_t job_lease_ms;
    _Atomic int64_t job_retention_s;
    _Atomic int64_t job_ended_max;
    _Atomic int64_t event_streams_max;
    /* paths, relative to the root; "" where there is none */
    char tokens_file[CONFIG_TEXT_BYTES];
    char tls_certificate_file[CONFIG_TEXT_BYTES];
    char tls_key_file[CONFIG_TEXT_BYTES];
    _Atomic int64_t hsts_max_age_s;
    char
        cors_origins[CONFIG_TEXT_BYTES]; /* "", "*" or "https://a.example,https://b.example:8443" */
    _Atomic int64_t log_level;           /* an enum log_level */
    _Atomic bool insecure;
};

enum config_type {
    CONFIG_TEXT,
    CONFIG_WHOLE,
    CONFIG_CHOICE, /* an index into the key's choices */
    CONFIG_BOOLEAN
};

struct config_key {
    const char *name;
    enum config_type type;
    bool is_live;  /* a reload changes it in the running service */
    size_t offset; /* in struct config */
    int64_t min, max, preset;
    const char *preset_text;
    const char *const *choices; /* (max + 1) */
    const char *unit;           /* of a text, what it is; "" where there is none */
    const char *help;
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys; /* at most CONFIG_MAX_KEYS */

/* Every key at its default. */
void config_init(struct config *config);

/* The key of exactly that name, or NULL. */
const struct config_key *config_find(const char *name);
/* The name that was meant by one that does not exist, or NULL. */
const char *config_nearest(const char *name);

/* Sets one key. ERR_INVALID says "<label> must be ..." and leaves the config as it was. */
enum err config_set_json(struct config *config, const struct config_key *key,
                         struct json_view value, struct error *err);
enum err config_set_text(struct config *config, const struct config_key *key, const char *label,
                         const char *text, struct error *err);

/* Copies one key's value; atomic but for texts. */
void config_copy(struct config *to, const struct config *from, const struct config_key *key);
bool config_is_equal(const struct config *a, const struct config *b, const struct config_key *key);

/* The value as text, cut to CONFIG_TEXT_BYTES; what config_set_text() reads back. */
void config_value(const struct config *config, const struct config_key *key, char *out);
/* The same without the passwords that may be in it: what is printed and logged. */
void config_shown(const struct config *config, const struct config_key *key, char *out);
/* "0 to 65535", "error, warning, info, debug" or "", cut to CONFIG_BOUNDS_BYTES. */
void config_bounds(const struct config_key *key, char *out);
/* "text", "whole number", ...; static. */
const char *config_type_name(enum config_type type);

/* What no single type can say: how an address and a list of origins are written, that an address
 * off loopback needs a tokens_file or "insecure": true, that a certificate and its key go together,
 * that an address in job_store is one of PostgreSQL.
 * ERR_INVALID; `key` (may be NULL) then receives the key at fault. */
enum err config_check(const struct config *config, const struct config_key **key,
                      struct error *err);

/* Whether only programs of this machine can reach `address`; false where it is none. */
bool config_is_loopback(const char *address);

#endif

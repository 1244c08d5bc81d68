/* Settings of the service: one table gives names, types, bounds, defaults and help.
 * A struct config is filled before the first thread starts and constant from then on. */
#ifndef DGLD_SERVER_CONFIG_H
#define DGLD_SERVER_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/error.h"

enum { CONFIG_TEXT_BYTES = 256 };

struct config {
    char bind[CONFIG_TEXT_BYTES];
    int64_t port;
    int64_t http_threads; /* 0: one a core */
    int64_t body_max_bytes;
    int64_t transfer_max_bytes;
    int64_t connections_max;
    int64_t connections_per_address_max;
    int64_t idle_timeout_s;
    int64_t drain_timeout_ms;
    bool insecure;
};

enum config_type { CONFIG_TEXT, CONFIG_WHOLE, CONFIG_BOOLEAN };

struct config_key {
    const char *name;
    enum config_type type;
    size_t offset; /* in struct config */
    int64_t min, max, preset;
    const char *preset_text;
    const char *help;
};

extern const struct config_key config_keys[];
extern const size_t config_n_keys;

/* Every key at its default. */
void config_init(struct config *config);

/* Applies a JSON file. A wrong key, type or range is refused by name and with the reason, and the
 * config stays as it was. ERR_NOT_FOUND where there is no such file. */
enum err config_load(const char *path, struct config *config, struct error *err);

/* What no single key can say: an address that is not loopback needs "insecure": true, as long as
 * there is nothing that keeps strangers out. */
enum err config_check(const struct config *config, struct error *err);

#endif

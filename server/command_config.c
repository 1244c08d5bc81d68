#include <stdio.h>
#include <string.h>

#include "server/command.h"
#include "server/config_source.h"

static bool is_quoted(const struct config_key *key)
{
    return key->type == CONFIG_TEXT || key->type == CONFIG_CHOICE;
}

static void put_json_value(struct text *out, const struct config *config,
                           const struct config_key *key)
{
    char value[CONFIG_TEXT_BYTES];

    config_shown(config, key, value);
    if (is_quoted(key)) {
        text_put_json_string(out, value);
    } else {
        text_puts(out, value);
    }
}

/* ---- what the table says --------------------------------------------------------------------- */

static void put_defaults(struct text *out)
{
    struct config presets;

    config_init(&presets);
    text_puts(out, "{\n");
    for (size_t i = 0; i < config_n_keys; i++) {
        text_printf(out, "  \"%s\": ", config_keys[i].name);
        put_json_value(out, &presets, &config_keys[i]);
        text_puts(out, i + 1 < config_n_keys ? ",\n" : "\n");
    }
    text_puts(out, "}\n");
}

static void put_markdown(struct text *out)
{
    struct config presets;

    config_init(&presets);
    text_puts(out, "| key | type | default | bounds | unit | live | meaning |\n"
                   "| --- | --- | --- | --- | --- | --- | --- |\n");
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char preset[CONFIG_TEXT_BYTES];
        char bounds[CONFIG_BOUNDS_BYTES];
        config_value(&presets, key, preset);
        config_bounds(key, bounds);
        text_printf(out, "| `%s` | %s | %s%s%s | %s | %s | %s | %s |\n", key->name,
                    config_type_name(key->type), preset[0] != '\0' ? "`" : "", preset,
                    preset[0] != '\0' ? "`" : "", bounds, key->unit, key->is_live ? "yes" : "no",
                    key->help);
    }
}

/* ---- what is in effect ----------------------------------------------------------------------- */

static void put_effective(struct text *out, const struct config_source *source,
                          const struct config *config, const struct config_origins *origins)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char value[CONFIG_TEXT_BYTES];
        char place[PATH_BYTES];
        config_shown(config, key, value);
        config_origin_place(source, key, origins->of[i], place);
        text_printf(out, "%-28s %-12s %s%s%s\n", key->name, value[0] != '\0' ? value : "\"\"",
                    config_origin_name(origins->of[i]), place[0] != '\0' ? " " : "", place);
    }
}

static void put_effective_json(struct text *out, const struct config_source *source,
                               const struct config *config, const struct config_origins *origins)
{
    struct config presets;

    config_init(&presets);
    text_puts(out, "{\"file\":");
    if (origins->has_file) {
        text_put_json_string(out, source->path);
    } else {
        text_puts(out, "null");
    }
    text_puts(out, ",\"settings\":{");
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        char place[PATH_BYTES];
        config_origin_place(source, key, origins->of[i], place);
        text_printf(out, "%s\"%s\":{\"value\":", i == 0 ? "" : ",", key->name);
        put_json_value(out, config, key);
        text_puts(out, ",\"default\":");
        put_json_value(out, &presets, key);
        text_printf(out,
                    ",\"is_live\":%s,\"origin\":\"%s\",\"place\":", key->is_live ? "true" : "false",
                    config_origin_name(origins->of[i]));
        if (place[0] != '\0') {
            text_put_json_string(out, place);
        } else {
            text_puts(out, "null");
        }
        text_puts(out, "}");
    }
    text_puts(out, "}}\n");
}

enum err command_config(const struct options *options, struct error *err)
{
    struct config_source source;
    struct config config;
    struct config_origins origins;
    struct text out = {0};
    enum err rc;

    if (options->is_defaults) {
        put_defaults(&out);
        return command_print(&out, err);
    }
    if (options->is_markdown) {
        put_markdown(&out);
        return command_print(&out, err);
    }
    rc = config_source_init(&source, options, err);
    rc = rc != ERR_OK ? rc : config_read(&source, &config, &origins, err);
    if (rc != ERR_OK) {
        return rc;
    }
    if (options->is_json) {
        put_effective_json(&out, &source, &config, &origins);
    } else {
        put_effective(&out, &source, &config, &origins);
    }
    return command_print(&out, err);
}

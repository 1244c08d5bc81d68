#include "server/config_source.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "server/log.h"
#include "server/options.h"

#define MAX_CONFIG_BYTES ((size_t)1 << 20)
#define PREFIX           "DGLD_"
#define PREFIX_LENGTH    (sizeof PREFIX - 1)

/* Variables that are no settings: of the tests' own harness, and of dgld jobs, which a shell may
 * export for all. A name ends at its equals sign. */
static const char *const no_settings[] = {"DGLD_TEST_", "DGLD_URL=", "DGLD_TOKEN="};

extern char **environ; /* POSIX has it declared by the program */

enum err config_source_init(struct config_source *out, const struct options *options,
                            struct error *err)
{
    enum err rc;

    memset(out, 0, sizeof *out);
    out->is_path_given = options->config != NULL;
    out->environment = environ;
    memcpy(out->flags, options->settings, sizeof out->flags);
    if (out->is_path_given) {
        rc = path_format(out->path, err, "%s", options->config);
    } else {
        rc = path_format(out->path, err, "%s/config/dgld.json", options->root);
    }
    return rc;
}

/* ---- file ------------------------------------------------------------------------------------ */

static enum err apply_member(struct json_member member, struct config *config,
                             struct config_origins *origins, struct error *err)
{
    char name[CONFIG_TEXT_BYTES];
    bool is_text = json_view_text(member.name, name, sizeof name);
    const struct config_key *key = is_text ? config_find(name) : NULL;
    enum err rc;

    if (key == NULL) {
        const char *nearest = config_nearest(name);
        return error_set(err, ERR_INVALID, "there is no setting \"%.60s\"%s%s%s", name,
                         nearest != NULL ? "; did you mean \"" : "", nearest != NULL ? nearest : "",
                         nearest != NULL ? "\"?" : "");
    }
    if (origins->of[key - config_keys] == CONFIG_FROM_FILE) {
        return error_set(err, ERR_INVALID, "the setting %s is given twice", name);
    }
    rc = config_set_json(config, key, member.value, err);
    if (rc == ERR_OK) {
        origins->of[key - config_keys] = CONFIG_FROM_FILE;
    }
    return rc;
}

static enum err apply_object(struct json_view root, struct config *config,
                             struct config_origins *origins, struct error *err)
{
    struct json_member member;
    enum err rc = ERR_OK;

    if (json_view_kind(root) != JSON_KIND_OBJECT) {
        return error_set(err, ERR_INVALID, "the settings must be an object, not %s",
                         json_view_kind_name(root));
    }
    for (bool more = json_view_first_member(root, &member); rc == ERR_OK && more;
         more = json_view_next_member(&member)) {
        rc = apply_member(member, config, origins, err);
    }
    return rc;
}

static enum err apply_file(const struct config_source *source, struct config *config,
                           struct config_origins *origins, struct error *err)
{
    struct json_view root;
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = file_read(source->path, MAX_CONFIG_BYTES, &bytes, &size, err);

    if (rc == ERR_NOT_FOUND && !source->is_path_given) {
        return ERR_OK; /* the defaults will do */
    }
    if (rc != ERR_OK) {
        return rc;
    }
    rc = json_view_check(bytes, size, &root, err);
    rc = rc != ERR_OK ? rc : apply_object(root, config, origins, err);
    mem_free(bytes);
    if (rc != ERR_OK) {
        error_wrap(err, "%s", source->path);
        return rc;
    }
    origins->has_file = true;
    return ERR_OK;
}

/* ---- environment ----------------------------------------------------------------------------- */

/* The key whose name in upper case these `length` characters are. */
static const struct config_key *find_variable(const char *name, size_t length)
{
    for (size_t i = 0; i < config_n_keys; i++) {
        const char *key = config_keys[i].name;
        size_t k = 0;
        while (k < length && key[k] != '\0' && toupper((unsigned char)key[k]) == name[k]) {
            k++;
        }
        if (k == length && key[k] == '\0') {
            return &config_keys[i];
        }
    }
    return NULL;
}

static void variable_name(const char *key, char *out)
{
    (void)snprintf(out, CONFIG_FLAG_BYTES, PREFIX "%s", key);
    for (char *c = out; *c != '\0'; c++) {
        *c = (char)toupper((unsigned char)*c);
    }
}

/* `name` without the prefix. */
static enum err refuse_variable(const char *name, size_t length, struct error *err)
{
    char given[CONFIG_FLAG_BYTES];
    char meant[CONFIG_FLAG_BYTES] = "";
    const char *nearest;

    (void)snprintf(given, sizeof given, "%.*s", (int)(length < 60 ? length : 60), name);
    nearest = config_nearest(given);
    if (nearest != NULL) {
        variable_name(nearest, meant);
    }
    return error_set(err, ERR_INVALID, "there is no setting for the variable " PREFIX "%s%s%s%s",
                     given, nearest != NULL ? "; did you mean " : "", meant,
                     nearest != NULL ? "?" : "");
}

static enum err apply_variable(const char *variable, struct config *config,
                               struct config_origins *origins, struct error *err)
{
    const char *name = variable + PREFIX_LENGTH;
    const char *equals = strchr(name, '=');
    const struct config_key *key;
    char label[CONFIG_FLAG_BYTES];
    enum err rc;

    for (size_t i = 0; i < sizeof no_settings / sizeof *no_settings; i++) {
        if (strncmp(variable, no_settings[i], strlen(no_settings[i])) == 0) {
            return ERR_OK;
        }
    }
    if (equals == NULL) {
        return ERR_OK;
    }
    key = find_variable(name, (size_t)(equals - name));
    if (key == NULL) {
        return refuse_variable(name, (size_t)(equals - name), err);
    }
    variable_name(key->name, label);
    rc = config_set_text(config, key, label, equals + 1, err);
    if (rc == ERR_OK) {
        origins->of[key - config_keys] = CONFIG_FROM_ENVIRONMENT;
    }
    return rc;
}

/* Kubernetes tells each container of the services in its namespace by variables, and one that is
 * called dgld has these. */
static bool is_set_by_kubernetes(char *const *environment)
{
    static const char known[] = PREFIX "SERVICE_HOST=";

    for (size_t i = 0; environment[i] != NULL; i++) {
        if (strncmp(environment[i], known, sizeof known - 1) == 0) {
            return true;
        }
    }
    return false;
}

static enum err apply_environment(char *const *environment, struct config *config,
                                  struct config_origins *origins, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && environment != NULL && environment[i] != NULL; i++) {
        if (strncmp(environment[i], PREFIX, PREFIX_LENGTH) == 0) {
            rc = apply_variable(environment[i], config, origins, err);
        }
    }
    if (rc != ERR_OK) {
        error_wrap(err, is_set_by_kubernetes(environment)
                            ? "environment (Kubernetes sets variables for a Service called dgld; "
                              "enableServiceLinks: false in the pod leaves them out)"
                            : "environment");
    }
    return rc;
}

/* ---- flags ----------------------------------------------------------------------------------- */

void config_flag_name(const char *key, char *out)
{
    (void)snprintf(out, CONFIG_FLAG_BYTES, "--%s", key);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c == '_' ? '-' : *c;
    }
}

static enum err apply_flags(const char *const *flags, struct config *config,
                            struct config_origins *origins, struct error *err)
{
    enum err rc = ERR_OK;

    for (size_t i = 0; rc == ERR_OK && i < config_n_keys; i++) {
        char label[CONFIG_FLAG_BYTES];
        if (flags[i] == NULL) {
            continue;
        }
        config_flag_name(config_keys[i].name, label);
        rc = config_set_text(config, &config_keys[i], label, flags[i], err);
        origins->of[i] = CONFIG_FROM_FLAG;
    }
    return rc;
}

/* ---- together -------------------------------------------------------------------------------- */

const char *config_origin_name(enum config_origin origin)
{
    static const char *const names[] = {
        [CONFIG_FROM_DEFAULT] = "default",
        [CONFIG_FROM_FILE] = "file",
        [CONFIG_FROM_ENVIRONMENT] = "environment",
        [CONFIG_FROM_FLAG] = "flag",
    };

    return names[origin];
}

void config_origin_place(const struct config_source *source, const struct config_key *key,
                         enum config_origin origin, char *out)
{
    out[0] = '\0';
    if (origin == CONFIG_FROM_FILE) {
        (void)snprintf(out, PATH_BYTES, "%s", source->path);
    } else if (origin == CONFIG_FROM_ENVIRONMENT) {
        variable_name(key->name, out);
    } else if (origin == CONFIG_FROM_FLAG) {
        config_flag_name(key->name, out);
    }
}

/* Checks how the keys go together; what is wrong is said with where the key at fault is from. */
static enum err check(const struct config_source *source, const struct config *config,
                      const struct config_origins *origins, struct error *err)
{
    const struct config_key *key = NULL;
    enum err rc = config_check(config, &key, err);

    if (rc != ERR_OK && origins->of[key - config_keys] != CONFIG_FROM_DEFAULT) {
        char place[PATH_BYTES];
        config_origin_place(source, key, origins->of[key - config_keys], place);
        error_wrap(err, "%s", place);
    }
    return rc;
}

enum err config_read(const struct config_source *source, struct config *out,
                     struct config_origins *origins, struct error *err)
{
    struct config config;
    struct config_origins from = {0};
    enum err rc;

    config_init(&config);
    rc = apply_file(source, &config, &from, err);
    rc = rc != ERR_OK ? rc : apply_environment(source->environment, &config, &from, err);
    rc = rc != ERR_OK ? rc : apply_flags(source->flags, &config, &from, err);
    rc = rc != ERR_OK ? rc : check(source, &config, &from, err);
    if (rc != ERR_OK) {
        return rc;
    }
    *out = config;
    if (origins != NULL) {
        *origins = from;
    }
    return ERR_OK;
}

enum err config_reload(struct config *live, const struct config_source *source,
                       struct config_changes *changes, struct error *err)
{
    struct config after;
    struct config before;
    enum err rc = config_read(source, &after, NULL, err);

    if (rc != ERR_OK) {
        return rc;
    }
    config_init(&before);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        bool is_different = !config_is_equal(live, &after, key);
        config_copy(&before, live, key);
        if (is_different && key->is_live) {
            config_copy(live, &after, key);
        }
        if (changes != NULL) {
            changes->is_different[i] = is_different;
        }
    }
    if (changes != NULL) {
        changes->before = before;
        changes->after = after;
    }
    return ERR_OK;
}

void config_reload_logged(struct config *live, const struct config_source *source)
{
    struct config_changes changes = {0};
    struct error err = {0};
    bool is_any = false;

    if (config_reload(live, source, &changes, &err) != ERR_OK) {
        log_write(LOG_ERROR, "the settings stay as they are: %s", err.text);
        return;
    }
    for (size_t i = 0; i < config_n_keys; i++) {
        char before[CONFIG_TEXT_BYTES];
        char after[CONFIG_TEXT_BYTES];
        if (!changes.is_different[i]) {
            continue;
        }
        is_any = true;
        config_shown(&changes.before, &config_keys[i], before);
        config_shown(&changes.after, &config_keys[i], after);
        if (config_keys[i].is_live) {
            log_write(LOG_INFO, "reloaded: %s %s -> %s", config_keys[i].name, before, after);
        } else {
            log_write(LOG_WARNING, "%s \"%s\" -> \"%s\" takes effect at the next start",
                      config_keys[i].name, before, after);
        }
    }
    if (!is_any) {
        log_write(LOG_INFO, "reloaded: the settings are as they were");
    }
}

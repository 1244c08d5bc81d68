/* Settings: file, environment and flags. An input is the file, then after a line "--" lines of
 * NAME=value, the environment, and after a further one lines of key=value, the flags. */
#include <unistd.h>

#include "server/config.h"
#include "server/config_source.h"
#include "server/cors.h"
#include "tests/fuzz/fuzz.h"

enum { MAX_LINES = 32 };

static struct config config; /* larger than a stack should be asked for */

/* The lines of a text, which they are cut from. Returns how many. */
static size_t split(char *text, char *lines[MAX_LINES + 1])
{
    size_t n = 0;
    char *rest = NULL;

    for (char *line = text != NULL ? strtok_r(text, "\n", &rest) : NULL;
         line != NULL && n < MAX_LINES; line = strtok_r(NULL, "\n", &rest)) {
        lines[n++] = line;
    }
    lines[n] = NULL;
    return n;
}

static void add_flags(struct config_source *source, char *const *lines, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *equals = strchr(lines[i], '=');
        const struct config_key *key;
        if (equals == NULL) {
            continue;
        }
        *equals = '\0';
        key = config_find(lines[i]);
        (void)config_nearest(lines[i]);
        if (key != NULL) {
            source->flags[key - config_keys] = equals + 1;
        }
    }
}

/* What is printed of a setting is read back as the same. */
static void check_values(void)
{
    static struct config again;
    char value[CONFIG_TEXT_BYTES];
    char shown[CONFIG_TEXT_BYTES];
    struct error err = {0};

    config_init(&again);
    for (size_t i = 0; i < config_n_keys; i++) {
        const struct config_key *key = &config_keys[i];
        config_value(&config, key, value);
        config_shown(&config, key, shown);
        if (config_set_text(&again, key, key->name, value, &err) != ERR_OK) {
            (void)fprintf(stderr, "%s: %s\n", key->name, err.text);
            abort();
        }
        require(config_is_equal(&config, &again, key));
    }
    require(config_check(&again, NULL, &err) == ERR_OK);
}

/* Origins that the settings let pass are origins. */
static void check_origins(void)
{
    static struct cors cors;
    struct error err = {0};
    enum err rc = cors_parse(config.cors_origins, &cors, &err);

    require(rc == ERR_OK && cors.n <= CORS_MAX_ORIGINS);
    for (size_t i = 0; i < cors.n; i++) {
        require(cors_allow(&cors, cors.origins[i]) != NULL);
    }
}

static void run(const char *bytes, size_t size)
{
    struct fuzz_parts parts = fuzz_parts(bytes, size);
    size_t length;
    char *file = fuzz_next(&parts, "\n--\n", &length);
    char *environment = fuzz_next(&parts, "\n--\n", NULL);
    char *flags = fuzz_next(&parts, "\n--\n", NULL);
    char *variables[MAX_LINES + 1];
    char *lines[MAX_LINES + 1];
    struct config_source source = {.is_path_given = true};
    static struct config_origins origins;
    struct error err = {0};
    enum err rc;
    int fd = fuzz_file(file, length, source.path);

    (void)split(environment, variables);
    source.environment = variables;
    add_flags(&source, lines, split(flags, lines));
    rc = config_read(&source, &config, &origins, &err);
    require_told(rc, &err, NULL);
    if (rc == ERR_OK) {
        check_values();
        check_origins();
    }
    (void)close(fd);
    free(flags);
    free(environment);
    free(file);
}

FUZZ_TARGET(run)

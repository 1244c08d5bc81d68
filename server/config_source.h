/* Where settings come from: default < file < environment < flag. A struct config_source is kept as
 * long as the service runs, so that a reload puts the same parts together anew. */
#ifndef DGLD_SERVER_CONFIG_SOURCE_H
#define DGLD_SERVER_CONFIG_SOURCE_H

#include "server/config.h"
#include "server/path.h"

struct options;

enum config_origin {
    CONFIG_FROM_DEFAULT,
    CONFIG_FROM_FILE,
    CONFIG_FROM_ENVIRONMENT,
    CONFIG_FROM_FLAG
};

struct config_source {
    char path[PATH_BYTES];
    bool is_path_given;       /* then the file has to exist */
    char *const *environment; /* "NAME=value" ..., NULL at the end, borrowed; NULL: none */
    const char *flags[CONFIG_MAX_KEYS]; /* by key, borrowed; NULL where not given */
};

/* Where each key of a config is from. */
struct config_origins {
    bool has_file; /* there is a file, whatever it sets */
    enum config_origin of[CONFIG_MAX_KEYS];
};

/* The file and flags of the command line, and the process's environment. Borrows the texts of
 * `options`. ERR_LIMIT. */
enum err config_source_init(struct config_source *out, const struct options *options,
                            struct error *err);

/* Puts the settings together and checks them. What is wrong is said with where it stands (file and
 * key, variable, flag); `out` and `origins` (may be NULL) are written on success only. */
enum err config_read(const struct config_source *source, struct config *out,
                     struct config_origins *origins, struct error *err);

/* The file's path, "DGLD_PORT", "--port", or "" for a default; `out` is PATH_BYTES. */
void config_origin_place(const struct config_source *source, const struct config_key *key,
                         enum config_origin origin, char *out);
/* "default", "file", "environment", "flag"; static. */
const char *config_origin_name(enum config_origin origin);

enum { CONFIG_FLAG_BYTES = 64 };
/* "--body-max-bytes" of body_max_bytes, cut to CONFIG_FLAG_BYTES. */
void config_flag_name(const char *key, char *out);

/* What a reload found. A key that is live and differs was changed; one that differs and is not
 * takes effect at the next start. */
struct config_changes {
    struct config before, after;
    bool is_different[CONFIG_MAX_KEYS];
};

/* Reads the settings anew and stores what is live in `live`, which other threads may read
 * meanwhile. On an error nothing is changed. `changes` (may be NULL) is written on success only. */
enum err config_reload(struct config *live, const struct config_source *source,
                       struct config_changes *changes, struct error *err);

/* The same, logged: what was changed, what waits for the next start, or why nothing was. */
void config_reload_logged(struct config *live, const struct config_source *source);

#endif

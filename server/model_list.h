/* What models the files of a space hold. Thread-safe: nothing is cached. */
#ifndef DGLD_SERVER_MODEL_LIST_H
#define DGLD_SERVER_MODEL_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include "core/error.h"
#include "proto/model_file.h"
#include "server/names.h"
#include "server/path.h"

/* A version that some files hold, or a file that is no model. */
struct model_item {
    struct model_info info;
    const struct predictor_kind *kind; /* NULL: no model, `error` says why */
    char *error;                       /* owned */
    struct names names; /* "default", those of named files, "shipped", then the files under models/
                           that are not named after the version; of a file that is no model its own */
    char *path;         /* owned: the first of its files, of which the rest tells */
    uint64_t size_bytes;
    struct timespec modified;
};

struct model_list {
    struct model_item *items; /* (n), owned; by version, those that are no models last */
    size_t n;
};

enum { MODEL_LIST_MAX_FILES = 4096 }; /* looked at for one list; an item tells of the rest */

/* Lists the model files of a space by their headers: versions are what the files say, and nothing
 * vouches for the weights until a file is loaded. A space without files gives an empty list. */
enum err model_list_load(const char *root, const struct space *space, struct model_list *out,
                         struct error *err);

/* The item of that version, or that has that name; NULL where there is none. */
const struct model_item *model_list_find(const struct model_list *list, const char *name);

/* Accepts a zeroed struct. */
void model_list_close(struct model_list *list);

/* The file of a model by name or version, into `out` (PATH_BYTES). `is_by_version` (may be NULL)
 * receives whether the file goes by another name: it may hold another version by the time that it
 * is read. ERR_INVALID for a name that is none, ERR_NOT_FOUND where there is no such model. */
enum err model_list_find_path(const char *root, const struct space *space, const char *name,
                              char *out, bool *is_by_version, struct error *err);

/* What a model that was found by its version has to hold when it was read: ERR_NOT_FOUND where its
 * file was replaced meanwhile. */
enum err model_list_confirm(const struct model *model, const char *version, struct error *err);

#endif

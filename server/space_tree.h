/* The search spaces that are declared in files, <root>/config/spaces/<space>.json: reading them,
 * following them when they change, and writing them for clients.
 *
 * A file that is malformed declares nothing, and harms no other; what it declared before it was so
 * stays. A file that is gone takes its space away. Names from outside become file names only after
 * space_name_validate(). All functions may be called from any thread that may wait for a file, save
 * init and close; in a process one tree alone declares spaces. */
#ifndef DGLD_SERVER_SPACE_TREE_H
#define DGLD_SERVER_SPACE_TREE_H

#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/stat.h>

#include "core/error.h"
#include "core/space_declared.h"
#include "proto/text.h"
#include "server/path.h"

#define SPACE_TREE_DIRECTORY "config/spaces"

enum { SPACE_TREE_MAX_FILES = 64 }; /* more in the directory are passed over */

/* A file, as it was when it was looked at last. */
struct space_file {
    char name[256]; /* without .json; any name that a file may have */
    struct stat seen;
    const struct space *space;    /* what it declares, or did last; NULL: nothing yet */
    char error[ERROR_TEXT_BYTES]; /* what is wrong with it, its path below the root; "" */
    bool is_found;                /* by the look that is going on */
};

struct space_tree {
    char root[PATH_BYTES];
    /* Called, with the lock held, when a space went (`now` NULL), came (`before` NULL) or changed. May
     * be NULL. */
    void (*on_change)(void *context, const struct space *before, const struct space *now);
    void *context;
    bool is_quiet;        /* nothing is logged: for commands, which have one thing to say */
    pthread_mutex_t lock; /* guards what is below, and declaring; taken before serving's */
    struct space_file files[SPACE_TREE_MAX_FILES];
    size_t n_files;
    char list_error[ERROR_TEXT_BYTES]; /* why the directory could not be listed; "" */
};

/* ERR_LIMIT where the path is too long. */
enum err space_tree_init(struct space_tree *tree, const char *root, struct error *err);
void space_tree_close(struct space_tree *tree);

/* Reads what is new in the directory, and logs what came of it. ERR_IO where it cannot be listed:
 * then everything stays. A missing directory has no files. */
enum err space_tree_refresh(struct space_tree *tree, struct error *err);

void space_tree_lock(struct space_tree *tree);
void space_tree_unlock(struct space_tree *tree);

/* For who holds the lock: the file of that name as it was last looked at, or NULL. */
const struct space_file *space_tree_find(const struct space_tree *tree, const char *name);

/* For who holds the lock: declares a space and writes its file, or does neither. ERR_LIMIT as of
 * space_declare(). */
enum err space_tree_put(struct space_tree *tree, const struct space_declaration *declaration,
                        const struct space **out, struct error *err);

/* For who holds the lock: removes the file of that name, and takes its space away. */
enum err space_tree_remove(struct space_tree *tree, const char *name, struct error *err);

/* Appends [{"file", "error"}, ...], the files that are malformed. */
void space_tree_put_malformed(struct space_tree *tree, struct text *out);

/* ERR_INVALID with what is wrong with the file of that name, where there is one and it declares
 * nothing. */
enum err space_tree_check(struct space_tree *tree, const char *name, struct error *err);

#endif

#include "server/space_tree.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "core/file.h"
#include "core/mem.h"
#include "proto/msg_space_declaration.h"
#include "server/log.h"
#include "server/result_tree.h"

static const char suffix[] = ".json";

enum { TOLD_PATH_BYTES = sizeof SPACE_TREE_DIRECTORY + sizeof((struct space_file *)0)->name + 8 };

enum err space_tree_init(struct space_tree *tree, const char *root, struct error *err)
{
    int failed;

    memset(tree, 0, sizeof *tree);
    failed = pthread_mutex_init(&tree->lock, NULL);
    return failed == 0 ? path_format(tree->root, err, "%s", root)
                       : error_sys(err, failed, "cannot create a mutex");
}

void space_tree_close(struct space_tree *tree)
{
    (void)pthread_mutex_destroy(&tree->lock);
}

void space_tree_lock(struct space_tree *tree)
{
    (void)pthread_mutex_lock(&tree->lock);
}

void space_tree_unlock(struct space_tree *tree)
{
    (void)pthread_mutex_unlock(&tree->lock);
}

static enum err file_path(const struct space_tree *tree, const char *name, char *out,
                          struct error *err)
{
    return path_format(out, err, "%s/" SPACE_TREE_DIRECTORY "/%s%s", tree->root, name, suffix);
}

static void tell_change(const struct space_tree *tree, const struct space *before,
                        const struct space *now)
{
    if (before != now && tree->on_change != NULL) {
        tree->on_change(tree->context, before, now);
    }
}

/* ---- looking --------------------------------------------------------------------------------- */

static struct space_file *find_file(const struct space_tree *tree, const char *name)
{
    for (size_t i = 0; i < tree->n_files; i++) {
        if (strcmp(tree->files[i].name, name) == 0) {
            return (struct space_file *)&tree->files[i];
        }
    }
    return NULL;
}

const struct space_file *space_tree_find(const struct space_tree *tree, const char *name)
{
    return find_file(tree, name);
}

/* The file's entry, made where there is none; NULL where there is no room. */
static struct space_file *add_file(struct space_tree *tree, const char *name)
{
    struct space_file *file = find_file(tree, name);

    if (file == NULL && tree->n_files < SPACE_TREE_MAX_FILES) {
        file = &tree->files[tree->n_files++];
        memset(file, 0, sizeof *file);
        (void)snprintf(file->name, sizeof file->name, "%s", name);
    }
    return file;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_size == b->st_size &&
           a->st_mtim.tv_sec == b->st_mtim.tv_sec && a->st_mtim.tv_nsec == b->st_mtim.tv_nsec;
}

/* Declares what the file says. */
static enum err read_file(const char *path, const char *name, const struct space **out,
                          struct error *err)
{
    struct space_declaration *declaration = NULL;
    struct field_errors errors = {0};
    char *bytes = NULL;
    size_t size = 0;
    enum err rc = space_name_validate(name, err);

    rc = rc != ERR_OK ? rc : file_read(path, SPACE_DECLARATION_MAX_BYTES, &bytes, &size, err);
    rc = rc != ERR_OK ? rc
                      : msg_space_declaration_decode(bytes, size, name, &declaration, &errors, err);
    rc = rc != ERR_OK ? rc : space_declare(declaration, out, err);
    field_errors_close(&errors);
    mem_free(declaration);
    mem_free(bytes);
    return rc;
}

/* The file's path below the root as it may be told: of a name that no space may have, whatever bytes
 * it holds, the plain characters. */
static void tell_path(const struct space_file *file, char out[TOLD_PATH_BYTES])
{
    (void)snprintf(out, TOLD_PATH_BYTES, SPACE_TREE_DIRECTORY "/%s%s", file->name, suffix);
    for (char *c = out; *c != '\0'; c++) {
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
    }
}

/* Notes what is wrong with the file, and says so where that is news. */
static void note_error(const struct space_tree *tree, struct space_file *file, const char *path,
                       const struct error *err)
{
    const char *named = strstr(err->text, path); /* the reader of files names it, and in full */
    const char *said = named != NULL ? named + strlen(path) : err->text;
    char told[TOLD_PATH_BYTES];
    char before[ERROR_TEXT_BYTES];

    said += strspn(said, ": ");
    tell_path(file, told);
    memcpy(before, file->error, sizeof before);
    if (said[0] == '\0' && named != NULL) { /* "no memory to read <path>" */
        (void)snprintf(file->error, sizeof file->error, "%.220s: %.*sit", told,
                       (int)(named - err->text), err->text);
    } else {
        (void)snprintf(file->error, sizeof file->error, "%.220s: %.280s", told, said);
    }
    if (!tree->is_quiet && strcmp(before, file->error) != 0) {
        log_write(LOG_ERROR, "%s; %s", file->error,
                  file->space != NULL ? "what it declared before stays" : "it declares nothing");
    }
}

static void note_declared(const struct space_tree *tree, struct space_file *file,
                          const struct space *before)
{
    file->error[0] = '\0';
    if (!tree->is_quiet && before != file->space) {
        log_write(LOG_INFO, "the search space %s is declared%s", file->name,
                  before != NULL ? " anew" : "");
    }
    tell_change(tree, before, file->space);
}

/* Whether the file is there, and how it looks. One that cannot be looked at (a file system that is away for
 * a moment, a link to itself) is there, and says nothing. */
static bool can_see(const struct space_tree *tree, struct space_file *file, const char *path,
                    struct stat *now)
{
    struct error err;
    int failed;

    if (stat(path, now) == 0) {
        file->is_found = true;
        return true;
    }
    failed = errno;
    file->is_found = failed != ENOENT && failed != ENOTDIR;
    if (file->is_found) {
        error_sys(&err, failed, "cannot open %s", path);
        memset(&file->seen, 0, sizeof file->seen); /* it is read anew when it can be */
        note_error(tree, file, path, &err);
    }
    return false;
}

/* Looks at the file, which was there a moment ago, and reads it where it has changed. */
static void look_at(struct space_tree *tree, struct space_file *file)
{
    const struct space *before = file->space;
    char path[PATH_BYTES];
    struct stat now;
    struct error err;
    enum err rc;

    if (file_path(tree, file->name, path, NULL) != ERR_OK) {
        file->is_found = false;
        return;
    }
    if (!can_see(tree, file, path, &now) || is_same(&now, &file->seen)) {
        return;
    }
    file->seen = now; /* before it is read: what changes in between is found by the next look */
    rc = read_file(path, file->name, &file->space, &err);
    if (rc == ERR_OK) {
        note_declared(tree, file, before);
        return;
    }
    if (rc != ERR_SYNTAX && rc != ERR_INVALID) {
        memset(&file->seen, 0, sizeof file->seen); /* not the file's fault: the next look tries */
    }
    note_error(tree, file, path, &err);
}

/* Forgets an entry, and takes its space away; the last one takes its place. */
static void drop_file(struct space_tree *tree, struct space_file *file)
{
    const struct space *space = file->space;

    if (space != NULL) {
        space_withdraw(space);
    }
    if (space != NULL && !tree->is_quiet) {
        log_write(LOG_INFO, "the search space %s is declared no more", file->name);
    }
    *file = tree->files[--tree->n_files];
    tell_change(tree, space, NULL);
}

static bool has_suffix(const char *name, size_t length)
{
    const size_t n = sizeof suffix - 1;

    return length > n && name[0] != '.' && strcmp(name + length - n, suffix) == 0;
}

/* Looks at every file of the directory. */
static void look_at_all(struct space_tree *tree, DIR *dir)
{
    const struct dirent *entry;

    while ((entry = readdir(dir)) != NULL) {
        const size_t length = strlen(entry->d_name);
        char name[256];
        struct space_file *file;
        if (!has_suffix(entry->d_name, length) || length >= sizeof name) {
            continue;
        }
        memcpy(name, entry->d_name, length + 1);
        name[length - (sizeof suffix - 1)] = '\0';
        file = add_file(tree, name);
        if (file != NULL) {
            look_at(tree, file);
        }
    }
}

/* Says why the directory cannot be listed, once. */
static void note_listing(struct space_tree *tree, enum err rc, const struct error *err)
{
    const char *said = rc == ERR_OK ? "" : err->text;

    if (!tree->is_quiet && strcmp(tree->list_error, said) != 0 && said[0] != '\0') {
        log_write(LOG_ERROR, "search spaces stay as they are: %s", said);
    }
    (void)snprintf(tree->list_error, sizeof tree->list_error, "%s", said);
}

enum err space_tree_refresh(struct space_tree *tree, struct error *err)
{
    char path[PATH_BYTES];
    enum err rc = path_format(path, err, "%s/" SPACE_TREE_DIRECTORY, tree->root);
    DIR *dir;

    if (rc != ERR_OK) {
        return rc;
    }
    space_tree_lock(tree);
    dir = opendir(path);
    rc = dir == NULL && errno != ENOENT ? error_sys(err, errno, "cannot list %s", path) : ERR_OK;
    note_listing(tree, rc, err);
    for (size_t i = 0; i < tree->n_files; i++) {
        tree->files[i].is_found = false;
    }
    if (dir != NULL) {
        look_at_all(tree, dir);
        (void)closedir(dir);
    }
    for (size_t i = tree->n_files; rc == ERR_OK && i-- > 0;) {
        if (!tree->files[i].is_found) {
            drop_file(tree, &tree->files[i]);
        }
    }
    space_tree_unlock(tree);
    return rc;
}

/* ---- writing --------------------------------------------------------------------------------- */

static enum err write_file(const char *path, const struct space_declaration *declaration,
                           struct error *err)
{
    struct result_batch batch = {0};
    struct text text = {0};
    enum err rc;

    msg_space_declaration_encode(declaration, true, &text);
    rc = text.has_failed ? error_set(err, ERR_NOMEM, "no memory to write a search space")
                         : result_stage(&batch, path, text.bytes, text.size, err);
    rc = rc != ERR_OK ? rc : result_commit(&batch, err);
    result_close(&batch);
    text_close(&text);
    return rc;
}

/* Back to what was declared before a file could not be written. */
static void restore(const struct space *before, const struct space *now)
{
    if (before == NULL) {
        space_withdraw(now);
    } else {
        (void)space_declare(before->declaration, &now, NULL); /* it has its slot still */
    }
}

enum err space_tree_put(struct space_tree *tree, const struct space_declaration *declaration,
                        const struct space **out, struct error *err)
{
    struct space_file *file = find_file(tree, declaration->name);
    const struct space *before = file != NULL ? file->space : NULL;
    const struct space *now = NULL;
    char path[PATH_BYTES];
    enum err rc = file_path(tree, declaration->name, path, err);

    if (rc == ERR_OK && file == NULL && tree->n_files == SPACE_TREE_MAX_FILES) {
        rc = error_set(err, ERR_LIMIT, "%s holds %d files already", SPACE_TREE_DIRECTORY,
                       SPACE_TREE_MAX_FILES);
    }
    /* declared first: that it can be is part of what the file has to promise */
    rc = rc != ERR_OK ? rc : space_declare(declaration, &now, err);
    if (rc != ERR_OK) {
        return rc;
    }
    rc = write_file(path, declaration, err);
    if (rc != ERR_OK) {
        restore(before, now);
        return rc;
    }
    file = add_file(tree, declaration->name);
    assert(file != NULL); /* it was there, or there was room */
    file->space = now;
    (void)stat(path, &file->seen);
    note_declared(tree, file, before);
    *out = now;
    return ERR_OK;
}

enum err space_tree_remove(struct space_tree *tree, const char *name, struct error *err)
{
    struct space_file *file = find_file(tree, name);
    char path[PATH_BYTES];
    enum err rc = file_path(tree, name, path, err);

    rc = rc != ERR_OK ? rc : result_remove(path, err);
    if ((rc == ERR_OK || rc == ERR_NOT_FOUND) && file != NULL) {
        drop_file(tree, file);
    }
    return rc;
}

/* ---- telling --------------------------------------------------------------------------------- */

void space_tree_put_malformed(struct space_tree *tree, struct text *out)
{
    bool is_first = true;

    text_puts(out, "[");
    space_tree_lock(tree);
    for (size_t i = 0; i < tree->n_files; i++) {
        const struct space_file *file = &tree->files[i];
        char path[TOLD_PATH_BYTES];
        if (file->error[0] == '\0') {
            continue;
        }
        tell_path(file, path);
        text_puts(out, is_first ? "{\"file\":" : ",{\"file\":");
        text_put_json_string(out, path);
        text_puts(out, ",\"error\":");
        text_put_json_string(out, file->error);
        text_puts(out, "}");
        is_first = false;
    }
    space_tree_unlock(tree);
    text_puts(out, "]");
}

enum err space_tree_check(struct space_tree *tree, const char *name, struct error *err)
{
    const struct space_file *file;
    enum err rc = ERR_OK;

    space_tree_lock(tree);
    file = find_file(tree, name);
    if (file != NULL && file->space == NULL) {
        rc = error_set(err, ERR_INVALID, "%s", file->error);
    }
    space_tree_unlock(tree);
    return rc;
}

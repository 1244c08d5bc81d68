#include "server/tree_file.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/path.h"

enum { MOST_LINKS = 16 }; /* followed on one path */

/* Whether a name may be seen: neither hidden nor in the making. */
static bool is_visible(const char *name, size_t length)
{
    static const char ending[] = ".tmp";
    const size_t n = sizeof ending - 1;

    return length > 0 && name[0] != '.' &&
           (length < n || memcmp(name + length - n, ending, n) != 0);
}

/* Whether a path is one that may be asked for: visible names, joined by single slashes. */
static bool is_plain(const char *path)
{
    if (path[0] == '\0') {
        return true; /* the top */
    }
    for (;;) {
        size_t length = strcspn(path, "/");
        if (!is_visible(path, length)) {
            return false;
        }
        if (path[length] == '\0') {
            return true;
        }
        path += length + 1;
    }
}

static enum err absent(struct error *err)
{
    return error_set(err, ERR_NOT_FOUND, "there is nothing at this path of the result tree");
}

/* What a failed call on a path means to who asked for it. */
static enum err refuse(int failed, const char *path, struct error *err)
{
    switch (failed) {
    case EMFILE:
    case ENFILE:
    case ENOMEM:
    case EIO:
        return error_sys(err, failed, "cannot open %.200s", path);
    case EACCES:
    case EPERM:
        return error_set(err, ERR_NOT_FOUND, "the service has no permission to read this path");
    default: /* ENOENT, ENOTDIR, ELOOP, ENAMETOOLONG ... */
        return absent(err);
    }
}

/* ---- links ----------------------------------------------------------------------------------- */

/* A path on its way from what was asked for to what is there. */
struct resolution {
    int top;
    char done[PATH_BYTES]; /* names that are no links */
    char rest[PATH_BYTES]; /* what is still to be looked at */
    int n_links;
};

/* Takes one name off the rest. */
static void take_name(struct resolution *r, char name[PATH_BYTES])
{
    size_t length = strcspn(r->rest, "/");
    size_t skipped = length + (r->rest[length] == '/');

    memcpy(name, r->rest, length);
    name[length] = '\0';
    memmove(r->rest, r->rest + skipped, strlen(r->rest + skipped) + 1);
}

/* Back to the parent directory, which only a link may ask for. */
static enum err step_up(struct resolution *r, struct error *err)
{
    char *slash = strrchr(r->done, '/');

    if (r->done[0] == '\0') {
        return absent(err); /* out of the tree */
    }
    *(slash != NULL ? slash : r->done) = '\0';
    return ERR_OK;
}

/* Puts the target of a link in front of the rest. */
static enum err follow(struct resolution *r, const char *target, struct error *err)
{
    char joined[PATH_BYTES];

    if (target[0] == '/' || ++r->n_links > MOST_LINKS ||
        path_format(joined, NULL, "%s%s%s", target, r->rest[0] != '\0' ? "/" : "", r->rest) !=
            ERR_OK) {
        return absent(err);
    }
    memcpy(r->rest, joined, strlen(joined) + 1);
    return ERR_OK;
}

/* One name: goes down, or follows it where it is a link. */
static enum err step(struct resolution *r, struct error *err)
{
    char name[PATH_BYTES];
    char at[PATH_BYTES];
    char target[PATH_BYTES];
    ssize_t length;

    take_name(r, name);
    if (name[0] == '\0' || strcmp(name, ".") == 0) { /* these and ".." come from links alone */
        return ERR_OK;
    }
    if (strcmp(name, "..") == 0) {
        return step_up(r, err);
    }
    if (!is_visible(name, strlen(name)) ||
        path_format(at, NULL, "%s%s%s", r->done, r->done[0] != '\0' ? "/" : "", name) != ERR_OK) {
        return absent(err);
    }
    length = readlinkat(r->top, at, target, sizeof target - 1);
    if (length >= 0) {
        target[length] = '\0';
        return follow(r, target, err);
    }
    if (errno != EINVAL) {
        return refuse(errno, at, err);
    }
    memcpy(r->done, at, strlen(at) + 1);
    return ERR_OK;
}

/* Writes the path that `path` leads to, without links, into `out` (PATH_BYTES). Links may change
 * meanwhile; hence the result is walked without following any. */
static enum err resolve(int top, const char *path, char *out, struct error *err)
{
    struct resolution r = {.top = top};
    enum err rc = ERR_OK;

    if (strlen(path) >= sizeof r.rest || !is_plain(path)) {
        return absent(err);
    }
    memcpy(r.rest, path, strlen(path) + 1);
    while (rc == ERR_OK && r.rest[0] != '\0') {
        rc = step(&r, err);
    }
    if (rc == ERR_OK) {
        memcpy(out, r.done, strlen(r.done) + 1);
    }
    return rc;
}

/* ---- opening --------------------------------------------------------------------------------- */

/* Opens one name in a directory, following no link. What is neither file nor directory is not
 * touched: opening a device may do something, and a FIFO would wait for its writer. */
static int open_name(int directory, const char *name)
{
    struct stat st;

    if (fstatat(directory, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return -1;
    }
    if (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode)) {
        errno = ENOENT;
        return -1;
    }
    return openat(directory, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
}

/* Walks down from `directory`, which is taken over. Returns a descriptor, or -1 and errno. */
static int walk(int directory, const char *path)
{
    char name[PATH_BYTES];

    while (directory >= 0 && *path != '\0') {
        size_t length = strcspn(path, "/");
        int failed;
        int inner;
        memcpy(name, path, length);
        name[length] = '\0';
        inner = open_name(directory, name);
        failed = errno;
        (void)close(directory);
        errno = failed;
        directory = inner;
        path += length + (path[length] == '/');
    }
    return directory;
}

/* Describes what was opened; the descriptor is taken over. */
static enum err describe(int fd, struct tree_file *out, struct error *err)
{
    struct stat st;

    if (fstat(fd, &st) != 0 || (!S_ISREG(st.st_mode) && !S_ISDIR(st.st_mode))) {
        (void)close(fd);
        return absent(err);
    }
    *out = (struct tree_file){
        .fd = fd,
        .is_directory = S_ISDIR(st.st_mode),
        .size = (uint64_t)st.st_size,
        .inode = (uint64_t)st.st_ino,
        .modified = st.st_mtim,
    };
    return ERR_OK;
}

enum err tree_open(const char *top, const char *path, struct tree_file *out, struct error *err)
{
    char resolved[PATH_BYTES];
    int fd = open(top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err rc;

    if (fd < 0) {
        return refuse(errno, top, err);
    }
    rc = resolve(fd, path, resolved, err);
    if (rc != ERR_OK) {
        (void)close(fd);
        return rc;
    }
    fd = walk(fd, resolved);
    return fd < 0 ? refuse(errno, path, err) : describe(fd, out, err);
}

void tree_close(struct tree_file *file)
{
    if (file->fd >= 0) {
        (void)close(file->fd);
    }
    file->fd = -1;
}

/* ---- listing --------------------------------------------------------------------------------- */

static int compare_entries(const void *a, const void *b)
{
    return strcmp(((const struct result_entry *)a)->name, ((const struct result_entry *)b)->name);
}

/* The first names of a directory in order: twice as many as wanted are gathered, and then the
 * greater half dropped, so that a long directory costs no more memory than a short one. */
struct gathering {
    struct result_entry *entries; /* (2 limit + 1) */
    size_t n, limit;
    bool has_dropped;
};

static void drop_beyond(struct gathering *g)
{
    qsort(g->entries, g->n, sizeof *g->entries, compare_entries);
    while (g->n > g->limit) {
        mem_free(g->entries[--g->n].name);
        g->has_dropped = true;
    }
}

static enum err gather(struct gathering *g, DIR *dir, const char *after, struct error *err)
{
    const struct dirent *entry;

    for (;;) {
        errno = 0;
        entry = readdir(dir);
        if (entry == NULL) {
            break;
        }
        if (!is_visible(entry->d_name, strlen(entry->d_name)) ||
            strcmp(entry->d_name, after) <= 0) {
            continue;
        }
        if (g->n == 2 * g->limit) {
            drop_beyond(g);
        }
        g->entries[g->n].name = mem_strdup(entry->d_name);
        if (g->entries[g->n].name == NULL) {
            return error_set(err, ERR_NOMEM, "no memory to list a directory");
        }
        g->n++;
    }
    if (errno != 0) {
        return error_sys(err, errno, "cannot list a directory");
    }
    drop_beyond(g);
    return ERR_OK;
}

/* Fills in what a name stands for; false where it is nothing that may be seen. */
static bool inspect(const char *top, const char *path, int directory, struct result_entry *entry)
{
    char inner[PATH_BYTES];
    struct tree_file file = {.fd = -1};
    struct stat st;

    if (fstatat(directory, entry->name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return false;
    }
    if (S_ISLNK(st.st_mode)) {
        if (path_format(inner, NULL, "%s%s%s", path, path[0] != '\0' ? "/" : "", entry->name) !=
                ERR_OK ||
            tree_open(top, inner, &file, NULL) != ERR_OK) {
            return false;
        }
        entry->is_directory = file.is_directory;
        entry->size_bytes = file.size;
        entry->modified = file.modified;
        tree_close(&file);
        return true;
    }
    entry->is_directory = S_ISDIR(st.st_mode);
    entry->size_bytes = (uint64_t)st.st_size;
    entry->modified = st.st_mtim;
    return S_ISREG(st.st_mode) || S_ISDIR(st.st_mode);
}

/* Names into entries; the listing takes over what was gathered. */
static enum err finish(const char *top, const char *path, int directory, struct gathering *g,
                       struct tree_listing *out, struct error *err)
{
    size_t n_kept = 0;

    if (g->has_dropped && g->n > 0) {
        out->next = mem_strdup(g->entries[g->n - 1].name);
        if (out->next == NULL) {
            return error_set(err, ERR_NOMEM, "no memory to list a directory");
        }
    }
    for (size_t i = 0; i < g->n; i++) {
        struct result_entry entry = g->entries[i];
        if (inspect(top, path, directory, &entry)) {
            g->entries[n_kept++] = entry;
        } else {
            mem_free(entry.name);
        }
    }
    out->entries = g->entries;
    out->n = n_kept;
    g->entries = NULL;
    g->n = 0;
    return ERR_OK;
}

enum err tree_list(const char *top, const char *path, const char *after, size_t limit,
                   struct tree_listing *out, struct error *err)
{
    struct gathering g = {.limit = limit};
    struct tree_file file = {.fd = -1};
    DIR *dir;
    enum err rc = tree_open(top, path, &file, err);

    memset(out, 0, sizeof *out);
    if (rc != ERR_OK) {
        return rc;
    }
    dir = file.is_directory ? fdopendir(file.fd) : NULL;
    if (dir == NULL) {
        rc = file.is_directory ? refuse(errno, path, err) : absent(err);
        tree_close(&file);
        return rc;
    }
    g.entries = mem_calloc(2 * limit + 1, sizeof *g.entries);
    rc = g.entries != NULL ? gather(&g, dir, after, err)
                           : error_set(err, ERR_NOMEM, "no memory to list a directory");
    rc = rc != ERR_OK ? rc : finish(top, path, dirfd(dir), &g, out, err);
    (void)closedir(dir);
    for (size_t i = 0; i < g.n; i++) {
        mem_free(g.entries[i].name);
    }
    mem_free(g.entries);
    return rc;
}

void tree_listing_close(struct tree_listing *listing)
{
    for (size_t i = 0; i < listing->n; i++) {
        mem_free(listing->entries[i].name);
    }
    mem_free(listing->entries);
    mem_free(listing->next);
    memset(listing, 0, sizeof *listing);
}

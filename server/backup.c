#define _GNU_SOURCE /* syncfs, memmem; NOLINT(bugprone-reserved-identifier) */
#include "server/backup.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"
#include "proto/digest.h"
#include "proto/text.h"
#include "server/job_store.h"
#include "server/path.h"

/* A file with a private key is no larger than KEY_FILE_MAX_BYTES where the service takes it; the line
 * that a key begins with fits into KEY_LINE_BYTES, blanks before it included. */
enum { DEPTH_MAX = 32, COPY_BYTES = 64 << 10, KEY_FILE_MAX_BYTES = 1 << 20, KEY_LINE_BYTES = 128 };

#define STORE_ELSEWHERE "result/.jobs.sqlite"
#define SUMS            "SHA256SUMS"

static const char *const parts[] = {"config", "data", "result"};

/* A copy while it is made. */
struct copy {
    const struct backup_plan *plan;
    char top[PATH_BYTES];   /* where it is made, beside `to` */
    char from[PATH_BYTES];  /* the job store, ... */
    char store[PATH_BYTES]; /* and its path below the top; "" without one */
    const char *store_name; /* within `from` */
    struct stat store_home; /* the directory of `from` */
    bool has_store, has_key;
    struct stat key; /* the private key of the settings */
    struct stat own; /* of the top: it may be made within what is copied */
    struct text sums;
    struct backup_report report;
    char *block; /* (COPY_BYTES) */
};

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_dev == b->st_dev && a->st_ino == b->st_ino;
}

/* ---- a file ---------------------------------------------------------------------------------- */

/* A line of SHA256SUMS as sha256sum -c reads it: a name with a backslash or a line's end is told to
 * be escaped. */
static void add_sum(struct copy *copy, const char *path, const char *digest)
{
    bool is_escaped = strpbrk(path, "\\\n\r") != NULL;

    text_printf(&copy->sums, "%s%s  ", is_escaped ? "\\" : "", digest);
    for (const char *c = path; *c != '\0'; c++) {
        switch (*c) {
        case '\\':
            text_puts(&copy->sums, "\\\\");
            break;
        case '\n':
            text_puts(&copy->sums, "\\n");
            break;
        case '\r':
            text_puts(&copy->sums, "\\r");
            break;
        default:
            text_printf(&copy->sums, "%c", *c);
        }
    }
    text_puts(&copy->sums, "\n");
}

/* Copies to the end (to nowhere where `out` is -1), and takes the digest on the way. */
static enum err copy_bytes(struct copy *copy, int in, int out, const char *path, struct error *err)
{
    struct digest_stream digest;
    char hex[DIGEST_HEX_BYTES];
    ssize_t n;

    digest_begin(&digest);
    while ((n = read(in, copy->block, COPY_BYTES)) != 0) {
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return error_sys(err, errno, "cannot read %s", path);
        }
        digest_add(&digest, copy->block, (size_t)n);
        for (ssize_t done = 0, now; out >= 0 && done < n; done += now) {
            now = write(out, copy->block + done, (size_t)(n - done));
            if (now < 0 && errno != EINTR) {
                return error_sys(err, errno, "cannot write %s of the copy", path);
            }
            now = now < 0 ? 0 : now;
        }
        copy->report.n_bytes += (uint64_t)n;
    }
    digest_end(&digest, hex);
    add_sum(copy, path, hex);
    copy->report.n_files++;
    return ERR_OK;
}

/* Rights and times as they are; the owner where that may be given. */
static void keep_looks(int fd, const struct stat *st)
{
    const struct timespec times[2] = {st->st_atim, st->st_mtim};

    if (fchown(fd, st->st_uid, st->st_gid) != 0) {
        errno = 0; /* whoever is not root restores as themselves */
    }
    (void)fchmod(fd, st->st_mode & 0777);
    (void)futimens(fd, times);
}

/* Whether a line of the block is "-----BEGIN ... PRIVATE KEY-----". No document that was put here over
 * HTTP has such a line: in JSON a line's end within a text is escaped. */
static bool has_key_line(const char *block, size_t size)
{
    static const char begin[] = "-----BEGIN ", end[] = "PRIVATE KEY-----";
    const char *at = block;

    while ((at = memmem(at, size - (size_t)(at - block), end, sizeof end - 1)) != NULL) {
        const char *newline = memrchr(block, '\n', (size_t)(at - block));
        const char *line = newline != NULL ? newline + 1 : block;
        while (line < at && (*line == ' ' || *line == '\t')) {
            line++;
        }
        if ((size_t)(at - line) >= sizeof begin - 1 && memcmp(line, begin, sizeof begin - 1) == 0) {
            return true;
        }
        at += sizeof end - 1;
    }
    return false;
}

/* Whether the file is a private key, or has one in it: the one that the service is told to use may be
 * known to the service alone (by a flag, say), and the next one may lie beside it. */
static bool holds_key(struct copy *copy, int fd, const struct stat *st)
{
    off_t at = 0;
    ssize_t n;

    if (copy->has_key && is_same(st, &copy->key)) {
        return true;
    }
    if (st->st_size > KEY_FILE_MAX_BYTES) {
        return false;
    }
    while ((n = pread(fd, copy->block, COPY_BYTES, at)) > KEY_LINE_BYTES || (n > 0 && at == 0)) {
        if (has_key_line(copy->block, (size_t)n)) {
            return true;
        }
        at += n > KEY_LINE_BYTES ? n - KEY_LINE_BYTES : n;
    }
    return false;
}

/* A file of the directory `from`, to be `path` in the copy. One that has gone is no matter. */
static enum err copy_file(struct copy *copy, int from, const char *name, const char *path,
                          struct error *err)
{
    char target[PATH_BYTES];
    int in = openat(from, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    int out = -1;
    struct stat st;
    enum err rc;

    if (in < 0) {
        return errno == ENOENT ? ERR_OK : error_sys(err, errno, "cannot open %s", path);
    }
    if (fstat(in, &st) != 0 || !S_ISREG(st.st_mode)) {
        (void)close(in);
        return ERR_OK;
    }
    if (holds_key(copy, in, &st)) {
        copy->report.n_keys++;
        (void)close(in);
        return ERR_OK;
    }
    rc = path_format(target, err, "%s/%s", copy->top, path);
    if (rc == ERR_OK) {
        out = open(target, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, S_IRUSR | S_IWUSR);
        rc = out >= 0 ? copy_bytes(copy, in, out, path, err)
                      : error_sys(err, errno, "cannot create %s", target);
    }
    if (rc == ERR_OK) {
        keep_looks(out, &st);
    }
    (void)close(in);
    if (out >= 0 && close(out) != 0 && rc == ERR_OK) {
        rc = error_sys(err, errno, "cannot write %s", target);
    }
    return rc;
}

static enum err copy_link(struct copy *copy, int from, const char *name, const char *path,
                          struct error *err)
{
    char target[PATH_BYTES], leads_to[PATH_BYTES];
    ssize_t n = readlinkat(from, name, leads_to, sizeof leads_to - 1);
    enum err rc;

    if (n < 0) {
        return errno == ENOENT ? ERR_OK : error_sys(err, errno, "cannot read the link %s", path);
    }
    leads_to[n] = '\0';
    rc = path_format(target, err, "%s/%s", copy->top, path);
    if (rc == ERR_OK && symlink(leads_to, target) != 0) {
        rc = error_sys(err, errno, "cannot create %s", target);
    }
    copy->report.n_links += rc == ERR_OK;
    return rc;
}

/* ---- a directory ----------------------------------------------------------------------------- */

/* The store, and what lies beside it: -wal, -shm, -owners. */
static bool is_of_store(const struct copy *copy, int directory, const char *name)
{
    size_t length = copy->has_store ? strlen(copy->store_name) : 0;
    struct stat st;

    return length > 0 && strncmp(name, copy->store_name, length) == 0 &&
           (name[length] == '\0' || name[length] == '-') && fstat(directory, &st) == 0 &&
           is_same(&st, &copy->store_home);
}

/* What is no part of a copy, beside the store: files that are being written. */
static bool is_skipped(const struct copy *copy, int directory, const char *name)
{
    size_t length = strlen(name);

    return (name[0] == '.' && length > 5 && strcmp(name + length - 4, ".tmp") == 0) ||
           is_of_store(copy, directory, name);
}

static enum err copy_directory(struct copy *copy, int from, const char *name, const char *path,
                               int depth, struct error *err);

static enum err copy_entry(struct copy *copy, int from, const char *name, const char *path,
                           int depth, struct error *err)
{
    struct stat st;

    if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) != 0) {
        return errno == ENOENT ? ERR_OK : error_sys(err, errno, "cannot look at %s", path);
    }
    switch (st.st_mode & S_IFMT) {
    case S_IFREG:
        return copy_file(copy, from, name, path, err);
    case S_IFLNK:
        return copy_link(copy, from, name, path, err);
    case S_IFDIR:
        return is_same(&st, &copy->own) ? ERR_OK
                                        : copy_directory(copy, from, name, path, depth, err);
    default: /* sockets and the like hold nothing */
        return ERR_OK;
    }
}

static enum err copy_entries(struct copy *copy, DIR *dir, const char *path, int depth,
                             struct error *err)
{
    const struct dirent *entry;
    enum err rc = ERR_OK;

    while (rc == ERR_OK && (errno = 0, entry = readdir(dir)) != NULL) {
        char inner[PATH_BYTES];
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) {
            continue;
        }
        rc = path_format(inner, err, "%s/%s", path, entry->d_name);
        if (rc == ERR_OK && !is_skipped(copy, dirfd(dir), entry->d_name)) {
            rc = copy_entry(copy, dirfd(dir), entry->d_name, inner, depth + 1, err);
        }
    }
    return rc == ERR_OK && errno != 0 ? error_sys(err, errno, "cannot list %s", path) : rc;
}

static enum err make_directory(const char *path, struct error *err)
{
    return mkdir(path, S_IRWXU) == 0 || errno == EEXIST
               ? ERR_OK
               : error_sys(err, errno, "cannot create the directory %s", path);
}

static enum err copy_directory(struct copy *copy, int from, const char *name, const char *path,
                               int depth, struct error *err)
{
    char target[PATH_BYTES];
    int fd = openat(from, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
    struct stat st;
    enum err rc = ERR_OK;
    int made;

    if (dir == NULL) {
        int failed = errno;
        if (fd >= 0) {
            (void)close(fd);
        }
        return failed == ENOENT ? ERR_OK : error_sys(err, failed, "cannot open %s", path);
    }
    if (depth > DEPTH_MAX) {
        rc = error_set(err, ERR_LIMIT, "%s lies deeper than %d directories", path, DEPTH_MAX);
    }
    rc = rc != ERR_OK ? rc : path_format(target, err, "%s/%s", copy->top, path);
    rc = rc != ERR_OK ? rc : make_directory(target, err);
    rc = rc != ERR_OK ? rc : copy_entries(copy, dir, path, depth, err);
    if (rc == ERR_OK && fstat(fd, &st) == 0) {
        made = open(target, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
        if (made >= 0) {
            keep_looks(made, &st);
            (void)close(made);
        }
    }
    (void)closedir(dir);
    return rc;
}

/* ---- the store ------------------------------------------------------------------------------- */

/* Whether a path leads out of where it begins, or might. */
static bool is_elsewhere(const char *path)
{
    const char *part = path;

    while (strncmp(part, "..", 2) != 0 || (part[2] != '/' && part[2] != '\0')) {
        part = strchr(part, '/');
        if (part == NULL) {
            return path[0] == '/';
        }
        part++;
    }
    return true;
}

/* Where the store is, if there is one, and where it will be in the copy. */
static enum err place_store(struct copy *copy, struct error *err)
{
    const char *setting = copy->plan->job_store;
    char home[PATH_BYTES];
    const char *slash;
    enum err rc = path_below(copy->from, copy->plan->root, setting, err);

    rc = rc != ERR_OK ? rc
                      : path_format(copy->store, err, "%s",
                                    is_elsewhere(setting) ? STORE_ELSEWHERE : setting);
    if (rc != ERR_OK || setting[0] == '\0' || access(copy->from, F_OK) != 0) {
        return rc;
    }
    slash = strrchr(copy->from, '/'); /* there is one: the root is before it */
    copy->store_name = slash + 1;
    rc = path_format(home, err, "%.*s/", (int)(slash - copy->from), copy->from);
    if (rc == ERR_OK && stat(home, &copy->store_home) != 0) {
        rc = error_sys(err, errno, "cannot look at %s", home);
    }
    copy->has_store = rc == ERR_OK;
    return rc;
}

static enum err make_parents(const struct copy *copy, const char *path, struct error *err)
{
    char target[PATH_BYTES];
    enum err rc = ERR_OK;

    for (const char *slash = strchr(path, '/'); rc == ERR_OK && slash != NULL;
         slash = strchr(slash + 1, '/')) {
        rc = path_format(target, err, "%s/%.*s", copy->top, (int)(slash - path), path);
        rc = rc != ERR_OK ? rc : make_directory(target, err);
    }
    return rc;
}

static enum err copy_store(struct copy *copy, struct error *err)
{
    char to[PATH_BYTES];
    struct stat st;
    enum err rc = place_store(copy, err);
    int fd;

    if (rc != ERR_OK || !copy->has_store) {
        return rc;
    }
    rc = path_format(to, err, "%s/%s", copy->top, copy->store);
    rc = rc != ERR_OK ? rc : make_parents(copy, copy->store, err);
    rc = rc != ERR_OK ? rc : job_store_copy(copy->from, to, &copy->report.n_jobs, err);
    if (rc != ERR_OK) {
        return rc;
    }
    fd = open(to, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return error_sys(err, errno, "cannot read %s", to);
    }
    rc = copy_bytes(copy, fd, -1, copy->store, err);
    if (stat(copy->from, &st) == 0) {
        keep_looks(fd, &st);
    }
    (void)close(fd);
    return rc;
}

/* ---- all of it ------------------------------------------------------------------------------- */

static enum err copy_parts(struct copy *copy, struct error *err)
{
    int root = open(copy->plan->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    enum err rc = ERR_OK;

    if (root < 0) {
        return error_sys(err, errno, "cannot open the root %s", copy->plan->root);
    }
    for (size_t i = 0; i < sizeof parts / sizeof *parts && rc == ERR_OK; i++) {
        rc = copy_entry(copy, root, parts[i], parts[i], 0, err);
    }
    (void)close(root);
    return rc;
}

static enum err write_sums(const struct copy *copy, struct error *err)
{
    char path[PATH_BYTES];
    FILE *file;
    bool has_failed;
    enum err rc = copy->sums.has_failed ? error_set(err, ERR_NOMEM, "no memory for " SUMS)
                                        : path_format(path, err, "%s/" SUMS, copy->top);

    if (rc != ERR_OK) {
        return rc;
    }
    file = fopen(path, "wx");
    if (file == NULL) {
        return error_sys(err, errno, "cannot create %s", path);
    }
    has_failed = copy->sums.size > 0 && fwrite(copy->sums.bytes, copy->sums.size, 1, file) != 1;
    if (fclose(file) != 0 || has_failed) {
        return error_sys(err, errno, "cannot write %s", path);
    }
    return ERR_OK;
}

/* On the disk, all of it; and then under its name. */
static enum err finish(const struct copy *copy, struct error *err)
{
    int fd = open(copy->top, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int failed = fd < 0 || syncfs(fd) != 0 ? errno : 0;

    if (failed == 0 && rename(copy->top, copy->plan->to) != 0) {
        failed = errno;
    }
    if (failed == 0 && syncfs(fd) != 0) {
        failed = errno;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return failed == 0 ? ERR_OK : error_sys(err, failed, "cannot finish %s", copy->plan->to);
}

/* Removes a directory that was begun; its rights may be those of what it copies. */
static void remove_all(int at, const char *name)
{
    int fd;
    DIR *dir;
    const struct dirent *entry;

    if (unlinkat(at, name, 0) == 0 || (errno != EISDIR && errno != EPERM)) {
        return;
    }
    (void)fchmodat(at, name, S_IRWXU, 0);
    fd = openat(at, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
    dir = fd >= 0 ? fdopendir(fd) : NULL;
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) {
            remove_all(fd, entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    } else if (fd >= 0) {
        (void)close(fd);
    }
    (void)unlinkat(at, name, AT_REMOVEDIR);
}

static enum err begin(struct copy *copy, struct error *err)
{
    const struct backup_plan *plan = copy->plan;
    char key[PATH_BYTES];
    struct stat st;
    size_t length = strlen(plan->to);
    enum err rc;

    while (length > 1 && plan->to[length - 1] == '/') {
        length--;
    }
    if (lstat(plan->to, &st) == 0) {
        return error_set(err, ERR_INVALID, "%s is there already; name a directory to be made",
                         plan->to);
    }
    rc = path_format(copy->top, err, "%.*s.%ld.partial", (int)length, plan->to, (long)getpid());
    if (rc == ERR_OK && plan->private_key[0] != '\0') {
        rc = path_below(key, plan->root, plan->private_key, err);
        copy->has_key = rc == ERR_OK && stat(key, &copy->key) == 0;
    }
    if (rc == ERR_OK && mkdir(copy->top, S_IRWXU) != 0) {
        rc = error_sys(err, errno, "cannot create the directory %s", copy->top);
    }
    if (rc == ERR_OK && stat(copy->top, &copy->own) != 0) {
        rc = error_sys(err, errno, "cannot look at %s", copy->top);
    }
    return rc;
}

enum err backup_make(const struct backup_plan *plan, struct backup_report *out, struct error *err)
{
    struct copy copy = {.plan = plan, .block = mem_calloc(COPY_BYTES, 1)};
    enum err rc = copy.block != NULL ? begin(&copy, err)
                                     : error_set(err, ERR_NOMEM, "no memory to copy files");

    if (rc != ERR_OK) {
        mem_free(copy.block);
        return rc;
    }
    rc = copy_store(&copy, err);
    rc = rc != ERR_OK ? rc : copy_parts(&copy, err);
    rc = rc != ERR_OK ? rc : write_sums(&copy, err);
    rc = rc != ERR_OK ? rc : finish(&copy, err);
    if (rc == ERR_OK) {
        *out = copy.report;
    } else {
        remove_all(AT_FDCWD, copy.top);
    }
    text_close(&copy.sums);
    mem_free(copy.block);
    return rc;
}

#include "server/result_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/path.h"

enum { WRITE_BYTES = 32 << 10 };

/* Removes the directories of `path` that are longer than `n_kept` bytes, deepest first; they were
 * made for it and are left in place where something else is in them by now. */
static void remove_directories(const char *path, size_t n_kept)
{
    char partial[PATH_BYTES];

    (void)snprintf(partial, sizeof partial, "%s", path);
    for (char *slash = strrchr(partial, '/'); slash != NULL && (size_t)(slash - partial) > n_kept;
         slash = strrchr(partial, '/')) {
        *slash = '\0';
        (void)rmdir(partial);
    }
}

/* `n_kept` receives the length of the part of `path` that existed, for remove_directories(). */
static enum err make_directories(const char *path, size_t *n_kept, struct error *err)
{
    char partial[PATH_BYTES];
    bool is_made = false;

    *n_kept = strlen(path);

    for (const char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        size_t length = (size_t)(slash - path);
        if (length >= sizeof partial) {
            return error_set(err, ERR_LIMIT, "the path %.100s... is too long", path);
        }
        memcpy(partial, path, length);
        partial[length] = '\0';
        if (mkdir(partial, 0777) == 0) {
            *n_kept = is_made ? *n_kept : length - 1;
            is_made = true;
        } else if (errno != EEXIST) {
            int failed = errno;
            remove_directories(path, *n_kept);
            return error_sys(err, failed, "cannot create the directory %s", partial);
        }
    }
    return ERR_OK;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static int write_all(int fd, const char *bytes, size_t size)
{
    while (size > 0) {
        ssize_t n = write(fd, bytes, size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        bytes += n;
        size -= (size_t)n;
    }
    return 0;
}

static enum err write_synced(const char *path, result_make *make, void *context, struct error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    int failed = 0;
    enum err rc;

    if (fd < 0) {
        return error_sys(err, errno, "cannot create %s", path);
    }
    rc = make(context, fd, err);
    if (rc != ERR_OK) {
        (void)error_wrap(err, "cannot write %s", path);
    } else if (fsync(fd) != 0) {
        failed = errno;
    }
    if (close(fd) != 0 && rc == ERR_OK && failed == 0) {
        failed = errno;
    }
    if (failed != 0) {
        rc = error_sys(err, failed, "cannot write %s", path);
    }
    if (rc != ERR_OK) {
        (void)unlink(path);
    }
    return rc;
}

/* "dir/name" becomes "dir/.name.<pid>.<n>.tmp", which no reader takes for a result. */
static enum err temporary_name(const char *path, char *out, struct error *err)
{
    static atomic_uint counter;
    const char *slash = strrchr(path, '/');
    int directory = slash != NULL ? (int)(slash - path) + 1 : 0;

    return path_format(out, err, "%.*s.%s.%ld.%u.tmp", directory, path, path + directory,
                       (long)getpid(), atomic_fetch_add(&counter, 1));
}

/* Removes temporary files that a killed program left in the directory of `path`: nothing is staged
 * for longer than moments, so what is an hour old belongs to nobody. */
static void sweep_stale(const char *path)
{
    enum { STALE_S = 3600 };
    char directory[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    const struct dirent *entry;
    DIR *dir;

    (void)snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 2,
                   slash != NULL ? path : "./");
    dir = opendir(directory);
    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        size_t length = strlen(entry->d_name);
        struct stat st;
        if (length > 5 && entry->d_name[0] == '.' &&
            strcmp(entry->d_name + length - 4, ".tmp") == 0 &&
            fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(st.st_mode) && time(NULL) - st.st_mtime > STALE_S) {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

enum err result_stage_made(struct result_batch *batch, const char *path, result_make *make,
                           void *context, struct error *err)
{
    char temporary[PATH_BYTES];
    struct staged_file *files;
    struct staged_file file = {0};
    enum err rc = temporary_name(path, temporary, err);

    if (rc == ERR_OK && is_directory(path)) { /* the rename would fail, after others were done */
        rc = error_set(err, ERR_IO, "cannot write %s: it is a directory", path);
    }
    if (rc == ERR_OK) {
        rc = make_directories(path, &file.n_kept, err);
    }
    if (rc != ERR_OK) {
        return rc;
    }
    sweep_stale(path);
    files = mem_resize(batch->files, batch->n_files + 1, sizeof *files);
    if (files != NULL) {
        batch->files = files;
        file.temporary = mem_strdup(temporary);
        file.path = mem_strdup(path);
    }
    if (file.temporary == NULL || file.path == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to write %s", path);
    } else {
        rc = write_synced(temporary, make, context, err);
    }
    if (rc != ERR_OK) {
        remove_directories(path, file.n_kept);
        mem_free(file.temporary);
        mem_free(file.path);
        return rc;
    }
    batch->files[batch->n_files++] = file;
    return ERR_OK;
}

enum err result_go_on(const struct result_batch *batch, struct error *err)
{
    return batch->may_go_on == NULL || batch->may_go_on(batch->context)
               ? ERR_OK
               : error_set(err, ERR_CANCELED, "stopped while a file was written");
}

/* A source whose bytes come one after the other. */
struct sequence {
    const struct result_batch *batch;
    result_read *read;
    void *source;
};

static enum err write_sequence(void *context, int fd, struct error *err)
{
    struct sequence *sequence = context;
    char bytes[WRITE_BYTES];
    enum err rc = ERR_OK;
    size_t n;

    while (rc == ERR_OK && (n = sequence->read(sequence->source, bytes, sizeof bytes)) > 0) {
        if (write_all(fd, bytes, n) != 0) {
            return error_sys(err, errno, "the next bytes");
        }
        rc = result_go_on(sequence->batch, err);
    }
    return rc;
}

enum err result_stage_from(struct result_batch *batch, const char *path, result_read *read,
                           void *source, struct error *err)
{
    struct sequence sequence = {.batch = batch, .read = read, .source = source};

    return result_stage_made(batch, path, write_sequence, &sequence, err);
}

/* Bytes in memory as a source. */
struct block {
    const char *bytes;
    size_t size;
};

static size_t read_block(void *source, char *bytes, size_t size)
{
    struct block *block = source;
    size_t n = block->size < size ? block->size : size;

    memcpy(bytes, block->bytes, n);
    block->bytes += n;
    block->size -= n;
    return n;
}

enum err result_stage(struct result_batch *batch, const char *path, const char *bytes, size_t size,
                      struct error *err)
{
    struct block block = {bytes, size};

    return result_stage_from(batch, path, read_block, &block, err);
}

static void sync_directory(const char *path)
{
    char directory[PATH_BYTES];
    const char *slash = strrchr(path, '/');
    int fd;

    (void)snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 1,
                   slash != NULL ? path : ".");
    fd = open(directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd); /* some file systems cannot; the rename is ordered there anyway */
        (void)close(fd);
    }
}

/* The entries of the directories that were made for the file, too: without them it would not be
 * there after a loss of power. */
static void sync_made_directories(const char *path, size_t n_kept)
{
    char partial[PATH_BYTES];

    (void)snprintf(partial, sizeof partial, "%s", path);
    for (char *slash = strrchr(partial, '/'); slash != NULL && (size_t)(slash - partial) > n_kept;
         slash = strrchr(partial, '/')) {
        *slash = '\0';
        sync_directory(partial);
    }
}

enum err result_make_directory(const char *path, struct error *err)
{
    if (mkdir(path, 0777) == 0) {
        sync_directory(path);
        return ERR_OK;
    }
    return errno == EEXIST ? ERR_OK : error_sys(err, errno, "cannot create the directory %s", path);
}

enum err result_commit(struct result_batch *batch, struct error *err)
{
    for (size_t i = 0; i < batch->n_files; i++) {
        struct staged_file *file = &batch->files[i];
        if (rename(file->temporary, file->path) != 0) {
            return error_sys(err, errno, "cannot put %s in place", file->path);
        }
        sync_directory(file->path);
        sync_made_directories(file->path, file->n_kept);
        mem_free(file->temporary);
        file->temporary = NULL;
    }
    return ERR_OK;
}

void result_close(struct result_batch *batch)
{
    for (size_t i = 0; i < batch->n_files; i++) {
        if (batch->files[i].temporary != NULL) {
            (void)unlink(batch->files[i].temporary);
        }
    }
    for (size_t i = 0; i < batch->n_files; i++) {
        if (batch->files[i].temporary != NULL) {
            remove_directories(batch->files[i].path, batch->files[i].n_kept);
        }
        mem_free(batch->files[i].temporary);
        mem_free(batch->files[i].path);
    }
    mem_free(batch->files);
    memset(batch, 0, sizeof *batch);
}

enum err result_remove(const char *path, struct error *err)
{
    if (unlink(path) != 0) {
        return error_sys(err, errno, "cannot remove %s", path);
    }
    sync_directory(path);
    return ERR_OK;
}

/* The process that a temporary file is of: ".name.<pid>.<n>.tmp". 0 where it is none. */
static pid_t writer_of(const char *name)
{
    const char *end = name + strlen(name);
    long pid;
    int n_dots = 0;

    if (name[0] != '.' || end - name < 5 || strcmp(end - 4, ".tmp") != 0) {
        return 0;
    }
    while (end > name && n_dots < 3) { /* before "tmp", before n, before the pid */
        n_dots += *--end == '.';
    }
    pid = strtol(end + 1, NULL, 10);
    return n_dots == 3 && pid > 0 && pid <= INT_MAX ? (pid_t)pid : 0;
}

void result_sweep(const char *directory)
{
    const struct dirent *entry;
    DIR *dir = opendir(directory);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        pid_t pid = writer_of(entry->d_name);
        /* in a container each process of ours has the same number, and this one is staging nothing
         * yet */
        if (pid > 0 && (pid == getpid() || (kill(pid, 0) != 0 && errno == ESRCH))) {
            (void)unlinkat(dirfd(dir), entry->d_name, 0);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

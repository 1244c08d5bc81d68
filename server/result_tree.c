#include "server/result_tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/mem.h"
#include "server/file_lock.h"
#include "server/path.h"

enum { WRITE_BYTES = 32 << 10 };

/* Where a directory goes each time that it has been made, or a file each time that it has been
 * created, by somebody who clears away: so often is it made again. */
enum { MOST_TRIES = 16 };

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

/* The lock is taken after the file is there: who swept in between may have removed it, for it looked
 * like that of nobody. */
static bool lock_own(int fd)
{
    struct stat st;

    return file_lock_try(fd, 0) != FILE_LOCK_BUSY && fstat(fd, &st) == 0 && st.st_nlink > 0;
}

/* "dir/name" becomes "dir/.name.<process>.<n>.tmp", which no reader takes for a result. Processes go
 * by numbers drawn at random, for in each container they count from 1. */
static uint64_t process_name;

static void draw_process_name(void)
{
    struct timespec now;

    if (getrandom(&process_name, sizeof process_name, 0) != (ssize_t)sizeof process_name) {
        (void)clock_gettime(CLOCK_REALTIME, &now); /* names that are taken are not used anyway */
        process_name = (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
    }
}

static enum err temporary_name(const char *path, char *out, struct error *err)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static atomic_uint counter;
    const char *slash = strrchr(path, '/');
    int directory = slash != NULL ? (int)(slash - path) + 1 : 0;

    (void)pthread_once(&once, draw_process_name);
    return path_format(out, err, "%.*s.%s.%016" PRIx64 ".%u.tmp", directory, path, path + directory,
                       process_name, atomic_fetch_add(&counter, 1));
}

/* Creates a temporary file beside `path`, its name in `out` (PATH_BYTES), and the directories that it
 * takes. Others may be removing them, empty as they look. */
static enum err create_locked(const char *path, struct staged_file *file, char *out,
                              struct error *err)
{
    for (int n_tries = 1;; n_tries++) {
        enum err rc = temporary_name(path, out, err);
        rc = rc != ERR_OK ? rc : make_directories(path, &file->n_kept, err);
        if (rc == ERR_OK) {
            file->fd = open(out, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
            rc = file->fd >= 0     ? ERR_OK
                 : errno == EEXIST ? error_set(err, ERR_NOT_FOUND, "the name %s is taken", out)
                                   : error_sys(err, errno, "cannot create %s", out);
            if (rc == ERR_OK && lock_own(file->fd)) {
                return ERR_OK;
            }
            if (rc == ERR_OK) {
                (void)close(file->fd);
                (void)unlink(out);
                rc = error_set(err, ERR_NOT_FOUND, "%s was removed while it was made", out);
            }
            remove_directories(path, file->n_kept);
        }
        if (rc != ERR_NOT_FOUND || n_tries == MOST_TRIES) {
            return rc;
        }
    }
}

/* Fills the file that was created as `path`; closes and removes it where that fails. */
static enum err write_synced(int fd, const char *path, result_make *make, void *context,
                             struct error *err)
{
    enum err rc = make(context, fd, err);

    if (rc != ERR_OK) {
        (void)error_wrap(err, "cannot write %s", path);
    } else if (fsync(fd) != 0) {
        rc = error_sys(err, errno, "cannot write %s", path);
    }
    if (rc != ERR_OK) {
        (void)close(fd);
        (void)unlink(path);
    }
    return rc;
}

/* ---- what others have left ------------------------------------------------------------------- */

static bool is_temporary(const char *name)
{
    size_t length = strlen(name);

    return length > 5 && name[0] == '.' && strcmp(name + length - 4, ".tmp") == 0;
}

/* Removes a file that nobody is staging any more: its lock is free, or, where nobody can tell, it is
 * so old as nothing is that is being written. It is removed with the lock held: a writer that comes
 * to lock what it has just created sees that it is gone. */
static void remove_abandoned(int directory, const char *name)
{
    enum { STALE_S = 3600 };
    int fd = openat(directory, name, O_WRONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    struct stat st;

    if (fd < 0) {
        return;
    }
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode)) {
        enum file_lock lock = file_lock_try(fd, 0);
        if (lock == FILE_LOCK_TAKEN ||
            (lock == FILE_LOCK_UNKNOWN && time(NULL) - st.st_mtime > STALE_S)) {
            (void)unlinkat(directory, name, 0); /* its name is never used again */
        }
    }
    (void)close(fd);
}

void result_sweep(const char *directory)
{
    const struct dirent *entry;
    DIR *dir = opendir(directory);

    while (dir != NULL && (entry = readdir(dir)) != NULL) {
        if (is_temporary(entry->d_name)) {
            remove_abandoned(dirfd(dir), entry->d_name);
        }
    }
    if (dir != NULL) {
        (void)closedir(dir);
    }
}

/* The directory of `path`. */
static void sweep_beside(const char *path)
{
    char directory[PATH_BYTES];
    const char *slash = strrchr(path, '/');

    (void)snprintf(directory, sizeof directory, "%.*s", slash != NULL ? (int)(slash - path) + 1 : 2,
                   slash != NULL ? path : "./");
    result_sweep(directory);
}

/* ---- staging --------------------------------------------------------------------------------- */

enum err result_stage_made(struct result_batch *batch, const char *path, result_make *make,
                           void *context, struct error *err)
{
    char temporary[PATH_BYTES];
    struct staged_file *files;
    struct staged_file file = {.fd = -1};
    enum err rc = ERR_OK;

    if (is_directory(path)) { /* the rename would fail, after others were done */
        return error_set(err, ERR_IO, "cannot write %s: it is a directory", path);
    }
    sweep_beside(path);
    rc = create_locked(path, &file, temporary, err);
    if (rc != ERR_OK) {
        return rc;
    }
    files = mem_resize(batch->files, batch->n_files + 1, sizeof *files);
    if (files != NULL) {
        batch->files = files;
        file.temporary = mem_strdup(temporary);
        file.path = mem_strdup(path);
    }
    if (file.temporary == NULL || file.path == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory to write %s", path);
        (void)close(file.fd);
        (void)unlink(temporary);
    } else {
        rc = write_synced(file.fd, temporary, make, context, err);
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
        (void)close(file->fd);
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
            (void)close(batch->files[i].fd);
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

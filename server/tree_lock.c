#include "server/tree_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/file_lock.h"
#include "server/log.h"
#include "server/path.h"

/* What is locked is replaced within milliseconds. */
enum { FIRST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 16 };

/* The byte that stands for a part: two that share one only wait for each other. */
static off_t place_of(const char *part, const char *name)
{
    const char *const words[] = {part, name};
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < 2; i++) {
        for (const char *c = words[i]; *c != '\0'; c++) {
            hash = (hash ^ (unsigned char)*c) * UINT64_C(0x100000001b3); /* FNV-1a */
        }
    }
    return (off_t)(hash >> 2);
}

static int open_file(const char *root, struct error *err)
{
    char path[PATH_BYTES];
    int fd;

    if (path_format(path, err, "%s/result/.tree-locks", root) != ERR_OK) {
        return -1;
    }
    fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    if (fd < 0 && errno == ENOENT) {
        *strrchr(path, '/') = '\0';
        (void)mkdir(path, 0777);
        path[strlen(path)] = '/';
        fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0666);
    }
    if (fd < 0) {
        (void)error_sys(err, errno, "cannot open %s", path);
    }
    return fd;
}

/* Without locks writers of one process are kept apart still, by its own. */
static void warn_once(const char *why)
{
    static atomic_bool is_said;

    if (!atomic_exchange(&is_said, true)) {
        log_write(LOG_WARNING, "writers of other processes are not kept apart: %s", why);
    }
}

static enum err wait_for_lock(int fd, off_t place, bool *is_taken)
{
    const int64_t until_ms = monotonic_ms() + TREE_LOCK_WAIT_MS;
    int64_t wait_ms = FIRST_PAUSE_MS;
    enum file_lock lock = file_lock_try(fd, place);

    while (lock == FILE_LOCK_BUSY && monotonic_ms() < until_ms) {
        pause_ms(wait_ms);
        wait_ms = 2 * wait_ms < LONGEST_PAUSE_MS ? 2 * wait_ms : LONGEST_PAUSE_MS;
        lock = file_lock_try(fd, place);
    }
    *is_taken = lock == FILE_LOCK_TAKEN;
    return lock == FILE_LOCK_BUSY ? ERR_IO : ERR_OK;
}

enum err tree_lock_take(const char *root, const char *part, const char *name, struct tree_lock *out,
                        struct error *err)
{
    struct error why = {0};
    bool is_taken;
    int fd = open_file(root, &why);

    out->fd = -1;
    if (fd < 0) {
        warn_once(why.text);
        return ERR_OK;
    }
    if (wait_for_lock(fd, place_of(part, name), &is_taken) != ERR_OK) {
        (void)close(fd);
        return error_set(err, ERR_IO,
                         "another process, which may be stopped, has been writing %s%s for %d ms; "
                         "try again",
                         part, name, TREE_LOCK_WAIT_MS);
    }
    if (!is_taken) {
        (void)close(fd);
        warn_once("the file system of result/ has no locks");
        return ERR_OK;
    }
    out->fd = fd;
    return ERR_OK;
}

void tree_lock_release(struct tree_lock *lock)
{
    if (lock->fd >= 0) {
        (void)close(lock->fd);
    }
    lock->fd = -1;
}

#include "server/tree_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "server/clock.h"
#include "server/file_lock.h"
#include "server/log.h"
#include "server/path.h"

/* What is locked is replaced within milliseconds. */
enum { FIRST_PAUSE_MS = 1, LONGEST_PAUSE_MS = 16 };

/* ---- threads of this process ----------------------------------------------------------------- */

/* Who wants the lock of a part, in the order in which they came: the first has it, and asks the file
 * for it. Were all to ask that, it would be had by whoever looks at the right moment, and some by
 * nobody in time. */
struct tree_line {
    pthread_mutex_t lock; /* of the list */
    pthread_cond_t has_moved;
    struct tree_lock *first;
    uint64_t n_released; /* by who had it */
};

static const char *const parts[] = {TREE_LOCK_DATA, TREE_LOCK_SPACES, TREE_LOCK_SERVED};
static struct tree_line lines[sizeof parts / sizeof *parts];
static pthread_once_t lines_are_made = PTHREAD_ONCE_INIT;

static void make_lines(void)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes); /* these cannot fail on Linux */
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
        (void)pthread_mutex_init(&lines[i].lock, NULL);
        (void)pthread_cond_init(&lines[i].has_moved, &attributes);
    }
    (void)pthread_condattr_destroy(&attributes);
}

static struct tree_line *line_of(const char *part)
{
    size_t i = 0;

    (void)pthread_once(&lines_are_made, make_lines);
    while (i + 1 < sizeof parts / sizeof *parts && strcmp(parts[i], part) != 0) {
        i++;
    }
    return &lines[i];
}

/* The line's lock is held. */
static void leave(struct tree_lock *lock)
{
    struct tree_lock **at = &lock->line->first;

    while (*at != lock) {
        at = &(*at)->next;
    }
    *at = lock->next;
    (void)pthread_cond_broadcast(&lock->line->has_moved);
}

static struct timespec wait_end(void)
{
    const int64_t until_ms = monotonic_ms() + TREE_LOCK_WAIT_MS;

    return (struct timespec){until_ms / 1000, until_ms % 1000 * 1000000};
}

/* False where nobody of the line got the lock for too long; then it is not in the line any more. */
static bool wait_in_line(struct tree_lock *lock)
{
    struct tree_line *line = lock->line;
    struct tree_lock **at = &line->first;
    struct timespec until = wait_end();
    bool is_first;

    lock->next = NULL;
    (void)pthread_mutex_lock(&line->lock);
    while (*at != NULL) {
        at = &(*at)->next;
    }
    *at = lock;
    for (uint64_t n_seen = line->n_released; line->first != lock;) {
        int late = pthread_cond_timedwait(&line->has_moved, &line->lock, &until);
        if (line->n_released != n_seen) { /* it gets on: a machine is slow, and nobody stopped */
            n_seen = line->n_released;
            until = wait_end();
        } else if (late != 0) {
            break;
        }
    }
    is_first = line->first == lock;
    if (!is_first) {
        leave(lock);
    }
    (void)pthread_mutex_unlock(&line->lock);
    return is_first;
}

static void leave_line(struct tree_lock *lock, bool had_lock)
{
    (void)pthread_mutex_lock(&lock->line->lock);
    lock->line->n_released += had_lock;
    leave(lock);
    (void)pthread_mutex_unlock(&lock->line->lock);
}

/* ---- processes ------------------------------------------------------------------------------- */

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

/* The lock between processes; the threads of this one are kept apart already. */
static enum err lock_file(const char *root, off_t place, struct tree_lock *out)
{
    struct error why = {0};
    bool is_taken;
    int fd = open_file(root, &why);

    out->fd = -1;
    if (fd < 0) {
        warn_once(why.text);
        return ERR_OK;
    }
    if (wait_for_lock(fd, place, &is_taken) != ERR_OK) {
        (void)close(fd);
        return ERR_IO;
    }
    if (!is_taken) {
        (void)close(fd);
        warn_once("the file system of result/ has no locks");
        return ERR_OK;
    }
    out->fd = fd;
    return ERR_OK;
}

enum err tree_lock_take(const char *root, const char *part, const char *name, struct tree_lock *out,
                        struct error *err)
{
    bool is_first;

    out->line = line_of(part);
    is_first = wait_in_line(out);
    if (is_first && lock_file(root, place_of(part, name), out) == ERR_OK) {
        return ERR_OK;
    }
    if (is_first) {
        leave_line(out, false);
    }
    return error_set(err, ERR_IO,
                     "others, perhaps a process that is stopped, have been writing %s%s for %d ms; "
                     "try again",
                     part, name, TREE_LOCK_WAIT_MS);
}

void tree_lock_release(struct tree_lock *lock)
{
    if (lock->fd >= 0) {
        (void)close(lock->fd);
    }
    lock->fd = -1;
    leave_line(lock, true);
}

#define _GNU_SOURCE /* F_OFD_SETLK; NOLINT(bugprone-reserved-identifier) */
#include "server/job_owner.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

/* Locks belong to the open file, not to the process: closing another descriptor of the file does
 * not drop them, and two stores in one process see each other's. */
static struct flock lock_at(uint64_t offset)
{
    return (struct flock){
        .l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = (off_t)offset, .l_len = 1};
}

static enum err take_name(struct job_owner *owner, const char *path, struct error *err)
{
    for (;;) {
        uint64_t offset = 0;
        struct flock lock;
        if (getrandom(&offset, sizeof offset, 0) != (ssize_t)sizeof offset) {
            return error_set(err, ERR_IO, "the system has no random bytes to give");
        }
        offset >>= 2; /* 62 bits: the lock's end is an off_t, too */
        lock = lock_at(offset);
        if (fcntl(owner->fd, F_OFD_SETLK, &lock) == 0) {
            (void)snprintf(owner->name, sizeof owner->name, "%016" PRIx64, offset);
            return ERR_OK;
        }
        if (errno != EAGAIN && errno != EACCES && errno != EINTR) {
            return error_sys(err, errno, "cannot lock %s, a file beside the job store", path);
        }
    }
}

enum err job_owner_open(const char *path, struct job_owner *out, struct error *err)
{
    struct job_owner owner = {
        .fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR)};
    enum err rc;

    if (owner.fd < 0) {
        (void)error_sys(err, errno, "cannot open %s, a file beside the job store", path);
        if (err != NULL) {
            err->code = ERR_IO; /* of which a missing directory is one */
        }
        return ERR_IO;
    }
    rc = take_name(&owner, path, err);
    if (rc != ERR_OK) {
        (void)close(owner.fd);
        return rc;
    }
    *out = owner;
    return ERR_OK;
}

bool job_owner_is_alive(const struct job_owner *owner, const char *name)
{
    struct flock lock;
    char *end;
    uint64_t offset = strtoull(name, &end, 16);

    if (end == name || *end != '\0' || offset >> 62 != 0) {
        return false;
    }
    if (strcmp(name, owner->name) == 0) {
        return true; /* its own lock is not in its way */
    }
    lock = lock_at(offset);
    return fcntl(owner->fd, F_OFD_GETLK, &lock) != 0 || lock.l_type != F_UNLCK;
}

void job_owner_close(struct job_owner *owner)
{
    (void)close(owner->fd);
    owner->fd = -1;
}

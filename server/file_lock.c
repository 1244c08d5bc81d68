#define _GNU_SOURCE /* F_OFD_SETLK */ // NOLINT(bugprone-reserved-identifier)
#include "server/file_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum file_lock file_lock_try(int fd, off_t at)
{
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = at, .l_len = 1};

    while (fcntl(fd, F_OFD_SETLK, &lock) != 0) {
        if (errno == EAGAIN || errno == EACCES) {
            return FILE_LOCK_BUSY;
        }
        if (errno != EINTR) {
            return FILE_LOCK_UNKNOWN;
        }
    }
    return FILE_LOCK_TAKEN;
}

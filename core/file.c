#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/mem.h"

/* Fills `bytes` up to `size`; a file that shrinks meanwhile gives a smaller *got. */
static int read_all(int fd, char *bytes, size_t size, size_t *got)
{
    *got = 0;
    while (*got < size) {
        ssize_t n = read(fd, bytes + *got, size - *got);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return -1;
        }
        if (n == 0) {
            break;
        }
        *got += (size_t)n;
    }
    return 0;
}

enum err file_read(const char *path, size_t max_bytes, char **bytes, size_t *size,
                   struct error *err)
{
    struct stat st;
    char *block = NULL;
    enum err rc = ERR_OK;
    /* O_NONBLOCK: a FIFO in the file's place must not hang us before fstat tells */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

    if (fd < 0) {
        return error_sys(err, errno, "cannot open %s", path);
    }
    if (fstat(fd, &st) != 0) {
        rc = error_sys(err, errno, "cannot inspect %s", path);
    } else if (!S_ISREG(st.st_mode)) {
        rc = error_set(err, ERR_IO, "%s is not a regular file", path);
    } else if (st.st_size < 0 || (unsigned long long)st.st_size > max_bytes) {
        rc = error_set(err, ERR_LIMIT, "%s has %lld bytes; at most %zu are accepted", path,
                       (long long)st.st_size, max_bytes);
    } else if ((block = mem_calloc((size_t)st.st_size + 1, 1)) == NULL) {
        rc = error_set(err, ERR_NOMEM, "no memory for the %lld bytes of %s", (long long)st.st_size,
                       path);
    } else if (read_all(fd, block, (size_t)st.st_size, size) != 0) {
        rc = error_sys(err, errno, "cannot read %s", path);
    }
    (void)close(fd);
    if (rc != ERR_OK) {
        mem_free(block);
        return rc;
    }
    *bytes = block;
    return ERR_OK;
}
